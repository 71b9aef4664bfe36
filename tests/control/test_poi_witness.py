"""A meter that answers is followed, one that does not is doubted; jumps of the meter itself prove nothing."""

from __future__ import annotations

import math

import pytest

from controller.control.limits.reasons import LimitReason
from controller.control.poi_guard import AtMeter, LimitGuard, hold_limits, watch_limits
from controller.control.poi_witness import Converters, MeterWitness

DT_S = 0.5
MW = 1e6


class Site:
    """Converters, a background and a meter with a gain, without delays."""

    def __init__(self, plant) -> None:
        self.witness = MeterWitness(plant, 0.5)
        self.given_w, self.background_w, self.gain, self.all_heard = 0.0, 0.0, 1.0, True

    @property
    def meter_w(self) -> float:
        return self.gain * (self.given_w + self.background_w)

    def stand(self, seconds: float = 4.0, given_w: float | None = None) -> MeterWitness:
        self.given_w = self.given_w if given_w is None else given_w
        for _ in range(round(seconds / DT_S)):
            of_pcs = Converters(self.given_w, self.given_w, self.all_heard)
            self.witness.follow(of_pcs, self.meter_w, self.meter_w - self.given_w, DT_S)
        return self.witness


@pytest.fixture
def site(demo_plant):
    """Return a site that has stood for a while."""
    it = Site(demo_plant)
    it.stand(10.0)
    return it


@pytest.mark.parametrize("gain", [-1.0, 0.0, 0.1, 2.0])
def test_a_meter_that_does_not_answer_twice_is_doubted_until_it_answers_twice(site, gain):
    site.gain = gain
    assert not site.stand(given_w=0.4 * MW).doubted, "one answer may be spoiled"
    assert site.stand(given_w=0.1 * MW).doubted
    assert site.witness.is_told
    assert not site.witness.fits
    site.gain = 1.0
    site.stand(10.0)
    assert site.stand(given_w=0.4 * MW).doubted
    assert not site.stand(given_w=0.1 * MW).doubted
    assert site.witness.fits


def test_a_reset_ends_the_doubt(site):
    site.gain = -1.0
    for given_w in (0.4 * MW, 0.1 * MW):
        site.stand(given_w=given_w)
    site.witness.forget()
    assert site.witness.fits


@pytest.mark.parametrize("gain", [0.92, 1.0, 1.08])
def test_a_meter_that_answers_is_believed(site, gain):
    site.gain = gain
    for given_w in (0.4 * MW, -0.2 * MW, 1.0 * MW, 0.2 * MW):
        assert site.stand(given_w=given_w).is_sure
        assert site.witness.gains_room


@pytest.mark.parametrize("gain", [0.55, 0.7, 0.85, 1.2, 1.45])
def test_the_same_inexact_answer_three_times_is_a_wrong_scale_and_only_exact_ones_end_the_doubt(site, gain):
    site.gain = gain
    for given_w in (0.4 * MW, -0.2 * MW):
        assert site.stand(given_w=given_w).fits, "a load that changes does that too"
        assert not site.witness.gains_room, "but beyond a limit it is not followed"
        assert not site.witness.is_sure
        assert not site.stand(100.0).is_sure, "nor does standing prove it"
    assert site.stand(given_w=1.0 * MW).doubted
    for given_w in (0.2 * MW, 1.0 * MW, 0.4 * MW):
        assert site.stand(given_w=given_w).doubted
    site.gain = 1.0
    site.stand(10.0)
    assert site.stand(given_w=1.0 * MW).doubted
    assert not site.stand(given_w=0.4 * MW).doubted
    assert site.witness.gains_room


def test_inexact_answers_that_differ_are_those_of_a_load(site):
    given_w = 0.0
    for load_w in (0.10, -0.12, -0.05, 0.11, 0.12, -0.06):
        given_w = 0.4 * MW - given_w
        site.background_w -= load_w * MW
        assert not site.stand(given_w=given_w).doubted


def test_a_load_that_comes_just_before_a_movement_spoils_no_verdict(site):
    for given_w in (0.5 * MW, 0.1 * MW, 0.5 * MW):
        site.background_w -= 0.6 * MW
        site.stand(DT_S)
        assert not site.witness.is_calm
        assert not site.stand(given_w=given_w).just_missed
        site.stand(10.0)
        assert site.witness.is_calm
    assert not site.witness.doubted


def test_what_lies_too_far_apart_is_latched_and_let_go_late(site):
    site.background_w = -1.5 * MW
    site.stand(1.0)
    assert site.witness.apart
    assert not site.witness.is_told
    assert site.stand(2.0).is_told
    site.background_w = -1.4 * MW
    assert site.stand(30.0).is_told, "close to the bound it does not come and go"
    site.background_w = 0.0
    assert site.stand(8.0).is_told
    assert not site.stand(3.0).apart


def test_what_lies_apart_by_a_wrong_sign_stays_told_at_little_power(site):
    site.stand(given_w=1.2 * MW)
    site.gain = -1.0
    assert site.stand(4.0).is_told
    assert site.stand(30.0, given_w=0.4 * MW).is_told


