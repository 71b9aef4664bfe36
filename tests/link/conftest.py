"""What the link's tests share: a folder on tmpfs, a small layout, commands, a clock."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.control.commands import Action, Command
from controller.image.layout import Field, Layout
from controller.image.quantities import Section
from controller.link.run_directory import filesystem_type
from controller.link.snapshot_memory import SnapshotFormat
from controller.runtime.clock import FakeClock

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def run_folder() -> Iterator[Path]:
    if not SHARED_MEMORY.is_dir() or filesystem_type(SHARED_MEMORY) != "tmpfs":
        pytest.skip("no tmpfs at /dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="bess-test-", dir=SHARED_MEMORY))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def layout() -> Layout:
    fields = [
        Field("rack.current.value", "<f8", (40,), "A", Section.RACKS),
        Field("rack.current.quality", "u1", (40,), "", Section.RACKS),
        Field("rack.current.time_ns", "<i8", (40,), "ns", Section.RACKS),
        Field("cell.voltage.value", "<f4", (40, 240), "V", Section.CELLS),
        Field("cell.voltage.quality", "u1", (40, 240), "", Section.CELLS),
        Field("cell.voltage.time_ns", "<i8", (40,), "ns", Section.CELLS),
    ]
    return Layout(fields)


@pytest.fixture
def form(layout: Layout) -> SnapshotFormat:
    racks, cells = (layout.section_size(section) for section in (Section.RACKS, Section.CELLS))
    return SnapshotFormat(layout.hash, b"s" * 32, racks, cells, event_records=64)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def command(clock: FakeClock) -> Callable[..., Command]:
    """Return a maker of commands: a set-point of 1 MW issued now, under an id of its own, unless told otherwise."""
    ids = itertools.count()

    def make(action: Action = Action.SET_ACTIVE_POWER, **other: Any) -> Command:
        fields: dict[str, Any] = {
            "id": f"id-{next(ids)}",
            "face": "opcua",
            "user": "ann",
            "role": "operator",
            "action": action,
            "target": "Plant",
            "value": 1e6 if action is Action.SET_ACTIVE_POWER else None,
            "issued_mono_ns": clock.mono_ns(),
        }
        return Command(**{**fields, **other})

    return make
