"""Is a device file possible: registers that do not overlap, blocks that fit their stride, reads that are allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.plant.checks.bms import bms_says_what_it_does
from controller.plant.checks.chains import broken_wires_read_as_tripped
from controller.plant.checks.code_values import meanings_are_told_apart, raw_values_fit
from controller.plant.checks.missing_values import missing_is_no_value
from controller.plant.checks.readings import points_can_be_read
from controller.plant.checks.register_wear import nothing_wears_out
from controller.plant.checks.resolution import steps_are_fine_enough
from controller.plant.checks.shared_registers import shared_registers_say_one_thing
from controller.plant.checks.siblings import siblings_agree
from controller.plant.device_loader import MAX_ADDRESS, register_span, words_of
from controller.plant.device_types import DeviceKind, DevicePoint, DeviceType, RegisterPlace, RegisterTable, Repeat
from controller.plant.messages import Message, Place, error, one_of, warning
from controller.plant.signals import Owner, SignalForm
from controller.plant.yaml_tree import Document

ROOT_OWNER = {Owner.CELL: Owner.RACK, Owner.SENSOR: Owner.RACK}
_READ_ONLY = (RegisterTable.INPUT, RegisterTable.DISCRETE)
_SIGNED = ("rack.current", "pcs.active_power", "pcs.dc_current", "pcs.active_power_setpoint", "meter.active_power")
"""Signals of which the sign must be known: the wrong one makes charging of discharging."""
BIT_TABLES = (RegisterTable.COIL, RegisterTable.DISCRETE)
_OWNERS = {
    DeviceKind.BANK_BMS: (Owner.BANK, Owner.RACK),
    DeviceKind.RACK_BMS: (Owner.RACK,),
    DeviceKind.PCS: (Owner.PCS,),
    DeviceKind.METER: (Owner.METER,),
    DeviceKind.DIGITAL_IO: (Owner.INTERLOCK,),
}


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a point stands: the first instance of a repeated one."""

    point: DevicePoint
    table: RegisterTable
    first: int
    last: int
    repeats: bool
    stride: int  # from one repeated block to the next


def check_device(device_type: DeviceType, document: Document) -> list[Message]:
    """Return what is wrong with a device type, at the places of its file."""
    spans = list(_spans(device_type))
    return [
        *_overlaps(spans, document),
        *shared_registers_say_one_thing(device_type, document),
        *_strides(device_type, spans, document),
        *_reads(device_type, spans, document),
        *_belongs(device_type, document),
        *_commands(device_type, document),
        *_signs_are_said(device_type, document),
        *_signs_are_of_their_kind(device_type, document),
        *points_can_be_read(device_type, document),
        *steps_are_fine_enough(device_type, document),
        *siblings_agree(device_type, document),
        *missing_is_no_value(device_type, document),
        *raw_values_fit(device_type, document),
        *meanings_are_told_apart(device_type, document),
        *broken_wires_read_as_tripped(device_type, document),
        *nothing_wears_out(device_type, document),
        *_modicon(device_type, document),
        *_hygiene(device_type, document),
    ]


