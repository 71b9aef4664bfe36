"""What needs no process but its own: a rehearsal, and validating a large site."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from controller.plant.demo_site import DEMO_RACKS, write_demo_site
from controller.plant.model import Plant
from controller.plant.site_loader import load_site_or_raise
from controller.runtime.bench.result import Result, at_most
from controller.runtime.local_plant import local_plant
from controller.runtime.rehearsal import Rehearsal, rehearse_site

DAY_GOAL_S, VALIDATE_GOAL_S = 60.0, 1.5
REHEARSED_HOURS = 0.1
_VALIDATE = """
import sys
from controller.cli import main
sys.argv = ["bess", "validate", sys.argv[1]]
main()
"""
_LIBRARIES = "import numpy, pydantic, typer, yaml"


def demo_plant(racks: int) -> Plant:
    """Return the demo's plant with a number of racks."""
    with tempfile.TemporaryDirectory(prefix="bess-bench-") as folder:
        return load_site_or_raise(write_demo_site(Path(folder), racks))


def bench_rehearsal() -> list[Result]:
    """Measure a rehearsal of the demo's 24 racks and project it to a day; beside it the simulated plant alone."""
    plant = demo_plant(DEMO_RACKS)
    done = rehearse_site(plant, Rehearsal(hours=REHEARSED_HOURS))
    days = REHEARSED_HOURS / 24.0
    beside = {
        "scans_per_s": round(done.scans / done.wall_s, 1),
        "hours_measured": REHEARSED_HOURS,
        "simulated_plant_alone_s": round(_simulator_s(plant, done.scans) / days, 1),
    }
    return [at_most("rehearse_24_racks_24_h", round(done.wall_s / days, 1), "s", DAY_GOAL_S, beside)]


def _simulator_s(plant: Plant, scans: int) -> float:
    local = local_plant(plant, seed=1)
    started_s = time.perf_counter()
    for _ in range(scans):
        local.clock.advance(plant.control.scan_period_s)
        local.fake.latest(local.clock.mono_ns())
    return time.perf_counter() - started_s


def bench_validation(racks: int) -> list[Result]:
    """Measure the CPU time of `bess validate` with so many racks, imports included; beside it bare library imports."""
    with tempfile.TemporaryDirectory(prefix="bess-bench-") as folder:
        site = write_demo_site(Path(folder), racks)
        value_s = _child_cpu_s(_VALIDATE, str(site))
    beside = {"racks": racks, "libraries_alone_s": _child_cpu_s(_LIBRARIES)}
    return [at_most("validate", value_s, "s CPU", VALIDATE_GOAL_S, beside)]


def _child_cpu_s(program: str, *words: str) -> float:
    before_s = _children_s()
    subprocess.run([sys.executable, "-c", program, *words], check=True, stdout=subprocess.DEVNULL)
    return round(_children_s() - before_s, 2)


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
