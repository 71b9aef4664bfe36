"""What ties the SOC down and what never does: rests by their place, a BMS's jump, and what a restart leaves open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.estimation import (
    Estimate,
    EstimatorConfig,
    EstimatorState,
    RackSpec,
    estimate,
    estimator_config,
    from_bytes,
    initial,
    to_bytes,
)
from controller.estimation.cell_filter import SOC
from controller.estimation.past_differences import Past
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import scaled
from tests.estimation.equivalent_rack import EquivalentRack

AMPERE_HOURS, CELLS = 280.0, 12
CELL = scaled(packaged_cell_type("generic_280_lfp"), AMPERE_HOURS)
BAND = CELL.anchors.forbidden_low_ratio, CELL.anchors.forbidden_high_ratio


def plant(balancing_a: float = 0.1) -> EstimatorConfig:
    return estimator_config(
        [RackSpec(CELL, AMPERE_HOURS, CELLS, 140.0, 140.0, temperature_sensors=CELLS, balancing_a=balancing_a)]
    )


def at_rest(soc: float, hint: float, hours: float, bms: float = np.nan, seed: int = 1) -> list[Estimate]:
    """Return the estimates of a rest, begun from a hint that is off by some points, sampled each 30 s."""
    config, rack = plant(), EquivalentRack(CELL, CELLS, soc, 25.0, seed)
    state = initial(config, 0, hint, 0.1)
    results = []
    for second in range(30, int(3600 * hours), 30):
        sample = rack.sample(second * 10**9, 0.0, rack.step(0.0, 30.0))
        sample = replace(sample, soc_bms_ratio=np.array([bms if second > 600 else hint]))
        results.append(estimate(config, state, sample, second * 10**9))
    return results


@pytest.mark.parametrize("soc", [0.04, 0.06])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_long_rest_below_the_band_anchors(soc: float, seed: int):
    last = at_rest(soc, soc + 0.1, 3.0, seed=seed)[-1]
    assert last.anchor_age_s[0] < 60.0
    assert last.soc_low_ratio[0] <= soc <= last.soc_high_ratio[0]
    assert abs(last.soc_ratio[0] - soc) < 0.03


@pytest.mark.parametrize("hint", [0.45, 0.75])
def test_a_rest_inside_the_band_never_does_however_long(hint: float):
    results = at_rest(0.60, hint, 12.0)
    assert BAND[0] < 0.60 < BAND[1]
    assert all(np.isinf(one.anchor_age_s[0]) for one in results)
    last = results[-1]
    assert last.soc_low_ratio[0] <= 0.60 <= last.soc_high_ratio[0]
    assert last.soc_high_ratio[0] - last.soc_low_ratio[0] > 0.08


def test_a_jump_of_the_bms_is_recorded_and_moves_nothing():
    told, silent = at_rest(0.60, 0.60, 0.5, bms=0.35), at_rest(0.60, 0.60, 0.5)
    assert any(bool(one.bms_jumped[0]) for one in told)
    assert not any(bool(one.bms_jumped[0]) for one in silent)
    assert all(a.soc_ratio[0] == b.soc_ratio[0] for a, b in zip(told, silent, strict=True))


def _rested(config: EstimatorConfig) -> EstimatorState:
    rack, state = EquivalentRack(CELL, CELLS, 0.07, 25.0, 1), initial(config, 0, 0.07, 0.02)
    for second in range(30, 7200, 30):
        estimate(config, state, rack.sample(second * 10**9, 0.0, rack.step(0.0, 30.0)), second * 10**9)
    return state


def _with_snapshots(state: EstimatorState) -> EstimatorState:
    """Return the state as after some days: with differences to compare with."""
    group = state.groups[0]
    zero = np.zeros((1, CELLS), dtype=np.float32)
    past = Past().with_one(zero, zero, 1, 10**18)
    group = replace(group, anomalies=replace(group.anomalies, hours=past, days=past))
    return replace(state, groups=(group,))


@pytest.mark.parametrize(("balancing_a", "away_h", "kept"), [(0.1, 1.0, True), (0.1, 72.0, False), (0.0, 72.0, True)])
def test_a_restart_leaves_open_what_balancing_may_have_done_to_each_cell(
    balancing_a: float, away_h: float, *, kept: bool
):
    config = plant(balancing_a)
    state = _with_snapshots(_rested(config))
    later = from_bytes(to_bytes(state), config, now_ns=5, away_s=3600.0 * away_h)
    before, after = state.groups[0], later.groups[0]
    grown = after.cells.covariance[0, SOC, SOC] - before.cells.covariance[0, SOC, SOC]
    bled = balancing_a * away_h / AMPERE_HOURS
    assert grown >= bled**2 / 3.0
    assert (len(after.anomalies.hours.at_ns) == len(after.anomalies.days.at_ns) == 1) is kept
    assert np.array_equal(after.cells.states, before.cells.states)


def test_a_cell_that_was_balanced_while_nobody_looked_is_no_leak():
    """Two points in three days, one cell: seen again at the knee, taken as it is, and not as a fall."""
    config = plant()
    state = _rested(config)
    later = from_bytes(to_bytes(state), config, now_ns=0, away_s=3 * 86400.0)
    rack = EquivalentRack(CELL, CELLS, 0.07, 25.0, 1)
    rack.soc[4] -= 0.02
    before = float(later.groups[0].cells.states[SOC, 0, 4])
    for second in range(30, 3 * 3600, 30):
        estimate(config, later, rack.sample(second * 10**9, 0.0, rack.step(0.0, 30.0)), second * 10**9)
    apart = later.groups[0].cells.states[SOC, 0]
    assert apart[4] - before == pytest.approx(-0.02, abs=0.008)
    assert later.findings == ()