def _signs_are_said(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """What flows both ways says which way it counts; of SunSpec's points the standard does."""
    for point in device_type.points:
        name = point.signal.name
        if name not in _SIGNED or not isinstance(point.place, RegisterPlace):
            continue
        if document.node_at(("points", name, "sign")) is None:
            ours, other = ("export", "import") if name.startswith("meter.") else ("discharge", "charge")
            message = f"{name} does not say which way it counts as positive; it is taken as {ours}"
            expected = f"sign: {ours}_positive or {other}_positive, as the maker's list says"
            yield warning(document.place_of(("points", name), key=True), message, expected)


def _signs_are_of_their_kind(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A rack charges and discharges, a meter exports and imports, reactive power is injected and absorbed."""
    for point in device_type.points:
        name, loc = point.signal.name, ("points", point.signal.name, "sign")
        stated, words = document.text_at(loc).partition("_")[0], _SIDES.get(_flow_of(point), ())
        if stated and words and stated not in words:
            message = f"'{stated}_positive' is of {_KIND_OF[stated]}: of {name} one can only guess what it means"
            yield warning(document.place_of(loc), message, one_of(f"{word}_positive" for word in words))


def _flow_of(point: DevicePoint) -> str:
    """Return what flows through a point that has a sign."""
    if point.signal.unit == "var":
        return "reactive"
    return "rack" if point.signal.owner in (Owner.RACK, Owner.BANK) else point.signal.owner.value


_SIDES = {
    "rack": ("discharge", "charge"),
    "pcs": ("discharge", "charge", "export", "import"),
    "meter": ("export", "import"),
    "reactive": ("injected", "absorbed"),
}
_KIND_OF = {
    "discharge": "racks and converters", "charge": "racks and converters", "export": "meters", "import": "meters",
    "injected": "reactive power", "absorbed": "reactive power",
}  # fmt: skip


def _spans(device_type: DeviceType) -> Iterator[_Span]:
    for point in device_type.points:
        if isinstance(point.place, RegisterPlace):
            first = point.place.address
            owner = ROOT_OWNER.get(point.signal.owner, point.signal.owner)
            repeats = device_type.repeat is not None and device_type.repeat.equipment == owner.value
            stride = point.place.repeat_stride or (device_type.repeat.stride if device_type.repeat else 0)
            yield _Span(point, point.place.table, first, first + register_span(point) - 1, repeats, stride)


def _loc(span: _Span, key: str = "at") -> tuple[str, str, str]:
    return ("points", span.point.signal.name, key)


def _overlaps(spans: list[_Span], document: Document) -> Iterator[Message]:
    """Two signals may share a register only whole: a status word read two ways, a setting written and read back."""
    for table in RegisterTable:
        furthest: _Span | None = None
        for span in sorted((s for s in spans if s.table is table), key=lambda s: (s.first, s.last)):
            if furthest is not None and span.first <= furthest.last and not _may_share(furthest, span):
                yield _overlap(furthest, span, document)
            furthest = span if furthest is None or span.last > furthest.last else furthest


def _overlap(one: _Span, other: _Span, document: Document) -> Message:
    first, second = sorted((one, other), key=lambda s: document.place_of(_loc(s)))
    message = f"{second.point.signal.name} uses {other.table} register {other.first}, which"
    message += f" {first.point.signal.name} already uses"
    return error(document.place_of(_loc(second)), message, see_also=[document.place_of(_loc(first))])


def _may_share(one: _Span, other: _Span) -> bool:
    same = (one.first, one.last, one.point.register_type) == (other.first, other.last, other.point.register_type)
    flags = (SignalForm.CODE, SignalForm.BITS, SignalForm.BOOL)
    two_ways = one.point.signal.form in flags and other.point.signal.form in flags
    return same and (two_ways or one.point.signal.command != other.point.signal.command)


def _strides(device_type: DeviceType, spans: list[_Span], document: Document) -> Iterator[Message]:
    """Repeated blocks do not run into each other, into the rest, or out of the address space."""
    repeat = device_type.repeat
    if repeat is None or device_type.sunspec_models:
        return
    for table in RegisterTable:
        here = [s for s in spans if s.table is table]
        for stride in dict.fromkeys(s.stride for s in here if s.repeats):
            block = [s for s in here if s.repeats and s.stride == stride]
            first, last = min(s.first for s in block), max(s.last for s in block)
            yield from _fits(repeat, block[0], last - first + 1, document)
            end = last + (repeat.count - 1) * stride
            if end > MAX_ADDRESS:
                count_place = document.place_of(("repeat", repeat.equipment, "count"))
                message = f"{repeat.count} blocks of {repeat.equipment} reach {table} register {end}"
                yield error(count_place, message, f"at most {MAX_ADDRESS}")
            for span in here:
                if span not in block and first <= span.last and span.first <= end:
                    message = f"{span.point.signal.name} stands among the blocks of {repeat.equipment}"
                    yield error(document.place_of(_loc(span)), message, f"outside {table} {first}..{end}")


def _fits(repeat: Repeat, one: _Span, size: int, document: Document) -> Iterator[Message]:
    if size > one.stride:
        own = isinstance(one.point.place, RegisterPlace) and one.point.place.repeat_stride
        place = document.place_of(_loc(one, "repeat_stride") if own else ("repeat", repeat.equipment, "stride"))
        message = f"a block of {repeat.equipment} takes {size} {one.table} registers, its stride is {one.stride}"
        yield error(place, message, f"a stride of at least {size}")


def _reads(device_type: DeviceType, spans: list[_Span], document: Document) -> Iterator[Message]:
    """No value is longer than a read may be, or stands where the device must not be read."""
    for span in spans:
        width, name = words_of(span.point.register_type), span.point.signal.name
        if span.table in BIT_TABLES and span.point.register_type != "bool":
            place = document.place_of(_loc(span, "as"))
            yield error(place, f"{name} is {span.point.register_type} in a table of bits", "as: bool")
        if span.table not in BIT_TABLES and width > device_type.max_read_registers:
            message = f"{name} takes {width} registers, a read may have {device_type.max_read_registers}"
            yield error(document.place_of(_loc(span, "as")), message, "a larger max_read")
        yield from _forbidden(device_type, name, (span.table, span.first, span.last), document.place_of(_loc(span)))
    identity = device_type.identity
    if identity is not None:
        first, room = identity.place.address, 2 * words_of(identity.register_type)
        if identity.register_type.startswith("string") and len(identity.equals.encode()) > room:
            message = (
                f"'{identity.equals}' can't be read from {identity.register_type}: that has room for {room} letters"
            )
            expected = f"string{-(-len(identity.equals.encode()) // 2)} or longer"
            yield error(document.place_of(("identify", "as")), message, expected)
        stretch = (identity.place.table, first, first + words_of(identity.register_type) - 1)
        yield from _forbidden(device_type, "identify", stretch, document.place_of(("identify", "at")))


def _forbidden(
    device_type: DeviceType, name: str, stretch: tuple[RegisterTable, int, int], place: Place
) -> Iterator[Message]:
    for table, first, last in device_type.forbidden:
        if table is stretch[0] and stretch[1] <= last and first <= stretch[2]:
            message = f"{name} stands in the forbidden range {table} {first}..{last}"
            yield error(place, message, "a register that may be read")


def _belongs(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A device serves signals of the equipment it is made for."""
    owners = _OWNERS[device_type.kind]
    found = [ROOT_OWNER.get(point.signal.owner, point.signal.owner) for point in device_type.points]
    if len(found) > 1 and set(found).isdisjoint(owners):
        message = f"a {device_type.kind} has none of these points: they are of a {found[0]}"
        fits = (kind for kind, of_kind in _OWNERS.items() if set(found) <= set(of_kind))
        yield error(document.place_of(("kind",)), message, f"kind: {one_of(fits).removeprefix('one of ')}")
        return
    for point, owner in zip(device_type.points, found, strict=True):
        if owner not in owners:
            place = document.place_of(("points", point.signal.name), key=True)
            yield error(place, f"a {device_type.kind} has no {point.signal.name}", f"signals of {' and '.join(owners)}")


def _commands(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A command goes to a register that can be written."""
    for point in device_type.points:
        if point.signal.command and isinstance(point.place, RegisterPlace) and point.place.table in _READ_ONLY:
            place = document.place_of(("points", point.signal.name, "at"))
            found = f"{point.signal.name} is a command, and {point.place.table.value} registers can only be read"
            yield error(place, found, "holding N or coil N")


_MODICON = {RegisterTable.INPUT: 30_001, RegisterTable.HOLDING: 40_001}


def _modicon(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """`holding 40001` mostly means the maker's 40001, which is 0 on the wire; said where the file leaves it open.

    Some maps do lie up there (SunSpec's), and then all of a table does: stating `address` settles it.
    """
    for table, first in _MODICON.items():
        points = [p for p in device_type.points if isinstance(p.place, RegisterPlace) and p.place.table is table]
        high = [p for p in points if isinstance(p.place, RegisterPlace) and first <= p.place.address < first + 9_999]
        if not high or (len(high) == len(points) and document.text_at(("address",))):
            continue
        name, loc = high[0].signal.name, ("points", high[0].signal.name, "at")
        number = int(document.text_at(loc).split()[1])
        message = f"{name} is at {table} {number}, which looks like a Modicon number"
        expected = f"the address on the wire: '{table} {number - first}' for Modicon {number}"
        hint = "" if len(high) < len(points) else "if it is the address on the wire, say so: 'address: zero_based'"
        yield warning(document.place_of(loc), message, expected, hint)


def _hygiene(device_type: DeviceType, document: Document) -> Iterator[Message]:
    """A map says where it was read, and how one knows that this device is meant."""
    if device_type.source is None:
        place = document.place_of(("device",))
        yield warning(place, f"{device_type.name} does not say where its map was read", "source: {document, pages}")
    if device_type.refresh_s is None:
        place = document.place_of(("device",))
        message = f"{device_type.name} does not say how old its registers may be: no reaction time can be stated"
        yield warning(place, message, "refresh: 200 ms", "its manual tells as scan or update time; else measure it")
    yield from bms_says_what_it_does(device_type, document)
