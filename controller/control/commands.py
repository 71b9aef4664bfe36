"""What anyone may ask of the plant, and the answer: the one form in which faces and tools command.

Values are in base units (W, var, ratio); faces convert at their edge. `target` is a tag (`Plant`,
`Plant.Block01.Rack03`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Action(StrEnum):
    """The verbs. Stops and falling limits are never refused for fullness or age."""

    SET_ACTIVE_POWER = "set_active_power"
    SET_REACTIVE_POWER = "set_reactive_power"
    SET_EXPORT_LIMIT = "set_export_limit"
    SET_IMPORT_LIMIT = "set_import_limit"
    SCADA_HEARTBEAT = "scada_heartbeat"
    START = "start"
    STOP = "stop"
    FAST_STOP = "fast_stop"
    RESET_TRIPS = "reset_trips"
    ACKNOWLEDGE_ALARMS = "acknowledge_alarms"
    TAKE_CONTROL = "take_control"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    RESET_TRIP = "reset_trip"
    LOCK_OUT = "lock_out"
    REMOVE_LOCK_OUT = "remove_lock_out"
    REPORT_REFUSED = "report_refused"  # a face tells what it refused by itself, for the journal; nothing is done


STOPS = frozenset({Action.STOP, Action.FAST_STOP, Action.DISCONNECT, Action.LOCK_OUT})
"""Always accepted from any authorised source, at any time, ahead of everything else."""

LIMITS = frozenset({Action.SET_EXPORT_LIMIT, Action.SET_IMPORT_LIMIT})


LOOSENING = frozenset({Action.RESET_TRIPS, Action.RESET_TRIP, Action.REMOVE_LOCK_OUT})
"""What takes a hold away, rising limits aside: refused while it could not be retained."""

CYCLIC = frozenset(
    {Action.SCADA_HEARTBEAT, Action.SET_ACTIVE_POWER, Action.SET_REACTIVE_POWER, Action.REPORT_REFUSED, *LIMITS}
)
"""What masters write all the time: it changes nothing that is retained, or says so in an event of its own."""

OWN_FACE = "control"
"""The face of what the controller commands itself: a person has not asked."""


class Refusal(IntEnum):
    """Why a command was not accepted; NONE = accepted. Faces turn it into their own status codes."""

    NONE = 0
    OUT_OF_RANGE = 1  # NaN, infinite, beyond ratings
    WRONG_TYPE = 2
    NO_RIGHT = 3
    WRONG_STATE = 4  # the plant's state does not permit it; the text names the missing permissives
    NOT_OWNER = 5  # another master holds the lease
    UNKNOWN_TARGET = 6
    BUSY = 7
    TOO_OLD = 8
    NO_COMMUNICATION = 9  # control is silent


REASON_AT_MOST = 200
"""Characters of the reason that a lock-out carries: it stands in the journal and in the retained state."""


def reason_problem(reason: str) -> str:
    """Return why a text is no reason, "" if it is one. Of one line: a line break could pass for another event."""
    if not reason.isprintable():
        return "a reason on one line expected, without control characters"
    if reason.strip() and len(reason) <= REASON_AT_MOST:
        return ""
    return f"a reason of 1 to {REASON_AT_MOST} characters expected, not {len(reason)}"


@dataclass(frozen=True, slots=True)
class Command:
    """One request. `id` is unique for a minute: the same id again gets the same reply."""

    id: str
    face: str
    user: str
    role: str
    action: Action
    target: str
    value: float | int | str | bool | None
    issued_mono_ns: int
    timeout_s: float | None = None  # a set-point's own life, where the face carries one
    fallback: float | None = None  # and what it falls back to


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer. `sequence` is the scan in which it was applied."""

    id: str
    accepted: bool
    refusal: Refusal
    text: str
    sequence: int
