"""Protection rows: ordered limits, inside the cell's envelope, graded against the BMS, fed by a device."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.rows import draft_of, is_in_order, is_outside, is_turned, place_of_row, text_of_row
from controller.plant.figures import quantity
from controller.plant.messages import Message, did_you_mean, error, one_of, warning
from controller.plant.model import BatteryType, BmsTrip
from controller.plant.protection_rows import Action, Direction, Graded, Level, ProtectionRow, Qualifier, Reduction
from controller.plant.row_coverage import covered, is_about, known_kinds, watches_as
from controller.plant.signals import SIGNALS, Owner, SignalForm


def limits_are_ordered(context: CheckContext) -> Iterator[Message]:
    """Warning before alarm before trip."""
    for row in context.plant.protection:
        for inner, outer in zip(row.levels, row.levels[1:], strict=False):
            if not is_outside(row, outer.limit, inner.limit):
                yield _disorder(context, row, inner, outer)


def directions_fit_limits(context: CheckContext) -> Iterator[Message]:
    """Limits rise from the reset to the trip where the high side is dangerous, and fall where the low one is."""
    for row in context.plant.protection:
        if is_turned(row):
            limits = [text_of_row(context, row, f"{graded.level.name.lower()}.limit") for graded in row.levels]
            goes, side = ("rise", Direction.HIGH) if row.direction is Direction.LOW else ("fall", Direction.LOW)
            message = f"{row.name} is dangerous on the {row.direction} side, but its limits {goes} from its reset"
            message += f" ({text_of_row(context, row, 'reset')}) to {limits[-1]}"
            places = [place_of_row(context, row, key) for key in ("direction", "reset")]
            places.sort(key=lambda place: place.file.startswith("library/"))
            yield error(places[0], message, f"direction: {side}", see_also=places[1:])


def _disorder(context: CheckContext, row: ProtectionRow, inner: Graded, outer: Graded) -> Message:
    above = "above" if row.direction is Direction.HIGH else "below"
    short = "at or below" if row.direction is Direction.HIGH else "at or above"
    first, second = inner.level.name.lower(), outer.level.name.lower()
    mine, other = text_of_row(context, row, f"{second}.limit"), text_of_row(context, row, f"{first}.limit")
    message = (
        f"{row.name}: {second} ({mine}) comes {short} {first} ({other}); it would never {_VERBS[inner.level]} first"
    )
    places = [place_of_row(context, row, f"{second}.limit"), place_of_row(context, row, f"{first}.limit")]
    places.sort(key=lambda place: place.file.startswith("library/"))  # point at what the site's own file says
    return error(places[0], message, f"{second} {above} {first}", see_also=places[1:])


_VERBS = {Level.WARNING: "warn", Level.ALARM: "alarm", Level.TRIP: "trip"}


def resets_are_inside(context: CheckContext) -> Iterator[Message]:
    """A condition ends inside its first limit, or it would chatter."""
    for row in context.plant.protection:
        first = row.levels[0]
        if not is_outside(row, first.limit, row.reset):
            side = "below" if row.direction is Direction.HIGH else "above"
            word = first.level.name.lower()
            message = f"{row.name}: reset ({text_of_row(context, row, 'reset')}) does not lie {side} {word}"
            message += f" ({text_of_row(context, row, f'{word}.limit')}); it would come and go"
            also = [place_of_row(context, row, f"{word}.limit")]
            yield error(place_of_row(context, row, "reset"), message, f"reset {side} {word}", see_also=also)


def trips_are_inside_cells(context: CheckContext) -> Iterator[Message]:
    """For each side of the cell's envelope, at least one row trips before it is left."""
    for signal, direction, qualifier in _ENVELOPE:
        rows = [row for row in context.plant.protection if _watches(row, signal, direction, qualifier)]
        tripping = [(row, level.limit) for row in rows for level in row.levels if level.level is Level.TRIP]
        for battery in context.plant.battery_types:
            mine = [(row, limit) for row, limit in tripping if is_about(row, battery.name)]
            if not mine:
                continue
            row, limit = (min if direction is Direction.HIGH else max)(mine, key=lambda t: t[1])
            bears = _bears(battery, signal, direction, qualifier)
            if is_outside(row, limit, bears + (1e-9 if direction is Direction.HIGH else -1e-9)):
                row = next((other for other, _ in mine if other.qualifier is qualifier), row)
                unit = SIGNALS[signal].unit
                text = text_of_row(context, row, "trip.limit")
                message = f"{row.name}: trip ({text}) is outside what cell {battery.cell.name} bears"
                side = "at most" if direction is Direction.HIGH else "at least"
                yield error(place_of_row(context, row, "trip.limit"), message, f"{side} {bears:g} {unit}")


