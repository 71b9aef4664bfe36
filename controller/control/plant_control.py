"""The plant's sequence stepped: what a start, a stop and an adoption ask of racks, converters and set-points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.events import Event, sequence_changed
from controller.control.inputs import ProtectionOrders
from controller.control.measurements import Measurements
from controller.control.permissives import held_by_bank, must_stay_open
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.sequences.plant import AT_REST, PlantInputs, PlantState, next_state
from controller.control.sequences.rack import RackSequenceState, Wanted
from controller.control.state import ControlState, PlantMemory
from controller.control.status import PcsStatus, RackStatus
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant
from controller.plant.signals import Owner

AT_ZERO_RATIO = 0.02
RAMP_DOWN_MARGIN_S = 5.0

_ON_THE_WAY = frozenset(
    {PcsSequenceState.OFF, PcsSequenceState.ARMING, PcsSequenceState.STARTING, PcsSequenceState.STOPPING}
)
_STEADY = frozenset({PlantState.RUNNING, PlantState.STANDBY, *AT_REST})
_STOPPED = frozenset(
    {PcsSequenceState.OFF, PcsSequenceState.TRIPPED, PcsSequenceState.OUT_OF_SERVICE, PcsSequenceState.UNKNOWN}
)


def step_plant(
    plant: Plant,
    arrays: PlantArrays,
    state: ControlState,
    measured: Measurements,
    protection: ProtectionOrders,
    racks: RackStatus,
    converters: PcsStatus,
    now_ns: int,
) -> list[Event]:
    """Step the plant's sequence; set what racks and converters shall become."""
    memory = state.plant
    before = memory.sequence
    asked = memory.start_requested or memory.stop_requested
    if before in _STEADY and not asked and _is_settled(memory, racks, converters):
        return []
    inputs = _inputs(plant, arrays, state, measured, protection, racks, converters, now_ns)
    after = next_state(before, inputs)
    memory.start_requested = memory.stop_requested = False
    if after is before:
        if inputs.start and before is PlantState.RUNNING:
            _want_racks(arrays, state, racks)
            _want_pcs(arrays, state, converters)
        memory.settled = racks, converters
        return []
    memory.sequence, memory.entered_ns = after, now_ns
    _enter(arrays, state, racks, converters, before)
    return [sequence_changed(Owner.PLANT, 0, before, memory.sequence)]


def _is_settled(memory: PlantMemory, racks: RackStatus, converters: PcsStatus) -> bool:
    """Whether nothing moved in the last scan, and nothing has changed since."""
    return memory.settled == (racks, converters)


def _inputs(
    plant: Plant,
    arrays: PlantArrays,
    state: ControlState,
    measured: Measurements,
    protection: ProtectionOrders,
    racks: RackStatus,
    converters: PcsStatus,
    now_ns: int,
) -> PlantInputs:
    memory, settings = state.plant, plant.control
    sequences, wanted = state.pcs.sequence, state.pcs.wanted.tolist()
    running = [s is PcsSequenceState.RUNNING for s in sequences]
    held = [s is PcsSequenceState.LOST and w for s, w in zip(sequences, wanted, strict=True)]
    with_racks = zip(sequences, wanted, converters.has_racks.tolist(), strict=True)
    pending = [s in _ON_THE_WAY and w and has for s, w, has in with_racks]
    return PlantInputs(
        start=memory.start_requested,
        stop=memory.stop_requested,
        stopped=memory.stopped,
        fast_stop=bool(memory.fast_stop),
        trip=bool(protection.plant_stop),
        any_in_service=bool(arrays.pcs_in_service.any()),
        all_known=_all_known(arrays, state),
        racks_settled=_racks_settled(state),
        any_rack_connected=bool(racks.closed.any()),
        pcs_settled=not any(pending),
        any_pcs_running=any(running) or any(held),
        any_pcs_standby=PcsSequenceState.STANDBY in sequences,
        all_pcs_stopped=all(s in _STOPPED for s in sequences),
        at_zero=_is_at_zero(state, measured),
        in_state_s=(now_ns - memory.entered_ns) * 1e-9,
        start_timeout_s=settings.start_timeout_s,
        ramp_down_s=plant.poi.power_w / max(settings.ramp_w_per_s, 1.0) + RAMP_DOWN_MARGIN_S,
    )


def _all_known(arrays: PlantArrays, state: ControlState) -> bool:
    """Every converter and every rack in service has been read."""
    unread = arrays.rack_in_service & (state.racks.sequence == int(RackSequenceState.UNKNOWN))
    return not unread.any() and PcsSequenceState.UNKNOWN not in state.pcs.sequence


def _racks_settled(state: ControlState) -> bool:
    """No rack is asked to connect and still on its way; unknown ones are waited for."""
    return not bool(np.any(state.racks.wanted == Wanted.CONNECTED))


def _is_at_zero(state: ControlState, measured: Measurements) -> bool:
    """Commanded zero, and no known power left; an unknown power does not hold up a stop."""
    if state.plant.in_effect_w != 0.0:
        return False
    return not bool(np.any(np.abs(measured.pcs_active_power_w) > AT_ZERO_RATIO * state.relations.pcs_rated_w))


def _enter(
    arrays: PlantArrays, state: ControlState, racks: RackStatus, converters: PcsStatus, before: PlantState
) -> None:
    memory = state.plant
    match memory.sequence:
        case PlantState.CONNECTING_RACKS:
            _clear_setpoints(state)
            _want_racks(arrays, state, racks)
        case PlantState.STARTING_PCS:
            _want_pcs(arrays, state, converters)
        case PlantState.RUNNING:
            memory.auto_start_done = True
            wishes = state.racks.connect_failed | (state.racks.wanted == Wanted.CONNECTED)
            memory.start_incomplete = bool(state.pcs.start_failed.any() or wishes.any())
        case PlantState.RAMPING_DOWN | PlantState.STANDBY:
            _clear_setpoints(state)
        case _:
            _clear_setpoints(state)
            state.pcs.wanted[:] = False
            state.racks.wanted[state.racks.wanted == Wanted.CONNECTED] = Wanted.LEAVE
            memory.in_effect_w = memory.in_effect_var = 0.0
            memory.start_incomplete = memory.start_incomplete and before not in AT_REST


def _clear_setpoints(state: ControlState) -> None:
    state.active.clear()
    state.reactive.clear()


def _want_racks(arrays: PlantArrays, state: ControlState, racks: RackStatus) -> None:
    """Ask for every rack that may connect and has not; unknown ones are asked for too, once they are known."""
    memory = state.racks
    away = (memory.sequence == RackSequenceState.DISCONNECTED) | (memory.sequence == RackSequenceState.UNKNOWN)
    barred = must_stay_open(arrays, state, racks.tripped)
    barred |= held_by_bank(state, barred) | ~state.relations.rack_requestable
    chosen = away & ~barred & (memory.wanted != Wanted.DISCONNECTED)
    memory.wanted[chosen] = Wanted.CONNECTED
    memory.connect_failed[chosen] = False


def _want_pcs(arrays: PlantArrays, state: ControlState, converters: PcsStatus) -> None:
    """Wish that every converter runs, whatever it does now, but for those that wait for a person."""
    sequences: NDArray[np.int64] = np.array(state.pcs.sequence, np.int64)
    chosen = arrays.pcs_in_service & ~converters.stop_stays & (sequences != PcsSequenceState.TRIPPED)
    state.pcs.wanted[chosen] = True
    state.pcs.start_failed[chosen] = False
