"""Registers that each write wears out: what is written again and again must not stand in one."""

from __future__ import annotations

from collections.abc import Iterator

from controller.plant.device_types import DevicePoint, DeviceType, WriteKind
from controller.plant.figures import number, quantity
from controller.plant.messages import Message, error, warning
from controller.plant.yaml_tree import Document

WRITES = 1_000_000
"""What EEPROM cells are good for: makers' data sheets say 100 000 to 1 000 000 (Microchip 24xx, ST M24)."""

_YEAR_S, _DAY_S = 365.25 * 86_400.0, 86_400.0


def nothing_wears_out(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A heartbeat, or anything else that is rewritten cyclically, stands in a volatile register."""
    for point in device_type.points:
        name, period_s = point.signal.name, _period_s(point, device_type)
        if point.refresh_s is not None and not point.signal.command:
            place = document.place_of(("points", name, "every"))
            message = f"{name} is read, never written: 'every' says how often a command is written again"
            yield error(place, message, "no 'every'; how often it is read stands in its block")
        if point.writable is not WriteKind.PERSISTENT:
            continue
        place = document.place_of(("points", name, "writable"))
        hint = "if the maker says that it is kept in RAM: writable: volatile"
        if period_s:
            message = f"{name} is persistent and written each {quantity(period_s, 's')}: memory that bears"
            message += f" {WRITES:,} writes is worn out after {_life(period_s)}"
            yield error(place, message, "a register in RAM, or no cyclic writing", hint)
        elif name.endswith("_setpoint"):
            message = f"{name} is persistent: a set-point that follows the grid changes each second, and memory that"
            message += f" bears {WRITES:,} writes is then worn out after {_life(1.0)}"
            yield warning(place, message, "the maker's register for cyclic set-points", hint)


def _period_s(point: DevicePoint, device_type: DeviceType) -> float:
    """Return how often a command is written whether it changes or not, 0 for never."""
    beats = device_type.heartbeat_period_s or 1.0
    return point.refresh_s or (beats if point.signal.name.endswith("controller_heartbeat") else 0.0)


def _life(period_s: float) -> str:
    life_s = WRITES * period_s
    return f"{number(life_s / _YEAR_S, 2)} years ({number(life_s / _DAY_S, 2)} days)"
