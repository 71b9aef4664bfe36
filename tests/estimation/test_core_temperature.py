"""The core from the surface and the heat, against a two-node cell stepped by itself: its own circuit and spread."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import RackSpec, estimate, estimator_config, initial
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import scaled
from tests.estimation.equivalent_rack import EquivalentRack

CELL = scaled(packaged_cell_type("generic_280_lfp"), 280.0)
CELLS = 12
WITHIN_K = 1.5


@pytest.mark.parametrize(("degc", "c_rate", "seed"), [(25.0, 1.0, 1), (12.0, 1.5, 2), (35.0, 2.0, 3)])
def test_the_core_is_followed_within_a_kelvin_and_a_half(degc: float, c_rate: float, seed: int):
    rack = EquivalentRack(CELL, CELLS, 0.5, degc, seed)
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, 840.0, 840.0, temperature_sensors=CELLS)])
    state = initial(config, 0, 0.5, 0.02)
    apart_k, inside_k = [], []
    for second in range(2, 3601, 2):
        current_a = 280.0 * c_rate * (0.0 if second % 1200 > 900 else np.sign(np.sin(second / 90.0)))
        cell_v = rack.step(current_a, 2.0)
        result = estimate(config, state, rack.sample(second * 10**9, current_a, cell_v), second * 10**9)
        apart_k.append(float(result.core_degc[0] - rack.core_degc.max()))
        inside_k.append(float((rack.core_degc - rack.surface_degc).mean()))
    assert max(inside_k) > 1.0  # a core that is warmer than what is measured
    assert np.abs(apart_k[60:]).max() <= WITHIN_K, (max(apart_k[60:]), min(apart_k[60:]), max(inside_k))


def test_a_hot_core_takes_power_away_that_the_surface_would_allow():
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, 840.0, 840.0, temperature_sensors=CELLS)])
    rack = EquivalentRack(CELL, CELLS, 0.5, 38.0, 5)
    state, result = initial(config, 0, 0.5, 0.02), None
    for second in range(2, 1201, 2):
        current_a = 560.0 * float(np.sign(np.sin(second / 60.0)))
        result = estimate(
            config, state, rack.sample(second * 10**9, current_a, rack.step(current_a, 2.0)), second * 10**9
        )
    assert result is not None
    cool = state.copy()
    cool.core_degc, cool.power_ns = cool.temperature_degc.copy(), 1200 * 10**9
    cool.current_a, cool.pair_current_a = np.zeros(1), state.pair_current_a
    sample = rack.sample(1200 * 10**9, 0.0, rack.parts()[0])
    later = 1201 * 10**9 + 10**6
    as_surface = estimate(config, cool, sample, later)
    assert result.core_degc[0] > as_surface.core_degc[0] + 0.5
    assert result.power_discharge_w[0, 3] < 0.97 * as_surface.power_discharge_w[0, 3]
