"""Remaining useful life of each rack: an interval from its own fade, or nothing until that has been earned.

A reading of the capacity is kept each month in which swings were seen. A straight line through them is the fade, its
slope as uncertain as the readings are. It is believed once readings span a year (all seasons: a capacity read in the
cold must not look like fade) and the slope differs from none by more than its own 95 % uncertainty. Before that there
is no number ("insufficient data").

The interval joins three doubts: today's capacity, the slope, and the law of the fade. At worst the cells pass a knee
today and then fade `AFTER_KNEE` times as fast; at best the fade follows the square root of time, begun with the fade
that was seen. The limit is the cell type's end of life over its nameplate.
Sources: Attia et al. 2022 (knees in battery ageing trajectories); the square root of time for the growth of SEI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation import rack_records
from controller.estimation.capacity import PAIRS

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

YEAR_S = 365.25 * 86400.0
YEAR_DAYS = 365.25
READING_S = 30.0 * 86400.0
LEAST_YEARS = 1.0
LEAST_READINGS = 6.0
AFTER_KNEE = 2.0
NORMAL_95 = 1.959964
FORMAT = 1


class LifeHistoryError(ValueError):
    """A saved history that can't be read, or of another format."""


@dataclass(frozen=True, slots=True)
class LifeHistory:
    """Monthly readings of the capacity, summed up, per rack [rack]; all at least zero.

    `years` since the first reading, `waited_s` since the last one, `pairs` of anchors seen by then. The sums are over
    readings: their weights, those times year, year squared, capacity over nameplate, year times that, and variance. A
    reading weighs as much as it has new swings in it.
    """

    years: Floats
    waited_s: Floats
    pairs: Floats
    weight: Floats
    year: Floats
    year2: Floats
    ratio: Floats
    year_ratio: Floats
    variance: Floats


@dataclass(frozen=True, slots=True)
class RemainingLife:
    """95 % interval of the days to the end of life, per rack [rack]; NaN in both where that is not earned yet."""

    low_days: Floats
    high_days: Floats

    @property
    def earned(self) -> Mask:
        """Which racks have one."""
        return np.isfinite(self.low_days)


def initial_life(racks: int) -> LifeHistory:
    """Return a history without readings; the first one is taken as soon as there is one."""
    zero = np.zeros(racks)
    return LifeHistory(zero, np.full(racks, READING_S), zero, zero, zero, zero, zero, zero, zero)


def follow_life(
    was: LifeHistory, ratio: Floats, sigma_ratio: Floats, pairs: NDArray[np.int64], elapsed_s: float
) -> LifeHistory:
    """Return the history after some time: with a reading where a month has passed and swings were seen meanwhile."""
    begun = was.weight > 0.0
    was = replace(
        was, years=np.where(begun, was.years + elapsed_s / YEAR_S, 0.0), waited_s=was.waited_s + max(elapsed_s, 0.0)
    )
    fresh = np.where(pairs >= was.pairs, pairs - was.pairs, pairs)  # the estimator may have started anew
    due = (was.waited_s >= READING_S) & (fresh > 0) & np.isfinite(ratio) & np.isfinite(sigma_ratio)
    if not due.any():
        return was
    weight = np.where(due, np.minimum(fresh / PAIRS, 1.0), 0.0)
    value, variance = np.where(due, ratio, 0.0), np.where(due, sigma_ratio**2, 0.0)
    return LifeHistory(
        years=was.years,
        waited_s=np.where(due, 0.0, was.waited_s),
        pairs=np.where(due, pairs, was.pairs),
        weight=was.weight + weight,
        year=was.year + weight * was.years,
        year2=was.year2 + weight * was.years**2,
        ratio=was.ratio + weight * value,
        year_ratio=was.year_ratio + weight * was.years * value,
        variance=was.variance + weight * variance,
    )


def remaining_life(was: LifeHistory, ratio: Floats, sigma_ratio: Floats, end_of_life_ratio: Floats) -> RemainingLife:
    """Return the interval to the end of life from today's capacity over nameplate [rack], +- 1 sigma."""
    weight = np.maximum(was.weight, 1e-9)
    spread = np.maximum(was.year2 - was.year**2 / weight, 1e-9)
    rate = -(was.year_ratio - was.year * was.ratio / weight) / spread
    doubt = NORMAL_95 * np.sqrt(was.variance / weight / spread)
    earned = (was.weight >= LEAST_READINGS) & (was.years >= LEAST_YEARS) & (rate > doubt)
    slow, fast = np.where(earned, rate - doubt, 1.0), np.where(earned, rate + doubt, 1.0)
    room, open_ratio = ratio - end_of_life_ratio, NORMAL_95 * sigma_ratio
    least, most = np.maximum(room - open_ratio, 0.0), np.maximum(room + open_ratio, 0.0)
    faded = np.maximum(slow * was.years, 1e-9)
    low, high = least / (AFTER_KNEE * fast), was.years * ((1.0 + most / faded) ** 2 - 1.0)
    return RemainingLife(
        np.where(earned, YEAR_DAYS * low, np.nan), np.where(earned, YEAR_DAYS * np.maximum(high, low), np.nan)
    )


def to_bytes(history: LifeHistory, racks: Sequence[str]) -> bytes:
    """Return the histories of the named racks as bytes."""
    return rack_records.to_bytes(history, racks, FORMAT)


def from_bytes(data: bytes, racks: Sequence[str], away_s: float) -> LifeHistory:
    """Return the histories of these racks, `away_s` seconds older; LifeHistoryError if the bytes can't be used."""
    try:
        history, _ = rack_records.from_bytes(data, racks, initial_life(len(racks)), FORMAT)
    except ValueError as error:
        raise LifeHistoryError(f"history of capacities: {error}") from error
    none = np.full(len(racks), np.nan)
    return follow_life(history, none, none, np.zeros(len(racks), dtype=np.int64), max(away_s, 0.0))
