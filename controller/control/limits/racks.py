"""What each rack may carry now, in both directions, and why not more.

Rule: the smallest of its rated current, the BMS's limit, the SOC window, the derating by cell voltage and temperature,
and what protection inhibits. A lost limit (or SOC) keeps its last value for its grace time and is then zero allowed.
A limit that the BMS does not serve at all (quality ABSENT) is the rating.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.derating import SOC, TEMPERATURE_HIGH, TEMPERATURE_LOW, VOLTAGE
from controller.control.limits.reasons import LimitReason
from controller.control.measurements import ABSENT, Measurements
from controller.control.relations import CHARGE, DISCHARGE, Relations
from controller.image.masks import anywhere, smallest_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_CANDIDATES = (
    LimitReason.RACK_CURRENT_RATING,
    LimitReason.BMS_CURRENT_LIMIT,
    LimitReason.SOC_WINDOW,
    LimitReason.CELL_VOLTAGE,
    LimitReason.CELL_TEMPERATURE_HIGH,
    LimitReason.CELL_TEMPERATURE_LOW,
    LimitReason.RACK_PROTECTION,
    LimitReason.RACK_LIMITS_LOST,
)
_CODES = np.array(_CANDIDATES, np.int32)
_RATED, _BMS, _DERATED, _FORBIDDEN, _LOST = 0, 1, slice(2, 6), 6, 7
_SOC, _CHARGE_LIMIT, _DISCHARGE_LIMIT, _V_MAX, _V_MIN, _T_MAX, _T_MIN = 2, 4, 5, 6, 7, 8, 9
"""Rows of the measurements."""


class HeldLimits(NamedTuple):
    """Last good limits and SOC of each rack, and when all three were last good. Owned by control's state."""

    current_a: FloatArray  # [2, R]
    soc_ratio: FloatArray  # [R]
    good_ns: IntArray  # [R]


def no_held_limits(racks: int) -> HeldLimits:
    """Nothing has been read: nothing is allowed."""
    return HeldLimits(np.zeros((2, racks)), np.zeros(racks), np.full(racks, -(2**62), np.int64))


class RackLimits(NamedTuple):
    """Currents allowed now (A, >= 0) [2, R], `LimitReason` of each [2, R], SOC in use [R] (NaN unknown)."""

    allowed_a: FloatArray
    reason: NDArray[np.int32]
    soc_ratio: FloatArray
    stale: BoolArray | None  # [R] limits or SOC were not good in this scan; None: all were
    lost: BoolArray | None  # [R] and this long gone: nothing is allowed; None: no rack's


def standing_candidates(relations: Relations, forbidden: BoolArray) -> FloatArray:
    """Return the candidates [candidate, direction, rack] that hold until a fact changes: ratings and what is forbidden.

    `forbidden` [2, R]: protection or a trip forbids this direction.
    """
    candidates = np.full((len(_CANDIDATES), *forbidden.shape), np.inf)
    candidates[_RATED] = relations.rack_rated_a
    candidates[_FORBIDDEN] = np.where(forbidden, 0.0, np.inf)
    return candidates


def rack_limits(
    relations: Relations,
    measured: Measurements,
    soc_estimate_ratio: FloatArray,
    standing: FloatArray,
    held: HeldLimits,
    now_ns: int,
) -> RackLimits:
    """Return what each rack may carry; `held` is brought up to date in place. SOC: the estimate, else the BMS's.

    `standing` is what `standing_candidates` returned.
    """
    unknown = np.isnan(soc_estimate_ratio)
    soc = np.where(unknown, measured.rack[_SOC], soc_estimate_ratio) if anywhere(unknown) else soc_estimate_ratio
    stale = _hold(relations, measured, soc, held, now_ns)
    candidates = standing.copy()
    candidates[_BMS] = held.current_a
    _derate(relations, measured, held.soc_ratio, candidates[_DERATED])
    lost = None
    if stale is not None:
        lost = now_ns - held.good_ns > relations.rack_limit_grace_ns
        candidates[_LOST] = np.where(lost, 0.0, np.inf)
    allowed_a, which = smallest_of(candidates)
    return RackLimits(allowed_a, _CODES.take(which), soc, stale, lost)


def _hold(
    relations: Relations, measured: Measurements, soc: FloatArray, held: HeldLimits, now_ns: int
) -> BoolArray | None:
    """Take over what is good; return where limits or SOC were not, None if they all were."""
    limits = measured.rack[_CHARGE_LIMIT : _DISCHARGE_LIMIT + 1]
    soc_unknown = np.isnan(soc)
    if measured.rack_all_usable and not anywhere(soc_unknown):
        np.maximum(limits, 0.0, out=held.current_a)
        held.soc_ratio[:] = soc
        held.good_ns.fill(now_ns)
        return None
    absent = measured.rack_quality[_CHARGE_LIMIT : _DISCHARGE_LIMIT + 1] == ABSENT
    limits = np.where(absent, relations.rack_rated_a, np.maximum(limits, 0.0))
    known = ~np.isnan(limits)
    np.copyto(held.current_a, limits, where=known)
    np.copyto(held.soc_ratio, soc, where=~soc_unknown)
    stale: BoolArray = soc_unknown | ~(known[0] & known[1])
    held.good_ns[~stale] = now_ns
    return stale if anywhere(stale) else None


def _derate(relations: Relations, measured: Measurements, soc: FloatArray, derated: FloatArray) -> None:
    """Fill the derated ratings [4, 2, R]; an unknown measurement derates nothing (protection watches it)."""
    derated[SOC] = soc
    derated[VOLTAGE, CHARGE] = measured.rack[_V_MAX]
    derated[VOLTAGE, DISCHARGE] = measured.rack[_V_MIN]
    derated[TEMPERATURE_HIGH] = measured.rack[_T_MAX]
    derated[TEMPERATURE_LOW] = measured.rack[_T_MIN]
    derated *= relations.derating_slope
    derated += relations.derating_intercept_a
    np.fmin(derated, relations.derating_top_a, out=derated)
    np.maximum(derated, 0.0, out=derated)
