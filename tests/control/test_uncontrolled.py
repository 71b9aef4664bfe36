"""Power that flows without us: the others make room for it, and never push harder."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.uncontrolled import Uncontrolled, assume_power, held_command, room_for

POWER = st.floats(-1e7, 1e7)
FIELD = st.floats(0.0, 1e7)


def assume(assumed_w: float, unheard: bool, overdue: bool, unseen_w: float, command_w: float = 5e5) -> float:
    memory = np.array([assumed_w])
    assume_power(memory, np.array([command_w]), np.array([unheard]), np.array([overdue]), unseen_w)
    return float(memory[0])


def test_a_converter_that_falls_silent_is_taken_to_hold_its_command():
    assert assume(math.nan, True, False, math.nan) == 5e5


def test_once_its_watchdog_must_have_acted_it_is_taken_to_be_at_zero():
    assert assume(5e5, True, True, math.nan) == 0.0
    assert assume(5e5, True, True, 1e5) == 0.0


def test_unless_the_meters_show_that_it_still_flows():
    assert assume(5e5, True, True, 4.8e5) == 5e5


def test_a_converter_that_is_heard_again_is_itself_again():
    assert math.isnan(assume(5e5, False, False, 0.0))


@given(POWER, POWER)
def test_room_is_between_nothing_and_all(reference_w, total_w):
    left_w = room_for(reference_w, Uncontrolled(total_w, None))
    assert min(0.0, reference_w) <= left_w <= max(0.0, reference_w)


@given(POWER, POWER, FIELD, FIELD)
def test_an_unheard_converter_is_never_asked_for_more_than_it_had(assumed_w, reference_w, charge_w, discharge_w):
    held_w = held_command(assumed_w, reference_w, charge_w, discharge_w)
    assert abs(held_w) <= abs(assumed_w)
    assert -charge_w <= held_w <= discharge_w
    assert held_w * reference_w >= 0.0


def test_the_others_make_room_for_a_silent_converter_until_it_must_be_at_zero(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(3)
    running.field.silent.add(("pcs", 0))
    running.run(4)
    assert running.result.pcs.active_power_command_w == pytest.approx([5.16e5] * 2, rel=0.02)
    running.run(3)
    assert running.result.withhold_heartbeat.tolist() == [True, False]
    running.field.pcs_state[0] = 0
    running.run(4)
    assert running.field.pcs_w[1] == pytest.approx(1.03e6, rel=0.02)
    assert running.result.plant.active_power_w == pytest.approx(1e6, rel=0.02)


def test_the_others_make_room_for_a_converter_that_takes_no_commands(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(3)
    running.field.stuck_w[0] = running.field.pcs_w[0]
    running.field.refused_by.add(("pcs.active_power_setpoint", 0))
    running.setpoint(8e5, timeout_s=600.0)
    running.run(3)
    assert running.result.conditions["pcs.write_failed"].tolist() == [True, False]
    assert running.result.plant.active_power_w == pytest.approx(8e5, rel=0.05)
