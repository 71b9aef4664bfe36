"""Capacity from swings between the knees: within a percent of the truth in the sensor's own ampere-hours."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import RackSpec, estimate, estimator_config, initial
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import scaled
from tests.estimation.equivalent_rack import EquivalentRack
from tests.estimation.synthetic_pack import GAIN as PACK_GAIN
from tests.estimation.synthetic_pack import Pack, PackSpec, two_cycles

CELL = scaled(packaged_cell_type("generic_280_lfp"), 280.0)
CELLS, STEP_S = 12, 60
GAIN, OFFSET_A = 1.01, 0.28


def swing(rack: EquivalentRack, c_rate: float):
    """Yield currents until the rack's first cell is near an end."""
    while rack.soc.min() > 0.035 and rack.soc.max() < 0.985:
        yield 280.0 * c_rate


@pytest.mark.parametrize(("fade", "degc"), [(0.0, 25.0), (-0.06, 32.0), (-0.15, 18.0)])
def test_three_swings_tell_the_capacity(fade: float, degc: float):
    rack = EquivalentRack(CELL, CELLS, 0.5, degc, 11)
    rack.capacity_ah *= 1.0 + fade
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, 140.0, 140.0, temperature_sensors=CELLS)])
    state, second, result = initial(config, 0), 0, None
    for way in (-0.45, 0.45, -0.45, 0.45, -0.45):
        for rest in (False, True):
            currents = [0.0] * 20 if rest else swing(rack, way)
            for current_a in currents:
                second += STEP_S
                cell_v = rack.step(current_a, float(STEP_S))
                sample = rack.sample(second * 10**9, GAIN * current_a + OFFSET_A, cell_v)
                result = estimate(config, state, sample, second * 10**9)
        rack.soc = np.clip(rack.soc, 0.0351, 0.9849)
    assert result is not None
    truth_ah = GAIN * rack.capacity_ah.mean()
    assert state.capacity.pairs[0] >= 3
    assert result.capacity_ah[0] == pytest.approx(truth_ah, rel=0.01)
    assert result.capacity_low_ah[0] <= rack.capacity_ah.mean() <= result.capacity_high_ah[0]
    assert result.capacity_high_ah[0] - result.capacity_low_ah[0] < 0.08 * truth_ah


def test_no_swing_leaves_the_nameplate_and_says_how_little_is_known():
    rack = EquivalentRack(CELL, CELLS, 0.5, 25.0, 3)
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, 140.0, 140.0, temperature_sensors=CELLS)])
    state, result = initial(config, 0), None
    for second in range(STEP_S, 7200, STEP_S):
        current_a = 40.0 * np.sign(np.sin(second / 600.0))
        result = estimate(
            config, state, rack.sample(second * 10**9, current_a, rack.step(current_a, STEP_S)), second * 10**9
        )
    assert result is not None
    assert state.capacity.pairs[0] == 0
    assert result.capacity_low_ah[0] < rack.capacity_ah.mean() < result.capacity_high_ah[0]


def test_bent_knees_lie_inside_the_bounds_whose_amperes_one_counts():
    """Curves, resistances and time constants of eight racks are not the cell type's: 1 % is missed, the bounds hold."""
    spec = PackSpec(CELL, racks=8, cells=24, days=2.5, seed=611, profile=two_cycles, window=(0.04, 1.0))
    config = estimator_config([RackSpec(CELL, 280.0, 24, 140.0, 140.0, temperature_sensors=24)] * 8)
    state, pack = initial(config, 0), Pack(spec)
    result = None
    for sample in pack.steps():
        result = estimate(config, state, sample, int(sample.source_time_ns[0]))
    assert result is not None
    assert state.capacity.pairs.min() >= 3
    truth_ah = pack.capacity_ah.mean(axis=1)
    for own_ah in (truth_ah, PACK_GAIN * truth_ah):
        assert np.all(result.capacity_low_ah <= own_ah)
        assert np.all(result.capacity_high_ah >= own_ah)
    assert np.abs(result.capacity_ah / (PACK_GAIN * truth_ah) - 1.0).max() < 0.03
    assert np.max(result.capacity_high_ah - result.capacity_low_ah) < 0.09 * 280.0
