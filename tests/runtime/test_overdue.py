"""A lock-out past its date is an alarm of the running controller, not the end of the lock-out."""

from __future__ import annotations

from pathlib import Path

from controller.alarms.states import AlarmState
from controller.alarms.system_alarms import SystemAlarm
from controller.plant.demo_site import demo_site_files
from controller.plant.site_loader import load_site_or_raise
from controller.runtime.local_plant import LocalPlant, local_plant

DAY_S = 86_400.0
EXCEPTIONS = """
exceptions:
  B01-R01: {state: locked_out, reason: "smell of electrolyte", by: k.laine, until: 2026-01-01}
  B01-R02: {state: out_of_service, reason: "module 4 returned", by: k.laine, until: 2026-01-02}
  B01-R03: {state: locked_out, reason: "no date", by: k.laine}
"""


def started(folder: Path) -> LocalPlant:
    for name, text in demo_site_files().items():
        (folder / name).write_text(text + (EXCEPTIONS if name == "site.yaml" else ""), encoding="utf-8")
    return local_plant(load_site_or_raise(folder), scan_period_s=1.0)


def active(local: LocalPlant, alarm: SystemAlarm) -> list[int]:
    states = local.state.alarms.state[local.tables.alarms.system(alarm).place]
    return [rack for rack, state in enumerate(states) if state == AlarmState.UNACKED_ACTIVE]


def test_an_exception_is_overdue_from_the_end_of_its_day_at_the_site(tmp_path):
    local = started(tmp_path)  # the fake clock begins at noon UTC of 2026-01-01, six in the morning in Chicago

    local.advance(1.0)
    assert active(local, SystemAlarm.LOCK_OUT_OVERDUE) == []
    local.clock.step_utc(17.9 * 3600)
    local.advance(1.0)
    assert active(local, SystemAlarm.LOCK_OUT_OVERDUE) == []
    local.clock.step_utc(0.2 * 3600)
    local.advance(1.0)
    assert active(local, SystemAlarm.LOCK_OUT_OVERDUE) == [0]
    assert active(local, SystemAlarm.OUT_OF_SERVICE_OVERDUE) == []
    local.clock.step_utc(DAY_S)
    local.advance(1.0)
    assert active(local, SystemAlarm.OUT_OF_SERVICE_OVERDUE) == [1]


def test_a_lock_out_past_its_date_still_locks(tmp_path):
    local = started(tmp_path)
    local.clock.step_utc(400 * DAY_S)
    local.advance(1.0)

    assert set(local.state.control.lock_outs) == {0, 2}
