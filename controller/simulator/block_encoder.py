"""Measured values into the registers of a polling class, for all devices of a group at once.

Rule: the scaling, sentinels and codes of `controller.modbus.field_codec`, which is the reference; laid out so that all
numbers of a width go through one pass of array operations. What is missing or does not fit becomes the field's
"no value".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.masks import everywhere
from controller.modbus.field_codec import raw_whole
from controller.modbus.register_image import RegisterImage
from controller.modbus.register_map import WireField
from controller.plant.device_types import DeviceType
from controller.plant.model import Device
from controller.plant.signals import Owner, SignalForm
from controller.simulator.device_memory import scale_factors, word_places
from controller.simulator.readings import SCALAR_OWNERS, Readings

FloatArray = NDArray[np.float64]
Limit = float | FloatArray
Whole = int | NDArray[np.int64]
Source = Callable[[], FloatArray]
"""Values in base units, [device, element]."""

ROOT_OWNERS = {Owner.CELL: Owner.RACK, Owner.SENSOR: Owner.RACK}


class BlockEncoder:
    """Fills the registers of one polling class."""

    def __init__(self, memory: RegisterImage, block: str, devices: Sequence[Device], readings: Readings) -> None:
        """Lay out the passes."""
        self.readings = readings
        fields = [f for f in memory.map.block(block) if not f.signal.command]
        scalars = [f for f in fields if f.signal.owner in SCALAR_OWNERS]
        arrays = [f for f in fields if f.signal.owner not in SCALAR_OWNERS]
        self.owners = tuple(dict.fromkeys(f.signal.owner for f in scalars))
        gatherer = _Gatherer(readings, memory.map.instances, devices)
        whole = [f for f in scalars if not f.is_bits and not f.kind.is_float]
        self.wholes = [WholePart(memory, f, gatherer.places(f)) for f in sorted(whole, key=lambda f: f.words)]
        """Fields of whole numbers, ascending by width."""
        gathered: dict[tuple[bool, int], list[WireField]] = {}
        for field in scalars:
            if field not in whole:
                gathered.setdefault((field.is_bits, field.words), []).append(field)
        self.others = [_pass(memory, group, gatherer.scalars(group)) for group in gathered.values()]
        self.others += [_pass(memory, [field], gatherer.array(field)) for field in arrays]
        self.encode = Sweep([self]).encode


class Sweep:
    """Several polling classes encoded together."""

    def __init__(self, encoders: Sequence[BlockEncoder]) -> None:
        """Put the whole numbers of all of them into one row of numbers."""
        self._readings = encoders[0].readings
        self._owners = tuple(dict.fromkeys(owner for encoder in encoders for owner in encoder.owners))
        parts = [part for encoder in encoders for part in encoder.wholes]
        self._wholes = [_Wholes(parts, self._readings.flat)] if parts else []
        self._others = [encode for encoder in encoders for encode in encoder.others]

    def encode(self) -> None:
        """Write the values of now."""
        for owner in self._owners:
            self._readings.refresh(owner)
        for wholes in self._wholes:
            wholes.encode()
        for encode in self._others:
            encode()


class _Gatherer:
    """Finds the values of a device's fields among the readings."""

    def __init__(self, readings: Readings, instances: tuple[int, ...], devices: Sequence[Device]) -> None:
        self._readings, self._instances, self._devices = readings, instances, devices

    def scalars(self, fields: Iterable[WireField]) -> Source:
        index = np.concatenate([self.places(field) for field in fields], axis=1)
        flat = self._readings.flat
        return lambda: flat.take(index)

    def array(self, field: WireField) -> Source:
        readings, name = self._readings, field.signal.name
        rows, count = self._equipment(field), field.addresses.shape[1]
        absent = rows < 0

        def gather() -> FloatArray:
            values = readings.array(name)[rows, :count]
            if absent.any():
                values[absent] = np.nan
            return values.reshape(len(rows), -1)

        return gather

    def places(self, field: WireField) -> NDArray[np.intp]:
        """Return where the values of a field lie in `Readings.flat`, [device, instance]."""
        place, name = self._readings.place, field.signal.name
        return np.array([[place(name, e) for e in row] for row in self._equipment(field).tolist()], np.intp)

    def _equipment(self, field: WireField) -> NDArray[np.int64]:
        """Return whose values the instances of a field are, [device, instance]; -1 where it is nobody's."""
        owner = ROOT_OWNERS.get(field.signal.owner, field.signal.owner)
        return np.array([equipment_of(d, owner, self._instances) for d in self._devices], np.int64)[
            :, : len(field.addresses)
        ]


