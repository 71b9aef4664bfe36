"""What control needs of the plant's build, made once: who stands with whom, what is served, how long silence may last.

Shapes: racks [R], buses [B], pcs [P], banks [N], transformers [T]; the first axis of a `2` array is the direction,
0 = charge, 1 = discharge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.derating import Derating, derating_lines
from controller.image.data_periods import NEVER_NS, data_periods
from controller.image.plant_arrays import PlantArrays
from controller.plant.device_types import ContactorControl, TimeoutAction
from controller.plant.model import Plant
from controller.plant.row_coverage import is_about, kinds_of
from controller.plant.signals import Owner

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

CHARGE, DISCHARGE = 0, 1
DEFAULT_WATCHDOG_S = 5.0
SMALLEST_CHANGE_RATIO = 1e-4
"""Of a converter's rating: smaller moves of a set-point are not worth a write. Zero and the first one always are."""
CIRCULATING_RATIO = 0.05
"""Of the racks' rated current, summed over the bus."""
FLOWING_RATIO = 0.02
"""Of the rated current: more than a sensor's offset."""


@dataclass(frozen=True, slots=True)
class Relations:
    """Constants of the plant as control reads them."""

    bus_racks: IntArray  # [B, most racks of a bus], padded with R
    bus_offsets: IntArray  # [2, B] where each bus begins in [2, B, most racks]
    bus_rack_codes: IntArray  # [2 * B * most racks] each rack's place in [2, R]
    unbounded: FloatArray  # [2, R + 1] infinite
    bus_of_rack: FloatArray  # [B, R] 1 where the rack stands on the bus
    bus_of_pcs: FloatArray  # [B, P]
    block_of_rack: FloatArray  # [K, R]
    block_of_pcs: FloatArray  # [K, P]
    rack_rated_a: FloatArray  # [2, R]
    rack_flowing_a: FloatArray  # [R] more than a sensor's offset
    rack_conductance_s: FloatArray  # [R]
    rack_bank: IntArray  # [R], -1: none
    rack_request_served: BoolArray  # [R] the rack has a connect request of its own
    rack_shares_request: BoolArray  # [R] none of its own: it comes and goes with its bank
    rack_requestable: BoolArray  # [R] its own or its bank's
    rack_reset_served: BoolArray  # [R]
    rack_limit_grace_ns: IntArray  # [R] from the last good limit to zero allowed
    rack_fast_period_ns: IntArray  # [R] data period of the rack's current
    pcs_limit_grace_ns: IntArray  # [P]
    pcs_rated_w: FloatArray  # [P]
    pcs_smallest_w: list[float]  # [P] change that is worth a write
    pcs_dc_current_max_a: FloatArray  # [P]
    pcs_transformer: IntArray  # [P], -1: none
    pcs_watchdog_s: FloatArray  # [P] time-out that the device file states
    pcs_watchdog_ns: IntArray  # [P] and the ramp to zero that follows it
    pcs_watchdog_served: BoolArray  # [P] readable
    pcs_watchdog_settable: BoolArray  # [P]
    transformer_va: FloatArray  # [T]
    transformer_pcs: FloatArray  # [T, P]
    bus_current_max_a: FloatArray  # [B], inf: none stated
    bus_circulating_max_a: FloatArray  # [B] more is worth an advice
    bus_current_floor_a: FloatArray  # [B] below it measured shares say nothing
    derating_slope: FloatArray  # [4, 2, R] A per unit of the quantity (`derating.py`)
    derating_intercept_a: FloatArray  # [4, 2, R]
    derating_top_a: FloatArray  # [4, 2, R] the rating
    poi_meter: int
    poi_period_s: float  # the longest in which the POI meter's power and the converters' are read
    poi_tells_reactive: bool
    targets: dict[str, tuple[Owner, int]]  # tag -> equipment


