"""`bess bench --faults`: the fault matrix, row by row, on the demo's plant: what is seen, and after how long.

The rows are data: `library/fault_matrix.yaml`. A row is `pass` if what must be seen was seen within its deadline and
what must hold has held; `fail` if not; else it says why it is not run here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import yaml

from controller.alarms.states import Condition
from controller.alarms.system_alarms import SystemAlarm
from controller.control.commands import Action, Command
from controller.image.data_periods import data_periods
from controller.image.outputs import WriteState
from controller.image.quality import WORST_USABLE
from controller.plant.demo_site import DEMO_RACKS
from controller.plant.model import Plant
from controller.plant.site_files import LIBRARY
from controller.points.point_list import point_list
from controller.runtime.bench.offline import demo_plant
from controller.runtime.bench.run import running, until
from controller.runtime.clock import SystemClock
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.runtime.scan_state import State, Tables
from controller.runtime.scenario_steps import operator_command
from controller.runtime.socket_plant import SocketPlant
from controller.scada.readings import PointReader, Reading
from controller.simulator.faults.commands import FaultCommand
from controller.simulator.faults.menu import FaultMenu
from controller.simulator.scenario import OperatorStep, parse_act, parse_expectation

STEADY_S, WATCHED_S, SOCKETS_STEADY_S = 30.0, 5.0, 12.0
RENEWED_EACH_S, POWER_W = 4.0, 1e6
_ACTIVE = Condition.ACTIVE

Row = dict[str, Any]


class Running(Protocol):
    """A controller on a plant: its tables and state, after its last scan."""

    tables: Tables
    state: State


class Seen:
    """What a running controller shows, asked in the words of the matrix."""

    def __init__(self, of: Running, now_ns: Callable[[], int]) -> None:
        """Find the points, and remember which alarms stand already."""
        self.of, self._now_ns = of, now_ns
        self._points = point_list(of.tables.plant).by_tag()
        self._reader = PointReader(data_periods(of.tables.plant))
        self._alarms_before = self._standing()

    def holds(self, text: str, *, unknown: bool = False) -> bool:
        """Tell whether it is so now; `unknown` is what counts where there is no good value."""
        match text.split():
            case ["bad", tag]:
                return self._read(tag).quality > WORST_USABLE
            case ["alarm", name]:
                conditions = self.of.state.conditions.conditions.state
                return bool((conditions[self.of.tables.alarms.system(SystemAlarm(name)).place] == _ACTIVE).any())
            case ["any", "alarm"]:
                return self._standing() > self._alarms_before
            case ["failed", signal_name, index]:
                return bool(self.of.state.outputs[signal_name].state[int(index)] == WriteState.FAILED)
        expected = parse_expectation(text)
        value = self._read(expected.tag).value
        if value is None or not isinstance(value, (int, float, str)):
            return unknown
        return expected.is_met(value, self._points[expected.tag].unit)

    def _read(self, tag: str) -> Reading:
        return self._reader.read_image(self.of.state.image, self._points[tag], self._now_ns())

    def _standing(self) -> int:
        return int((self.of.state.conditions.conditions.state == _ACTIVE).sum())


def bench_faults(seed: int = 1, only: Sequence[str] = ()) -> dict[str, list[Row]]:
    """Run every row that can be run and return them all, in the form that the contract states."""
    plant = demo_plant(DEMO_RACKS)
    rows = yaml.safe_load((LIBRARY / "fault_matrix.yaml").read_text(encoding="utf-8"))["rows"]
    return {"rows": [_run(row, plant, seed) for row in rows if not only or row["id"] in only]}


def _run(row: Row, plant: Plant, seed: int) -> Row:
    told: Row = {"id": row["id"], "seed": seed, "fault": row["fault"], "result": "not applicable yet"}
    told |= {"reaction_s": None, "deadline_s": row.get("within")}
    if "why" in row:
        if row["why"].startswith(("run by", "measured by")):
            told["result"] = "not run here"
        return told | {"reason": row["why"]}
    match row["where"]:
        case "time":
            reaction_s, broken = _in_fake_time(row, plant, seed)
        case "sockets":
            reaction_s, broken = asyncio.run(_on_sockets(row, plant, seed))
        case _:
            reaction_s, broken = _on_processes(row), ""
    in_time = reaction_s is not None and reaction_s <= row["within"] and not broken
    told |= {"result": "pass" if in_time else "fail", "reaction_s": reaction_s}
    return told | ({"reason": broken or "not seen"} if not in_time and (broken or reaction_s is None) else {})


# ----------------------------------------------------------------------------------------------------------- fake time


def _in_fake_time(row: Row, plant: Plant, seed: int) -> tuple[float | None, str]:
    local = local_plant(plant, seed=seed)
    menu, period_s = FaultMenu(local.fake.devices), plant.control.scan_period_s
    for text in row.get("first", ()):
        _require_ok(menu.execute(text))
    _advance(local, menu, STEADY_S - WATCHED_S, renewing=True)
    _advance(local, menu, WATCHED_S, renewing=True)
    seen = Seen(local, local.clock.mono_ns)
    renewing = True
    for text in row["do"]:
        match text.split():
            case ["pause", duration, "s"]:
                renewing = False
                _advance(local, menu, float(duration), renewing=False)
            case ["clock", duration, "s"]:
                local.clock.step_utc(float(duration))
            case _:
                renewing &= not text.startswith("setpoint")
                _act(text, local, menu)
    started_ns, reaction_s, broken = local.clock.mono_ns() + round(row.get("hidden", 0.0) * 1e9), None, ""
    while (local.clock.mono_ns() - started_ns) * 1e-9 < row["within"] + WATCHED_S:
        _advance(local, menu, period_s, renewing=renewing)
        if reaction_s is None and seen.holds(row["seen"]):
            reaction_s = round((local.clock.mono_ns() - started_ns) * 1e-9, 3)
        if (kept := row.get("kept")) and not seen.holds(kept, unknown=True):
            broken = f"no longer: {kept}"
    return reaction_s, broken


def _advance(local: LocalPlant, menu: FaultMenu, duration_s: float, *, renewing: bool) -> None:
    period_s = local.plant.control.scan_period_s
    for number in range(round(duration_s / period_s)):
        if renewing and number % round(RENEWED_EACH_S / period_s) == 0:
            local.command(Action.SET_ACTIVE_POWER, value=POWER_W)
        local.advance(period_s)
        menu.advance()


def _act(text: str, local: LocalPlant, menu: FaultMenu) -> None:
    act = parse_act(text)
    if isinstance(act, FaultCommand):
        _require_ok(menu.execute(text))
    elif isinstance(act, OperatorStep):
        given = operator_command(act, local.plant, local.clock.mono_ns())
        local.command(given.action, given.target, given.value)


def _require_ok(answer: str) -> None:
    if answer != "ok":
        raise ValueError(f"the fault matrix asks for what can't be done: {answer}")


# ------------------------------------------------------------------------------------------------------------- sockets


async def _on_sockets(row: Row, plant: Plant, seed: int) -> tuple[float | None, str]:
    clock = SystemClock()
    async with SocketPlant(plant, clock, seed).running() as socket_plant:
        await _for_a_time(socket_plant, SOCKETS_STEADY_S, _never)
        seen = Seen(socket_plant, clock.mono_ns)
        for text in row["do"]:
            _require_ok(socket_plant.simulation.menu.execute(text))
        started_ns, broken = clock.mono_ns(), ""

        def over() -> bool:
            nonlocal broken
            if (kept := row.get("kept")) and not seen.holds(kept, unknown=True):
                broken = f"no longer: {kept}"
            return seen.holds(row["seen"])

        found = await _for_a_time(socket_plant, row["within"] + WATCHED_S, over)
        reaction_s = round((clock.mono_ns() - started_ns) * 1e-9, 3) if found else None
    return reaction_s, broken


def _never() -> bool:
    return False


async def _for_a_time(of: SocketPlant, duration_s: float, over: Callable[[], bool]) -> bool:
    """Look after each scan until something is so; return whether it was."""
    end_ns, number = of.clock.mono_ns() + round(duration_s * 1e9), 0
    while of.clock.mono_ns() < end_ns:
        await of.scanned.wait()
        if over():
            return True
        number += 1
        if number % 8 == 0:
            now_ns = of.clock.mono_ns()
            number_id, action = f"bench-{now_ns}", Action.SET_ACTIVE_POWER
            of.command(Command(number_id, "bench", "bench", "operator", action, "Plant", POWER_W, now_ns))
    return False


# ----------------------------------------------------------------------------------------------------------- processes


def _on_processes(row: Row) -> float:
    """Kill or stop control and return after how long another one runs."""
    with running(DEMO_RACKS) as run:
        before = run.told("control")["pid"]
        os.kill(before, signal.Signals[f"SIG{row['do'][0]}"])
        return round(until(lambda: run.told("control")["ready"] and run.told("control")["pid"] != before), 2)
