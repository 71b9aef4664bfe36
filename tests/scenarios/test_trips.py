"""What a trip leaves behind, and how a plant comes back from it, told in fake time."""

from __future__ import annotations

from controller.control.commands import Action
from tests.scenarios.conftest import MW, PlantRig


def test_racks_that_tripped_come_back_by_reset_and_start_while_the_plant_runs(running: PlantRig) -> None:
    running.hold(0.6 * MW, 6.0)
    for rack in range(1, 4):
        running.fault(f"cell B02-R{rack:02} 17 3.72V")
        running.hold(0.6 * MW, 12.0)
    assert running.value("Plant.RacksConnected") == 21
    running.fault("clear")
    assert running.do(Action.START).accepted
    running.hold(0.0, 30.0)
    assert running.value("Plant.RacksConnected") == 21, "a start lifts no trip"
    assert running.do(Action.RESET_TRIPS).accepted
    running.hold(0.0, 5.0)
    assert running.value("Plant.RacksConnected") == 21, "and a reset connects nothing"
    assert running.do(Action.START).accepted
    running.hold(0.0, 30.0)
    assert running.value("Plant.RacksConnected") == 24


def test_a_rack_told_twice_to_disconnect_still_comes_back_with_a_start(running: PlantRig) -> None:
    for answer in ("", "the rack is disconnected already"):
        reply = running.do(Action.DISCONNECT, "Plant.Block02.Rack03")
        assert (reply.accepted, reply.text) == (True, answer)
        running.hold(0.0, 10.0)
        assert running.value("Plant.RacksConnected") == 23
    assert running.do(Action.START).accepted
    running.hold(0.0, 30.0)
    assert running.value("Plant.RacksConnected") == 24
