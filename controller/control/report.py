"""The result of a scan, put together from its parts: what the faces show and what the alarm room is told."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.accounting import EnergyAccount, sustained_w
from controller.control.buses import BusLimits
from controller.control.commands import Reply
from controller.control.conditions import CONDITIONS
from controller.control.converters import PcsStatus
from controller.control.events import Event
from controller.control.inputs import ProtectionOrders
from controller.control.measurements import Measurements
from controller.control.mismatch import MismatchFindings
from controller.control.pcs_limits import PcsConditions, PcsLimits
from controller.control.pcs_sequence import OPERATING_STATES as PCS_OPERATING_STATES
from controller.control.pcs_sequence import PcsSequenceState
from controller.control.plant_sequence import OPERATING_STATES as PLANT_OPERATING_STATES
from controller.control.plant_sequence import PlantState
from controller.control.poi import PoiSample
from controller.control.power import PowerResult
from controller.control.rack_limits import RackLimits
from controller.control.rack_sequence import RackSequenceState
from controller.control.racks import RackStatus, operating_states
from controller.control.relations import CHARGE, DISCHARGE
from controller.control.replies import Forwarded
from controller.control.result import BlockResult, BusResult, ControlResult, PcsResult, PlantResult, RackResult
from controller.control.sequences import OperatingState
from controller.control.setpoints import SetpointSource
from controller.control.state import ControlState
from controller.image.image import Image
from controller.image.plant_arrays import PlantArrays
from controller.image.quality import Quality
from controller.plant.model import Plant

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

CIRCULATING_RATIO = 0.05
"""Of the racks' rated current, summed over the bus: more is worth an advice."""