_ENVELOPE = (
    ("cell.voltage", Direction.HIGH, Qualifier.ALWAYS),
    ("cell.voltage", Direction.LOW, Qualifier.ALWAYS),
    ("cell.temperature", Direction.HIGH, Qualifier.ALWAYS),
    ("cell.temperature", Direction.HIGH, Qualifier.CHARGING),
    ("cell.temperature", Direction.LOW, Qualifier.ALWAYS),
    ("cell.temperature", Direction.LOW, Qualifier.CHARGING),
)


def _watches(row: ProtectionRow, signal: str, direction: Direction, qualifier: Qualifier) -> bool:
    reduced = row.reduction in (Reduction.HIGHEST, Reduction.LOWEST, Reduction.NONE)
    states = (Qualifier.ALWAYS, qualifier)
    return row.signal == signal and row.direction is direction and row.qualifier in states and reduced


def _bears(battery: BatteryType, signal: str, direction: Direction, qualifier: Qualifier) -> float:
    limits, high = battery.cell.limits, direction is Direction.HIGH
    if signal == "cell.voltage":
        return limits.voltage_max_v if high else limits.voltage_min_v
    if qualifier is Qualifier.CHARGING:
        return limits.charge_temperature_max_degc if high else limits.charge_temperature_min_degc
    return limits.discharge_temperature_max_degc if high else limits.discharge_temperature_min_degc


def rows_are_graded(context: CheckContext) -> Iterator[Message]:
    """We warn and derate before the BMS trips, and our own trip comes not before it: it is the back-up."""
    for battery in context.plant.battery_types:
        name = battery.name
        for trip in battery.bms_trips:
            rows = [row for row in context.plant.protection if watches_as(row, trip) and is_about(row, name)]
            yield from _protects_nothing(context, battery, trip)
            for row in filter(is_in_order, () if _beyond_cell(battery, trip) else rows):
                yield from _graded(context, row, trip, name)
            if not rows:
                message = f"the BMS of {name} trips itself by {trip.row}, but no row of ours watches the same"
                yield warning(
                    context.at("batteries", name, "bms_trips", trip.row), message, f"a row such as {trip.row}"
                )


def _beyond_cell(battery: BatteryType, trip: BmsTrip) -> tuple[float, str] | None:
    """Return what a cell bears, in which unit, where its BMS trips only beyond that; None where it trips in time.

    Of a current cells bear a quarter more than what they are rated for, for as long as a trip takes.
    """
    signal, _, side = trip.row.rpartition("_")
    if signal in _OF_CELLS:
        name, direction = _OF_CELLS[signal], Direction(side)
        bears, unit = _bears(battery, name, direction, Qualifier.ALWAYS), SIGNALS[name].unit
    else:
        limits, direction, unit = battery.cell.limits, Direction.HIGH, "A"
        rated_a = limits.charge_current_max_a if signal == "charge_current" else limits.discharge_current_max_a
        bears = SHORT_CURRENT_RATIO * rated_a * battery.cells_in_parallel
    outside = trip.limit > bears if direction is Direction.HIGH else trip.limit < bears
    return (bears, unit) if outside and not math.isclose(trip.limit, bears, rel_tol=1e-9, abs_tol=1e-9) else None


