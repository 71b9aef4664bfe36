"""Links and watchdogs: can everything be polled in time, and does nothing open under load because we died."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from controller.plant.checks.context import CheckContext
from controller.plant.checks.converters import LONG_RAMP_S
from controller.plant.coordination import MARGIN_S, Coordination, coordinations, ramp_to_zero_s
from controller.plant.device_types import CommunicationTimeout, DeviceType, TimeoutAction
from controller.plant.figures import quantity
from controller.plant.messages import Message, Place, error, warning
from controller.plant.model import Device, Link, SerialAddress
from controller.plant.poll_load import WRITES, BlockLoad, at_a_time, likeness, link_loads
from controller.plant.signals import Owner
from controller.plant.yaml_tree import Loc

LEAST_TIMEOUT_S = 1.0
"""A converter's own watchdog is set in seconds: less than one is not to be had."""
COMPARE_FIRST, UNTRIED = "compare them with it before use", "document only"
"""How library files say that their numbers were not read in the maker's own list, and that nobody tried them."""
LOAD_ERROR = 0.90
LOAD_WARNING = 0.70
MOST_IN_FLIGHT = 16
"""A device takes 1 to 16 requests at once (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 4.3.1)."""
USUAL_BAUDS = (9600, 19_200, 38_400, 57_600, 115_200)
_SECTION = {Owner.RACK: "racks", Owner.BANK: "banks", Owner.PCS: "pcs", Owner.METER: "meters"}


def place_of_device(context: CheckContext, device: Device, *keys: str) -> Place:
    """Return where a key of the group that a device comes from stands."""
    section, index = section_of(context, device)
    return context.place(section, index, *keys)


def section_of(context: CheckContext, device: Device) -> tuple[str, int]:
    """Return the section and position of the equipment that gave a device its name."""
    for owner, section in _SECTION.items():
        bound = [b.equipment for b in device.bindings if b.owner is owner]
        if bound and context.names.members[section][bound[0]].name == device.name:
            return section, bound[0]
    return "digital_io", context.names.index["digital_io"].position[device.name]


def converters_can_be_armed(context: CheckContext) -> Iterator[Message]:
    """A converter stops by itself when we fall silent, and its time-out can be read back; else it is never started."""
    for device in context.plant.devices:
        timeout = device.type.communication_timeout
        if any(binding.owner is Owner.PCS for binding in device.bindings) and not _is_armable(device.type):
            ends = timeout is None or timeout.then is not TimeoutAction.NONE
            what = "has no time-out that can be read back" if ends else "does nothing when we fall silent (then: none)"
            message = f"{device.type.name} {what}: nobody writes zero if we die,"
            message += " so this controller watches it and never starts it"
            expected = "communication_timeout and the point pcs.watchdog_timeout in the device file"
            expected = expected if ends else "communication_timeout.then: zero or stop, as its manual says"
            yield warning(place_of_device(context, device, "type"), message, expected)


def writes_are_in_time(context: CheckContext) -> Iterator[Message]:
    """`3 heartbeat (or set-point) periods <= the device's time-out`: two lost writes stop nothing."""
    for device in context.plant.devices:
        timeout = device.type.communication_timeout
        if timeout is None:
            continue
        period_s = _longest_write_period_s(device)
        if 3 * period_s > timeout.after_s:
            message = f"{device.name} gives up after {timeout.after_s:g} s, but is written to each {period_s:g} s"
            place = place_of_device(context, device, "watchdog")
            yield error(place, message, f"a time-out of at least {3 * period_s:g} s (3 heartbeats)")


def _is_armable(device_type: DeviceType) -> bool:
    timeout = device_type.communication_timeout
    ends = timeout is not None and timeout.then is not TimeoutAction.NONE
    return ends and any(point.signal.name == "pcs.watchdog_timeout" for point in device_type.points)


def maps_were_tried(context: CheckContext) -> Iterator[Message]:
    """A map written from excerpts or transcriptions of a maker's list says so, and is compared before use."""
    for device in context.plant.devices:
        source, name = device.type.source, device.type.name
        note = next((note for note in device.type.notes if COMPARE_FIRST in note), "")
        if note and source is not None and source.checked_by.startswith(UNTRIED):
            hint = f"then say so in a device file with 'extends: {name}' and 'source: {{checked_by: ...}}'"
            yield warning(place_of_device(context, device, "type"), f"{name}: {note}", source.document, hint)


def _longest_write_period_s(device: Device) -> float:
    """Return the period of the heartbeat or of the slowest command that a device expects cyclically."""
    refreshed_s = [point.refresh_s for point in device.type.points if point.refresh_s is not None]
    return max([device.type.heartbeat_period_s or 0.0, *refreshed_s])


