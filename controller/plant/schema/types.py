"""The kinds of values in our files: each turns the text as written into a number, a name or a choice.

A validator that can't says so by `PydanticCustomError` with the message, the expectation and the hint; the place is
added by `messages`.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from controller import __version__
from controller.plant.figures import number, quantity
from controller.plant.messages import Complaint, did_you_mean, one_of
from controller.plant.units import EXAMPLES, UNITS, Dimension, digits_hint, parse_quantity

COMPLAINT = "complaint"
"""The error type of our own validators; the context holds the parts of a `Complaint`."""


class Section(BaseModel):
    """A group of keys: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def fail(message: str, expected: str = "", hint: str = "") -> NoReturn:
    """Raise a validation error; the message continues the name of the key (`has no unit`)."""
    context = {"message": message, "expected": expected, "hint": hint}
    raise PydanticCustomError(COMPLAINT, "{message}", context)


def fail_with(complaint: Complaint) -> NoReturn:
    """Raise a validation error from a complaint."""
    fail(complaint.message, complaint.expected, complaint.hint)


def single(value: object, expected: str) -> str:
    """Return the value if it is a single text; complain if it is a list or a group of keys."""
    if isinstance(value, str):
        return value
    found = "a list" if isinstance(value, list) else "a group of keys"
    fail(f"is {found}, but a single value is required", expected)


def _quantity(dimension: Dimension) -> Callable[[object], float]:
    def convert(value: object) -> float:
        parsed = parse_quantity(single(value, f"such as {EXAMPLES[dimension]}"), dimension)
        if isinstance(parsed, Complaint):
            fail_with(parsed)
        return parsed

    return convert


UNIT, RANGE, DEFAULT = "x-unit", "x-range", "x-default"
"""Keywords of our own in the JSON Schema, from which the key tables of the guide are made."""


def _written(dimension: Dimension) -> WithJsonSchema:
    """Return what an editor is told: a number with one of the units that people use."""
    units = "|".join(sorted(re.escape(u.name) for u in UNITS.values() if u.dimension is dimension))
    pattern = rf"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{{1,3}})?\s*({units})\s*$"
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [EXAMPLES[dimension]], UNIT: dimension})


Voltage = Annotated[float, BeforeValidator(_quantity(Dimension.VOLTAGE)), _written(Dimension.VOLTAGE)]
Current = Annotated[float, BeforeValidator(_quantity(Dimension.CURRENT)), _written(Dimension.CURRENT)]
Power = Annotated[float, BeforeValidator(_quantity(Dimension.POWER)), _written(Dimension.POWER)]
ReactivePower = Annotated[
    float, BeforeValidator(_quantity(Dimension.REACTIVE_POWER)), _written(Dimension.REACTIVE_POWER)
]
ApparentPower = Annotated[
    float, BeforeValidator(_quantity(Dimension.APPARENT_POWER)), _written(Dimension.APPARENT_POWER)
]
Energy = Annotated[float, BeforeValidator(_quantity(Dimension.ENERGY)), _written(Dimension.ENERGY)]
Charge = Annotated[float, BeforeValidator(_quantity(Dimension.CHARGE)), _written(Dimension.CHARGE)]
Ratio = Annotated[float, BeforeValidator(_quantity(Dimension.RATIO)), _written(Dimension.RATIO)]
Resistance = Annotated[float, BeforeValidator(_quantity(Dimension.RESISTANCE)), _written(Dimension.RESISTANCE)]
Frequency = Annotated[float, BeforeValidator(_quantity(Dimension.FREQUENCY)), _written(Dimension.FREQUENCY)]
Time = Annotated[float, BeforeValidator(_quantity(Dimension.TIME)), _written(Dimension.TIME)]
PowerRamp = Annotated[float, BeforeValidator(_quantity(Dimension.POWER_RAMP)), _written(Dimension.POWER_RAMP)]
ReactiveRamp = Annotated[float, BeforeValidator(_quantity(Dimension.REACTIVE_RAMP)), _written(Dimension.REACTIVE_RAMP)]

Temperature = Annotated[float, BeforeValidator(_quantity(Dimension.TEMPERATURE)), _written(Dimension.TEMPERATURE)]
TemperatureDifference = Annotated[
    float, BeforeValidator(_quantity(Dimension.TEMPERATURE_DIFFERENCE)), _written(Dimension.TEMPERATURE_DIFFERENCE)
]
HeatCapacity = Annotated[float, BeforeValidator(_quantity(Dimension.HEAT_CAPACITY)), _written(Dimension.HEAT_CAPACITY)]
ThermalResistance = Annotated[
    float, BeforeValidator(_quantity(Dimension.THERMAL_RESISTANCE)), _written(Dimension.THERMAL_RESISTANCE)
]


