"""Limits of trips that come when all is lost: half the current through open contactors, a cell in thermal runaway."""

from __future__ import annotations

from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.rows import TEMPERATURES, place_of_row, text_of_row
from controller.plant.figures import quantity
from controller.plant.messages import Message, error
from controller.plant.protection_rows import Action, Direction, ProtectionRow, Qualifier, Reduction
from controller.plant.row_coverage import is_about

RUNAWAY_K_PER_MIN = 60.0
"""1 K/s: from there on a cell heats itself faster than anything cools it."""
OPEN_CURRENT_RATIO = 0.25
"""Of a rack's current: what flows through contactors reported open is no error of a sensor long before that."""
BEYOND_COMMAND_RATIO = 0.5
"""Of a converter's power."""


def trips_can_be_reached(context: CheckContext) -> Iterator[Message]:
    """A rise, a current through open contactors and a power beyond command trip while that still helps."""
    for row in context.plant.protection:
        if row.trip is None or row.direction is not Direction.HIGH:
            continue
        for most, unit, because in _most(context, row):
            if row.trip.limit > most * (1 + 1e-6):
                text, value = text_of_row(context, row, "trip.limit"), quantity(row.trip.limit, unit)
                message = f"{row.name}: trip ({text}{f', {value}' if '%' in text else ''}) comes too late: {because}"
                yield error(place_of_row(context, row, "trip.limit"), message, f"at most {quantity(most, unit)}")
                break


def trips_look_at_the_worst(context: CheckContext) -> Iterator[Message]:
    """Of many cells the one that is furthest out trips: the other end is reached when all of them are lost."""
    for row in context.plant.protection:
        worst = Reduction.HIGHEST if row.direction is Direction.HIGH else Reduction.LOWEST
        other = Reduction.LOWEST if worst is Reduction.HIGHEST else Reduction.HIGHEST
        if row.reduction is other and row.levels[-1].action is not Action.ANNUNCIATE:
            acts = row.levels[-1].level.name.lower()
            message = (
                f"{row.name}: {acts} waits until the {other} of all is too {row.direction}: every cell is lost then"
            )
            yield error(place_of_row(context, row, "take"), message, f"take: {worst}")


def _most(context: CheckContext, row: ProtectionRow) -> Iterator[tuple[float, str, str]]:
    """Yield the furthest limits that a trip of this kind may have, in which unit, and why."""
    if row.signal in TEMPERATURES and row.reduction is Reduction.RATE:
        yield RUNAWAY_K_PER_MIN, "K/min", "a cell that heats so fast is in thermal runaway"
    if row.signal == "rack.current" and row.qualifier is Qualifier.DISCONNECTED:
        for battery in (b for b in context.plant.battery_types if is_about(row, b.name)):
            rated_a = max(battery.charge_current_max_a, battery.discharge_current_max_a)
            because = f"open contactors carry nothing, and {battery.name} at most {quantity(rated_a, 'A')} when closed"
            yield OPEN_CURRENT_RATIO * rated_a, "A", because
    if row.reduction is Reduction.BEYOND_COMMAND:
        for pcs in context.plant.pcs:
            because = f"{pcs.name} has {quantity(pcs.power_w, 'W')} in all"
            yield BEYOND_COMMAND_RATIO * pcs.power_w, "W", because
