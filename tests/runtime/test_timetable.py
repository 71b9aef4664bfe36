"""The schedule in fake time: who commands when, what ends an entry, and who goes before it."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from controller.control.commands import Action, Command
from controller.control.events import EventKind
from controller.control.sequences.plant import PlantState
from controller.control.setpoints import ControlOwner, OperatingMode, SetpointSource
from controller.image.quality import Quality
from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.plant.schedule import ScheduledAction, ScheduleEntry, ScheduleMode
from controller.plant.site_loader import load_site_or_raise
from controller.runtime.clock import FakeClock
from controller.runtime.journal import read_events
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.runtime.rehearsal import Rehearsal, rehearse_site
from controller.runtime.timetable import Timetable
from tests.runtime.running_demo import PATIENCE_S, ended, private_runs, start, until
from tests.tidy.tree import REPOSITORY

MW = 1e6
DAILY = frozenset(range(7))
STEP_S = 1.0
NOON_UTC_S = 1_767_268_800  # Thursday 2026-01-01 12:00 UTC
LEASE_S = 5.0


def entry(name: str, start: str, end: str, mode: ScheduleMode, power_w: float = 0.0, soc: float | None = None):
    first, last = (60 * int(text[:2]) + int(text[3:]) for text in (start, end))
    return ScheduleEntry(name, DAILY, first, last, ScheduledAction(mode, power_w, 0.0, soc))


PEAK = entry("peak", "12:01", "12:03", ScheduleMode.POWER, 1.2 * MW)
REFILL = entry("refill", "12:03", "12:05", ScheduleMode.CHARGE_TO, -0.6 * MW, 0.95)


class Site:
    """The demo with a schedule, in UTC, its lease short; events are collected as they come."""

    def __init__(
        self, plant: Plant, *entries: ScheduleEntry, shared: bool = False, utc_s: int = NOON_UTC_S, zone: str = "UTC"
    ) -> None:
        control = replace(plant.control, shared_owner=shared, lease_s=LEASE_S, setpoint_timeout_s=10.0)
        plant = replace(plant, timezone=zone, schedule=entries, control=control)
        self.local: LocalPlant = local_plant(plant, scan_period_s=STEP_S, clock=FakeClock(utc_ns=utc_s * 10**9))
        self.events: list[tuple[float, EventKind, float, str]] = []
        self.time_s = 0.0

    def until(self, minute: float) -> None:
        """Run until so many minutes after noon."""
        while self.time_s < 60.0 * minute:
            self.step()

    def step(self) -> None:
        result = self.local.advance(STEP_S)
        self.time_s += STEP_S
        self.events += [(self.time_s, e.kind, e.after, e.actor) for e in result.control_events]

    def ask(self, power_w: float, face: str = "modbus", user: str = "ems") -> bool:
        """Write a set-point as another master; tell whether it was accepted."""
        now_ns = self.local.clock.mono_ns()
        command = Command(f"x{now_ns}", face, user, "operator", Action.SET_ACTIVE_POWER, "Plant", power_w, now_ns)
        self.local.give(command)
        self.step()
        reply = self.local.reply(command)
        assert reply is not None
        return reply.accepted

    @property
    def accepted_mw(self) -> float:
        return self.local.state.control.active.accepted / MW

    def owner(self) -> ControlOwner:
        return self.local.state.control.lease.owner_at(self.local.clock.mono_ns())

    def setpoint_events(self) -> list[tuple[float, str]]:
        return [(after / MW, who) for _, kind, after, who in self.events if kind is EventKind.SETPOINT_ACCEPTED]


@pytest.fixture
def plant(tmp_path) -> Plant:
    return load_site_or_raise(write_demo_site(tmp_path))


def test_an_entry_commands_from_its_beginning_to_its_end(plant):
    site = Site(plant, PEAK, REFILL)
    site.until(0.9)
    assert site.accepted_mw == 0.0
    assert site.owner() is ControlOwner.NONE
    site.until(2.9)
    assert site.accepted_mw == 1.2
    assert site.owner() is ControlOwner.SCHEDULE
    assert site.local.state.control.active.source is SetpointSource.SCHEDULE
    power_w = site.local.state.image["plant.active_power"].value[0]
    assert power_w == pytest.approx(1.2 * MW, rel=0.05)
    site.until(3.1)
    assert site.accepted_mw == -0.6


def test_each_change_is_an_event_that_names_the_entry(plant):
    site = Site(plant, PEAK, REFILL)
    site.until(5.5)
    assert site.setpoint_events() == [(1.2, "schedule:peak"), (-0.6, "schedule:refill"), (0.0, "schedule:refill")]
    begun = [time_s for time_s, kind, _, _ in site.events if kind is EventKind.SETPOINT_ACCEPTED]
    assert begun == [pytest.approx(at_s, abs=STEP_S) for at_s in (60.0, 180.0, 300.0)]


def test_after_the_last_entry_the_set_point_runs_out_to_the_fall_back(plant):
    site = Site(plant, PEAK)
    site.until(3.5)
    active = site.local.state.control.active
    assert active.mode is OperatingMode.FALLBACK
    assert EventKind.SETPOINT_RAN_OUT in {kind for _, kind, _, _ in site.events}
    assert site.owner() is ControlOwner.NONE


def test_a_schedule_that_falls_silent_runs_out(plant):
    site = Site(plant, PEAK)
    site.until(2.0)
    site.local.timetable = Timetable(replace(site.local.plant, schedule=()), 0)  # as if nobody asked any more
    site.until(2.5)
    assert site.accepted_mw == 0.0
    assert site.local.state.control.active.mode is OperatingMode.FALLBACK


@pytest.mark.parametrize(("power_w", "soc"), [(-1.2 * MW, 0.501), (1.2 * MW, 0.499)])
def test_a_state_of_charge_ends_the_power_of_an_entry_for_good(plant, power_w, soc):
    mode = ScheduleMode.CHARGE_TO if power_w < 0 else ScheduleMode.DISCHARGE_TO
    site = Site(plant, entry("to", "12:01", "12:20", mode, power_w, soc))
    site.until(4.0)
    shown = site.local.state.image["plant.soc"].value[0]
    assert [mw for mw, _ in site.setpoint_events()] == [power_w / MW, 0.0]
    assert shown == pytest.approx(soc, abs=0.003)
    assert site.owner() is ControlOwner.SCHEDULE


def test_idle_is_a_command_of_zero(plant):
    site = Site(plant, entry("night", "12:01", "12:03", ScheduleMode.IDLE))
    site.until(2.0)
    assert site.owner() is ControlOwner.SCHEDULE
    assert site.accepted_mw == 0.0


def test_an_entry_waits_for_the_lease_of_another_master(plant):
    site = Site(plant, PEAK)
    site.until(0.9)
    while site.time_s < 90.0:
        assert site.ask(0.3 * MW)
    assert site.accepted_mw == 0.3
    site.until(1.8)  # it has fallen silent, and its lease has ended
    assert site.accepted_mw == 1.2
    assert not site.ask(0.3 * MW)  # now the schedule has the lease


def test_whoever_takes_control_keeps_it_until_the_next_entry(plant):
    site = Site(plant, PEAK, REFILL)
    site.until(2.0)
    now_ns = site.local.clock.mono_ns()
    site.local.give(Command("t", "modbus", "ems", "operator", Action.TAKE_CONTROL, "Plant", None, now_ns))
    site.step()
    assert site.ask(0.3 * MW)
    site.until(2.8)
    assert site.accepted_mw == 0.0  # it has run out; the schedule does not step in
    assert not any(who == "schedule:peak" for time_s, *_, who in site.events if time_s > 121.0)
    site.until(3.2)
    assert site.accepted_mw == -0.6


def test_where_all_are_one_owner_the_last_write_counts_until_the_next_entry(plant):
    site = Site(plant, PEAK, REFILL, shared=True)
    site.until(2.0)
    assert site.ask(0.3 * MW)
    site.until(2.1)
    assert site.accepted_mw == 0.3
    site.until(3.1)
    assert site.accepted_mw == -0.6


def test_a_schedule_starts_nothing_and_goes_on_after_a_stop_and_a_start(plant):
    site = Site(plant, entry("long", "12:01", "12:30", ScheduleMode.POWER, 1.0 * MW))
    site.until(2.0)
    site.local.command(Action.STOP)
    site.until(4.0)
    assert site.local.state.control.plant.sequence is PlantState.OFF
    assert site.accepted_mw == 0.0
    site.local.command(Action.START)
    site.until(5.0)
    assert site.accepted_mw == 1.0


def test_a_restarted_controller_waits_for_a_lease_and_goes_on(plant):
    site = Site(plant, entry("long", "12:01", "12:30", ScheduleMode.POWER, 1.0 * MW))
    site.until(2.0)
    site.local.restart(silence_s=2.0)
    site.step()
    assert site.owner() is ControlOwner.NONE
    assert site.accepted_mw == 0.0
    site.until(3.0)
    assert site.accepted_mw == 1.0


def test_an_unknown_state_of_charge_ends_the_power_that_depends_on_it(plant):
    site = Site(plant, entry("to", "12:01", "12:20", ScheduleMode.DISCHARGE_TO, 1.0 * MW, 0.2))
    site.until(2.0)
    assert site.accepted_mw == 1.0
    site.local.state.image["plant.soc"].quality[0] = Quality.NO_COMMUNICATION
    now_ns = site.local.clock.mono_ns()
    asked = site.local.timetable.commands(site.local.state, now_ns, site.local.clock.utc_ns())
    assert [command.value for command in asked] == [0.0]


@pytest.mark.parametrize(
    ("five_local_utc_s", "day"),
    [(1_774_749_600, "of 23 hours"), (1_792_897_200, "of 25 hours")],  # 2026-03-29 02:00 UTC, 2026-10-25 03:00 UTC
)
def test_on_days_of_clock_changes_the_clock_on_the_wall_counts(plant, five_local_utc_s, day):
    morning = entry("morning", "05:00", "06:00", ScheduleMode.POWER, 1.0 * MW)
    site = Site(plant, morning, utc_s=five_local_utc_s - 60, zone="Europe/Helsinki")
    site.until(0.9)
    assert site.accepted_mw == 0.0, day
    site.until(1.2)
    assert site.accepted_mw == 1.0, day


def test_a_clock_that_is_set_back_is_followed(plant):
    site = Site(plant, PEAK)
    site.until(2.0)
    site.local.clock.step_utc(-86_400.0 - 90.0)
    site.until(2.4)
    assert site.accepted_mw == 0.0
    site.until(3.7)
    assert site.accepted_mw == 1.2


EVENING = """schema: scenario/v1
start: "16:58"
hours: 0.08
steps:
  - {at: 5 s, do: start}
  - {at: 118 s, expect: "Plant.ControlOwner = 0"}
  - {at: 122 s, expect: "Plant.ControlOwner = 3"}
  - {at: 122 s, expect: "Plant.ActivePowerAccepted = 1.5 MW"}
  - {at: 200 s, expect: "Plant.ActivePower = 1.5 MW +- 5 %"}
