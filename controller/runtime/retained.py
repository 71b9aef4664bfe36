"""Retained state: what must survive a restart (latches, limits, lock-outs, estimates), one file, never half written.

Rule: bytes + CRC-32 are written aside, synced, renamed over the old file, and the folder is synced. A file that does
not check is set aside as `*.bad` and reported. Each save has a number, one more than the save before. One that fails
leaves a mark in the file that is there, in place, which needs no room on the disk: it is readable, but older than what
was decided. A spare copy in the run directory, on tmpfs, outlives control and a full disk, not the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

from controller.runtime.disk_writer import DiskWriter

NUMBER = "number"
"""The part that counts the saves of a file."""
BEHIND = "behind"
"""The part that says of a file that something newer could not be written."""
_MAGIC, _MAGIC_BEHIND = b"BESSRET1", b"BESSOLD1"
_HEAD = struct.Struct("<8sIQ")


class RetainedStateError(Exception):
    """The file is not what was written; it has been set aside."""


class RetainedFile:
    """Has the disk's thread save the state; of several that wait the newest is written. `failing`: the last was not.

    `spare`: where a copy is kept in memory, at once. `number`: of the newest save, on disk or not.
    """

    def __init__(self, path: Path, disk: DiskWriter, spare: Path | None = None, number: int = 0) -> None:
        """Write nothing yet."""
        self._path, self._disk, self._swap, self._spare = path, disk, threading.Lock(), spare
        self._newest: tuple[Mapping[str, bytes], int] | None = None
        self.failing, self.number = False, number

    def save(self, parts: Mapping[str, bytes], utc_ns: int) -> None:
        """Save all parts soon."""
        self.number += 1
        parts = {**parts, NUMBER: str(self.number).encode()}
        if self._spare is not None:
            with contextlib.suppress(OSError):  # no room in memory: then the disk has it alone
                save(self._spare, parts, utc_ns=utc_ns)
        with self._swap:
            is_queued, self._newest = self._newest is not None, (parts, utc_ns)
        if not is_queued and not self._disk.submit(self._write, self._told):
            self._newest, self.failing = None, True

    def _write(self) -> None:
        with self._swap:
            newest, self._newest = self._newest, None
        assert newest is not None, "queued once for each state that waits"
        try:
            save(self._path, newest[0], utc_ns=newest[1])
        except OSError:
            mark_behind(self._path)
            raise

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


def mark_behind(path: Path) -> None:
    """Mark a file as older than what was decided since, as far as the disk takes that."""
    with contextlib.suppress(OSError), path.open("r+b") as file:
        file.write(_MAGIC_BEHIND)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, bytes]:
    """Return the parts, with BEHIND if they are; `{}` if there is no file. RetainedStateError if it does not check."""
    if not path.exists():
        return {}
    try:
        return _parts(path)
    except (struct.error, ValueError) as error:
        bad = path.with_suffix(".bad")
        path.replace(bad)
        message = f"{path}: retained state does not check and was set aside as {bad.name}; starting without it"
        raise RetainedStateError(message) from error


def retained_problem(path: Path) -> str:
    """Return why a start would not take a file as it is, "" if it would or there is none; it is only read."""
    if not path.exists():
        return ""
    try:
        parts = _parts(path)
    except (struct.error, ValueError) as error:
        return f"{path}: retained state does not check: {error}; a start sets it aside: what it held is lost"
    return f"{path}: is older than what was decided since, because a save failed" if BEHIND in parts else ""


def _parts(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    parts = unpack(_checked_body(data))
    return {**parts, BEHIND: b"a save failed"} if data.startswith(_MAGIC_BEHIND) else parts


def _checked_body(data: bytes) -> bytes:
    magic, checksum, size = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if magic not in {_MAGIC, _MAGIC_BEHIND} or size != len(body) or checksum != crc32(body):
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
