"""The alarm list: what an operator has to look at now, in words, made from the arrays that every snapshot holds.

Rule (ISA-18.2): listed is what stands or still waits for an acknowledge. What stands and waits comes first, then what
stands, then what is gone and only waits; among these what came first of a trip's episode, then by priority, then the
newest. So what is gone never pushes out what stands. What is shelved, suppressed by design or out of service is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.alarms.equipment import Axis
from controller.alarms.events import EventKind, EventRecord
from controller.alarms.first_out import FirstOut
from controller.alarms.groups import Priority
from controller.alarms.states import STANDING, UNACKED, AlarmState
from controller.alarms.table import AlarmTable
from controller.alarms.text import render

NO_PRIORITY = 0
STATE_WORDS = {
    AlarmState.UNACKED_ACTIVE: "active, not acknowledged",
    AlarmState.ACKED_ACTIVE: "active, acknowledged",
    AlarmState.RETURNED_UNACKED: "gone, not acknowledged",
    AlarmState.LATCHED_UNACKED: "latched, not acknowledged",
    AlarmState.LATCHED_ACKED: "latched, acknowledged",
}

_UNACKED = np.isin(np.arange(len(AlarmState)), list(UNACKED))
_STANDING = np.isin(np.arange(len(AlarmState)), list(STANDING))


@dataclass(frozen=True, slots=True)
class ListedAlarm:
    """One line of the list. `since_ns`: when its present state was entered, on the monotonic clock."""

    priority: Priority
    state: AlarmState
    equipment: str
    function: str
    text: str  # with the equipment, the cell, and the value that raised it
    response: str
    since_ns: int


def listed_alarms(table: AlarmTable, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return the flat indices of the listed alarms in their order; `arrays` hold the fields of `alarm_fields`."""
    state, since_ns = arrays["alarm.state"], arrays["alarm.time_ns"]
    listed = np.flatnonzero(_UNACKED[state] | _STANDING[state])
    stands, waits = _STANDING[state[listed]], _UNACKED[state[listed]]
    follows = arrays["alarm.first_out"][listed] == FirstOut.NO
    order = np.lexsort((-since_ns[listed], table.priority[listed], follows, ~waits, ~stands))
    return listed[order]


def listed_alarm(table: AlarmTable, arrays: Mapping[str, NDArray[Any]], alarm: int) -> ListedAlarm:
    """Return one alarm in words."""
    group, index = table.locate(alarm)
    since_ns, number = int(arrays["alarm.time_ns"][alarm]), int(table.equipment_number[alarm])
    raised = EventRecord(
        kind=EventKind.RAISED,
        code=alarm,
        equipment=number,
        level=int(group.level),
        mono_ns=since_ns,
        cell=int(arrays["alarm.cell"][alarm]),
        value=float(arrays["alarm.value"][alarm]),
        limit=float(table.limit[alarm]),
    )
    return ListedAlarm(
        priority=group.priority,
        state=AlarmState(int(arrays["alarm.state"][alarm])),
        equipment=table.equipment.names[group.axis][index],
        function=group.name,
        text=render(raised, table),
        response=group.response,
        since_ns=since_ns,
    )


def highest_priorities(table: AlarmTable, state: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return for each equipment of the list the highest priority that stands on it (1 is the highest), 0 for none."""
    highest = np.full(len(table.equipment), len(Priority) + 1, np.int32)
    standing = _STANDING[state]
    np.minimum.at(highest, table.equipment_number[standing], table.priority[standing])
    highest[highest > len(Priority)] = NO_PRIORITY
    return highest


def of_axis(table: AlarmTable, by_equipment: NDArray[np.int32], axis: Axis) -> NDArray[np.int32]:
    """Return the part of an array over the equipment list that is one axis."""
    start = table.equipment.starts[axis]
    return by_equipment[start : start + len(table.equipment.names[axis])]
