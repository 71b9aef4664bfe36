"""The output image: what the controller asks of the field, and what became of it.

Rule: each command signal has a value and an *issue* number per equipment. A new issue is written once, verified by
echo and read-back; a volatile set-point is also refreshed in its device's own rhythm while its issue stands. Issue 0
was never asked and is never written. Heartbeats are not here: the field side advances them by itself, but only after
it has been told of a complete, successful scan.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.layout import owner_shapes
from controller.plant.model import Plant
from controller.plant.signals import SIGNALS, Owner


class WriteState(IntEnum):
    """What became of the newest issue of a request."""

    NONE = 0  # nothing asked yet
    PENDING = 1  # asked, not yet confirmed
    CONFIRMED = 2  # echoed and, where readable, read back
    FAILED = 3  # refused, wrong echo, wrong read-back, or no answer
    NOT_SERVED = 4  # no device of this equipment has such a register


class Requests(NamedTuple):
    """One command signal: value (base units or canonical code), issue number, state of the write, per equipment."""

    value: NDArray[np.float64]
    issue: NDArray[np.uint32]
    state: NDArray[np.uint8]

    def ask(self, index: int, value: float) -> None:
        """Ask for a value; the same value again is not a new issue."""
        if self.issue[index] == 0 or self.value[index] != value:
            self.repeat(index, value)

    def repeat(self, index: int, value: float) -> None:
        """Ask again, also for the same value: a request to a sequence, not a set-point."""
        self.value[index] = value
        self.issue[index] += 1
        if self.state[index] != WriteState.NOT_SERVED:
            self.state[index] = WriteState.PENDING


class OutputImage:
    """All command signals of a plant. Control writes values and issues, the field side writes states."""

    def __init__(self, plant: Plant) -> None:
        """Allocate; nothing is asked."""
        shapes = owner_shapes(plant)
        commands = [s for s in SIGNALS.values() if s.command and "heartbeat" not in s.name]
        self.requests = {s.name: _empty(shapes[s.owner][0]) for s in commands}

    def __getitem__(self, name: str) -> Requests:
        """Return one command signal's arrays; KeyError if it is no command."""
        return self.requests[name]


def owner_of(name: str) -> Owner:
    """Return whose command it is."""
    return SIGNALS[name].owner


def _empty(count: int) -> Requests:
    return Requests(np.zeros(count), np.zeros(count, np.uint32), np.zeros(count, np.uint8))
