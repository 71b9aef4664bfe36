"""The result of a scan, put together from its parts: what the faces show and what the alarm room is told."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.accounting import EnergyAccount
from controller.control.commands import Reply
from controller.control.desk import Forwarded
from controller.control.events import Event
from controller.control.inputs import Estimate, ProtectionOrders
from controller.control.limits.buses import BusLimits
from controller.control.limits.pcs import PcsConditions, PcsLimits
from controller.control.limits.racks import RackLimits
from controller.control.limits.reasons import NOWHERE, cause_of
from controller.control.measurements import Measurements
from controller.control.mismatch import MismatchFindings
from controller.control.permissives import available_racks
from controller.control.poi import GRID_OUTSIDE_AFTER_S, MISSED_AFTER_S, UNKNOWN_AFTER_S, PoiSample
from controller.control.power import PowerResult, resting_reason
from controller.control.qualities import Grounds, Qualities, qualities_of
from controller.control.racks import operating_states, waits_for_voltage
from controller.control.relations import CHARGE, DISCHARGE
from controller.control.report.result import BlockResult, BusResult, ControlResult, PcsResult, PlantResult, RackResult
from controller.control.sequences.pcs import OPERATING_STATES as PCS_OPERATING_STATES
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.sequences.plant import OPERATING_STATES as PLANT_OPERATING_STATES
from controller.control.sequences.plant import PlantState
from controller.control.sequences.rack import RackSequenceState
from controller.control.sequences.states import OperatingState
from controller.control.setpoints import SetpointSource
from controller.control.state import ControlState
from controller.control.status import PcsStatus, RackStatus, Shown
from controller.image.image import Image
from controller.image.masks import anywhere
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

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


class Facts(NamedTuple):
    """The parts of one scan."""

    measured: Measurements
    protection: ProtectionOrders
    estimate: Estimate
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


class Said(NamedTuple):
    """What was said in a scan: replies, events, and what goes to other rooms."""

    replies: tuple[Reply, ...]
    events: tuple[Event, ...]
    forwarded: Forwarded


def report(
    plant: Plant, arrays: PlantArrays, state: ControlState, image: Image, facts: Facts, said: Said
) -> ControlResult:
    """Return the result of a scan."""
    shown = _shown(plant, arrays, state, facts)
    qualities = _qualities(plant, arrays, state, image, facts)
    way = DISCHARGE if facts.power.active_in_effect_w >= 0.0 else CHARGE
    return ControlResult(
        racks=_racks(state, image, facts, shown, way),
        buses=BusResult(
            voltage_v=facts.buses.voltage_v,
            charge_power_allowed_w=facts.buses.power_w[CHARGE],
            discharge_power_allowed_w=facts.buses.power_w[DISCHARGE],
            limit_reason=facts.buses.reason[way],
        ),
        pcs=PcsResult(
            active_power_command_w=state.pcs.command_w,
            reactive_power_command_var=state.pcs.command_var,
            charge_power_allowed_w=facts.may.allowed_w[CHARGE],
            discharge_power_allowed_w=facts.may.allowed_w[DISCHARGE],
            operating_state=shown.pcs_operating_state,
            sequence_state=shown.pcs_sequence_state,
            limit_reason=facts.may.reason[way],
            limit_cause=cause_of(facts.may.reason[way], facts.may.place[way]),
            available=shown.pcs_available,
        ),
        blocks=BlockResult(
            active_power_w=_block_power_w(state, facts),
            soc_ratio=facts.account.block_soc_ratio,
            operating_state=shown.block_operating_state,
            racks_connected=shown.block_racks_connected,
        ),
        plant=_plant(plant, state, facts, shown),
        quality=qualities.of_equipment,
        plant_quality=qualities.of_plant,
        outputs=state.outputs,
        withhold_heartbeat=(state.pcs.stop_failed & facts.converters.stop) | shown.pcs_lost,
        conditions=_conditions(arrays, state, facts),
        condition_values={
            "plant.poi_limit_broken": facts.sample.active_w,
            "plant.grid_voltage": facts.sample.voltage_v,
            "plant.grid_frequency": facts.sample.frequency_hz,
        },
        controlled_w=facts.power.controlled_w,
        uncontrolled=facts.power.uncontrolled,
        active_clips=facts.power.active_clips,
        reactive_clips=facts.power.reactive_clips,
        replies=said.replies,
        forwarded=said.forwarded,
        events=said.events,
    )


def _qualities(plant: Plant, arrays: PlantArrays, state: ControlState, image: Image, facts: Facts) -> Qualities:
    """Return the qualities; worked out anew only when one that they rest on has changed."""
    assert state.reader is not None, "the image has been read"
    tripped = _is_tripped(state, facts)
    key = (state.reader.qualities, facts.estimate.quality.tobytes(), facts.racks, tripped)
    if state.qualities is None or key != state.qualities_key:
        grounds = Grounds(plant, arrays, state.relations, image, facts.racks, facts.estimate.quality, tripped)
        state.qualities_key, state.qualities = key, qualities_of(grounds, PlantResult._fields)
    return state.qualities


def _block_power_w(state: ControlState, facts: Facts) -> FloatArray:
    """Sum of each block's converters; NaN where one of them is unknown."""
    measured_w, of_block = facts.measured.pcs_active_power_w, state.relations.block_of_pcs
    unknown = np.isnan(measured_w)
    if anywhere(unknown):
        return np.where(of_block.dot(unknown) > 0.0, np.nan, of_block.dot(np.where(unknown, 0.0, measured_w)))
    power_w: FloatArray = of_block.dot(measured_w)
    return power_w


