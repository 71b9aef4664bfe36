"""The racks of the plant: what is known of their contactors, and their sequences where something moves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.events import Event, sequence_changed
from controller.control.inputs import ProtectionOrders
from controller.control.limits.buses import BusLimits, connections_of
from controller.control.limits.racks import standing_candidates
from controller.control.measurements import Measurements
from controller.control.open_racks import Sampled
from controller.control.relations import FLOWING_RATIO
from controller.control.sequences.rack import MOVING, RackInputs, RackSequenceState, Wanted, next_state
from controller.control.sequences.states import OperatingState
from controller.control.state import ControlState
from controller.control.status import RackStatus
from controller.image.masks import anywhere
from controller.image.outputs import Requests, WriteState
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant
from controller.plant.signals import ConnectRequest, ContactorState, Owner

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

BREAK_RATIO = 0.9
INRUSH_RATIO = 0.5
"""Equalising current that connecting may cause, of the rated current."""

_CLOSED, _UNKNOWN = int(ContactorState.CLOSED), int(ContactorState.UNKNOWN)
_UNLOADING = int(RackSequenceState.UNLOADING)
_IS_MOVING = np.array([s in MOVING for s in RackSequenceState], np.bool_)
_OPERATING = np.array(
    [
        OperatingState.UNKNOWN,
        OperatingState.OFF,
        OperatingState.STARTING,
        OperatingState.STARTING,
        OperatingState.RUNNING,
        OperatingState.STOPPING,
        OperatingState.STOPPING,
        OperatingState.STOPPING,
    ],
    np.int32,
)


def observe_racks(
    arrays: PlantArrays, state: ControlState, measured: Measurements, protection: ProtectionOrders
) -> RackStatus:
    """Return the racks' status; worked out anew only when one of the facts it rests on has changed."""
    memory = state.racks
    np.copyto(memory.contactor, measured.contactor, where=measured.contactor_fresh)
    flowing = np.abs(measured.rack_current_a) > state.relations.rack_flowing_a
    tripped = protection.rack_trip | measured.rack_tripped
    must_be_open = tripped | state.locked_out() if state.lock_outs else tripped
    contactor = Sampled(memory.contactor, measured.contactor_time_ns)
    memory.opened.watch(contactor, Sampled(flowing, measured.rack_current_time_ns), must_be_open)
    facts = (
        measured.contactor.tobytes(),
        measured.contactor_fresh.tobytes(),
        measured.rack_tripped.tobytes(),
        flowing.tobytes(),
        memory.opened.welded.tobytes(),
        memory.opened.stuck.tobytes(),
        protection.rack_trip.tobytes(),
        protection.rack_disconnect.tobytes(),
        protection.inhibit_charge.tobytes(),
        protection.inhibit_discharge.tobytes(),
        memory.sequence.tobytes(),
        memory.wanted.tobytes(),
        tuple(state.lock_outs),
    )
    if facts == memory.facts and memory.status is not None:
        return memory.status
    memory.facts, memory.status = facts, _status(arrays, state, measured, protection, flowing)
    return memory.status


def _status(
    arrays: PlantArrays,
    state: ControlState,
    measured: Measurements,
    protection: ProtectionOrders,
    flowing: BoolArray,
) -> RackStatus:
    """A rack whose contactors are unknown counts as on its bus, unless it is out of service."""
    memory, relations = state.racks, state.relations
    closed = memory.contactor == _CLOSED
    unknown = (memory.contactor == _UNKNOWN) & arrays.rack_in_service
    tripped = protection.rack_trip | measured.rack_tripped
    locked_out = state.locked_out()
    must_leave = protection.rack_disconnect | locked_out
    gone = memory.sequence == int(RackSequenceState.DISCONNECTED)
    memory.wanted[must_leave & ~gone] = Wanted.DISCONNECTED
    memory.wanted[must_leave & gone] = Wanted.LEAVE  # a wish that outlived the trip would bar the next start
    _take_bank_along(state)
    unloading = memory.sequence == _UNLOADING
    forbidden = np.stack([protection.inhibit_charge | tripped, protection.inhibit_discharge | tripped])
    return RackStatus(
        closed=closed,
        tripped=tripped,
        locked_out=locked_out,
        open_with_current=memory.opened.welded,
        stuck=memory.opened.stuck,
        connections=connections_of(relations, arrays, closed | unknown | flowing | memory.opened.welded, unloading),
        candidates=standing_candidates(relations, forbidden),
    )


