"""What the plant does at which hour: the entries of a schedule, and what they say at a moment, over clock changes too.

Times of day are the site's own local time. A time that a clock change skips is the moment of the jump; one that comes
twice is its first coming. So entries that touch on other days touch on these days as well, and the day's real length
(23 or 25 hours) falls to the entry during which the clock is changed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

MINUTES_A_DAY = 1440
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SECOND = dt.timedelta(seconds=1)


class ScheduleMode(StrEnum):
    """What an entry asks for."""

    POWER = "power"
    CHARGE_TO = "charge_to"
    DISCHARGE_TO = "discharge_to"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class ScheduledAction:
    """A set-point, and the state of charge at which it ends (None: the operating window's)."""

    mode: ScheduleMode
    power_w: float = 0.0
    reactive_var: float = 0.0
    soc_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One line of the schedule. `days`: 0 = Monday; minutes are counted from local midnight of the day it begins on.

    An `end_min` at or before `start_min` lies on the next day.
    """

    name: str
    days: frozenset[int]
    start_min: int
    end_min: int
    action: ScheduledAction


@dataclass(frozen=True, slots=True)
class Span:
    """One occurrence of an entry, from `start` (inclusive) to `end` (exclusive), both in UTC."""

    entry: ScheduleEntry
    start: dt.datetime
    end: dt.datetime


def entry_at(entries: Sequence[ScheduleEntry], zone: dt.tzinfo, moment: dt.datetime) -> ScheduleEntry | None:
    """Return the entry that holds at a moment (with a time zone), None if none does; the first of those written."""
    day = moment.astimezone(zone).date()
    for entry in entries:
        for start_day in (day - dt.timedelta(days=1), day):
            span = span_on(entry, zone, start_day)
            if span is not None and span.start <= moment < span.end:
                return entry
    return None


def spans(entries: Sequence[ScheduleEntry], zone: dt.tzinfo, first: dt.date, days: int) -> Iterator[Span]:
    """Yield every occurrence that begins on one of so many days; those that a clock change leaves nothing of too."""
    for offset in range(days):
        for entry in entries:
            span = span_on(entry, zone, first + dt.timedelta(days=offset))
            if span is not None:
                yield span


def span_on(entry: ScheduleEntry, zone: dt.tzinfo, day: dt.date) -> Span | None:
    """Return the occurrence that begins on a day, None if the entry does not hold on that weekday."""
    if day.weekday() not in entry.days:
        return None
    next_day = MINUTES_A_DAY if entry.end_min <= entry.start_min else 0
    return Span(entry, moment_of(zone, day, entry.start_min), moment_of(zone, day, entry.end_min + next_day))


def moment_of(zone: dt.tzinfo, day: dt.date, minute: int) -> dt.datetime:
    """Return the moment (UTC) of a local time, counted in minutes from a day's midnight as the clock on the wall shows.

    A skipped time is the moment of the jump, a repeated one its first coming (PEP 495, fold 0).
    """
    wall = dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=minute)
    utc = _as_utc(wall, zone)
    if utc.astimezone(zone).replace(tzinfo=None) == wall:
        return utc
    return _jump_between(_as_utc(wall.replace(fold=1), zone), utc, zone)


def _as_utc(wall: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    return wall.replace(tzinfo=zone).astimezone(dt.UTC)


def _jump_between(before: dt.datetime, after: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return the first second after the clock was changed."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + dt.timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


def clock_changes(zone: dt.tzinfo, first: dt.date, days: int) -> list[dt.date]:
    """Return the days, of so many from `first` on, on which the site's clock is changed."""
    found = []
    for offset in range(days):
        day = first + dt.timedelta(days=offset)
        if moment_of(zone, day, MINUTES_A_DAY) - moment_of(zone, day, 0) != dt.timedelta(days=1):
            found.append(day)
    return found