SHORT_CURRENT_RATIO = 1.25
_OF_CELLS = {"cell_voltage": "cell.voltage", "cell_temperature": "cell.temperature"}


def _protects_nothing(context: CheckContext, battery: BatteryType, trip: BmsTrip) -> Iterator[Message]:
    """A BMS that trips only beyond what the cell bears is no measure for our rows, which are then the first.

    Where it can't be set otherwise, somebody accepts it with a reason, until a day.
    """
    beyond = _beyond_cell(battery, trip)
    if beyond is None or context.site.batteries[battery.name].bms_trips[trip.row].accepted is not None:
        return
    (bears, unit), side = beyond, "at least" if trip.row.endswith("_low") else "at most"
    message = f"the BMS of {battery.name} trips {trip.row} only at {quantity(trip.limit, unit)}, beyond the"
    message += f" {quantity(bears, unit)} that cell {battery.cell.name} bears: it protects nothing, and our trip is"
    message += " the first"
    place = context.at("batteries", battery.name, "bms_trips", trip.row, "limit")
    hint = "our own trip stays inside; if it can't be set: accepted: {reason: ..., by: ..., until: 2027-03-31}"
    yield warning(place, message, f"{side} {quantity(bears, unit)}, set in the BMS", hint)


def _graded(context: CheckContext, row: ProtectionRow, trip: BmsTrip, battery: str) -> Iterator[Message]:
    also = [context.at("batteries", battery, "bms_trips", trip.row)]
    for level in row.levels:
        word = level.level.name.lower()
        place, text = place_of_row(context, row, f"{word}.limit"), text_of_row(context, row, f"{word}.limit")
        if level.level is not Level.TRIP and not _further_out(row, trip.limit, level.limit):
            message = f"{row.name}: {word} ({text}) comes only after the BMS of {battery} has tripped"
            yield warning(place, message, f"{word} inside the BMS's own trip", see_also=also)
        if level.level is Level.TRIP and _comes_first(row, level, trip):
            message = f"{row.name}: trip ({text}) comes before the BMS of {battery} trips itself"
            yield warning(place, message, "a back-up: further out than the BMS's own trip, or later", see_also=also)


def _comes_first(row: ProtectionRow, ours: Graded, trip: BmsTrip) -> bool:
    """Whether our trip acts before the BMS's own.

    A current jumps over both limits, so a longer delay makes ours the later one. A voltage or a temperature drifts: it
    may stay between the two for hours, and then a delay helps only where both limits are one.
    """
    later, same = ours.delay_s > trip.delay_s, not _further_out(row, trip.limit, ours.limit)
    return not _further_out(row, ours.limit, trip.limit) and not (later and (same or row.signal == "rack.current"))


def _further_out(row: ProtectionRow, value: float, limit: float) -> bool:
    """Tell whether a value is outside a limit by more than the rounding of their units (140 degF is 60 degC)."""
    return is_outside(row, value, limit) and not math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-9)


def rated_is_one_number(context: CheckContext) -> Iterator[Message]:
    """`% of rated` is the smallest battery's current: with batteries of several sizes it is early for the larger."""
    for row in context.plant.protection:
        mine = [battery for battery in context.plant.battery_types if is_about(row, battery.name)]
        if len({(b.charge_current_max_a, b.discharge_current_max_a) for b in mine}) < 2:
            continue
        for level in row.levels:
            key = f"{level.level.name.lower()}.limit"
            if "of rated" in text_of_row(context, row, key):
                message = f"{row.name}: {text_of_row(context, row, key)} is {level.limit:g} A for every rack,"
                message += " although the batteries differ"
                yield warning(place_of_row(context, row, key), message, "one rated current, or limits in A")


