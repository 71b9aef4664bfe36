"""What each converter may carry now, in both directions, and why not more.

Rule: the smallest of its rating, its own stated limit, its part of the bus's power (through its efficiency), its DC
current and voltage window, what protection leaves, and what it was seen to deliver while limiting itself. A lost
limit keeps its value for its grace time and is then zero. While a bus's data are bad its power may not rise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.buses import BusLimits
from controller.control.limits import LimitReason
from controller.control.measurements import Measurements
from controller.control.relations import CHARGE, DISCHARGE, Relations
from controller.image.plant_arrays import PlantArrays
from controller.image.quality import Quality

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_CANDIDATES = (
    LimitReason.PCS_RATING,
    LimitReason.PCS_OWN_LIMIT,
    LimitReason.BUS_CURRENT_RATING,  # stands for the bus's own reason
    LimitReason.PCS_DC_CURRENT,
    LimitReason.TRANSFORMER,
    LimitReason.PCS_LIMITS_ITSELF,
    LimitReason.BUS_DATA_LOST,
    LimitReason.PCS_DATA_LOST,
    LimitReason.PCS_DC_WINDOW,
    LimitReason.PCS_WRITE_FAILED,
    LimitReason.BUS_PROTECTION,
    LimitReason.PCS_PROTECTION,
    LimitReason.PCS_NOT_RUNNING,
)
_CODES = np.array(_CANDIDATES, np.int32)
_BUS = 2


class HeldPcsLimits(NamedTuple):
    """Last good own limits [2, P] and when state and limits were last good. Owned by control's state."""

    power_w: FloatArray
    good_ns: IntArray


def no_held_pcs_limits(converters: int) -> HeldPcsLimits:
    """Nothing has been read: nothing is allowed."""
    return HeldPcsLimits(np.zeros((2, converters)), np.full(converters, -(2**62), np.int64))


class PcsConditions(NamedTuple):
    """What else forbids or bounds a converter [P]."""

    running: BoolArray  # its sequence says so
    stop: BoolArray  # protection
    bus_zero: BoolArray  # [B]
    no_increase: BoolArray  # [B]
    write_failed: BoolArray
    self_limit_w: FloatArray  # [2, P], inf: none
    command_w: FloatArray  # [P] what was commanded in the scan before


@dataclass(frozen=True, slots=True)
class PcsLimits:
    """AC power allowed now (W, >= 0) [2, P], `LimitReason` [2, P], and what would be, were it running [2, P]."""

    allowed_w: FloatArray
    reason: NDArray[np.int32]
    potential_w: FloatArray


def pcs_limits(
    relations: Relations,
    arrays: PlantArrays,
    measured: Measurements,
    buses: BusLimits,
    held: HeldPcsLimits,
    conditions: PcsConditions,
    now_ns: int,
) -> PcsLimits:
    """Return what each converter may carry; `held` is brought up to date in place."""
    bus = arrays.pcs_bus
    rated_w = relations.pcs_rated_w
    _hold(relations, measured, held, now_ns)
    lost = now_ns - held.good_ns > relations.pcs_limit_grace_ns
    candidates = np.empty((2, len(_CANDIDATES), len(rated_w)))
    candidates[:, 0] = rated_w
    candidates[:, 1] = held.power_w
    candidates[:, _BUS] = _part_of_bus(relations, arrays, buses, conditions.running)
    candidates[:, 3] = np.nan_to_num(buses.voltage_v)[bus] * relations.pcs_dc_current_max_a
    candidates[:, 4] = _part_of_transformer(relations, candidates[:, 0], conditions.running)
    candidates[:, 5] = conditions.self_limit_w
    candidates[CHARGE, 6] = np.where(conditions.no_increase[bus], np.maximum(-conditions.command_w, 0.0), np.inf)
    candidates[DISCHARGE, 6] = np.where(conditions.no_increase[bus], np.maximum(conditions.command_w, 0.0), np.inf)
    forbidden = (
        lost,
        ~_in_dc_window(arrays, buses),
        conditions.write_failed,
        conditions.bus_zero[bus],
        conditions.stop,
        ~conditions.running,
    )
    candidates[:, 7:] = np.where(np.stack(forbidden), 0.0, np.inf)
    which = candidates.argmin(axis=1)
    bus_reason = buses.reason[:, bus]
    reason = np.where(which == _BUS, bus_reason, _CODES[which])
    return PcsLimits(candidates.min(axis=1), reason, candidates[:, :-1].min(axis=1))


def _hold(relations: Relations, measured: Measurements, held: HeldPcsLimits, now_ns: int) -> None:
    """Take over the limits that a converter states (7 = discharge, 8 = charge); ABSENT: its rating."""
    quality = measured.pcs_quality[8:6:-1]
    limits = np.where(quality == Quality.ABSENT, relations.pcs_rated_w, np.maximum(measured.pcs[8:6:-1], 0.0))
    known = ~np.isnan(limits)
    np.copyto(held.power_w, limits, where=known)
    held.good_ns[known[0] & known[1] & measured.pcs_state_fresh] = now_ns


def _part_of_bus(relations: Relations, arrays: PlantArrays, buses: BusLimits, running: BoolArray) -> FloatArray:
    """Each converter's part of its bus by rating, running ones first; AC side, so losses count."""
    bus, rated_w = arrays.pcs_bus, relations.pcs_rated_w
    rated_running_w = np.where(running, rated_w, 0.0)
    at_work_w = (relations.bus_of_pcs @ rated_running_w)[bus]
    others_w = at_work_w + np.where(running, 0.0, rated_w)
    part = rated_w / np.maximum(others_w, 1.0)
    power_w = buses.power_w[:, bus] * part
    power_w[CHARGE] /= arrays.pcs_efficiency_ratio
    power_w[DISCHARGE] *= arrays.pcs_efficiency_ratio
    return power_w


def _part_of_transformer(relations: Relations, rated_w: FloatArray, running: BoolArray) -> FloatArray | float:
    """Each converter's part of its transformer's apparent power, by rating."""
    if len(relations.transformer_va) == 0:
        return np.inf
    load_va = relations.transformer_pcs @ np.where(running, rated_w[0], 0.0)
    spare = relations.transformer_va / np.maximum(load_va, 1.0)
    part = np.where(relations.pcs_transformer >= 0, spare[relations.pcs_transformer], np.inf)
    return np.where(part >= 1.0, np.inf, rated_w[0] * part)


def _in_dc_window(arrays: PlantArrays, buses: BusLimits) -> BoolArray:
    voltage_v = buses.voltage_v[arrays.pcs_bus]
    inside: BoolArray = (voltage_v >= arrays.pcs_dc_voltage_min_v) & (voltage_v <= arrays.pcs_dc_voltage_max_v)
    return inside