def _racks(state: ControlState, image: Image, facts: Facts, shown: Shown, way: int) -> RackResult:
    measured, carry = facts.measured, facts.carry
    time_ns = image["rack.current"].time_ns
    age_s: FloatArray = np.multiply(state.now_ns - time_ns, 1e-9, dtype=np.float64)
    if not measured.rack_all_usable:
        age_s[time_ns <= 0] = np.nan
    return RackResult(
        power_w=measured.rack_voltage_v * measured.rack_current_a,
        data_age_s=age_s,
        charge_current_allowed_a=carry.allowed_a[CHARGE],
        discharge_current_allowed_a=carry.allowed_a[DISCHARGE],
        operating_state=shown.rack_operating_state,
        limit_reason=carry.reason[way],
        contactor_closed=facts.racks.closed,
        available=shown.rack_available,
        locked_out=facts.racks.locked_out,
    )


def _shown(plant: Plant, arrays: PlantArrays, state: ControlState, facts: Facts) -> Shown:
    """Return states and counts; worked out anew only when a fact has changed."""
    key = (facts.racks, facts.converters, tuple(state.pcs.sequence), facts.pcs_conditions.write_failed.tobytes())
    if state.shown is not None and state.shown.key == key:
        return state.shown
    sequences = state.pcs.sequence
    pcs_states = [PCS_OPERATING_STATES[s] for s in sequences]
    bus_runs = state.relations.bus_of_pcs @ facts.pcs_conditions.running > 0.0
    known = state.racks.sequence != int(RackSequenceState.UNKNOWN)
    rack_available = known & available_racks(arrays, state, facts.racks.tripped)
    well = np.array([s not in _NOT_AVAILABLE for s in sequences], np.bool_)
    of_block = [{s for p, s in zip(plant.pcs, pcs_states, strict=True) if p.block == b.index} for b in plant.blocks]
    state.shown = Shown(
        key=key,
        rack_operating_state=operating_states(arrays, state, facts.racks, bus_runs),
        rack_available=rack_available,
        pcs_operating_state=np.array(pcs_states, np.int32),
        pcs_sequence_state=np.array(sequences, np.int32),
        pcs_lost=np.array([s is PcsSequenceState.LOST for s in sequences], np.bool_),
        pcs_available=well & ~facts.converters.stop & ~facts.pcs_conditions.write_failed & arrays.pcs_in_service,
        block_operating_state=np.array([_first_of(states) for states in of_block], np.int32),
        block_racks_connected=(state.relations.block_of_rack @ facts.racks.closed).astype(np.int64),
        racks_connected=int(facts.racks.closed.sum()),
        racks_available=int(rack_available.sum()),
    )
    return state.shown


