"""The ISA-18.2 states of one alarm and how it moves between them: two tables, looked up for all at once."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class AlarmState(IntEnum):
    """States of ISA-18.2 (its letters A to I); the number is what SCADA sees."""

    NORMAL = 0
    UNACKED_ACTIVE = 1
    ACKED_ACTIVE = 2
    RETURNED_UNACKED = 3
    LATCHED_UNACKED = 4
    LATCHED_ACKED = 5
    SHELVED = 6  # by an operator, for a time
    SUPPRESSED = 7  # by design: something that stands explains it
    OUT_OF_SERVICE = 8  # by maintenance


class Condition(IntEnum):
    """What the process says of an alarm; LATCHED: the cause is gone, but what it tripped has not been reset."""

    NORMAL = 0
    LATCHED = 1
    ACTIVE = 2


class Overlay(IntEnum):
    """What hides an alarm from the list; the highest that applies wins."""

    NONE = 0
    SUPPRESSED = 1
    SHELVED = 2
    OUT_OF_SERVICE = 3


STANDING = frozenset(
    {
        AlarmState.UNACKED_ACTIVE,
        AlarmState.ACKED_ACTIVE,
        AlarmState.LATCHED_UNACKED,
        AlarmState.LATCHED_ACKED,
    }
)
"""States that count as an active alarm."""

UNACKED = frozenset({AlarmState.UNACKED_ACTIVE, AlarmState.RETURNED_UNACKED, AlarmState.LATCHED_UNACKED})
"""States that wait for an acknowledge."""

_HIDING = {
    Overlay.SHELVED: AlarmState.SHELVED,
    Overlay.SUPPRESSED: AlarmState.SUPPRESSED,
    Overlay.OUT_OF_SERVICE: AlarmState.OUT_OF_SERVICE,
}
_ACKNOWLEDGED = {
    AlarmState.UNACKED_ACTIVE: AlarmState.ACKED_ACTIVE,
    AlarmState.RETURNED_UNACKED: AlarmState.NORMAL,
    AlarmState.LATCHED_UNACKED: AlarmState.LATCHED_ACKED,
}


def next_state(state: AlarmState, condition: Condition, overlay: Overlay) -> AlarmState:
    """Return the state that follows.

    Shelving and out-of-service hide an alarm whatever its condition; suppression by design hides only one that would
    stand. An alarm that comes out of hiding is new: it must be acknowledged.
    """
    if overlay > Overlay.SUPPRESSED or (overlay is Overlay.SUPPRESSED and condition is not Condition.NORMAL):
        return _HIDING[overlay]
    acknowledged = state in {AlarmState.ACKED_ACTIVE, AlarmState.LATCHED_ACKED}
    match condition:
        case Condition.ACTIVE:
            return state if state is AlarmState.ACKED_ACTIVE else AlarmState.UNACKED_ACTIVE
        case Condition.LATCHED:
            return AlarmState.LATCHED_ACKED if acknowledged else AlarmState.LATCHED_UNACKED
        case _:
            return AlarmState.RETURNED_UNACKED if state in UNACKED else AlarmState.NORMAL


TRANSITIONS: NDArray[np.uint8] = np.array(
    [[[next_state(s, c, o) for o in Overlay] for c in Condition] for s in AlarmState], np.uint8
)
"""[state, condition, overlay] -> next state."""

ACKNOWLEDGED: NDArray[np.uint8] = np.array([_ACKNOWLEDGED.get(s, s) for s in AlarmState], np.uint8)
"""[state] -> state after an acknowledge."""
