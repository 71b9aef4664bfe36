"""Does everything happen often enough: scans against watchdogs and set-points, polls against what trips wait for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.checks.chains import emergencies_of
from controller.plant.checks.context import CheckContext
from controller.plant.checks.links import place_of_device
from controller.plant.checks.rows import TEMPERATURES, VOLTAGES, place_of_row, text_of_row
from controller.plant.device_types import DevicePoint
from controller.plant.figures import number, quantity
from controller.plant.messages import Message, Place, error, warning
from controller.plant.model import Device
from controller.plant.protection_rows import Action, ProtectionRow, Reduction
from controller.plant.row_coverage import is_about
from controller.plant.signals import Owner

LONGEST_POLL_S = 60.0
LONGEST_SILENCE_S = 600.0
LONGEST_TRIP_DELAY_S, LONGEST_CELL_TRIP_DELAY_S = 600.0, 60.0
LONGEST_FAR_TRIP_DELAY_S, LONGEST_CHAIN_TRIP_DELAY_S = 10.0, 1.0
FAR_TOO_HIGH_RATIO = 1.5
"""Of a rack's current: what heats it more than twice as fast is no overload that may be waited for."""
LONG_REFRESH_S, MANY_DELAYS = 15.0, 5.0
LONGEST_CONTROL_POLL_S, LONG_CONTROL_POLL_S = 10.0, 3.0
"""What the loop at the POI, a converter's sequence and a hard-wired chain are read by."""
_CONTROL_SIGNALS = ("meter.active_power", "pcs.state", "pcs.active_power", "interlock.healthy")
SCAN_S, SCAN_OF_A_CELL_S = 3e-3, 0.1e-6
"""About what a scan takes on a small computer, alone and a cell; `bess bench` measures the one at hand."""
MOST_OF_A_SCAN_RATIO = 0.5
SHORTEST_START_S, START_POLLS = 5.0, 3.0


def scans_feed_watchdogs(context: CheckContext) -> Iterator[Message]:
    """Nothing is written more often than each scan: three scans fit into every device's time-out."""
    scan_s, place = context.plant.control.scan_period_s, context.at("controls", "scan")
    late = [d for d in context.plant.devices if 3 * scan_s > _timeout_s(d)]
    if late:
        device = min(late, key=_timeout_s)
        message = f"a scan each {scan_s:g} s writes too seldom for {device.name}, which gives up after"
        message += f" {_timeout_s(device):g} s"
        expected = f"a scan of at most {number(_timeout_s(device) / 3, 3)} s (3 scans within its time-out)"
        yield error(place, message, expected, see_also=[place_of_device(context, device, "watchdog")])
        return
    beats = [(beat_s, d) for d in context.plant.devices if (beat_s := d.type.heartbeat_period_s) is not None]
    beat_s, fed = min(beats, key=lambda found: found[0], default=(math.inf, None))
    if fed is not None and scan_s > 3 * beat_s:
        message = f"{fed.name} expects a heartbeat each {beat_s:g} s, but a scan each {scan_s:g} s feeds it"
        yield warning(place, message, f"a scan of at most {beat_s:g} s, or a longer heartbeat")


def _timeout_s(device: Device) -> float:
    timeout = device.type.communication_timeout
    return math.inf if timeout is None else timeout.after_s


def set_points_outlive_scans(context: CheckContext) -> Iterator[Message]:
    """A set-point that runs out before it was looked at is never followed."""
    control = context.plant.control
    if control.setpoint_timeout_s < 3 * control.scan_period_s:
        message = f"setpoint.timeout ({control.setpoint_timeout_s:g} s) is over within three scans of"
        message += f" {control.scan_period_s:g} s: set-points run out before they are followed"
        expected = f"at least {3 * control.scan_period_s:g} s"
        yield error(context.at("controls", "setpoint", "timeout"), message, expected)


