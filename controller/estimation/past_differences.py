"""The cells' differences to their rack at earlier times, and what today's are compared with.

A cell's difference depends on where its rack stands: tables, slopes and capacities are each a little off, and show at
other SOCs as other differences. So a day is compared with the same hour of the day before, and whether a fall came
steadily is asked of the same hours too: by how much the cell had fallen within a day when that day ended some hours
ago. Over several days means of whole days are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]
Snapshot = NDArray[np.float16]

DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000
SNAPSHOT_NS = 3 * HOUR_NS
MEAN_NS = DAY_NS + 2 * SNAPSHOT_NS
FINE_NS = DAY_NS + 5 * SNAPSHOT_NS
"""A day, and as far before it as a fall's beginning is asked for."""
LAGS_DAYS = (6.0, 4.0, 2.0)
OLDEST_NS = 7 * DAY_NS
BETWEEN_NS = 9 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Past:
    """SOC and resistance differences [rack, cell] at earlier times, the oldest first; NaN where not known."""

    soc: tuple[Snapshot, ...] = ()
    resistance: tuple[Snapshot, ...] = ()
    at_ns: tuple[int, ...] = ()

    def with_one(self, soc: Cells, resistance: Cells, at_ns: int, lasts_ns: int) -> Past:
        """Return the past with a snapshot more, without those older than it lasts."""
        keep = sum(at_ns - old_ns > lasts_ns for old_ns in self.at_ns)
        return Past(
            (*self.soc[keep:], soc.astype(np.float16)),
            (*self.resistance[keep:], resistance.astype(np.float16)),
            (*self.at_ns[keep:], at_ns),
        )

    def as_if_bled(self, bled: Cells) -> Past:
        """Return the past with the SOCs [rack, cell] that would have been, had a balancer taken this charge before."""
        return replace(self, soc=tuple((old - bled).astype(np.float16) for old in self.soc))

    def mean(self) -> tuple[Cells, Cells, int]:
        """Return the mean of the last day's snapshots and of their times."""
        first = sum(self.at_ns[-1] - at_ns > MEAN_NS for at_ns in self.at_ns)
        count = len(self.at_ns) - first
        soc, resistance = (
            np.add.reduce(part[first:], dtype=np.float32) / np.float32(count) for part in (self.soc, self.resistance)
        )
        return soc, resistance, sum(self.at_ns[first:]) // count


@dataclass(frozen=True, slots=True)
class Change:
    """What has changed in some days [rack, cell]: SOC lost, how much of that by about half the time, resistance grown.

    `soc_then` are the differences of SOC at the beginning.
    """

    duration_s: float
    lost_ratio: Floats
    lost_early_ratio: Floats
    grown_ratio: Floats
    soc_then: Floats


def with_snapshot(hours: Past, days: Past, soc: Cells, resistance: Cells, now_ns: int) -> tuple[Past, Past]:
    """Return both pasts with what is now, where it is time: each few hours, and the mean of each day before that."""
    hours = hours.with_one(soc, resistance, now_ns, FINE_NS)
    full = now_ns - hours.at_ns[0] >= DAY_NS
    if full and (not days.at_ns or now_ns - days.at_ns[-1] >= DAY_NS + DAY_NS // 2):
        days = days.with_one(*hours.mean(), OLDEST_NS)
    return hours, days


def is_due(hours: Past, now_ns: int) -> bool:
    """Whether it is time for the next snapshot."""
    return not hours.at_ns or now_ns - hours.at_ns[-1] >= SNAPSHOT_NS


def changes(hours: Past, days: Past, soc: Floats, resistance: Floats, now_ns: int) -> Iterator[Change]:
    """Yield what has changed until now, the longest time first."""
    if hours.at_ns:
        yield from _over_days(hours, days)
    back = _youngest(hours, now_ns - DAY_NS)
    if back is None:
        return
    half = _nearest(hours, now_ns - BETWEEN_NS)
    before = _youngest(hours, hours.at_ns[half] - DAY_NS)
    if before is None:
        return
    then, then_ohm = _at(hours, back)
    yield Change(
        duration_s=(now_ns - hours.at_ns[back]) * 1e-9,
        lost_ratio=then - soc,
        lost_early_ratio=_at(hours, before)[0] - _at(hours, half)[0],
        grown_ratio=(resistance - then_ohm) / (1.0 + then_ohm),
        soc_then=then,
    )


def _over_days(hours: Past, days: Past) -> Iterator[Change]:
    soc, ohm, day_ns = hours.mean()
    for lag in LAGS_DAYS:
        back = _youngest(days, day_ns - int(lag * DAY_NS))
        if back is None:
            continue
        then, then_ohm = _at(days, back)
        half_ns = day_ns - (day_ns - days.at_ns[back]) // 2
        yield Change(
            duration_s=(day_ns - days.at_ns[back]) * 1e-9,
            lost_ratio=then - soc,
            lost_early_ratio=then - _at(days, _nearest(days, half_ns))[0],
            grown_ratio=(ohm - then_ohm) / (1.0 + then_ohm),
            soc_then=then,
        )


def _nearest(past: Past, at_ns: int) -> int:
    return min(range(len(past.at_ns)), key=lambda k: abs(past.at_ns[k] - at_ns))


def _at(past: Past, back: int) -> tuple[Floats, Floats]:
    return past.soc[back].astype(np.float64), past.resistance[back].astype(np.float64)


def _youngest(past: Past, then_ns: int) -> int | None:
    """Return the youngest snapshot that is at least that old."""
    old = [k for k, at_ns in enumerate(past.at_ns) if at_ns <= then_ns]
    return old[-1] if old else None
