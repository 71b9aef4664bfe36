"""Recordings on disk: readable up to the last whole record, whatever happened to the writer, the disk or the file."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from controller.runtime.recording import recording_file
from controller.runtime.recording.recording_file import RecordingError, RecordingReader, RecordingWriter, RecordKind

BODIES = [{"1": b"first" * 50, "2": b""}, {"3": bytes(range(256))}, {"4": b"last"}]


def _write(path: Path, *, end: bool = True) -> list[int]:
    """Write a recording; return where each record ends."""
    writer = RecordingWriter(path, {"release": "1.0"}, {"retained/control": b"state"})
    ends = [path.stat().st_size]
    for body in BODIES:
        writer.write(RecordKind.SCANS, body)
        ends.append(path.stat().st_size)
    if end:
        writer.write(RecordKind.END, {})
    writer.close()
    return ends


def _read(path: Path) -> tuple[list[dict[str, bytes]], RecordingReader]:
    reader = RecordingReader.open(path)
    return list(reader.records()), reader


def test_what_was_written_is_read(tmp_path: Path) -> None:
    _write(tmp_path / "a.rec")
    records, reader = _read(tmp_path / "a.rec")

    assert records == BODIES
    assert reader.header == {"format": 1, "release": "1.0"}
    assert reader.parts == {"retained/control": b"state"}
    assert (reader.is_closed_cleanly, reader.unread_bytes) == (True, 0)


def test_a_recording_cut_anywhere_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    whole = tmp_path / "a.rec"
    ends = _write(whole, end=False)
    data = whole.read_bytes()
    for size in range(ends[0], len(data)):
        cut = tmp_path / "cut.rec"
        cut.write_bytes(data[:size])
        records, reader = _read(cut)
        known = sum(end <= size for end in ends[1:])

        assert records == BODIES[:known]
        assert (reader.is_closed_cleanly, reader.is_damaged) == (False, False)
        assert reader.unread_bytes == size - ends[known]


def test_no_flipped_bit_is_taken_for_data(tmp_path: Path) -> None:
    whole = tmp_path / "a.rec"
    ends = _write(whole)
    data = whole.read_bytes()
    for place, bit in itertools.product(range(ends[0], ends[1]), (0, 7)):
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        (tmp_path / "b.rec").write_bytes(changed)

        records, reader = _read(tmp_path / "b.rec")
        assert (records, reader.is_damaged) == ([], True)


@pytest.mark.parametrize("content", [b"", b"BREC", b"no recording at all" * 10])
def test_another_file_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(RecordingError, match="is no recording"):
        RecordingReader.open(tmp_path / "x")


def test_another_format_is_refused_with_the_release_that_made_it(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "x", {"format": 99, "release": "9.9"}, {}).close()

    with pytest.raises(RecordingError, match=r"format 99, made by release 9\.9"):
        RecordingReader.open(tmp_path / "x")


def test_a_recording_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        RecordingWriter(tmp_path / "x", {}, {})
    assert (tmp_path / "x").read_bytes() == b"mine"


def test_a_full_disk_leaves_a_readable_file_and_the_rest_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RecordingWriter(tmp_path / "x", {}, {})
    writer.write(RecordKind.SCANS, BODIES[0])
    with monkeypatch.context() as full:
        full.setattr(recording_file, "SPARED_BYTES", 1 << 60)
        with pytest.raises(OSError, match="are left on the disk"):
            writer.write(RecordKind.SCANS, BODIES[1])
    writer.write(RecordKind.SCANS, BODIES[2])
    writer.close()

    assert _read(tmp_path / "x")[0] == [BODIES[0], BODIES[2]]
