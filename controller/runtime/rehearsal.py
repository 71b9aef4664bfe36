"""`bess rehearse`: controller and plant together in fake time, with a scenario, as fast as the machine goes."""

from __future__ import annotations

import datetime as dt
import math
import time
import zoneinfo
from dataclasses import asdict, dataclass, field
from pathlib import Path

from controller.control.commands import Command
from controller.control.sequences.plant import PlantState
from controller.image.data_periods import data_periods
from controller.plant.figures import counted, number, quantity
from controller.plant.model import Plant
from controller.plant.schedule import moment_of
from controller.plant.units import Dimension, parse_quantity
from controller.points.point_list import Point, point_list
from controller.protection.result import ProtectionResult
from controller.runtime.clock import FakeClock
from controller.runtime.event_rows import journal_rows
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.runtime.scan import ScanResult
from controller.runtime.scenario_steps import ExpectedPoints, operator_command
from controller.runtime.series import Series, is_trip, timed_events
from controller.scada.alarm_words import AlarmWords
from controller.scada.readings import PointReader
from controller.simulator.faults.commands import FaultCommand
from controller.simulator.faults.menu import FaultMenu
from controller.simulator.scenario import (
    Expectation,
    Operation,
    OperatorStep,
    Scenario,
    ScenarioError,
    Step,
    read_scenario,
    set_scene,
)

