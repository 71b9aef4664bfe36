"""Does every trip do what it is there for: in the state where the danger arises, not in normal use, not for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from controller.plant.checks.chains import emergencies_of
from controller.plant.checks.context import CheckContext
from controller.plant.checks.rows import TEMPERATURES, VOLTAGES, is_in_order, is_outside, place_of_row, text_of_row
from controller.plant.checks.trip_limits import trips_can_be_reached
from controller.plant.figures import quantity, span
from controller.plant.messages import Message, error, warning
from controller.plant.model import BatteryType
from controller.plant.protection_rows import (
    Action,
    Direction,
    Graded,
    Level,
    ProtectionRow,
    Qualifier,
    Reduction,
    ResetClass,
)
from controller.plant.row_coverage import is_about
from controller.plant.signals import Owner

_AS_IT_IS = frozenset({Reduction.NONE, Reduction.HIGHEST, Reduction.LOWEST})
_IN_USE = frozenset({Qualifier.ALWAYS, Qualifier.CONNECTED})
_CHARGES = frozenset({Reduction.CHARGE, Reduction.MAGNITUDE})
_DISCHARGES = frozenset({Reduction.DISCHARGE, Reduction.MAGNITUDE, Reduction.NONE})

MOST_INSIDE_RATIO = 1 / 3
"""Of the window's width: a trip deeper inside is a slip, and one nearer to the edge may be meant."""
MOST_INSIDE_OF_TEMPERATURES_RATIO = 1 / 2
"""The same between a cell's coldest and warmest: who stays far from both ends is careful."""
SLACK_RATIO = 0.10
FIRST_CURRENT_RATIO = 1.25
"""Of the continuous current: a direction's first trip acts before a cell that bears no more had it for long."""
HIGHEST_CURRENT_RATIO = 2.0
"""Of the continuous current: more is a short circuit, and the fuse's matter (preset `current_far_too_high`)."""
_HAIR = 1e-6


def _is_of(row: ProtectionRow, signals: frozenset[str]) -> bool:
    return row.owner is Owner.RACK and row.signal in signals and row.reduction in _AS_IT_IS


# --------------------------------------------------------------------------------------------- where the danger arises


def trips_look_when_it_matters(context: CheckContext) -> Iterator[Message]:
    """A cell rises too high while it is charged, and falls too low while it is discharged: a trip looks then."""
    for row in context.plant.protection:
        if row.trip is None or row.owner is not Owner.RACK or _is_of_library(context, row):
            continue
        missed = _missed_state(row)
        if missed and not _somebody_else_looks(context, row, missed):
            when = row.qualifier.value.replace("_", " ")
            message = f"{row.name} is looked at only while a rack is {when}, and what it watches happens while"
            message += f" it is {missed.value.replace('_', ' ')}: nothing would trip then"
            place = place_of_row(context, row, "when")
            yield error(place, message, "no 'when', or a second row that looks always")


def _is_of_library(context: CheckContext, row: ProtectionRow) -> bool:
    """Tell whether a preset says when a row is looked at: it is right, and where its partner is off, that is told."""
    return place_of_row(context, row, "when").file.startswith("library/")


def _missed_state(row: ProtectionRow) -> Qualifier | None:
    """Return the state in which a row's danger arises, where the row does not look then."""
    if row.qualifier in _IN_USE:
        return None
    if _is_of(row, VOLTAGES):
        arises = Qualifier.CHARGING if row.direction is Direction.HIGH else Qualifier.DISCHARGING
        return None if row.qualifier is arises else arises
    if _is_of(row, TEMPERATURES) and row.qualifier in (Qualifier.AT_REST, Qualifier.DISCONNECTED):
        return Qualifier.CHARGING
    if _is_of(row, TEMPERATURES) and row.direction is Direction.HIGH:
        return Qualifier.AT_REST  # a cell that vents heats itself
    if row.signal == "rack.current" and row.direction is Direction.HIGH and row.qualifier is not Qualifier.DISCONNECTED:
        states = _states_of_current(row)
        return None if not states or row.qualifier in states else states[0]
    return None


def _states_of_current(row: ProtectionRow) -> list[Qualifier]:
    """Return in which states the current that a row compares can flow."""
    states = [Qualifier.CHARGING] if row.reduction in _CHARGES else []
    return states + ([Qualifier.DISCHARGING] if row.reduction in _DISCHARGES else [])


