"""A controller with its simulated plant in their real processes, started for a benchmark and stopped behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.plant.demo_site import write_demo_site
from controller.runtime.folders import Folders, folders_of
from controller.runtime.status import Status, read_status

ROLES = ("control", "opcua", "modbus", "simulator")
LONGEST_WAIT_S = 60.0
SETTLING_S = 5.0
_BESS = "from controller.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Running:
    """What runs: the announcement, and where its things are."""

    about: dict[str, Any]
    folders: Folders
    site: Path

    def status(self) -> Status:
        """Return what `bess status` would say."""
        return read_status(self.folders.run)

    def told(self, role: str) -> dict[str, Any]:
        """Return what the supervisor says of a process."""
        told: dict[str, Any] = json.loads(self.folders.processes.read_text(encoding="utf-8"))[role]
        return told

    def cpu_s(self, role: str) -> float:
        """Return a process's user and system time so far, its children's not counted."""
        stat = Path(f"/proc/{self.told(role)['pid']}/stat").read_text(encoding="ascii").rpartition(")")[2]
        return sum(int(n) for n in stat.split()[11:13]) / os.sysconf("SC_CLK_TCK")


def wait(duration_s: float) -> None:
    """Let time pass."""
    threading.Event().wait(duration_s)


def until(condition: Callable[[], bool], longest_s: float = LONGEST_WAIT_S) -> float:
    """Wait for something that must come; return how long that took, at most `longest_s`."""
    started_s = time.perf_counter()
    while not condition() and time.perf_counter() - started_s < longest_s:
        wait(0.01)
    return time.perf_counter() - started_s


@contextmanager
def bess(words: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Run `bess` with these words and `--json`; yield what it announces, and stop it."""
    command = [sys.executable, "-c", _BESS, *words, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait()


@contextmanager
def running(racks: int, change: Callable[[str], str] = lambda text: text) -> Iterator[Running]:
    """Run the demo's site with so many racks on a simulated plant; `change` rewrites its site file."""
    with tempfile.TemporaryDirectory(prefix="bess-bench-") as folder:
        site, state = write_demo_site(Path(folder) / "site", racks), Path(folder) / "state"
        site.write_text(change(site.read_text(encoding="utf-8")), encoding="utf-8")
        with bess(["run", str(site), "--simulated", "--ports", "auto", "--state", str(state)]) as about:
            yield Running(about, folders_of("demo", simulated=True, state=state), site)


def with_scan(period: str) -> Callable[[str], str]:
    """Return the rewriting of a demo's site file to another scan period."""
    return lambda text: text.replace("scan: 250 ms", f"scan: {period}")
