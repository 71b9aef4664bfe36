from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.link.plant_view import RunState
from controller.link.snapshot_memory import (
    HEADER_BYTES,
    READ_ATTEMPTS,
    SnapshotCopy,
    SnapshotFormat,
    SnapshotReader,
    SnapshotWriter,
    Start,
    UnusableSnapshotError,
    Word,
)

RACKS_BYTES, CELLS_BYTES = 256, 512
START = Start(epoch=7, boot_id=b"b" * 16, pid=99, first_event=3)


def form(*, checked: bool = False) -> SnapshotFormat:
    return SnapshotFormat(b"l" * 32, b"s" * 32, RACKS_BYTES, CELLS_BYTES, event_records=4, checked=checked)


class Plant:
    """A writer whose publish n fills the racks with n, and the cells with how often they changed."""

    def __init__(self, *, checked: bool) -> None:
        self.memory = bytearray(form(checked=checked).size_bytes)
        self.writer = SnapshotWriter(self.memory, form(checked=checked), START)
        self.sequence = 0
        self.cells_changes = 0

    def stores(self, *, cells_changed: bool):
        self.sequence += 1
        self.cells_changes += cells_changed or self.sequence == 1
        racks = np.full(RACKS_BYTES // 8, self.sequence, "<u8").view(np.uint8)
        cells = np.full(CELLS_BYTES // 8, self.cells_changes, "<u8").view(np.uint8)
        return self.writer.stores(racks, cells, 1000 + self.sequence, cells_changed=cells_changed)

    def publish(self, *, cells_changed: bool = True) -> None:
        for _ in self.stores(cells_changed=cells_changed):
            pass


def require_whole(copy: SnapshotCopy) -> None:
    assert set(copy.racks.view("<u8")) == {copy.sequence}
    assert set(copy.cells.view("<u8")) == {copy.cells_generation}
    assert copy.published_mono_ns == 1000 + copy.sequence
    assert not copy.racks.flags.writeable
    assert not copy.cells.flags.writeable


def test_header_tells_who_writes() -> None:
    plant = Plant(checked=False)
    reader = SnapshotReader(plant.memory)
    assert (reader.epoch, reader.pid, reader.boot_id) == (7, 99, b"b" * 16)
    assert reader.form == form()
    assert reader.run_state == RunState.STARTING
    plant.writer.set_run_state(RunState.RUNNING)
    assert RunState(reader.run_state) == RunState.RUNNING


def test_nothing_published_reads_none() -> None:
    assert SnapshotReader(Plant(checked=False).memory).read() is None


def test_same_object_while_nothing_is_new() -> None:
    plant = Plant(checked=False)
    reader = SnapshotReader(plant.memory)
    plant.publish()
    first = reader.read()
    assert first is not None
    assert reader.read() is first
    plant.publish(cells_changed=False)
    second = reader.read()
    assert second is not None
    require_whole(first)
    require_whole(second)
    assert second.cells is first.cells  # not copied again


@pytest.mark.parametrize("checked", [False, True])
def test_readers_between_any_two_stores_see_a_whole_snapshot(checked: bool) -> None:
    plant = Plant(checked=checked)
    old_reader = SnapshotReader(plant.memory)
    seen = set()
    for n in range(1, 13):
        for _ in plant.stores(cells_changed=n % 4 == 0):
            for reader in (old_reader, SnapshotReader(plant.memory)):
                copy = reader.read()
                if copy is not None:
                    require_whole(copy)
                    assert copy.sequence in {n - 1, n}
                    seen.add(copy.sequence)
    assert seen == set(range(1, 13))
    assert old_reader.attempts_failed == 0  # a writer that stands still never costs an attempt


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("pause", range(6))
def test_any_number_of_stores_between_any_two_steps_of_a_reader(checked: bool, pause: int) -> None:
    for published in (1, 2):
        for stores in range(32):
            plant = Plant(checked=checked)
            for _ in range(published):
                plant.publish()
            more = (store for n in range(6) for store in plant.stores(cells_changed=n % 2 == 0))
            reader = SnapshotReader(plant.memory)
            steps = reader.steps()
            for _ in range(pause):
                next(steps, None)
            for _ in range(stores):
                next(more)
            for _ in steps:
                pass
            if reader._copy is not None:
                require_whole(reader._copy)
            copy = reader.read()
            assert copy is not None
            require_whole(copy)
            assert copy.sequence >= published


@given(
    schedule=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), max_size=40),
    changes=st.lists(st.booleans(), min_size=150, max_size=150),
    checked=st.booleans(),
)
def test_any_interleaving_of_steps_gives_whole_copies_in_order(schedule, changes, checked) -> None:
    """Alternate: some steps of the reader, some stores of the writer."""
    plant = Plant(checked=checked)
    stores = (store for changed in changes for store in plant.stores(cells_changed=changed))
    reader = SnapshotReader(plant.memory)
    steps = reader.steps()
    last = 0
    for reader_steps, writer_stores in schedule:
        for _ in range(reader_steps):
            if next(steps, None) is None:  # the attempt ended, well or not
                if reader._copy is not None:
                    require_whole(reader._copy)
                    assert reader._copy.sequence >= last
                    last = reader._copy.sequence
                steps = reader.steps()
        for _ in range(writer_stores):
            next(stores, None)


