"""All scalars of all polling classes in one pass: rows of raw bytes -> values of every signal on every device.

Rule: the decoding of `controller.modbus.field_codec`, which is the reference, laid out so that a plant's scalars cost a
few array operations, however many types of devices serve them. Elements stand by register type, so that each type is
one view of one gather. Codes, bits and yes/no are translated anew only when their registers have changed, and scale
factors looked at only when theirs have.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.modbus.field_codec import canonical
from controller.modbus.raw_blocks import RawGroup
from controller.modbus.read_plan import Row
from controller.modbus.register_map import WireField
from controller.modbus.registers import WIRE, Decoded, RegisterType, is_valid, whole, with_scale_factors
from controller.modbus.scaling import IDENTITY, joined
from controller.plant.signals import SignalForm

BoolArray = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Places = NDArray[np.intp]

_FINITE = np.finfo(np.float64).max


class Part(NamedTuple):
    """Some elements of one scalar field: rows of a group, and which instance of the field on each row; both [n]."""

    group: RawGroup
    field: WireField
    rows: Places
    instances: Places


class ScalarDecoder:
    """Decodes the scalars of some groups. Made once; `quantities` and `wholes` hold what was decoded last."""

    def __init__(self, parts: Iterable[Part]) -> None:
        """Lay out the elements."""
        found = list(parts)
        groups = {id(part.group): part.group for part in found}.values()
        self._rows = [group.data.reshape(-1) for group in groups]
        ends = np.cumsum([len(rows) for rows in self._rows]).tolist()
        firsts = {id(group): end - group.data.size for group, end in zip(groups, ends, strict=True)}
        measured = [p for p in found if p.field.signal.form is SignalForm.QUANTITY]
        others = [p for p in found if p.field.signal.form is not SignalForm.QUANTITY]
        self.quantities, self.wholes = Quantities(measured, firsts), Wholes(others, firsts)

    def decode(self) -> None:
        """Decode every row as it is now."""
        data = np.concatenate(self._rows) if self._rows else np.zeros(0, np.uint8)
        with np.errstate(invalid="ignore", over="ignore"):  # signalling NaNs, and floats near the end of their range
            self.quantities.decode(data)
        self.wholes.decode(data)


class Elements:
    """Elements side by side, by register type. `places[k]` are those of `parts[k]`; `valid`: no sentinel, a number."""

    def __init__(self, parts: Iterable[Part], firsts: dict[int, int], dtype: type[np.generic]) -> None:
        """`firsts`: where each group begins in the data."""
        self.parts = tuple(sorted(parts, key=_order))
        self._ends = np.cumsum([0, *(len(part.rows) for part in self.parts)]).tolist()
        self.places = [slice(start, end) for start, end in zip(self._ends, self._ends[1:], strict=False)]
        self.numbers: NDArray[Any] = np.zeros(self._ends[-1], dtype)
        self.valid: BoolArray = np.zeros(self._ends[-1], np.bool_)
        self._bits, self._fits = np.zeros(self._ends[-1], np.uint64), np.ones(self._ends[-1], np.bool_)
        self._patterns, self._stated = self._sentinels()
        self._bytes, self._segments = self._layout(firsts)

    def _sentinels(self) -> tuple[NDArray[np.uint64], BoolArray]:
        """Return the patterns that mean "no value" of each element [pattern, element], and where there is one."""
        most = max((len(part.field.patterns) for part in self.parts), default=0)
        patterns = np.zeros((most, self._ends[-1]), np.uint64)
        stated = np.zeros(patterns.shape, np.bool_)
        for part, place in zip(self.parts, self.places, strict=True):
            for k, pattern in enumerate(part.field.patterns):
                patterns[k, place], stated[k, place] = pattern, True
        return patterns, stated

    def _layout(self, firsts: dict[int, int]) -> tuple[Places, list[_Segment]]:
        """Return which bytes hold the elements, and the runs of one register type among them."""
        gathered: list[Places] = []
        segments: list[_Segment] = []
        start = 0
        for _, run in groupby(zip(self.parts, self.places, strict=True), key=lambda found: _order(found[0])):
            members = list(run)
            found = [_bytes_of(part, firsts[id(part.group)]) for part, _ in members]
            gathered += [places for places, _ in found]
            end = start + sum(len(places) for places, _ in found)
            elements = slice(members[0][1].start, members[-1][1].stop)
            kind = None if members[0][0].field.is_bits else members[0][0].field.kind
            shifts = np.concatenate([shift for _, shift in found])
            segments.append(_Segment(kind, slice(start, end), elements, shifts))
            start = end
        return np.concatenate([*gathered, np.zeros(0, np.intp)]), segments

    def gather(self, data: Bytes) -> None:
        """Take the raw numbers out of the data."""
        taken = data.take(self._bytes)
        for segment in self._segments:
            self._take(segment, taken[segment.of_bytes])
        hits = self._bits == self._patterns
        hits &= self._stated
        np.logical_or.reduce(hits, axis=0, out=self.valid)
        np.less(self.valid, self._fits, out=self.valid)  # no hit, and fits

    def _take(self, segment: _Segment, taken: Bytes) -> None:
        kind, elements = segment.kind, segment.elements
        if kind is None:
            self.numbers[elements] = taken >> segment.shifts & 1
            return
        raw = taken.view(kind.dtype)
        self._bits[elements] = raw.view(kind.bits_dtype)
        if self.numbers.dtype.kind == "f" or not (kind.is_float or raw.dtype.itemsize == _LONG_BYTES):
            self.numbers[elements] = raw
        else:
            self.numbers[elements], self._fits[elements] = whole(raw, is_valid(raw, kind, ()))


_LONG_BYTES = 8


class _Segment(NamedTuple):
    """Elements of one register type (None: bits of bytes) and their part of the gathered bytes."""

    kind: RegisterType | None
    of_bytes: slice
    elements: slice
    shifts: Bytes  # of bits: where in its byte


class Quantities(Elements):
    """Quantities in base units: `values`, NaN where not valid. `outside`: a number outside the range of its map."""

    def __init__(self, parts: Iterable[Part], firsts: dict[int, int]) -> None:
        """Work out scalings and possible ranges."""
        super().__init__(parts, firsts, np.float64)
        sizes = [len(part.rows) for part in self.parts]
        points = [part.field.point for part in self.parts]
        self.values = self.numbers
        scalings = [(part.field.scaling, n) for part, n in zip(self.parts, sizes, strict=True)]
        self._scaling = self._filed = joined(scalings) if scalings else IDENTITY
        self.outside: BoolArray = np.zeros(len(self.valid), np.bool_)
        self._low = np.repeat([-_FINITE if p.valid_min is None else p.valid_min for p in points], sizes)
        self._high = np.repeat([_FINITE if p.valid_max is None else p.valid_max for p in points], sizes)
        self._factor_bytes, self._has_factor = self._factors(firsts)
        self._factor_words, self._usable = b"", np.ones(len(self.valid), np.bool_)

    def _factors(self, firsts: dict[int, int]) -> tuple[Places, BoolArray]:
        """Return which bytes hold scale factors, and which elements have one."""
        has_factor = np.zeros(len(self.valid), np.bool_)
        found = [np.zeros(0, np.intp)]
        for part, place in zip(self.parts, self.places, strict=True):
            words = Row(part.group.spans).factors(part.field)
            if words is not None:
                has_factor[place] = True
                found.append(_spread(_row_starts(part, firsts[id(part.group)]) + 2 * words[part.instances], 2))
        return np.concatenate(found), has_factor

    def decode(self, data: Bytes) -> None:
        """Decode the data into `values` and `valid`."""
        self.gather(data)
        if len(self._factor_bytes):
            self._rescale(data.take(self._factor_bytes))
            self.valid &= self._usable
        self.values = values = self._scaling.value(self.numbers)
        self.outside = ((values < self._low) | (values > self._high)) & self.valid
        self.valid &= values >= self._low  # which a NaN is not either
        self.valid &= values <= self._high
        np.copyto(values, np.nan, where=~self.valid)

    def _rescale(self, factors: Bytes) -> None:
        """Take new scale factors into account."""
        if factors.tobytes() == self._factor_words:
            return
        self._factor_words = factors.tobytes()
        words = np.zeros(len(self.valid), WIRE)
        words[self._has_factor] = factors.view(WIRE)
        self._scaling, self._usable = with_scale_factors(self._filed, words)


class Wholes(Elements):
    """Codes, bits, yes/no, then counts: `values`, 0 where not valid."""

    def __init__(self, parts: Iterable[Part], firsts: dict[int, int]) -> None:
        """Nothing translated yet."""
        super().__init__(parts, firsts, np.int64)
        self.values = self.numbers
        self._coded_parts = [
            (part.field, place)
            for part, place in zip(self.parts, self.places, strict=True)
            if part.field.signal.form is not SignalForm.COUNT
        ]
        self._coded = slice(0, self._coded_parts[-1][1].stop if self._coded_parts else 0)
        self._meanings = Decoded(self.numbers[self._coded].copy(), self.valid[self._coded].copy())
        self._seen: tuple[bytes, bytes] = b"", b""

    def decode(self, data: Bytes) -> None:
        """Decode the data into `values` and `valid`."""
        self.gather(data)
        self.values = np.where(self.valid, self.numbers, 0)
        seen = self.values[self._coded].tobytes(), self.valid[self._coded].tobytes()
        if seen != self._seen:
            self._seen = seen
            self._translate()
        self.values[self._coded], self.valid[self._coded] = self._meanings

    def _translate(self) -> None:
        for field, place in self._coded_parts:
            found = canonical(field, Decoded(self.values[place], self.valid[place]))
            self._meanings.values[place], self._meanings.valid[place] = found


def _order(part: Part) -> tuple[bool, bool, str]:
    """Counts last, bits of bytes before registers, registers by type."""
    field = part.field
    return field.signal.form is SignalForm.COUNT, not field.is_bits, field.kind.dtype


def _row_starts(part: Part, first: int) -> Places:
    starts: Places = first + part.rows * part.group.data.shape[1]
    return starts


def _bytes_of(part: Part, first: int) -> tuple[Places, Bytes]:
    """Return where the bytes of each element lie, element after element, and by how much a bit is shifted in its."""
    row, field = Row(part.group.spans), part.field
    if field.is_bits:
        bits = row.bits(field)[part.instances]
        return _row_starts(part, first) + bits // 8, (bits % 8).astype(np.uint8)
    words = row.words(field).reshape(-1, field.words)[part.instances]
    return _spread(_row_starts(part, first)[:, None] + 2 * words, 2), np.zeros(0, np.uint8)


def _spread(starts: Places, size: int) -> Places:
    """Return the places of `size` bytes from each start on."""
    return (starts[..., None] + np.arange(size)).ravel()