_BLOCK_PRIORITY = (
    OperatingState.RUNNING,
    OperatingState.STARTING,
    OperatingState.STOPPING,
    OperatingState.TRIPPED,
    OperatingState.STANDBY,
    OperatingState.OFF,
    OperatingState.OUT_OF_SERVICE,
    OperatingState.UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class Facts:
    """The parts of one scan."""

    measured: Measurements
    protection: ProtectionOrders
    racks: RackStatus
    carry: RackLimits
    buses: BusLimits
    findings: MismatchFindings
    converters: PcsStatus
    pcs_conditions: PcsConditions
    may: PcsLimits
    account: EnergyAccount
    sample: PoiSample
    power: PowerResult
    frozen: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What was said in a scan: replies, events, and what goes to other rooms."""

    replies: tuple[Reply, ...]
    events: tuple[Event, ...]
    forwarded: Forwarded


def report(
    plant: Plant,
    arrays: PlantArrays,
    state: ControlState,
    image: Image,
    facts: Facts,
    said: Said,
) -> ControlResult:
    """Return the result of a scan."""
    running = facts.pcs_conditions.running
    bus_runs = state.relations.bus_of_pcs @ running > 0.0
    racks = _racks(arrays, state, image, facts, bus_runs)
    pcs = _pcs(arrays, state, facts)
    return ControlResult(
        racks=racks,
        buses=_buses(facts),
        pcs=pcs,
        blocks=_blocks(plant, state, facts, pcs),
        plant=_plant(plant, state, facts, racks),
        poi_quality=Quality.GOOD if plant.poi.meter >= 0 else Quality.UNCERTAIN,
        outputs=state.outputs,
        withhold_heartbeat=state.pcs.stop_failed & facts.converters.stop,
        conditions=_conditions(arrays, state, facts),
        active_clips=facts.power.active_clips,
        reactive_clips=facts.power.reactive_clips,
        replies=said.replies,
        forwarded=said.forwarded,
        events=said.events,
    )


def _racks(arrays: PlantArrays, state: ControlState, image: Image, facts: Facts, bus_runs: BoolArray) -> RackResult:
    measured, status, carry = facts.measured, facts.racks, facts.carry
    oldest_ns = np.minimum(image["rack.voltage"].time_ns, image["rack.current"].time_ns)
    known = state.racks.sequence != RackSequenceState.UNKNOWN
    barred = status.tripped | status.locked_out | ~arrays.rack_in_service
    discharging = measured.rack_current_a > 0.0
    return RackResult(
        power_w=measured.rack_voltage_v * measured.rack_current_a,
        data_age_s=np.where(oldest_ns > 0, (state.now_ns - oldest_ns) * 1e-9, np.nan),
        charge_current_allowed_a=carry.allowed_a[CHARGE],
        discharge_current_allowed_a=carry.allowed_a[DISCHARGE],
        operating_state=operating_states(arrays, state, status, bus_runs),
        limit_reason=np.where(discharging, carry.reason[DISCHARGE], carry.reason[CHARGE]),
        any_trip=status.tripped,
        contactor_closed=status.closed,
        available=known & ~barred & (status.closed | state.relations.rack_requestable),
        locked_out=status.locked_out,
    )


def _buses(facts: Facts) -> BusResult:
    buses = facts.buses
    less_discharge = buses.power_w[DISCHARGE] <= buses.power_w[CHARGE]
    return BusResult(
        voltage_v=buses.voltage_v,
        charge_power_allowed_w=buses.power_w[CHARGE],
        discharge_power_allowed_w=buses.power_w[DISCHARGE],
        limit_reason=np.where(less_discharge, buses.reason[DISCHARGE], buses.reason[CHARGE]),
    )


def _pcs(arrays: PlantArrays, state: ControlState, facts: Facts) -> PcsResult:
    may, sequences = facts.may, state.pcs.sequence
    charging = state.pcs.command_w < 0.0
    well = [s not in _NOT_AVAILABLE for s in sequences]
    forbidden = facts.converters.stop | facts.pcs_conditions.write_failed | ~arrays.pcs_in_service
    return PcsResult(
        active_power_command_w=state.pcs.command_w,
        reactive_power_command_var=state.pcs.command_var,
        charge_power_allowed_w=may.allowed_w[CHARGE],
        discharge_power_allowed_w=may.allowed_w[DISCHARGE],
        operating_state=np.array([PCS_OPERATING_STATES[s] for s in sequences], np.int32),
        sequence_state=np.array(sequences, np.int32),
        limit_reason=np.where(charging, may.reason[CHARGE], may.reason[DISCHARGE]),
        available=np.array(well, np.bool_) & ~forbidden,
    )


_NOT_AVAILABLE = frozenset(
    {PcsSequenceState.UNKNOWN, PcsSequenceState.LOST, PcsSequenceState.TRIPPED, PcsSequenceState.OUT_OF_SERVICE}
)


def _blocks(plant: Plant, state: ControlState, facts: Facts, pcs: PcsResult) -> BlockResult:
    relations, measured_w = state.relations, facts.measured.pcs_active_power_w
    unknown = np.isnan(measured_w)
    power_w = relations.block_of_pcs @ np.where(unknown, 0.0, measured_w)
    if unknown.any():
        power_w = np.where(relations.block_of_pcs @ unknown > 0.0, np.nan, power_w)
    of_block: list[set[int]] = [set() for _ in plant.blocks]
    for converter, shown in zip(plant.pcs, pcs.operating_state.tolist(), strict=True):
        of_block[converter.block].add(shown)
    return BlockResult(
        active_power_w=power_w,
        soc_ratio=facts.account.block_soc_ratio,
        operating_state=np.array([_first_of(states) for states in of_block], np.int32),
        racks_connected=(relations.block_of_rack @ facts.racks.closed).astype(np.int64),
    )


def _first_of(states: set[int]) -> int:
    return next((s for s in _BLOCK_PRIORITY if s in states), OperatingState.UNKNOWN)


def _plant(plant: Plant, state: ControlState, facts: Facts, racks: RackResult) -> PlantResult:
    """Every value of the plant that control knows."""
    power, account, memory, sample = facts.power, facts.account, state.plant, facts.sample
    pcs_w = float(facts.measured.pcs_active_power_w.sum())
    active_w, reactive_var = _at_poi(plant, facts, pcs_w)
    apparent_va = math.hypot(active_w, reactive_var)
    sustained = _capped(state, sustained_w(state.relations, facts.may.allowed_w, account.energy_wh))
    energy_wh = account.energy_wh.sum(axis=1).tolist()
    energy_out_wh, energy_in_wh = (
        facts.measured.meter[7:9, plant.poi.meter].tolist() if plant.poi.meter >= 0 else _NAN_2
    )
    now_ns, active, reactive = state.now_ns, state.active, state.reactive
    lead = reactive if active.renewed_ns is None and reactive.renewed_ns is not None else active
    return PlantResult(
        active_power_w=active_w,
        reactive_power_var=reactive_var,
        apparent_power_va=apparent_va,
        power_factor_ratio=active_w / apparent_va if apparent_va > _NO_POWER_RATIO * plant.poi.apparent_va else 1.0,
        frequency_hz=sample.frequency_hz,
        voltage_v=sample.voltage_v,
        pcs_power_w=pcs_w,
        auxiliary_power_w=_auxiliary_w(state, facts),
        energy_out_wh=energy_out_wh,
        energy_in_wh=energy_in_wh,
        discharge_power_available_w=min(power.available_w[DISCHARGE], state.export_limits.lowest_w),
        charge_power_available_w=min(power.available_w[CHARGE], state.import_limits.lowest_w),
        discharge_power_sustained_15min_w=sustained[0][DISCHARGE],
        charge_power_sustained_15min_w=sustained[0][CHARGE],
        discharge_power_sustained_60min_w=sustained[1][DISCHARGE],
        charge_power_sustained_60min_w=sustained[1][CHARGE],
        energy_to_discharge_wh=energy_wh[DISCHARGE],
        energy_to_charge_wh=energy_wh[CHARGE],
        soc_ratio=account.soc_ratio,
        soc_installed_ratio=account.soc_installed_ratio,
        soh_ratio=account.soh_ratio,
        racks_installed=len(plant.racks),
        racks_connected=int(racks.contactor_closed.sum()),
        racks_available=int(racks.available.sum()),
        operating_state=PLANT_OPERATING_STATES[memory.sequence],
        sequence_state=memory.sequence,
        mode=lead.mode,
        control_owner=state.lease.owner_at(now_ns),
        tripped=_is_tripped(state, facts),
        limit_reason=power.reason,
        scada_heartbeat=memory.scada_heartbeat,
        active_power_setpoint_w=active.requested,
        reactive_power_setpoint_var=reactive.requested,
        active_power_accepted_w=active.accepted,
        reactive_power_accepted_var=reactive.accepted,
        active_power_in_effect_w=power.active_in_effect_w,
        reactive_power_in_effect_var=power.reactive_in_effect_var,
        setpoint_remaining_s=lead.remaining_s(now_ns),
        setpoint_source=SetpointSource.STOP if memory.fast_stop else lead.source,
        export_limit_w=state.export_limits.lowest_w,
        import_limit_w=state.import_limits.lowest_w,
    )


_NAN_2 = (math.nan, math.nan)
_NO_POWER_RATIO = 1e-3


def _at_poi(plant: Plant, facts: Facts, pcs_w: float) -> tuple[float, float]:
    """Return P and Q at the POI: the meter's, or without a meter the sum of the converters."""
    if plant.poi.meter >= 0:
        return facts.sample.active_w, facts.sample.reactive_var
    return pcs_w, float(facts.measured.pcs_reactive_power_var.sum())


def _auxiliary_w(state: ControlState, facts: Facts) -> float:
    """Return the auxiliaries' metered power, or their nominal power where nothing meters them."""
    meters = state.relations.auxiliary_meters
    if not meters:
        return state.relations.auxiliary_nominal_w
    return abs(sum(float(facts.measured.meter[0, m]) for m in meters))


def _capped(state: ControlState, sustained: FloatArray) -> list[list[float]]:
    """Return [time][direction], never above the limits at the POI."""
    caps = np.array([state.import_limits.lowest_w, state.export_limits.lowest_w])
    capped: list[list[float]] = np.minimum(sustained, caps).tolist()
    return capped


def _is_tripped(state: ControlState, facts: Facts) -> bool:
    protection = facts.protection
    latched = protection.plant_stop or state.plant.fast_stop or state.plant.sequence is PlantState.TRIPPED
    if latched or PcsSequenceState.TRIPPED in state.pcs.sequence:
        return True
    return bool(protection.pcs_stop.any() or protection.block_stop.any())


def _conditions(arrays: PlantArrays, state: ControlState, facts: Facts) -> dict[str, BoolArray]:
    """Return every condition of `controller.control.conditions`, per equipment."""
    racks, pcs, memory, converters = state.racks, state.pcs, state.plant, facts.converters
    sequences = np.array(pcs.sequence, np.int64)
    waiting = racks.sequence == RackSequenceState.WAITING_FOR_VOLTAGE
    rated_a = state.relations.bus_of_rack @ arrays.rack_discharge_current_max_a
    conditions = {
        "rack.connect_failed": racks.connect_failed,
        "rack.disconnect_failed": racks.sequence == RackSequenceState.DISCONNECT_FAILED,
        "rack.voltage_apart": waiting & (state.now_ns - racks.entered_ns > 1_000_000_000),
        "rack.opened_by_itself": racks.opened_by_itself,
        "rack.limits_lost": facts.carry.lost & arrays.rack_in_service,
        "rack.open_with_current": facts.racks.open_with_current,
        "bus.circulating_current": facts.buses.circulating_a > CIRCULATING_RATIO * rated_a,
        "pcs.power_excess": facts.findings.excess_alarm,
        "pcs.breaker_request": facts.findings.breaker_request,
        "pcs.limits_itself": facts.findings.limits_itself,
        "pcs.not_armed": (sequences == PcsSequenceState.ARMING) & ~converters.armed,
        "pcs.start_failed": pcs.start_failed,
        "pcs.stop_failed": pcs.stop_failed,
        "pcs.stopped_by_itself": pcs.stopped_by_itself,
        "pcs.runs_unasked": converters.runs & (sequences == PcsSequenceState.OFF),
        "pcs.write_failed": facts.pcs_conditions.write_failed,
        "plant.setpoint_ran_out": _one(yes=state.active.ran_out or state.reactive.ran_out),
        "plant.fast_stop": _one(yes=bool(memory.fast_stop)),
        "plant.poi_loop_frozen": _one(yes=facts.frozen),
        "plant.start_incomplete": _one(yes=memory.start_incomplete),
    }
    assert conditions.keys() == CONDITIONS.keys()
    return conditions


def _one(*, yes: bool) -> BoolArray:
    return np.array([yes])