def _take_bank_along(state: ControlState) -> None:
    """Racks that are reached only through their bank leave together."""
    memory, relations = state.racks, state.relations
    shared = relations.rack_shares_request
    leaving = shared & (memory.wanted == Wanted.DISCONNECTED)
    if anywhere(leaving):
        of_bank = np.isin(relations.rack_bank, relations.rack_bank[leaving])
        there = memory.sequence != int(RackSequenceState.DISCONNECTED)
        memory.wanted[shared & of_bank & there] = Wanted.DISCONNECTED


def step_racks(
    plant: Plant,
    arrays: PlantArrays,
    state: ControlState,
    measured: Measurements,
    protection: ProtectionOrders,
    buses: BusLimits,
    status: RackStatus,
) -> list[Event]:
    """Step the sequences of the racks for which something has changed or is under way; ask the BMSs."""
    memory = state.racks
    if status is memory.settled:
        return []
    seen = memory.contactor + 8 * memory.wanted.astype(np.int64) + 64 * measured.contactor_fresh
    look = (seen != memory.seen) | _IS_MOVING[memory.sequence]
    memory.seen[:] = seen
    if not anywhere(look):
        memory.settled = status
        return []
    reference_v = _references_v(state, arrays, measured, buses)
    scene = _Scene(plant, arrays, state, measured, protection, buses, status, reference_v)
    return [event for rack in np.flatnonzero(look).tolist() for event in _step(scene, rack)]


@dataclass(frozen=True, slots=True)
class _Scene:
    plant: Plant
    arrays: PlantArrays
    state: ControlState
    measured: Measurements
    protection: ProtectionOrders
    buses: BusLimits
    status: RackStatus
    reference_v: FloatArray  # [B] what a rack's voltage must be close to


def _step(scene: _Scene, rack: int) -> list[Event]:
    memory = scene.state.racks
    before = RackSequenceState(int(memory.sequence[rack]))
    after = next_state(before, _inputs(scene, rack))
    if after is before:
        return []
    memory.sequence[rack] = after
    memory.entered_ns[rack] = scene.state.now_ns
    memory.seen[rack] = -1  # look again in the next scan
    _enter(scene, rack, before, after)
    if before is RackSequenceState.UNKNOWN:  # seen for the first time, or again: nothing has happened
        return []
    return [sequence_changed(Owner.RACK, rack, before, after)]


def _inputs(scene: _Scene, rack: int) -> RackInputs:
    memory, measured = scene.state.racks, scene.measured
    current_a = abs(float(measured.rack_current_a[rack]))
    fresh = bool(measured.contactor_fresh[rack])
    waits = memory.sequence[rack] == RackSequenceState.WAITING_FOR_VOLTAGE
    permitted = bool(waits and not scene.protection.rack_connect_missing[rack])
    close = permitted and _is_close(scene, rack)
    return RackInputs(
        contactor=int(memory.contactor[rack]) if fresh else ContactorState.UNKNOWN,
        wanted=Wanted(int(memory.wanted[rack])),
        may_connect=close,
        apart=permitted and not close,
        unloaded=_is_unloaded(scene, rack, current_a),
        no_current=not current_a > float(scene.state.relations.rack_flowing_a[rack]),
        request_failed=_has_failed(scene.state, rack),
        in_state_s=(scene.state.now_ns - int(memory.entered_ns[rack])) * 1e-9,
        start_timeout_s=scene.plant.control.start_timeout_s,
    )