def equipment_of(device: Device, owner: Owner, instances: Sequence[int]) -> list[int]:
    """Return the equipment (index, -1 = none) of each instance of a device's block, or of the device itself."""
    bound = {(b.owner, b.instance): b.equipment for b in device.bindings}
    numbers_of = instances if repeats(device.type, owner) else (0,)
    return [bound.get((owner, number), -1) for number in numbers_of]


def repeats(device_type: DeviceType, owner: Owner) -> bool:
    """Tell whether an equipment's registers stand in the device's repeated block."""
    return device_type.repeat is not None and device_type.repeat.equipment == owner.value


def _pass(memory: RegisterImage, fields: list[WireField], source: Source) -> Callable[[], None]:
    if fields[0].is_bits:
        return _bit_pass(memory, fields, source)
    return _float_pass(memory, fields, source) if fields[0].kind.is_float else _array_pass(memory, fields[0], source)


def _bit_pass(memory: RegisterImage, fields: list[WireField], source: Source) -> Callable[[], None]:
    places = np.concatenate([memory.columns[f.signal.name] for f in fields])
    translate = _translation([(f, f.addresses.size) for f in fields])

    def encode() -> None:
        values = source()
        translate(values)
        memory.bits[:, places] = values > 0.5  # NaN is no

    return encode


def _float_pass(memory: RegisterImage, fields: list[WireField], source: Source) -> Callable[[], None]:
    gain, shift = _scaling(memory, fields)
    places = np.concatenate([word_places(memory, f) for f in fields]).ravel()
    dtype = fields[0].kind.dtype

    def encode() -> None:
        raw = source() * gain - shift
        memory.words[:, places] = np.ascontiguousarray(raw.astype(dtype)).view(">u2")

    return encode


def _array_pass(memory: RegisterImage, field: WireField, source: Source) -> Callable[[], None]:
    """Cells or sensors as whole numbers of one word; an array of wider ones would have every word written."""
    (gain,), (shift,) = (np.unique(part) for part in _scaling(memory, [field]))
    low, high, missing = (part[0] for part in (*_range(field), _missing(field)))
    places = word_places(memory, field)

    def encode() -> None:
        raw = _rounded(source() * gain - shift, low, high, missing)
        for k in range(field.words):
            memory.words[:, places[:, k]] = raw >> 16 * (field.words - 1 - k)

    return encode


class WholePart(NamedTuple):
    """A field of whole numbers: where its registers are, and where its values lie in `Readings.flat`."""

    memory: RegisterImage
    field: WireField
    places: NDArray[np.intp]  # [device, instance]


class _Wholes:
    """Whole numbers of any width in one row: scaled, rounded and judged together, then spread over their words."""

    def __init__(self, parts: Sequence[WholePart], flat: FloatArray) -> None:
        self._flat = flat
        self._index = np.concatenate([p.places.ravel() for p in parts])
        self._gain, self._shift = (
            _tiled(part, parts) for part in zip(*(_scaling(p.memory, [p.field]) for p in parts), strict=True)
        )
        self._low, self._high = (_tiled(part, parts) for part in zip(*(_range(p.field) for p in parts), strict=True))
        self._missing = _tiled([_missing(p.field) for p in parts], parts)
        self._translate = _translation([(p.field, p.places.size) for p in parts])
        self._spread = _spread(parts)
        self._has_shifts = bool(self._shift.any())

    def encode(self) -> None:
        """Write the values of now."""
        values = self._flat.take(self._index)
        self._translate(values)
        values *= self._gain
        if self._has_shifts:
            values -= self._shift
        raw = _rounded(values, self._low, self._high, self._missing)
        for words, places, part, shift in self._spread:
            words[places] = raw[part] >> shift if shift else raw[part]


def _rounded(values: FloatArray, low: Limit, high: Limit, missing: Whole) -> NDArray[np.int64]:
    """Return the nearest whole numbers (changes its argument); "no value" where they don't fit."""
    np.rint(values, out=values)
    fits = (values >= low) & (values <= high)
    if everywhere(fits):
        return values.astype(np.int64)
    return np.where(fits, np.where(fits, values, 0.0).astype(np.int64), missing)


def _tiled(of_elements: Sequence[NDArray[Any]], parts: Sequence[WholePart]) -> NDArray[Any]:
    """Return what is so of each element of each field for every device."""
    return np.concatenate([np.tile(each, len(part.places)) for each, part in zip(of_elements, parts, strict=True)])


Spread = tuple[NDArray[np.uint16], NDArray[np.intp], slice | NDArray[np.intp], int]
"""Words of a memory (flat), places in them, which of the numbers, and by how many bits they are shifted."""