def trips_do_not_wait_for_polls(context: CheckContext) -> Iterator[Message]:
    """What a trip rests on is read within a minute, or within the trip's own delay where that is longer."""
    allowed_s: dict[str, tuple[float, ProtectionRow]] = {}
    for row in _rows_that_wait(context, LONGEST_POLL_S):
        for name in row.signals:
            allowed_s.setdefault(name, (max(LONGEST_POLL_S, row.levels[-1].delay_s), row))
    for device in context.plant.devices:
        yield from _slow_polls(context, device, allowed_s)


def _rows_that_wait(context: CheckContext, least_s: float = 0.0) -> list[ProtectionRow]:
    """Return the rows whose trip waits for a reading, the quickest first; what is quicker than `least_s` counts alike.

    An age is a time itself.
    """
    rows = [row for row in context.plant.protection if row.trip and row.reduction is not Reduction.AGE]
    return sorted(rows, key=lambda row: max(least_s, row.levels[-1].delay_s))


def _slow_polls(
    context: CheckContext, device: Device, allowed_s: dict[str, tuple[float, ProtectionRow]]
) -> Iterator[Message]:
    periods_s = {block.name: device.period_s(block.name) for block in device.type.poll_blocks}
    if max(periods_s.values(), default=0.0) <= LONGEST_POLL_S:
        return
    for point in device.type.points:
        period_s = periods_s.get(point.poll_block, 0.0)
        if point.signal.name not in allowed_s or period_s <= allowed_s[point.signal.name][0]:
            continue
        most_s, row = allowed_s[point.signal.name]
        message = f"{device.name} is asked for {point.signal.name} each {period_s:g} s only, but {row.name} trips after"
        message += f" {row.levels[-1].delay_s:g} s"
        yield error(_place_of_poll(context, device, point), message, f"at most {most_s:g} s")


def _place_of_poll(context: CheckContext, device: Device, point: DevicePoint) -> Place:
    """Return where the period of a point's block stands: in the site, else in the device's own file."""
    block = point.poll_block
    own = block in dict(device.periods_s)
    return place_of_device(context, device, "poll") if own else context.block_place(device.type, block)


def racks_are_read_as_fast_as_they_trip(context: CheckContext) -> Iterator[Message]:
    """Of what a rack's trip rests on, the fastest is read about as often as its delay promises."""
    rows = [row for row in _rows_that_wait(context) if row.owner is Owner.RACK]
    for device in {(id(d.type), d.periods_s): d for d in reversed(context.plant.devices)}.values():
        for row in rows:
            delay_s = row.levels[-1].delay_s
            read = [(device.poll_period_s(name), name) for name in row.signals if device.poll_period_s(name)]
            period_s, name = min(read, key=lambda found: found[0], default=(0.0, ""))
            point = device.type.point(name)
            if point is None:
                continue
            few_s = max(MANY_DELAYS * delay_s, LONG_CONTROL_POLL_S if point.signal.unit == "A" else LONG_REFRESH_S)
            if few_s < period_s <= LONGEST_POLL_S:
                made = error if period_s > LONG_REFRESH_S else warning
                message = f"{device.name} is asked for {point.signal.name} each {period_s:g} s only, but {row.name}"
                message += f" trips after {delay_s:g} s: the danger would last {period_s:g} s before anybody saw it"
                place = _place_of_poll(context, device, point)
                yield made(place, message, f"at most {few_s:g} s, or a faster block for it")


def auxiliary_meters_are_not_called_old(context: CheckContext) -> Iterator[Message]:
    """A meter that is read less often than its data may be old is in alarm between any two polls."""
    for row in context.plant.protection:
        if row.reduction is not Reduction.AGE or row.owner is not Owner.METER:
            continue
        limit_s, poi = row.levels[-1].limit, (Owner.METER, context.plant.poi.meter)
        for device in (d for d in context.plant.devices if poi not in {(b.owner, b.equipment) for b in d.bindings}):
            point = device.type.point(row.signal)
            period_s = device.poll_period_s(row.signal)
            if point is not None and period_s > limit_s:
                message = f"{device.name} is asked for {row.signal} each {period_s:g} s only, but {row.name} calls data"
                message += f" too old after {limit_s:g} s"
                expected = f"at most {limit_s:g} s"
                yield warning(_place_of_poll(context, device, point), message, expected)


