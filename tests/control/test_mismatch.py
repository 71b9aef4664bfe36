"""Measured against commanded power: less is the converter's own limit, more is dangerous."""

from __future__ import annotations

import numpy as np
import pytest

from controller.control.commands import Action
from controller.control.limits.reasons import LimitReason
from controller.control.mismatch import Mismatch
from controller.plant.signals import PcsState

RATED = np.array([1e6])


def run(mismatch, command_w, measured_w, seconds, dt_s=0.5, shown_w=np.nan):
    found = None
    for _ in range(round(seconds / dt_s)):
        found = mismatch.compare(np.array([command_w]), np.array([measured_w]), np.array([shown_w]), dt_s)
    return found


@pytest.fixture
def mismatch():
    return Mismatch(RATED, RATED)


def test_what_follows_its_command_is_quiet(mismatch):
    found = run(mismatch, 5e5, 5.1e5, 20.0)
    assert not found.excess_alarm.any()
    assert not found.apart


def test_an_old_command_still_explains_the_power_for_a_moment(mismatch):
    run(mismatch, 1e6, 1e6, 5.0)
    assert not run(mismatch, 0.0, 1e6, 1.5).excess_alarm.any()


@pytest.mark.parametrize(("command_w", "measured_w"), [(5e5, 7e5), (-5e5, -7e5), (5e5, -1e5), (-5e5, 1e5), (0.0, 5e4)])
def test_more_power_the_wrong_sign_or_power_at_zero_escalates_by_time(mismatch, command_w, measured_w):
    run(mismatch, command_w, command_w, 5.0)
    assert not run(mismatch, command_w, measured_w, 1.5).excess_alarm.any()
    found = run(mismatch, command_w, measured_w, 0.5)
    assert found.excess_alarm.all()
    assert found.repeat_command.all()
    assert not run(mismatch, command_w, measured_w, 0.5).repeat_command.any()
    assert not run(mismatch, command_w, measured_w, 2.0).stop.any()
    assert run(mismatch, command_w, measured_w, 0.5).stop.all()
    assert run(mismatch, command_w, measured_w, 5.0).breaker_request.all()
    assert not run(mismatch, command_w, command_w, 0.5).excess_alarm.any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_less_power_is_learned_as_a_limit_in_that_direction_and_released_slowly(mismatch, sign):
    run(mismatch, sign * 8e5, sign * 8e5, 5.0)
    found = run(mismatch, sign * 8e5, sign * 5e5, 2.0)
    assert found.limits_itself.all()
    assert not found.excess_alarm.any()
    limit_w = mismatch.self_limit_w[:, 0]
    assert limit_w[1 if sign > 0.0 else 0] == pytest.approx(5.1e5, rel=0.01)
    assert limit_w[0 if sign > 0.0 else 1] == np.inf
    run(mismatch, sign * 5e5, sign * 5e5, 60.0)
    assert 6e5 < limit_w[1 if sign > 0.0 else 0] < 7e5
    run(mismatch, sign * 5e5, sign * 5e5, 240.0)
    assert np.isinf(mismatch.self_limit_w).all()


def test_an_unknown_power_holds_the_timers(mismatch):
    run(mismatch, 0.0, 1e5, 3.0)
    assert run(mismatch, 0.0, np.nan, 10.0).excess_alarm.all()
    assert not run(mismatch, 0.0, np.nan, 10.0).stop.any()


def test_a_reset_forgets(mismatch):
    run(mismatch, 8e5, 8e5, 3.0)
    run(mismatch, 8e5, 5e5, 3.0)
    mismatch.forget()
    assert np.isinf(mismatch.self_limit_w).all()
    assert not run(mismatch, 8e5, 8e5, 0.5).limits_itself.any()


def test_what_a_limited_converter_cannot_give_the_other_gives(running):
    running.setpoint(1.2e6, timeout_s=600.0)
    running.run(3)
    running.field.ceiling_w[0] = 3e5
    running.run(6)
    assert running.result.conditions["pcs.limits_itself"].tolist() == [True, False]
    assert running.result.plant.active_power_w == pytest.approx(1.2e6, rel=0.03)
    assert running.result.pcs.limit_reason[0] == LimitReason.PCS_LIMITS_ITSELF
    running.field.ceiling_w[0] = np.inf
    running.run(600)
    assert not running.result.conditions["pcs.limits_itself"].any()


def test_a_converter_that_does_not_let_go_is_stopped_and_stays_off(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(3)
    running.field.stuck_w[0] = 5e5
    running.ask(Action.SET_ACTIVE_POWER, 0.0, timeout_s=600.0)
    running.run(4)
    assert running.result.conditions["pcs.power_excess"].tolist() == [True, False]
    running.run(4)
    assert running.field.pcs_state.tolist() == [PcsState.OFF, PcsState.RUNNING]
    running.field.stuck_w.clear()
    running.run(10)
    assert running.field.pcs_state[0] == PcsState.OFF


def test_a_reading_that_the_racks_belie_teaches_nothing_and_is_told(mismatch):
    run(mismatch, 6e5, 6e5, 5.0, shown_w=6.1e5)
    found = run(mismatch, 6e5, 6e4, 4.5, shown_w=6.1e5)
    assert not found.limits_itself.any()
    assert not found.reading_wrong.any()
    assert mismatch.believed_w(np.array([6e4]), np.array([6.1e5])).tolist() == [6.1e5]
    assert run(mismatch, 6e5, 6e4, 1.0, shown_w=6.1e5).reading_wrong.all()
    found = run(mismatch, 5e4, 5e3, 20.0, shown_w=5.1e4)
    assert found.reading_wrong.all(), "at little power nothing is known"
    assert not found.limits_itself.any()
    assert not run(mismatch, 6e5, 6e5, 3.0, shown_w=6.1e5).reading_wrong.any()
    assert mismatch.believed_w(np.array([6e5]), np.array([6.1e5])).tolist() == [6e5]


@pytest.mark.parametrize(("command_w", "measured_w"), [(3e5, 6e5), (-3e5, 3e5), (0.0, 5e5)])
def test_nobody_makes_room_for_a_surplus_that_the_racks_belie(mismatch, command_w, measured_w):
    found = run(mismatch, command_w, command_w, 5.0, shown_w=command_w)
    for _ in range(10):
        found = run(mismatch, command_w, measured_w, 1.0, shown_w=command_w)
        assert found.surplus_w is None or not found.surplus_w.any()
        assert not (found.excess_alarm | found.stop | found.breaker_request).any()
    assert found.reading_wrong.all()
    found = run(mismatch, command_w, measured_w, 11.0, shown_w=measured_w)
    assert found.surplus_w.all(), "the racks show it too"
    assert found.breaker_request.all()


def test_a_converter_whose_racks_give_less_too_limits_itself(mismatch):
    run(mismatch, 6e5, 6e5, 5.0, shown_w=6.1e5)
    found = run(mismatch, 6e5, 2e5, 20.0, shown_w=2.1e5)
    assert found.limits_itself.all()
    assert not found.reading_wrong.any()


def test_a_reset_forgets_a_wrong_reading(mismatch):
    run(mismatch, 6e5, 6e5, 5.0, shown_w=6.1e5)
    run(mismatch, 6e5, 6e4, 8.0, shown_w=6.1e5)
    mismatch.forget()
    assert not run(mismatch, 6e4, 6e4, 0.5, shown_w=6e4).reading_wrong.any()
