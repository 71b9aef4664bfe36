"""Quantities with units: `3.65 V`, `20 MW/min`, `0.5 mohm`, `25 degC`, `5 %` -> base-unit numbers.

Every quantity is written with its unit; a bare number is an error, and so is a unit of another dimension.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from controller.plant.messages import Complaint, nearest


class Dimension(StrEnum):
    """What a quantity is, in the words of messages; the article comes with the word."""

    VOLTAGE = "a voltage"
    CURRENT = "a current"
    POWER = "a power"
    REACTIVE_POWER = "a reactive power"
    APPARENT_POWER = "an apparent power"
    ENERGY = "an energy"
    CHARGE = "a charge"
    TEMPERATURE = "a temperature"
    TEMPERATURE_DIFFERENCE = "a temperature difference"
    TEMPERATURE_RATE = "a temperature rate"
    RATIO = "a ratio"
    RESISTANCE = "a resistance"
    FREQUENCY = "a frequency"
    TIME = "a time"
    POWER_RAMP = "a power ramp"
    REACTIVE_RAMP = "a reactive power ramp"
    VOLTAGE_PER_KELVIN = "a voltage per kelvin"
    HEAT_CAPACITY = "a heat capacity"
    THERMAL_RESISTANCE = "a thermal resistance"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: base value = number * factor + offset."""

    name: str
    dimension: Dimension
    factor: float
    offset: float = 0.0