def analogues_can_be_doubted(context: CheckContext) -> Iterator[Message]:
    """A measured quantity that a trip rests on has a range or a missing value, so that a broken wire can be caught."""
    watched = {row.signal for row in context.plant.protection if row.trip}
    for device_type in context.plant.device_types:
        for point in device_type.points:
            quantity = point.signal.form is SignalForm.QUANTITY and not device_type.sunspec_models
            doubted = point.missing or point.valid_min is not None or point.register_type in ("f32", "f64")
            if point.signal.name in watched and quantity and not doubted:
                message = f"{device_type.name} gives {point.signal.name} neither 'range' nor 'missing'"
                place = context.point_place(device_type, point.signal.name)
                yield warning(place, message, "a key 'range': outside it the sensor is broken")


def only_names_what_there_is(context: CheckContext) -> Iterator[Message]:
    """`only` names battery types of the site, or kinds of interlock."""
    plant = context.plant
    for row in plant.protection:
        known = known_kinds(plant, row.owner)
        for name in row.only:
            if name not in known:
                expected = one_of(known) if known else f"no 'only' in a row of a {row.owner}"
                message = f"{row.name}: there is no '{name}' that it could be about"
                yield error(place_of_row(context, row, "only"), message, expected, did_you_mean(name, known))


def chains_have_rows(context: CheckContext) -> Iterator[Message]:
    """No interlock is left without a row that is about it."""
    plant = context.plant
    for interlock in plant.interlocks:
        rows = [row for row in plant.protection if row.owner is Owner.INTERLOCK]
        if rows and not any(is_about(row, interlock.kind.value) for row in rows):
            message = f"no protection row is about {interlock.name}, a chain of kind {interlock.kind}"
            yield error(place_of_row(context, rows[0], "only"), message, f"a row whose 'only' has {interlock.kind}")


def own_rows_watch_something(context: CheckContext) -> Iterator[Message]:
    """A row that the site wrote or changed is about equipment that is there; a preset may be about more."""
    for row in context.plant.protection:
        draft = draft_of(context, row)
        if draft.place.file.startswith("library/") or any(covered(context.plant, row)):
            continue
        kinds = f" of kind {' or '.join(row.only)}" if row.only else ""
        message = f"row {row.name} watches nothing: the site has no {row.owner}{kinds}"
        hint = f"state the {row.owner} in the site file, or take the row out"
        yield warning(draft.place, message, "equipment that the row is about", hint)


def rows_say_what_they_do(context: CheckContext) -> Iterator[Message]:
    """What would act differently if it were guessed is said: the side, a trip's effect, who may reset it."""
    for row in context.plant.protection:
        draft, trip = draft_of(context, row), row.levels[-1]
        if "direction" not in draft.values:
            message = f"{row.name} does not say on which side it is dangerous; it is taken as high"
            yield warning(draft.place, message, "direction: high, or low")
        if trip.level is Level.TRIP and trip.action is Action.ANNUNCIATE:
            place = place_of_row(context, row, "trip.action" if "trip.action" in draft.values else "trip.limit")
            effects = one_of([action.value for action in Action if action is not Action.ANNUNCIATE])
            message = f"{row.name}: a trip that only annunciates takes nothing to safety"
            yield error(place, message, f"action: {effects}", "what is only told is a warning or an alarm")


def trips_say_who_resets(context: CheckContext) -> Iterator[Message]:
    """A trip without a reset class comes back by itself, which somebody must have wanted."""
    for row in context.plant.protection:
        draft = draft_of(context, row)
        if row.trip and "reset_class" not in draft.values:
            message = f"{row.name} trips, but does not say who may reset it; it would come back by itself"
            yield warning(draft.place, message, "reset_class: remote, local or service; auto if that is meant")


PROTECTION_CHECKS = (
    rows_say_what_they_do,
    trips_say_who_resets,
    only_names_what_there_is,
    chains_have_rows,
    own_rows_watch_something,
    limits_are_ordered,
    resets_are_inside,
    trips_are_inside_cells,
    rows_are_graded,
    rated_is_one_number,
    analogues_can_be_doubted,
)
