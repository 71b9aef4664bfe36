"""What a register can show: whether it holds what the racks of this site reach, and what protection waits for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.feeding import served_signals
from controller.plant.checks.working_ranges import Working, working_ranges
from controller.plant.device_loader import words_of
from controller.plant.device_types import BMS_KINDS, DevicePoint, DeviceType
from controller.plant.figures import quantity, span
from controller.plant.messages import Message, error, warning
from controller.plant.model import BatteryType, SocSource
from controller.plant.protection_rows import Level, ProtectionRow, Qualifier, Reduction
from controller.plant.signals import Owner, SignalForm
from controller.plant.yaml_tree import Document

_HAIR = 1e-6
_SATURATED_RATIO = 1e-9
"""Rounding of what is scaled: a register of whole kW is not short of a watt."""


def reach_of(point: DevicePoint) -> tuple[float, float]:
    """Return between which base values a point can be read and believed: its type, scaled, within its `range`.

    A SunSpec point takes its type and scale from the device: only its `range` is known.
    """
    (low, high), (least, most) = _reach_of_type(point), believed(point)
    return max(low, least), min(high, most)


def believed(point: DevicePoint) -> tuple[float, float]:
    """Return between which base values a point is believed: its `range`, where it has one."""
    if point.valid_min is None or point.valid_max is None:
        return -math.inf, math.inf
    return point.valid_min, point.valid_max


def _reach_of_type(point: DevicePoint) -> tuple[float, float]:
    bits = 16 * words_of(point.register_type)
    if not bits or point.register_type.startswith(("f", "string")):
        return -math.inf, math.inf
    raw = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if point.register_type.startswith("i") else (0.0, 2.0**bits - 1)
    first, last = (point.sign * ((r * point.scale + point.offset) * point.unit_factor + point.unit_offset) for r in raw)
    return min(first, last), max(first, last)


# ------------------------------------------------------------------------------------------------- of a device file


def points_can_be_read(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A scale makes values differ, a missing value fits its register, a word order needs two words."""
    for point in device_type.points:
        name, words = point.signal.name, words_of(point.register_type)
        if point.scale == 0:
            place = document.place_of(("points", name, "scale"))
            yield error(place, f"{name} has scale 0: it would read the same for ever", "such as scale: 0.1")
        yield from _turned_as_meant(point, document)
        if 0 < words <= 4 and point.register_type != "bool":
            yield from _missing_fits(point, words, document)
        if words == 1 and document.text_at(("points", name, "words")):
            place = document.place_of(("points", name, "words"))
            message = f"{name} is {point.register_type}, one register: it has no word order"
            yield error(place, message, "no 'words', or a type of two registers such as u32")
        if name == "rack.soc" and point.scale != 0:
            yield from _soc_reaches_full(point, document)


def _turned_as_meant(point: DevicePoint, document: Document) -> Iterator[Message]:
    """What flows is turned once, what has no direction not at all, and no temperature is below absolute zero."""
    name, unit = point.signal.name, point.signal.unit
    scale, offset = (document.place_of(("points", name, key)) for key in ("scale", "offset"))
    if point.scale < 0 and name not in _FLOWS:
        yield error(scale, f"{name} has a negative scale: it would read the wrong way round", "a scale above 0")
    elif point.scale < 0 and point.sign < 0:
        also = [document.place_of(("points", name, "sign"))]
        yield warning(scale, f"{name} is turned twice, by its scale and by its sign", "a scale above 0", "", also)
    if unit == "degC" and point.offset * point.unit_factor + point.unit_offset < _ABSOLUTE_ZERO_DEGC - _HAIR:
        message = f"{name} has an offset of {point.offset:g} {point.unit}: no temperature is so low"
        hint = "it is added after the scale: a raw 400 of scale 0.1 is offset: -40"
        yield error(offset, message, f"an offset in {point.unit}, such as -40", hint)


_FLOWS = frozenset(
    (
        "rack.current", "pcs.active_power", "pcs.reactive_power", "pcs.active_power_setpoint",
        "pcs.reactive_power_setpoint", "pcs.dc_current", "meter.active_power", "meter.reactive_power",
        "meter.power_factor",
    )
)  # fmt: skip
_ABSOLUTE_ZERO_DEGC = -273.15


def _missing_fits(point: DevicePoint, words: int, document: Document) -> Iterator[Message]:
    for raw in point.missing:
        if not -(2 ** (16 * words - 1)) <= raw < 2 ** (16 * words):
            name = point.signal.name
            place = document.place_of(("points", name, "missing"))
            message = f"{name} can never read {raw:#x}: {point.register_type} has {16 * words} bits"
            yield error(place, message, f"at most {2 ** (16 * words) - 1:#x}, as the maker's list has it")


