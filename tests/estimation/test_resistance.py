"""Resistance as a state of health: what the mean cell has now, carried to 25 degC, over that of its type."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import RackSpec, estimate, estimator_config, initial
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import scaled
from tests.estimation.equivalent_rack import EquivalentRack

CELL = scaled(packaged_cell_type("generic_280_lfp"), 280.0)
CELLS, NEW_OHM = 12, 0.25e-3


@pytest.mark.parametrize("degc", [10.0, 25.0, 40.0])
@pytest.mark.parametrize("grown", [1.0, 1.15])
def test_the_same_growth_is_stated_at_every_temperature(degc: float, grown: float):
    rack = EquivalentRack(CELL, CELLS, 0.6, degc, 4)
    rack.ohm_ratio *= grown / rack.ohm_ratio.mean()
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, 280.0, 280.0, temperature_sensors=CELLS)])
    state, result = initial(config, 0, 0.6, 0.02), None
    for second in range(2, 5401, 2):
        current_a = 140.0 * float(np.sign(np.sin(second / 60.0)))
        cell_v = rack.step(current_a, 2.0)
        result = estimate(config, state, rack.sample(second * 10**9, current_a, cell_v), second * 10**9)
    assert result is not None
    assert result.resistance_at_25_ohm[0] == pytest.approx(grown * NEW_OHM, rel=0.12)
    assert result.soh_resistance_ratio[0] == pytest.approx(1.0 / grown, abs=0.1)
    assert result.resistance_at_25_ohm[0] == pytest.approx(NEW_OHM / result.soh_resistance_ratio[0], rel=0.001)
