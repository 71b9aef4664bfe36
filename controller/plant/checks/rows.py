"""Where a protection row and its values stand in the files, and on which side of a limit a value lies."""

from __future__ import annotations

from itertools import pairwise

from controller.plant.checks.context import CheckContext
from controller.plant.messages import Place
from controller.plant.protection_loader import DraftRow
from controller.plant.protection_rows import Direction, ProtectionRow

MANY_LIMITS = 2
CELL_VOLTAGES = frozenset({"cell.voltage", "rack.cell_voltage_max", "rack.cell_voltage_min"})
VOLTAGES = CELL_VOLTAGES | {"rack.voltage"}
TEMPERATURES = frozenset({"cell.temperature", "rack.cell_temperature_max", "rack.cell_temperature_min"})


def draft_of(context: CheckContext, row: ProtectionRow) -> DraftRow:
    """Return a row as its files put it together."""
    return context.drafts[row.owner, row.name]


def place_of_row(context: CheckContext, row: ProtectionRow, key: str) -> Place:
    """Return where a value of a row stands (`trip.limit`), or the row itself where no file states it."""
    draft = draft_of(context, row)
    return draft.values[key].place if key in draft.values else draft.place


def text_of_row(context: CheckContext, row: ProtectionRow, key: str) -> str:
    """Return a value of a row as written, "" where no file states it."""
    value = draft_of(context, row).values.get(key)
    return str(value.value) if value else ""


def is_outside(row: ProtectionRow, value: float, limit: float) -> bool:
    """Tell whether a value is further out on the row's dangerous side than a limit."""
    return value > limit if row.direction is Direction.HIGH else value < limit


def is_turned(row: ProtectionRow) -> bool:
    """Tell whether limits and reset are all in order for the other direction: then the direction is the mistake."""
    limits = [row.reset, *(graded.limit for graded in row.levels)]
    other = [
        (inner < outer) is (row.direction is Direction.LOW) and inner != outer for inner, outer in pairwise(limits)
    ]
    return len(limits) > MANY_LIMITS and all(other)


def is_in_order(row: ProtectionRow) -> bool:
    """Tell whether warning comes before alarm and alarm before trip; where not, that is said, and nothing else."""
    return all(is_outside(row, outer.limit, inner.limit) for inner, outer in pairwise(row.levels))
