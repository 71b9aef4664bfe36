"""A rig of the whole plant in fake time: controller, simulated devices and the fault menu, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from controller.alarms.states import STANDING, UNACKED
from controller.control.commands import Action, Reply
from controller.image.data_periods import data_periods
from controller.image.quality import Quality
from controller.plant.model import Plant
from controller.points.point_list import point_list
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.scada.alarm_words import AlarmWords
from controller.scada.readings import PointReader, Reading
from controller.simulator.faults.menu import FaultMenu

STEP_S = 0.25
MW = 1e6


@dataclass
class PlantRig:
    """The demo plant and its fault menu; values are read as a face reads them."""

    local: LocalPlant
    step_s: float = STEP_S

    def __post_init__(self) -> None:
        self.menu = FaultMenu(self.local.fake.devices)
        self._reader = PointReader(
            data_periods(self.local.plant), AlarmWords(self.local.tables.alarms, self.local.clock)
        )
        self._points = point_list(self.local.plant).by_tag()

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass, scan by scan."""
        for _ in range(round(seconds / self.step_s)):
            self.menu.advance()
            each()
            self.local.advance(self.step_s)

    def hold(self, power_w: float, seconds: float) -> None:
        """Keep a set-point renewed for a time."""
        self.run(seconds, lambda: self._ask(power_w))

    def _ask(self, power_w: float) -> None:
        self.local.command(Action.SET_ACTIVE_POWER, value=power_w)

    def do(self, action: Action, target: str = "Plant") -> Reply:
        """Give a command and return its reply."""
        command = self.local.command(action, target)
        self.local.advance(self.step_s)
        reply = self.local.reply(command)
        assert reply is not None
        return reply

    def fault(self, line: str) -> None:
        """Carry out a line of the fault menu."""
        assert self.menu.execute(line) == "ok"

    def value(self, tag: str) -> object:
        """Return a point's value as a face shows it, None where its quality is bad."""
        return self._read(tag).value

    def number(self, tag: str) -> float:
        """Return a point's value, which must be a number."""
        value = self.value(tag)
        assert isinstance(value, int | float), f"{tag} is {value!r} ({self.quality(tag).name})"
        return float(value)

    def quality(self, tag: str) -> Quality:
        """Return a point's quality as a face judges it now."""
        return Quality(self._read(tag).quality)

    def _read(self, tag: str) -> Reading:
        return self._reader.read(self.local.snapshot(), self._points[tag], self.local.clock.mono_ns())

    def alarms(self, *, unacknowledged: bool = False) -> set[str]:
        """Return the alarms that stand (or wait for an acknowledge) as `equipment name`."""
        table, alarms = self.local.tables.alarms, self.local.state.alarms
        found = np.flatnonzero(np.isin(alarms.state, list(UNACKED if unacknowledged else STANDING)))
        return {f"{table.equipment.name(int(table.equipment_number[i]))} {table.locate(int(i))[0].name}" for i in found}

    def alarm_value(self, name: str) -> float:
        """Return the value that an alarm (`equipment name`) came with."""
        table = self.local.tables.alarms
        for index in range(table.size):
            if name == f"{table.equipment.name(int(table.equipment_number[index]))} {table.locate(index)[0].name}":
                return float(self.local.state.conditions.conditions.value[index])
        raise KeyError(name)


def rig_of(plant: Plant, *, automatic: bool = True, **controls: Any) -> PlantRig:
    """Return a rig that stands before its first scan."""
    control = replace(plant.control, auto_start=automatic, **controls)
    return PlantRig(local_plant(replace(plant, control=control), seed=1))


@pytest.fixture
def running(demo_plant: Plant) -> PlantRig:
    """Return the demo plant, started by itself and ready at zero."""
    rig = rig_of(demo_plant)
    rig.run(30.0)
    assert rig.value("Plant.State") == 3
    return rig
