"""Retained state: what must survive a restart (latches, limits, lock-outs, estimates), one file, never half written.

Rule: bytes + CRC-32 are written aside, synced, renamed over the old file, and the folder is synced. A file that does
not check is set aside as `*.bad` and reported; the controller then starts as if there were none, latched safe by what
it measures.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

from controller.runtime.disk_writer import DiskWriter

_MAGIC = b"BESSRET1"
_HEAD = struct.Struct("<8sIQ")


class RetainedStateError(Exception):
    """The file is not what was written; it has been set aside."""


class RetainedFile:
    """Has the disk's thread save the state; of several that wait the newest is written. `failing`: the last was not."""

    def __init__(self, path: Path, disk: DiskWriter) -> None:
        """Write nothing yet."""
        self._path, self._disk, self._swap = path, disk, threading.Lock()
        self._newest: tuple[Mapping[str, bytes], int] | None = None
        self.failing = False

    def save(self, parts: Mapping[str, bytes], utc_ns: int) -> None:
        """Save all parts soon."""
        with self._swap:
            is_queued, self._newest = self._newest is not None, (parts, utc_ns)
        if not is_queued and not self._disk.submit(self._write, self._told):
            self._newest, self.failing = None, True

    def _write(self) -> None:
        with self._swap:
            newest, self._newest = self._newest, None
        assert newest is not None, "queued once for each state that waits"
        save(self._path, newest[0], utc_ns=newest[1])

    def _told(self, succeeded: bool) -> None:  # noqa: FBT001 - as the disk tells it
        self.failing = not succeeded


def save(path: Path, parts: Mapping[str, bytes], *, utc_ns: int) -> None:
    """Write all parts in one atomic step. Raises OSError when the disk will not take it."""
    body = pack({**parts, "saved_utc_ns": str(utc_ns).encode()})
    aside = path.with_suffix(".new")
    with aside.open("wb") as file:
        file.write(_HEAD.pack(_MAGIC, crc32(body), len(body)) + body)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> dict[str, bytes]:
    """Return the parts, `{}` if there is no file; RetainedStateError if it can't be trusted."""
    if not path.exists():
        return {}
    try:
        return unpack(_checked_body(path.read_bytes()))
    except (struct.error, ValueError) as error:
        bad = path.with_suffix(".bad")
        path.replace(bad)
        message = f"{path}: retained state does not check and was set aside as {bad.name}; starting without it"
        raise RetainedStateError(message) from error


def _checked_body(data: bytes) -> bytes:
    magic, checksum, size = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if magic != _MAGIC or size != len(body) or checksum != crc32(body):
        message = "magic, size or checksum is wrong"
        raise ValueError(message)
    return body


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Return named parts as one run of bytes: length and JSON of the sizes, then the parts."""
    index = json.dumps({name: len(part) for name, part in parts.items()}).encode()
    return struct.pack("<I", len(index)) + index + b"".join(parts.values())


def unpack(body: bytes) -> dict[str, bytes]:
    """Return the parts of `pack`; ValueError or struct.error if it is something else."""
    (length,) = struct.unpack_from("<I", body)
    index: dict[str, int] = json.loads(body[4 : 4 + length])
    parts, start = {}, 4 + length
    for name, size in index.items():
        parts[name] = body[start : start + size]
        start += size
    return parts