def _somebody_else_looks(context: CheckContext, row: ProtectionRow, state: Qualifier) -> bool:
    """Tell whether other rows trip on the same danger for every battery, while it arises, within what a cell bears."""
    mine = [battery for battery in context.plant.battery_types if is_about(row, battery.name)]
    return all(any(_covers(other, row, state, b) for other in context.plant.protection) for b in mine)


def _covers(other: ProtectionRow, row: ProtectionRow, state: Qualifier, battery: BatteryType) -> bool:
    trip = other.trip
    looks = other.qualifier in _IN_USE or other.qualifier is state
    if trip is None or other is row or not looks or not is_about(other, battery.name):
        return False
    if other.direction is not row.direction:
        return False
    if row.signal == "rack.current":
        rated_a = _rated_a(battery)[state]
        low_enough = trip.limit <= HIGHEST_CURRENT_RATIO * rated_a + _HAIR
        return other.signal == row.signal and state in _states_of_current(other) and low_enough
    if _is_of(row, TEMPERATURES):
        return _is_of(other, TEMPERATURES)
    limits, share = battery.cell.limits, battery.cells_in_series if other.signal == "rack.voltage" else 1
    bears_v = limits.voltage_max_v if row.direction is Direction.HIGH else limits.voltage_min_v
    return _is_of(other, VOLTAGES) and not is_outside(other, trip.limit, bears_v * share)


def rest_has_a_current(context: CheckContext) -> Iterator[Message]:
    """A row that is looked at while at rest says below which current that is: no current is ever below zero."""
    for row in context.plant.protection:
        if row.qualifier is Qualifier.AT_REST and row.qualifier_current_a <= 0:
            message = f"{row.name} is looked at while a rack is at rest, but not below which current that is"
            yield error(place_of_row(context, row, "when"), message, "rest_current: 14 A, about 0.05 C of the cells")


# ------------------------------------------------------------------------------------------------------- who resets it


def dangers_do_not_reset_themselves(context: CheckContext) -> Iterator[Message]:
    """Somebody looks at a cell that was too high or too hot, and at an open chain, before the plant goes on."""
    for row in context.plant.protection:
        if row.trip is None or row.reset_class is not ResetClass.AUTO or not text_of_row(context, row, "reset_class"):
            continue
        chain = emergencies_of(context, row)
        if chain or (_is_of(row, VOLTAGES | TEMPERATURES) and row.direction is Direction.HIGH):
            what = "a hard-wired chain" if chain else "a cell that is too high or too hot"
            message = f"{row.name} would reset itself: after {what} nobody would have looked before power returns"
            place = place_of_row(context, row, "reset_class")
            yield error(place, message, "reset_class: local, remote or service")


# --------------------------------------------------------------------------------------------------- not in normal use


def windows_are_left_free(context: CheckContext) -> Iterator[Message]:
    """A rack may be anywhere in its window: what trips or inhibits inside it stops a healthy rack."""
    for row in context.plant.protection:
        if _is_of(row, VOLTAGES | TEMPERATURES) and is_in_order(row):
            for battery in (b for b in context.plant.battery_types if is_about(row, b.name)):
                yield from _inside(context, row, battery)


def _inside(context: CheckContext, row: ProtectionRow, battery: BatteryType) -> Iterator[Message]:
    low, high, unit = _window_of(row, battery)
    edge, inwards = (high, 1) if row.direction is Direction.HIGH else (low, -1)
    for graded in (g for g in row.levels if g.action is not Action.ANNUNCIATE):
        made = _severity(row, graded, inwards * (edge - graded.limit) / (high - low))
        if made is not None:
            key = f"{graded.level.name.lower()}.limit"
            message = f"{row.name}: {graded.level.name.lower()} ({text_of_row(context, row, key)}) lies inside what"
            message += f" {battery.name} may have in normal use, {span(low, high, unit)}"
            also = [context.at("batteries", battery.name, "window" if row.signal in VOLTAGES else "cell")]
            yield made(place_of_row(context, row, key), message, f"a limit near {quantity(edge, unit)}", see_also=also)


def _severity(row: ProtectionRow, graded: Graded, depth_ratio: float) -> Callable[..., Message] | None:
    """Return how bad it is that a level acts so deep inside a window; None: not at all."""
    voltage = row.signal in VOLTAGES
    most = MOST_INSIDE_RATIO if voltage else MOST_INSIDE_OF_TEMPERATURES_RATIO
    if graded.level is not Level.TRIP:
        return error if depth_ratio > 2 * MOST_INSIDE_RATIO else None
    if depth_ratio > most:
        return error
    return warning if voltage and depth_ratio > SLACK_RATIO else None


