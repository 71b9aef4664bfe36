"""Ramps: towards the target, never past it, never faster than allowed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.control.ramps import ramp

POWER = st.floats(-1e8, 1e8)


@given(POWER, POWER, st.floats(1.0, 1e8), st.floats(1e-3, 10.0))
def test_a_ramp_moves_towards_its_target_and_not_past_it(previous, target, rate, dt_s):
    after = ramp(previous, target, rate, dt_s)
    assert min(previous, target) <= after <= max(previous, target)
    assert abs(after - previous) <= rate * dt_s * (1 + 1e-9) + 1e-6


@given(POWER, POWER)
def test_no_rate_is_no_ramp(previous, target):
    assert ramp(previous, target, 0.0, 1.0) == target
