"""A field's registers <-> values of its signal: base units and our signs, canonical codes, bits, yes/no, counters.

Rule: quantities become float64 (float32 for cells and sensors), everything else int64. A raw code that the device file
does not list is no code, a yes/no is 0 or 1, a quantity outside of its possible range is none: all are invalid, and
invalid is NaN, or 0 where there are integers. The way back is the same rules read backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.modbus.errors import EncodeError
from controller.modbus.pdu import Request, write_coil, write_words
from controller.modbus.register_map import WireField
from controller.modbus.registers import (
    Decoded,
    Words,
    encode,
    encode_command,
    is_valid,
    numbers,
    scaled,
    whole,
    with_scale_factors,
    without_number,
)
from controller.modbus.scaling import SCALE_FACTOR_MAX, Scaling, joined
from controller.plant.device_types import RegisterTable
from controller.plant.signals import SignalForm

Codes = tuple[tuple[int, int], ...]


class QuantityBatch:
    """Quantities of one register type and one set of sentinels, decoded together: `[devices, elements]`."""

    def __init__(self, fields: Sequence[WireField]) -> None:
        first = fields[0]
        self._kind, self._patterns = first.kind, first.patterns
        self._dtype: type[np.floating] = np.float32 if first.is_array else np.float64
        self._scaling = joined([(f.scaling, f.addresses.size) for f in fields])
        self._limits = _limits(fields, self._dtype)

    def decode(self, words: Words, factors: Words | None) -> Decoded:
        """Return values in base units; `words` are `[devices, elements * words]`, `factors` `[devices, elements]`."""
        raw = numbers(words, self._kind)
        valid = is_valid(raw, self._kind, self._patterns)
        scaling = self._scaling
        if factors is not None:
            scaling, usable = with_scale_factors(scaling, factors)
            valid &= usable
        found = scaled(raw, scaling, valid, self._dtype)
        return found if self._limits is None else _limited(found, *self._limits)


def decode_wholes(field: WireField, words: Words) -> Decoded:
    """Return raw numbers as int64, of this field and others of its type; each then makes canonical values of them."""
    raw = numbers(words, field.kind)
    return whole(raw, is_valid(raw, field.kind, field.patterns))


Column = NDArray[np.floating]


def _limits(fields: Sequence[WireField], dtype: type[np.floating]) -> tuple[Column, Column] | None:
    """Return the possible range of every element; None if no field states one."""
    points, sizes = [f.point for f in fields], [f.addresses.size for f in fields]
    if all(p.valid_min is None and p.valid_max is None for p in points):
        return None
    low = np.array([-np.inf if p.valid_min is None else p.valid_min for p in points], dtype)
    high = np.array([np.inf if p.valid_max is None else p.valid_max for p in points], dtype)
    return _repeated(low, sizes), _repeated(high, sizes)


def _repeated(limits: Column, sizes: Sequence[int]) -> Column:
    """Return a limit of every element; one for all where the fields agree, which compares faster."""
    return limits[:1] if (limits == limits[0]).all() else np.repeat(limits, sizes)


def _limited(found: Decoded, low: Column, high: Column) -> Decoded:
    valid = found.values >= low  # False for what is NaN already
    valid &= found.values <= high
    return without_number(found.values, valid)


# ----------------------------------------------------------------------------------------------------- canonical values


def canonical(field: WireField, found: Decoded) -> Decoded:
    """Return a field's raw whole numbers as canonical codes, bits, yes/no or counts."""
    codes, form = field.point.codes, field.signal.form
    if form is SignalForm.BOOL and not field.is_bits:
        codes = codes or _YES_NO
    return _translated(found, form, codes)


