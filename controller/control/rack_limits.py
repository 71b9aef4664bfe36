"""What each rack may carry now, in both directions, and why not more.

Rule: the smallest of its rated current, the BMS's limit, the SOC window, the derating by cell voltage and temperature,
and what protection inhibits. A lost limit (or SOC) keeps its last value for its grace time and is then zero allowed.
A limit that the BMS does not serve at all (quality ABSENT) is the rating.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.derating import SOC, TEMPERATURE_HIGH, TEMPERATURE_LOW, VOLTAGE
from controller.control.inputs import ProtectionOrders
from controller.control.limits import LimitReason
from controller.control.measurements import Measurements
from controller.control.relations import CHARGE, DISCHARGE, Relations
from controller.image.quality import Quality

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
_FIRST_FACTOR = 2
_ROW = {"soc": 2, "charge": 4, "discharge": 5, "v_max": 6, "v_min": 7, "t_max": 8, "t_min": 9}


class HeldLimits(NamedTuple):
    """Last good limits and SOC of each rack, and when all three were last good. Owned by control's state."""

    current_a: FloatArray  # [2, R]
    soc_ratio: FloatArray  # [R]
    good_ns: IntArray  # [R]


def no_held_limits(racks: int) -> HeldLimits:
    """Nothing has been read: nothing is allowed."""
    return HeldLimits(np.zeros((2, racks)), np.zeros(racks), np.full(racks, -(2**62), np.int64))


@dataclass(frozen=True, slots=True)
class RackLimits:
    """Currents allowed now (A, >= 0) [2, R], `LimitReason` of each [2, R], SOC in use [R] (NaN unknown)."""

    allowed_a: FloatArray
    reason: NDArray[np.int32]
    soc_ratio: FloatArray
    fresh: BoolArray  # [R] limits and SOC were good in this scan
    lost: BoolArray  # [R] and this long gone: nothing is allowed


def rack_limits(
    relations: Relations,
    measured: Measurements,
    soc_estimate_ratio: FloatArray,
    protection: ProtectionOrders,
    tripped: BoolArray,
    held: HeldLimits,
    now_ns: int,
) -> RackLimits:
    """Return what each rack may carry; `held` is brought up to date in place. SOC: the estimate, else the BMS's.

    `tripped` [R]: protection or the BMS has tripped the rack.
    """
    soc = np.where(np.isnan(soc_estimate_ratio), measured.rack[_ROW["soc"]], soc_estimate_ratio)
    fresh = _hold(relations, measured, soc, held, now_ns)
    lost = now_ns - held.good_ns > relations.rack_limit_grace_ns
    rated = relations.rack_rated_a
    candidates = np.empty((2, len(_CANDIDATES), rated.shape[1]))
    candidates[:, 0] = rated
    candidates[:, 1] = held.current_a
    factors = _factors(relations, measured, held.soc_ratio)
    np.multiply(factors, rated[:, None], out=candidates[:, _FIRST_FACTOR:6])
    candidates[CHARGE, 6] = np.where(protection.inhibit_charge | tripped, 0.0, np.inf)
    candidates[DISCHARGE, 6] = np.where(protection.inhibit_discharge | tripped, 0.0, np.inf)
    candidates[:, 7] = np.where(lost, 0.0, np.inf)
    return RackLimits(candidates.min(axis=1), _CODES[candidates.argmin(axis=1)], soc, fresh, lost)


def _hold(relations: Relations, measured: Measurements, soc: FloatArray, held: HeldLimits, now_ns: int) -> BoolArray:
    """Take over what is good; return where limits and SOC were all good."""
    quality = measured.rack_quality[4:6]
    limits = measured.rack[4:6]
    served = quality != Quality.ABSENT
    limits = np.where(served, np.maximum(limits, 0.0), relations.rack_rated_a)
    known = ~np.isnan(limits)
    soc_known = ~np.isnan(soc)
    np.copyto(held.current_a, limits, where=known)
    np.copyto(held.soc_ratio, soc, where=soc_known)
    fresh: BoolArray = known[0] & known[1] & soc_known
    held.good_ns[fresh] = now_ns
    return fresh


def _factors(relations: Relations, measured: Measurements, soc: FloatArray) -> FloatArray:
    """Return the deratings [2, 4, R], 0 to 1; an unknown measurement derates nothing (protection watches it)."""
    values = np.empty((2, 4, soc.shape[0]))
    values[:, SOC] = soc
    values[CHARGE, VOLTAGE] = measured.rack[_ROW["v_max"]]
    values[DISCHARGE, VOLTAGE] = measured.rack[_ROW["v_min"]]
    values[:, TEMPERATURE_HIGH] = measured.rack[_ROW["t_max"]]
    values[:, TEMPERATURE_LOW] = measured.rack[_ROW["t_min"]]
    values *= relations.derating.slope
    values += relations.derating.intercept
    np.fmin(values, 1.0, out=values)
    np.maximum(values, 0.0, out=values)
    return values
