"""Which reads a polling class takes, and where in a row of raw bytes each register then lies.

Rule: values are merged into spans as long as a read may be and as far as the gap between them is allowed; a value of
several registers is never cut in two, a forbidden range is never bridged. Going through the addresses in order and
taking as much as fits gives the fewest reads. Registers come first in the row and bits behind them, so that registers
stay on even bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from controller.modbus.errors import DeviceMapError
from controller.modbus.pdu import READ_BITS_MAX, READ_REGISTERS_MAX
from controller.modbus.raw_blocks import ReadSpan
from controller.modbus.register_map import BIT_TABLES, READ_FUNCTIONS, RegisterMap, WireField
from controller.plant.device_types import DeviceType, RegisterTable, WordOrder

TABLES = (RegisterTable.INPUT, RegisterTable.HOLDING, RegisterTable.DISCRETE, RegisterTable.COIL)
"""The order of tables in a row: registers, then bits."""

Interval = tuple[int, int]
"""First address, and the address behind the last."""


def plan_reads(
    register_map: RegisterMap, block: str, max_registers: int | None = None, allowed_gap: int | None = None
) -> tuple[ReadSpan, ...]:
    """Return the reads of a polling class; scale factors that its values need are among them.

    `max_registers` and `allowed_gap` default to what the device file allows; for bits its own limit holds.

    Raises DeviceMapError if a value is longer than a read or stands in a forbidden range.
    """
    device_type = register_map.device_type
    gap = device_type.max_gap_registers if allowed_gap is None else allowed_gap
    registers = min(max_registers or device_type.max_read_registers, READ_REGISTERS_MAX)
    bits = min(device_type.max_read_bits, READ_BITS_MAX)
    spans: list[ReadSpan] = []
    offset_bytes = 0
    for table in TABLES:
        most = bits if table in BIT_TABLES else registers
        intervals = occupied(f for f in register_map.block(block) if f.table is table)
        for first, end in merged(intervals, most, gap, forbidden(device_type, table)):
            spans.append(ReadSpan(READ_FUNCTIONS[table], first, end - first, offset_bytes))
            offset_bytes += spans[-1].size_bytes
    return tuple(spans)


def occupied(fields: Iterable[WireField]) -> list[Interval]:
    """Return what these fields occupy, value by value and with their scale factors, in order and each once."""
    found: set[Interval] = set()
    for field in fields:
        found.update((a, a + field.words) for a in field.addresses.ravel().tolist())
        if field.factor_addresses is not None:
            found.update((a, a + 1) for a in field.factor_addresses.ravel().tolist())
    return sorted(found)


def merged(intervals: Iterable[Interval], most: int, gap: int, barred: tuple[Interval, ...] = ()) -> Iterator[Interval]:
    """Yield intervals (in order) joined to spans of at most `most`; DeviceMapError if one of them is not allowed."""
    first, end = -1, -1
    for start, stop in intervals:
        if stop - start > most or _hits(barred, start, stop):
            raise DeviceMapError(f"registers {start}..{stop - 1} can't be read: longer than {most}, or forbidden")
        if first >= 0 and max(stop, end) - first <= most and start - end <= gap and not _hits(barred, end, start):
            end = max(stop, end)
            continue
        if first >= 0:
            yield first, end
        first, end = start, stop
    if first >= 0:
        yield first, end


def forbidden(device_type: DeviceType, table: RegisterTable) -> tuple[Interval, ...]:
    """Return what must never be read of a table."""
    return tuple((first, last + 1) for of, first, last in device_type.forbidden if of is table)


def _hits(barred: tuple[Interval, ...], start: int, stop: int) -> bool:
    return any(start < last and first < stop for first, last in barred)


class Row:
    """Where addresses lie in a row of spans, one behind the other."""

    def __init__(self, spans: Iterable[ReadSpan]) -> None:
        self._spans: dict[int, list[ReadSpan]] = {}
        self.word_count = 0
        for span in sorted(spans, key=lambda s: s.address):
            self._spans.setdefault(span.function, []).append(span)
            if span.function not in _BIT_FUNCTIONS:
                self.word_count = max(self.word_count, (span.offset_bytes + span.size_bytes) // 2)

    def words(self, field: WireField) -> NDArray[np.intp]:
        """Return the words of a field, high word first, element after element."""
        steps = np.arange(field.words)
        if field.order is WordOrder.LOW_FIRST:
            steps = steps[::-1]
        return (self._positions(field.table, field.addresses, 16)[..., None] + steps).ravel()

    def factors(self, field: WireField) -> NDArray[np.intp] | None:
        """Return the words of a field's scale factors, one per element; None if it has none."""
        if field.factor_addresses is None:
            return None
        return self._positions(field.table, field.factor_addresses, 16).ravel()

    def bits(self, field: WireField) -> NDArray[np.intp]:
        """Return the bits of a field, counted from the start of the row."""
        return self._positions(field.table, field.addresses, 1).ravel()

    def _positions(self, table: RegisterTable, addresses: NDArray[np.int64], width_bits: int) -> NDArray[np.intp]:
        spans = self._spans[READ_FUNCTIONS[table]]
        starts = np.array([s.address for s in spans])
        which = np.searchsorted(starts, addresses, "right") - 1
        offsets = np.array([8 * s.offset_bytes // width_bits - s.address for s in spans])
        return (offsets[which] + addresses).astype(np.intp)


_BIT_FUNCTIONS = {READ_FUNCTIONS[table] for table in BIT_TABLES}
