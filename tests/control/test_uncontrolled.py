"""Power that flows without us: the others make room for it, and never push harder."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.uncontrolled import Commanded, Uncontrolled, Unheard, assume_power, held_command, room_for

POWER = st.floats(-1e7, 1e7)
FIELD = st.floats(0.0, 1e7)


HEARD = (math.nan, math.nan)


def assume(
    assumed_w: tuple[float, float],
    *,
    unheard: bool = True,
    may_be_off: bool = False,
    must_be_off: bool = False,
    unseen_w: float = math.nan,
    commanded_w: tuple[float, float, float] = (5e5, 5e5, 5e5),
    given_w: float = 5e5,
) -> tuple[float, float]:
    memory = np.array([[assumed_w[0]], [assumed_w[1]]])
    commanded = Commanded(*(np.array([w]) for w in (*commanded_w, given_w)))
    silence = Unheard(*(np.array([yes]) for yes in (unheard, may_be_off, must_be_off)))
    assume_power(memory, commanded, silence, unseen_w)
    return float(memory[0, 0]), float(memory[1, 0])


def test_a_converter_that_falls_silent_is_taken_to_hold_its_power():
    assert assume(HEARD) == (5e5, 5e5)


def test_a_command_that_it_may_not_have_heard_takes_nothing_from_what_it_gave():
    """Its writes failed before its readings were old: it was commanded zero, and gave what it had."""
    assert assume(HEARD, commanded_w=(0.0, 0.0, 0.0)) == (0.0, 5e5)
    assert assume(HEARD, commanded_w=(-5e5, -5e5, 0.0)) == (-5e5, 5e5)
    assert assume(HEARD, commanded_w=(8e5, 5e5, 8e5)) == (5e5, 8e5)


def test_what_it_is_commanded_meanwhile_widens_what_it_may_be_giving():
    assert assume((5e5, 5e5), commanded_w=(2e5, 2e5, 5e5)) == (2e5, 5e5)


def test_once_its_watchdog_must_have_acted_it_is_taken_to_be_at_zero():
    assert assume((5e5, 5e5), may_be_off=True) == (5e5, 5e5), "without a meter nothing is known before"
    assert assume((5e5, 5e5), may_be_off=True, must_be_off=True) == (0.0, 0.0)


def test_the_meters_say_sooner_that_its_power_is_gone_and_longer_that_it_flows():
    assert assume((5e5, 5e5), may_be_off=True, unseen_w=1e5) == (0.0, 0.0)
    assert assume((5e5, 5e5), unseen_w=1e5) == (5e5, 5e5), "not before its watchdog can have acted"
    assert assume((5e5, 5e5), may_be_off=True, must_be_off=True, unseen_w=4.8e5) == (5e5, 5e5)
    assert assume((-5e5, -5e5), may_be_off=True, unseen_w=-4.8e5, commanded_w=(-5e5,) * 3) == (-5e5, -5e5)


def test_a_converter_that_is_heard_again_is_itself_again():
    assert all(map(math.isnan, assume((5e5, 5e5), unheard=False)))


@given(POWER, POWER, POWER)
def test_room_is_between_nothing_and_all(reference_w, lowest_w, highest_w):
    left_w = room_for(reference_w, Uncontrolled((lowest_w, highest_w), None))
    assert min(0.0, reference_w) <= left_w <= max(0.0, reference_w)


@given(POWER, POWER, FIELD, FIELD)
def test_an_unheard_converter_is_never_asked_for_more_than_it_had(assumed_w, reference_w, charge_w, discharge_w):
    held_w = held_command((assumed_w, assumed_w), reference_w, charge_w, discharge_w)
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


def test_a_converter_whose_writes_fail_before_it_is_unheard_still_counts(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(3)
    running.field.stuck_w[0] = running.field.pcs_w[0]
    running.field.refused_by.add(("pcs.active_power_setpoint", 0))
    running.setpoint(1.05e6, timeout_s=600.0)
    running.run(2)
    running.field.silent.add(("pcs", 0))
    for _ in range(9):
        running.scan()
        assert running.field.pcs_w.sum() < 1.1e6, "the other one does not take over what still flows"