def _window_of(row: ProtectionRow, battery: BatteryType) -> tuple[float, float, str]:
    """Return between which values of a row's signal a rack is used: the site's window, the cell's temperatures."""
    limits = battery.cell.limits
    if row.signal == "rack.voltage":
        return battery.voltage_min_v, battery.voltage_max_v, "V"
    if row.signal in VOLTAGES:
        cells = battery.cells_in_series
        return battery.voltage_min_v / cells, battery.voltage_max_v / cells, "V"
    if row.qualifier is Qualifier.CHARGING:
        return limits.charge_temperature_min_degc, limits.charge_temperature_max_degc, "degC"
    return limits.discharge_temperature_min_degc, limits.discharge_temperature_max_degc, "degC"


def nominal_values_do_not_trip(context: CheckContext) -> Iterator[Message]:
    """The grid's nominal frequency and voltage lie between the trips of meters and converters."""
    poi = context.plant.poi
    for row in context.plant.protection:
        trip = row.trip
        if trip is None or row.reduction is not Reduction.NONE:
            continue
        for nominal, unit in _nominal_of(context, row, poi.frequency_hz):
            if not is_outside(row, trip.limit, nominal):
                text = text_of_row(context, row, "trip.limit")
                message = f"{row.name}: trip ({text}) would act at the nominal {quantity(nominal, unit)}"
                side = "above" if row.direction is Direction.HIGH else "below"
                yield error(place_of_row(context, row, "trip.limit"), message, f"{side} {quantity(nominal, unit)}")


def _nominal_of(context: CheckContext, row: ProtectionRow, frequency_hz: float) -> Iterator[tuple[float, str]]:
    if row.signal in ("meter.frequency", "pcs.frequency"):
        yield frequency_hz, "Hz"
    if row.signal == "pcs.ac_voltage":
        yield from ((pcs.ac_voltage_v, "V") for pcs in context.plant.pcs)
    if row.signal == "meter.voltage":
        yield from ((meter.voltage_v, "V") for meter in context.plant.meters if meter.is_at_poi)


# ------------------------------------------------------------------------------------------------------------ currents


def currents_trip_in_time(context: CheckContext) -> Iterator[Message]:
    """In each direction a trip acts at no more than twice a rack's current, and none stands behind another for ever."""
    for battery in context.plant.battery_types:
        rows = [row for row in context.plant.protection if _is_over_current(row) and is_about(row, battery.name)]
        for state, rated_a in _rated_a(battery).items():
            about = [row for row in rows if state in _states_of_current(row)]
            mine = [row for row in about if row.qualifier in {*_IN_USE, state}]
            if any(_missed_state(row) for row in about):
                continue  # said where that row stands
            yield from _too_late(context, battery, mine, state)
            shadowed = list(_shadowed(mine, HIGHEST_CURRENT_RATIO * rated_a))
            yield from (_behind(context, row, first) for row, first in shadowed)
            if not shadowed:
                yield from _late(context, battery, mine, state)
        yield from _too_early(context, battery, rows)


def _rated_a(battery: BatteryType) -> dict[Qualifier, float]:
    return {Qualifier.CHARGING: battery.charge_current_max_a, Qualifier.DISCHARGING: battery.discharge_current_max_a}


def _is_over_current(row: ProtectionRow) -> bool:
    flows = row.reduction in _CHARGES | _DISCHARGES and row.qualifier is not Qualifier.DISCONNECTED
    return row.signal == "rack.current" and row.direction is Direction.HIGH and flows and row.trip is not None


def _too_late(
    context: CheckContext, battery: BatteryType, rows: Sequence[ProtectionRow], state: Qualifier
) -> Iterator[Message]:
    """No trip acts at less than twice the current: an error."""
    most_a = HIGHEST_CURRENT_RATIO * _rated_a(battery)[state]
    if min((row.levels[-1].limit for row in rows), default=0.0) > most_a + _HAIR:
        yield _first_trip(context, battery, rows, (error, "twice", most_a), state)


def _late(
    context: CheckContext, battery: BatteryType, rows: Sequence[ProtectionRow], state: Qualifier
) -> Iterator[Message]:
    """The first trip acts far beyond the current, which a maker may allow for seconds: a warning."""
    rated_a, first_a = _rated_a(battery)[state], min((row.levels[-1].limit for row in rows), default=0.0)
    most_a = FIRST_CURRENT_RATIO * rated_a
    if most_a + _HAIR < first_a <= HIGHEST_CURRENT_RATIO * rated_a + _HAIR:
        times = f"{100 * FIRST_CURRENT_RATIO:g} % of"
        yield _first_trip(context, battery, rows, (warning, times, most_a), state)


