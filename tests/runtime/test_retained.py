"""Retained state survives as written, or is set aside: never half believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.runtime.clock import FakeClock
from controller.runtime.disk_writer import DiskWriter
from controller.runtime.retained import BEHIND, NUMBER, RetainedFile, RetainedStateError, load, mark_behind, save


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert load(tmp_path / "retained") == {}


@given(parts=st.dictionaries(st.text(min_size=1, max_size=10), st.binary(max_size=50), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_what_was_saved_is_loaded(tmp_path: Path, parts: dict[str, bytes]) -> None:
    save(tmp_path / "retained", parts, utc_ns=7)

    assert load(tmp_path / "retained") == {**parts, "saved_utc_ns": b"7"}


@pytest.mark.parametrize("cut", [0, 5, 19, 25, -1])
def test_a_torn_file_is_set_aside(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "retained"
    save(path, {"control": b"limits"}, utc_ns=1)
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(RetainedStateError, match="set aside"):
        load(path)
    assert (tmp_path / "retained.bad").exists()
    assert load(path) == {}


@given(where=st.integers(0, 70), flip=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_flipped_byte_is_noticed(tmp_path: Path, where: int, flip: int) -> None:
    path = tmp_path / "retained"
    save(path, {"control": b"limits and latches"}, utc_ns=1)
    data = bytearray(path.read_bytes())
    data[where % len(data)] ^= flip
    path.write_bytes(data)

    with pytest.raises(RetainedStateError):
        load(path)


def test_a_save_that_fails_marks_what_is_there_as_behind_and_the_next_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "retained"
    save(path, {"control": b"limits"}, utc_ns=1)
    mark_behind(path)

    assert load(path) == {"control": b"limits", "saved_utc_ns": b"1", BEHIND: b"a save failed"}
    save(path, {"control": b"limits"}, utc_ns=2)
    assert BEHIND not in load(path)
    mark_behind(tmp_path / "none")
    assert not (tmp_path / "none").exists()


async def test_what_the_disk_does_not_take_is_told_and_is_in_memory(tmp_path: Path) -> None:
    clock, path, spare = FakeClock(), tmp_path / "retained", tmp_path / "spare"
    disk = DiskWriter(clock)
    file = RetainedFile(path, disk, spare, number=7)
    file.save({"control": b"first"}, 1)
    await _until(path.exists)
    path.with_suffix(".new").mkdir()  # whatever stands in the way
    file.save({"control": b"second"}, 2)
    await _until(lambda: file.failing)

    assert load(path) == {"control": b"first", "saved_utc_ns": b"1", NUMBER: b"8", BEHIND: b"a save failed"}
    assert load(spare) == {"control": b"second", "saved_utc_ns": b"2", NUMBER: b"9"}
    path.with_suffix(".new").rmdir()
    file.save({"control": b"third"}, 3)
    await _until(lambda: not file.failing)
    assert load(path) == load(spare) == {"control": b"third", "saved_utc_ns": b"3", NUMBER: b"10"}
    disk.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