def _positive(value: float) -> float:
    if value <= 0:
        fail("must be more than zero", "a value above zero")
    return value


def _not_negative(value: float) -> float:
    if value < 0:
        fail("is negative", "zero or more")
    return value


@dataclass(frozen=True, slots=True)
class Within:
    """The validator of a quantity that makes sense only from `low` to `high`, both written with units."""

    low: str
    high: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the range after the value has been read."""
        low, high = _bound(self.low), _bound(self.high)

        def convert(value: float) -> float:
            if not low - abs(low) * 1e-9 <= value <= high + abs(high) * 1e-9:
                meant = low <= 100 * value <= high and self.high.endswith("%")
                hint = f"did you mean '{1e4 * value:g} %'?" if meant else ""
                fail(
                    f"can't be meant so: it reads as {_as_read(value, self.high)}",
                    f"from {self.low} to {self.high}",
                    hint,
                )
            return value

        return core_schema.no_info_after_validator_function(convert, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell the range, which JSON Schema can't: it knows no units."""
        return {**handler(schema), RANGE: f"{self.low} to {self.high}"}


within = Within


def _as_read(value: float, bound: str) -> str:
    """Return a base value as people say it, so that it can be compared with what was written."""
    unit = bound.partition(" ")[2]
    if unit in ("", "%"):
        return f"{number(value / (UNITS[unit].factor if unit else 1.0))} {unit}".rstrip()
    alike = (u for u in UNITS.values() if u.dimension is UNITS[unit].dimension)
    return quantity(value, next(u.name for u in alike if (u.factor, u.offset) == (1.0, 0.0)))


def _bound(text: str) -> float:
    number, _, unit = text.partition(" ")
    return float(number) * (UNITS[unit].factor if unit else 1.0)


Positive = AfterValidator(_positive)
NotNegative = AfterValidator(_not_negative)


def _number(value: object) -> float:
    text = single(value, "a number")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?", text):
        comma = re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text)
        hint = f"write a point, not a comma: '{text.replace(',', '.')}'" if comma else digits_hint(text)
        fail(f"is not a plain number ('{text}')", "a number without a unit, such as 0.1", hint)
    return number


Number = Annotated[float, BeforeValidator(_number), WithJsonSchema({"type": "number", UNIT: "number"})]


def _whole(value: object) -> int:
    text = single(value, "a whole number")
    if re.fullmatch(r"[+-]?[0-9]{1,12}", text):
        return int(text)
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
        return int(text, 16)
    fail(f"is not a whole number ('{text}')", "a whole number without a unit, such as 12", digits_hint(text))


_INTEGER = WithJsonSchema({"type": "integer", UNIT: "whole number"})
Whole = Annotated[int, BeforeValidator(_whole), _INTEGER]
Count = Annotated[int, BeforeValidator(_whole), AfterValidator(_positive), _INTEGER]

_FLAGS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


def _flag(value: object) -> bool:
    text = single(value, "yes or no")
    if text.casefold() not in _FLAGS:
        fail(f"is neither yes nor no ('{text}')", "yes or no")
    return _FLAGS[text.casefold()]


_YES_NO = WithJsonSchema({"enum": ["yes", "no", "on", "off", True, False], UNIT: "yes or no"})
Flag = Annotated[bool, BeforeValidator(_flag), _YES_NO]


def _words(value: object) -> str:
    text = single(value, "a text")
    if not text.strip():
        fail("is empty", "a text")
    if not text.isprintable():
        fail("has a character that can't be seen", "letters, digits and signs on one line")
    return text


# What YAML 1.2 makes of an unquoted text may be a number or a boolean; here it stays the text.
_TEXT: dict[str, Any] = {"type": ["string", "number", "boolean"], UNIT: "text"}
Words = Annotated[str, BeforeValidator(_words), WithJsonSchema(_TEXT)]


IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@/-]*")


def _identifier(value: object) -> str:
    text = single(value, "a name")
    if not IDENTIFIER.fullmatch(text):
        fail(f"can't be a name ('{text}')", "letters, digits, - and _")
    return text


Identifier = Annotated[str, BeforeValidator(_identifier), WithJsonSchema({**_TEXT, UNIT: "name"})]


def choice(options: type[StrEnum]) -> BeforeValidator:
    """Return the validator of a value that is one word of a fixed list."""

    def convert(value: object) -> StrEnum:
        text = single(value, one_of(options))
        if text not in list(options):
            fail(f"can't be '{text}'", one_of(options), did_you_mean(text, options))
        return options(text)

    return BeforeValidator(convert)