def _spread(parts: Sequence[WholePart]) -> list[Spread]:
    """Return what goes where: for each memory the low words of all numbers at once, then the higher words."""
    found: dict[tuple[int, int], list[tuple[NDArray[np.intp], NDArray[np.intp]]]] = {}
    memories: dict[int, RegisterImage] = {}
    start = 0
    for memory, field, places in parts:
        numbers = np.arange(start, start + places.size)
        start += places.size
        memories[id(memory)] = memory
        words = word_places(memory, field)
        rows = np.arange(len(places))[:, None] * memory.words.shape[1]
        for k in range(field.words):
            shift = 16 * (field.words - 1 - k)
            found.setdefault((id(memory), shift), []).append(((rows + words[:, k]).ravel(), numbers))
    return [
        (
            memories[memory].words.reshape(-1),
            np.concatenate([p for p, _ in all_of]),
            np.concatenate([n for _, n in all_of]),
            shift,
        )
        for (memory, shift), all_of in found.items()
    ]


def _scaling(memory: RegisterImage, fields: Iterable[WireField]) -> tuple[FloatArray, FloatArray]:
    """Return gain and shift of each element: raw = value * gain - shift."""
    gains, shifts = [], []
    for field in fields:
        scaling, factors = field.scaling, scale_factors(memory, field)
        if factors is not None:
            scaling = scaling.shifted(factors)
        numerator = np.broadcast_to(scaling.numerator, field.addresses.size)
        gains.append(np.broadcast_to(scaling.denominator, field.addresses.size) / numerator)
        shifts.append(np.broadcast_to(scaling.addend, field.addresses.size) / numerator)
    return np.concatenate(gains), np.concatenate(shifts)


def _range(field: WireField) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest raw number of each element that is not "no value"."""
    bits = 16 * field.words
    signed = field.kind.dtype[1] == "i"
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << min(bits, 63)) - 1)
    for pattern in field.patterns:
        number = pattern - (1 << bits) if signed and pattern >> bits - 1 else pattern
        low, high = low + (number == low), high - (number == high)
    # A double just below 2**63 is the highest that an int64 takes.
    highest = min(float(high), 2.0**63 - 1024.0)
    return np.full(field.addresses.size, float(low)), np.full(field.addresses.size, highest)


def _missing(field: WireField) -> NDArray[np.int64]:
    """Return the field's "no value" for each element: the first that its file declares, else its type's."""
    pattern = field.patterns[0] if field.patterns else int.from_bytes(field.kind.not_implemented)
    number = pattern - (1 << 64) if pattern >> 63 else pattern
    return np.full(field.addresses.size, number, np.int64)


def _translation(fields: Sequence[tuple[WireField, int]]) -> Callable[[FloatArray], None]:
    """Return what turns canonical codes and bits into the device's own, in place; nothing where they are the same.

    `fields`: each with how many elements it has in the last axis.
    """
    coded: list[NDArray[np.intp]] = []
    lines: list[NDArray[np.intp]] = []
    tables: list[FloatArray] = []
    bits: list[tuple[slice, WireField]] = []
    start = 0
    for field, size in fields:
        part = slice(start, start + size)
        start = part.stop
        if _is_identity(field):
            continue
        if field.signal.form is SignalForm.BITS:
            bits.append((part, field))
        else:
            coded.append(np.arange(part.start, part.stop))
            lines.append(np.full(size, len(tables)))
            tables.append(_raw_codes(field))
    columns = np.concatenate(coded) if coded else None
    line, table = (np.concatenate(lines), np.array(tables)) if tables else (np.zeros(0, np.intp), np.zeros((0, 0)))

    def translate(values: FloatArray) -> None:
        if columns is not None:
            known = np.fmin(np.fmax(values[..., columns], -1.0), CODES_MAX - 1.0)
            values[..., columns] = table[line, known.astype(np.intp)]
        for part, field in bits:
            there = np.isfinite(values[..., part])
            raw = raw_whole(field, np.where(there, values[..., part], 0.0), there)
            values[..., part] = np.where(raw.valid, raw.values, np.nan)

    return translate


CODES_MAX = 64


def _raw_codes(field: WireField) -> FloatArray:
    """Return the raw number of each canonical code, NaN where there is none; the last place stands for "unknown"."""
    raw = raw_whole(field, np.arange(CODES_MAX - 1), None)
    return np.append(np.where(raw.valid, raw.values, np.nan), np.nan)


def _is_identity(field: WireField) -> bool:
    codes, signal = field.point.codes, field.signal
    if signal.form is SignalForm.QUANTITY or not codes:
        return True
    known = {0, 1} if signal.form is SignalForm.BOOL else {int(c) for c in signal.codes or ()}
    return all(raw == meaning for raw, meaning in codes) and known <= {meaning for _, meaning in codes}
