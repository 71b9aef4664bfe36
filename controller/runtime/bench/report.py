"""`bess bench`: what this machine does, each figure beside a baseline of the same run; one JSON document.

Nothing here is a test: figures of a busy machine are pessimistic, the ratios to what stands beside them less so.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import uvloop

from controller.field_io.bench_field import bench_field
from controller.runtime.bench.estimation import bench_estimation
from controller.runtime.bench.faults import bench_faults
from controller.runtime.bench.link import bench_link
from controller.runtime.bench.loaded import bench_loaded
from controller.runtime.bench.offline import bench_rehearsal, bench_validation, demo_plant
from controller.runtime.bench.processes import bench_processes
from controller.runtime.bench.reaction import bench_reaction
from controller.runtime.bench.result import Result
from controller.runtime.clock import SystemClock
from controller.scada.modbus.bench import bench_modbus


def run_bench(racks: int = 240, *, faults: bool = False) -> dict[str, object]:
    """Measure everything with a demo plant of so many racks; or run the fault matrix on one of 24."""
    if faults:
        return {"machine": _machine(), **bench_faults()}
    results: list[Result] = [
        *bench_rehearsal(),
        *bench_validation(racks),
        *bench_validation(10 * racks),
        *bench_estimation(),
        *bench_link(racks),
        *bench_field(demo_plant(racks), SystemClock()),
        *bench_modbus(demo_plant(racks), uvloop.new_event_loop),
        *bench_processes(demo_plant(racks)),
        *bench_loaded(racks),
        *bench_reaction(),
    ]
    return {"machine": _machine(), "results": results}


def _machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