def _soc_reaches_full(point: DevicePoint, document: Document) -> Iterator[Message]:
    low, high = reach_of(point)
    if low > _HAIR or high < 1.0 - _HAIR:
        place = document.place_of(("points", "rack.soc"), key=True)
        message = f"rack.soc can only show {span(100 * low, 100 * high, '%')}"
        yield error(place, message, "0 % to 100 %", "look at scale, unit and range")


# ------------------------------------------------------------------------------------------------- of this site


def racks_can_be_shown(context: CheckContext) -> Iterator[Message]:
    """Voltages and currents that the racks of this site reach stand inside what their device can show."""
    yield from (_not_shown(context, w) for w in working_ranges(context) if w.owner is Owner.RACK and not _holds(w))


def grid_side_can_be_shown(context: CheckContext) -> Iterator[Message]:
    """Converters and meters can show, and be asked for, all that they are rated for, in both directions."""
    yield from (_not_shown(context, w) for w in working_ranges(context) if w.owner is not Owner.RACK and not _holds(w))


def _holds(working: Working) -> bool:
    point = working.device_type.point(working.signal)
    if point is None or point.scale == 0:
        return True
    (least, most), hair = reach_of(point), _HAIR + _SATURATED_RATIO * (working.high - working.low)
    return least <= working.low + hair and working.high - hair <= most


def _not_shown(context: CheckContext, working: Working) -> Message:
    point = working.device_type.point(working.signal)
    assert point is not None  # `working_ranges` yields what is served
    unit, reached = point.signal.unit, span(working.low, working.high, point.signal.unit)
    least, most = reach_of(point)
    verb = "be asked for" if point.signal.command else "show"
    message = f"{working.signal} of {working.device_type.name} can only {verb} {span(least, most, unit)},"
    message += f" but {working.of} reaches {reached}"
    place = context.point_place(working.device_type, working.signal)
    return error(place, message, f"type, scale, unit and range that hold {reached}", see_also=[working.place])


def _pairs(context: CheckContext) -> Iterator[tuple[DeviceType, BatteryType]]:
    """Return every kind of device with every battery that it shows, once."""
    racks = context.plant.racks
    seen: set[tuple[int, int]] = set()
    for device in context.plant.devices:
        for binding in device.bindings:
            if binding.owner is not Owner.RACK:
                continue
            battery = racks[binding.equipment].battery
            if (id(device.type), id(battery)) not in seen:
                seen.add((id(device.type), id(battery)))
                yield device.type, battery


def racks_have_the_cells_that_are_read(context: CheckContext) -> Iterator[Message]:
    """A device file of the site that counts some more cells than any of its racks has: one of them is wrong.

    The library's files, and what is inherited from them, count the most that such a device may have.
    """
    racks: dict[int, tuple[DeviceType, list[BatteryType]]] = {}
    for device_type, battery in _pairs(context):
        racks.setdefault(id(device_type), (device_type, []))[1].append(battery)
    for device_type, batteries in racks.values():
        battery, document = max(batteries, key=lambda b: b.cells_in_series), context.device_document(device_type)
        counted_at, count = document.place_of(_COUNT), document.text_at(_COUNT)
        own = counted_at.file == document.file and not document.file.startswith("library/")
        near = count.isdecimal() and battery.cells_in_series < int(count) <= NEARLY_ALL * battery.cells_in_series
        if own and near:
            message = f"{battery.name} has {battery.cells_in_series} cells in series, but {device_type.name} reads"
            message += f" {count}: {int(count) - battery.cells_in_series} would be nobody's"
            place = context.at("batteries", battery.name, "cells", "series")
            expected = f"series: {count}, or count: {battery.cells_in_series} in {device_type.name}"
            yield warning(place, message, expected, see_also=[counted_at])


_COUNT = ("points", "cell.voltage", "count")
NEARLY_ALL = 1.25
"""A count far above a rack's cells is room for the largest rack; a little above, it is made for another rack."""


def every_sensor_is_shown(context: CheckContext) -> Iterator[Message]:
    """A device that shows temperatures shows all of the rack's: the sensor left out is the one that gets hot."""
    for device_type, battery in _pairs(context):
        point = device_type.point("cell.temperature")
        if point is not None and point.count < battery.temperatures:
            message = f"{device_type.name} shows {point.count} temperatures, but {battery.name} has"
            message += f" {battery.temperatures} sensors: nobody watches the rest"
            hint = f"or mend cells.temps_per_module of {battery.name}, if it has no more sensors"
            place = context.point_place(device_type, "cell.temperature")
            yield error(place, message, f"count: {battery.temperatures}", hint)


