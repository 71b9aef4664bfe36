"""Register types: registers <-> numbers <-> values in base units, for any number of devices at once.

Rule: raw registers are an array `[..., registers]` of 16-bit words as on the wire; a value of `words` registers is read
from consecutive words, high word first or low word first. Decoding gives values *and* a mask of which are valid: a NaN,
an infinity, a declared sentinel or SunSpec's "not implemented" is never a number (it becomes NaN, or 0 where integers
are asked for, and is marked invalid). Encoding rounds half to even and never clips: a value that does not fit its
register is an error for a command (`encode_command`), and "no value" for a face or the simulator (`encode`).

Source of the "not implemented" values: SunSpec Device Information Model Specification V1.1, section 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.modbus.errors import EncodeError
from controller.modbus.scaling import IDENTITY, SCALE_FACTOR_MAX, Scaling
from controller.plant.device_types import WordOrder

Words = NDArray[np.uint16]
"""Registers as on the wire: dtype `>u2`."""
WIRE = np.dtype(">u2")


@dataclass(frozen=True, slots=True)
class RegisterType:
    """How a value lies in registers. `dtype` is empty for types that hold no number (strings, addresses)."""

    name: str
    words: int
    dtype: str
    not_implemented: bytes  # what SunSpec sends for "no value"

    @property
    def is_float(self) -> bool:
        """Whether it is an IEEE 754 number."""
        return self.dtype.startswith(">f")

    @property
    def bits_dtype(self) -> str:
        """The unsigned type of the same size, for comparing bit patterns."""
        return f">u{2 * self.words}"


def _number(name: str, dtype: str, not_implemented: int) -> RegisterType:
    size = int(dtype[2:])
    return RegisterType(name, size // 2, dtype, not_implemented.to_bytes(size))


_NUMBERS = (
    _number("u16", ">u2", 0xFFFF),
    _number("i16", ">i2", 0x8000),
    _number("u32", ">u4", 0xFFFF_FFFF),
    _number("i32", ">i4", 0x8000_0000),
    _number("u64", ">u8", 0xFFFF_FFFF_FFFF_FFFF),
    _number("i64", ">i8", 0x8000_0000_0000_0000),
    _number("f32", ">f4", 0x7FC0_0000),
    _number("f64", ">f8", 0x7FF8_0000_0000_0000),
    _number("bool", ">u2", 0xFFFF),
    _number("enum16", ">u2", 0xFFFF),
    _number("enum32", ">u4", 0xFFFF_FFFF),
    _number("bits16", ">u2", 0xFFFF),
    _number("bits32", ">u4", 0xFFFF_FFFF),
    _number("acc16", ">u2", 0),
    _number("acc32", ">u4", 0),
    _number("acc64", ">u8", 0),
    _number("count", ">u2", 0xFFFF),
    _number("sunssf", ">i2", 0x8000),
    _number("pad", ">u2", 0x8000),
)
_OPAQUE = (
    RegisterType("ipaddr", 2, "", bytes(4)),
    RegisterType("ipv6addr", 8, "", bytes(16)),
    RegisterType("eui48", 4, "", b"\0\0" + 6 * b"\xff"),
)
TYPES = {t.name: t for t in (*_NUMBERS, *_OPAQUE)}
"""Every register type but strings, by name."""

_STRING = re.compile(r"string([1-9]\d{0,2})")


@lru_cache(maxsize=256)
def register_type(name: str) -> RegisterType:
    """Return the type of that name (`u16`, `f32`, `string8` = 8 registers of text); KeyError if there is none."""
    string = _STRING.fullmatch(name)
    if string:
        words = int(string[1])
        return RegisterType(name, words, "", bytes(2 * words))
    return TYPES[name]


SCALE_FACTOR = TYPES["sunssf"]
SCALE_FACTOR_MISSING = (0x8000,)


class Decoded(NamedTuple):
    """Values and which of them are valid; equal shapes."""

    values: NDArray[Any]
    valid: NDArray[np.bool_]


# --------------------------------------------------------------------------------------------------- words <-> numbers


def numbers(words: Words, kind: RegisterType, order: WordOrder = WordOrder.HIGH_FIRST) -> NDArray[Any]:
    """Return `[..., n * kind.words]` registers as `[..., n]` numbers in wire byte order."""
    ordered = _ordered(words, kind, order)
    side_by_side = ordered if ordered.strides[-1] == WIRE.itemsize else np.ascontiguousarray(ordered)
    return side_by_side.view(kind.dtype)


def registers(raw: NDArray[Any], kind: RegisterType, order: WordOrder = WordOrder.HIGH_FIRST) -> Words:
    """Return `[..., n]` raw numbers as `[..., n * kind.words]` registers; the numbers must fit."""
    return _ordered(np.ascontiguousarray(raw.astype(kind.dtype)).view(WIRE), kind, order)


def _ordered(words: Words, kind: RegisterType, order: WordOrder) -> Words:
    if order is WordOrder.HIGH_FIRST or kind.words == 1:
        return words
    return words.reshape(*words.shape[:-1], -1, kind.words)[..., ::-1].reshape(words.shape)


def text(data: bytes) -> str:
    """Return the text of a string's registers: up to the first NUL, without blanks around it."""
    return data.split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def text_registers(content: str, words: int) -> bytes:
    """Return the registers of a text, filled with NUL; EncodeError if it is too long."""
    data = content.encode()
    if len(data) > 2 * words:
        raise EncodeError(f"'{content}' takes {len(data)} bytes where {2 * words} are")
    return data.ljust(2 * words, b"\0")


