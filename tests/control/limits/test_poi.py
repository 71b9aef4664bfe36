"""Limits at the POI: lowest wins, falling at once, rising ramped, kept until their source changes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import Action, Refusal
from controller.control.limits.poi import Limit, Limits, clip_power
from controller.control.limits.reasons import REASON_TEXTS, LimitReason, limit_reason_text
from controller.control.state import control_state, from_bytes, to_bytes


def test_a_falling_limit_acts_at_once_and_a_rising_one_on_the_ramp(make_rig):
    rig = make_rig(ramp_w_per_s=1e5, setpoint_timeout_s=600.0).start()
    rig.setpoint(1e6)
    rig.run(10)
    assert rig.result.plant.active_power_in_effect_w == 1e6
    rig.ask(Action.SET_EXPORT_LIMIT, 4e5)
    assert rig.result.plant.active_power_in_effect_w == 4e5
    assert rig.result.plant.limit_reason == LimitReason.EXPORT_LIMIT
    rig.ask(Action.SET_EXPORT_LIMIT, 2e6)
    assert rig.result.plant.active_power_in_effect_w == pytest.approx(5e5)
    assert rig.result.plant.limit_reason == LimitReason.RAMP


def test_the_import_limit_bounds_charging(running):
    running.ask(Action.SET_IMPORT_LIMIT, 3e5)
    running.setpoint(-1e6)
    running.run(1)
    assert running.result.plant.active_power_in_effect_w == -3e5
    assert running.result.plant.limit_reason == LimitReason.IMPORT_LIMIT


def test_the_lowest_of_several_sources_wins(make_rig):
    rig = make_rig(shared_owner=False).start()
    rig.ask(Action.SET_EXPORT_LIMIT, 5e5, user="grid")
    rig.ask(Action.SET_EXPORT_LIMIT, 8e5, user="owner")
    assert rig.result.plant.export_limit_w == 5e5
    rig.ask(Action.SET_EXPORT_LIMIT, 2e6, user="grid")
    assert rig.result.plant.export_limit_w == 8e5


def test_a_limit_ends_only_by_its_source_or_the_expiry_it_gave(running):
    running.ask(Action.SET_EXPORT_LIMIT, 5e5)
    running.run(100)
    assert running.result.plant.export_limit_w == 5e5
    running.ask(Action.SET_EXPORT_LIMIT, 6e5, timeout_s=5.0)
    running.run(6)
    assert running.result.plant.export_limit_w == running.plant.poi.export_limit_w


@pytest.mark.parametrize("value", [math.nan, -1.0, 1e9])
def test_a_limit_out_of_range_is_refused(running, value):
    assert running.ask(Action.SET_EXPORT_LIMIT, value).refusal is Refusal.OUT_OF_RANGE


def test_an_old_falling_limit_is_taken_and_an_old_rising_one_is_not(running):
    old = running.now_ns - 60_000_000_000
    assert running.ask(Action.SET_EXPORT_LIMIT, 5e5, issued_mono_ns=old).accepted
    assert running.ask(Action.SET_EXPORT_LIMIT, 8e5, issued_mono_ns=old).refusal is Refusal.TOO_OLD
    assert running.result.plant.export_limit_w == 5e5


def test_limits_survive_a_restart_and_power_does_not(rig):
    rig.start().setpoint(1e6)
    rig.ask(Action.SET_EXPORT_LIMIT, 5e5)
    rig.ask(Action.SET_IMPORT_LIMIT, 4e5, timeout_s=100.0)
    again = control_state(rig.plant, rig.arrays)
    assert from_bytes(again, rig.plant, to_bytes(rig.state, rig.plant), 7) == ()
    assert again.export_limits.lowest_w == 5e5
    assert again.import_limits.lowest_w == 4e5
    assert again.import_limits.expire(8 + 99_000_000_000) == []
    assert again.import_limits.expire(8 + 101_000_000_000) == ["clients"]
    assert again.active.accepted == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 2e6)), max_size=20))
def test_the_lowest_is_never_above_any_source_or_the_rating(writes):
    limits = Limits(1e6)
    for source, value_w in writes:
        limits.set(source, Limit(value_w))
    last = dict(writes)
    assert limits.lowest_w == min([1e6, *last.values()])


@given(st.floats(-5e6, 5e6), st.floats(0.0, 3e6), st.floats(0.0, 3e6))
def test_a_clip_stays_inside_and_has_a_reason_exactly_when_it_cut(power_w, charge_w, discharge_w):
    clip = clip_power(power_w, (charge_w, discharge_w), (LimitReason.IMPORT_LIMIT, LimitReason.EXPORT_LIMIT))
    assert -charge_w <= clip.after <= discharge_w
    assert (clip.reason is LimitReason.NONE) == (clip.before == clip.after)


def test_every_reason_has_words_and_an_unknown_code_its_number():
    assert REASON_TEXTS.keys() == set(LimitReason)
    assert limit_reason_text(LimitReason.SOC_WINDOW) == "edge of the SOC window"
    assert limit_reason_text(999) == "reason 999"