def pcs_stop_before_bms_open(context: CheckContext) -> Iterator[Message]:
    """`PCS time-out + its ramp to zero + margin <= BMS time-out`, so that no BMS opens under load because we died."""
    for found in coordinations(context.plant):
        timeout = found.converter.type.communication_timeout
        if timeout is None or found.in_time or found.pcs.power_w / found.pcs.ramp_w_per_s > LONG_RAMP_S:
            continue  # ramps_end tells of such a ramp
        if timeout.then is TimeoutAction.HOLD:
            yield _never_at_zero(context, found)
        elif timeout.then is not TimeoutAction.NONE:  # that one is never started: writes_are_in_time tells so
            yield _late_at_zero(context, found, timeout)


def _never_at_zero(context: CheckContext, found: Coordination) -> Message:
    pcs, bms = found.converter, found.bms
    message = f"if we die, {pcs.name} holds its power and is never at zero, but {bms.name} opens its contactors"
    message += f" after {found.opens_s:g} s: under load"
    place = context.in_own_file(pcs.type, ("communication_timeout", "then"))
    also = [place_of_device(context, bms, "type")]
    hint = f"'communication_timeout: {{then: zero}}' in {pcs.type.name}, and the same set in the converter itself"
    return error(place, message, f"a PCS that is at zero within {found.opens_s:g} s", hint, also)


def _late_at_zero(context: CheckContext, found: Coordination, timeout: CommunicationTimeout) -> Message:
    pcs, bms, ramp_s = found.converter, found.bms, ramp_to_zero_s(found.pcs, timeout)
    message = f"if we die, {pcs.name} is at zero after {found.at_zero_s:g} s, but {bms.name} opens its contactors"
    message += f" after {found.opens_s:g} s"
    longest_s = found.opens_s - ramp_s - MARGIN_S
    places = [place_of_device(context, pcs, "watchdog"), place_of_device(context, bms, "type")]
    expected = f"a PCS watchdog of at most {longest_s:g} s (time-out + ramp + {MARGIN_S:g} s margin)"
    if longest_s < max(LEAST_TIMEOUT_S, 3 * _longest_write_period_s(pcs)):  # no watchdog could be so short
        places.reverse()
        expected = f"a BMS that waits for at least {found.at_zero_s:g} s: 'communication_timeout' of {bms.type.name}"
    if timeout.after_s + timeout.ramp_s + MARGIN_S <= found.opens_s:  # it is the site's ramp that takes too long
        places.insert(0, context.place("pcs", found.pcs.index, "ramp"))
        within_s = found.opens_s - timeout.after_s - MARGIN_S
        message += f": its ramp from full power to zero takes {quantity(ramp_s, 's')}"
        expected = f"at least {quantity(found.pcs.power_w / within_s, 'W/s')}, or {expected}"
    return error(places[0], message, expected, see_also=places[1:])


def silent_converters_end(context: CheckContext) -> Iterator[Message]:
    """A converter that holds its power when nobody controls it goes on until its racks are full or empty."""
    opened = {found.pcs.index for found in coordinations(context.plant)}
    for device in context.plant.devices:
        timeout = device.type.communication_timeout
        mine = [b.equipment for b in device.bindings if b.owner is Owner.PCS and b.equipment not in opened]
        if mine and timeout is not None and timeout.then is TimeoutAction.HOLD:
            message = f"if we die, {device.name} holds its power and is never at zero: nobody stops it"
            place = context.in_own_file(device.type, ("communication_timeout", "then"))
            yield warning(place, message, "then: zero, and the same set in the converter itself")


def links_bear_their_load(context: CheckContext) -> Iterator[Message]:
    """Requests a second times the time each takes stay below what a connection can carry."""
    by_link: dict[int, list[Device]] = {}
    for device in context.plant.devices:
        by_link.setdefault(device.link, []).append(device)
    known: dict[Hashable, list[BlockLoad]] = {}
    for link in context.plant.links:
        alike = likeness(by_link[link.index], link)
        if alike not in known:
            known[alike] = link_loads(by_link[link.index], link)
        loads = known[alike]
        busy_ratio = sum(load.busy_ratio for load in loads)
        if busy_ratio > LOAD_WARNING:
            yield _overload(context, link, by_link[link.index], _Load(loads, busy_ratio))


@dataclass(frozen=True, slots=True)
class _Load:
    blocks: list[BlockLoad]
    busy_ratio: float