def lost_data_are_missed_in_time(context: CheckContext) -> Iterator[Message]:
    """Who hears nothing from a rack or a converter for many minutes does something about it."""
    for row in (row for row in context.plant.protection if row.reduction is Reduction.AGE):
        for graded in row.levels:
            if graded.action is not Action.ANNUNCIATE and graded.limit + graded.delay_s > LONGEST_SILENCE_S:
                level = graded.level.name.lower()
                message = f"{row.name}: {level} ({text_of_row(context, row, f'{level}.limit')}) lets"
                message += f" a {row.owner} go on unseen for {quantity(graded.limit + graded.delay_s, 's')}"
                place = place_of_row(context, row, f"{level}.limit")
                yield warning(place, message, f"at most {quantity(LONGEST_SILENCE_S, 's')}")


def trips_do_not_wait_for_refreshes(context: CheckContext) -> Iterator[Message]:
    """A register that shows what was minutes ago makes a trip's delay of seconds a promise that nobody keeps."""
    waiting = _rows_that_wait(context)
    for device_type in context.plant.device_types:
        refresh_s, served = device_type.refresh_s or 0.0, {point.signal.name for point in device_type.points}
        row = next((r for r in waiting if not served.isdisjoint(r.signals)), None)
        if refresh_s <= LONG_REFRESH_S or row is None or refresh_s <= MANY_DELAYS * row.levels[-1].delay_s:
            continue
        message = f"registers of {device_type.name} may be {refresh_s:g} s old, but {row.name} trips after"
        message += f" {row.levels[-1].delay_s:g} s: the danger would last {refresh_s:g} s before anybody saw it"
        place = context.device_document(device_type).place_of(("refresh",))
        made = error if refresh_s > LONGEST_POLL_S else warning
        hint = "its manual tells as scan or update time; where it is so slow, the BMS alone protects"
        yield made(place, message, f"a refresh of at most {LONG_REFRESH_S:g} s", hint)


def control_sees_what_it_does(context: CheckContext) -> Iterator[Message]:
    """The loop at the POI, the converters' sequences and the hard-wired chains are read every few seconds."""
    plant = context.plant
    poi = {(Owner.METER, plant.poi.meter), *((Owner.PCS, p.index) for p in plant.pcs)}
    poi |= {(Owner.INTERLOCK, interlock.index) for interlock in plant.interlocks}
    for device in plant.devices:
        if not any((b.owner, b.equipment) in poi for b in device.bindings):
            continue
        for name in _CONTROL_SIGNALS:
            point = device.type.point(name)
            period_s = device.poll_period_s(name)
            if point is not None and period_s > LONG_CONTROL_POLL_S:
                stops_s, row = _stopped_when_old(context, point.signal.owner)
                stopped = f"{row} stops it when nothing is heard for {stops_s:g} s" if period_s > stops_s else ""
                made = error if stopped or period_s > LONGEST_CONTROL_POLL_S else warning
                message = f"{device.name} is asked for {name} each {period_s:g} s only:"
                message += f" {stopped or _WHY[point.signal.owner]}"
                place = _place_of_poll(context, device, point)
                yield made(place, message, f"at most {LONG_CONTROL_POLL_S:g} s")


def _stopped_when_old(context: CheckContext, owner: Owner) -> tuple[float, str]:
    """Return from which age on a row does something about data of an owner's equipment, and which row."""
    rows = [row for row in context.plant.protection if row.owner is owner and row.reduction is Reduction.AGE]
    acting = [(g.limit, row.name) for row in rows for g in row.levels if g.action is not Action.ANNUNCIATE]
    return min(acting, default=(math.inf, ""))


_WHY = {
    Owner.METER: "the power at the POI would be steered by what was long ago",
    Owner.PCS: "nobody would see in time what it does",
    Owner.INTERLOCK: "an open chain would be obeyed late",
}


