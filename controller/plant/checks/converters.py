"""Converters, their buses and the grid: ramps that end, currents that fit, contactors that open, a real frequency."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.coordination import coordinations
from controller.plant.device_types import DeviceType, TimeoutAction
from controller.plant.figures import quantity
from controller.plant.messages import Message, error, warning
from controller.plant.model import Device, Pcs, UnloadsContactors
from controller.plant.signals import Owner, PcsOperation

LONGEST_RAMP_S, LONG_RAMP_S = 600.0, 60.0
RAMPS_APART, RAMPS_APART_S = 3.0, 2.0
LEAST_OF_BUS, MOST_OF_BUS = 0.25, 4.0
LITTLE_OF_BREAK = 0.5
GRID_FREQUENCIES_HZ, FREQUENCY_OFF_HZ = (50.0, 60.0), 0.5
ZONES_OF_60_HZ = frozenset({
    *(f"America/{city}" for city in ("New_York", "Chicago", "Denver", "Los_Angeles", "Phoenix", "Anchorage", "Detroit",
                                     "Toronto", "Vancouver", "Edmonton", "Winnipeg", "Halifax", "Mexico_City", "Bogota",
                                     "Sao_Paulo", "Puerto_Rico")),
    *(f"US/{zone}" for zone in ("Eastern", "Central", "Mountain", "Pacific")), "Asia/Seoul", "Asia/Taipei",
    "Asia/Manila", "Asia/Riyadh",
})  # fmt: skip
"""Places whose grid runs at 60 Hz; all of Europe's run at 50 Hz, and of the rest of the world nothing is said."""


def ramps_end(context: CheckContext) -> Iterator[Message]:
    """A converter is at full power, and back at zero, within a minute or so; its two ramps tell the same."""
    devices = {b.equipment: d for d in context.plant.devices for b in d.bindings if b.owner is Owner.PCS}
    opened_s = {c.pcs.index: c.opens_s for c in coordinations(context.plant) if c.at_zero_s < math.inf}
    for pcs in context.plant.pcs:
        ramp_s = pcs.power_w / pcs.ramp_w_per_s
        place = context.place("pcs", pcs.index, "ramp")
        if ramp_s > LONG_RAMP_S:
            opens_s = opened_s.get(pcs.index, math.inf)
            made = error if ramp_s > min(LONGEST_RAMP_S, opens_s) else warning
            message = f"{pcs.name} ramps at {quantity(pcs.ramp_w_per_s, 'W/s')}: from full power to zero it would take"
            message += f" {quantity(ramp_s, 's')}"
            message += f", and if we die its BMS opens after {quantity(opens_s, 's')}" if ramp_s > opens_s else ""
            expected = f"its data sheet's ramp, at least {quantity(pcs.power_w / LONG_RAMP_S, 'W/s')}"
            yield made(place, message, expected)
        elif pcs.index in devices:
            yield from _said_twice(context, pcs, devices[pcs.index], ramp_s)


def _said_twice(context: CheckContext, pcs: Pcs, device: Device, ramp_s: float) -> Iterator[Message]:
    timeout = device.type.communication_timeout
    if timeout is None or timeout.then is not TimeoutAction.ZERO or not timeout.ramp_s:
        return
    short_s, long_s = sorted((ramp_s, timeout.ramp_s))
    if long_s > RAMPS_APART * short_s and long_s - short_s > RAMPS_APART_S:
        message = f"{pcs.name} takes {quantity(ramp_s, 's')} to zero by its ramp, and {quantity(timeout.ramp_s, 's')}"
        message += f" after its time-out by {device.type.name}"
        also = [context.device_document(device.type).place_of(("communication_timeout", "ramp"))]
        hint = "if both are right, it ramps otherwise when it is left alone: read both back"
        yield warning(context.place("pcs", pcs.index, "ramp"), message, "one ramp", hint, also)


def buses_carry_their_converters(context: CheckContext) -> Iterator[Message]:
    """What a bus bears fits its converters: less limits them, far more is a slip."""
    plant = context.plant
    for bus in plant.buses:
        pcs = [plant.pcs[p] for p in bus.pcs]
        lowest_v = min((plant.racks[r].battery.voltage_min_v for r in bus.racks), default=0.0)
        if bus.current_max_a is None or not pcs or lowest_v <= 0:
            continue
        needed_a = sum(p.power_w / p.efficiency_ratio for p in pcs) / lowest_v
        place = context.place("buses", bus.index, "current_max")
        also = [context.place("pcs", pcs[0].index, "rating", "power")]
        names = pcs[0].name if len(pcs) == 1 else f"{pcs[0].name} and {len(pcs) - 1} more"
        if bus.current_max_a < needed_a * 0.99:
            made = error if bus.current_max_a < LEAST_OF_BUS * needed_a else warning
            message = f"{bus.name} bears {quantity(bus.current_max_a, 'A')}, but {names} at full power takes"
            message += f" {quantity(needed_a, 'A')} at {quantity(lowest_v, 'V')}"
            yield made(place, message, f"at least {quantity(needed_a, 'A')}, or less power", see_also=also)
        elif bus.current_max_a > MOST_OF_BUS * max(needed_a, sum(p.dc_current_max_a for p in pcs)):
            carried_a = sum(p.dc_current_max_a for p in pcs)
            message = f"{bus.name} is said to bear {quantity(bus.current_max_a, 'A')}; {names} carries"
            message += f" {quantity(carried_a, 'A')}"
            yield error(place, message, "what its busbars and fuses are rated for", see_also=also)


