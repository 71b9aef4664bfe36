"""Does what a level does take its danger away: the current that causes it?"""

from __future__ import annotations

from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.rows import CELL_VOLTAGES, TEMPERATURES, VOLTAGES, place_of_row, text_of_row
from controller.plant.messages import Message, error, one_of
from controller.plant.protection_rows import Action, Direction, Graded, Level, ProtectionRow, Qualifier, Reduction
from controller.plant.row_coverage import is_about
from controller.plant.signals import Owner

_CHARGING, _DISCHARGING = Qualifier.CHARGING, Qualifier.DISCHARGING
_BOTH = frozenset({_CHARGING, _DISCHARGING})
_STOPPED_BY = {Action.INHIBIT_CHARGE: frozenset({_CHARGING}), Action.INHIBIT_DISCHARGE: frozenset({_DISCHARGING})}
"""The directions that an action stops; every other action stops both."""
_OF_CURRENTS = {
    Reduction.CHARGE: frozenset({_CHARGING}),
    Reduction.DISCHARGE: frozenset({_DISCHARGING}),
    Reduction.NONE: frozenset({_DISCHARGING}),
    Reduction.MAGNITUDE: _BOTH,
}
_AS_IT_IS = (Reduction.NONE, Reduction.HIGHEST, Reduction.LOWEST)


def actions_stop_the_danger(context: CheckContext) -> Iterator[Message]:
    """A level stops the current that drives its value further out: a full cell's charge, an empty cell's discharge."""
    for row in context.plant.protection:
        for graded in (g for g in row.levels if g.action is not Action.ANNUNCIATE):
            going_on = _dangerous(context, row, graded) - _STOPPED_BY.get(graded.action, _BOTH)
            if going_on:
                yield _goes_on(context, row, graded, going_on)


def _dangerous(context: CheckContext, row: ProtectionRow, graded: Graded) -> frozenset[Qualifier]:
    """Return in which directions a current does harm once a level is reached; none where that can't be told."""
    if row.owner is not Owner.RACK:
        return _BOTH if row.reduction is Reduction.BEYOND_COMMAND else frozenset()
    looked_at = frozenset({row.qualifier}) & _BOTH or _BOTH
    if row.signal == "rack.current" and row.direction is Direction.HIGH:
        return _OF_CURRENTS.get(row.reduction, frozenset()) & looked_at
    if row.signal in TEMPERATURES and row.reduction in (*_AS_IT_IS, Reduction.RATE):
        return _of_temperature(graded, looked_at)
    if row.signal in VOLTAGES and row.reduction in _AS_IT_IS:
        if row.direction is Direction.HIGH:
            return frozenset({_CHARGING})
        return _BOTH if _is_dead(context, row, graded) else frozenset({_DISCHARGING})
    return frozenset()


def _of_temperature(graded: Graded, looked_at: frozenset[Qualifier]) -> frozenset[Qualifier]:
    """A cell bears less while it is charged: an alarm may stop that alone, a trip stops all that it looks at."""
    return looked_at if graded.level is Level.TRIP or len(looked_at) == 1 else frozenset({_CHARGING})


def _is_dead(context: CheckContext, row: ProtectionRow, graded: Graded) -> bool:
    """Tell whether a tripped cell is then below what its maker allows: whoever charges it plates its copper."""
    mine = [battery for battery in context.plant.battery_types if is_about(row, battery.name)]
    cells = row.signal in CELL_VOLTAGES and graded.level is Level.TRIP
    return cells and any(graded.limit < b.cell.limits.voltage_min_v - 1e-6 for b in mine)


def _goes_on(context: CheckContext, row: ProtectionRow, graded: Graded, going_on: frozenset[Qualifier]) -> Message:
    level = graded.level.name.lower()
    ways = " and ".join(sorted(way.value for way in going_on))
    message = f"{row.name}: {level} ({text_of_row(context, row, f'{level}.action')}) lets {ways} go on,"
    message += f" which is what is dangerous when {_spoken(row)}"
    needed = _dangerous(context, row, graded)
    enough = [action.value for action, stopped in _STOPPED_BY.items() if stopped >= needed]
    expected = f"action: {one_of([*enough, 'inhibit_both', 'zero_bus', 'disconnect_rack'])}"
    return error(place_of_row(context, row, f"{level}.action"), message, expected)


def _spoken(row: ProtectionRow) -> str:
    what = "power" if row.reduction is Reduction.BEYOND_COMMAND else row.signal.rpartition(".")[2].replace("_", " ")
    what = what.removesuffix(" max").removesuffix(" min")
    if row.reduction is Reduction.RATE:
        return f"the {what} rises so fast"
    return f"the {what} is so {row.direction.value}"


EFFECT_CHECKS = (actions_stop_the_danger,)
