"""A whole demo in its processes: what control takes, how late its scans are, how soon a killed face is back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from controller.runtime.bench_result import Result, at_most
from controller.runtime.folders import Folders, folders_of
from controller.runtime.pacing import Lateness
from controller.runtime.status import read_status

CONTROL_GOAL_PERCENT, LATENESS_GOAL_RATIO = 20.0, 3.0
FACE_GOALS_S = {"opcua": 5.0, "modbus": 2.0}
WINDOW_S, SETTLING_S = 18.0, 5.0
LONGEST_RUN_S, LONGEST_WAIT_S = 600.0, 60.0
_TICK_S = 0.05
_ROLES = ("control", "opcua", "modbus", "simulator")
_LIBRARY_OF = {"opcua": "import asyncua", "modbus": "import numpy, yaml, pydantic"}
_BESS = "from controller.cli import main; main()"


def bench_processes(racks: int) -> list[Result]:
    """Run a demo with so many racks, watch it for a while, then kill each face once."""
    with _demo(racks) as (pids, folders):
        threading.Event().wait(SETTLING_S)
        before_s, started_s = _cpu_s(pids), time.perf_counter()
        empty = asyncio.run(_empty_loop())
        elapsed_s, after_s = time.perf_counter() - started_s, _cpu_s(pids)
        shares = {role: round(100 * (after_s[role] - before_s[role]) / elapsed_s, 1) for role in _ROLES}
        results = [_control_share(shares, racks, elapsed_s), _lateness(folders, empty)]
        return results + [_restart(role, pids[role], folders) for role in FACE_GOALS_S]


def _control_share(shares: dict[str, float], racks: int, elapsed_s: float) -> Result:
    beside = {f"{role}_percent": share for role, share in shares.items() if role != "control"}
    beside |= {"racks": racks, "window_s": round(elapsed_s, 1)}
    return at_most("control_cpu", shares["control"], "% of a core", CONTROL_GOAL_PERCENT, beside)


def _lateness(folders: Folders, empty: Lateness) -> Result:
    """Compare the scans' lateness since their start with that of an empty loop during the window."""
    scan = read_status(folders.run).scan
    value_ms, empty_ms = scan["scan_lateness_p99"] * 1e3, empty.percentile_s(0.99) * 1e3
    beside = {
        "empty_loop_p99_ms": round(empty_ms, 3),
        "p50_ms": round(scan["scan_lateness_p50"] * 1e3, 3),
        "empty_loop_p50_ms": round(empty.percentile_s(0.5) * 1e3, 3),
        "scans": scan["scan_count"],
        "scans_skipped": scan["scan_overruns"],
    }
    return at_most("scan_lateness_p99", round(value_ms, 3), "ms", round(LATENESS_GOAL_RATIO * empty_ms, 3), beside)


async def _empty_loop() -> Lateness:
    """Wake on a fixed grid for the window and do nothing."""
    lateness, due_s = Lateness(), time.perf_counter()
    for _ in range(round(WINDOW_S / _TICK_S)):
        due_s += _TICK_S
        await asyncio.sleep(due_s - time.perf_counter())
        lateness.add(max(time.perf_counter() - due_s, 0.0))
    return lateness


def _restart(role: str, pid: int, folders: Folders) -> Result:
    """Kill a face and wait until another one says that it serves; beside it the mere loading of its libraries."""
    os.kill(pid, signal.SIGKILL)
    started_s = time.perf_counter()
    while not _is_back(folders, role, pid) and time.perf_counter() - started_s < LONGEST_WAIT_S:
        threading.Event().wait(0.02)
    value_s = round(time.perf_counter() - started_s, 2)
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", _LIBRARY_OF[role]], check=True)
    beside = {"libraries_alone_s": round(time.perf_counter() - started_s, 2)}
    return at_most(f"{role}_back_after_kill", value_s, "s", FACE_GOALS_S[role], beside)


def _is_back(folders: Folders, role: str, old_pid: int) -> bool:
    told = json.loads(folders.processes.read_text(encoding="utf-8"))[role]
    return bool(told["ready"] and told["pid"] not in {0, old_pid})


def _cpu_s(pids: dict[str, int]) -> dict[str, float]:
    """Return each process's user and system time so far, its children's not counted."""
    ticks = os.sysconf("SC_CLK_TCK")
    spent = {role: Path(f"/proc/{pids[role]}/stat").read_text(encoding="ascii").rpartition(")")[2] for role in _ROLES}
    return {role: sum(int(n) for n in text.split()[11:13]) / ticks for role, text in spent.items()}


@contextmanager
def _demo(racks: int) -> Iterator[tuple[dict[str, int], Folders]]:
    """Run a demo, yield its pids and folders once its faces answer, and stop it."""
    with tempfile.TemporaryDirectory(prefix="bess-bench-") as folder:
        state = Path(folder) / "state"
        words = ["demo", "--racks", str(racks), "--json", "--ports", "auto", "--state", str(state)]
        words += ["--for", str(LONGEST_RUN_S)]
        command = [sys.executable, "-c", _BESS, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told: dict[str, Any] = json.loads(process.stdout.readline())
            try:
                yield told["pids"], folders_of("demo", simulated=True, state=state)
            finally:
                process.terminate()
                process.wait()
