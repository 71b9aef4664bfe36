"""What happened, as a record of numbers: stored in the event ring and the journal, turned into text by readers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from controller.alarms.states import AlarmState


class EventKind(IntEnum):
    """Kinds of event about alarms; other rooms number theirs from 100."""

    RAISED = 1
    RETURNED = 2  # the condition is gone
    LATCHED = 3  # the condition is gone, its trip is not reset
    RESET = 4
    ACKNOWLEDGED = 5
    SHELVED = 6
    UNSHELVED = 7
    SUPPRESSED = 8
    UNSUPPRESSED = 9
    TAKEN_OUT_OF_SERVICE = 10
    RETURNED_TO_SERVICE = 11
    FIRST_OUT = 12  # `value`: how many candidates there are; more than one: their order can't be decided
    FLOOD_STARTED = 13  # more than ten alarms in ten minutes
    FLOOD_ENDED = 14
    CELL_FOUND = 15  # the alarm was raised by a figure of the whole rack; now its cells show which one it is


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event. `code` is the flat alarm index, `equipment` the number in the equipment list, `cell` -1 if none.

    `mono_ns` +- `uncertainty_ns` is when it happened: for a raise the sample that showed it, not the scan that saw it.
    Value and limit in base units, NaN if there is none.
    """

    kind: EventKind
    code: int
    equipment: int
    level: int
    mono_ns: int
    uncertainty_ns: int = 0
    cell: int = -1
    value: float = float("nan")
    limit: float = float("nan")


_HIDDEN = {
    AlarmState.SHELVED: (EventKind.SHELVED, EventKind.UNSHELVED),
    AlarmState.SUPPRESSED: (EventKind.SUPPRESSED, EventKind.UNSUPPRESSED),
    AlarmState.OUT_OF_SERVICE: (EventKind.TAKEN_OUT_OF_SERVICE, EventKind.RETURNED_TO_SERVICE),
}
_LATCHED = frozenset({AlarmState.LATCHED_UNACKED, AlarmState.LATCHED_ACKED})


def kinds_of_change(old: AlarmState, new: AlarmState) -> tuple[EventKind, ...]:
    """Return what a change of state is called; coming out of hiding into a standing alarm is two events."""
    leaving = (_HIDDEN[old][1],) if old in _HIDDEN else ()
    if new in _HIDDEN:
        return (*leaving, _HIDDEN[new][0])
    if new is AlarmState.UNACKED_ACTIVE:
        return (*leaving, EventKind.RAISED)
    if new in _LATCHED:
        return (*leaving, EventKind.LATCHED)
    if old in _LATCHED:
        return (EventKind.RESET,)
    return leaving or (EventKind.RETURNED,)


KINDS = tuple(tuple(kinds_of_change(old, new) for new in AlarmState) for old in AlarmState)
"""[old state][new state] -> kinds of event."""