_NOT_AVAILABLE = frozenset(
    {PcsSequenceState.UNKNOWN, PcsSequenceState.LOST, PcsSequenceState.TRIPPED, PcsSequenceState.OUT_OF_SERVICE}
)


def _first_of(states: set[OperatingState]) -> OperatingState:
    return next((s for s in _BLOCK_PRIORITY if s in states), OperatingState.UNKNOWN)


def _plant(plant: Plant, state: ControlState, facts: Facts, shown: Shown) -> PlantResult:
    """Every value of the plant that control knows."""
    power, account, memory, sample = facts.power, facts.account, state.plant, facts.sample
    pcs_w = float(sum(facts.measured.pcs_active_power_w.tolist()))
    active_w, reactive_var = _at_poi(plant, facts, pcs_w)
    apparent_va = math.hypot(active_w, reactive_var)
    sustained_w = [_capped(state, both_w) for both_w in account.sustained_w]
    available_w = _capped(
        state, (min(power.available_w[0], account.possible_w[0]), min(power.available_w[1], account.possible_w[1]))
    )
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
        auxiliary_power_w=sample.auxiliary_w,
        energy_out_wh=energy_out_wh,
        energy_in_wh=energy_in_wh,
        discharge_power_available_w=available_w[DISCHARGE],
        charge_power_available_w=available_w[CHARGE],
        discharge_power_sustained_15min_w=sustained_w[0][DISCHARGE],
        charge_power_sustained_15min_w=sustained_w[0][CHARGE],
        discharge_power_sustained_60min_w=sustained_w[1][DISCHARGE],
        charge_power_sustained_60min_w=sustained_w[1][CHARGE],
        energy_to_discharge_wh=account.energy_wh[DISCHARGE],
        energy_to_charge_wh=account.energy_wh[CHARGE],
        soc_ratio=account.soc_ratio,
        soc_installed_ratio=account.soc_installed_ratio,
        soh_ratio=account.soh_ratio,
        racks_installed=len(plant.racks),
        racks_connected=shown.racks_connected,
        racks_available=shown.racks_available,
        operating_state=PLANT_OPERATING_STATES[memory.sequence],
        sequence_state=memory.sequence,
        mode=lead.mode,
        control_owner=state.lease.owner_at(now_ns),
        tripped=_is_tripped(state, facts),
        limit_reason=power.reason or resting_reason(state),
        limit_cause=power.cause if power.reason else cause_of(resting_reason(state), NOWHERE),
        scada_heartbeat=memory.scada_heartbeat,
        active_power_setpoint_w=active.requested,
        reactive_power_setpoint_var=reactive.requested,
        active_power_accepted_w=active.accepted,
        reactive_power_accepted_var=reactive.accepted,
        active_power_in_effect_w=power.active_in_effect_w,
        reactive_power_in_effect_var=power.reactive_in_effect_var,
        setpoint_remaining_s=lead.remaining_s(now_ns),
        active_setpoint_remaining_s=active.remaining_s(now_ns),
        reactive_setpoint_remaining_s=reactive.remaining_s(now_ns),
        setpoint_source=SetpointSource.STOP if memory.fast_stop else lead.source,
        export_limit_w=state.export_limits.lowest_w,
        import_limit_w=state.import_limits.lowest_w,
        export_limit_remaining_s=state.export_limits.remaining_s(now_ns),
    )


_NAN_2 = (math.nan, math.nan)
_NO_POWER_RATIO = 1e-3


def _at_poi(plant: Plant, facts: Facts, pcs_w: float) -> tuple[float, float]:
    """Return P and Q at the POI: the meter's, or without a meter the sum of the converters."""
    if plant.poi.meter >= 0:
        return facts.sample.active_w, facts.sample.reactive_var
    return pcs_w, float(facts.measured.pcs_reactive_power_var.sum())


def _capped(state: ControlState, both_w: tuple[float, float]) -> tuple[float, float]:
    """Return (charge, discharge), never above the limits at the POI."""
    return min(both_w[CHARGE], state.import_limits.lowest_w), min(both_w[DISCHARGE], state.export_limits.lowest_w)


