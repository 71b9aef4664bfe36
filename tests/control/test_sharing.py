"""Sharing among converters: the sum is met, nobody carries more than allowed, SOC tilts the split."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.sharing import pour, reactive_capability_var, share_active_power, share_reactive_power

CONVERTERS = st.lists(st.tuples(st.floats(0.0, 2e6), st.floats(0.0, 2e6), st.floats(0.0, 1.0)), min_size=1, max_size=20)


@given(st.floats(-5e7, 5e7), CONVERTERS)
def test_the_sum_is_what_is_asked_or_all_that_is_allowed(total_w, converters):
    allowed_w, held_back_w, soc = (list(column) for column in zip(*converters, strict=True))
    weight_w = [a + h for a, h in zip(allowed_w, held_back_w, strict=True)]
    power_w = share_active_power(total_w, allowed_w, weight_w, soc)
    wanted_w = math.copysign(min(sum(allowed_w), abs(total_w)), total_w)
    assert sum(power_w) == pytest.approx(wanted_w, rel=1e-9, abs=1e-3)
    for p, a in zip(power_w, allowed_w, strict=True):
        assert 0.0 <= math.copysign(1.0, total_w) * p <= a * (1 + 1e-12)


def test_holding_a_converter_back_does_not_shrink_its_share():
    assert share_active_power(1e6, [4e5, 1e6], [1e6, 1e6], [0.5, 0.5]) == pytest.approx([4e5, 6e5])
    assert share_active_power(1e6, [5e5, 1e6], [1e6, 1e6], [0.5, 0.5]) == pytest.approx([5e5, 5e5])


@given(st.floats(0.0, 1e7), st.lists(st.floats(0.0, 2e6), min_size=1, max_size=10))
def test_pouring_keeps_to_the_vessels(total, capacity):
    filled = pour(total, capacity, capacity)
    assert all(0.0 <= f <= c * (1 + 1e-12) for f, c in zip(filled, capacity, strict=True))


def test_fuller_racks_discharge_more_and_charge_less():
    discharging = share_active_power(1e6, [1e6, 1e6], [1e6, 1e6], [0.6, 0.5])
    charging = share_active_power(-1e6, [1e6, 1e6], [1e6, 1e6], [0.6, 0.5])
    assert discharging[0] > discharging[1] > 0.0
    assert 0.0 > charging[0] > charging[1]


def test_an_unknown_soc_tilts_nothing():
    assert share_active_power(1e6, [1e6] * 2, [1e6] * 2, [math.nan, 0.5]) == [5e5, 5e5]


@given(st.floats(-1e7, 1e7), st.lists(st.tuples(st.floats(-1.3e6, 1.3e6), st.floats(1e6, 2e6)), min_size=1, max_size=8))
def test_reactive_power_stays_within_every_mva_circle(total_var, converters):
    capability_var = [reactive_capability_var(active_w, apparent_va) for active_w, apparent_va in converters]
    shared = share_reactive_power(total_var, capability_var)
    for (active_w, apparent_va), reactive_var in zip(converters, shared, strict=True):
        circle = max(apparent_va, abs(active_w))
        assert math.hypot(active_w, reactive_var) <= circle * (1 + 1e-9)
    assert abs(sum(shared)) <= abs(total_var) * (1 + 1e-9) + 1e-6
