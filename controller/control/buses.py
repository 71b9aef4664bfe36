"""What a DC bus may carry: racks in parallel have no power of their own.

Rule: the current splits by voltage and resistance, so the bus may carry min over its connected racks of
(rack limit / rack's share of the bus current). Shares are measured where enough current flows, else they follow from
the racks' resistances; in between they are blended. A rack that is being unloaded bounds the bus by its break rating,
and the others by the share they will have without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.limits import LimitReason
from controller.control.measurements import Measurements
from controller.control.rack_limits import RackLimits
from controller.control.relations import Relations
from controller.image.plant_arrays import PlantArrays

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

SMALLEST_SHARE_RATIO = 1e-3
"""A rack with less of the current than this (or an opposite, circulating one) does not bound the bus."""
BREAK_MARGIN_RATIO = 0.8


@dataclass(frozen=True, slots=True)
class BusLimits:
    """Bus voltage [B] (NaN unknown), DC power allowed [2, B] (W, >= 0), its `LimitReason`, circulating current [B]."""

    voltage_v: FloatArray
    power_w: FloatArray
    reason: NDArray[np.int32]
    circulating_a: FloatArray
    racks: FloatArray  # [B] racks on the bus


def bus_limits(
    relations: Relations,
    arrays: PlantArrays,
    measured: Measurements,
    racks: RackLimits,
    on_bus: BoolArray,
    unloading: BoolArray,
) -> BusLimits:
    """Return what each bus may carry. `on_bus` [R]: connected, or not known to be disconnected."""
    member = relations.bus_of_rack
    count = member @ on_bus
    voltage_v = _voltage_v(relations, measured, on_bus)
    share, total_a, absolute_a = _shares(relations, arrays, measured, on_bus)
    allowed_a, reason = racks.allowed_a, racks.reason
    if unloading.any():
        share, allowed_a, reason = _without(unloading, relations, arrays, share, racks)
    bound_a = np.full((2, len(on_bus) + 1), np.inf)
    np.divide(allowed_a, np.maximum(share, SMALLEST_SHARE_RATIO), out=bound_a[:, :-1], where=on_bus)
    current_a, bus_reason = _smallest(relations, bound_a, reason)
    empty = (count == 0.0) | np.isnan(voltage_v)
    power_w = np.where(empty, 0.0, current_a) * np.where(empty, 0.0, voltage_v)
    bus_reason[:, empty] = LimitReason.NO_RACK_CONNECTED
    return BusLimits(voltage_v, power_w, bus_reason, 0.5 * (absolute_a - np.abs(total_a)), count)


def _voltage_v(relations: Relations, measured: Measurements, on_bus: BoolArray) -> FloatArray:
    """Mean of the connected racks' voltages; NaN without any."""
    known = on_bus & ~np.isnan(measured.rack_voltage_v)
    known_count = relations.bus_of_rack @ known
    total_v = relations.bus_of_rack @ np.where(known, measured.rack_voltage_v, 0.0)
    return np.where(known_count > 0.0, total_v / np.maximum(known_count, 1.0), np.nan)


def _shares(
    relations: Relations, arrays: PlantArrays, measured: Measurements, on_bus: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (share of each rack [R], bus current [B], sum of the currents' magnitudes [B])."""
    member, bus = relations.bus_of_rack, arrays.rack_bus
    conductance = np.where(on_bus, relations.rack_conductance_s, 0.0)
    by_resistance = conductance / np.maximum(member @ conductance, 1e-9)[bus]
    known = on_bus & ~np.isnan(measured.rack_current_a)
    current_a = np.where(known, measured.rack_current_a, 0.0)
    total_a = member @ current_a
    floor_a = relations.bus_current_floor_a
    over_floor = np.abs(total_a) / floor_a - 1.0
    over_floor[member @ (on_bus & ~known) > 0.0] = 0.0  # a rack's current is unknown: the resistances decide
    weight = np.minimum(np.maximum(over_floor, 0.0), 1.0)
    by_current = current_a / np.where(weight > 0.0, total_a, 1.0)[bus]
    share = by_resistance + weight[bus] * (by_current - by_resistance)
    return share, total_a, member @ np.abs(current_a)


def _without(
    unloading: BoolArray, relations: Relations, arrays: PlantArrays, share: FloatArray, racks: RackLimits
) -> tuple[FloatArray, FloatArray, NDArray[np.int32]]:
    """Shares and limits while racks are unloaded: the leaving ones by break rating, the others by their later share."""
    leaving = relations.bus_of_rack @ np.where(unloading, share, 0.0)
    later = share / np.maximum(1.0 - leaving, SMALLEST_SHARE_RATIO)[arrays.rack_bus]
    breakable_a = np.minimum(racks.allowed_a, BREAK_MARGIN_RATIO * arrays.rack_break_current_a)
    allowed_a = np.where(unloading, breakable_a, racks.allowed_a)
    reason = np.where(unloading, np.int32(LimitReason.RACK_UNLOADING), racks.reason)
    return np.where(unloading, share, later), allowed_a, reason


def _smallest(
    relations: Relations, bound_a: FloatArray, reason: NDArray[np.int32]
) -> tuple[FloatArray, NDArray[np.int32]]:
    """Return the smallest bound of each bus and its reason, both [2, B]; the bus's own rating counts too."""
    of_bus = bound_a[:, relations.bus_racks]  # [2, B, K]
    which = of_bus.argmin(axis=2)
    current_a = of_bus.min(axis=2)
    rack = relations.bus_racks[np.arange(len(relations.bus_racks)), which]
    code = reason[np.arange(2)[:, None], np.minimum(rack, reason.shape[1] - 1)]
    rated_binds = current_a > relations.bus_current_max_a
    code = np.where(rated_binds, np.int32(LimitReason.BUS_CURRENT_RATING), code)
    return np.minimum(current_a, relations.bus_current_max_a), code
