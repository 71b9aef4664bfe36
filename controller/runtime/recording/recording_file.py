"""The recording on disk: a chain of whole records, each compressed and checked, readable up to the last whole one.

A record: magic, kind, size as packed, size as stored, CRC-32 over kind, sizes and body, body (zlib). A body is named
parts of bytes (`runtime.retained`). The first record is the header, which says everything that is needed to read and
to replay the rest; scans follow, as many in a record as came in about a second; a clean end closes. What follows a
record that does not check is not read, and its size is told: scans say only what changed, so those behind a gap can't
be replayed. A killed writer, a full disk, a copy under way leave a last record that is cut; anything else is damage.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Self
from zlib import compress, crc32, decompress, error

from controller.runtime.retained import pack, unpack

FORMAT = 1
SPARED_BYTES = 256 << 20
"""A recording never takes the last of a disk: journal and retained state need it."""
_MAGIC = b"BREC"
_CHECKED = struct.Struct("<BII")  # kind, size packed, size stored
_HEAD = struct.Struct("<4sBIII")  # magic, kind, size packed, size stored, crc
_LARGEST_BODY = 1 << 30
_QUICK = 1
_CHUNK = 1 << 20


class RecordKind(IntEnum):
    """What a record holds."""

    HEADER = 1
    SCANS = 2
    END = 3


class RecordingError(Exception):
    """The file is no recording, or one of another format; the text says what was expected."""


class RecordingWriter:
    """Appends records. A record that could not be written whole is taken back, so that the file stays readable."""

    def __init__(self, path: Path, header: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
        """Make the file, which must not be there yet, and write its header. Raises OSError."""
        self._file = path.open("xb", buffering=0)
        try:
            self.write(RecordKind.HEADER, {"header": json.dumps({"format": FORMAT, **header}).encode(), **parts})
        except OSError:
            self.close()
            raise

    def write(self, kind: RecordKind, parts: Mapping[str, bytes]) -> None:
        """Append one record; raises OSError, and then the file is as it was."""
        body = pack(parts)
        stored = compress(body, _QUICK)
        start = self._file.tell()
        try:
            self._require_room(len(stored))
            self._write_all(_head(kind, len(body), stored) + stored)
        except OSError:
            self._file.truncate(start)
            self._file.seek(start)
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]

    def _require_room(self, size: int) -> None:
        disk = os.fstatvfs(self._file.fileno())
        if disk.f_bavail * disk.f_frsize < SPARED_BYTES + size:
            raise OSError(f"less than {SPARED_BYTES >> 20} MiB are left on the disk")


@dataclass(slots=True)
class RecordingReader:
    """Reads a recording from its start. Once all is read: `unread_bytes`, what stood behind the last whole record.

    `is_damaged`: that is more than a record which was cut.
    """

    path: Path
    header: Mapping[str, Any]
    parts: Mapping[str, bytes]
    unread_bytes: int = 0
    is_damaged: bool = False
    is_closed_cleanly: bool = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a recording's header. Raises OSError, RecordingError."""
        with path.open("rb") as file:
            found = _read(file)
        if found is None or found[0] is not RecordKind.HEADER:
            raise RecordingError(f"{path}: is no recording; expected a file made by `bess run SITE --record FILE`")
        header = json.loads(found[1].pop("header"))
        if header["format"] != FORMAT:
            made = f"is of format {header['format']}, made by release {header.get('release')}"
            raise RecordingError(f"{path}: {made}; this release reads format {FORMAT}")
        return cls(path, header, found[1])

    def records(self) -> Iterator[dict[str, bytes]]:
        """Yield the parts of each record of scans; ends at the last whole one."""
        with self.path.open("rb") as file:
            end = 0
            while (found := _read(file)) is not None:
                end = file.tell()
                self.is_closed_cleanly = found[0] is RecordKind.END
                if found[0] is RecordKind.SCANS:
                    yield found[1]
            self.unread_bytes = file.seek(0, os.SEEK_END) - end
            self.is_damaged = self.unread_bytes > 0 and not _is_cut(file, end, self.unread_bytes)


def _head(kind: RecordKind, size: int, stored: bytes) -> bytes:
    checksum = crc32(stored, crc32(_CHECKED.pack(kind, size, len(stored))))
    return _HEAD.pack(_MAGIC, kind, size, len(stored), checksum)


def _is_cut(file: BinaryIO, start: int, size: int) -> bool:
    """Whether what stands there is the beginning of one record and nothing else."""
    file.seek(start)
    begin = file.read(_HEAD.size)
    if not (begin.startswith(_MAGIC) or _MAGIC.startswith(begin)):
        return False
    if len(begin) == _HEAD.size and _HEAD.unpack(begin)[3] + _HEAD.size <= size:
        return False
    rest = begin[len(_MAGIC) :]
    while chunk := file.read(_CHUNK):
        if _MAGIC in rest + chunk:
            return False
        rest = chunk[-len(_MAGIC) :]
    return True


def _read(file: BinaryIO) -> tuple[RecordKind, dict[str, bytes]] | None:
    """Return the next record, None where it is not whole; never raises for what the file holds."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    magic, kind, size, stored_size, checksum = _HEAD.unpack(head)
    if magic != _MAGIC or kind not in set(RecordKind) or max(size, stored_size) > _LARGEST_BODY:
        return None
    stored = file.read(stored_size)
    if len(stored) < stored_size or crc32(stored, crc32(_CHECKED.pack(kind, size, stored_size))) != checksum:
        return None
    try:
        body = decompress(stored, bufsize=max(size, 1))
        return (RecordKind(kind), unpack(body)) if len(body) == size else None
    except (error, ValueError, struct.error):
        return None
