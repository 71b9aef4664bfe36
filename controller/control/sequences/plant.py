"""The plant's sequence: connect racks, start converters, run, ramp down, stop.

Start ends ready at 0 MW. Stop ramps to zero and stops the converters; fast stop leaves out the ramp and latches. The
contactors stay as they are. After a restart the plant is adopted as found: running converters go on at zero power,
unless a person has stopped the plant: then the stop that was under way is carried on.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from controller.control.sequences.states import OperatingState


class PlantState(IntEnum):
    """States of the plant's sequence."""

    ADOPTING = 0
    OFF = 1
    CONNECTING_RACKS = 2
    STARTING_PCS = 3
    RUNNING = 4
    STANDBY = 5
    RAMPING_DOWN = 6
    STOPPING_PCS = 7
    TRIPPED = 8
    OUT_OF_SERVICE = 9


OPERATING_STATES = {
    PlantState.ADOPTING: OperatingState.UNKNOWN,
    PlantState.OFF: OperatingState.OFF,
    PlantState.CONNECTING_RACKS: OperatingState.STARTING,
    PlantState.STARTING_PCS: OperatingState.STARTING,
    PlantState.RUNNING: OperatingState.RUNNING,
    PlantState.STANDBY: OperatingState.STANDBY,
    PlantState.RAMPING_DOWN: OperatingState.STOPPING,
    PlantState.STOPPING_PCS: OperatingState.STOPPING,
    PlantState.TRIPPED: OperatingState.TRIPPED,
    PlantState.OUT_OF_SERVICE: OperatingState.OUT_OF_SERVICE,
}

STARTING = frozenset({PlantState.CONNECTING_RACKS, PlantState.STARTING_PCS})
STOPPING = frozenset({PlantState.RAMPING_DOWN, PlantState.STOPPING_PCS})
AT_REST = frozenset({PlantState.OFF, PlantState.TRIPPED, PlantState.OUT_OF_SERVICE})
TAKES_SETPOINTS = frozenset({*STARTING, PlantState.RUNNING, PlantState.STANDBY})

ADOPTION_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 30.0


class PlantInputs(NamedTuple):
    """What the sequence looks at. Requests are edges of this scan; the rest are levels."""

    start: bool
    stop: bool
    stopped: bool  # by a person, who has not started it since
    fast_stop: bool  # latched
    trip: bool  # protection's stop of the plant, or none of its converters may run
    any_in_service: bool
    all_known: bool  # every converter and rack in service has been read
    racks_settled: bool  # every rack that was asked is connected or has failed
    any_rack_connected: bool
    pcs_settled: bool  # every converter that was asked runs, has failed, or can't be waited for
    any_pcs_running: bool
    any_pcs_standby: bool
    all_pcs_stopped: bool
    at_zero: bool  # commanded and measured power are zero
    in_state_s: float
    start_timeout_s: float
    ramp_down_s: float  # longest time that a ramp to zero may take


def next_state(state: PlantState, inputs: PlantInputs) -> PlantState:
    """Return the state after this scan. Trips and stops win over everything else."""
    if not inputs.any_in_service:
        return PlantState.OUT_OF_SERVICE
    if inputs.trip:
        return PlantState.TRIPPED
    if inputs.fast_stop and state not in AT_REST:
        return _stopped_or_stopping(inputs, state)
    return _NEXT[state](inputs)


def _adopting(inputs: PlantInputs) -> PlantState:
    if not inputs.all_known and inputs.in_state_s < ADOPTION_TIMEOUT_S:
        return PlantState.ADOPTING
    if inputs.any_pcs_running:
        return PlantState.RAMPING_DOWN if inputs.stopped else PlantState.RUNNING
    return PlantState.OFF if inputs.pcs_settled or inputs.stopped else PlantState.STARTING_PCS


def _off(inputs: PlantInputs) -> PlantState:
    return PlantState.CONNECTING_RACKS if inputs.start and not inputs.fast_stop else PlantState.OFF


def _connecting_racks(inputs: PlantInputs) -> PlantState:
    if inputs.stop:
        return PlantState.STOPPING_PCS
    late = inputs.in_state_s > inputs.start_timeout_s
    if not (inputs.racks_settled or late):
        return PlantState.CONNECTING_RACKS
    return PlantState.STARTING_PCS if inputs.any_rack_connected else PlantState.STOPPING_PCS


def _starting_pcs(inputs: PlantInputs) -> PlantState:
    if inputs.stop:
        return PlantState.STOPPING_PCS
    late = inputs.in_state_s > 2.0 * inputs.start_timeout_s
    if not (inputs.pcs_settled or late):
        return PlantState.STARTING_PCS
    return PlantState.RUNNING if inputs.any_pcs_running else PlantState.STOPPING_PCS


def _running(inputs: PlantInputs) -> PlantState:
    if inputs.stop:
        return PlantState.RAMPING_DOWN
    if inputs.start and not inputs.pcs_settled:
        return PlantState.RUNNING
    if inputs.any_pcs_running or not inputs.pcs_settled:
        return PlantState.RUNNING
    return PlantState.STANDBY if inputs.any_pcs_standby else PlantState.STOPPING_PCS


def _ramping_down(inputs: PlantInputs) -> PlantState:
    if inputs.at_zero or inputs.in_state_s > inputs.ramp_down_s or inputs.all_pcs_stopped:
        return PlantState.STOPPING_PCS
    return PlantState.RAMPING_DOWN


def _stopping_pcs(inputs: PlantInputs) -> PlantState:
    return _stopped_or_stopping(inputs, PlantState.STOPPING_PCS)


def _stopped_or_stopping(inputs: PlantInputs, state: PlantState) -> PlantState:
    late = state is PlantState.STOPPING_PCS and inputs.in_state_s > STOP_TIMEOUT_S
    return PlantState.OFF if inputs.all_pcs_stopped or late else PlantState.STOPPING_PCS


def _tripped(_inputs: PlantInputs) -> PlantState:
    return PlantState.OFF


def _out_of_service(_inputs: PlantInputs) -> PlantState:
    return PlantState.ADOPTING


_NEXT = {
    PlantState.ADOPTING: _adopting,
    PlantState.OFF: _off,
    PlantState.CONNECTING_RACKS: _connecting_racks,
    PlantState.STARTING_PCS: _starting_pcs,
    PlantState.RUNNING: _running,
    PlantState.STANDBY: _running,
    PlantState.RAMPING_DOWN: _ramping_down,
    PlantState.STOPPING_PCS: _stopping_pcs,
    PlantState.TRIPPED: _tripped,
    PlantState.OUT_OF_SERVICE: _out_of_service,
}