def scans_bear_their_cells(context: CheckContext) -> Iterator[Message]:
    """A scan is over before the next one is due."""
    cells = sum(rack.battery.cells_in_series for rack in context.plant.racks)
    scan_s, needed_s = context.plant.control.scan_period_s, SCAN_S + SCAN_OF_A_CELL_S * cells
    if needed_s > MOST_OF_A_SCAN_RATIO * scan_s:
        message = f"a scan each {1e3 * scan_s:g} ms, but one of {cells} cells takes about {1e3 * needed_s:.2g} ms"
        made = error if needed_s > scan_s else warning
        expected = f"a scan of at least {1e3 * needed_s / MOST_OF_A_SCAN_RATIO:.2g} ms"
        yield made(context.at("controls", "scan"), message, expected, "'bess bench' measures this machine")


_USUAL_START_S = 120.0


def starts_have_time(context: CheckContext) -> Iterator[Message]:
    """Racks precharge and close, converters start, and each step is seen only at the next poll."""
    plant = context.plant
    states = ("rack.contactor", "bank.state", "pcs.state")
    slowest_s = max((device.poll_period_s(name) for device in plant.devices for name in states), default=0.0)
    least_s = max(SHORTEST_START_S, START_POLLS * slowest_s)
    if plant.control.start_timeout_s < least_s:
        message = f"a start is given {plant.control.start_timeout_s:g} s: contactors precharge and converters"
        message += " synchronise for longer, so that none would ever succeed"
        yield error(
            context.at("controls", "start", "timeout"),
            message,
            f"at least {least_s:g} s" + ", such as 2 min" * (least_s <= _USUAL_START_S),
        )


def trips_act_in_time(context: CheckContext) -> Iterator[Message]:
    """A trip that waits for many minutes protects nothing: its warning and alarm are for what is slow."""
    for row in context.plant.protection:
        trip, longest_s = row.trip, _longest_delay_s(context, row)
        if trip is not None and trip.delay_s > longest_s and row.owner is not Owner.METER:
            draft = context.drafts[row.owner, row.name]
            value = draft.values.get("trip.delay") or draft.values.get("delay")
            message = f"{row.name} trips only after {trip.delay_s:g} s"
            hint = "what is slow is a warning or an alarm"
            yield error(value.place if value else draft.place, message, f"a trip within {longest_s:g} s", hint)


def _longest_delay_s(context: CheckContext, row: ProtectionRow) -> float:
    """Return how long a trip may wait: a chain only for its contacts to settle, a short circuit not at all.

    A cell at its highest voltage is beyond it within seconds: its curve is steep at both ends. A cell's temperature
    follows the loss within minutes.
    """
    extreme = row.reduction in (Reduction.NONE, Reduction.HIGHEST, Reduction.LOWEST)
    if emergencies_of(context, row):
        return LONGEST_CHAIN_TRIP_DELAY_S
    if row.signal == "rack.current":
        mine = (battery for battery in context.plant.battery_types if is_about(row, battery.name))
        least_a = min((max(b.charge_current_max_a, b.discharge_current_max_a) for b in mine), default=math.inf)
        far = row.levels[-1].limit > FAR_TOO_HIGH_RATIO * least_a
        return LONGEST_FAR_TRIP_DELAY_S if far else LONGEST_CELL_TRIP_DELAY_S
    quick = (extreme and row.signal in VOLTAGES | TEMPERATURES) or row.reduction in _QUICK
    return LONGEST_CELL_TRIP_DELAY_S if quick else LONGEST_TRIP_DELAY_S


_QUICK = (Reduction.RATE, Reduction.BEYOND_COMMAND)


PACE_CHECKS = (
    scans_feed_watchdogs,
    scans_bear_their_cells,
    set_points_outlive_scans,
    starts_have_time,
    trips_do_not_wait_for_polls,
    racks_are_read_as_fast_as_they_trip,
    auxiliary_meters_are_not_called_old,
    lost_data_are_missed_in_time,
    trips_do_not_wait_for_refreshes,
    control_sees_what_it_does,
    trips_act_in_time,
)
