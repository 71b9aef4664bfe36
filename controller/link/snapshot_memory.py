"""The snapshot in shared memory: three slots, each guarded by a sequence number, so that nobody ever waits.

Publish n: slot k = n mod 3; its sequence becomes 2n-1 (being written); copy; 2n (whole); then `latest` = n.
Read: take n = `latest`, require 2n, copy, require 2n again; else try again, at last keep the older copy.
The reader of slot k is in trouble only if the writer goes once around meanwhile.

x86-64 shows stores to others in program order; elsewhere (`checked`) a CRC-32 per section is written and compared.
Everything here works over any buffer, so that tests force a reader between any two stores.
"""

from __future__ import annotations

import platform
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.link.event_ring import EVENT, EventReader, EventWriter
from controller.link.plant_view import RunState

HEADER_BYTES = 4096
FORMAT = 1
SLOTS = 3
READ_ATTEMPTS = 5
_MAGIC = int.from_bytes(b"BESSSNAP", "little")
_PAGE_BYTES = 4096

Bytes = NDArray[np.uint8]


class UnusableSnapshotError(Exception):
    """The memory holds no snapshot that this program can read."""


class Word(IntEnum):
    """Places of the header's u8 words. Those that change have cache lines of their own; each is one aligned store."""

    MAGIC = 0
    FORMAT = 1
    SLOTS = 2
    RACKS_BYTES = 3
    CELLS_BYTES = 4
    EVENT_RECORDS = 5
    EVENT_FIRST = 6
    CHECKED = 7
    EPOCH = 8
    PID = 9
    BOOT_ID = 10  # 2 words
    LAYOUT_HASH = 12  # 4 words
    SITE_HASH = 16  # 4 words
    RUN_STATE = 64
    LATEST = 72
    EVENT_HEAD = 80
    SLOT = 88  # 8 words per slot, of which `SlotWord`


class SlotWord(IntEnum):
    """Places within a slot's words."""

    SEQUENCE = 0
    PUBLISHED_MONO_NS = 1
    CELLS_GENERATION = 2
    RACKS_CRC = 3
    CELLS_CRC = 4


@dataclass(frozen=True, slots=True)
class SnapshotFormat:
    """What writer and reader must agree on: sizes, and the hashes (32 bytes each) of layout and site."""

    layout_hash: bytes
    site_hash: bytes
    racks_bytes: int
    cells_bytes: int
    event_records: int = 4096
    checked: bool = platform.machine() not in {"x86_64", "AMD64"}

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot, whole pages."""
        return -(-(self.racks_bytes + self.cells_bytes) // _PAGE_BYTES) * _PAGE_BYTES

    @property
    def event_offset(self) -> int:
        """Where the event ring begins."""
        return HEADER_BYTES + SLOTS * self.slot_bytes

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole memory."""
        return self.event_offset + self.event_records * EVENT.itemsize

    @classmethod
    def of(cls, words: memoryview) -> Self:
        """Read it back from a header."""
        return cls(
            layout_hash=words[Word.LAYOUT_HASH : Word.LAYOUT_HASH + 4].tobytes(),
            site_hash=words[Word.SITE_HASH : Word.SITE_HASH + 4].tobytes(),
            racks_bytes=words[Word.RACKS_BYTES],
            cells_bytes=words[Word.CELLS_BYTES],
            event_records=words[Word.EVENT_RECORDS],
            checked=bool(words[Word.CHECKED]),
        )


@dataclass(frozen=True, slots=True)
class Start:
    """What tells one start of control from another: epoch (random, not 0), boot id (16 bytes), pid."""

    epoch: int
    boot_id: bytes
    pid: int
    first_event: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotCopy:
    """A whole copy of one published slot; both sections read-only, cells shared with earlier copies if unchanged."""

    sequence: int
    published_mono_ns: int
    cells_generation: int
    racks: Bytes
    cells: Bytes


