"""Retained state survives as written, or is set aside: never half believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.runtime.retained import RetainedStateError, load, save


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