def relations_of(plant: Plant, arrays: PlantArrays) -> Relations:
    """Return the relations of a plant. Pure; called once."""
    racks, pcs, buses = plant.racks, plant.pcs, plant.buses
    served = _served_commands(plant)
    own = np.array([("rack.connect_request", r.index) in served for r in racks], np.bool_)
    bank = np.array([("bank.connect_request", r.bank) in served for r in racks], np.bool_)
    banks = np.array([r.bank for r in racks], np.int64)
    managed = np.array([r.contactor_control is not ContactorControl.NONE for r in racks], np.bool_)
    watchdogs_s = _watchdogs_s(plant)
    lines = _derating(plant)
    rated_a = np.stack([arrays.rack_charge_current_max_a, arrays.rack_discharge_current_max_a])
    bus_racks = _padded([b.racks for b in buses], len(racks))
    rated_sum = np.array([sum(racks[i].battery.discharge_current_max_a for i in b.racks) for b in buses])
    return Relations(
        bus_racks=bus_racks,
        bus_offsets=np.arange(2 * len(buses)).reshape(2, -1) * bus_racks.shape[1],
        bus_rack_codes=np.concatenate([bus_racks.ravel(), bus_racks.ravel() + len(racks)]),
        unbounded=np.full((2, len(racks) + 1), np.inf),
        bus_of_rack=_one_hot(arrays.rack_bus, len(buses)),
        bus_of_pcs=_one_hot(arrays.pcs_bus, len(buses)),
        block_of_rack=_one_hot(arrays.rack_block, len(plant.blocks)),
        block_of_pcs=_one_hot(arrays.pcs_block, len(plant.blocks)),
        rack_rated_a=rated_a,
        rack_flowing_a=FLOWING_RATIO * arrays.rack_discharge_current_max_a,
        rack_conductance_s=1.0 / np.maximum(arrays.rack_resistance_ohm, 1e-6),
        rack_bank=banks,
        rack_request_served=own,
        rack_shares_request=~own & (banks >= 0),
        rack_requestable=(own | bank) & managed,
        rack_reset_served=np.array([("rack.reset_request", r.index) in served for r in racks], np.bool_),
        rack_limit_grace_ns=_rack_grace_ns(plant, arrays),
        rack_fast_period_ns=data_periods(plant)["rack.current"].period_ns,
        pcs_limit_grace_ns=_grace_ns(plant, "pcs.active_power"),
        pcs_rated_w=arrays.pcs_power_w,
        pcs_smallest_w=[SMALLEST_CHANGE_RATIO * p.power_w for p in pcs],
        pcs_dc_current_max_a=np.array([p.dc_current_max_a for p in pcs], np.float64),
        pcs_transformer=np.array([p.transformer for p in pcs], np.int64),
        pcs_watchdog_s=watchdogs_s,
        pcs_watchdog_ns=((watchdogs_s + arrays.pcs_power_w / arrays.pcs_ramp_w_per_s) * 1e9).astype(np.int64),
        pcs_watchdog_served=np.array([("pcs.watchdog_timeout", p.index) in served for p in pcs], np.bool_),
        pcs_watchdog_settable=np.array([("pcs.watchdog_timeout_setting", p.index) in served for p in pcs], np.bool_),
        transformer_va=np.array([t.apparent_va for t in plant.transformers], np.float64),
        transformer_pcs=_one_hot(np.array([p.transformer for p in pcs], np.int64), len(plant.transformers)),
        bus_current_max_a=np.array([np.inf if b.current_max_a is None else b.current_max_a for b in buses]),
        bus_circulating_max_a=CIRCULATING_RATIO * rated_sum,
        bus_current_floor_a=np.maximum(0.1 * rated_sum, 1.0),
        derating_slope=lines.slope * rated_a,
        derating_intercept_a=lines.intercept * rated_a,
        derating_top_a=np.broadcast_to(rated_a, (4, *rated_a.shape)).copy(),
        poi_meter=plant.poi.meter,
        poi_period_s=_poi_period_s(plant),
        poi_tells_reactive=_poi_tells_reactive(plant),
        targets=_targets(plant),
    )


