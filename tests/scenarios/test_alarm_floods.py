"""One cause, one alarm: what a lost bank, converter or network brings with it is folded, and no trip ever is."""

from __future__ import annotations

import pytest

from controller.alarms.events import EventKind
from controller.control.commands import Action
from tests.scenarios.conftest import MW, STEP_S, PlantRig


def _raised(rig: PlantRig, seconds: float) -> list[str]:
    """Run on and return every alarm that is raised, each time that it is."""
    raised: list[str] = []
    before = rig.alarms(unacknowledged=True)
    for _ in range(round(seconds / STEP_S)):
        rig.hold(0.6 * MW, STEP_S)
        now = rig.alarms(unacknowledged=True)
        raised += sorted(now - before)
        before = now
    return raised


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("no_read BANK01", ["BANK01 device_lost", "DC01 bus_at_zero"]),  # it was 28
        ("silent PCS01", ["PCS01 device_lost"]),
        ("silent B01-R03", ["B01-R03 protection_data_lost", "DC01 bus_at_zero"]),
    ],
)
def test_what_is_lost_is_told_once_and_so_is_its_return(running: PlantRig, fault: str, raised: list[str]) -> None:
    running.hold(0.6 * MW, 6.0)
    running.fault(fault)
    assert _raised(running, 20.0) == raised
    running.fault("clear")
    assert _raised(running, 30.0) == []
    assert running.alarms() == set()
    assert running.do(Action.ACKNOWLEDGE_ALARMS).accepted
    assert running.alarms(unacknowledged=True) == set()


def test_a_bank_that_opens_is_one_alarm_beside_what_it_does(running: PlantRig) -> None:
    """Its BMS opens what it has not heard from for half a minute: 26 alarms stood once it was read again."""
    running.hold(0.6 * MW, 6.0)
    running.fault("silent BANK01 for 60s")
    running.hold(0.6 * MW, 120.0)
    assert running.alarms() == {"BANK01 bank_opened_by_itself", "PCS01 pcs_tripped_itself", "PCS01 pcs_left_out"}
    counts = running.local.state.alarm_counts
    assert counts is not None
    assert counts.suppressed == 24, "twelve that opened, and that they stand open: hidden, not lost"
    assert running.do(Action.RESET_TRIPS).accepted
    running.hold(0.6 * MW, 5.0)
    assert running.do(Action.START).accepted
    running.hold(0.6 * MW, 60.0)
    assert running.alarms() == set()
    assert running.value("Plant.RacksConnected") == 24


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("flap IO01 4s", ["ESTOP interlock_unknown", "FIRE01 interlock_unknown", "FIRE02 interlock_unknown"]),
        ("flap GRID 3s", ["Demo plant poi_unknown"]),
    ],
)
def test_a_device_that_comes_and_goes_is_told_once(running: PlantRig, fault: str, raised: list[str]) -> None:
    """They were 30 and 10 alarms in a minute."""
    running.hold(0.6 * MW, 6.0)
    running.fault(fault)
    since = running.local.events(0).next_number
    told = _raised(running, 60.0)
    assert sorted(set(told) - {"IO01 device_lost"}) == raised
    running.fault("clear")
    assert _raised(running, 20.0) == []
    kinds = running.local.events(since).records["kind"].tolist()
    assert kinds.count(EventKind.RAISED) == kinds.count(EventKind.RETURNED) == len(told)
    assert running.alarms() == set()


def test_a_silent_field_is_one_alarm_beside_what_it_does(running: PlantRig) -> None:
    """A stopped switch raised 79 alarms."""
    running.hold(0.6 * MW, 6.0)
    for device in running.local.plant.devices:
        running.fault(f"silent {device.name}")
    raised = _raised(running, 25.0)
    told = {"Demo plant field_lost", "DC01 bus_at_zero", "DC02 bus_at_zero", "ESTOP interlock_unknown"}
    assert told <= set(raised)
    assert len(raised) <= 8, raised


@pytest.mark.parametrize(
    ("fault", "name"), [("frequency 63Hz", "grid_frequency_outside"), ("voltage 0.3pu", "grid_voltage_outside")]
)
def test_a_grid_that_stops_the_converters_is_the_first_alarm(running: PlantRig, fault: str, name: str) -> None:
    running.hold(0.6 * MW, 6.0)
    running.fault(fault)
    told: set[str] = set()
    for _ in range(20):
        running.hold(0.6 * MW, STEP_S)
        if told := running.alarms():
            break
    assert told == {f"Demo plant {name}", "PCS01 pcs_tripped_itself", "PCS02 pcs_tripped_itself"}
    words = {"grid_frequency_outside": "grid frequency", "grid_voltage_outside": "grid voltage"}[name]
    assert words in str(running.value("Plant.ActiveAlarmText"))