"""


def test_a_rehearsal_follows_the_schedule_at_the_scenario_s_local_time(tmp_path):
    (tmp_path / "evening.yaml").write_text(EVENING, encoding="utf-8")
    twins = load_site_or_raise(REPOSITORY / "site_configs" / "coast_twins")
    assert twins.timezone == "Europe/Helsinki"
    twins = replace(twins, control=replace(twins.control, ramp_w_per_s=50e3))
    result = rehearse_site(twins, Rehearsal(scenario=str(tmp_path / "evening.yaml")))
    assert result.failed_expectations == []
    assert result.energy_discharged_mwh > 0.03


ALL_DAY = """
schedule:
  - {name: all day, from: "00:00", to: "24:00", do: {mode: power, power: 300 kW}}
"""


async def test_the_real_controller_follows_the_schedule(tmp_path):
    site = write_demo_site(tmp_path / "site")
    text = site.read_text(encoding="utf-8").replace("owner: {shared: yes}", "owner: {shared: yes, lease: 1 s}")
    site.write_text(text + ALL_DAY, encoding="utf-8")
    state = tmp_path / "state"
    words = ["run", str(site), "--simulated", "--ports", "auto", "--json", "--state", str(state)]
    with private_runs() as runs:
        process = await start(words, runs)
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            assert json.loads(await process.stdout.readline())["pids"]
        await until(lambda: bool(schedule_rows(state)))
        process.send_signal(signal.SIGTERM)
        code, _, messages = await ended(process)
    assert code == 0, messages
    (row,) = schedule_rows(state)
    assert row[7] == pytest.approx(300e3)


def schedule_rows(state: Path) -> list[tuple[object, ...]]:
    """Return what the journal holds of the schedule."""
    path = state / "journal.sqlite"
    rows = read_events(path) if path.exists() else []
    return [tuple(row) for row in rows if row[10] == "schedule:all day"]
