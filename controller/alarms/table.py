"""The alarm table: everything about a plant's alarms that does not change, as arrays over one flat alarm index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.alarms.equipment import AXIS_OF_OWNER, Axis, EquipmentList
from controller.alarms.groups import AlarmGroup, alarm_groups
from controller.alarms.relations import ancestors, causes, first_out_groups, out_of_service, parents, waiting
from controller.alarms.system_alarms import SystemAlarm
from controller.image.layout import Field
from controller.image.quantities import Section
from controller.plant.model import Plant
from controller.plant.protection_rows import Level
from controller.plant.signals import Owner


class AlarmTable:
    """Groups and constants of A alarms.

    `equipment_number[A]`: in the equipment list.
    `parent[A]`: the alarm that suppresses this one by design while it stands: the next worse level of the same
    function, or the lost link or device whose silence explains it; NONE if there is none. Trips have none.
    `ancestors[depth, A]`: parents of parents suppress too. `waits[A]`: is raised only when nothing has explained it for
    a moment (`life_cycle.EXPLAINED_WITHIN_NS`).
    `first_out_group[A]`: trips of one block belong together, those of the plant in a group behind the blocks; NONE
    for all that is no trip. `causes[(cause, trip), pair]`: first-out is the cause.
    `off_delay_ns[A]`: so long must its condition be over before it is.
    """

    def __init__(self, plant: Plant) -> None:
        """Compile the alarms of a plant."""
        self.equipment = EquipmentList(plant)
        self.groups = alarm_groups(plant, self.equipment)
        self.size = sum(g.count for g in self.groups)
        self._starts = np.array([g.start for g in self.groups], np.int64)
        self._by_name = {(g.axis, g.name, g.level): g for g in self.groups}
        self._system = {SystemAlarm(g.name): g for g in self.groups if g.row < 0}
        counts = [g.count for g in self.groups]
        self.level = np.repeat(np.array([g.level for g in self.groups], np.uint8), counts)
        self.priority = np.repeat(np.array([g.priority for g in self.groups], np.uint8), counts)
        self.shelvable = np.repeat(np.array([g.shelvable for g in self.groups], np.bool_), counts)
        self.latching = np.repeat(np.array([g.latching for g in self.groups], np.bool_), counts)
        self.off_delay_ns = np.repeat(np.array([round(g.off_delay_s * 1e9) for g in self.groups], np.int64), counts)
        self.limit = np.repeat(np.array([g.limit for g in self.groups], np.float64), counts)
        self.equipment_number = np.concatenate(
            [self.equipment.starts[g.axis] + np.arange(g.count) for g in self.groups] or [np.zeros(0, np.int64)]
        )
        self.parent = parents(plant, self.groups)
        self.ancestors = ancestors(self.parent)
        self.waits = waiting(plant, self.groups)
        self.first_out_group = first_out_groups(plant, self.groups)
        self.causes = causes(self.groups)
        self.out_of_service = out_of_service(plant, self.groups)

    def system(self, name: SystemAlarm) -> AlarmGroup:
        """Return a fixed group."""
        return self._system[name]

    def row_group(self, owner: Owner, name: str, level: Level) -> AlarmGroup:
        """Return the group of a protection row's level; KeyError if the row has no such level."""
        return self._by_name[AXIS_OF_OWNER[owner], name, level]

    def find(self, axis: Axis, name: str, level: Level) -> AlarmGroup | None:
        """Return any group by its names, None if this plant has no such alarm."""
        return self._by_name.get((axis, name, level))

    def locate(self, alarm: int) -> tuple[AlarmGroup, int]:
        """Return the group of a flat alarm index and the equipment's index within its axis."""
        group = self.groups[int(np.searchsorted(self._starts, alarm, side="right")) - 1]
        return group, alarm - group.start

    def with_children(self, alarms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return these alarms and all that one of them may suppress, each once."""
        among = np.zeros(self.size, np.bool_)
        among[alarms] = True
        return np.flatnonzero(among | self.descends_from(among))

    def descends_from(self, alarms: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which alarms [A] have one of these [A] among their ancestors."""
        with_none = np.zeros(self.size + 1, np.bool_)  # NONE is the last place
        with_none[:-1] = alarms
        descends: NDArray[np.bool_] = np.logical_or.reduce(with_none[self.ancestors])
        return descends


def alarm_fields(plant: Plant) -> tuple[Field, ...]:
    """Return the image fields that hold the alarm state: what faces need to show the alarm list.

    `alarm.time_ns` is when the present state was entered, `alarm.value` and `alarm.cell` are those of the last raise.
    """
    size = AlarmTable(plant).size
    per_alarm = {
        "alarm.state": "u1",
        "alarm.first_out": "u1",
        "alarm.time_ns": "<i8",
        "alarm.shelved_until_ns": "<i8",
        "alarm.value": "<f4",
        "alarm.cell": "<i4",
    }
    fields = [
        Field(name, dtype, (size,), "ns" if name.endswith("_ns") else "", Section.RACKS)
        for name, dtype in per_alarm.items()
    ]
    return (*fields, Field("alarm.flood", "u1", (1,), "", Section.RACKS))
