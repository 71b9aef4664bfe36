"""A raw value that means "no value" is one that the signal never has: else a good value is thrown away."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.readings import believed
from controller.plant.checks.working_ranges import USUAL, working_ranges
from controller.plant.device_loader import words_of
from controller.plant.device_types import DevicePoint, DeviceType
from controller.plant.figures import number, quantity
from controller.plant.messages import Message, Place, error
from controller.plant.signals import SignalForm
from controller.plant.yaml_tree import Document

_FLOATS = {"f32": "f", "f64": "d"}


def missing_is_no_value(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """What is missing is nothing that any plant reaches, and nothing that the same point gives a meaning."""
    for point in device_type.points:
        low, high = USUAL.get(point.signal.name, (1.0, -1.0))
        for raw, value in _values(point):
            if low <= value <= high:
                yield _told(point, raw, value, document.place_of(("points", point.signal.name, "missing")))
        for raw in set(point.missing) & {raw for raw, _ in point.codes}:
            name = point.signal.name
            if point.signal.form is not SignalForm.BITS:
                place = document.place_of(("points", name, "missing"))
                message = f"{name}: {raw} is both a value with a meaning and one that means no value"
                yield error(place, message, "one of the two", _also_said(name, raw, document))


def _also_said(name: str, raw: int, document: Document) -> str:
    """Return what the map of values says of a raw value."""
    texts = (document.text_at(("points", name, "values", key)) for key in (str(raw), f"{raw:#x}", f"{raw:#X}"))
    meaning = next((text for text in texts if text), "")
    return f"'values' says that {raw} is {meaning}" if meaning else ""


def missing_is_no_value_here(context: CheckContext) -> Iterator[Message]:
    """What is missing is nothing that the equipment of this site reaches."""
    for working in working_ranges(context):
        point = working.device_type.point(working.signal)
        for raw, value in _values(point) if point is not None else ():
            if point is not None and working.low <= value <= working.high:
                document = context.device_document(working.device_type)
                place = document.place_of(("points", working.signal, "missing"))
                yield _told(point, raw, value, place, f", and {working.of} reaches it")


def _told(point: DevicePoint, raw: int, value: float, place: Place, more: str = "") -> Message:
    name, unit = point.signal.name, point.signal.unit
    shown = f"{number(100 * value)} %" if unit == "ratio" else quantity(value, unit)
    message = f"{name}: missing {raw} is {shown}, a value that it has in operation{more}: it would read as lost"
    signed = point.register_type.startswith("i")
    bits = 16 * words_of(point.register_type)
    never = 1 << (bits - 1) if signed else (1 << bits) - 1
    return error(
        place,
        message,
        f"a raw value that it never has, such as 0x{never:X}",
        "or no 'missing', if the maker names none",
    )


def _values(point: DevicePoint) -> Iterator[tuple[int, float]]:
    """Yield what each missing raw value would read as, where it would be believed."""
    if point.signal.form is not SignalForm.QUANTITY or not words_of(point.register_type):
        return
    low, high = believed(point)
    for raw in set(point.missing) - _sentinels(point.register_type):
        for each in _numbers(raw, point.register_type):
            value = point.sign * ((each * point.scale + point.offset) * point.unit_factor + point.unit_offset)
            if low <= value <= high:
                yield raw, value + 0.0
                break


def _sentinels(register_type: str) -> set[int]:
    """Return the ends of a type, which makers keep for this: of a value that comes so far the type is too small."""
    if register_type in _FLOATS:
        return set()
    top = 1 << (16 * words_of(register_type) - 1)
    return {top, top - 1, -top} if register_type.startswith("i") else {2 * top - 1, top, top - 1}


def _numbers(raw: int, register_type: str) -> Iterator[float]:
    """Yield the numbers that a raw value stands for: of a float, itself and what has its bit pattern."""
    bits = 16 * words_of(register_type)
    if register_type in _FLOATS:
        yield float(raw)
        if 0 < raw < 1 << bits:
            yield struct.unpack(f">{_FLOATS[register_type]}", raw.to_bytes(bits // 8, "big"))[0]
    elif register_type.startswith("i") and raw >= 1 << (bits - 1):
        yield float(raw - (1 << bits))
    else:
        yield float(raw)


MISSING_CHECKS = (missing_is_no_value_here,)
