"""What publishing and reading the snapshot cost on this machine, beside bare copies of the same bytes."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from controller.image.image import Image
from controller.image.layout import Field, Layout
from controller.image.quantities import Section
from controller.link.event_ring import EVENT
from controller.link.linked_plant import LinkedPlant
from controller.link.run_directory import RunDirectory
from controller.link.snapshot_file import SnapshotFile
from controller.link.snapshot_memory import SnapshotFormat
from controller.runtime.bench.result import Result, at_most
from controller.runtime.clock import SystemClock

PUBLISH_GOAL_US, READ_GOAL_US = 500.0, 500.0


def bench_link(racks: int = 240, cells: int = 240, rounds: int = 300) -> list[Result]:
    """Measure with a plant of 100 values and `cells` cells a rack; medians of `rounds`, in microseconds."""
    folder = Path(tempfile.mkdtemp(prefix="bess-bench-", dir="/dev/shm"))
    try:
        return _measure(RunDirectory(folder), _layout(racks, cells), rounds)
    finally:
        shutil.rmtree(folder)


def _layout(racks: int, cells: int) -> Layout:
    return Layout(
        [
            *(Field(f"bench.value_{n}", "<f8", (racks,), "", Section.RACKS) for n in range(100)),
            Field("bench.voltage", "<f4", (racks, cells), "V", Section.CELLS),
            Field("bench.temperature", "<f4", (racks, cells), "degC", Section.CELLS),
            Field("bench.quality", "u1", (racks, cells), "", Section.CELLS),
        ]
    )


def _measure(run: RunDirectory, layout: Layout, rounds: int) -> list[Result]:
    clock = SystemClock()
    racks_bytes, cells_bytes = (layout.section_size(section) for section in (Section.RACKS, Section.CELLS))
    form = SnapshotFormat(layout.hash, bytes(32), racks_bytes, cells_bytes)
    file, plant = SnapshotFile(run.snapshot, form, first_event=1), LinkedPlant(run, layout, bytes(32), clock)
    source, target = Image(layout), Image(layout)
    one_event = np.zeros(1, EVENT)

    def published(*, cells_changed: bool) -> None:
        file.publish(source, clock.mono_ns(), cells_changed=cells_changed)

    def publishing(*, cells_changed: bool) -> Callable[[], object]:
        return lambda: published(cells_changed=cells_changed)

    def copied() -> None:
        target.copy_from(source)

    def racks_copied() -> None:
        np.copyto(target.buffer(Section.RACKS), source.buffer(Section.RACKS))

    copy_us, racks_us = _median_us(copied, rounds), _median_us(racks_copied, rounds)
    publish_us = _median_us(lambda: published(cells_changed=True), rounds)
    for _ in range(3):
        published(cells_changed=False)
    publish_racks_us = _median_us(lambda: published(cells_changed=False), rounds)
    read_us = _median_us(plant.snapshot, rounds, before=publishing(cells_changed=True))
    read_racks_us = _median_us(plant.snapshot, rounds, before=publishing(cells_changed=False))
    unchanged_us = _median_us(plant.snapshot, rounds)
    event_us = _median_us(lambda: file.events.append(one_event), rounds)
    size = {"racks_bytes": racks_bytes, "cells_bytes": cells_bytes}
    return [
        at_most("link_publish", publish_us, "us", PUBLISH_GOAL_US, {"copy_us": copy_us, **size}),
        at_most("link_publish_racks_only", publish_racks_us, "us", PUBLISH_GOAL_US, {"copy_us": racks_us, **size}),
        at_most("link_read", read_us, "us", READ_GOAL_US, {"copy_us": copy_us, **size}),
        at_most("link_read_racks_only", read_racks_us, "us", READ_GOAL_US, {"copy_us": racks_us, **size}),
        at_most("link_read_unchanged", unchanged_us, "us", READ_GOAL_US, {}),
        at_most("link_event_append", event_us, "us", PUBLISH_GOAL_US, {}),
    ]


def _median_us(work: Callable[[], object], rounds: int, before: Callable[[], object] | None = None) -> float:
    durations_us = []
    for _ in range(rounds):
        if before is not None:
            before()
        begin_ns = time.perf_counter_ns()
        work()
        durations_us.append((time.perf_counter_ns() - begin_ns) / 1000)
    return round(statistics.median(durations_us), 1)
