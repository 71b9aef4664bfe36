"""Capacity of each rack from swings between anchors: charge counted over SOC moved, by weighted total least squares.

An anchor is a block whose voltage alone tells the SOC: a charge that tapered off at the full voltage, or a place where
the open-circuit voltage is steep (the low knee, the top). Each stay at such a place gives its best reading; two of
them at least 40 points apart give a pair of charge (in the sensor's own ampere-hours) and SOC, both uncertain. The
line through the pairs is capacity; what grows with time is the current offset, which down and up swings tell apart.
Sources: Plett 2011 (approximate weighted total least squares); the offset term and the exact sums are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import HALF_GAP, MODEL_ERROR, OCV, SERIES, invert, look_up

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PAIRS = 12
LEAST_SWING = 0.4
LEAVES = 0.03
"""So much charge away from an anchor, its best reading is final."""
ANCHOR_SIGMA = 0.012
STEEP_V = 0.4
RESISTANCE_KNOWN_TO = 0.1
COUNTING_RATIO = 0.002
"""1-sigma of counted charge by itself: efficiency, noise."""
FADES_PER_SQRT_PAIR = 0.001
AGED_SIGMA = 0.1
"""Of the nameplate as a prior once there are pairs: a rack may be anything from new to worn."""
REPEATS = 4
LEAST_RATIO, MOST_RATIO = 0.05, 2.0
"""Of the nameplate: a capacity beyond is no capacity of this rack, whatever the pairs say."""
NORMAL_95 = 1.959964
MOST_LOG_SPREAD = 3.0


@dataclass(frozen=True, slots=True)
class StatedCapacity:
    """Capacity over nameplate [rack] with its 95 % bounds: 0 < low <= ratio <= high."""

    ratio: Floats
    sigma_ratio: Floats
    low_ratio: Floats
    high_ratio: Floats


def stated(ratio: Floats, sigma_ratio: Floats, gain_ratio: Floats) -> StatedCapacity:
    """Return a capacity as it is shown, whatever came out of a filter: above zero, its bounds in order.

    A capacity is a size, so its error is a factor: the bounds lie as many times below as above. One beyond all reason
    is moved to the end of what is possible, and is unknown by at least that much. `gain_ratio` is the current sensor's.
    """
    possible = np.clip(np.where(np.isfinite(ratio), ratio, 1.0), LEAST_RATIO, MOST_RATIO)
    off = np.where(np.isfinite(ratio), np.abs(ratio - possible), 1.0)
    sigma = np.hypot(np.where(np.isfinite(sigma_ratio), sigma_ratio, 1.0), off)
    spread = np.minimum(NORMAL_95 * np.hypot(sigma / possible, gain_ratio), MOST_LOG_SPREAD)
    return StatedCapacity(possible, sigma, possible * np.exp(-spread), possible * np.exp(spread))


def chosen(which: Mask, new: StatedCapacity, old: StatedCapacity) -> StatedCapacity:
    """Return the new capacity of some racks, the old one of the others."""
    return StatedCapacity(
        np.where(which, new.ratio, old.ratio),
        np.where(which, new.sigma_ratio, old.sigma_ratio),
        np.where(which, new.low_ratio, old.low_ratio),
        np.where(which, new.high_ratio, old.high_ratio),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """A place on the SOC axis, per rack [rack]: SOC +- sigma (inf: none), counted and moved charge over nameplate."""

    soc_ratio: Floats
    sigma_ratio: Floats
    counted_ratio: Floats
    moved_ratio: Floats
    unseen_ratio: Floats
    hours: Floats


@dataclass(frozen=True, slots=True)
class CapacityState:
    """Present stay and last anchor; the last pairs [rack, pair]; capacity over nameplate +- 1 sigma, offset in 1/h."""

    stay: Reading
    anchor: Reading
    swing_ratio: Floats
    charge_ratio: Floats
    swing_hours: Floats
    swing_var: Floats
    charge_var: Floats
    pairs: NDArray[np.int64]
    ratio: Floats
    sigma_ratio: Floats
    offset_per_h: Floats


def initial_capacity(racks: int, sigma_ratio: Floats) -> CapacityState:
    """Return a state that knows the nameplate alone, +- what a new cell may be off by."""
    zero, none = np.zeros(racks), np.zeros((racks, PAIRS))
    nowhere = Reading(zero, np.full(racks, np.inf), zero, zero, zero, zero)
    far = np.full((racks, PAIRS), np.inf)
    return CapacityState(
        nowhere, nowhere, none, none, none, far, far, np.zeros(racks, dtype=np.int64), np.ones(racks), sigma_ratio, zero
    )


def voltage_reading(
    curves: Floats, mean_v: Floats, drop_v: Floats, hysteresis: Floats, bias_v: Floats
) -> tuple[Floats, Floats]:
    """Return the SOC [rack] that a voltage alone tells, and its sigma; inf where the curve is too flat to tell."""
    curve_v = curves[:, OCV] + hysteresis[:, None] * curves[:, HALF_GAP]
    soc = invert(curve_v, (mean_v + drop_v)[:, None])
    slope = (look_up(curve_v, soc + 0.005) - look_up(curve_v, soc - 0.005))[:, 0] / 0.01
    error_v = look_up(curves[:, MODEL_ERROR], soc)[:, 0]
    sigma_v = np.sqrt(error_v**2 + bias_v**2 + (RESISTANCE_KNOWN_TO * drop_v) ** 2)
    inside = (soc[:, 0] > 0.001) & (soc[:, 0] < 0.999) & (slope > STEEP_V)
    return soc[:, 0], np.where(inside, sigma_v / np.maximum(slope, STEEP_V), np.inf)


def follow_capacity(was: CapacityState, now: Reading, offset_sigma_per_h: Floats) -> CapacityState:
    """Return the state after a block's reading; a pair is made when a stay at an anchor ends."""
    tells = now.sigma_ratio < ANCHOR_SIGMA
    stays = np.isfinite(was.stay.sigma_ratio)
    if not (tells.any() or stays.any()):
        return was
    ended = stays & (np.abs(now.counted_ratio - was.stay.counted_ratio) > LEAVES)
    if ended.any():
        was = _with_pairs(was, ended, offset_sigma_per_h)
    better = tells & (now.sigma_ratio <= was.stay.sigma_ratio)
    return replace(was, stay=_chosen(better, now, was.stay))