class SnapshotWriter:
    """The one writer of a memory."""

    def __init__(self, buffer: bytearray | memoryview, form: SnapshotFormat, start: Start) -> None:
        """Fill the header; the magic number last, so that an unfinished header is no header."""
        self._words = _words(buffer)
        self._form = form
        self._slots = [_Slot(buffer, self._words, form, k) for k in range(SLOTS)]
        self._generation = 0
        self._fill_header(start)
        self.events = EventWriter(*_event_ring(buffer, self._words, form), start.first_event)
        self._words[Word.MAGIC] = _MAGIC

    def _fill_header(self, start: Start) -> None:
        words, form = self._words, self._form
        words[Word.FORMAT], words[Word.SLOTS] = FORMAT, SLOTS
        words[Word.RACKS_BYTES], words[Word.CELLS_BYTES] = form.racks_bytes, form.cells_bytes
        words[Word.EVENT_RECORDS], words[Word.EVENT_FIRST] = form.event_records, start.first_event
        words[Word.CHECKED], words[Word.EPOCH], words[Word.PID] = form.checked, start.epoch, start.pid
        words[Word.BOOT_ID : Word.BOOT_ID + 2] = memoryview(start.boot_id).cast("Q")
        words[Word.LAYOUT_HASH : Word.LAYOUT_HASH + 4] = memoryview(form.layout_hash).cast("Q")
        words[Word.SITE_HASH : Word.SITE_HASH + 4] = memoryview(form.site_hash).cast("Q")
        words[Word.RUN_STATE] = RunState.STARTING

    def set_run_state(self, state: RunState) -> None:
        """Say what control is doing; seen at once."""
        self._words[Word.RUN_STATE] = state

    def publish(self, racks: Bytes, cells: Bytes, now_ns: int, *, cells_changed: bool = True) -> int:
        """Publish both sections; return the sequence number. Cells are copied only where a slot's are older."""
        for _ in self.stores(racks, cells, now_ns, cells_changed=cells_changed):
            pass
        return int(self._words[Word.LATEST])

    def stores(self, racks: Bytes, cells: Bytes, now_ns: int, *, cells_changed: bool = True) -> Iterator[str]:
        """Do `publish` one store at a time, naming each."""
        n = self._words[Word.LATEST] + 1
        slot = self._slots[n % SLOTS]
        self._generation += cells_changed or n == 1
        slot[SlotWord.SEQUENCE] = 2 * n - 1
        yield "being written"
        np.copyto(slot.racks, racks)
        yield "racks"
        if slot[SlotWord.CELLS_GENERATION] != self._generation:
            np.copyto(slot.cells, cells)
            yield "cells"
            slot[SlotWord.CELLS_GENERATION] = self._generation
            yield "generation"
            if self._form.checked:
                slot[SlotWord.CELLS_CRC] = slot.cells_crc()
                yield "cells crc"
        slot[SlotWord.PUBLISHED_MONO_NS] = now_ns
        yield "published"
        if self._form.checked:
            slot[SlotWord.RACKS_CRC] = slot.racks_crc(n)
            yield "racks crc"
        slot[SlotWord.SEQUENCE] = 2 * n
        yield "whole"
        self._words[Word.LATEST] = n
        yield "latest"


