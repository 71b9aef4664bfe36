"""The loop on the POI meter: losses by model at once, the rest slowly, frozen where there is no ground to trim on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.poi import PoiLoop, Trimmed, loss_model, trim_step
from controller.image.quality import Quality
from controller.plant.signals import BreakerState

SECOND_NS = 1_000_000_000


def settle(rig, power_w: float = 1e6, seconds: int = 25) -> None:
    for _ in range(seconds):
        rig.setpoint(power_w)


@pytest.mark.parametrize("power_w", [1.5e6, -1.5e6, 2e5])
def test_the_loop_settles_on_the_reference(running, power_w):
    running.field.loss_ratio = 0.03
    settle(running, power_w)
    assert running.result.plant.active_power_w == pytest.approx(power_w, abs=0.003 * 2.4e6)


def test_at_zero_nothing_is_trimmed(running):
    running.run(30)
    assert not running.field.pcs_w.any()
    assert running.result.plant.active_power_w < 0.0, "the auxiliaries come from the grid"


def disturb(rig, kind: str) -> None:
    match kind:
        case "stale meter":
            rig.field.silent.add(("meter", 0))
        case "open breaker":
            rig.field.breaker = BreakerState.OPEN
        case "bad breaker":
            rig.field.breaker = BreakerState.INTERMEDIATE
        case "frequency":
            rig.field.frequency_hz = 55.0


@pytest.mark.parametrize("kind", ["stale meter", "open breaker", "bad breaker", "frequency"])
def test_the_loop_freezes_and_holds_and_is_released_without_a_bump(running, kind):
    settle(running)
    before_w = running.result.pcs.active_power_command_w.sum()
    disturb(running, kind)
    running.field.loss_ratio = 0.05
    settle(running)
    assert running.result.conditions["plant.poi_loop_frozen"].all()
    assert running.result.pcs.active_power_command_w.sum() == pytest.approx(before_w)
    running.field.silent.clear()
    running.field.breaker, running.field.frequency_hz = BreakerState.CLOSED, 60.0
    running.setpoint(1e6)
    assert running.result.pcs.active_power_command_w.sum() == pytest.approx(before_w, rel=0.01)


def test_the_metered_auxiliaries_count_and_lost_ones_by_their_nominal_power(running):
    running.field.auxiliary_w = 60e3
    running.scan()
    assert running.result.plant.auxiliary_power_w == 60e3
    running.field.silent.add(("meter", 1))
    running.scan()
    assert running.result.plant.auxiliary_power_w == 24e3
    assert loss_model(running.plant).loss_w(0.0, 0.0) == pytest.approx(3.2e3), "iron of two transformers"


def test_without_a_control_meter_the_sum_of_the_converters_stands_in_and_says_so(make_rig_on):
    rig = make_rig_on(meter=-1).start()
    settle(rig)
    assert rig.result.plant.active_power_w == 1e6
    assert rig.field.pcs_w.sum() == 1e6
    assert rig.result.plant_quality[0] == Quality.UNCERTAIN
    assert math.isnan(rig.result.plant.energy_out_wh)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.booleans()), max_size=60))
def test_the_trim_never_leaves_its_bounds_and_never_moves_while_frozen(samples):
    loop, now_ns = PoiLoop(), 0
    for reference, measured, frozen in samples:
        now_ns += SECOND_NS
        before = loop.trim
        after = trim_step(loop, reference, measured, now_ns, Trimmed(1e6, 0.5), 1.0, frozen=frozen)
        assert abs(after) <= 5e5
        if frozen:
            assert after == before


def test_no_meter_of_auxiliaries_moves_the_converters_beyond_what_the_site_states(running):
    losses, stated_w = loss_model(running.plant), 24e3
    rest_w = losses.loss_w(1e6, 0.0)
    assert losses.fed_w(1e6, 60e3, meter_tells=True) == pytest.approx(rest_w + 60e3)
    assert losses.fed_w(1e6, 1.3e6, meter_tells=True) == pytest.approx(rest_w + 3.0 * stated_w)
    assert losses.fed_w(1e6, 60e3, meter_tells=False) == pytest.approx(rest_w + stated_w), "it makes no room to export"
    assert losses.fed_w(1e6, 5e3, meter_tells=False) == pytest.approx(rest_w + 5e3)
    assert losses.fed_w(-1e6, 5e3, meter_tells=False) == pytest.approx(rest_w + stated_w), "nor to import"
