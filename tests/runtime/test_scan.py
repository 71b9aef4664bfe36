"""The scan as a whole: pure, in order, and safe when estimation fails or the field falls silent."""

from __future__ import annotations

import numpy as np
import pytest

from controller.alarms.system_alarms import SystemAlarm
from controller.control.commands import Action, Refusal, Reply
from controller.image.quality import Quality
from controller.plant.model import Plant
from controller.runtime import scan as scan_module
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.simulator.faults.menu import FaultMenu

MW = 1e6


@pytest.fixture
def running(demo_plant: Plant) -> LocalPlant:
    """Return the demo plant, started and standing at 0 MW."""
    local = local_plant(demo_plant, seed=1, scan_period_s=1.0)
    for _ in range(25):
        local.advance(1.0)
    assert local.state.image["plant.operating_state"].value[0] == 3
    return local


def _power_w(local: LocalPlant) -> float:
    return float(local.state.image["plant.active_power"].value[0])


def test_every_point_of_the_image_is_known_once_the_plant_runs(running: LocalPlant) -> None:
    image = running.state.image

    for name in ("rack.voltage", "rack.soc_estimate", "pcs.active_power", "plant.soc", "plant.frequency"):
        assert (image[name].quality <= Quality.UNCERTAIN).all(), name
    assert np.isfinite(image["cell.voltage"].value[0, :240]).all()


def test_a_setpoint_is_answered_and_followed(running: LocalPlant) -> None:
    command = running.command(Action.SET_ACTIVE_POWER, value=1 * MW)
    running.advance(1.0)
    reply = running.reply(command)
    for _ in range(3):
        running.advance(1.0)

    assert reply is not None
    assert reply.accepted
    assert _power_w(running) == pytest.approx(1 * MW, rel=0.03)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e12])
def test_a_setpoint_that_cannot_be_is_refused(running: LocalPlant, value: float) -> None:
    command = running.command(Action.SET_ACTIVE_POWER, value=value)
    running.advance(1.0)
    reply = running.reply(command)

    assert reply is not None
    assert reply.refusal is Refusal.OUT_OF_RANGE


def test_a_failing_estimator_stops_neither_protection_nor_power(
    running: LocalPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise ValueError("a bug in estimation")

    monkeypatch.setattr(scan_module, "estimate", fail)
    running.advance(1.0)
    image, alarms = running.state.image, running.tables.alarms

    assert (image["rack.soc_estimate"].quality >= Quality.DEVICE_FAILURE).all()
    assert (image["rack.voltage"].quality == Quality.GOOD).all()
    group = alarms.system(SystemAlarm.ESTIMATION_FAILED)
    assert (running.state.alarms.state[group.place] != 0).all()
    assert not running.state.image["plant.tripped"].value[0]


def test_a_silent_field_is_neither_good_nor_zero_and_opens_nothing(running: LocalPlant) -> None:
    contactors = running.state.outputs["rack.connect_request"].value.copy()
    for _ in range(40):
        running.clock.advance(1.0)
        scan_module.scan(running.tables, running.state, [], running.clock.mono_ns())
    image = running.state.image

    assert (image["rack.voltage"].quality == Quality.NO_COMMUNICATION).all()
    assert (image["rack.voltage"].value > 100.0).all()
    assert (running.state.outputs["pcs.active_power_setpoint"].value == 0.0).all()
    assert (running.state.outputs["rack.connect_request"].value == contactors).all()


def test_a_stop_is_accepted_in_any_state(demo_plant: Plant) -> None:
    local = local_plant(demo_plant)
    command = local.command(Action.FAST_STOP)
    local.advance(1.0)
    reply = local.reply(command)

    assert reply is not None
    assert reply.accepted


def test_the_estimator_counts_the_charge_that_flows(running: LocalPlant) -> None:
    """What one sample said is kept until the next one, though the image is written over in between."""
    state = running.state
    running.command(Action.SET_ACTIVE_POWER, value=2 * MW)
    while state.estimator.block_drawn_ratio.any():  # until a new block begins
        running.command(Action.SET_ACTIVE_POWER, value=2 * MW)
        running.advance(1.0)
    counted_ah, current = np.zeros(24), state.image["rack.current"]
    for _ in range(9):
        before_a = current.value.copy()
        running.command(Action.SET_ACTIVE_POWER, value=2 * MW)
        running.advance(1.0)
        counted_ah += 0.5 * (before_a + current.value) / 3600.0
    drawn_ah = state.estimator.block_drawn_ratio * running.tables.estimator.capacity_ah

    assert drawn_ah == pytest.approx(counted_ah, rel=1e-6)
    assert (counted_ah > 0.1).all()


def _reset(local: LocalPlant, target: str | None = None) -> Reply:
    action = Action.RESET_TRIPS if target is None else Action.RESET_TRIP
    command = local.command(action, target or "Plant")
    local.advance(1.0)
    reply = local.reply(command)
    assert reply is not None
    return reply


@pytest.mark.parametrize("target", [None, "Plant.Block01.Rack03"])
def test_a_reset_that_leaves_a_trip_says_which_and_why(running: LocalPlant, target: str | None) -> None:
    menu = FaultMenu(running.fake.devices)
    assert menu.execute("cell B01-R03 17 3.72V") == "ok"
    for _ in range(15):
        running.advance(1.0)
    reply = _reset(running, target)

    assert not reply.accepted
    assert reply.refusal is Refusal.WRONG_STATE
    assert "B01-R03 cell_voltage_high: the cause is not gone" in reply.text
    assert running.state.image["rack.trip_latched"].value[2]

    assert menu.execute("clear") == "ok"
    for _ in range(30):
        running.advance(1.0)
    assert _reset(running, target).accepted
    running.advance(1.0)
    assert not running.state.image["rack.trip_latched"].value.any()


def test_a_reset_without_the_right_says_who_may(running: LocalPlant) -> None:
    menu = FaultMenu(running.fake.devices)
    assert menu.execute("cell B01-R03 17 62degC") == "ok"
    for _ in range(15):
        running.advance(1.0)
    assert menu.execute("clear") == "ok"
    for _ in range(90):
        running.advance(1.0)

    assert "B01-R03 cell_temperature_high: only a reset of class local may" in _reset(running).text


def test_a_reset_of_one_rack_does_not_ask_about_others(running: LocalPlant) -> None:
    assert FaultMenu(running.fake.devices).execute("cell B01-R03 17 3.72V") == "ok"
    for _ in range(15):
        running.advance(1.0)

    assert _reset(running, "Plant.Block01.Rack04").accepted