DEFAULT_HOURS = 1.0
USUAL_START_S, EXAMPLE_LASTS_S = 10.0, 900.0
"""Without a scenario an operator starts a plant that does not start by itself."""
NEVER_STARTED = (
    "nothing was started: this plant does not start by itself (controls.start.automatic), and no step started it;"
    " give the scenario a step {at: 10 s, do: start}"
)
_EXAMPLE = """nobody asked it for power: it has no schedule, and no scenario was given. For some, save as first.yaml
  schema: scenario/v1
  steps:
    - {{at: 10 s, do: start}}
    - {{at: 60 s, do: setpoint {power} for {lasting}}}
and run: bess rehearse SITE --scenario first.yaml --hours {hours}"""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What is to be rehearsed."""

    hours: float | None = None
    scan: str = "1 s"
    scenario: str | None = None
    seed: int = 1
    out: Path | None = None


@dataclass(slots=True)
class RehearsalResult:
    """What came of it."""

    hours: float
    seed: int
    scans: int = 0
    wall_s: float = 0.0
    energy_discharged_mwh: float = 0.0
    energy_charged_mwh: float = 0.0
    soc_start: float | None = None  # None: not known in any scan
    soc_end: float | None = None
    started: bool = False  # the plant was started, by itself or by a step
    example: str = ""  # a scenario to begin with, where nobody asked for power
    trips: int = 0
    alarms: int = 0
    failed_expectations: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # steps of an operator that the plant refused; no failure as such

    def as_json(self) -> dict[str, object]:
        """Return it as `--json` prints it."""
        return {key: value for key, value in asdict(self).items() if key != "example"}

    def as_text(self) -> str:
        """Return it for people."""
        speed = self.hours * 3600 / self.wall_s if self.wall_s else 0.0
        what_happened = f"{counted(self.trips, 'trip')}, {counted(self.alarms, 'alarm')}"
        lines = [
            f"{self.hours:g} h in {self.wall_s:.1f} s ({counted(self.scans, 'scan')}, {speed:.0f} times real time)",
            f"discharged {self.energy_discharged_mwh:.3f} MWh, charged {self.energy_charged_mwh:.3f} MWh",
            f"SOC {_percent(self.soc_start)} -> {_percent(self.soc_end)}; {what_happened}",
        ]
        lines += [] if self.started or self.refused else [NEVER_STARTED]
        lines += [self.example] if self.example else []
        lines += [f"refused: {text}" for text in self.refused]
        lines += [f"failed: {text}" for text in self.failed_expectations]
        return "\n".join(lines)


def rehearse_site(plant: Plant, rehearsal: Rehearsal) -> RehearsalResult:
    """Run a rehearsal and return what came of it.

    Raises:
        ValueError: The scenario or the scan period can't be read, or the scenario expects something of a point that
            is not there or has another unit; the text says where and why.
    """
    scenario = None if rehearsal.scenario is None else read_scenario(rehearsal.scenario)[1]
    hours = rehearsal.hours or _scenario_hours(scenario)
    require_known(scenario, plant)
    clock = None if scenario is None else _clock_at(plant, scenario.start_s)
    local = local_plant(plant, seed=rehearsal.seed, scan_period_s=_period_s(rehearsal.scan), clock=clock)
    result = RehearsalResult(hours, rehearsal.seed)
    result.example = "" if scenario is not None or plant.schedule else _example(plant)
    run = _Run(local, scenario, result, rehearsal.out)
    started = time.perf_counter()
    run.until(hours * 3600.0)
    run.result.wall_s = round(time.perf_counter() - started, 3)
    return run.result


def require_known(scenario: Scenario | None, plant: Plant) -> None:
    """See that every expectation is about a point of the plant, in its unit; ScenarioError names all that are not."""
    expected = ExpectedPoints(point_list(plant))
    steps = scenario.steps if scenario else ()
    wrong = [w for s in steps if isinstance(s.act, Expectation) and (w := expected.problem(s, s.act))]
    if wrong:
        raise ScenarioError("\n".join(["the scenario does not fit this site", *wrong]))


def _usual_start(plant: Plant) -> list[Step]:
    """Return what happens where no scenario says: an operator starts the plant, unless it does so by itself."""
    if plant.control.auto_start:
        return []
    return [Step(USUAL_START_S, OperatorStep(Operation.START), "start, as no scenario was given", 0)]


def _example(plant: Plant) -> str:
    """Return a scenario that asks this plant for half of its power, as long as one set-point may last."""
    lasting_s = min(plant.control.setpoint_timeout_max_s, EXAMPLE_LASTS_S)
    power = quantity(plant.poi.power_w / 2, "W")
    return _EXAMPLE.format(power=power, lasting=f"{number(lasting_s)} s", hours=number((lasting_s + 180) / 3600, 2))


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} %"


_STARTED = (PlantState.CONNECTING_RACKS, PlantState.STARTING_PCS, PlantState.RUNNING)


class _Run:
    """One rehearsal under way."""

    def __init__(self, local: LocalPlant, scenario: Scenario | None, result: RehearsalResult, out: Path | None) -> None:
        self.local, self.result = local, result
        self._steps = list(scenario.steps) if scenario else _usual_start(local.plant)
        self._given: list[tuple[Step, Command]] = []
        listed = point_list(local.plant)
        self._expected = ExpectedPoints(listed)
        self._reader = PointReader(data_periods(local.plant), AlarmWords(local.tables.alarms, local.clock))
        self._series = Series(out, listed)
        self._period_s = local.plant.control.scan_period_s
        self._time_s = 0.0
        self._tripped: ProtectionResult | None = None
        self._menu = FaultMenu(local.fake.devices)
        if scenario:
            set_scene(scenario, local.fake.devices.virtual.grid, 0.0)

    def until(self, end_s: float) -> None:
        """Run to the end; expectations beyond it count as failed."""
        while self._time_s < end_s - 1e-9:
            self._take_steps()
            scanned = self.local.advance(self._period_s)
            self._menu.advance()
            self._time_s += self._period_s
            self._note_refused()
            self._account(scanned)
        self._take_steps()
        self.result.failed_expectations += [
            f"{s.text} (not reached)" for s in self._steps if isinstance(s.act, Expectation)
        ]
        self._series.close()

    def _take_steps(self) -> None:
        while self._steps and self._steps[0].at_s <= self._time_s + 1e-9:
            self._take(self._steps.pop(0))

    def _take(self, step: Step) -> None:
        match step.act:
            case FaultCommand():
                answer = self._menu.execute(step.text)
                if answer != "ok":
                    self.result.failed_expectations.append(f"line {step.line}: {step.text}: {answer}")
            case OperatorStep():
                command = operator_command(step.act, self.local.plant, self.local.clock.mono_ns())
                self._given.append((step, self.local.give(command)))
            case Expectation():
                failure = self._expected.failure(step, step.act, self._shown)
                self.result.failed_expectations += [failure] if failure else []

    def _note_refused(self) -> None:
        for step, command in self._given:
            reply = self.local.reply(command)
            if reply is not None and not reply.accepted:
                line = f"line {step.line}: " if step.line else ""
                self.result.refused.append(f"{line}{step.text} (at {step.at_s:g} s): {reply.text}")
        self._given.clear()

    def _shown(self, point: Point) -> float | str | None:
        reading = self._reader.read_image(self.local.state.image, point, self.local.clock.mono_ns())
        return reading.value if isinstance(reading.value, (int, float, str)) else None

    def _account(self, scanned: ScanResult) -> None:
        image, result = self.local.state.image, self.result
        result.scans += 1
        result.started |= self.local.state.control.plant.sequence in _STARTED
        power_w = float(image["plant.active_power"].value[0])
        energy_mwh = 0.0 if math.isnan(power_w) else power_w * self._period_s / 3.6e9
        result.energy_discharged_mwh += max(energy_mwh, 0.0)
        result.energy_charged_mwh += max(-energy_mwh, 0.0)
        soc_ratio = float(image["plant.soc"].value[0])
        if not math.isnan(soc_ratio):
            result.soc_end = round(100.0 * soc_ratio, 3)
            result.soc_start = result.soc_end if result.soc_start is None else result.soc_start
        if scanned.alarm_events or scanned.control_events:
            self._note_events(scanned)
        self._series.add(self._time_s, self._shown)

    def _note_events(self, scanned: ScanResult) -> None:
        now_ns = self.local.clock.mono_ns()
        rows = journal_rows(scanned, self.local.plant, self.local.tables.alarms, now_ns, self.local.clock.utc_ns())
        for row in timed_events(rows, now_ns, self._time_s):
            self.result.alarms += row[1] == "raised"
            self.result.trips += is_trip(row)
            self._series.event(row)


def _scenario_hours(scenario: Scenario | None) -> float:
    if scenario is None or scenario.duration_s is None:
        last_s = max((s.at_s for s in scenario.steps), default=0.0) if scenario else 0.0
        return last_s / 3600.0 or DEFAULT_HOURS
    return scenario.duration_s / 3600.0


def _clock_at(plant: Plant, start_s: float) -> FakeClock:
    """Return a clock at a scenario's time of day where the site is, on the first Thursday of 2026."""
    midnight = moment_of(zoneinfo.ZoneInfo(plant.timezone), dt.date(2026, 1, 1), 0)
    return FakeClock(utc_ns=round((midnight.timestamp() + start_s) * 1e9))


def _period_s(text: str) -> float:
    period = parse_quantity(text, Dimension.TIME)
    if not isinstance(period, float) or period <= 0.0:
        raise ScenarioError(f"'{text}' is no scan period; expected such as 50ms or 1 s")
    return period