def _enter(scene: _Scene, rack: int, before: RackSequenceState, after: RackSequenceState) -> None:
    """Ask what the new state asks for, and keep what it says about the old one."""
    memory = scene.state.racks
    memory.disconnect_failed[rack] = after is RackSequenceState.DISCONNECT_FAILED or (
        before is RackSequenceState.DISCONNECT_FAILED and after is RackSequenceState.DISCONNECTING
    )
    match after:
        case RackSequenceState.CONNECTING:
            memory.connect_failed[rack] = memory.opened_by_itself[rack] = False
            _request(scene.state, rack, ConnectRequest.CONNECT)
        case RackSequenceState.DISCONNECTING:
            _request(scene.state, rack, ConnectRequest.DISCONNECT)
        case RackSequenceState.CONNECTED:
            memory.connect_failed[rack] = memory.opened_by_itself[rack] = memory.left_by_request[rack] = False
            if memory.wanted[rack] == Wanted.CONNECTED:
                memory.wanted[rack] = Wanted.LEAVE
        case RackSequenceState.DISCONNECTED:
            asked = memory.wanted[rack] == Wanted.DISCONNECTED or bool(scene.status.tripped[rack])
            memory.opened_by_itself[rack] = before is RackSequenceState.CONNECTED and not asked
            wanted = memory.wanted[rack] == Wanted.CONNECTED
            memory.connect_failed[rack] = wanted and before in _ON_THE_WAY_UP
            memory.left_by_request[rack] |= asked
            if not (wanted and before is RackSequenceState.UNKNOWN):  # a wish waits until the rack is seen
                memory.wanted[rack] = Wanted.LEAVE
        case _:
            pass


_ON_THE_WAY_UP = frozenset({RackSequenceState.WAITING_FOR_VOLTAGE, RackSequenceState.CONNECTING})


# ------------------------------------------------------------------------------------------------------------ requests


def _request_line(state: ControlState, rack: int) -> tuple[Requests, int]:
    """Return where a request to this rack goes: its own register, else its bank's."""
    bank = int(state.relations.rack_bank[rack])
    if not state.relations.rack_shares_request[rack]:
        return state.outputs["rack.connect_request"], rack
    return state.outputs["bank.connect_request"], bank


def _request(state: ControlState, rack: int, request: ConnectRequest) -> None:
    """Ask the BMS. A bank is asked once for all of its racks: while its write is under way it is not asked again."""
    state.racks.retried[rack] = False
    line, index = _request_line(state, rack)
    pending = line.state[index] == WriteState.PENDING and line.value[index] == request
    if state.relations.rack_request_served[rack] or not pending:
        line.repeat(index, float(request))


def _has_failed(state: ControlState, rack: int) -> bool:
    """Whether the request failed twice; the first failure is answered by asking again."""
    if state.racks.sequence[rack] not in {RackSequenceState.CONNECTING, RackSequenceState.DISCONNECTING}:
        return False
    line, index = _request_line(state, rack)
    if line.state[index] == WriteState.NOT_SERVED:
        return True
    if line.state[index] != WriteState.FAILED:
        return False
    if not state.racks.retried[rack]:
        state.racks.retried[rack] = True
        line.repeat(index, float(line.value[index]))
        return False
    return True


# ---------------------------------------------------------------------------------------------------- voltage, current


def _references_v(state: ControlState, arrays: PlantArrays, measured: Measurements, buses: BusLimits) -> FloatArray:
    """Bus voltage where racks are connected; else the median of the racks on their way, those already asked first."""
    reference_v = buses.voltage_v.copy()
    sequence = state.racks.sequence
    for bus in np.flatnonzero(np.isnan(reference_v)).tolist():
        for stage in (RackSequenceState.CONNECTING, RackSequenceState.WAITING_FOR_VOLTAGE):
            chosen = (arrays.rack_bus == bus) & (sequence == stage) & ~np.isnan(measured.rack_voltage_v)
            if chosen.any():
                reference_v[bus] = np.median(measured.rack_voltage_v[chosen])
                break
    return reference_v


