"""The converters of the plant: their sequences, what is asked of them on entering a state, and failed writes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.events import Event, sequence_changed
from controller.control.inputs import ProtectionOrders
from controller.control.limits.buses import BusLimits
from controller.control.measurements import Measurements
from controller.control.mismatch import MismatchFindings
from controller.control.relations import Relations
from controller.control.sequences.pcs import RUNS, PcsInputs, PcsSequenceState, next_state
from controller.control.sequences.plant import PlantState
from controller.control.state import ControlState
from controller.control.status import PcsStatus
from controller.image.masks import anywhere
from controller.image.outputs import WriteState
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant
from controller.plant.signals import Owner, PcsOperation
from controller.plant.signals import PcsState as Reported

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

REPEAT_NS = 5_000_000_000
STOP_FAILED_AFTER_S = 10.0
DOUBTFUL_AFTER_NS = 3_000_000_000
"""State and power may stand in blocks that are polled one after the other."""
WATCHDOG_TOLERANCE_RATIO = 0.05
_RETRY_NS = 2_000_000_000
_FAILED, _CONFIRMED = int(WriteState.FAILED), int(WriteState.CONFIRMED)


def observe_pcs(
    arrays: PlantArrays,
    state: ControlState,
    measured: Measurements,
    buses: BusLimits,
    protection: ProtectionOrders,
    findings: MismatchFindings,
) -> PcsStatus:
    """Return the converters' status; worked out anew only when one of the facts it rests on has changed."""
    memory = state.pcs
    voltage_v = buses.voltage_v.take(arrays.pcs_bus)
    in_dc_window = (voltage_v >= arrays.pcs_dc_voltage_min_v) & (voltage_v <= arrays.pcs_dc_voltage_max_v)
    unseen = ~measured.pcs_state_fresh
    present = _are_present(state, unseen)
    doubtful = _are_doubtful(state, measured)
    facts = (
        measured.pcs_state.tobytes(),
        unseen.tobytes(),
        present.tobytes(),
        doubtful.tobytes(),
        measured.pcs_watchdog_s.tobytes(),
        in_dc_window.tobytes(),
        buses.racks.tobytes(),
        protection.pcs_stop.tobytes(),
        protection.pcs_stop_stays.tobytes(),
        protection.block_stop.tobytes(),
        protection.pcs_start_missing.tobytes(),
        protection.plant_stop,
        state.plant.fast_stop,
        findings.stop.tobytes(),
        state.racks.sequence.tobytes(),
        state.racks.opened.stuck.tobytes(),
        tuple(memory.sequence),
        memory.wanted.tobytes(),
    )
    if facts == memory.facts and memory.status is not None:
        return memory.status
    armed = _are_armed(state.relations, measured.pcs_watchdog_s)
    has_racks = (buses.racks > 0.0)[arrays.pcs_bus]
    memory.facts = facts
    stays = _stops_that_stay(arrays, state, protection, findings, doubtful)
    memory.status = PcsStatus(
        stop=stays | protection.pcs_stop | protection.block_stop[arrays.pcs_block],
        stop_stays=stays,
        armed=armed,
        unarmed=~armed & ~np.isnan(measured.pcs_watchdog_s),
        in_dc_window=in_dc_window,
        has_racks=has_racks,
        ready=in_dc_window & has_racks & (protection.pcs_start_missing == 0),
        unseen=unseen,
        present=present,
        runs=np.isin(measured.pcs_state, [int(s) for s in RUNS]),
    )
    return memory.status


