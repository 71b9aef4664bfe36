"""The snapshot as a file on tmpfs: created anew by each start of control, mapped read-only by everyone else.

Created aside with every page allocated (a sparse file on a full tmpfs would kill the writer with SIGBUS at some later
store), then renamed into place; the next start's file is allocated at the same time, so that a restart needs no room
when there is none left. A reader that finds another inode at the path opens it anew. Nobody else creates, truncates or
unlinks, and the file stays after a stop, for `bess doctor`.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from pathlib import Path

from controller.image.image import Image
from controller.image.quantities import Section
from controller.link.snapshot_memory import SnapshotFormat, SnapshotReader, SnapshotWriter, Start, UnusableSnapshotError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SnapshotFileError(Exception):
    """The snapshot file cannot be created; the text says what to do."""


def this_boot() -> bytes:
    """Return the kernel's boot id, 16 bytes."""
    return bytes.fromhex(_BOOT_ID.read_text(encoding="ascii").strip().replace("-", ""))


class SnapshotFile:
    """Control's end: creates the file and publishes into it. Only the holder of the control lock may make one."""

    def __init__(self, path: Path, form: SnapshotFormat, *, first_event: int) -> None:
        """Create, fill the header, rename to `path`; run state is then `STARTING` and nothing is published.

        `first_event` must lie above all event numbers given out before (the journal's last + 1, or UTC nanoseconds
        where there is no journal), so that a reader's cursor from before a restart is seen to be one.

        Raises:
            SnapshotFileError: The file system is full or refuses.
        """
        epoch = int.from_bytes(os.urandom(8), "little") | 1
        start = Start(epoch, this_boot(), os.getpid(), first_event)
        aside = path.with_name(path.name + ".next")
        _allocate(aside, form.size_bytes)
        self._map = _mapped(aside, form.size_bytes)
        self._writer = SnapshotWriter(memoryview(self._map), form, start)
        self.epoch = epoch
        self.events = self._writer.events
        self.set_run_state = self._writer.set_run_state
        aside.rename(path)
        with contextlib.suppress(SnapshotFileError):  # the next start will say what is missing
            _allocate(aside, form.size_bytes)

    def publish(self, image: Image, now_ns: int, *, cells_changed: bool = True) -> int:
        """Publish an image; return its sequence number. `cells_changed` false spares the cell section's copy."""
        racks, cells = image.buffer(Section.RACKS), image.buffer(Section.CELLS)
        return self._writer.publish(racks, cells, now_ns, cells_changed=cells_changed)


class OpenSnapshot:
    """A reader's end: one inode, mapped read-only. Unmapped when the last reference goes."""

    def __init__(self, path: Path) -> None:
        """Map what stands at `path` now.

        Raises:
            OSError: There is no such file, or no right to read it.
            UnusableSnapshotError: It is no snapshot, or one of another boot.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if status.st_size == 0:
                raise UnusableSnapshotError(f"{path} is empty")
            mapped = mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self._path = path
        self._identity = (status.st_dev, status.st_ino)
        self.reader = SnapshotReader(memoryview(mapped))
        if self.reader.boot_id != this_boot():
            raise UnusableSnapshotError(f"{path} was written before this machine started")

    def is_replaced(self) -> bool:
        """Whether another file stands at the path now; a path without a file replaces nothing."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) != self._identity


def _allocate(path: Path, size_bytes: int) -> None:
    """Let a file of zeros stand at the path: the one of an earlier start, which nobody has written, or a new one."""
    if path.exists() and path.stat().st_size == size_bytes:
        return
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
    except OSError as error:
        path.unlink()
        full = "the file system is full" if error.errno == errno.ENOSPC else (error.strerror or "refused")
        raise SnapshotFileError(
            f"{path}: cannot allocate {size_bytes} bytes for the snapshot: {full}; free some space there or point "
            "RUNTIME_DIRECTORY at another tmpfs"
        ) from error
    finally:
        os.close(descriptor)


def _mapped(path: Path, size_bytes: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, size_bytes, mmap.MAP_SHARED | mmap.MAP_POPULATE)
    finally:
        os.close(descriptor)
