"""A rack trips and its contactor is welded: its converter stops at once and stays stopped, told in fake time."""

from __future__ import annotations

import itertools

from controller.control.commands import Action
from tests.scenarios.conftest import MW, PlantRig


def test_a_tripped_rack_that_does_not_open_stops_its_converter_for_good(running: PlantRig) -> None:
    running.hold(1.2 * MW, 6.0)
    running.fault("contactor B01-R03 stuck_closed")
    running.fault("cell B01-R03 17 3.72V")
    shown: list[float] = []
    for _ in range(160):
        running.hold(1.2 * MW, 0.25)
        shown.append(running.number("Plant.Block01.PCS01.ActivePower"))
    assert sum(abs(b - a) > 200.0 for a, b in itertools.pairwise(shown)) <= 4, "down, once up to find out, down again"
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
