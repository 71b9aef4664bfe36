"""Set-points: who may write, how long they live, what renews them, what follows."""

from __future__ import annotations

import math

import pytest

from controller.control.commands import Action, Refusal
from controller.control.setpoints import ControlOwner, OperatingMode, SetpointSource


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2.5e6, -2.5e6])
def test_a_value_that_is_none_or_out_of_range_is_refused_and_changes_nothing(running, value):
    running.setpoint(1e6)
    assert running.setpoint(value).refusal is Refusal.OUT_OF_RANGE
    assert running.result.plant.active_power_setpoint_w == 1e6


@pytest.mark.parametrize("value", ["1 MW", True, None, [1.0]])
def test_a_wrong_type_is_refused(running, value):
    assert running.setpoint(value).refusal is Refusal.WRONG_TYPE


def test_the_range_ends_are_accepted_even_after_a_conversion_of_units(running):
    assert running.setpoint(2.4000000000001 * 1e6).accepted
    assert running.setpoint(-2.4e6).accepted


def test_an_equal_value_renews_the_set_point(running):
    running.setpoint(1e6)
    for _ in range(3):
        running.run(8)
        running.setpoint(1e6)
    assert running.result.plant.active_power_in_effect_w == 1e6


def test_an_advancing_heartbeat_of_the_master_renews_and_a_standing_one_does_not(running):
    running.setpoint(1e6)
    for beat in range(1, 15):
        running.ask(Action.SCADA_HEARTBEAT, beat)
    assert running.result.plant.active_power_in_effect_w == 1e6
    assert running.result.plant.scada_heartbeat == 14
    for _ in range(12):
        running.ask(Action.SCADA_HEARTBEAT, 14)
    assert running.result.plant.active_power_in_effect_w == 0.0
    running.ask(Action.SCADA_HEARTBEAT, 15)
    assert running.result.plant.active_power_in_effect_w == 0.0, "a heartbeat does not raise the dead"


def test_a_command_may_carry_its_own_life_and_fall_back(running):
    assert running.setpoint(1e6, timeout_s=30.0, fallback=2e5).accepted
    running.run(25)
    assert running.result.plant.setpoint_source == SetpointSource.REMOTE
    assert running.result.plant.setpoint_remaining_s == pytest.approx(5.0)
    running.run(10)
    assert running.result.plant.active_power_in_effect_w == 2e5
    assert running.result.plant.setpoint_source == SetpointSource.FALLBACK
    assert running.result.plant.mode == OperatingMode.FALLBACK
    assert running.setpoint(1e6).accepted
    running.run(11)
    assert running.result.plant.active_power_in_effect_w == 0.0, "the next one has the site's fall-back again"


@pytest.mark.parametrize("more", [{"timeout_s": 3601.0}, {"timeout_s": -1.0}, {"timeout_s": math.nan}])
def test_a_life_beyond_the_sites_maximum_is_refused(running, more):
    assert running.setpoint(1e6, **more).refusal is Refusal.OUT_OF_RANGE


def test_a_fall_back_out_of_range_is_refused(running):
    assert running.setpoint(1e6, fallback=9e6).refusal is Refusal.OUT_OF_RANGE


def test_a_time_out_of_zero_is_the_sites(running):
    assert running.setpoint(1e6, timeout_s=0.0).accepted
    assert running.result.plant.setpoint_remaining_s == pytest.approx(10.0)


def test_with_a_shared_owner_the_last_write_counts(running):
    assert running.setpoint(1e6, user="anne").accepted
    assert running.setpoint(5e5, face="modbus", user="bert").accepted
    assert running.result.plant.active_power_setpoint_w == 5e5


def test_without_a_shared_owner_a_second_master_waits_for_the_lease_or_takes_control(make_rig):
    rig = make_rig(shared_owner=False, lease_s=60.0).start()
    assert rig.setpoint(1e6, user="anne").accepted
    refused = rig.setpoint(5e5, user="bert")
    assert refused.refusal is Refusal.NOT_OWNER
    assert "anne" in refused.text
    assert rig.ask(Action.TAKE_CONTROL, user="bert").accepted
    assert rig.setpoint(5e5, user="bert").accepted
    assert rig.setpoint(1e6, user="anne").refusal is Refusal.NOT_OWNER
    rig.run(61)
    assert rig.result.plant.control_owner == ControlOwner.NONE
    assert rig.setpoint(1e6, user="anne").accepted


def test_another_masters_heartbeat_does_not_renew(make_rig):
    rig = make_rig(shared_owner=False).start()
    rig.setpoint(1e6, user="anne")
    for beat in range(12):
        rig.ask(Action.SCADA_HEARTBEAT, beat, user="bert")
    assert rig.result.plant.active_power_in_effect_w == 0.0


def test_power_is_refused_while_the_plant_is_off_but_zero_never(make_rig):
    rig = make_rig(auto_start=False)
    rig.run(3)
    refused = rig.setpoint(1e6)
    assert refused.refusal is Refusal.WRONG_STATE
    assert "start" in refused.text
    assert rig.setpoint(0.0).accepted


def test_an_old_command_is_refused(running):
    assert running.setpoint(1e6, issued_mono_ns=running.now_ns - 6_000_000_000).refusal is Refusal.TOO_OLD


def test_reactive_power_has_a_life_of_its_own(running):
    running.ask(Action.SET_REACTIVE_POWER, 3e5)
    running.run(5)
    assert running.result.plant.reactive_power_var == pytest.approx(3e5, rel=0.01)
    running.setpoint(1e6)
    running.run(6)
    assert running.result.plant.reactive_power_in_effect_var == 0.0
    assert running.result.plant.active_power_in_effect_w == 1e6


def test_no_alarm_for_a_zero_that_runs_out_to_zero(running):
    running.setpoint(0.0)
    running.run(20)
    assert not running.result.conditions["plant.setpoint_ran_out"].any()


def _is_silent(rig) -> bool:
    return bool(rig.result.conditions["plant.scada_silent"].all())


def test_a_heartbeat_that_stops_is_told_also_where_no_set_point_runs_out(running):
    for beat in range(1, 4):
        running.ask(Action.SCADA_HEARTBEAT, beat)
        running.run(8)
    assert not _is_silent(running)
    running.run(4)
    assert _is_silent(running)
    running.ask(Action.SCADA_HEARTBEAT, 3)
    assert _is_silent(running), "a standing heartbeat is no life"
    running.ask(Action.SCADA_HEARTBEAT, 4)
    assert not _is_silent(running)


@pytest.mark.parametrize("relief", [(Action.TAKE_CONTROL, None), (Action.SET_ACTIVE_POWER, 0.0)])
def test_whoever_takes_over_or_writes_a_set_point_ends_the_wait_for_an_old_heartbeat(running, relief):
    running.ask(Action.SCADA_HEARTBEAT, 1)
    running.run(12)
    assert _is_silent(running)
    running.ask(*relief)
    assert not _is_silent(running)
    running.run(30)
    assert not _is_silent(running)


def test_nobody_is_missed_who_never_sent_a_heartbeat(running):
    running.setpoint(1e6)
    running.run(30)
    assert running.result.conditions["plant.setpoint_ran_out"].all()
    assert not _is_silent(running)