def _derating(plant: Plant) -> Derating:
    """Return the lines of every rack [kind, direction, R]: each from the rows that are about its battery."""
    window = (plant.control.soc_min_ratio, plant.control.soc_max_ratio)
    names = kinds_of(plant, Owner.RACK)
    of_battery = {
        name: derating_lines([row for row in plant.protection if is_about(row, name)], *window)
        for name in dict.fromkeys(names)
    }
    nothing = np.zeros((4, 2, 0))
    return Derating(
        slope=np.concatenate([nothing, *(of_battery[name].slope for name in names)], axis=2),
        intercept=np.concatenate([nothing, *(of_battery[name].intercept for name in names)], axis=2),
    )


def _poi_tells_reactive(plant: Plant) -> bool:
    served_ns = data_periods(plant)["meter.reactive_power"].period_ns
    return plant.poi.meter >= 0 and bool(served_ns[plant.poi.meter] < NEVER_NS)


def _served_commands(plant: Plant) -> frozenset[tuple[str, int]]:
    """Return (signal, equipment) of everything that some device serves."""
    return frozenset(
        (point.signal.name, binding.equipment)
        for device in plant.devices
        for binding in device.bindings
        for point in device.type.points
        if point.signal.owner is binding.owner
    )


def _targets(plant: Plant) -> dict[str, tuple[Owner, int]]:
    groups: Iterable[tuple[Owner, Iterable[tuple[str, int]]]] = (
        (Owner.BLOCK, ((b.tag, b.index) for b in plant.blocks)),
        (Owner.RACK, ((r.tag, r.index) for r in plant.racks)),
        (Owner.PCS, ((p.tag, p.index) for p in plant.pcs)),
    )
    named = {tag: (owner, index) for owner, items in groups for tag, index in items}
    return {"Plant": (Owner.PLANT, 0), **named}


def _one_hot(group: IntArray, groups: int) -> FloatArray:
    member: FloatArray = (np.arange(groups)[:, None] == group).astype(np.float64)
    return member


def _padded(members: list[tuple[int, ...]], pad: int) -> IntArray:
    widest = max((len(m) for m in members), default=0)
    return np.array([[*m, *([pad] * (widest - len(m)))] for m in members], np.int64).reshape(len(members), widest)


def _grace_ns(plant: Plant, signal: str) -> IntArray:
    """max(5 D, 5 s), from the site's ladder; equipment without a period has the shortest."""
    stale = plant.control.stale
    period_ns = data_periods(plant)[signal].period_ns
    known_ns = np.where(period_ns < NEVER_NS, period_ns, 0)
    grace: IntArray = np.maximum(known_ns * stale.zero_periods, stale.zero_min_s * 1e9).astype(np.int64)
    return grace


def _poi_period_s(plant: Plant) -> float:
    periods = data_periods(plant)
    of_meter_ns = periods["meter.active_power"].period_ns[plant.poi.meter : plant.poi.meter + 1]
    read_ns = int(of_meter_ns.max(initial=0, where=of_meter_ns < NEVER_NS))
    return max(read_ns, periods["pcs.active_power"].longest_ns) * 1e-9


def _rack_grace_ns(plant: Plant, arrays: PlantArrays) -> IntArray:
    """As above, but longer where the BMS itself can stop the PCS."""
    longer_ns = plant.control.stale.zero_bms_stops_pcs_s * 1e9
    grace = _grace_ns(plant, "rack.discharge_current_limit")
    unloaded_by_bms = arrays.bus_bms_stops_pcs[arrays.rack_bus]
    longer: IntArray = np.where(unloaded_by_bms, np.maximum(grace, longer_ns), grace).astype(np.int64)
    return longer


def _watchdogs_s(plant: Plant) -> FloatArray:
    watchdog_s = np.full(len(plant.pcs), DEFAULT_WATCHDOG_S)
    for device in plant.devices:
        timeout = device.type.communication_timeout
        if timeout is None or timeout.then is TimeoutAction.NONE:
            continue
        for binding in device.bindings:
            if binding.owner is Owner.PCS:
                watchdog_s[binding.equipment] = timeout.after_s
    return watchdog_s