def test_a_short_glimpse_of_too_much_is_forgotten_at_once(site):
    site.background_w = -1.5 * MW
    site.stand(1.0)
    site.background_w = 0.0
    assert not site.stand(DT_S).apart


def test_the_background_is_taken_over_for_the_worse_while_the_converters_move(site):
    site.stand(given_w=1.0 * MW)
    assert site.witness.background_w == (0.0, 0.0)
    site.background_w = 0.6 * MW
    site.stand(DT_S, given_w=0.5 * MW)
    assert site.witness.background_w == pytest.approx((0.0, 0.1 * MW)), "the meter less the most that was given lately"
    assert site.stand().background_w == pytest.approx((0.6 * MW, 0.6 * MW))


def test_without_meter_or_converter_nothing_is_known_and_nothing_judged(site):
    site.stand(given_w=0.5 * MW)
    site.all_heard = False
    site.stand(DT_S, given_w=0.2 * MW)
    site.stand(10.0)
    assert not site.witness.just_missed
    site.gain = math.nan
    site.stand(1.0)
    assert all(map(math.isnan, site.witness.background_w))
    assert site.witness.fits


AT = AtMeter((2.4 * MW, 2.4 * MW), 0.0, 1.2 * MW, 0.1 * MW)


def test_a_limit_leaves_what_the_background_leaves(site):
    site.background_w = 1.0 * MW
    site.stand(given_w=2.0 * MW)
    held_w, reason = hold_limits(LimitGuard(), site.witness, 2.0 * MW, AT)
    assert held_w == pytest.approx(1.4 * MW)
    assert reason is LimitReason.EXPORT_LIMIT
    site.background_w = -3.0 * MW
    site.stand(given_w=-1.0 * MW)
    held_w, reason = hold_limits(LimitGuard(), site.witness, -1.0 * MW, AT)
    assert reason is LimitReason.IMPORT_LIMIT
    assert 0.0 <= held_w <= site.witness.leash_w, "to zero at once, beyond by steps"


def test_what_a_limit_took_away_comes_back_on_the_ramp(site):
    guard = LimitGuard()
    site.background_w = 1.0 * MW
    site.stand(given_w=1.4 * MW)
    hold_limits(guard, site.witness, 2.0 * MW, AT)
    site.background_w = 0.0
    site.stand()
    back = [hold_limits(guard, site.witness, 2.0 * MW, AT)[0] for _ in range(7)]
    assert back == pytest.approx([1.5e6, 1.6e6, 1.7e6, 1.8e6, 1.9e6, 2.0e6, 2.0e6])


def test_a_doubted_meter_moves_nothing_beyond_zero(site):
    site.gain = -1.0
    for given_w in (0.4 * MW, 0.1 * MW):
        site.stand(given_w=given_w)
    site.gain, site.background_w = 1.0, -5.0 * MW
    site.stand(given_w=-0.5 * MW)
    assert hold_limits(LimitGuard(), site.witness, -0.5 * MW, AT) == (0.0, LimitReason.IMPORT_LIMIT)


def test_no_more_than_the_site_states_is_done_beyond_zero(site):
    site.background_w = 5.0 * MW
    for given_w in (0.0, -0.24 * MW, -0.48 * MW, -0.72 * MW, -0.96 * MW, -1.2 * MW):
        site.stand(10.0, given_w=given_w)
    assert hold_limits(LimitGuard(), site.witness, 0.0, AT)[0] == -1.2 * MW


def test_unheard_converters_leave_less(site):
    site.all_heard = False
    site.background_w = 1.0 * MW  # 0.6 MW of it from a converter that is not heard
    site.stand(given_w=1.2 * MW)
    assert hold_limits(LimitGuard(), site.witness, 2.4 * MW, AT)[0] == pytest.approx(1.4 * MW)


def test_against_a_converter_that_does_not_follow_the_others_go_beyond_zero_in_steps(site):
    site.stand(given_w=0.5 * MW)
    at = AtMeter((0.2 * MW, 0.2 * MW), 0.5 * MW, 1.2 * MW, 0.1 * MW)
    assert hold_limits(LimitGuard(), site.witness, 0.0, at)[0] == pytest.approx(-0.24 * MW)
    site.stand(given_w=0.26 * MW)
    assert hold_limits(LimitGuard(), site.witness, 0.0, at)[0] == pytest.approx(-0.3 * MW)


def test_a_meter_that_says_nothing_holds_nothing(site):
    site.gain = math.nan
    site.stand(1.0)
    assert hold_limits(LimitGuard(), site.witness, 2.0 * MW, AT) == (2.0 * MW, LimitReason.NONE)


@pytest.mark.parametrize(("meter_w", "is_broken"), [(1.1e6, True), (-2.1e6, True), (1.01e6, False), (math.nan, False)])
def test_a_broken_limit_is_told_after_a_while(meter_w, is_broken):
    guard = LimitGuard()
    for seconds in range(1, 8):
        watch_limits(guard, (2e6, 1e6), meter_w, 2.4e6, 1.0)
        assert guard.is_broken == (is_broken and seconds > 5)
