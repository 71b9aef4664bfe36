"""Maps of raw values to meanings: what fits its register, what is needed to tell the states that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from controller.plant.device_loader import words_of
from controller.plant.device_types import DevicePoint, DeviceType, RegisterPlace
from controller.plant.messages import Message, error, warning
from controller.plant.signals import SignalForm
from controller.plant.yaml_tree import Document, Keys, Loc

_OPEN_AND_CLOSED = (("open",), ("closed",))
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "rack.contactor": _OPEN_AND_CLOSED,
    "bank.state": _OPEN_AND_CLOSED,
    "meter.breaker": _OPEN_AND_CLOSED,
    "pcs.state": (("running",), ("off", "standby", "sleeping")),
    "rack.reset_request": (("reset",),),
    "bank.reset_request": (("reset",),),
    "pcs.reset_request": (("reset",),),
    "pcs.operation": (("start",),),
}
"""Meanings (one of each group) without which a code is of no use: a state that is never seen, a request never made."""

_NO_DEVICE_WITHOUT = ("rack.contactor", "bank.state", "pcs.state")

WANTED: dict[str, tuple[tuple[str, ...], ...]] = {
    "rack.connect_request": (("connect",), ("disconnect",)),
    "bank.connect_request": (("connect",), ("disconnect",)),
}
"""Meanings that a device may really lack; a map that leaves them out is more often not finished."""


def raw_values_fit(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A raw value, or the number of a bit, fits its register; and none is given two meanings."""
    for point in device_type.points:
        bits = _bits(point.register_type)
        for raw, _ in point.codes if bits else ():
            yield from _fits(point, raw, bits, document)
        for raw, count in Counter(raw for raw, _ in point.codes).items():
            if count > 1:
                place = document.place_of(("points", point.signal.name, "values"))
                yield error(place, f"{point.signal.name}: {raw} has two meanings", "each raw value once")
    for position, write in enumerate(device_type.setup):
        bits = _bits(write.register_type)
        if bits and not -(1 << (bits - 1)) <= write.value < 1 << bits:
            message = f"the setup value {write.value} does not fit {write.register_type}"
            yield error(document.place_of(("setup", position, "value")), message, f"0 to {(1 << bits) - 1}")


def _fits(point: DevicePoint, raw: int, bits: int, document: Document) -> Iterator[Message]:
    name, is_bit = point.signal.name, point.signal.form is SignalForm.BITS
    most = bits - 1 if is_bit else (1 << bits) - 1
    if raw > most:
        place, kind = document.place_of(_loc(name, raw, document), key=True), document.place_of(("points", name, "as"))
        place = kind if place.file.startswith("library/") else place  # an inherited map in a type of one's own
        what = f"there is no bit {raw}" if is_bit else f"{raw} does not fit"
        verb = "can never be written" if point.signal.command else "is never read"
        yield error(place, f"{name}: {what} in {point.register_type}, so it {verb}", f"0 to {most}")


def _loc(name: str, raw: int, document: Document) -> Loc:
    """Return the way to a raw value, however its number is written."""
    node = document.node_at(("points", name, "values"))
    keys = node.entries if isinstance(node, Keys) else {}
    return "points", name, "values", next((key for key in keys if int(key, 0) == raw), str(raw))


def _bits(register_type: str) -> int:
    """Return how many bits a whole number of this type has; 0 where it is none, or the device says."""
    if register_type == "bool":
        return 1
    return 0 if register_type.startswith(("f", "string")) else 16 * words_of(register_type)


def meanings_are_told_apart(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A yes and a no, an open and a closed, a request that can be made: without them a point tells nothing."""
    for point in device_type.points:
        name = point.signal.name
        if not point.codes:
            if point.signal.form is SignalForm.BITS and point.signal.codes and isinstance(point.place, RegisterPlace):
                message = f"{name} does not say what its bits mean: no alarm of the BMS would be told"
                place = document.place_of(("points", name), key=True)
                yield warning(place, message, "values: {0: over_voltage_alarm, ...}, as the maker's list has them")
            continue
        place = document.place_of(("points", name, "values"))
        if point.signal.form is SignalForm.BOOL and len({value for _, value in point.codes}) == 1:
            only = "yes" if point.codes[0][1] else "no"
            message = f"every value of {name} means '{only}': it would say so for ever"
            yield error(place, message, "a value for yes and one for no, such as {0: no, 1: yes}")
        for group in _lacking(point, NEEDED):
            message = f"{name} has no value for {_quoted(group)}: {_never(point)}"
            hint = "" if name in _NO_DEVICE_WITHOUT else "where the maker's list has none, leave the point out"
            yield error(place, message, f"values: {{...: {group[0]}}}", hint)
        for group in _lacking(point, WANTED):
            message = f"{name} has no value for '{group[0]}': {_never(point)}"
            yield warning(place, message, f"values: {{...: {group[0]}}}")


def _lacking(point: DevicePoint, wanted: dict[str, tuple[tuple[str, ...], ...]]) -> Iterator[tuple[str, ...]]:
    codes = point.signal.codes
    if codes is None:
        return
    meant = {codes(value).name.lower() for _, value in point.codes}
    yield from (group for group in wanted.get(point.signal.name, ()) if not meant & set(group))


def _quoted(group: tuple[str, ...]) -> str:
    return " or ".join(f"'{meaning}'" for meaning in group)


def _never(point: DevicePoint) -> str:
    return "that can never be asked for" if point.signal.command else "that state would never be seen"
