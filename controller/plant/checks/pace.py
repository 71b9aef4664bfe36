"""Does everything happen often enough: scans against watchdogs and set-points, polls against what trips wait for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.links import place_of_device
from controller.plant.figures import number
from controller.plant.messages import Message, error, warning
from controller.plant.model import Device
from controller.plant.protection_rows import Level, ProtectionRow, Reduction
from controller.plant.signals import Owner

LONGEST_POLL_S = 60.0
LONGEST_TRIP_DELAY_S = 600.0


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
    for row in context.plant.protection:
        level = row.levels[-1]
        if level.level is Level.TRIP and row.reduction is not Reduction.AGE:
            most_s = max(LONGEST_POLL_S, level.delay_s)
            for name in (row.signal, *(name for name, _ in row.also)):
                if most_s < allowed_s.get(name, (float("inf"), row))[0]:
                    allowed_s[name] = (most_s, row)
    for device in context.plant.devices:
        yield from _slow_polls(context, device, allowed_s)


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
        own = point.poll_block in dict(device.periods_s)
        place = place_of_device(context, device, "poll") if own else context.block_place(device.type, point.poll_block)
        yield error(place, message, f"at most {most_s:g} s")


def trips_act_in_time(context: CheckContext) -> Iterator[Message]:
    """A trip that waits for many minutes protects nothing: its warning and alarm are for what is slow."""
    for row in context.plant.protection:
        for level in row.levels:
            slow = level.level is Level.TRIP and level.delay_s > LONGEST_TRIP_DELAY_S
            if slow and row.owner in (Owner.RACK, Owner.BANK, Owner.PCS, Owner.INTERLOCK):
                draft = context.drafts[row.owner, row.name]
                value = draft.values.get("trip.delay") or draft.values.get("delay")
                message = f"{row.name} trips only after {level.delay_s:g} s"
                hint = "what is slow is a warning or an alarm"
                expected = f"a trip within {LONGEST_TRIP_DELAY_S:g} s"
                yield error(value.place if value else draft.place, message, expected, hint)


PACE_CHECKS = (scans_feed_watchdogs, set_points_outlive_scans, trips_do_not_wait_for_polls, trips_act_in_time)
