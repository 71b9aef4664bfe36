"""Resistance as a state of health: what the mean cell has now, carried to 25 degC, over that of its type."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import Estimate, RackSpec, estimate, estimator_config, initial
from controller.estimation.capacity import drop_of
from controller.estimation.cell_tables import FIRST_PAIR
from controller.estimation.mean_resistance import StepSample, no_steps, stated_resistance, with_sample
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import scaled
from tests.estimation.equivalent_rack import EquivalentRack

CELL = scaled(packaged_cell_type("generic_280_lfp"), 280.0)
CELLS, NEW_OHM = 12, 0.25e-3


def driven(grown: float, degc: float, hold_s: int, minutes: int, step_s: int = 1) -> tuple[Estimate, float]:
    """Return the estimate after half a C to and fro, each way for `hold_s`, and the rack's true ratio."""
    rack = EquivalentRack(CELL, CELLS, 0.6, degc, 4)
    rack.ohm_ratio *= grown / rack.ohm_ratio.mean()
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, 280.0, 280.0, temperature_sensors=CELLS)])
    state, result = initial(config, 0, 0.6, 0.02), None
    for second in range(step_s, 60 * minutes + 1, step_s):
        current_a = 140.0 if second // hold_s % 2 else -140.0
        cell_v = rack.step(current_a, float(step_s))
        result = estimate(config, state, rack.sample(second * 10**9, current_a, cell_v), second * 10**9)
    assert result is not None
    return result, grown


@pytest.mark.parametrize(
    ("grown", "degc"), [(1.0, 10.0), (1.0, 25.0), (1.4, 10.0), (1.4, 25.0), (1.4, 40.0), (2.0, 25.0)]
)
def test_the_growth_itself_is_stated_at_every_temperature(degc: float, grown: float) -> None:
    found, truth = driven(grown, degc, hold_s=60, minutes=20)
    shown = 1.0 / found.soh_resistance_ratio[0]
    assert found.resistance_measured[0]
    assert found.resistance_at_25_ohm[0] == pytest.approx(truth * NEW_OHM, rel=0.08)
    assert found.soh_resistance_ratio[0] == pytest.approx(1.0 / truth, rel=0.08)
    assert found.resistance_low_ohm[0] / found.resistance_ohm[0] * shown < truth
    assert found.resistance_high_ohm[0] / found.resistance_ohm[0] * shown > truth


@pytest.mark.parametrize("grown", [0.8, 1.0, 1.4])
def test_before_enough_steps_the_bounds_are_wide_enough_for_an_aged_rack(grown: float) -> None:
    found, truth = driven(grown, 25.0, hold_s=300, minutes=15)
    shown = 1.0 / found.soh_resistance_ratio[0]
    assert not found.resistance_measured[0]
    assert found.resistance_low_ohm[0] / found.resistance_ohm[0] * shown < truth
    assert found.resistance_high_ohm[0] / found.resistance_ohm[0] * shown > truth


def test_a_current_that_never_stands_still_measures_no_resistance() -> None:
    found, _ = driven(1.4, 25.0, hold_s=1, minutes=10)
    assert not found.resistance_measured[0]


def test_voltages_that_come_a_sample_late_change_nothing() -> None:
    """A gateway that reads cells after the current shows the old voltage with the new current, for one sample."""
    ratio = 1.3
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, 280.0, 280.0)])
    curves = initial(config, 0).curves
    pairs = curves.shape[1] - FIRST_PAIR
    sums, before_v = no_steps(1, pairs), 3.3
    for second in range(0, 4000, 2):
        current = np.array([140.0 if second // 60 % 2 else -140.0])
        now_v = 3.3 - ratio * drop_of(curves, np.array([0.6]), current, np.zeros((1, pairs)))[0]
        late = StepSample(
            np.array([float(second)]), np.array([before_v]), current, np.zeros((1, pairs)), np.zeros(1), curves,
            np.array([0.6]), np.array([280.0]), np.array([True]),
        )  # fmt: skip
        sums, before_v = with_sample(sums, late), now_v
    found = stated_resistance(sums, np.ones(1), np.zeros(1), np.zeros(1))
    assert found.measured[0]
    assert found.ratio[0] == pytest.approx(ratio, rel=0.001)
