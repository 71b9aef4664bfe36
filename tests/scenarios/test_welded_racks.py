"""A rack trips and its contactor is welded: its converter stops at once and stays stopped, told in fake time."""

from __future__ import annotations

import itertools

import pytest

from controller.control.commands import Action
from controller.plant.model import Plant
from controller.runtime.local_plant import local_plant
from tests.scenarios.conftest import MW, PlantRig


def test_a_tripped_rack_that_does_not_open_stops_its_converter_for_good(running: PlantRig) -> None:
    running.hold(1.2 * MW, 6.0)
    running.fault("contactor B01-R03 stuck_closed")
    running.fault("cell B01-R03 17 3.72V")
    shown: list[float] = []
    for _ in range(160):
        running.hold(1.2 * MW, 0.25)
        shown.append(running.number("Plant.Block01.PCS01.ActivePower"))
    assert sum(abs(b - a) > 200.0 for a, b in itertools.pairwise(shown)) <= 6, "down, up to find out, down again"
    assert max(shown[60:]) < 1.0
    assert "B01-R03 rack_does_not_disconnect" in running.alarms()
    running.fault("clear")
    running.hold(1.2 * MW, 30.0)
    assert running.number("Plant.Block01.PCS01.ActivePower") < 1.0, "until somebody resets it"
    assert running.do(Action.RESET_TRIPS).accepted
    running.hold(0.0, 3.0)
    assert running.do(Action.START).accepted
    running.hold(1.2 * MW, 40.0)
    assert running.number("Plant.Block01.PCS01.ActivePower") > 500.0
    assert "B01-R03 rack_does_not_disconnect" not in running.alarms()


@pytest.mark.parametrize("scan_period_s", [0.25, 1.0])
def test_a_tripped_rack_that_opens_leaves_its_converter_running(demo_plant: Plant, scan_period_s: float) -> None:
    """Racks trip one after the other, each at another phase of its polls."""
    rig = PlantRig(local_plant(demo_plant, seed=1, scan_period_s=scan_period_s), step_s=scan_period_s)
    rig.run(30.0)
    rig.hold(1.2 * MW, 6.0)
    for number in range(8):
        rig.fault(f"cell B0{1 + number % 2}-R0{1 + number} 17 3.72V")
        rig.hold(1.2 * MW, 5.0 + max(0.25, scan_period_s))
    assert {f"B0{1 + n % 2}-R0{1 + n} cell_voltage_high" for n in range(8)} <= rig.alarms()
    assert not {name for name in rig.alarms() if name.endswith(("rack_does_not_disconnect", "rack_open_with_current"))}
    assert rig.number("Plant.Block01.PCS01.ActivePower") > 400.0
    assert rig.number("Plant.Block02.PCS02.ActivePower") > 400.0
