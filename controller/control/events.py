"""What control reports to the event journal: who did what, and what changed because of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from controller.plant.signals import Owner


class EventKind(IntEnum):
    """Kinds of event; the number is what is journalled (control's begin at 200)."""

    COMMAND_ACCEPTED = 201
    COMMAND_REFUSED = 202
    SETPOINT_ACCEPTED = 203
    SETPOINT_RAN_OUT = 204
    LIMIT_CHANGED = 205
    LIMIT_EXPIRED = 206
    SEQUENCE_CHANGED = 207
    OWNER_CHANGED = 208
    FAST_STOP = 209
    LOCK_OUT_CHANGED = 210
    START_FAILED = 211


RETAINED_KINDS = frozenset(
    {EventKind.LIMIT_CHANGED, EventKind.LIMIT_EXPIRED, EventKind.FAST_STOP, EventKind.LOCK_OUT_CHANGED}
)
"""After these the retained part of control's state has changed and must be saved."""


def sequence_changed(owner: Owner, index: int, before: IntEnum, after: IntEnum) -> Event:
    """Return the event of a sequence that has moved on, with the states in words."""
    words = " -> ".join(state.name.lower().replace("_", " ") for state in (before, after))
    return Event(EventKind.SEQUENCE_CHANGED, owner, index, float(before), float(after), text=words)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: equipment by owner and index, value before and after (base unit or code), actor, words."""

    kind: EventKind
    owner: Owner
    index: int
    before: float
    after: float
    actor: str = ""
    text: str = ""
