"""Resistance of each rack's mean cell from steps of its current: what the voltage did over what the cell type says.

The rack filter holds the resistance as an error that it has to allow for, drawn to the cell type's: of a growth by
40 % it believes half. A step of the current is a measurement of its own. It counts where the current stood still on
both sides, so a voltage read a sample later than its current does no harm. The cell type's table at the present
temperature and SOC is the measure, so what comes out is the growth itself, whatever the weather; its series resistance
and its pairs count as far as they act within the step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.capacity import NORMAL_95, drop_of
from controller.estimation.cell_tables import OCV, look_up

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LOOKS_BACK = 3
TIME, VOLTAGE, DRAWN, CURRENT = range(4)
STEP_PER_H = 0.1
"""The least step of current, over the capacity."""
STANDS_STILL = 0.1
"""What the current may move before and after, of its step."""
LONGEST_S = 35.0
FLAT_V = 1.0
"""OCV slope, V per unit of SOC, beyond which a step of the voltage is not the current's alone."""
POSSIBLE = 0.3, 5.0
"""What lies outside is no resistance: a voltage or a current that came late."""
STEPS_KEPT = 300.0
STEPS_NEEDED = 10.0
LASTING_SHARE = 0.04
"""1-sigma of the table itself, between its temperatures and SOCs."""
PER_K = 0.025
"""How much a resistance changes with a kelvin: what a wrong temperature is worth."""
AGED_SIGMA = 0.3
"""1-sigma of a resistance that no step has measured yet: a rack may be anything from new to worn."""


@dataclass(frozen=True, slots=True)
class StepSums:
    """Weighted sums over steps [rack], expected x and seen y in volts; the last samples [rack, sample, column]."""

    past: Floats
    xx: Floats
    xy: Floats
    yy: Floats
    xxxx: Floats


@dataclass(frozen=True, slots=True)
class StepSample:
    """A voltage with its current, per rack [rack]: `use` false: nothing new. `curves` and SOC are where it stands."""

    time_s: Floats
    voltage_v: Floats
    current_a: Floats
    pair_current_a: Floats
    drawn_ratio: Floats
    curves: Floats
    soc_ratio: Floats
    capacity_ah: Floats
    use: Mask


@dataclass(frozen=True, slots=True)
class StatedResistance:
    """Resistance over the cell type's [rack] with 95 % bounds, 0 < low <= ratio <= high; whether steps measured it."""

    ratio: Floats
    low_ratio: Floats
    high_ratio: Floats
    measured: Mask


def no_steps(racks: int, pairs: int) -> StepSums:
    """Return sums over no step."""
    zeros = np.zeros(racks)
    return StepSums(np.full((racks, LOOKS_BACK, CURRENT + 1 + pairs), np.nan), zeros, zeros, zeros, zeros)


def with_sample(was: StepSums, seen: StepSample) -> StepSums:
    """Return the sums with a step in where this sample ends one."""
    columns = (seen.time_s, seen.voltage_v, seen.drawn_ratio, seen.current_a)
    now = np.concatenate((np.stack(columns, axis=1), seen.pair_current_a), axis=1)
    ends = _ends_a_step(was.past, seen)
    sums = _with_step(was, seen, now, ends) if ends.any() else was
    pushed = np.concatenate((was.past[:, 1:], now[:, None]), axis=1)
    return replace(sums, past=pushed if seen.use.all() else np.where(seen.use[:, None, None], pushed, was.past))


def _ends_a_step(past: Floats, seen: StepSample) -> Mask:
    """Whether the current stood still, stepped, and stands still again."""
    first_a, second_a, third_a = (past[:, k, CURRENT] for k in range(LOOKS_BACK))
    step_a = np.abs(seen.current_a - first_a)
    still_a = STANDS_STILL * step_a
    ends = seen.use & (step_a > STEP_PER_H * seen.capacity_ah)
    if not ends.any():
        return np.asarray(ends)
    ends &= (np.abs(second_a - first_a) < still_a) & (np.abs(seen.current_a - third_a) < still_a)
    return np.asarray(ends & (seen.time_s - past[:, 0, TIME] <= LONGEST_S))


def _with_step(was: StepSums, seen: StepSample, now: Floats, ends: Mask) -> StepSums:
    then = np.where(ends[:, None], was.past[:, 0], now)
    at = seen.soc_ratio[:, None]
    slope = (look_up(seen.curves[:, OCV], at + 0.01) - look_up(seen.curves[:, OCV], at - 0.01))[:, 0] / 0.02
    # the step came somewhere between two samples: the pairs have had half an interval less than was counted
    after_pairs = np.where(ends[:, None], 0.5 * (now + was.past[:, -1]), now)[:, CURRENT + 1 :]
    after_v = drop_of(seen.curves, seen.soc_ratio, now[:, CURRENT], after_pairs)
    before_v = drop_of(seen.curves, seen.soc_ratio, then[:, CURRENT], then[:, CURRENT + 1 :])
    x = after_v - before_v
    y = then[:, VOLTAGE] - now[:, VOLTAGE] - slope * (now[:, DRAWN] - then[:, DRAWN])
    ratio = y / np.where(x == 0.0, np.inf, x)
    counts = ends & (slope < FLAT_V) & (ratio > POSSIBLE[0]) & (ratio < POSSIBLE[1])
    x, y = np.where(counts, x, 0.0), np.where(counts, y, 0.0)
    keep = np.where(counts, 1.0 - 1.0 / STEPS_KEPT, 1.0)
    return replace(
        was,
        xx=keep * was.xx + x * x,
        xy=keep * was.xy + x * y,
        yy=keep * was.yy + y * y,
        xxxx=keep**2 * was.xxxx + x**4,
    )


def stated_resistance(
    sums: StepSums, filtered_ratio: Floats, temperature_bias_k: Floats, current_gain_ratio: Floats
) -> StatedResistance:
    """Return the resistance as it is shown: by steps once there are enough, else the filter's with wide bounds.

    Neither it nor its bounds leave what is possible at all.
    A few large steps are not many (Kish 1965). A resistance is a size, so its error is a factor.
    """
    steps = sums.xx**2 / np.maximum(sums.xxxx, 1e-300)
    measured = steps >= STEPS_NEEDED
    xx = np.where(measured, sums.xx, 1.0)
    by_steps = np.clip(np.where(measured, sums.xy / xx, 1.0), *POSSIBLE)
    scatter = np.sqrt(np.maximum(sums.yy / xx - by_steps**2, 0.0) / np.maximum(steps, 1.0))
    known_to = np.sqrt(
        (scatter / by_steps) ** 2 + LASTING_SHARE**2 + (PER_K * temperature_bias_k) ** 2 + current_gain_ratio**2
    )
    ratio = np.clip(np.where(measured, by_steps, filtered_ratio), *POSSIBLE)
    factor = np.exp(NORMAL_95 * np.where(measured, known_to, AGED_SIGMA))
    low, high = POSSIBLE
    return StatedResistance(ratio, np.maximum(ratio / factor, low), np.minimum(ratio * factor, high), measured)
