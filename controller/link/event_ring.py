"""The event ring: fixed records in shared memory, one writer that never waits, readers that count what they missed.

Each event has an absolute number and lies at `number mod records`. The writer stores the record, then the head; a
reader copies everything from its cursor to the head and drops what was overwritten meanwhile (another number, or a
wrong checksum). A gap is counted; the alarm table in the snapshot is then the way back. No text: readers render codes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EVENT = np.dtype(
    [
        ("number", "<u8"),  # given by the ring
        ("mono_ns", "<u8"),
        ("utc_ns", "<u8"),
        ("uncertainty_ns", "<u8"),  # events closer than this are not in a decidable order
        ("value", "<f8"),  # base unit of the code
        ("limit", "<f8"),
        ("user", "<u8"),  # `user_number`, 0 = the controller itself
        ("code", "<u4"),
        ("equipment", "<u4"),  # index into the plant's equipment list
        ("cell", "<i4"),  # -1 = not about a cell
        ("kind", "<u2"),
        ("level", "<u2"),
        ("reserved", "<u4"),
        ("crc", "<u4"),  # of all before it
    ]
)
"""One event, 80 bytes."""

_CRC_OFFSET = EVENT.itemsize - 4

Events = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """What a reader gets: `records` (dtype EVENT, rising numbers) and `next_number`, its cursor for the next call.

    `lost` counts events that were overwritten before they were read. `restarted` says that the cursor belonged to
    another start of control, so that how much was lost is not known: take the alarm table as it is.
    """

    records: Events
    next_number: int
    lost: int = 0
    restarted: bool = False


def no_events(since: int) -> EventBatch:
    """Return the batch of a ring that is not there (yet)."""
    return EventBatch(np.empty(0, EVENT), since)


def user_number(user: str) -> int:
    """Return the number that stands for a user in event records; 0 for the controller itself (empty name)."""
    return int.from_bytes(hashlib.sha256(user.encode()).digest()[:8], "little") if user else 0


class EventWriter:
    """The one writer. `head` is a single u8 word of the header, `ring` the records' bytes."""

    def __init__(self, ring: NDArray[np.uint8], head: memoryview, first_number: int) -> None:
        """Start an empty ring; its first event will have `first_number`."""
        self._ring: Events = ring.view(EVENT)
        self._head = head
        self._head[0] = first_number

    def append(self, events: Events) -> int:
        """Write events (dtype EVENT, `number` and `crc` ignored); return the number of the first.

        Of more events than the ring has places only the newest stay; readers count the others as lost.
        """
        first = self._head[0]
        for _ in self.stores(events):
            pass
        return int(first)

    def stores(self, events: Events) -> Iterator[str]:
        """Do `append` one store at a time, naming each: records first, then the head."""
        head = self._head[0] + len(events)
        kept = events[-len(self._ring) :].copy()
        kept["number"] = np.arange(head - len(kept), head, dtype=np.uint64)
        kept["crc"] = _checksums(kept)
        for record in kept:
            self._ring[int(record["number"]) % len(self._ring)] = record
            yield "record"
        self._head[0] = head
        yield "head"


class EventReader:
    """A reader of a ring; keeps no cursor of its own."""

    def __init__(self, ring: NDArray[np.uint8], head: memoryview, first_number: int) -> None:
        """Look at a ring whose first event had `first_number`."""
        self._ring: Events = ring.view(EVENT)
        self._head = head
        self._first = first_number

    def read(self, since: int) -> EventBatch:
        """Return the events from number `since` on; 0 asks for everything that is still there."""
        head = int(self._head[0])
        known = self._first <= since <= head
        oldest = max(self._first, head - len(self._ring))
        start = max(oldest, since) if known else oldest
        numbers = np.uint64(start) + np.arange(max(0, head - start), dtype=np.uint64)
        records = self._ring[numbers % np.uint64(len(self._ring))]
        whole = (records["number"] == numbers) & (records["crc"] == _checksums(records))
        lost = int(np.count_nonzero(~whole)) + (start - since if known else 0)
        return EventBatch(records[whole], head, lost, restarted=not known and since != 0)


def _checksums(records: Events) -> NDArray[np.uint32]:
    rows: NDArray[Any] = np.ascontiguousarray(records).view(np.uint8).reshape(len(records), EVENT.itemsize)
    return np.array([zlib.crc32(row[:_CRC_OFFSET]) for row in rows], np.uint32)