class SnapshotReader:
    """A reader of a memory. Hands out copies only."""

    def __init__(self, buffer: bytes | bytearray | memoryview) -> None:
        """Check the header; raise UnusableSnapshotError if it is none, or promises more than there is."""
        view = memoryview(buffer)
        if view.nbytes < HEADER_BYTES:
            raise UnusableSnapshotError(f"{view.nbytes} bytes are no snapshot: its header alone has {HEADER_BYTES}")
        self._words = _words(view)
        found = (self._words[Word.MAGIC], self._words[Word.FORMAT], self._words[Word.SLOTS])
        if found != (_MAGIC, FORMAT, SLOTS):
            raise UnusableSnapshotError(f"not a snapshot of format {FORMAT} with {SLOTS} slots")
        self.form = SnapshotFormat.of(self._words)
        if view.nbytes != self.form.size_bytes:
            raise UnusableSnapshotError(f"{view.nbytes} bytes where the header says {self.form.size_bytes}")
        self._slots = [_Slot(view, self._words, self.form, k) for k in range(SLOTS)]
        self.events = EventReader(*_event_ring(view, self._words, self.form), self._words[Word.EVENT_FIRST])
        self.epoch: int = self._words[Word.EPOCH]
        self.pid: int = self._words[Word.PID]
        self.boot_id = self._words[Word.BOOT_ID : Word.BOOT_ID + 2].tobytes()
        self.attempts_failed = 0
        self._copy: SnapshotCopy | None = None

    @property
    def run_state(self) -> RunState:
        """What control said it is doing."""
        return RunState(self._words[Word.RUN_STATE])

    def read(self) -> SnapshotCopy | None:
        """Return the newest whole copy: the same object if nothing is new, None if nothing was ever published."""
        for _ in range(READ_ATTEMPTS):
            if _finish(self.steps()):
                break
            self.attempts_failed += 1
        return self._copy

    def steps(self) -> Generator[str, None, bool]:
        """Do one attempt of `read` a step at a time; its value says whether the copy is now the newest."""
        n = self._words[Word.LATEST]
        yield "latest"
        if n == (self._copy.sequence if self._copy else 0):
            return True
        slot = self._slots[n % SLOTS]
        if slot[SlotWord.SEQUENCE] != 2 * n:
            return False
        yield "sequence"
        generation, published = slot[SlotWord.CELLS_GENERATION], slot[SlotWord.PUBLISHED_MONO_NS]
        yield "stamps"
        racks = slot.racks.copy()
        yield "racks"
        known = self._copy is not None and self._copy.cells_generation == generation
        cells = self._copy.cells if self._copy is not None and known else slot.cells.copy()
        yield "cells"
        copy = SnapshotCopy(n, published, generation, racks, cells)
        whole = not self.form.checked or slot.matches(copy, cells_known=known)
        if slot[SlotWord.SEQUENCE] != 2 * n or not whole:
            return False
        racks.setflags(write=False)
        cells.setflags(write=False)
        self._copy = copy
        return True


class _Slot:
    """One slot: its words in the header, its two sections behind it."""

    def __init__(self, buffer: bytearray | memoryview, words: memoryview, form: SnapshotFormat, k: int) -> None:
        offset = HEADER_BYTES + k * form.slot_bytes
        self.racks: Bytes = np.frombuffer(buffer, np.uint8, form.racks_bytes, offset)
        self.cells: Bytes = np.frombuffer(buffer, np.uint8, form.cells_bytes, offset + form.racks_bytes)
        self._words = words[Word.SLOT + 8 * k : Word.SLOT + 8 * (k + 1)]

    def __getitem__(self, word: SlotWord) -> int:
        return int(self._words[word])

    def __setitem__(self, word: SlotWord, value: int) -> None:
        self._words[word] = value

    def racks_crc(self, n: int) -> int:
        return _racks_crc(self.racks, n, self[SlotWord.PUBLISHED_MONO_NS])

    def cells_crc(self) -> int:
        return _cells_crc(self.cells, self[SlotWord.CELLS_GENERATION])

    def matches(self, copy: SnapshotCopy, *, cells_known: bool) -> bool:
        racks_match = _racks_crc(copy.racks, copy.sequence, copy.published_mono_ns) == self[SlotWord.RACKS_CRC]
        return racks_match and (
            cells_known or _cells_crc(copy.cells, copy.cells_generation) == self[SlotWord.CELLS_CRC]
        )


def _racks_crc(racks: Bytes, n: int, published_mono_ns: int) -> int:
    return zlib.crc32(racks.data, zlib.crc32(b"%d %d" % (n, published_mono_ns)))


def _cells_crc(cells: Bytes, generation: int) -> int:
    return zlib.crc32(cells.data, zlib.crc32(b"%d" % generation))


def _words(buffer: bytes | bytearray | memoryview) -> memoryview:
    # A memoryview's "Q" item is copied by an 8-byte memcpy: one aligned load or store.
    return memoryview(buffer)[:HEADER_BYTES].cast("Q")


def _event_ring(buffer: bytearray | memoryview, words: memoryview, form: SnapshotFormat) -> tuple[Bytes, memoryview]:
    ring = np.frombuffer(buffer, np.uint8, form.event_records * EVENT.itemsize, form.event_offset)
    return ring, words[Word.EVENT_HEAD : Word.EVENT_HEAD + 1]


def _finish(steps: Generator[str, None, bool]) -> bool:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return bool(end.value)