def _overload(context: CheckContext, link: Link, devices: list[Device], load: _Load) -> Message:
    rate = sum(block.requests_per_s for block in load.blocks)
    count = f"{len(devices)} devices x " if len(devices) > 1 else ""
    share = rate / len(devices)
    message = f"{link.address} would be {100 * load.busy_ratio:.0f} % busy: {count}{share:.1f} requests/s"
    message += f" x {1e3 * load.busy_ratio * at_a_time(link) / rate:.0f} ms" + (
        f" / {link.in_flight} in flight" if at_a_time(link) > 1 else ""
    )
    serial = isinstance(link.address, SerialAddress)
    message += f" on a line of {link.address.baud} baud" if isinstance(link.address, SerialAddress) else ""
    place = place_of_device(context, devices[0], "connect" if serial else "gateway")
    made = error if load.busy_ratio > LOAD_ERROR else warning
    return made(place, message, f"under {100 * LOAD_WARNING:.0f} %", "; ".join(_fixes(link, devices, load)))


def _fixes(link: Link, behind: Sequence[Device], load: _Load) -> list[str]:
    """Return the cheapest ways out, each of which alone brings the connection under its limit.

    One block read less often, more requests in flight or a faster line; where none does it, all blocks together, then
    fewer devices.
    """
    devices = len(behind)
    polled = sorted((b for b in load.blocks if b.name != WRITES), key=lambda b: -b.busy_ratio)
    fixes = [fix for block in polled[:2] if (fix := _slower(f"block {block.name}", [block], load))]
    wanted = math.ceil(load.busy_ratio * link.in_flight / LOAD_WARNING)
    if isinstance(link.address, SerialAddress):
        fixes += _faster(link, link.address, behind)
    elif wanted <= MOST_IN_FLIGHT:
        left = load.busy_ratio * link.in_flight / wanted
        fixes.append(f"in_flight: {wanted} (if the maker allows) -> {100 * left:.0f} %")
    left = sum(block.busy_ratio for block in link_loads(behind, replace(link, gap_s=0.0)))
    if not fixes and link.gap_s and left <= LOAD_WARNING:
        fixes.append(f"no gap of {quantity(link.gap_s, 's')} (if the maker allows) -> {100 * left:.0f} %")
    if not fixes and (fix := _slower("every block", polled, load)):
        fixes.append(fix)
    bearable = math.floor(devices * LOAD_WARNING / load.busy_ratio)
    if not fixes and bearable:
        left = load.busy_ratio * bearable / devices
        fixes.append(f"at most {bearable} of the {devices} devices on one connection -> {100 * left:.0f} %")
    return fixes


def _faster(link: Link, line: SerialAddress, behind: Sequence[Device]) -> list[str]:
    """Return the slowest usual baud rate that bears the load."""
    for baud in (baud for baud in USUAL_BAUDS if baud > line.baud):
        left = sum(block.busy_ratio for block in link_loads(behind, replace(link, address=replace(line, baud=baud))))
        if left <= LOAD_WARNING:
            return [f"baud={baud} (if every device on the line can) -> {100 * left:.0f} %"]
    return []


def _slower(what: str, blocks: Sequence[BlockLoad], load: _Load) -> str:
    """Return by how much blocks must be read less often (doubled until it is enough), "" if that is no way."""
    share = sum(block.busy_ratio for block in blocks)
    for times in (2, 4, 8, 16, 32):
        left = load.busy_ratio - share * (1 - 1 / times)
        if left <= LOAD_WARNING:
            period = f"{blocks[0].period_s * times:g} s" if len(blocks) == 1 else f"{times} times its period"
            return f"{what} every {period} -> {100 * left:.0f} %"
    return ""


def requests_in_flight_are_possible(context: CheckContext) -> Iterator[Message]:
    """As many requests at once as the devices take: one on a serial line, on TCP what their files say."""
    behind: dict[int, list[Device]] = {}
    for device in context.plant.devices:
        behind.setdefault(device.link, []).append(device)
    for link in (link for link in context.plant.links if link.in_flight > 1):
        stating = [d for d in behind[link.index] if context.text(*_in_flight_loc(context, d))]
        if not stating:
            continue
        place, can = context.document.place_of(_in_flight_loc(context, stating[0])), behind[link.index]
        takes = sum(device.type.pipeline for device in can)
        if isinstance(link.address, SerialAddress):
            message = f"{link.in_flight} requests at once on a serial line: it carries one after another"
            yield error(place, message, "in_flight: 1, or none stated")
        elif link.in_flight > takes:
            message = f"{link.in_flight} requests at once for {stating[0].name}, which takes {takes}"
            made = error if link.in_flight > max(MOST_IN_FLIGHT, takes) else warning
            yield made(place, message, f"at most {takes}", "'pipeline' in the device file, if its maker states more")


def _in_flight_loc(context: CheckContext, device: Device) -> Loc:
    return context.loc(*section_of(context, device), "gateway", "in_flight")


LINK_CHECKS = (
    requests_in_flight_are_possible,
    maps_were_tried,
    converters_can_be_armed,
    writes_are_in_time,
    pcs_stop_before_bms_open,
    silent_converters_end,
    links_bear_their_load,
)
