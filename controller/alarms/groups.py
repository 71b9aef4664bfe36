"""Which alarms a plant has: one group per (protection row, level), then the fixed groups of the system itself.

Rule (ISA-18.2): something is an alarm only if an operator can answer it, so every group says what to do. Alarm
identity is (function, level, equipment); the cell is detail inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from controller.alarms.equipment import AXIS_OF_OWNER, Axis, EquipmentList
from controller.alarms.system_alarms import (
    COMMUNICATION_OFF_DELAY_S,
    OF_COMMUNICATION,
    SYSTEM_ALARMS,
    Definition,
    SystemAlarm,
)
from controller.plant.model import Plant
from controller.plant.protection_rows import Action, Direction, Graded, Level, ProtectionRow, Reduction, ResetClass
from controller.plant.signals import SIGNALS, SignalForm


class Priority(IntEnum):
    """How soon an operator must answer; the number is what SCADA sees."""

    HIGH = 1
    MEDIUM = 2
    LOW = 3


PRIORITY_OF_LEVEL = {Level.TRIP: Priority.HIGH, Level.ALARM: Priority.MEDIUM, Level.WARNING: Priority.LOW}

SEVERITY_OF_LEVEL = {Level.TRIP: 900, Level.ALARM: 700, Level.WARNING: 400}
"""OPC UA Part 9: bands of the severity, 1 to 1000."""


@dataclass(frozen=True, slots=True)
class AlarmGroup:
    """One alarm for each equipment of an axis: indices `start` to `start + count` of the flat alarm index.

    `name` is the protection row's or the system alarm's; `words` says it as an operator would; `unit` is that of
    value and limit, "" if it has none. `row` is the index in `Plant.protection`, -1 for system alarms.
    """

    name: str
    axis: Axis
    level: Level
    count: int
    latching: bool
    words: str
    response: str
    unit: str = ""
    limit: float = float("nan")
    direction: Direction = Direction.HIGH
    element: str = ""  # what a cell index means: "cell", "sensor" or nothing
    row: int = -1
    start: int = 0
    off_delay_s: float = 0.0  # beyond what the condition itself waits

    @property
    def priority(self) -> Priority:
        """The priority, which follows from the level."""
        return PRIORITY_OF_LEVEL[self.level]

    @property
    def shelvable(self) -> bool:
        """Whether an operator may shelve it: never a trip."""
        return self.level is not Level.TRIP

    @property
    def place(self) -> slice:
        """The group's part of every array over alarms."""
        return slice(self.start, self.start + self.count)


def alarm_groups(plant: Plant, equipment: EquipmentList) -> tuple[AlarmGroup, ...]:
    """Return all groups in the order of the flat alarm index."""
    counts = {axis: len(names) for axis, names in equipment.names.items()}
    groups = [
        _row_group(index, row, graded, counts[AXIS_OF_OWNER[row.owner]])
        for index, row in enumerate(plant.protection)
        for graded in row.levels
    ]
    groups += [_system_group(name, definition, counts) for name, definition in SYSTEM_ALARMS.items()]
    placed, start = [], 0
    for group in groups:
        placed.append(replace(group, start=start))
        start += group.count
    return tuple(placed)


def _row_group(index: int, row: ProtectionRow, graded: Graded, count: int) -> AlarmGroup:
    return AlarmGroup(
        name=row.name,
        axis=AXIS_OF_OWNER[row.owner],
        level=graded.level,
        count=count,
        latching=graded.level is Level.TRIP and row.reset_class is not ResetClass.AUTO,
        words=_words(row.name),
        response=_RESPONSES[graded.action],
        unit=unit_of(row),
        limit=graded.limit,
        direction=row.direction,
        element=_ELEMENTS.get(row.signal, ""),
        row=index,
    )


def _system_group(name: SystemAlarm, definition: Definition, counts: dict[Axis, int]) -> AlarmGroup:
    return AlarmGroup(
        name=name.value,
        axis=definition.axis,
        level=definition.level,
        count=counts[definition.axis],
        latching=definition.latching,
        words=definition.words,
        response=definition.response,
        unit=definition.unit,
        element="cell" if name.value.startswith("cell_") else "",
        off_delay_s=COMMUNICATION_OFF_DELAY_S if name in OF_COMMUNICATION else 0.0,
    )


def unit_of(row: ProtectionRow) -> str:
    """Return the unit of a row's limits, "" for yes/no."""
    signal = SIGNALS[row.signal]
    if row.reduction is Reduction.AGE:
        return "s"
    if signal.form is not SignalForm.QUANTITY:
        return ""
    kelvin = signal.unit == "degC" and row.reduction in {Reduction.SPREAD, Reduction.RATE}
    unit = "K" if kelvin else signal.unit
    return f"{unit}/min" if row.reduction is Reduction.RATE else unit


def _words(name: str) -> str:
    if name in _ROWS:
        return _ROWS[name]
    return " ".join(_UPPER.get(word, word) for word in name.split("_"))


_ROWS = {"data_age": "gives no usable value"}
"""Rows whose name says less than an operator has to know: a value may be missing, stand still, or be impossible."""
_UPPER = {"bms": "BMS", "pcs": "PCS", "soc": "SOC", "soh": "SOH"}

_ELEMENTS = {"cell.voltage": "cell", "cell.balancing": "cell", "cell.temperature": "sensor"}

_RESPONSES = {
    Action.ANNUNCIATE: "Watch the trend; find the cause before it becomes worse.",
    Action.INHIBIT_CHARGE: "Charging is withheld until the value is back inside its reset limit; find the cause.",
    Action.INHIBIT_DISCHARGE: "Discharging is withheld until the value is back inside its reset limit; find the cause.",
    Action.INHIBIT_BOTH: "Power is withheld until the value is back inside its reset limit; find the cause.",
    Action.DISCONNECT_RACK: "The rack is disconnected: verify it, find the cause, reset only then.",
    Action.ZERO_BUS: "The converters of the bus are at zero: find the cause, reset only then.",
    Action.STOP_PCS: "The converters are stopped: find the cause, reset only then.",
    Action.STOP_BLOCK: "The block is stopped: follow the site's emergency plan; clear the cause at its source.",
    Action.STOP_PLANT: "The plant is stopped: follow the site's emergency plan; clear the cause at its source.",
}