def _first_trip(
    context: CheckContext,
    battery: BatteryType,
    rows: Sequence[ProtectionRow],
    most: tuple[Callable[..., Message], str, float],
    state: Qualifier,
) -> Message:
    """Of the rows that trip, the one about this direction alone is named: it is the one that should be lower."""
    (made, times, most_a), rated_a = most, _rated_a(battery)[state]
    named = min(rows, key=lambda row: (row.reduction is Reduction.MAGNITUDE, row.levels[-1].limit))
    message = f"{named.name}: trip ({_amperes(context, named)}) is too high, and no other row trips at less than"
    message += f" {times} what {battery.name} bears while {state.value}, {quantity(rated_a, 'A')}"
    expected = f"at most {quantity(most_a, 'A')}, such as 110 % of rated"
    also = [context.at("batteries", battery.name, "current")]
    return made(place_of_row(context, named, "trip.limit"), message, expected, see_also=also)


def _amperes(context: CheckContext, row: ProtectionRow) -> str:
    """Return a current trip's limit as written, with what it comes to."""
    text = text_of_row(context, row, "trip.limit")
    return f"{text}, {quantity(row.levels[-1].limit, 'A')}" if "of rated" in text else text


def _shadowed(rows: Sequence[ProtectionRow], most_a: float) -> Iterator[tuple[ProtectionRow, ProtectionRow]]:
    """Yield each row about one direction that trips above `most_a` and that another always trips before, with it."""
    for row in (r for r in rows if r.levels[-1].limit > most_a + _HAIR):
        mine = row.levels[-1]
        for other in rows:
            theirs = other.levels[-1]
            earlier = theirs.limit < mine.limit - _HAIR and theirs.delay_s <= mine.delay_s
            if earlier and other.qualifier in {*_IN_USE, row.qualifier} and row.reduction is not Reduction.MAGNITUDE:
                yield row, other
                break


def _behind(context: CheckContext, row: ProtectionRow, first: ProtectionRow) -> Message:
    mine, theirs = row.levels[-1], first.levels[-1]
    message = (
        f"{row.name}: trip ({text_of_row(context, row, 'trip.limit')} for {quantity(mine.delay_s, 's')}) never acts:"
    )
    message += f" {first.name} trips at {quantity(theirs.limit, 'A')} within {quantity(theirs.delay_s, 's')}"
    also = [place_of_row(context, first, "trip.limit")]
    expected = f"below {quantity(theirs.limit, 'A')}, such as 110 % of rated"
    return error(place_of_row(context, row, "trip.limit"), message, expected, see_also=also)


def _too_early(context: CheckContext, battery: BatteryType, rows: Sequence[ProtectionRow]) -> Iterator[Message]:
    """A trip below a rack's own current stops it in normal use: an error where the converters ask for that much."""
    for row in rows:
        rated = _rated_a(battery)
        rated_a, limit_a = min(rated[state] for state in _states_of_current(row)), row.levels[-1].limit
        if limit_a >= rated_a * (1 - _HAIR):
            continue
        asked_a = min(rated_a, _asked_a(context, battery))
        message = f"{row.name}: trip ({_amperes(context, row)}) lies below what {battery.name} carries in normal"
        message += f" use, {quantity(rated_a, 'A')}"
        made = error if limit_a < asked_a else warning
        also = [context.at("batteries", battery.name, "current")]
        yield made(
            place_of_row(context, row, "trip.limit"), message, f"more than {quantity(rated_a, 'A')}", see_also=also
        )


def _asked_a(context: CheckContext, battery: BatteryType) -> float:
    """Return the largest current that the converters of a bus take from each of its racks at their full power."""
    plant = context.plant
    asked_a = 0.0
    for bus in plant.buses:
        if any(plant.racks[rack].battery is battery for rack in bus.racks):
            power_w = sum(plant.pcs[p].power_w / plant.pcs[p].efficiency_ratio for p in bus.pcs)
            asked_a = max(asked_a, power_w / battery.voltage_max_v / len(bus.racks))
    return asked_a


TRIP_CHECKS = (
    trips_look_when_it_matters,
    rest_has_a_current,
    dangers_do_not_reset_themselves,
    windows_are_left_free,
    nominal_values_do_not_trip,
    currents_trip_in_time,
    trips_can_be_reached,
)