def _stops_that_stay(
    arrays: PlantArrays,
    state: ControlState,
    protection: ProtectionOrders,
    findings: MismatchFindings,
    doubtful: BoolArray,
) -> BoolArray:
    """Who must not run until a person has looked: by a latched protection or stop, or by too much power.

    Or because a rack of its bus does not open, or because its power can't be believed: at rest zero is read right in
    any scale and word order, so that it would start again and again.
    """
    if protection.plant_stop or state.plant.fast_stop:
        return np.ones(len(arrays.pcs_bus), np.bool_)
    stuck = state.racks.opened.stuck | state.racks.disconnect_failed
    by_rack = (state.relations.bus_of_rack @ stuck > 0.0)[arrays.pcs_bus]
    stops: BoolArray = protection.pcs_stop_stays | findings.stop | by_rack | (protection.pcs_stop & doubtful)
    return stops


def _are_present(state: ControlState, unseen: BoolArray) -> BoolArray:
    """Whose state was read within its grace time: a converter that pauses for a moment is not given up."""
    memory = state.pcs
    if not anywhere(unseen):
        memory.seen_ns.fill(state.now_ns)
        return ~unseen
    memory.seen_ns[~unseen] = state.now_ns
    present: BoolArray = state.now_ns - memory.seen_ns <= state.relations.pcs_limit_grace_ns
    return present


def _are_doubtful(state: ControlState, measured: Measurements) -> BoolArray:
    """Whose state is read, but whose power has not been known for a while."""
    memory = state.pcs
    unknown = measured.pcs_state_fresh & np.isnan(measured.pcs_active_power_w)
    memory.power_known_ns[~unknown] = state.now_ns
    doubtful: BoolArray = state.now_ns - memory.power_known_ns > DOUBTFUL_AFTER_NS
    return doubtful


def _are_armed(relations: Relations, watchdog_s: FloatArray) -> BoolArray:
    """Enabled, and no longer than the device file states."""
    longest_s = relations.pcs_watchdog_s * (1.0 + WATCHDOG_TOLERANCE_RATIO)
    armed: BoolArray = (watchdog_s > 0.0) & (watchdog_s <= longest_s)
    return armed


def step_pcs(
    plant: Plant, arrays: PlantArrays, state: ControlState, measured: Measurements, status: PcsStatus, now_ns: int
) -> list[Event]:
    """Step every converter's sequence and ask what the new states ask for."""
    memory = state.pcs
    if status is memory.settled:
        return []
    events: list[Event] = []
    columns = (
        arrays.pcs_in_service.tolist(),
        status.present.tolist(),
        measured.pcs_state.tolist(),
        status.stop.tolist(),
        status.stop_stays.tolist(),
        status.armed.tolist(),
        status.unarmed.tolist(),
        status.ready.tolist(),
    )
    timeout_s = plant.control.start_timeout_s
    for index, (in_service, present, reported, stop, stays, armed, unarmed, ready) in enumerate(
        zip(*columns, strict=True)
    ):
        before = memory.sequence[index]
        _adopt(state, index, before, reported, present=present)
        in_state_s = (now_ns - memory.entered_ns[index]) * 1e-9
        wanted = bool(memory.wanted[index])
        inputs = PcsInputs(in_service, present, reported, wanted, stop, armed, unarmed, ready, in_state_s, timeout_s)
        after = next_state(before, inputs)
        if after is not before:
            events.append(sequence_changed(Owner.PCS, index, before, after))
            memory.sequence[index], memory.entered_ns[index] = after, now_ns
            _remember(state, index, before, after, stop=stop)
            _enter(state, measured, index, after, now_ns, armed=armed)
        elif after in _REPEATING:
            _repeat(state, index, after, in_state_s, now_ns)
        if stays:
            memory.wanted[index] = False
    if not events and _REPEATING.isdisjoint(memory.sequence):
        memory.settled = status
    return events


def _adopt(state: ControlState, index: int, before: PcsSequenceState, reported: int, *, present: bool) -> None:
    """A converter found running at first sight shall go on, at zero power, unless the plant is at rest on purpose."""
    first_sight = before is PcsSequenceState.UNKNOWN and present and reported in RUNS
    if first_sight and state.plant.sequence is PlantState.ADOPTING and not state.plant.fast_stop:
        state.pcs.wanted[index] = True