def contactors_may_open(context: CheckContext) -> Iterator[Message]:
    """Contactors that may open under little only are opened late, and welded where somebody opens them at once."""
    plant = context.plant
    loaded = {
        r for bus in plant.buses if bus.unloads_contactors is not UnloadsContactors.CONTROLLER_ONLY for r in bus.racks
    }
    for battery in {plant.racks[r].battery.name: plant.racks[r].battery for r in sorted(loaded)}.values():
        most_a = max(battery.discharge_current_max_a, battery.charge_current_max_a)
        if battery.break_current_a < LITTLE_OF_BREAK * most_a:
            message = (
                f"the contactors of {battery.name} open under {quantity(battery.break_current_a, 'A')} at most, but"
            )
            message += (
                f" carry {quantity(most_a, 'A')}: each disconnection waits until the converter has nearly stopped"
            )
            place = context.at("batteries", battery.name, "current", "break")
            yield warning(place, message, f"the data sheet's breaking current, mostly {quantity(most_a, 'A')} or more")


def grid_has_a_frequency(context: CheckContext) -> Iterator[Message]:
    """Grids run at 50 Hz or at 60 Hz."""
    nominal_hz = context.plant.poi.frequency_hz
    if all(abs(nominal_hz - known_hz) > FREQUENCY_OFF_HZ for known_hz in GRID_FREQUENCIES_HZ):
        message = f"no grid has a nominal frequency of {quantity(nominal_hz, 'Hz')}"
        yield error(context.at("site", "poi", "frequency"), message, "50 Hz or 60 Hz")
        return
    zone = context.plant.timezone
    usual_hz = 60.0 if zone in ZONES_OF_60_HZ else 50.0 if zone.startswith("Europe/") else nominal_hz
    if abs(nominal_hz - usual_hz) > FREQUENCY_OFF_HZ:
        message = f"the grid at {zone} runs at {quantity(usual_hz, 'Hz')}, this POI at {quantity(nominal_hz, 'Hz')}"
        also = [context.at("site", "timezone")]
        place = context.at("site", "poi", "frequency")
        yield warning(place, message, "frequency and time zone of one place", see_also=also)


def converters_can_be_run(context: CheckContext) -> Iterator[Message]:
    """A converter is asked for power, started and stopped, and seen to run; one that is not seen stays at zero."""
    bound = ((d.type, b.equipment) for d in context.plant.devices for b in d.bindings if b.owner is Owner.PCS)
    first = {device_type.name: (device_type, pcs) for device_type, pcs in reversed(list(bound))}
    for device_type, index in reversed(first.values()):
        yield from _cannot_be_run(context, device_type, context.plant.pcs[index])


def _cannot_be_run(context: CheckContext, device_type: DeviceType, pcs: Pcs) -> Iterator[Message]:
    place, name = context.in_own_file(device_type, ("points",), key=True), device_type.name
    also = [context.place("pcs", pcs.index, "type")]
    lacking = [each for each in _TO_RUN if device_type.point(each[0]) is None]
    if lacking:
        _, made, _, expected = lacking[0]
        told = "; it ".join(f"{lacks}: {name} has no {signal}" for signal, _, lacks, _ in lacking)
        yield made(place, f"{pcs.name} {told}", expected, see_also=also)
    operation = device_type.point("pcs.operation")
    if operation is not None and PcsOperation.STOP not in {meaning for _, meaning in operation.codes}:
        place = context.in_own_file(device_type, ("points", "pcs.operation", "values"), ("points",), key=True)
        message = f"{pcs.name} can't be stopped by a command: pcs.operation of {name} has no 'stop'"
        hint = "without it only 0 W and a withheld heartbeat stop it"
        yield warning(place, message, "values: {...: stop}, if the maker's list has one", hint, also)


_TO_RUN = (
    (
        "pcs.active_power_setpoint",
        error,
        "can't be asked for power",
        "pcs.active_power_setpoint: {at: holding N, as: i32, unit: W, writable: volatile, sign: discharge_positive}",
    ),
    (
        "pcs.state",
        error,
        "is never seen to run",
        "pcs.state: {at: input N, as: u16, block: fast, values: {0: off, 1: running, ...}}",
    ),
    (
        "pcs.operation",
        warning,
        "can't be started or stopped",
        "pcs.operation: {at: holding N, as: u16, writable: volatile, values: {0: stop, 1: start}}",
    ),
)
"""Without a set-point or a state no power is ever asked for; what starts by itself may do without a start."""

CONVERTER_CHECKS = (
    converters_can_be_run,
    ramps_end,
    buses_carry_their_converters,
    contactors_may_open,
    grid_has_a_frequency,
)