def raw_whole(field: WireField, values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> Decoded:
    """Return canonical values as the device's raw numbers; what it has no raw number for is invalid."""
    found = Decoded(values.astype(np.int64), np.ones(values.shape, np.bool_) if valid is None else valid)
    return _translated(found, field.signal.form, _inverse(field.point.codes))


def _translated(found: Decoded, form: SignalForm, codes: Codes) -> Decoded:
    if not codes:
        return found
    if form is SignalForm.BITS:
        return Decoded(_moved_bits(found.values, codes), found.valid)
    return _looked_up(found, codes)


_YES_NO: Codes = ((0, 0), (1, 1))


@cache
def _inverse(codes: Codes) -> Codes:
    """Return canonical -> raw; of several raw values of one meaning the first listed counts."""
    inverse: dict[int, int] = {}
    for raw, meaning in codes:
        inverse.setdefault(meaning, raw)
    return tuple(inverse.items())


def _looked_up(found: Decoded, codes: Codes) -> Decoded:
    keys, meanings = _table(codes)
    place = np.minimum(np.searchsorted(keys, found.values), keys.size - 1)
    valid = found.valid & (keys[place] == found.values)
    return Decoded(np.where(valid, meanings[place], 0), valid)


@cache
def _table(codes: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    keys, meanings = np.array(sorted(codes), np.int64).T
    return keys.copy(), meanings.copy()


def _moved_bits(values: NDArray[np.int64], codes: Codes) -> NDArray[np.int64]:
    moved = np.zeros_like(values)
    for mask, up in _moves(codes):
        moved |= (values & mask) << up if up >= 0 else (values & mask) >> -up
    return moved


@cache
def _moves(codes: Codes) -> tuple[tuple[int, int], ...]:
    """Return the bits that move by the same number of places: `(mask, places up)`."""
    masks: dict[int, int] = {}
    for bit, to_bit in codes:
        masks[to_bit - bit] = masks.get(to_bit - bit, 0) | 1 << bit
    return tuple((mask, up) for up, mask in masks.items())


# -------------------------------------------------------------------------------------------------------------- encode


def encode_field(
    field: WireField, values: NDArray[Any], valid: NDArray[np.bool_] | None = None, factors: Words | None = None
) -> Words:
    """Return values `[devices, elements]` as registers, high word first; what does not fit reads as "no value"."""
    if field.signal.form is not SignalForm.QUANTITY:
        raw = raw_whole(field, values, valid)
        return encode(raw.values, field.kind, patterns=field.patterns, valid=raw.valid)
    scaling = field.scaling
    if factors is not None:
        scaling, usable = with_scale_factors(scaling, factors)
        if not usable.all():
            raise EncodeError(f"{field.signal.name} has no scale factor yet")
    return encode(values, field.kind, scaling, field.patterns, valid=valid)


def encode_write(field: WireField, value: float, position: int = 0, scale_factor: int | None = None) -> Request:
    """Return the request that writes a command signal.

    Args:
        field: the signal's field.
        value: base units, canonical code, or count; counts wrap around before they read as "no value".
        position: which instance, as a position in the map's `instances`.
        scale_factor: what the field's SunSpec scale factor register reads, where it has one.

    Raises:
        EncodeError: the value is out of range, does not fit its register, or is no command of this device.
    """
    name, address = field.signal.name, int(field.addresses[position, 0])
    if field.table not in _WRITABLE or field.point.writable is None:
        raise EncodeError(f"{name} can't be written")
    raw = _command(field, value)
    if field.is_bits:
        return write_coil(address, on=_on(name, raw))
    try:
        data = encode_command(raw, field.kind, _command_scaling(field, scale_factor), field.patterns, field.order)
    except EncodeError as error:
        raise EncodeError(f"{name}: {error}") from error
    return write_words(address, data)


_WRITABLE = frozenset({RegisterTable.COIL, RegisterTable.HOLDING})


def _command(field: WireField, value: float) -> float:
    point, form = field.point, field.signal.form
    if not np.isfinite(value):
        raise EncodeError(f"{field.signal.name} = {value} is no number")
    if form is SignalForm.COUNT:
        return _counted(field, int(value))
    commands = dict(point.commands)
    if commands and value not in commands:
        raise EncodeError(f"{field.signal.name} has no command {value:g}")
    low = -np.inf if point.valid_min is None else point.valid_min
    high = np.inf if point.valid_max is None else point.valid_max
    if not low <= value <= high:
        raise EncodeError(f"{field.signal.name} = {value:g} is outside of {low:g} to {high:g}")
    return commands.get(int(value), value)


def _on(name: str, value: float) -> bool:
    if value not in (0, 1):
        raise EncodeError(f"{name}: {value:g} in a coil")
    return value == 1


def _counted(field: WireField, count: int) -> int:
    """Return a count as its register holds it: begins at 0 again where its type ends, and passes over "no value"."""
    bits = 16 * field.words - (field.kind.dtype[1] == "i")
    modulus = 1 << (_EXACT_BITS if field.kind.is_float else bits)
    while modulus - 1 in field.patterns:
        modulus -= 1
    return next(n for n in range(count % modulus, modulus) if n not in field.patterns)


_EXACT_BITS = 24
"""Whole numbers that a single-precision float holds one by one."""


def _command_scaling(field: WireField, scale_factor: int | None) -> Scaling:
    if field.factor_addresses is None:
        return field.scaling
    if scale_factor is None or abs(scale_factor) > SCALE_FACTOR_MAX:
        raise EncodeError(f"the scale factor is {scale_factor}")
    return field.scaling.shifted(np.array(scale_factor))
