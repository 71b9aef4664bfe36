"""A scenario in real time: its steps act on the simulator through the faults port, on the controller as SCADA does.

Time counts from the moment at which all faces answered. A step that can't be taken, and an expectation that is not
met or not reached, count as failed; a command that the plant refuses is told and is no failure by itself.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from controller.alarms.table import AlarmTable
from controller.image.data_periods import data_periods
from controller.link.linked_plant import LinkedPlant
from controller.link.sealed_site import load_sealed
from controller.plant.clock import Clock
from controller.plant.model import Plant
from controller.points.point_list import Point, point_list
from controller.runtime.folders import Folders
from controller.runtime.scan_state import image_layout
from controller.runtime.scenario_steps import ExpectedPoints, operator_command
from controller.scada.alarm_words import AlarmWords
from controller.scada.readings import PointReader
from controller.simulator.faults.commands import FaultCommand
from controller.simulator.faults.port import FaultPort
from controller.simulator.scenario import Expectation, OperatorStep, Scenario, Step


class LiveScenario:
    """One scenario on one running demo."""

    def __init__(self, path: Path, scenario: Scenario, clock: Clock, say: Callable[[str], None] | None = None) -> None:
        """Take the scenario; `say` is told each step as it is taken (else standard error is)."""
        self._path, self._scenario, self._clock = path, scenario, clock
        self._steps = list(scenario.steps)
        self._say = say or _to_standard_error
        self.failures: list[str] = []

    async def run(self, plant: Plant, folders: Folders, faults: str) -> None:
        """Take every step at its time and return at the scenario's end; `faults` is the simulator's port."""
        simulator = await FaultPort.connect(faults)
        controller = _Controller(plant, folders, self._clock)
        started_ns = self._clock.mono_ns()
        try:
            answer = await simulator.execute(f"scene {self._path.resolve()}")
            self.failures += [] if answer == "ok" else [f"profiles: {answer}"]
            while self._steps:
                await self._wait_until(started_ns, self._steps[0].at_s)
                await self._take(self._steps.pop(0), simulator, controller)
            await self._wait_until(started_ns, self._scenario.duration_s or 0.0)
        finally:
            simulator.close()

    def finish(self) -> list[str]:
        """Return everything that failed, the expectations that were not reached included."""
        left = [f"line {s.line}: {s.text} (not reached)" for s in self._steps if isinstance(s.act, Expectation)]
        return [*self.failures, *left]

    async def _wait_until(self, started_ns: int, at_s: float) -> None:
        await asyncio.sleep(max(at_s - (self._clock.mono_ns() - started_ns) * 1e-9, 0.0))

    async def _take(self, step: Step, simulator: FaultPort, controller: _Controller) -> None:
        failure: str | None = None
        remark = ""
        match step.act:
            case FaultCommand():
                answer = await simulator.execute(step.text)
                failure = None if answer == "ok" else f"line {step.line}: {step.text}: {answer}"
            case OperatorStep():
                remark = await controller.operate(step.act)
            case Expectation():
                failure = controller.failure(step, step.act)
        self.failures += [failure] if failure else []
        self._say(f"{step.at_s:8g} s  {failure or step.text + remark}")


class _Controller:
    """The running controller as a face sees it: snapshot and commands."""

    def __init__(self, plant: Plant, folders: Folders, clock: Clock) -> None:
        layout, sealed = image_layout(plant), load_sealed(folders.run.folder)
        self._view = LinkedPlant(folders.run, layout, sealed.hash, clock)
        self._reader = PointReader(data_periods(plant), AlarmWords(AlarmTable(plant), clock))
        self._expected = ExpectedPoints(point_list(plant))
        self._plant, self._clock = plant, clock

    async def operate(self, step: OperatorStep) -> str:
        """Give an operator's command; return what is to be said of the reply."""
        reply = await self._view.submit(operator_command(step, self._plant, self._clock.mono_ns()))
        return "" if reply.accepted else f" (refused: {reply.text})"

    def failure(self, step: Step, expectation: Expectation) -> str | None:
        """Return in words how an expectation is not met, None if it is."""
        snapshot, now_ns = self._view.snapshot(), self._clock.mono_ns()

        def shown(point: Point) -> float | str | None:
            value = self._reader.read(snapshot, point, now_ns).value
            return value if isinstance(value, (int, float, str)) else None

        return self._expected.failure(step, expectation, shown)


def _to_standard_error(text: str) -> None:
    sys.stderr.write(f"{text}\n")