def is_newer(text: str, version: str) -> bool:
    """Whether a schema is a later version of the kind of one that we know: `site/v2` of `site/v1`."""
    kind, _, number = version.rpartition("v")
    later = text.removeprefix(f"{kind}v")
    return text.startswith(f"{kind}v") and later.isdecimal() and int(later) > int(number)


def from_the_future(text: str, version: str) -> Complaint:
    """Return what is wrong with a file of a later program's schema."""
    message = f"is '{text}', from a later bess than this one"
    return Complaint(
        message, f"{version}: this is bess {__version__}, and the newest form that it knows", "update bess"
    )


def schema_is(version: str) -> BeforeValidator:
    """Return the validator of the `schema` key of a file."""

    def convert(value: object) -> str:
        text = single(value, f"schema: {version}")
        if is_newer(text, version):
            fail_with(from_the_future(text, version))
        if text != version:
            fail(f"is '{text}'", version, f"write 'schema: {version}'")
        return text

    return BeforeValidator(convert, json_schema_input_type=Literal[version])


def as_list(value: object) -> object:
    """Let a single value stand for a list of one."""
    return [value] if isinstance(value, str) else value


def one_or_list(item: Any) -> BeforeValidator:  # noqa: ANN401 - a type
    """Return the validator of a list that may be written as its only entry; `item` is the type of an entry."""
    return BeforeValidator(as_list, json_schema_input_type=list[item] | item)


ListOfWords = Annotated[list[Words], one_or_list(Words)]


_ZONE_OF = {
    "munich": "Europe/Berlin", "hamburg": "Europe/Berlin", "frankfurt": "Europe/Berlin", "cologne": "Europe/Berlin",
    "geneva": "Europe/Zurich", "milan": "Europe/Rome", "barcelona": "Europe/Madrid", "lyon": "Europe/Paris",
    "edinburgh": "Europe/London", "manchester": "Europe/London", "rotterdam": "Europe/Amsterdam",
    "gothenburg": "Europe/Stockholm", "beijing": "Asia/Shanghai", "shenzhen": "Asia/Shanghai",
    "mumbai": "Asia/Kolkata", "delhi": "Asia/Kolkata", "osaka": "Asia/Tokyo", "abu dhabi": "Asia/Dubai",
    "san francisco": "America/Los_Angeles", "seattle": "America/Los_Angeles", "houston": "America/Chicago",
    "dallas": "America/Chicago", "austin": "America/Chicago", "miami": "America/New_York",
    "boston": "America/New_York", "montreal": "America/Toronto", "canberra": "Australia/Sydney",
    "cape town": "Africa/Johannesburg",
}  # fmt: skip
"""Cities that people name, and that are no names of the time zone database."""
_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])\s*([0-9]{1,2})(?::?00)?", re.IGNORECASE)


def zone_hint(text: str) -> str:
    """Return which time zone an unknown name most likely means, "" if none is near."""
    known = zoneinfo.available_timezones()
    offset = _OFFSET.fullmatch(text.strip())
    fixed = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{int(offset[2])}" if offset else ""
    if offset and fixed in known:
        return f"a region's name keeps summer time, such as Europe/Berlin; {text} all year round is '{fixed}'"
    city = text.rpartition("/")[2].strip().replace("_", " ").casefold()
    of_city = [name for name in sorted(known) if name.rpartition("/")[2].replace("_", " ").casefold() == city]
    meant = _ZONE_OF.get(city) or next((name for name in of_city if "/" in name), "")
    return f"did you mean '{meant}'?" if meant else did_you_mean(text, known)


def _timezone(value: object) -> str:
    text = single(value, "a time zone such as Europe/Helsinki")
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        fail(f"is no known time zone ('{text}')", "a name such as Europe/Helsinki", zone_hint(text))
    return text


TimeZone = Annotated[str, BeforeValidator(_timezone), WithJsonSchema({"type": "string", UNIT: "time zone"})]


def _date(value: object) -> dt.date:
    text = single(value, "a date such as 2026-12-31")
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        fail(f"is not a date ('{text}')", "a date such as 2026-12-31")


_DAY = WithJsonSchema({"type": "string", "format": "date", UNIT: "date"})
Date = Annotated[dt.date, BeforeValidator(_date), _DAY]


def shorthand(key: str, group: Any, alone: Any) -> BeforeValidator:  # noqa: ANN401 - types
    """Return the validator by which a single value (of type `alone`) stands for a group of keys with only `key`."""

    def convert(value: object) -> object:
        return {key: value} if isinstance(value, str) else value

    return BeforeValidator(convert, json_schema_input_type=group | alone)
