"""What all sequences share: the states that SCADA sees, and how a state with its time is kept.

A sequence is data (state, time of entry) and a pure function `next_state(state, inputs)`; what to ask of the field is
decided on entering a state. Finer states than these are points of their own.
"""

from __future__ import annotations

from enum import IntEnum


class OperatingState(IntEnum):
    """The state of a plant, block, converter or rack as SCADA sees it."""

    UNKNOWN = 0
    OFF = 1
    STARTING = 2
    RUNNING = 3
    STANDBY = 4
    STOPPING = 5
    TRIPPED = 6
    OUT_OF_SERVICE = 7
