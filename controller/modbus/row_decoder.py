"""Rows of raw bytes -> values of all signals of a polling class, for all devices of a type at once.

Rule: fields of one register type, with the same sentinels, are decoded together: one gather, one conversion, one
comparison for all their elements on all devices; each signal then is a view of the batch's columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from controller.modbus.field_codec import QuantityBatch, canonical, decode_wholes
from controller.modbus.raw_blocks import ReadSpan
from controller.modbus.read_plan import Row
from controller.modbus.register_map import RegisterMap, WireField
from controller.modbus.registers import WIRE, Decoded, Words
from controller.plant.signals import SignalForm

Columns = slice | NDArray[np.intp]


class RowDecoder:
    """Decodes what the reads of one polling class brought. Made once; holds no values."""

    def __init__(
        self,
        register_map: RegisterMap,
        block: str,
        spans: Sequence[ReadSpan],
        signals: Collection[str] | None = None,
    ) -> None:
        """Find the fields of the block, or those of some `signals`, in the rows that these spans make."""
        row = Row(spans)
        fields = [f for f in register_map.block(block) if signals is None or f.signal.name in signals]
        self._word_bytes = 2 * row.word_count
        self._words = WordFields([f for f in fields if not f.is_bits], row)
        self._bits = [(f, row.bits(f) - 16 * row.word_count) for f in fields if f.is_bits]

    def decode(self, data: NDArray[np.uint8]) -> dict[str, Decoded]:
        """Return values and validity per signal: `[devices, instances]`, for cells and sensors `[..., elements]`.

        `data` is `[devices, bytes]`, as `RawGroup.data`, or some of its rows.
        """
        found = self._words.decode(data[:, : self._word_bytes].view(WIRE))
        if self._bits:
            unpacked = np.unpackbits(data[:, self._word_bytes :], axis=1, bitorder="little")
            for field, bits in self._bits:
                raw = unpacked[:, bits].astype(np.int64)
                found[field.signal.name] = shaped(field, canonical(field, Decoded(raw, np.ones(raw.shape, np.bool_))))
        return found


class WordFields:
    """Fields in registers, gathered into batches."""

    def __init__(self, fields: Iterable[WireField], row: Row) -> None:
        gathered: dict[object, list[WireField]] = {}
        for field in fields:
            gathered.setdefault(_alike(field), []).append(field)
        self._batches = [_Batch(batch, row) for batch in gathered.values()]

    def decode(self, words: Words) -> dict[str, Decoded]:
        """Return values and validity per signal of `[devices, words]`."""
        found: dict[str, Decoded] = {}
        for batch in self._batches:
            batch.decode(words, found)
        return found


def _alike(field: WireField) -> object:
    quantity = field.signal.form is SignalForm.QUANTITY
    return field.kind.dtype, field.patterns, quantity, field.is_array, field.factor_addresses is not None


class _Batch:
    """Alike fields, their columns side by side."""

    def __init__(self, fields: list[WireField], row: Row) -> None:
        quantities = fields[0].signal.form is SignalForm.QUANTITY
        self._first = fields[0]
        self._quantities = QuantityBatch(fields) if quantities else None
        self._columns = _columns(np.concatenate([row.words(f) for f in fields]))
        factors = [columns for f in fields if (columns := row.factors(f)) is not None]
        self._factors = np.concatenate(factors) if factors else None
        ends = np.cumsum([f.addresses.size for f in fields]).tolist()
        parts = [slice(end - f.addresses.size, end) for f, end in zip(fields, ends, strict=True)]
        self._parts = [(f.signal.name, f, part) for f, part in zip(fields, parts, strict=True)]

    def decode(self, words: Words, found: dict[str, Decoded]) -> None:
        """Add the batch's signals to what was found."""
        taken = _taken(words, self._columns)
        if self._quantities is None:
            values, valid = decode_wholes(self._first, taken)
            for name, field, part in self._parts:
                found[name] = shaped(field, canonical(field, Decoded(values[:, part], valid[:, part])))
            return
        factors = None if self._factors is None else _taken(words, self._factors)
        values, valid = self._quantities.decode(taken, factors)
        for name, field, part in self._parts:
            found[name] = shaped(field, Decoded(values[:, part], valid[:, part]))


def _columns(columns: NDArray[np.intp]) -> Columns:
    """Return columns that stand side by side as a slice, which needs no copy."""
    start = int(columns[0]) if columns.size else 0
    side_by_side = np.array_equal(columns, np.arange(start, start + columns.size))
    return slice(start, start + columns.size) if side_by_side else columns


def _taken(words: Words, columns: Columns) -> Words:
    return words[:, columns] if isinstance(columns, slice) else np.take(words, columns, axis=1)


def shaped(field: WireField, found: Decoded) -> Decoded:
    """Return `[devices, elements]` in the field's shape."""
    if not field.is_array:
        return found
    shape = field.shape(len(found.values))
    return Decoded(found.values.reshape(shape), found.valid.reshape(shape))
