"""A schedule's keys: entries of the site file, or of a file of their own (`schema: schedule/v1`)."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from controller.plant.messages import nearest, one_of
from controller.plant.schedule import MINUTES_A_DAY, WEEKDAYS, ScheduleMode
from controller.plant.schema.types import (
    UNIT,
    Power,
    Ratio,
    ReactivePower,
    Section,
    Words,
    choice,
    fail,
    schema_is,
    single,
    within,
)

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_GROUPS = {"daily": "mon-sun", "weekdays": "mon-fri", "weekend": "sat-sun"}
_DAYS_EXPECTED = "daily, mon-fri, sat-sun, or days such as [mon, wed, fri]"


def _minutes(value: object) -> int:
    expected = 'a time of day in quotes, such as "17:00"'
    text = single(value, expected)
    matched = _TIME.fullmatch(text)
    if matched is None:
        fail(f"is not a time of day ('{text}')", expected)
    minutes = 60 * int(matched[1]) + int(matched[2])
    if int(matched[2]) > 59 or minutes > MINUTES_A_DAY:
        fail(f"is not a time of day ('{text}')", 'from "00:00" to "24:00"')
    return minutes


TimeOfDay = Annotated[
    int,
    BeforeValidator(_minutes),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,2}:[0-5]\d$", UNIT: "time of day"}),
]


def _days(value: object) -> frozenset[int]:
    words = [single(word, _DAYS_EXPECTED) for word in value] if isinstance(value, list) else [single(value, "days")]
    return frozenset(day for word in words for day in _days_of(word))


def _days_of(word: str) -> list[int]:
    first, _, last = _GROUPS.get(word, word).partition("-")
    for name in (first, last or first):
        if name not in WEEKDAYS:
            known = [*WEEKDAYS, *_GROUPS]
            near = [nearest(end, known) if end not in WEEKDAYS else end for end in word.split("-")]
            hint = f"did you mean '{'-'.join(filter(None, near))}'?" if all(near) else one_of(known)
            fail(f"can't be '{word}'", _DAYS_EXPECTED, hint)
    start = WEEKDAYS.index(first)
    length = (WEEKDAYS.index(last or first) - start) % len(WEEKDAYS) + 1
    return [(start + k) % len(WEEKDAYS) for k in range(length)]


Days = Annotated[
    frozenset[int],
    BeforeValidator(_days),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], UNIT: "days"}),
]


class DoSection(Section):
    """What an entry asks for."""

    mode: Annotated[ScheduleMode, choice(ScheduleMode)]
    """What is asked for."""
    power: Annotated[Power, within("-10 GW", "10 GW")] | None = None
    """Set-point; + discharges, - charges."""
    reactive: Annotated[ReactivePower, within("-10000 Mvar", "10000 Mvar")] = 0.0
    """Reactive set-point; + injects."""
    soc: Annotated[Ratio, within("0 %", "100 %")] | None = None
    """Where charge_to and discharge_to lead."""
    stop_at_soc: Annotated[Ratio, within("0 %", "100 %")] | None = None
    """Where power ends early."""


class ScheduleSection(Section):
    """One entry: on which days, from when to when, what."""

    name: Words
    """For people and events."""
    days: Days = frozenset(range(len(WEEKDAYS)))
    """Daily, mon-fri, weekend, or a list."""
    from_: TimeOfDay = Field(alias="from")
    """Local time of day, in quotes."""
    to: TimeOfDay
    """Local time of day, in quotes; at or before from: on the next day."""
    do: DoSection
    """What is asked for."""


class ScheduleFile(Section):
    """A whole schedule file."""

    schema_: Annotated[str, schema_is("schedule/v1")] = Field(alias="schema")
    """What kind of file this is, and in which version."""
    schedule: list[ScheduleSection]
    """The entries."""
