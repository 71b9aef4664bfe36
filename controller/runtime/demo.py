"""`bess demo`: the packaged site, simulated on loopback sockets, and the controller run on it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.runtime.clock import SystemClock
from controller.runtime.face_process import until_first_done
from controller.runtime.folders import Folders
from controller.runtime.live_scenario import LiveScenario
from controller.runtime.run import NO, OK, RunOptions, run_site
from controller.runtime.status import line_of
from controller.simulator.scenario import read_scenario


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


class DemoShow:
    """What a person sees of the demo: a status line unless it is headless, and a scenario if one is played."""

    def __init__(self, options: DemoOptions, live: LiveScenario | None) -> None:
        """Take what was asked for."""
        self._options, self._live = options, live

    async def run(self, plant: Plant, folders: Folders, about: Mapping[str, object]) -> None:
        """Show until the scenario is over; without one for ever."""
        works = [] if self._options.headless else [_show_status(plant, folders)]
        works.append(_for_ever() if self._live is None else self._live.run(plant, folders, str(about["faults"])))
        await until_first_done(*works)

    def finish(self) -> int:
        """Print what failed; 1 if anything did."""
        if self._live is None:
            return OK
        failed = self._live.finish()
        if self._options.json:
            print(json.dumps({"scenario": self._options.scenario, "failed_expectations": failed}))
            return NO if failed else OK
        verdict = f"{len(failed)} failed" if failed else "everything as expected"
        print("\n".join([*(f"failed: {text}" for text in failed), f"scenario {self._options.scenario}: {verdict}"]))
        return NO if failed else OK


def run_demo(options: DemoOptions) -> int:
    """Run the demo in folders of its own, which go with it; a scenario is over when it is.

    Raises ValueError where the scenario can't be read, before anything is
    started.
    """
    live = None if options.scenario is None else LiveScenario(*read_scenario(options.scenario), SystemClock())
    with tempfile.TemporaryDirectory(prefix="bess-demo-") as folder:
        site = write_demo_site(Path(folder) / "site", options.racks)
        state = options.state or Path(folder) / "state"
        run = RunOptions(
            site, simulated=True, auto_ports=options.auto_ports, state=state, json=options.json,
            seconds=options.seconds, leaves_nothing=True,
        )  # fmt: skip
        return run_site(run, DemoShow(options, live))


async def _show_status(plant: Plant, folders: Folders) -> None:
    while True:
        print(f"\r{line_of(plant, folders)}", end="", flush=True)
        await asyncio.sleep(1.0)


async def _for_ever() -> None:
    await asyncio.Event().wait()
