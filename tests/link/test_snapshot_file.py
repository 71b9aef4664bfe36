from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from controller.image.image import Image
from controller.image.quantities import Section
from controller.link.event_ring import EVENT
from controller.link.plant_view import RunState
from controller.link.snapshot_file import OpenSnapshot, SnapshotFile, SnapshotFileError, this_boot
from controller.link.snapshot_memory import SnapshotCopy, SnapshotReader, SnapshotWriter, Start, UnusableSnapshotError

KILLS = 100
HAMMER_S = 1.5


def fill(image: Image, section: Section, number: int) -> None:
    image.buffer(section).view("<u8")[:] = number


def require_whole(copy: SnapshotCopy) -> None:
    assert set(copy.racks.view("<u8")) == {copy.sequence}
    assert set(copy.cells.view("<u8")) == {copy.cells_generation}


def hammer(path: Path, layout, form) -> None:
    """Publish for ever, as fast as it goes: racks filled with the sequence, cells with how often they changed."""
    file = SnapshotFile(path, form, first_event=1)
    image = Image(layout)
    event = np.zeros(1, EVENT)
    n = generation = 0
    while True:
        n += 1
        changed = n % 3 == 1
        fill(image, Section.RACKS, n)
        if changed:
            generation += 1
            fill(image, Section.CELLS, generation)
        file.publish(image, n, cells_changed=changed)
        event["code"] = n
        file.events.append(event)


def forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(1)


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0) == (pid, signal.SIGKILL)


def opened(path: Path) -> OpenSnapshot:
    """Wait until the hammer's file is there and something was published."""
    for _ in range(10_000):
        try:
            file = OpenSnapshot(path)
        except FileNotFoundError:
            pause(0.001)
            continue
        if file.reader.read() is not None:
            return file
        pause(0.0005)
    raise AssertionError("the writer never came")


def pause(duration_s: float) -> None:
    threading.Event().wait(duration_s)


def test_file_appears_whole_with_every_page_allocated(run_folder, layout, form) -> None:
    path = run_folder / "snapshot"
    file = SnapshotFile(path, form, first_event=1)
    status = path.stat()
    assert status.st_size == form.size_bytes
    assert status.st_blocks * 512 >= form.size_bytes
    assert status.st_mode & 0o777 & ~0o640 == 0
    assert {p.name for p in run_folder.iterdir()} == {"snapshot", "snapshot.next"}
    image = Image(layout)
    fill(image, Section.RACKS, 1)
    fill(image, Section.CELLS, 1)
    file.set_run_state(RunState.RUNNING)
    assert file.publish(image, 55) == 1
    reader = OpenSnapshot(path).reader
    copy = reader.read()
    assert copy is not None
    require_whole(copy)
    assert (reader.run_state, reader.epoch, reader.pid) == (RunState.RUNNING, file.epoch, os.getpid())


def test_new_start_is_a_new_inode_and_old_readers_keep_their_memory(run_folder, layout, form) -> None:
    path = run_folder / "snapshot"
    image = Image(layout)
    SnapshotFile(path, form, first_event=1).publish(image, 1)
    old = OpenSnapshot(path)
    assert not old.is_replaced()
    second = SnapshotFile(path, form, first_event=1)
    assert old.is_replaced()
    copy = old.reader.read()
    assert copy is not None
    assert copy.sequence == 1
    new = OpenSnapshot(path)
    assert new.reader.epoch == second.epoch != old.reader.epoch
    path.unlink()
    assert not new.is_replaced()


def test_left_over_of_a_killed_start_is_replaced(run_folder, form) -> None:
    (run_folder / "snapshot.next").write_bytes(b"half")
    SnapshotFile(run_folder / "snapshot", form, first_event=1)
    assert OpenSnapshot(run_folder / "snapshot").reader.read() is None


def test_a_new_start_takes_the_file_that_was_allocated_for_it(run_folder, form) -> None:
    SnapshotFile(run_folder / "snapshot", form, first_event=1)
    allocated = (run_folder / "snapshot.next").stat().st_ino
    SnapshotFile(run_folder / "snapshot", form, first_event=1)

    assert (run_folder / "snapshot").stat().st_ino == allocated
    assert OpenSnapshot(run_folder / "snapshot").reader.read() is None


@pytest.mark.parametrize("content", [b"", b"junk", bytes(4096), bytes(100_000)])
def test_foreign_file_is_refused(tmp_path, content) -> None:
    (tmp_path / "snapshot").write_bytes(content)
    with pytest.raises(UnusableSnapshotError):
        OpenSnapshot(tmp_path / "snapshot")


def test_file_of_another_boot_is_refused(tmp_path, form) -> None:
    memory = bytearray(form.size_bytes)
    SnapshotWriter(memory, form, Start(epoch=1, boot_id=bytes(16), pid=1))
    (tmp_path / "snapshot").write_bytes(memory)
    assert SnapshotReader(memory).boot_id != this_boot()
    with pytest.raises(UnusableSnapshotError, match="before this machine started"):
        OpenSnapshot(tmp_path / "snapshot")


def test_hammering_writer_never_shows_a_torn_snapshot_or_event(run_folder, layout, form) -> None:
    path = run_folder / "snapshot"
    writer = forked(lambda: hammer(path, layout, form))
    try:
        file = opened(path)
        stop = threading.Timer(HAMMER_S, lambda: None)
        stop.start()
        sequences, cursor, delivered, lost = [0], 1, 0, 0
        while stop.is_alive():
            copy = file.reader.read()
            assert copy is not None
            require_whole(copy)
            sequences.append(copy.sequence)
            batch = file.reader.events.read(cursor)
            assert (batch.records["number"] == batch.records["code"]).all()
            cursor, delivered, lost = batch.next_number, delivered + len(batch.records), lost + batch.lost
    finally:
        killed(writer)
    assert sequences == sorted(sequences)
    assert len(set(sequences)) > 10
    assert delivered > 10
    assert delivered + lost == cursor - 1


def test_writer_killed_at_any_moment_leaves_a_whole_snapshot(run_folder, layout, form) -> None:
    path = run_folder / "snapshot"
    random = np.random.default_rng(1)
    epochs = set()
    for _ in range(KILLS):
        path.unlink(missing_ok=True)
        writer = forked(lambda: hammer(path, layout, form))
        try:
            opened(path)
            pause(random.uniform(0, 0.004))
        finally:
            killed(writer)
        reader = OpenSnapshot(path).reader
        copy = reader.read()
        assert copy is not None
        require_whole(copy)
        assert reader.attempts_failed == 0  # nothing moves any more: the first attempt must do
        epochs.add(reader.epoch)
    assert len(epochs) == KILLS


@pytest.fixture
def small_tmpfs(tmp_path) -> Iterator[Path]:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("only root may mount a small tmpfs")
    folder = tmp_path / "small"
    folder.mkdir()
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this container may not mount a tmpfs")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


def test_full_tmpfs_is_an_error_at_the_start_not_a_signal_later(small_tmpfs, form) -> None:
    assert form.size_bytes > 64 * 1024
    with pytest.raises(SnapshotFileError, match="file system is full"):
        SnapshotFile(small_tmpfs / "snapshot", form, first_event=1)
    assert list(small_tmpfs.iterdir()) == []


def test_other_refusals_name_their_cause(run_folder, form, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(SnapshotFileError, match="Operation not supported"):
        SnapshotFile(run_folder / "snapshot", form, first_event=1)