def somebody_tells_soc(context: CheckContext) -> Iterator[Message]:
    """A plant that runs on the BMS's SOC has a BMS that states it."""
    source = context.plant.control.soc_source
    if source is SocSource.ESTIMATOR:
        return
    served = served_signals(context.plant.devices)
    for device in context.plant.devices:
        racks = [b.equipment for b in device.bindings if b.owner is Owner.RACK]
        blind = next((rack for rack in racks if "rack.soc" not in served[Owner.RACK, rack]), None)
        if blind is not None and device.type.kind in BMS_KINDS:
            name = context.plant.racks[blind].name
            message = f"{device.type.name} states no SOC of {name}, and this site runs on the SOC of the BMS"
            document = context.device_document(device.type)
            place = document.place_of(("points",), key=True)
            yield warning(place, message, "a point rack.soc, or controls.soc_source: estimator")


def limits_can_be_read(context: CheckContext) -> Iterator[Message]:
    """Every limit of a row lies inside what the device can show: beyond it a value is bad, and bad never trips."""
    for device_type in context.plant.device_types:
        for row in context.plant.protection:
            for signal, reduction in ((row.signal, row.reduction), *row.also):
                point = device_type.point(signal)
                if point is not None and reduction in _AS_READ and point.signal.form is SignalForm.QUANTITY:
                    yield from _unreadable(context, device_type, row, point)


_AS_READ = (Reduction.NONE, Reduction.HIGHEST, Reduction.LOWEST)


def _unreadable(
    context: CheckContext, device_type: DeviceType, row: ProtectionRow, point: DevicePoint
) -> Iterator[Message]:
    """Complain about the furthest of a row's limits that a point can't show."""
    (low, high), unit, name = reach_of(point), point.signal.unit, point.signal.name
    limits = [(level.limit, *_DOES[level.level]) for level in reversed(row.levels)]
    for limit, does, never in (*limits, (row.reset, "ends", "end")):
        if point.scale != 0 and not low <= limit <= high:
            message = f"{row.name} {does} at {quantity(limit, unit)}, but {device_type.name} can only show {name}"
            message += f" from {span(low, high, unit)}: it would be bad data and never {never}"
            place = context.point_place(device_type, name)
            yield error(place, message, f"a range and scale that hold {quantity(limit, unit)}")
            return


_DOES = {Level.WARNING: ("warns", "warn"), Level.ALARM: ("alarms", "alarm"), Level.TRIP: ("trips", "trip")}


def over_currents_can_be_read(context: CheckContext) -> Iterator[Message]:
    """Every row that trips on a current trips, in its direction, on a value that the register can hold.

    Each delay belongs to its own limit: a row at 110 % after ten seconds is no stand-in for one at 200 % at once. What
    the maker believes (`range`) may end before that, while in each direction one trip lies inside of it: a warning.
    """
    rows = [row for row in context.plant.protection if row.trip and row.qualifier is not Qualifier.DISCONNECTED]
    for device_type in context.plant.device_types:
        for point in device_type.points:
            name, unit, low, high = point.signal.name, point.signal.unit, *reach_of(point)
            signed = list(_signed_trips([row for row in rows if row.signal == name]))
            for row, limit in signed if low < 0 < high else ():
                same_way = [other for _, other in signed if other * limit > 0]
                (least, most), shown = _reach_of_type(point), [low <= other <= high for other in same_way]
                if low <= limit <= high:
                    continue
                if not least <= limit <= most or not any(shown):
                    message = f"{row.name} trips at {quantity(row.levels[-1].limit, unit)}, but {device_type.name}"
                    message += (
                        f" can only show {name} from {span(low, high, unit)}: such an over-current would not trip"
                    )
                    expected = f"a range and scale that hold {quantity(limit, unit)}"
                    yield error(context.point_place(device_type, name), message, expected)
                    continue
                message = (
                    f"{row.name} trips at {quantity(row.levels[-1].limit, unit)}, but beyond {span(low, high, unit)}"
                )
                message += f" {device_type.name} is not believed: this trip never acts, an earlier one does"
                place = context.in_own_file(device_type, ("points", name, "range"), ("points", name))
                hint = "ask the maker what the register can show; a list's range may be that of normal use"
                yield warning(place, message, f"a range that holds {quantity(limit, unit)}", hint)


def _signed_trips(rows: list[ProtectionRow]) -> Iterator[tuple[ProtectionRow, float]]:
    """Yield the rows with what a register shows when they trip, the nearest first; + is discharge."""
    signed = [(r, r.levels[-1].limit) for r in rows if r.reduction in (Reduction.DISCHARGE, Reduction.MAGNITUDE)]
    signed += [(r, -r.levels[-1].limit) for r in rows if r.reduction in (Reduction.CHARGE, Reduction.MAGNITUDE)]
    yield from sorted(signed, key=lambda found: abs(found[1]))


READING_CHECKS = (
    racks_can_be_shown,
    racks_have_the_cells_that_are_read,
    every_sensor_is_shown,
    somebody_tells_soc,
    limits_can_be_read,
    over_currents_can_be_read,
)
"""What speaks of racks; a wrong cell or number of cells makes it speak."""

GRID_READING_CHECKS = (grid_side_can_be_shown,)
