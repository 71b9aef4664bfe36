"""What a DC bus may carry: racks in parallel have no power of their own.

Rule: the current splits by voltage and resistance, so the bus may carry min over its connected racks of
(rack limit / rack's share of the bus current). Shares are measured where enough current flows, else they follow from
the racks' resistances; in between they are blended. A rack that is being unloaded bounds the bus by its break rating,
and the others by the share they will have without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.limits.racks import RackLimits
from controller.control.limits.reasons import NOWHERE, LimitReason
from controller.control.measurements import ABSENT, USABLE, Measurements
from controller.control.relations import Relations
from controller.image.masks import anywhere
from controller.image.plant_arrays import PlantArrays

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

SMALLEST_SHARE_RATIO = 1e-3
"""A rack with less of the current than this (or an opposite, circulating one) does not bound the bus."""
BREAK_MARGIN_RATIO = 0.8

_RACK_UNLOADING, _NO_RACK = np.int32(LimitReason.RACK_UNLOADING), np.int32(LimitReason.NO_RACK_CONNECTED)
_BUS_RATING = np.int32(LimitReason.BUS_CURRENT_RATING)
_VOLTAGE_UNKNOWN = np.int32(LimitReason.BUS_VOLTAGE_UNKNOWN)


@dataclass(frozen=True, slots=True, eq=False)
class Connections:
    """Which racks stand on which bus now; worked out anew only when a contactor changes."""

    on_bus: BoolArray  # [R]
    member: FloatArray  # [B, R] 1 where the rack is on the bus
    mean: FloatArray  # [B, R] averages over the racks on the bus
    racks: FloatArray  # [B] racks on each bus
    empty: BoolArray | None  # [B]; None: no bus is
    by_resistance: FloatArray  # [R] share of its bus's current
    unloading: BoolArray | None  # [R]; None: no rack is


def connections_of(relations: Relations, arrays: PlantArrays, on_bus: BoolArray, unloading: BoolArray) -> Connections:
    """Return who is connected with whom. `on_bus` [R]: connected, or not known to be disconnected."""
    member = relations.bus_of_rack * on_bus
    racks = member.sum(axis=1)
    conductance_s = np.where(on_bus, relations.rack_conductance_s, 0.0)
    total_s = np.maximum(member @ conductance_s, 1e-9)
    return Connections(
        on_bus=on_bus,
        member=member,
        mean=member / np.maximum(racks, 1.0)[:, None],
        racks=racks,
        empty=racks == 0.0 if (racks == 0.0).any() else None,
        by_resistance=conductance_s / total_s[arrays.rack_bus],
        unloading=unloading if unloading.any() else None,
    )


class BusLimits(NamedTuple):
    """Bus voltage [B] (NaN unknown), DC power allowed [2, B] (W, >= 0), its `LimitReason`, circulating current [B]."""

    voltage_v: FloatArray
    power_w: FloatArray
    reason: NDArray[np.int32]
    rack: IntArray  # [2, B] the rack that binds
    circulating_a: FloatArray
    racks: FloatArray  # [B] racks on the bus
    unread: IntArray | None  # [B] the first of its racks that has unusable data, -1: none; None: nowhere


def bus_limits(
    relations: Relations, arrays: PlantArrays, measured: Measurements, carry: RackLimits, connections: Connections
) -> BusLimits:
    """Return what each bus may carry."""
    voltage_v, voltage_unknown = _voltage_v(measured, connections)
    share, circulating_a = _shares(relations, arrays, measured, connections)
    allowed_a, reason = carry.allowed_a, carry.reason
    if connections.unloading is not None:
        share, allowed_a, reason = _without(connections.unloading, relations, arrays, share, carry)
    bound_a = relations.unbounded.copy()
    smallest = np.maximum(share, SMALLEST_SHARE_RATIO)
    np.divide(allowed_a, smallest, out=bound_a[:, :-1], where=connections.on_bus)
    current_a, bus_reason, rack = _smallest(relations, bound_a, reason)
    unread = None if measured.rack_all_usable else _first_unread(measured, connections)
    if voltage_unknown is not None:
        why = np.where(connections.racks > 0.0, _VOLTAGE_UNKNOWN, _NO_RACK)
        bus_reason[:, voltage_unknown], current_a[:, voltage_unknown] = why[voltage_unknown], 0.0
        power_w = current_a * np.where(voltage_unknown, 0.0, voltage_v)
        return BusLimits(voltage_v, power_w, bus_reason, rack, circulating_a, connections.racks, unread)
    return BusLimits(voltage_v, current_a * voltage_v, bus_reason, rack, circulating_a, connections.racks, unread)


def _first_unread(measured: Measurements, connections: Connections) -> IntArray:
    """Return of each bus the first of its racks with a value that can't be used [B], -1 if there is none."""
    unusable = ((measured.rack_quality > USABLE) & (measured.rack_quality != ABSENT)).any(axis=0)
    unread = (connections.member > 0.0) & unusable
    return np.where(unread.any(axis=1), unread.argmax(axis=1), NOWHERE)