def test_overtaken_reader_tries_again() -> None:
    plant = Plant(checked=False)
    plant.publish()
    reader = SnapshotReader(plant.memory)
    steps = reader.steps()
    while next(steps) != "racks":
        pass
    for _ in range(3):
        plant.publish()
    for _ in steps:
        pass
    assert reader._copy is None  # the slot is not what it was: refused
    copy = reader.read()
    assert copy is not None
    require_whole(copy)
    assert copy.sequence == 4


def test_checksum_catches_what_order_of_stores_hides() -> None:
    """A machine that shows the sequence before the data: the copy is refused, the older one stays."""
    plant = Plant(checked=True)
    plant.publish()
    reader = SnapshotReader(plant.memory)
    first = reader.read()
    for offset in (0, RACKS_BYTES):
        plant.publish()
        slot = HEADER_BYTES + plant.sequence % 3 * form().slot_bytes
        plant.memory[slot + offset] ^= 1
        failed = reader.attempts_failed
        assert reader.read() is first
        assert reader.attempts_failed == failed + READ_ATTEMPTS


@pytest.mark.parametrize("size", [0, 8, HEADER_BYTES - 8])
def test_less_than_a_header_is_refused(size: int) -> None:
    with pytest.raises(UnusableSnapshotError, match="header alone"):
        SnapshotReader(bytes(size))


@pytest.mark.parametrize("word", [Word.MAGIC, Word.FORMAT, Word.SLOTS])
def test_other_format_is_refused(word: Word) -> None:
    memory = Plant(checked=False).memory
    memory[8 * word] ^= 0xFF
    with pytest.raises(UnusableSnapshotError, match="not a snapshot of format 1"):
        SnapshotReader(memory)


@given(words=st.dictionaries(st.integers(3, 100), st.integers(0, 2**64 - 1), max_size=5))
def test_any_header_is_read_or_refused(words) -> None:
    plant = Plant(checked=False)
    plant.publish()
    header = memoryview(plant.memory)[:HEADER_BYTES].cast("Q")
    for index, value in words.items():
        header[index] = value
    header.release()
    try:
        reader = SnapshotReader(plant.memory)
    except UnusableSnapshotError:
        return
    reader.read()
    reader.events.read(0)


def test_truncated_memory_is_refused() -> None:
    memory = Plant(checked=False).memory
    with pytest.raises(UnusableSnapshotError, match="the header says"):
        SnapshotReader(memory[:-1])
