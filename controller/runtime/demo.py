"""`bess demo`: the packaged site, simulated on loopback sockets, and the controller run on it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.runtime.folders import Folders
from controller.runtime.run import RunOptions, run_site
from controller.runtime.status import line_of


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `bess demo` was asked for."""

    racks: int = 24
    headless: bool = False
    seconds: float | None = None
    scenario: str | None = None
    auto_ports: bool = False
    state: Path | None = None
    json: bool = False


def run_demo(options: DemoOptions) -> int:
    """Run the demo in a folder of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="bess-demo-") as folder:
        site = write_demo_site(Path(folder) / "site", options.racks)
        state = options.state or Path(folder) / "state"
        run = RunOptions(
            site, simulated=True, auto_ports=options.auto_ports, state=state, json=options.json, seconds=options.seconds
        )
        return run_site(run, None if options.headless else _status_line)


def _status_line(plant: Plant, folders: Folders) -> str:
    return line_of(plant, folders)