def _voltage_v(measured: Measurements, connections: Connections) -> tuple[FloatArray, BoolArray | None]:
    """Return the mean of the connected racks' voltages [B], and where there is none (None: nowhere)."""
    rack_v = measured.rack_voltage_v
    if measured.rack_all_usable:
        mean_v, unknown = connections.mean.dot(rack_v), connections.empty
    else:
        known = ~np.isnan(rack_v)
        member = connections.member * known
        count = member.sum(axis=1)
        mean_v = member.dot(np.where(known, rack_v, 0.0)) / np.maximum(count, 1.0)
        unknown = count == 0.0 if (count == 0.0).any() else None
    if unknown is not None:
        mean_v[unknown] = np.nan
    return mean_v, unknown


def _shares(
    relations: Relations, arrays: PlantArrays, measured: Measurements, connections: Connections
) -> tuple[FloatArray, FloatArray]:
    """Return (share of each rack of its bus's current [R], circulating current of each bus [B])."""
    current_a, member = measured.rack_current_a, connections.member
    unknown = None
    if not measured.rack_all_usable:
        missing = np.isnan(current_a)
        unknown, current_a = member.dot(missing) > 0.0, np.where(missing, 0.0, current_a)
    total_a = member.dot(current_a)
    magnitude_a = np.abs(total_a)
    circulating_a: FloatArray = 0.5 * (member.dot(np.abs(current_a)) - magnitude_a)
    weight = magnitude_a / relations.bus_current_floor_a
    weight -= 1.0
    np.maximum(weight, 0.0, out=weight)
    np.minimum(weight, 1.0, out=weight)
    if unknown is not None:
        weight[unknown] = 0.0  # a rack's current is unknown: the resistances decide
    if not any(weight.tolist()):
        return connections.by_resistance, circulating_a
    total_a[magnitude_a < relations.bus_current_floor_a] = 1.0
    measured_part = current_a * (weight / total_a).take(arrays.rack_bus)
    share: FloatArray = connections.by_resistance * (1.0 - weight).take(arrays.rack_bus) + measured_part
    return share, circulating_a


def _without(
    unloading: BoolArray, relations: Relations, arrays: PlantArrays, share: FloatArray, racks: RackLimits
) -> tuple[FloatArray, FloatArray, NDArray[np.int32]]:
    """Shares and limits while racks are unloaded: the leaving ones by break rating, the others by their later share."""
    leaving = relations.bus_of_rack @ np.where(unloading, share, 0.0)
    later = share / np.maximum(1.0 - leaving, SMALLEST_SHARE_RATIO)[arrays.rack_bus]
    alone = (leaving > 1.0 - SMALLEST_SHARE_RATIO)[arrays.rack_bus]  # nobody stays to take over: to zero
    breakable_a = np.where(alone, 0.0, BREAK_MARGIN_RATIO * arrays.rack_break_current_a)
    breakable_a = np.minimum(racks.allowed_a, breakable_a)
    allowed_a = np.where(unloading, breakable_a, racks.allowed_a)
    reason = np.where(unloading, _RACK_UNLOADING, racks.reason)
    return np.where(unloading, share, later), allowed_a, reason


def _smallest(
    relations: Relations, bound_a: FloatArray, reason: NDArray[np.int32]
) -> tuple[FloatArray, NDArray[np.int32], IntArray]:
    """Return the smallest bound of each bus, its reason and its rack, all [2, B]; the bus's own rating counts too."""
    of_bus = bound_a.take(relations.bus_racks, axis=1)  # [2, B, K]
    position = of_bus.argmin(axis=2) + relations.bus_offsets
    current_a = of_bus.reshape(of_bus.size).take(position)
    place = relations.bus_rack_codes.take(position)
    code = reason.reshape(reason.size).take(place, mode="clip")
    over = current_a > relations.bus_current_max_a
    if anywhere(over):
        code = np.where(over, _BUS_RATING, code)
        current_a = np.minimum(current_a, relations.bus_current_max_a)
    return current_a, code, place % max(reason.shape[1], 1)
