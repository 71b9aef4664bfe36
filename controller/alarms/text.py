"""Events in the words of an operator: rendered by whoever reads them, from numbers alone."""

from __future__ import annotations

import math

from controller.alarms.events import EventKind, EventRecord
from controller.alarms.groups import AlarmGroup
from controller.alarms.table import AlarmTable
from controller.plant.protection_rows import Direction

_BIG_UNITS = {"W": (1e3, "kW"), "var": (1e3, "kvar"), "ohm": (1e3, "kohm")}
_DIGITS = {"V": 2, "A": 1, "K": 1, "degC": 1, "s": 1, "kW": 1, "kvar": 1, "kohm": 0, "Hz": 3}

_SUFFIXES = {
    EventKind.RETURNED: "returned to normal",
    EventKind.LATCHED: "cause gone, waits for reset",
    EventKind.RESET: "reset",
    EventKind.ACKNOWLEDGED: "acknowledged",
    EventKind.SHELVED: "shelved",
    EventKind.UNSHELVED: "no longer shelved",
    EventKind.SUPPRESSED: "suppressed by design",
    EventKind.UNSUPPRESSED: "no longer suppressed",
    EventKind.TAKEN_OUT_OF_SERVICE: "taken out of service",
    EventKind.RETURNED_TO_SERVICE: "returned to service",
    EventKind.CELL_FOUND: "it is this one",
}
_OVER = "over"
"""A system alarm says what is wrong in a sentence; what became of it stands before: `over: PCS01 does not stop`."""
_FLOOD = {
    EventKind.FLOOD_STARTED: "alarm flood began: more than ten alarms in ten minutes",
    EventKind.FLOOD_ENDED: "alarm flood ended",
}


def render(event: EventRecord, table: AlarmTable) -> str:
    """Return one line, `B01-R03 cell 17 voltage high: 3.72 V >= trip 3.65 V`; cells count from 1, as on drawings."""
    if event.kind in _FLOOD:
        return _FLOOD[event.kind]
    group, index = table.locate(event.code)
    what = f"{table.equipment.names[group.axis][index]} {_words(group, event.cell)}"
    match event.kind:
        case EventKind.RAISED:
            return f"{what}{_comparison(group, event)}"
        case EventKind.FIRST_OUT:
            first = "first out" if event.value == 1 else f"first out of {event.value:.0f}, order not decidable"
            return f"{first}: {what} {group.level.name.lower()}"
        case _ if group.row < 0:
            became = _OVER if event.kind is EventKind.RETURNED else _SUFFIXES[event.kind]
            return f"{became}: {what}"
        case _:
            return f"{what} {group.level.name.lower()}: {_SUFFIXES[event.kind]}"


def response(event: EventRecord, table: AlarmTable) -> str:
    """Return what an operator does about the alarm of an event."""
    return table.locate(event.code)[0].response


def quantity_text(value: float, unit: str) -> str:
    """Return a value as people read it: `3.65 V`, `110.0 kW`, `2.5 s`."""
    factor, big = _BIG_UNITS.get(unit, (1.0, unit))
    if big != unit and abs(value) >= factor:
        value, unit = value / factor, big
    digits = _DIGITS.get(unit)
    number = f"{value:g}" if digits is None else f"{value:.{digits}f}"
    return f"{number} {unit}"


def _words(group: AlarmGroup, cell: int) -> str:
    """`cell voltage high` of cell index 16 is `cell 17 voltage high`; of a sensor, `sensor 17 cell ... high`."""
    if cell < 0 or not group.element:
        return group.words
    if group.words.startswith(f"{group.element} "):
        return group.words.replace(group.element, f"{group.element} {cell + 1}", 1)
    return f"{group.element} {cell + 1} {group.words}"


def _comparison(group: AlarmGroup, event: EventRecord) -> str:
    if not group.unit or math.isnan(event.value):
        return ""
    value = quantity_text(event.value, group.unit)
    if math.isnan(event.limit):
        return f": {value}"
    sign = ">=" if group.direction is Direction.HIGH else "<="
    return f": {value} {sign} {group.level.name.lower()} {quantity_text(event.limit, group.unit)}"
