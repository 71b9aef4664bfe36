"""A rack's sequence: connect and disconnect by request; its BMS does the rest and is supervised.

Connecting: the voltage between rack and bus is looked at before anything is asked; a rack that is too far from its bus
waits for as long as it takes, because a bus under load comes back. Disconnecting: unload (the bus
falls to what the remaining racks may carry and to where this rack's current is below its break rating), request,
verify by feedback and current, restore. If that is dead, the bus's converters stop. Lost data alone moves nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from controller.plant.signals import ContactorState


class RackSequenceState(IntEnum):
    """States of a rack's sequence. Trips and lock-outs lie over it and are states of their own to SCADA."""

    UNKNOWN = 0
    DISCONNECTED = 1
    WAITING_FOR_VOLTAGE = 2
    CONNECTING = 3
    CONNECTED = 4
    UNLOADING = 5
    DISCONNECTING = 6
    DISCONNECT_FAILED = 7


class Wanted(IntEnum):
    """What a rack shall become; LEAVE: as it is."""

    LEAVE = 0
    CONNECTED = 1
    DISCONNECTED = 2


MOVING = frozenset(
    {
        RackSequenceState.WAITING_FOR_VOLTAGE,
        RackSequenceState.CONNECTING,
        RackSequenceState.UNLOADING,
        RackSequenceState.DISCONNECTING,
        RackSequenceState.DISCONNECT_FAILED,
    }
)
UNLOAD_TIMEOUT_S = 10.0
DISCONNECT_TIMEOUT_S = 10.0
FAULT_SHOWS_AFTER_S = 5.0
"""A fault that is reported sooner may be the one that has just been reset: a contactor's state is read each few s."""


class RackInputs(NamedTuple):
    """What the sequence looks at."""

    contactor: int  # `ContactorState`, UNKNOWN while its data is lost
    wanted: Wanted
    may_connect: bool  # rack and bus voltage are close enough, and protection permits
    apart: bool  # nothing but the voltage stands against it: that comes closer by itself
    unloaded: bool  # its current is known to be below what the contactors may break
    no_current: bool  # and, after opening, zero
    request_failed: bool  # the request was written twice in vain
    in_state_s: float
    start_timeout_s: float


def next_state(state: RackSequenceState, inputs: RackInputs) -> RackSequenceState:
    """Return the state after this scan."""
    return _NEXT[state](inputs)


def _unknown(inputs: RackInputs) -> RackSequenceState:
    match inputs.contactor:
        case ContactorState.CLOSED:
            return RackSequenceState.CONNECTED
        case ContactorState.UNKNOWN | ContactorState.PRECHARGING:
            return RackSequenceState.UNKNOWN
        case _:
            return RackSequenceState.DISCONNECTED


def _disconnected(inputs: RackInputs) -> RackSequenceState:
    if inputs.contactor == ContactorState.CLOSED:
        return RackSequenceState.CONNECTED
    wanted = inputs.wanted is Wanted.CONNECTED
    return RackSequenceState.WAITING_FOR_VOLTAGE if wanted else RackSequenceState.DISCONNECTED


def _waiting_for_voltage(inputs: RackInputs) -> RackSequenceState:
    if inputs.contactor == ContactorState.CLOSED:
        return RackSequenceState.CONNECTED
    if inputs.wanted is not Wanted.CONNECTED:
        return RackSequenceState.DISCONNECTED
    if inputs.may_connect:
        return RackSequenceState.CONNECTING
    late = inputs.in_state_s > inputs.start_timeout_s and not inputs.apart
    return RackSequenceState.DISCONNECTED if late else RackSequenceState.WAITING_FOR_VOLTAGE


def _connecting(inputs: RackInputs) -> RackSequenceState:
    if inputs.contactor == ContactorState.CLOSED:
        return RackSequenceState.CONNECTED
    if inputs.wanted is Wanted.DISCONNECTED:
        return RackSequenceState.DISCONNECTING
    fault = inputs.contactor == ContactorState.FAULT and inputs.in_state_s > FAULT_SHOWS_AFTER_S
    given_up = inputs.request_failed or fault
    late = inputs.in_state_s > inputs.start_timeout_s
    return RackSequenceState.DISCONNECTED if given_up or late else RackSequenceState.CONNECTING


def _connected(inputs: RackInputs) -> RackSequenceState:
    if inputs.contactor in {ContactorState.OPEN, ContactorState.FAULT}:  # a fault: no longer closed as it was
        return RackSequenceState.DISCONNECTED
    leaving = inputs.wanted is Wanted.DISCONNECTED
    return RackSequenceState.UNLOADING if leaving else RackSequenceState.CONNECTED


def _unloading(inputs: RackInputs) -> RackSequenceState:
    if inputs.contactor == ContactorState.OPEN:
        return RackSequenceState.DISCONNECTED
    if inputs.wanted is not Wanted.DISCONNECTED:
        return RackSequenceState.CONNECTED
    if inputs.unloaded:
        return RackSequenceState.DISCONNECTING
    late = inputs.in_state_s > UNLOAD_TIMEOUT_S
    return RackSequenceState.DISCONNECT_FAILED if late else RackSequenceState.UNLOADING


def _disconnecting(inputs: RackInputs) -> RackSequenceState:
    if inputs.contactor == ContactorState.OPEN and inputs.no_current:
        return RackSequenceState.DISCONNECTED
    late = inputs.request_failed or inputs.in_state_s > DISCONNECT_TIMEOUT_S
    return RackSequenceState.DISCONNECT_FAILED if late else RackSequenceState.DISCONNECTING


def _disconnect_failed(inputs: RackInputs) -> RackSequenceState:
    if inputs.contactor == ContactorState.OPEN and inputs.no_current:
        return RackSequenceState.DISCONNECTED
    retry = inputs.unloaded and inputs.in_state_s > DISCONNECT_TIMEOUT_S
    return RackSequenceState.DISCONNECTING if retry else RackSequenceState.DISCONNECT_FAILED


_NEXT = {
    RackSequenceState.UNKNOWN: _unknown,
    RackSequenceState.DISCONNECTED: _disconnected,
    RackSequenceState.WAITING_FOR_VOLTAGE: _waiting_for_voltage,
    RackSequenceState.CONNECTING: _connecting,
    RackSequenceState.CONNECTED: _connected,
    RackSequenceState.UNLOADING: _unloading,
    RackSequenceState.DISCONNECTING: _disconnecting,
    RackSequenceState.DISCONNECT_FAILED: _disconnect_failed,
}