_PREFIXED: dict[str, tuple[Dimension, dict[str, float]]] = {
    "V": (Dimension.VOLTAGE, {"u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}),
    "A": (Dimension.CURRENT, {"m": 1e-3, "": 1.0, "k": 1e3}),
    "W": (Dimension.POWER, {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}),
    "var": (Dimension.REACTIVE_POWER, {"": 1.0, "k": 1e3, "M": 1e6}),
    "VAr": (Dimension.REACTIVE_POWER, {"": 1.0, "k": 1e3, "M": 1e6}),
    "VA": (Dimension.APPARENT_POWER, {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}),
    "Wh": (Dimension.ENERGY, {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}),
    "Ah": (Dimension.CHARGE, {"m": 1e-3, "": 1.0, "k": 1e3}),
    "ohm": (Dimension.RESISTANCE, {"u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6}),
    "Hz": (Dimension.FREQUENCY, {"m": 1e-3, "": 1.0}),
    "s": (Dimension.TIME, {"u": 1e-6, "m": 1e-3, "": 1.0}),
}
_SINGLE = (
    Unit("degC", Dimension.TEMPERATURE, 1.0),
    Unit("K", Dimension.TEMPERATURE_DIFFERENCE, 1.0),
    Unit("degF", Dimension.TEMPERATURE, 5.0 / 9.0, -160.0 / 9.0),
    Unit("K/min", Dimension.TEMPERATURE_RATE, 1.0),
    Unit("degC/min", Dimension.TEMPERATURE_RATE, 1.0),
    Unit("K/s", Dimension.TEMPERATURE_RATE, 60.0),
    Unit("%", Dimension.RATIO, 0.01),
    Unit("pu", Dimension.RATIO, 1.0),
    Unit("min", Dimension.TIME, 60.0),
    Unit("h", Dimension.TIME, 3600.0),
    Unit("d", Dimension.TIME, 86400.0),
    Unit("V/K", Dimension.VOLTAGE_PER_KELVIN, 1.0),
    Unit("mV/K", Dimension.VOLTAGE_PER_KELVIN, 1e-3),
    Unit("J/K", Dimension.HEAT_CAPACITY, 1.0),
    Unit("kJ/K", Dimension.HEAT_CAPACITY, 1e3),
    Unit("K/W", Dimension.THERMAL_RESISTANCE, 1.0),
)
_PER = {"s": 1.0, "min": 1.0 / 60.0, "h": 1.0 / 3600.0}


def _all_units() -> dict[str, Unit]:
    units = {u.name: u for u in _SINGLE}
    for symbol, (dimension, prefixes) in _PREFIXED.items():
        units.update({p + symbol: Unit(p + symbol, dimension, f) for p, f in prefixes.items()})
    ramps = {Dimension.POWER: Dimension.POWER_RAMP, Dimension.REACTIVE_POWER: Dimension.REACTIVE_RAMP}
    for unit in list(units.values()):
        if unit.dimension in ramps:
            for per, factor in _PER.items():
                name = f"{unit.name}/{per}"
                units[name] = Unit(name, ramps[unit.dimension], unit.factor * factor)
    return units


UNITS: dict[str, Unit] = _all_units()
"""Every unit by its spelling. Ratio: `5 %` = 0.05, `1.02 pu` = 1.02. A temperature rate is in K/min."""

EXAMPLES: dict[Dimension, str] = {
    Dimension.VOLTAGE: "3.65 V",
    Dimension.CURRENT: "140 A",
    Dimension.POWER: "20 MW",
    Dimension.REACTIVE_POWER: "5 Mvar",
    Dimension.APPARENT_POWER: "22 MVA",
    Dimension.ENERGY: "40 MWh",
    Dimension.CHARGE: "280 Ah",
    Dimension.TEMPERATURE: "25 degC",
    Dimension.TEMPERATURE_DIFFERENCE: "10 K",
    Dimension.TEMPERATURE_RATE: "1 K/min",
    Dimension.RATIO: "5 %",
    Dimension.RESISTANCE: "0.5 mohm",
    Dimension.FREQUENCY: "50 Hz",
    Dimension.TIME: "300 ms",
    Dimension.POWER_RAMP: "20 MW/min",
    Dimension.REACTIVE_RAMP: "5 Mvar/min",
    Dimension.VOLTAGE_PER_KELVIN: "0.3 mV/K",
    Dimension.HEAT_CAPACITY: "4300 J/K",
    Dimension.THERMAL_RESISTANCE: "0.8 K/W",
}
_USUAL: dict[Dimension, tuple[str, ...]] = {
    Dimension.TIME: ("ms", "s", "min", "h", "d"),
    Dimension.RATIO: ("%",),
    Dimension.VOLTAGE: ("mV", "V", "kV"),
    Dimension.POWER: ("W", "kW", "MW"),
    Dimension.POWER_RAMP: ("kW/s", "MW/s", "MW/min"),
    Dimension.REACTIVE_POWER: ("var", "kvar", "Mvar"),
    Dimension.REACTIVE_RAMP: ("kvar/s", "Mvar/s", "Mvar/min"),
    Dimension.APPARENT_POWER: ("kVA", "MVA"),
    Dimension.ENERGY: ("Wh", "kWh", "MWh"),
    Dimension.RESISTANCE: ("mohm", "ohm", "kohm"),
    Dimension.TEMPERATURE: ("degC",),
}
# A difference is written in K, yet people write degC; both read as the same number.
_ALSO_READ_AS: dict[tuple[Dimension, Dimension], None] = {
    (Dimension.TEMPERATURE, Dimension.TEMPERATURE_DIFFERENCE): None,
}
_QUANTITY = re.compile(r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*(.*?)\s*", re.DOTALL)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*\S*\s*")


def example_of(dimension: Dimension) -> str:
    """Return the expectation: `a power, such as 20 MW`."""
    return f"{dimension}, such as {EXAMPLES[dimension]}"


def parse_quantity(text: str, dimension: Dimension) -> float | Complaint:
    """Return the quantity in base units, or what is wrong with it (to be put behind the name of its key)."""
    matched = _QUANTITY.fullmatch(text)
    if matched is None or _DECIMAL_COMMA.fullmatch(text):
        return _not_a_number(text, dimension)
    number, unit_text = float(matched[1]), matched[2]
    if not unit_text:
        return _no_unit(matched[1], dimension)
    unit = UNITS.get(unit_text)
    if unit is None:
        return _unknown_unit(matched[1], unit_text, dimension)
    if unit.dimension is not dimension and (unit.dimension, dimension) not in _ALSO_READ_AS:
        return _wrong_dimension(text, matched[1], unit, dimension)
    value = number * unit.factor + (unit.offset if unit.dimension is Dimension.TEMPERATURE else 0.0)
    if not math.isfinite(value):
        return Complaint(f"is too large a number ({text})", example_of(dimension))
    return value


def parse_unit(text: str) -> Unit | Complaint:
    """Return the unit, or what is wrong with it."""
    unit = UNITS.get(text)
    if unit is not None:
        return unit
    near = nearest(text, UNITS)
    hint = f"did you mean '{near}'?" if near else ""
    return Complaint(f"is no known unit ('{text}')", "a unit such as V, mV, A, kW, degC, %", hint)


def _not_a_number(text: str, dimension: Dimension) -> Complaint:
    if not text.strip():
        return Complaint("is empty", example_of(dimension))
    if _DECIMAL_COMMA.fullmatch(text):
        hint = f"write a point, not a comma: '{text.strip().replace(',', '.')}'"
        return Complaint(f"is not a number with a unit ('{text}')", example_of(dimension), hint)
    return Complaint(f"is not a number with a unit ('{text}')", example_of(dimension), digits_hint(text))


def digits_hint(text: str) -> str:
    """Return how to mend digits of other scripts and widths, "" where there are none."""
    if all(c.isascii() for c in text if c.isdecimal()):
        return ""
    plain = "".join(str(unicodedata.digit(c)) if c.isdecimal() else unicodedata.normalize("NFKC", c) for c in text)
    return f"write the digits 0 to 9: '{plain}'"


def _no_unit(number: str, dimension: Dimension) -> Complaint:
    if dimension is Dimension.RATIO and 0.0 < abs(float(number)) <= 1.0:
        return Complaint("has no unit", example_of(dimension), f"write the unit: {100 * float(number):g} %")
    usual = _USUAL.get(dimension) or (EXAMPLES[dimension].split()[-1],)
    hint = "write the unit: " + ", ".join(f"{number} {unit}" for unit in usual)
    return Complaint("has no unit", example_of(dimension), hint)


_OTHER_SPELLINGS = {
    "m": "min", "mins": "min", "minute": "min", "minutes": "min", "sec": "s", "secs": "s", "second": "s",
    "seconds": "s", "msec": "ms", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
    "C": "degC", "°C": "degC", "F": "degF", "°F": "degF", "percent": "%", "Ω": "ohm", "mΩ": "mohm", "kΩ": "kohm",
    "µV": "uV", "µs": "us", "volt": "V", "volts": "V", "amp": "A", "amps": "A", "watt": "W", "watts": "W",
}  # fmt: skip
"""What people write for a unit, where the nearest of our spellings would be another one (`m` is no `ms`)."""


def _unknown_unit(number: str, unit_text: str, dimension: Dimension) -> Complaint:
    candidates = [u.name for u in UNITS.values() if u.dimension is dimension]
    meant = _OTHER_SPELLINGS.get(unit_text, "")
    near = (meant if meant in candidates else None) or nearest(unit_text, candidates) or nearest(unit_text, UNITS)
    hint = f"did you mean '{number} {near}'?" if near else ""
    return Complaint(f"has an unknown unit '{unit_text}'", example_of(dimension), hint)


def _wrong_dimension(text: str, number: str, unit: Unit, dimension: Dimension) -> Complaint:
    prefix = unit.name[0] if len(unit.name) > 1 and unit.name[0] in "mkMG" else ""
    same_prefix = [u.name for u in UNITS.values() if u.dimension is dimension and u.name.startswith(prefix)]
    near = nearest(unit.name, same_prefix)
    hint = f"did you mean '{number} {near}'?" if near else ""
    message = f"is {unit.dimension} ({text.strip()}), but {dimension} is required"
    return Complaint(message, f"such as {EXAMPLES[dimension]}", hint)
