"""What a schedule says at a moment, on ordinary days and on those on which the clock is changed."""

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plant.schedule import (
    MINUTES_A_DAY,
    ScheduledAction,
    ScheduleEntry,
    ScheduleMode,
    clock_changes,
    entry_at,
    moment_of,
    span_on,
    spans,
)

HELSINKI = zoneinfo.ZoneInfo("Europe/Helsinki")
ZONES = [
    "Europe/Helsinki", "America/Chicago", "Australia/Lord_Howe", "Asia/Tehran", "Africa/Casablanca", "Pacific/Apia",
    "America/St_Johns", "Asia/Kathmandu", "UTC",
]  # fmt: skip
SPRING, AUTUMN = dt.date(2026, 3, 29), dt.date(2026, 10, 25)  # Helsinki: 03:00 -> 04:00; 04:00 -> 03:00
DAILY = frozenset(range(7))


def entry(start: str, end: str, days: frozenset[int] = DAILY, name: str = "e") -> ScheduleEntry:
    return ScheduleEntry(name, days, minutes(start), minutes(end), ScheduledAction(ScheduleMode.IDLE))


def minutes(text: str) -> int:
    hours, _, rest = text.partition(":")
    return 60 * int(hours) + int(rest)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


def test_an_entry_holds_from_its_beginning_to_before_its_end():
    peak = entry("17:00", "20:00", frozenset({0}))
    assert entry_at([peak], HELSINKI, utc(2026, 1, 5, 15, 0)) is peak
    assert entry_at([peak], HELSINKI, utc(2026, 1, 5, 14, 59)) is None
    assert entry_at([peak], HELSINKI, utc(2026, 1, 5, 18, 0)) is None
    assert entry_at([peak], HELSINKI, utc(2026, 1, 6, 15, 0)) is None


def test_an_entry_over_midnight_belongs_to_the_day_it_begins_on():
    night = entry("23:30", "05:30", frozenset({4}))  # Friday
    assert entry_at([night], HELSINKI, utc(2026, 1, 9, 22, 0)) is night
    assert entry_at([night], HELSINKI, utc(2026, 1, 10, 3, 0)) is night
    assert entry_at([night], HELSINKI, utc(2026, 1, 10, 22, 0)) is None


def test_a_whole_day_is_as_long_as_the_day():
    whole = entry("00:00", "24:00")
    lengths = [span.end - span.start for day in (SPRING, AUTUMN) if (span := span_on(whole, HELSINKI, day))]
    assert lengths == [dt.timedelta(hours=23), dt.timedelta(hours=25)]


@pytest.mark.parametrize(
    ("start", "end", "day", "hours"),
    [
        ("01:00", "05:30", SPRING, 3.5),  # an hour is skipped inside
        ("01:00", "05:30", AUTUMN, 5.5),  # an hour comes twice inside
        ("03:30", "05:00", SPRING, 1.0),  # begins in the skipped hour: at the jump
        ("02:00", "03:30", SPRING, 1.0),  # ends in the skipped hour: at the jump
        ("03:15", "03:45", SPRING, 0.0),  # lies in the skipped hour: nothing is left
        ("03:15", "03:45", AUTUMN, 0.5),  # the first of the two
        ("03:30", "05:00", AUTUMN, 2.5),
        ("23:30", "05:30", SPRING - dt.timedelta(days=1), 5.0),
    ],
)
def test_clock_changes(start, end, day, hours):
    span = span_on(entry(start, end), HELSINKI, day)
    assert span is not None
    assert (span.end - span.start).total_seconds() / 3600 == hours


def test_the_days_of_clock_changes_are_found():
    assert clock_changes(HELSINKI, dt.date(2026, 1, 1), 365) == [SPRING, AUTUMN]
    assert clock_changes(dt.UTC, dt.date(2026, 1, 1), 365) == []


zones = st.sampled_from(ZONES).map(zoneinfo.ZoneInfo)
days = st.dates(dt.date(2020, 1, 1), dt.date(2036, 12, 31))
minute = st.integers(0, MINUTES_A_DAY)


@given(zones, days, minute, minute)
def test_moments_come_in_the_order_of_the_clock(zone, day, one, other):
    early, late = sorted((one, other))
    assert moment_of(zone, day, early) <= moment_of(zone, day, late)


@given(zones, days, st.lists(minute, min_size=1, max_size=4, unique=True))
def test_entries_that_touch_cover_every_day_without_gap_or_overlap(zone, day, cuts):
    edges = sorted({*cuts, 0, MINUTES_A_DAY})
    entries = [
        ScheduleEntry(str(k), DAILY, a, b, ScheduledAction(ScheduleMode.IDLE))
        for k, (a, b) in enumerate(itertools.pairwise(edges))
    ]
    found = list(spans(entries, zone, day, 3))
    assert all(one.end == other.start for one, other in itertools.pairwise(found))
    for offset in range(0, 72, 5):
        moment = found[0].start + dt.timedelta(hours=offset)
        holding = [span.entry for span in found if span.start <= moment < span.end]
        if moment < found[-1].end:
            assert [entry_at(entries, zone, moment)] == holding


@given(zones, days, minute)
def test_a_moment_reads_as_the_time_it_was_made_of_or_as_the_jump(zone, day, at):
    moment = moment_of(zone, day, at)
    wall = dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=at)
    seen = moment.astimezone(zone).replace(tzinfo=None)
    before = (moment - dt.timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
    assert seen == wall or before < wall < seen


@pytest.mark.parametrize(
    ("written", "hint"), [("mo-fr", "did you mean 'mon-fri'?"), ("mon-fr", "did you mean 'mon-fri'?")]
)
def test_days_are_suggested_in_words_that_are_known(changed, written, hint):
    entry = f'{{name: x, days: {written}, from: "17:00", to: "20:00", do: {{mode: idle}}}}'
    result = changed("scada:\n", f"schedule:\n  - {entry}\n\nscada:\n")
    assert [m.hint for m in result.errors if "can't be" in m.message] == [hint], result.text()