def _is_tripped(state: ControlState, facts: Facts) -> bool:
    protection = facts.protection
    latched = protection.plant_stop or state.plant.fast_stop or state.plant.sequence is PlantState.TRIPPED
    if latched or PcsSequenceState.TRIPPED in state.pcs.sequence:
        return True
    return anywhere(protection.pcs_stop) or anywhere(protection.block_stop)


def _conditions(arrays: PlantArrays, state: ControlState, facts: Facts) -> dict[str, BoolArray]:
    """Return every condition of `control.report.conditions`, per equipment; the same while nothing changes."""
    memory, findings, limited = state.plant, facts.findings, facts.pcs_conditions
    settled = facts.racks is state.racks.settled and facts.converters is state.pcs.settled
    quiet = settled and facts.carry.lost is None
    key = (
        quiet,
        facts.racks,
        facts.converters,
        findings,
        limited.write_failed.tobytes(),
        state.active.misses_its_master or state.reactive.misses_its_master,
        state.scada_is_silent,
        memory.fast_stop,
        memory.start_incomplete,
        facts.frozen,
        _poi_is_missed(state),
        state.witness.is_told,
        state.guard.is_broken,
        _poi_is_unknown(state),
    )
    if not quiet or key != state.conditions_key:
        state.conditions_key, state.conditions = key, _standing_conditions(arrays, state, facts)
    return {
        **state.conditions,
        "bus.circulating_current": facts.buses.circulating_a > state.relations.bus_circulating_max_a,
        "rack.current_sign_wrong": state.racks.balance.wrong,
        "pcs.reading_wrong": findings.reading_wrong | state.racks.balance.turned,
        "rack.voltage_wrong": state.racks.voltages.racks_apart,
        "pcs.voltage_wrong": state.racks.voltages.pcs_apart,
        **_grid_outside(state),
        "rack.left_out": _racks_left_out(arrays, state, facts.racks),
        "pcs.left_out": _pcs_left_out(arrays, state),
    }


def _banks_opened(arrays: PlantArrays, state: ControlState) -> BoolArray:
    """Return which banks have opened all racks that are in service, of several [N]."""
    of_bank, banks = state.relations.rack_bank, len(state.outputs["bank.connect_request"].value)
    serve = arrays.rack_in_service & (of_bank >= 0)
    in_service = np.bincount(of_bank[serve], minlength=banks)
    opened = np.bincount(of_bank[serve & state.racks.opened_by_itself], minlength=banks)
    all_opened: BoolArray = (opened == in_service) & (opened > 1)
    return all_opened


def _grid_outside(state: ControlState) -> dict[str, BoolArray]:
    """Voltage and frequency outside their windows for a second; at once where a converter has stopped by itself."""
    after_s = 0.0 if _stopped_by_itself(state).any() else GRID_OUTSIDE_AFTER_S
    of_voltage_s, of_frequency_s = state.grid_s
    return {
        "plant.grid_voltage": _one(yes=of_voltage_s > after_s),
        "plant.grid_frequency": _one(yes=of_frequency_s > after_s),
    }


def _stopped_by_itself(state: ControlState) -> BoolArray:
    return state.pcs.stopped_by_itself | np.array([s is PcsSequenceState.TRIPPED for s in state.pcs.sequence], np.bool_)


LEFT_OUT_AFTER_NS = 30_000_000_000


def _racks_left_out(arrays: PlantArrays, state: ControlState, status: RackStatus) -> BoolArray:
    """The plant runs, and a rack stands open though nothing keeps it from being asked and nobody wanted it so."""
    memory = state.racks
    away = memory.sequence == int(RackSequenceState.DISCONNECTED)
    if state.plant.sequence is not PlantState.RUNNING or not anywhere(away):
        return np.zeros(len(away), np.bool_)
    kept = status.tripped | status.locked_out | ~arrays.rack_in_service | memory.left_by_request
    since_ns = np.maximum(memory.entered_ns, state.plant.entered_ns)
    left_out: BoolArray = away & ~kept & (state.now_ns - since_ns > LEFT_OUT_AFTER_NS)
    return left_out


