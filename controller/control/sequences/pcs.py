"""A converter's sequence: armed only when its own watchdog has been read back as enabled, then started.

A converter that is found running (after a restart, after lost communication) is armed again at zero power. One that
stops by itself is not started again by us. Losing its data never starts or stops it: its watchdog does that.

That it shall run is a wish which outlives lost data and stops that end by themselves: when it is seen again and may
run, it starts again. A stop that a person must reset, a failed start and its own stop end the wish.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from controller.control.sequences.states import OperatingState
from controller.plant.signals import PcsState as Reported


class PcsSequenceState(IntEnum):
    """States of a converter's sequence."""

    UNKNOWN = 0
    OFF = 1
    ARMING = 2
    STARTING = 3
    RUNNING = 4
    STANDBY = 5
    STOPPING = 6
    TRIPPED = 7
    OUT_OF_SERVICE = 8
    LOST = 9


OPERATING_STATES = {
    PcsSequenceState.UNKNOWN: OperatingState.UNKNOWN,
    PcsSequenceState.OFF: OperatingState.OFF,
    PcsSequenceState.ARMING: OperatingState.STARTING,
    PcsSequenceState.STARTING: OperatingState.STARTING,
    PcsSequenceState.RUNNING: OperatingState.RUNNING,
    PcsSequenceState.STANDBY: OperatingState.STANDBY,
    PcsSequenceState.STOPPING: OperatingState.STOPPING,
    PcsSequenceState.TRIPPED: OperatingState.TRIPPED,
    PcsSequenceState.OUT_OF_SERVICE: OperatingState.OUT_OF_SERVICE,
    PcsSequenceState.LOST: OperatingState.UNKNOWN,
}

RUNS = frozenset({Reported.RUNNING, Reported.THROTTLED})
STANDS_BY = frozenset({Reported.STANDBY, Reported.SLEEPING})
BETWEEN = frozenset({Reported.STARTING, Reported.SHUTTING_DOWN, Reported.UNKNOWN})
ARMING_TIMEOUT_S = 10.0
SETTLING_S = 2.0
"""A converter may report its old state for a moment after it was asked."""


class PcsInputs(NamedTuple):
    """What the sequence looks at."""

    in_service: bool
    present: bool  # its state has been read, and not too long ago
    reported: int  # `controller.plant.signals.PcsState`
    wanted: bool  # it shall run
    stop: bool  # protection, a block stop, a failed disconnection: it must not run
    armed: bool  # its own watchdog has been read back as enabled
    unarmed: bool  # it has been read back as disabled, or as too long
    ready: bool  # a rack is connected, the voltage lies in its DC window, protection permits
    in_state_s: float
    start_timeout_s: float


def next_state(state: PcsSequenceState, inputs: PcsInputs) -> PcsSequenceState:
    """Return the state after this scan."""
    if not inputs.in_service:
        return PcsSequenceState.OUT_OF_SERVICE
    if not inputs.present:
        return PcsSequenceState.UNKNOWN if state is PcsSequenceState.UNKNOWN else PcsSequenceState.LOST
    if inputs.reported == Reported.FAULT:
        return PcsSequenceState.TRIPPED
    return _NEXT[state](inputs)


def _found(inputs: PcsInputs) -> PcsSequenceState:
    """First sight, or seen again: a converter that runs and shall run is armed again, one that stands is looked at."""
    if inputs.reported in RUNS:
        return PcsSequenceState.ARMING if inputs.wanted and not inputs.stop else PcsSequenceState.STOPPING
    return PcsSequenceState.OFF


def _off(inputs: PcsInputs) -> PcsSequenceState:
    """A wish waits here until the converter may run: armed too early, it would only time out."""
    may_start = inputs.wanted and not inputs.stop and inputs.ready
    return PcsSequenceState.ARMING if may_start else PcsSequenceState.OFF


def _arming(inputs: PcsInputs) -> PcsSequenceState:
    running = inputs.reported in RUNS
    if inputs.stop or not inputs.wanted or inputs.in_state_s > max(ARMING_TIMEOUT_S, inputs.start_timeout_s):
        return PcsSequenceState.STOPPING if running else PcsSequenceState.OFF
    if not inputs.armed:
        return PcsSequenceState.ARMING
    if running:
        return PcsSequenceState.RUNNING
    return PcsSequenceState.STARTING if inputs.ready else PcsSequenceState.ARMING


def _starting(inputs: PcsInputs) -> PcsSequenceState:
    if inputs.stop or not inputs.wanted or inputs.in_state_s > inputs.start_timeout_s:
        return PcsSequenceState.STOPPING
    return PcsSequenceState.RUNNING if inputs.reported in RUNS else PcsSequenceState.STARTING


def _running(inputs: PcsInputs) -> PcsSequenceState:
    if inputs.stop or not inputs.wanted:
        return PcsSequenceState.STOPPING
    if inputs.unarmed:
        return PcsSequenceState.ARMING
    if inputs.reported in RUNS or inputs.reported in BETWEEN:
        return PcsSequenceState.RUNNING
    if inputs.reported in STANDS_BY:
        return PcsSequenceState.STANDBY
    return PcsSequenceState.OFF


def _stopping(inputs: PcsInputs) -> PcsSequenceState:
    moving = inputs.reported in RUNS or inputs.reported in BETWEEN
    return PcsSequenceState.STOPPING if moving else PcsSequenceState.OFF


def _tripped(inputs: PcsInputs) -> PcsSequenceState:
    return PcsSequenceState.STOPPING if inputs.reported in RUNS else PcsSequenceState.OFF


_NEXT = {
    PcsSequenceState.UNKNOWN: _found,
    PcsSequenceState.OFF: _off,
    PcsSequenceState.ARMING: _arming,
    PcsSequenceState.STARTING: _starting,
    PcsSequenceState.RUNNING: _running,
    PcsSequenceState.STANDBY: _running,
    PcsSequenceState.STOPPING: _stopping,
    PcsSequenceState.TRIPPED: _tripped,
    PcsSequenceState.OUT_OF_SERVICE: _found,
    PcsSequenceState.LOST: _found,
}
