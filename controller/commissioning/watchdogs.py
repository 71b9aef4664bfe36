"""What each device does when we fall silent, with both inequalities that keep contactors from opening under load.

    3 heartbeat periods <= the device's time-out
    PCS time-out + its ramp to zero + margin <= BMS time-out

`validate` refuses a site that breaks them; this prints them, because a person has to know them before going live.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from controller.plant.coordination import MARGIN_S, NEVER_AT_ZERO, Coordination, coordinations
from controller.plant.device_types import BMS_KINDS, DeviceKind
from controller.plant.model import Device, Plant


@dataclass(frozen=True, slots=True)
class WatchdogLine:
    """Devices of one type with one time-out: how often we write, what they do, how long three periods take."""

    devices: str
    count: int
    type: str
    heartbeat_s: float | None
    set_points_s: float | None
    timeout_s: float | None  # None: the device has none
    then: str
    ramp_s: float
    three_periods_s: float
    in_time: bool | None  # 3 periods <= time-out; None: nothing to compare


@dataclass(frozen=True, slots=True)
class CoordinationLine:
    """A converter and the BMS type behind it: when it is at zero, and when the BMS would open."""

    converters: str
    bms: str
    at_zero_s: float | None  # time-out + ramp + margin; None: never, it holds its power or does nothing
    opens_s: float
    in_time: bool


def watchdog_lines(plant: Plant) -> tuple[WatchdogLine, ...]:
    """Return a line for each kind of device that we write to or that watches us."""
    alike: dict[tuple[str, object], list[Device]] = {}
    for device in plant.devices:
        alike.setdefault((device.type.name, device.type.communication_timeout), []).append(device)
    return tuple(_line(devices) for devices in alike.values())


def coordination_lines(plant: Plant) -> tuple[CoordinationLine, ...]:
    """Return a line for each converter's time-out against each BMS type of its bus that opens by itself."""
    return tuple(dict.fromkeys(_coordination(found) for found in coordinations(plant)))


def watchdog_text(plant: Plant) -> str:
    """Return both tables for people."""
    head = ("devices", "type", "heartbeat", "set-points", "time-out", "then", "3 periods <= time-out")
    table = [head, *(_cells(line) for line in watchdog_lines(plant))]
    lines = [*_aligned(table), "", "if we die, is every converter at zero before a BMS opens?"]
    second = [("converter", "BMS", f"time-out + ramp + {MARGIN_S:g} s", "BMS opens after", "")]
    for found in coordination_lines(plant):
        verdict = "ok" if found.in_time else "TOO LATE"
        at_zero, verdict = ("never", "NO") if found.at_zero_s is None else (f"{found.at_zero_s:g} s", verdict)
        second.append((found.converters, found.bms, at_zero, f"{found.opens_s:g} s", verdict))
    unstated = _unstated(plant)
    if len(second) > 1:
        lines += _aligned(second)
    unknown = "its file states no communication_timeout; it may open under load"
    lines += [f"  not known of {name}: {unknown}" for name in unstated]
    if len(second) == 1:
        alone = [] if unstated else ["  no BMS of this site opens its contactors by itself when we fall silent"]
        return "\n".join([*lines, *alone])
    return "\n".join(
        [*lines, "", "These are what the files state. Read each back on site: some devices ship with it disabled."]
    )


def watchdog_json(plant: Plant) -> dict[str, object]:
    """Return both tables for machines."""
    return {
        "devices": [asdict(line) for line in watchdog_lines(plant)],
        "coordination": [asdict(line) for line in coordination_lines(plant)],
        "bms_timeout_not_stated": _unstated(plant),
    }


def _unstated(plant: Plant) -> list[str]:
    """Return the BMS types whose files do not say what they do when we fall silent."""
    bms = (d.type for d in plant.devices if d.type.kind in BMS_KINDS)
    return sorted({type_.name for type_ in bms if type_.communication_timeout is None})


def _line(devices: list[Device]) -> WatchdogLine:
    device_type = devices[0].type
    timeout = device_type.communication_timeout
    beats = [p.refresh_s for p in device_type.points if p.refresh_s is not None and "heartbeat" in p.signal.name]
    written = [p.refresh_s for p in device_type.points if p.refresh_s is not None and "heartbeat" not in p.signal.name]
    slowest_s = max([device_type.heartbeat_period_s or 0.0, *beats, *written])
    return WatchdogLine(
        devices=_names(devices),
        count=len(devices),
        type=device_type.name,
        heartbeat_s=device_type.heartbeat_period_s or max(beats, default=None),
        set_points_s=max(written, default=None),
        timeout_s=None if timeout is None else timeout.after_s,
        then=_when_silent(device_type.kind) if timeout is None else timeout.then.value,
        ramp_s=0.0 if timeout is None or timeout.then in NEVER_AT_ZERO else timeout.ramp_s,
        three_periods_s=3 * slowest_s,
        in_time=None if timeout is None or not slowest_s else 3 * slowest_s <= timeout.after_s,
    )


def _when_silent(kind: DeviceKind) -> str:
    return "not stated" if kind in {*BMS_KINDS, DeviceKind.PCS} else "-"


def _coordination(found: Coordination) -> CoordinationLine:
    at_zero_s = None if math.isinf(found.at_zero_s) else found.at_zero_s
    return CoordinationLine(found.pcs.name, found.bms.type.name, at_zero_s, found.opens_s, found.in_time)


def _names(devices: list[Device]) -> str:
    if len(devices) <= 2:
        return ", ".join(d.name for d in devices)
    return f"{devices[0].name} .. {devices[-1].name} ({len(devices)})"


def _cells(line: WatchdogLine) -> tuple[str, ...]:
    ramp = f" in {line.ramp_s:g} s" if line.ramp_s else ""
    compared = f"{line.three_periods_s:g} s {'ok' if line.in_time else 'TOO LATE'}"
    verdict = "-" if line.in_time is None else compared
    return (line.devices, line.type, _seconds(line.heartbeat_s), _seconds(line.set_points_s), _seconds(line.timeout_s),
            f"{line.then}{ramp}", verdict)  # fmt: skip


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:g} s"


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