def _chosen(which: Mask, new: Reading, old: Reading) -> Reading:
    return Reading(
        np.where(which, new.soc_ratio, old.soc_ratio),
        np.where(which, new.sigma_ratio, old.sigma_ratio),
        np.where(which, new.counted_ratio, old.counted_ratio),
        np.where(which, new.moved_ratio, old.moved_ratio),
        np.where(which, new.unseen_ratio, old.unseen_ratio),
        np.where(which, new.hours, old.hours),
    )


def _with_pairs(was: CapacityState, ended: Mask, offset_sigma_per_h: Floats) -> CapacityState:
    stay, anchor = was.stay, was.anchor
    swing = anchor.soc_ratio - stay.soc_ratio
    usable = ended & np.isfinite(anchor.sigma_ratio) & (np.abs(swing) > LEAST_SWING)
    sigma = np.where(ended, np.inf, stay.sigma_ratio)
    moved = replace(was, anchor=_chosen(ended, stay, anchor), stay=replace(stay, sigma_ratio=sigma))
    if not usable.any():
        return moved
    var = np.where(usable, stay.sigma_ratio**2 + anchor.sigma_ratio**2, 1.0)
    unseen = (stay.unseen_ratio - anchor.unseen_ratio) ** 2
    charge_var = unseen + (COUNTING_RATIO * (stay.moved_ratio - anchor.moved_ratio)) ** 2
    moved = replace(
        moved,
        pairs=was.pairs + usable,
        swing_ratio=_pushed(was.swing_ratio, swing, usable),
        charge_ratio=_pushed(was.charge_ratio, stay.counted_ratio - anchor.counted_ratio, usable),
        swing_hours=_pushed(was.swing_hours, stay.hours - anchor.hours, usable),
        swing_var=_pushed(was.swing_var, var, usable),
        charge_var=_pushed(was.charge_var, charge_var, usable),
    )
    return _fitted(moved, offset_sigma_per_h)


def _pushed(rows: Floats, value: Floats, which: Mask) -> Floats:
    pushed = np.concatenate((value[:, None], rows[:, :-1]), axis=1)
    return np.where(which[:, None], pushed, rows)


def _fitted(was: CapacityState, offset_sigma_per_h: Floats) -> CapacityState:
    """Return the state with capacity and offset through all pairs and the nameplate's prior.

    Fixed point of the total least squares: each true swing is estimated with the line, then the line with those. What a
    swing is off by (a bent knee, a drop) is the same in each, so the bounds keep it whole, however many there are.
    """
    age = np.arange(PAIRS) * FADES_PER_SQRT_PAIR**2
    x, y, hours = was.swing_ratio, was.charge_ratio, was.swing_hours
    ratio, offset = np.ones(len(was.ratio)), np.zeros(len(was.ratio))
    known, flat = AGED_SIGMA**-2, offset_sigma_per_h**-2
    a22 = scale = np.ones(len(was.ratio))
    for _ in range(REPEATS):
        total = (ratio**2)[:, None] * was.swing_var + was.charge_var + age * x**2
        weight = np.where(np.isfinite(total), 1.0 / total, 0.0)
        miss = y - ratio[:, None] * x - offset[:, None] * hours
        part = np.where(weight > 0.0, ratio[:, None] * np.where(weight > 0.0, was.swing_var, 0.0) * weight, 0.0)
        true_x = x + part * miss
        a11, a12 = np.sum(weight * true_x * x, axis=1) + known, np.sum(weight * true_x * hours, axis=1)
        a21, a22 = np.sum(weight * hours * x, axis=1), np.sum(weight * hours**2, axis=1) + flat
        b1, b2 = np.sum(weight * true_x * y, axis=1) + known, np.sum(weight * hours * y, axis=1)
        scale = a11 * a22 - a12 * a21
        ratio, offset = (a22 * b1 - a12 * b2) / scale, (a11 * b2 - a21 * b1) / scale
    known_pair = np.isfinite(was.swing_var)
    counted = np.maximum(known_pair.sum(axis=1), 1)
    lasting = (
        np.where(known_pair, np.sqrt(was.swing_var) / np.maximum(np.abs(x), LEAST_SWING), 0.0).sum(axis=1) / counted
    )
    by_chance = np.sqrt(np.maximum(a22 / scale, 0.0))
    sigma = np.hypot(by_chance, ratio * lasting)
    return replace(was, ratio=ratio, offset_per_h=offset, sigma_ratio=sigma)


def drop_of(curves: Floats, soc_ratio: Floats, current_a: Floats, pair_current_a: Floats) -> Floats:
    """Return the mean cell's resistive drop [rack] at a SOC, + on discharge."""
    load = np.concatenate((current_a[:, None], pair_current_a), axis=1)
    sag_v = np.einsum("rc,rcz->rz", load, curves[:, SERIES : SERIES + load.shape[1]])
    return look_up(sag_v, soc_ratio[:, None])[:, 0]