def _pcs_left_out(arrays: PlantArrays, state: ControlState) -> BoolArray:
    """The plant runs, and a converter in service does not, or allows nothing itself."""
    memory, plant_ns = state.pcs, state.plant.entered_ns
    if state.plant.sequence is not PlantState.RUNNING:
        return np.zeros(len(memory.sequence), np.bool_)
    columns = memory.sequence, memory.entered_ns, memory.held.allows_ns.tolist()
    late = [
        state.now_ns - max(entered_ns, plant_ns, allows_ns if s in _AT_WORK else 0) > LEFT_OUT_AFTER_NS
        for s, entered_ns, allows_ns in zip(*columns, strict=True)
    ]
    left_out: BoolArray = np.array(late, np.bool_) & arrays.pcs_in_service
    return left_out


_AT_WORK = frozenset({PcsSequenceState.ARMING, PcsSequenceState.STARTING, PcsSequenceState.RUNNING})


def _standing_conditions(arrays: PlantArrays, state: ControlState, facts: Facts) -> dict[str, BoolArray]:
    """Copies, so that the result of a scan stays what it was."""
    racks, pcs, memory, converters = state.racks, state.pcs, state.plant, facts.converters
    sequences = np.array(pcs.sequence)
    waiting = waits_for_voltage(state, facts.protection)
    lost = np.zeros(len(waiting), np.bool_) if facts.carry.lost is None else facts.carry.lost
    return {
        "rack.connect_failed": racks.connect_failed.copy(),
        "rack.disconnect_failed": racks.disconnect_failed | facts.racks.stuck,
        "rack.voltage_apart": waiting & (state.now_ns - racks.entered_ns > 1_000_000_000),
        "rack.opened_by_itself": racks.opened_by_itself.copy(),
        "bank.opened_by_itself": _banks_opened(arrays, state),
        "rack.limits_lost": lost & facts.racks.closed & arrays.rack_in_service & _connected_for_long(state),
        "rack.open_with_current": facts.racks.open_with_current,
        "pcs.power_excess": facts.findings.excess_alarm,
        "pcs.breaker_request": facts.findings.breaker_request,
        "pcs.limits_itself": facts.findings.limits_itself,
        "pcs.not_armed": (sequences == int(PcsSequenceState.ARMING)) & ~converters.armed,
        "pcs.start_failed": pcs.start_failed.copy(),
        "pcs.stop_failed": pcs.stop_failed.copy(),
        "pcs.stopped_by_itself": _stopped_by_itself(state),
        "pcs.runs_unasked": converters.runs & (sequences == int(PcsSequenceState.OFF)),
        "pcs.write_failed": facts.pcs_conditions.write_failed,
        "plant.setpoint_ran_out": _one(yes=state.active.misses_its_master or state.reactive.misses_its_master),
        "plant.scada_silent": _one(yes=state.scada_is_silent),
        "plant.fast_stop": _one(yes=bool(memory.fast_stop)),
        "plant.poi_loop_frozen": _one(yes=facts.frozen),
        "plant.poi_missed": _one(yes=_poi_is_missed(state)),
        "plant.poi_apart": _one(yes=state.witness.is_told),
        "plant.poi_limit_broken": _one(yes=state.guard.is_broken),
        "plant.poi_unknown": _one(yes=_poi_is_unknown(state)),
        "plant.start_incomplete": _one(yes=memory.start_incomplete),
    }


def _connected_for_long(state: ControlState) -> BoolArray:
    """Longer than limits may be unknown: those of a rack that was only just found or connected are on their way."""
    long: BoolArray = state.now_ns - state.racks.entered_ns > state.relations.rack_limit_grace_ns
    return long


def _poi_is_missed(state: ControlState) -> bool:
    return max(state.active_loop.missed_s, state.reactive_loop.missed_s) > MISSED_AFTER_S


def _poi_is_unknown(state: ControlState) -> bool:
    """Of what the POI meter serves; a plant without one is never asked."""
    if state.relations.poi_meter < 0:
        return False
    reactive_s = state.reactive_loop.unknown_s if state.relations.poi_tells_reactive else 0.0
    return max(state.active_loop.unknown_s, reactive_s) > UNKNOWN_AFTER_S


def _one(*, yes: bool) -> BoolArray:
    return _YES if yes else _NO


_YES, _NO = np.array([True]), np.array([False])