# -------------------------------------------------------------------------------------------------------------- decode


def sentinels(kind: RegisterType, missing: Iterable[int] = (), *, sunspec: bool = False) -> tuple[int, ...]:
    """Return the bit patterns that mean "no value".

    `missing` as a device file states them: whole numbers, negative ones as such or as their bit pattern; for a float
    they are taken both as a number and as a bit pattern. SunSpec points add their type's "not implemented".

    Raises EncodeError for a number that the type can't hold.
    """
    bits = 16 * kind.words
    patterns = {int.from_bytes(kind.not_implemented)} if sunspec else set()
    for number in missing:
        if kind.is_float:
            patterns.add(int.from_bytes(np.array(number, kind.dtype).tobytes()))
        elif not -(1 << bits - 1) <= number < 1 << bits:
            raise EncodeError(f"{number} can't stand in a register of type {kind.name}")
        patterns.add(number & ((1 << bits) - 1))
    return tuple(sorted(patterns))


def is_valid(raw: NDArray[Any], kind: RegisterType, patterns: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where raw numbers are numbers: finite, and none of the bit patterns."""
    bits = raw.view(kind.bits_dtype)
    checks = [bits != pattern for pattern in patterns]
    if kind.is_float:
        checks.append(np.isfinite(raw))
    return reduce(np.logical_and, checks) if checks else np.ones(raw.shape, np.bool_)


def decode(
    words: Words,
    kind: RegisterType,
    scaling: Scaling = IDENTITY,
    patterns: tuple[int, ...] = (),
    order: WordOrder = WordOrder.HIGH_FIRST,
) -> Decoded:
    """Return `[..., n * kind.words]` registers as `[..., n]` float64 values in base units; invalid ones are NaN."""
    raw = numbers(words, kind, order)
    return scaled(raw, scaling, is_valid(raw, kind, patterns))


def decode_whole(
    words: Words, kind: RegisterType, patterns: tuple[int, ...] = (), order: WordOrder = WordOrder.HIGH_FIRST
) -> Decoded:
    """Return registers as int64 numbers (codes, bits, counters); invalid ones are 0, as is what int64 can't hold."""
    raw = numbers(words, kind, order)
    return whole(raw, is_valid(raw, kind, patterns))


def whole(raw: NDArray[Any], valid: NDArray[np.bool_]) -> Decoded:
    """Return raw numbers as int64; what is invalid, broken or too large for int64 is 0 and invalid."""
    if raw.dtype.kind == "f":
        raw = np.where(valid, raw, 0)
        valid = valid & (np.abs(raw) < 2.0**63) & (raw == np.floor(raw))
    elif raw.dtype.itemsize == 8 and raw.dtype.kind == "u":
        valid = valid & (raw < 2**63)
    return Decoded(np.where(valid, raw, 0).astype(np.int64), valid)


def scaled(
    raw: NDArray[Any], scaling: Scaling, valid: NDArray[np.bool_], dtype: type[np.floating] = np.float64
) -> Decoded:
    """Return raw numbers in base units; what is invalid, or too large for `dtype`, is NaN and invalid."""
    with np.errstate(invalid="ignore", over="ignore"):  # signalling NaNs, and floats near the end of their range
        values = scaling.value(raw, dtype)
    if raw.dtype.kind == "f":
        valid = valid & np.isfinite(values)
    return without_number(values, valid)


def without_number(values: NDArray[np.floating], valid: NDArray[np.bool_]) -> Decoded:
    """Return values, NaN written into those that are not valid; mostly there are none, and to look is cheaper."""
    if not valid.all():
        np.copyto(values, np.nan, where=~valid)
    return Decoded(values, valid)


def with_scale_factors(scaling: Scaling, words: Words) -> tuple[Scaling, NDArray[np.bool_]]:
    """Return a scaling with SunSpec scale factors in it (one register an element), and where those are usable.

    Usable is what is implemented and lies in -10 to 10.
    """
    factors, implemented = decode_whole(words, SCALE_FACTOR, SCALE_FACTOR_MISSING)
    usable = implemented & (np.abs(factors) <= SCALE_FACTOR_MAX)
    return scaling.shifted(np.where(usable, factors, 0)), usable


# -------------------------------------------------------------------------------------------------------------- encode


def encode(
    values: NDArray[Any],
    kind: RegisterType,
    scaling: Scaling = IDENTITY,
    patterns: tuple[int, ...] = (),
    order: WordOrder = WordOrder.HIGH_FIRST,
    valid: NDArray[np.bool_] | None = None,
) -> Words:
    """Return `[..., n]` values as registers; whatever is invalid, NaN or does not fit reads as "no value".

    "No value" is one of the declared sentinels, else SunSpec's for the type; for a float always NaN.
    """
    raw, fits = quantise(values, kind, scaling, patterns)
    raw[~fits if valid is None else ~(fits & valid)] = _no_value(kind, patterns)
    return registers(raw, kind, order)


def encode_command(
    value: float,
    kind: RegisterType,
    scaling: Scaling = IDENTITY,
    patterns: tuple[int, ...] = (),
    order: WordOrder = WordOrder.HIGH_FIRST,
) -> bytes:
    """Return one value as registers in wire bytes; EncodeError if it does not fit or would read as "no value"."""
    raw, fits = quantise(np.array([value]), kind, scaling, patterns)
    if not fits[0]:
        raise EncodeError(f"{value:g} does not fit a register of type {kind.name}, or reads as 'no value' there")
    return registers(raw, kind, order).tobytes()


def quantise(
    values: NDArray[Any], kind: RegisterType, scaling: Scaling, patterns: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return raw numbers in wire byte order (0 where they don't fit), and where they fit."""
    if values.dtype.kind in "iub" and scaling is IDENTITY and not kind.is_float:
        raw, fits = values, _fits_whole(values, kind)
    else:
        raw = scaling.raw(values)
        raw = raw if kind.is_float else np.rint(raw)
        fits = _fits(raw, kind)
    wire = np.where(fits, raw, 0).astype(kind.dtype)
    return wire, fits & is_valid(wire, kind, patterns)


def _fits(raw: NDArray[np.float64], kind: RegisterType) -> NDArray[np.bool_]:
    if kind.is_float:
        return np.abs(raw) <= np.finfo(kind.dtype).max  # False for NaN
    bits = 16 * kind.words
    low, end = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1)) if kind.dtype[1] == "i" else (0.0, 2.0**bits)
    return (raw >= low) & (raw < end)  # both are doubles exactly, unlike the highest 64-bit number


def _fits_whole(values: NDArray[Any], kind: RegisterType) -> NDArray[np.bool_]:
    limits = np.iinfo(kind.dtype)
    return (values >= limits.min) & (values <= limits.max)


def _no_value(kind: RegisterType, patterns: tuple[int, ...]) -> Any:  # noqa: ANN401 - a scalar of the type's dtype
    data = kind.not_implemented if kind.is_float or not patterns else patterns[0].to_bytes(2 * kind.words)
    return np.frombuffer(data, kind.dtype)[0]