def waits_for_voltage(state: ControlState, protection: ProtectionOrders) -> BoolArray:
    """Return which racks [R] are to connect, and protection permits it: what they wait for is the voltage."""
    waiting = state.racks.sequence == int(RackSequenceState.WAITING_FOR_VOLTAGE)
    permitted: BoolArray = waiting & (protection.rack_connect_missing == 0)
    return permitted


def _is_close(scene: _Scene, rack: int) -> bool:
    """Whether connecting would drive no more than `INRUSH_RATIO` of the rated current through the rack."""
    bus, relations = int(scene.arrays.rack_bus[rack]), scene.state.relations
    on_bus_s = float(relations.bus_of_rack[bus] @ (relations.rack_conductance_s * scene.status.closed))
    loop_ohm = 1.0 / float(relations.rack_conductance_s[rack]) + 1.0 / max(on_bus_s, 1e-3)
    inrush_a = INRUSH_RATIO * float(relations.rack_rated_a[:, rack].min())
    apart_v = abs(float(scene.measured.rack_voltage_v[rack]) - float(scene.reference_v[bus]))
    return apart_v <= inrush_a * min(loop_ohm, 2.0 / float(relations.rack_conductance_s[rack]))


def _is_unloaded(scene: _Scene, rack: int, current_a: float) -> bool:
    """Whether its contactors may open and its neighbours can take over. Unknown current: only at zero bus power."""
    if scene.state.racks.sequence[rack] not in _LEAVING:
        return False
    if scene.state.relations.rack_shares_request[rack]:  # it leaves together with the whole bank
        together = scene.arrays.rack_bus == scene.arrays.rack_bus[rack]
        return bool(np.all(_may_break(scene, together)))
    if math.isnan(current_a):
        return _bus_is_at_zero(scene, rack)
    return current_a <= BREAK_RATIO * float(scene.arrays.rack_break_current_a[rack]) and _bus_is_within(scene, rack)


_LEAVING = frozenset({RackSequenceState.UNLOADING, RackSequenceState.DISCONNECT_FAILED})


def _may_break(scene: _Scene, racks: BoolArray) -> BoolArray:
    break_a = BREAK_RATIO * scene.arrays.rack_break_current_a[racks]
    below: BoolArray = np.abs(scene.measured.rack_current_a[racks]) <= break_a
    return below


def _bus_is_within(scene: _Scene, rack: int) -> bool:
    """Whether the bus's power has come down to what its limits are without the leaving rack."""
    bus = int(scene.arrays.rack_bus[rack])
    power_w = float(np.nansum(scene.measured.pcs_active_power_w * scene.state.relations.bus_of_pcs[bus]))
    bound_w = float(scene.buses.power_w[1 if power_w > 0.0 else 0, bus])
    rated_w = float(scene.state.relations.bus_of_pcs[bus] @ scene.state.relations.pcs_rated_w)
    return abs(power_w) <= 1.05 * bound_w + FLOWING_RATIO * rated_w


def _bus_is_at_zero(scene: _Scene, rack: int) -> bool:
    bus = int(scene.arrays.rack_bus[rack])
    relations = scene.state.relations
    power_w = scene.measured.pcs_active_power_w[relations.bus_of_pcs[bus] > 0.0]
    rated_w = float(relations.bus_of_pcs[bus] @ relations.pcs_rated_w)
    return bool(np.all(np.abs(power_w) <= FLOWING_RATIO * rated_w))


# ------------------------------------------------------------------------------------------------------ what is shown


def operating_states(
    arrays: PlantArrays, state: ControlState, status: RackStatus, bus_runs: BoolArray
) -> NDArray[np.int32]:
    """Return `OperatingState` of each rack: connected without a running converter is standby; trips lie over it."""
    shown = _OPERATING[state.racks.sequence]
    shown[(shown == OperatingState.RUNNING) & ~bus_runs[arrays.rack_bus]] = OperatingState.STANDBY
    shown[status.tripped] = OperatingState.TRIPPED
    shown[status.locked_out | ~arrays.rack_in_service] = OperatingState.OUT_OF_SERVICE
    return shown