def _remember(
    state: ControlState, index: int, before: PcsSequenceState, after: PcsSequenceState, *, stop: bool
) -> None:
    """Keep what the change means: what failed to start, or stopped by itself, is not started again by us."""
    memory = state.pcs
    wanted = bool(memory.wanted[index])
    ended = after in {PcsSequenceState.OFF, PcsSequenceState.STOPPING, PcsSequenceState.TRIPPED}
    failed = ended and wanted and not stop and before in {PcsSequenceState.ARMING, PcsSequenceState.STARTING}
    by_itself = ended and wanted and not stop and before in {PcsSequenceState.RUNNING, PcsSequenceState.STANDBY}
    memory.start_failed[index] |= failed
    memory.stopped_by_itself[index] |= by_itself
    if after is PcsSequenceState.RUNNING:
        memory.start_failed[index] = memory.stopped_by_itself[index] = memory.stop_failed[index] = False
    if after is PcsSequenceState.OFF:
        memory.stop_failed[index] = False
    if failed or by_itself or after is PcsSequenceState.TRIPPED:
        memory.wanted[index] = False


_REPEATING = frozenset({PcsSequenceState.STARTING, PcsSequenceState.STOPPING, PcsSequenceState.ARMING})


def _enter(
    state: ControlState, measured: Measurements, index: int, after: PcsSequenceState, now_ns: int, *, armed: bool
) -> None:
    """Ask for what the new state asks for."""
    operation = state.outputs["pcs.operation"]
    state.pcs.repeated_ns[index] = now_ns
    match after:
        case PcsSequenceState.ARMING if not armed and state.relations.pcs_watchdog_settable[index]:
            watchdog_s = float(state.relations.pcs_watchdog_s[index])
            state.outputs["pcs.watchdog_timeout_setting"].repeat(index, watchdog_s)
        case PcsSequenceState.STARTING:
            standby = measured.pcs_state[index] == Reported.STANDBY
            operation.repeat(index, float(PcsOperation.EXIT_STANDBY if standby else PcsOperation.START))
        case PcsSequenceState.STOPPING:
            operation.repeat(index, float(PcsOperation.STOP))
        case _:
            pass


def _repeat(state: ControlState, index: int, now: PcsSequenceState, in_state_s: float, now_ns: int) -> None:
    """Ask again every 5 s, at once after a failed write; a stop that does not come withholds the heartbeat."""
    memory = state.pcs
    if now is PcsSequenceState.STOPPING and in_state_s > STOP_FAILED_AFTER_S:
        memory.stop_failed[index] = True
    line = state.outputs["pcs.watchdog_timeout_setting" if now is PcsSequenceState.ARMING else "pcs.operation"]
    failed = line.state[index] == WriteState.FAILED
    waited_ns = now_ns - int(memory.repeated_ns[index])
    if line.issue[index] and (waited_ns > REPEAT_NS or (failed and waited_ns > _RETRY_NS)):
        memory.repeated_ns[index] = now_ns
        if now is not PcsSequenceState.ARMING or failed:
            line.repeat(index, float(line.value[index]))


def failed_writes(state: ControlState, now_ns: int) -> BoolArray:
    """Return whose set-points failed twice [P]; the first failure is answered by asking again, later ones every 2 s."""
    line, memory = state.outputs["pcs.active_power_setpoint"], state.pcs
    states = line.state.tobytes()
    if _FAILED in states or anywhere(memory.retries > 0):
        memory.retries[line.state == _CONFIRMED] = 0
        for index in (i for i, write in enumerate(states) if write == _FAILED):
            if memory.retries[index] == 0 or now_ns - int(memory.retried_ns[index]) > _RETRY_NS:
                memory.retries[index] += 1
                memory.retried_ns[index] = now_ns
                line.repeat(index, float(line.value[index]))
            elif memory.retries[index] == 1:
                memory.retries[index] = 2
    gone: BoolArray = memory.retries >= 2
    return gone
