"""How long silence may last: time-outs against what a device needs, and the ladder from a lost value to zero power."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from controller.plant.checks.context import CheckContext
from controller.plant.checks.links import place_of_device, section_of
from controller.plant.figures import quantity
from controller.plant.messages import Message, Place, error, warning
from controller.plant.model import Device, Link

AMPLE_ANSWERS = 2.0
"""A time-out of twice the typical answer: a slow one is no lost one."""
LONGEST_TIMEOUT_S, LONG_TIMEOUT_S = 10.0, 5.0
MOST_ZERO_PERIODS, MANY_ZERO_PERIODS = 20.0, 10.0
LONGEST_BLIND_S, LONG_BLIND_S = 60.0, 20.0
LONGEST_BLIND_WHERE_BMS_STOPS_S = 300.0
"""A field switch is back after a minute; beyond five, a plant runs on what nobody has seen for long."""


def timeouts_fit_their_devices(context: CheckContext) -> Iterator[Message]:
    """A time-out is longer than the device needs to answer, and short enough that one lost answer stops nothing."""
    behind: dict[int, list[Device]] = {}
    for device in context.plant.devices:
        behind.setdefault(device.link, []).append(device)
    for link in context.plant.links:
        devices = behind[link.index]
        slowest = max(devices, key=lambda device: device.type.response_s)
        hastiest = min(devices, key=_patience_s)
        yield from _too_short(context, link, slowest, devices)
        yield from _too_long(context, link, hastiest, devices)


def _patience_s(device: Device) -> float:
    timeout = device.type.communication_timeout
    return math.inf if timeout is None else timeout.after_s


def _too_short(context: CheckContext, link: Link, device: Device, behind: Sequence[Device]) -> Iterator[Message]:
    response_s = device.type.response_s
    if link.timeout_s >= AMPLE_ANSWERS * response_s:
        return
    made = error if link.timeout_s <= response_s else warning
    message = f"{device.name} is given {quantity(link.timeout_s, 's')} to answer and typically takes"
    message += f" {quantity(response_s, 's')}:"
    message += " every answer would count as lost" if made is error else " a slow answer would count as lost"
    place = _timeout_place(context, device, behind)
    yield made(place, message, f"a timeout of at least {quantity(AMPLE_ANSWERS * response_s, 's')}")


def _too_long(context: CheckContext, link: Link, hastiest: Device, behind: Sequence[Device]) -> Iterator[Message]:
    patience_s = _patience_s(hastiest)
    if link.timeout_s <= min(patience_s / 3, LONG_TIMEOUT_S):
        return
    place, who = _timeout_place(context, hastiest, behind), f"one lost answer keeps {link.address} waiting"
    if link.timeout_s > patience_s / 3:
        message = (
            f"{who} for {quantity(link.timeout_s, 's')}, and {hastiest.name} gives up after {quantity(patience_s, 's')}"
        )
        also = [place_of_device(context, hastiest, "watchdog")]
        yield error(
            place, message, f"a timeout of at most {quantity(patience_s / 3, 's')} (a third of that)", see_also=also
        )
    else:
        made = error if link.timeout_s > LONGEST_TIMEOUT_S else warning
        message = f"{who} for {quantity(link.timeout_s, 's')}: nothing behind it is read for so long"
        yield made(place, message, f"a timeout below {quantity(LONG_TIMEOUT_S, 's')}")


def _timeout_place(context: CheckContext, device: Device, behind: Sequence[Device]) -> Place:
    """Return where a connection's time-out stands: in a group behind it, else in the device file."""
    for one in (device, *behind):
        loc = context.loc(*section_of(context, one), "gateway", "timeout")
        if context.document.text_at(loc):
            return context.document.place_of(loc)
    return context.in_own_file(device.type, ("timeout",), ("response",))


def silence_ends_in_zero(context: CheckContext) -> Iterator[Message]:
    """Nobody sees a rack whose data are lost: its converter is at zero soon, not after an hour."""
    stale = context.plant.control.stale
    for key, value_s, most_s, long_s, what in (
        ("zero_min", stale.zero_min_s, LONGEST_BLIND_S, LONG_BLIND_S, ""),
        (
            "zero_where_bms_stops_pcs",
            stale.zero_bms_stops_pcs_s,
            LONGEST_BLIND_WHERE_BMS_STOPS_S,
            LONGEST_BLIND_WHERE_BMS_STOPS_S,
            " where the BMS stops the converter",
        ),
    ):
        if value_s > long_s:
            made = error if value_s > most_s else warning
            text = context.text("controls", "stale", key)
            message = f"stale.{key}: a converter would run on for {text} after the data of its racks were lost{what}"
            yield made(context.at("controls", "stale", key), message, f"at most {quantity(long_s, 's')}")
    if stale.zero_periods > MANY_ZERO_PERIODS:
        made = error if stale.zero_periods > MOST_ZERO_PERIODS else warning
        message = f"stale.zero_periods: a converter would run on for {stale.zero_periods:g} missed polls of its racks"
        yield made(context.at("controls", "stale", "zero_periods"), message, f"at most {MANY_ZERO_PERIODS:g}")


SILENCE_CHECKS = (timeouts_fit_their_devices, silence_ends_in_zero)
