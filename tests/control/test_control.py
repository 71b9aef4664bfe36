"""Control from end to end, told as steps in fake time."""

from __future__ import annotations

from controller.control.commands import Action, Refusal
from controller.control.limits.reasons import LimitReason
from controller.control.sequences.plant import PlantState
from controller.control.sequences.states import OperatingState


def test_plant_starts_by_itself_and_stands_ready_at_zero(running):
    assert running.result.plant.operating_state == OperatingState.RUNNING
    assert running.result.plant.racks_connected == 24
    assert not running.field.pcs_w.any()


def test_power_at_the_poi_follows_a_set_point_within_three_seconds(running):
    assert running.setpoint(1e6).accepted
    running.run(2)
    assert abs(running.result.plant.active_power_w - 1e6) < 0.03 * running.plant.poi.power_w


def test_poi_loop_trims_what_the_loss_model_does_not_know(running):
    running.field.auxiliary_w, running.field.loss_ratio = 60e3, 0.02
    for _ in range(30):
        running.setpoint(1e6)
    assert abs(running.result.plant.active_power_w - 1e6) < 0.002 * running.plant.poi.power_w


def test_set_point_runs_out_to_the_fall_back(running):
    running.setpoint(1e6)
    running.run(9)
    assert running.result.plant.active_power_in_effect_w == 1e6
    running.run(2)
    assert running.result.plant.active_power_in_effect_w == 0.0
    assert not running.field.pcs_w.any()
    assert running.result.conditions["plant.setpoint_ran_out"].all()


def test_stop_ramps_down_and_leaves_the_contactors(running):
    running.setpoint(1e6)
    running.ask(Action.STOP)
    running.until(lambda: running.state.plant.sequence is PlantState.OFF)
    assert running.result.plant.operating_state == OperatingState.OFF
    assert running.result.plant.racks_connected == 24


def test_fast_stop_is_zero_at_once_and_latches_until_reset_and_start(running):
    running.setpoint(1e6)
    running.ask(Action.FAST_STOP)
    assert not running.field.pcs_w.any()
    running.until(lambda: running.state.plant.sequence is PlantState.OFF)
    refused = running.ask(Action.START)
    assert refused.refusal is Refusal.WRONG_STATE
    assert "fast stop" in refused.text
    assert running.result.plant.limit_reason is LimitReason.FAST_STOP, "asked for nothing, and held all the same"
    assert running.result.conditions["plant.fast_stop"].all()
    assert running.ask(Action.RESET_TRIPS).accepted
    assert running.ask(Action.START).accepted
    running.until(lambda: running.state.plant.sequence is PlantState.RUNNING)
