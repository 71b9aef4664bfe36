"""What the process says of every alarm now: the one array that protection, control and runtime write each scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.alarms.groups import AlarmGroup
from controller.alarms.states import Condition
from controller.alarms.table import AlarmTable

BoolArray = NDArray[np.bool_]


class Conditions:
    """Condition [A] of each alarm, and of the last time it became active: value, limit, cell, sample time and +-."""

    def __init__(self, table: AlarmTable) -> None:
        """Begin with all normal."""
        size = table.size
        self.state: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.value: NDArray[np.float64] = np.full(size, np.nan)
        self.limit: NDArray[np.float64] = table.limit.copy()
        self.cell: NDArray[np.int32] = np.full(size, -1, np.int32)
        self.time_ns: NDArray[np.int64] = np.zeros(size, np.int64)
        self.uncertainty_ns: NDArray[np.int64] = np.zeros(size, np.int64)

    def hold(self, group: AlarmGroup, active: BoolArray, now_ns: int, value: object = np.nan) -> None:
        """Say which alarms of a group are active: `active` [count] (or [1], for all), `value` alike or one.

        A latching group stays latched until `release`.
        """
        state, place = self.state[group.place], group.place
        new = np.broadcast_to(active, state.shape)
        started = new & (state != Condition.ACTIVE)
        if started.any():
            self.time_ns[place][started] = now_ns
            self.value[place][started] = np.broadcast_to(np.asarray(value, np.float64), state.shape)[started]
        gone = np.where(state == Condition.NORMAL, Condition.NORMAL, Condition.LATCHED) if group.latching else 0
        state[:] = np.where(new, Condition.ACTIVE, gone)

    def hold_one(self, group: AlarmGroup, index: int, *, active: bool, now_ns: int, value: float = np.nan) -> None:
        """Say it of one equipment."""
        mask = self.state[group.place] == Condition.ACTIVE
        mask[index] = active
        self.hold(group, mask, now_ns, value)

    def release(self, group: AlarmGroup) -> None:
        """Reset what of a latching group is latched and no longer active."""
        state = self.state[group.place]
        state[state == Condition.LATCHED] = Condition.NORMAL
