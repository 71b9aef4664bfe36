"""Registers that belong together and disagree: a power and its set-point turned, a pair of limits in two scales.

A slip of the hand hits one line of a list; makers write such pairs alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from controller.plant.device_types import DevicePoint, DeviceType
from controller.plant.figures import number
from controller.plant.messages import Message, Place, warning
from controller.plant.yaml_tree import Document

_MEASURED = (
    ("pcs.active_power", "pcs.active_power_setpoint"),
    ("pcs.reactive_power", "pcs.reactive_power_setpoint"),
)
_ALIKE = (
    ("rack.charge_current_limit", "rack.discharge_current_limit"),
    ("rack.cell_voltage_max", "rack.cell_voltage_min"),
    ("rack.cell_temperature_max", "rack.cell_temperature_min"),
    ("pcs.charge_power_limit", "pcs.discharge_power_limit"),
    ("pcs.active_power", "pcs.active_power_setpoint"),
    ("pcs.watchdog_timeout", "pcs.watchdog_timeout_setting"),
)
_COMPARE = "compare both with the maker's list, and with a value that is known"


def siblings_agree(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """What is commanded is turned as what is measured; pairs of limits and of extremes have one unit and one scale."""
    for names in _MEASURED:
        measured, commanded = (device_type.point(name) for name in names)
        if measured is not None and commanded is not None and _turned(measured) != _turned(commanded):
            message = f"{names[1]} is {_way(commanded)}, but {names[0]} {_way(measured)}: it would answer the wrong way"
            place, also = _places(document, names, "sign")
            yield warning(place, message, "one sign for both", _COMPARE, [also])
    for names in _ALIKE:
        one, other = (device_type.point(name) for name in names)
        if one is not None and other is not None and not _alike(one, other):
            message = f"{names[0]} is read in {_wording(one)}, but {names[1]} in {_wording(other)}"
            place, also = _places(document, names, "scale" if one.unit == other.unit else "unit")
            yield warning(place, message, "one unit and one scale for both", _COMPARE, [also])


def _turned(point: DevicePoint) -> bool:
    """Tell whether a value is turned: a negative scale does it as a sign does."""
    return point.sign * point.scale < 0


def _way(point: DevicePoint) -> str:
    return "turned round" if _turned(point) else "not"


def _alike(one: DevicePoint, other: DevicePoint) -> bool:
    """Tell whether two registers are read alike; another type or an offset is another coding, and meant so."""
    if (one.register_type, one.offset) != (other.register_type, other.offset):
        return True
    same_step = math.isclose(abs(one.scale * one.unit_factor), abs(other.scale * other.unit_factor), rel_tol=1e-6)
    return same_step and math.isclose(one.unit_offset, other.unit_offset, abs_tol=1e-9)


def _wording(point: DevicePoint) -> str:
    return f"{number(point.scale)} {point.unit}"


def _places(document: Document, names: tuple[str, str], key: str) -> tuple[Place, Place]:
    """Return both places, first the one that the device's own file states: what is inherited is not what is mended."""
    places = [document.place_of(("points", name, key)) for name in names]
    own = next((place for place in reversed(places) if place.file == document.file), places[-1])
    return own, next(place for place in places if place is not own)
