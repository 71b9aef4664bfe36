"""The interface that the scan uses: samples in, bounded values out; bad samples widen and never lie."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import (
    EstimatorConfig,
    EstimatorState,
    RackSample,
    RackSpec,
    StateError,
    estimate,
    estimator_config,
    from_bytes,
    initial,
    to_bytes,
)
from controller.estimation.cell_tables import MODEL_ERROR, curves_at
from controller.plant.cell_loader import packaged_cell_type

SECOND_NS = 1_000_000_000


def plant(racks: int = 2, cells: int = 4) -> EstimatorConfig:
    return estimator_config([RackSpec(packaged_cell_type("generic_280_lfp"), 280.0, cells, 140.0, 140.0)] * racks)


def sample(config: EstimatorConfig, at_s: float, current_a: float, voltage_v: float) -> RackSample:
    racks, cells = config.racks, int(config.cells_in_series.max())
    times = np.full(racks, int(at_s * SECOND_NS), dtype=np.int64)
    yes, cell = np.ones(racks, dtype=bool), np.ones((racks, cells), dtype=bool)
    return RackSample(
        source_time_ns=times,
        valid=yes,
        current_a=np.full(racks, current_a),
        voltage_v=np.full(racks, voltage_v * cells),
        soc_bms_ratio=np.full(racks, np.nan),
        contactor_open=~yes,
        bms_alarm_free=yes,
        cell_time_ns=times,
        cell_voltage_v=np.full((racks, cells), voltage_v, dtype=np.float32),
        cell_valid=cell,
        cell_temperature_degc=np.full((racks, 1), 25.0, dtype=np.float32),
        temperature_valid=np.ones((racks, 1), dtype=bool),
    )


def run(config: EstimatorConfig, state: EstimatorState, seconds: range, current_a: float, voltage_v: float):
    result = None
    for at_s in seconds:
        result = estimate(config, state, sample(config, at_s, current_a, voltage_v), at_s * SECOND_NS)
    assert result is not None
    return result


def model_error_v(current_a: np.ndarray) -> float:
    """The model's error at half charge after a sample each 30 s of these currents, over the cell type's."""
    config = plant(1)
    state = initial(config, 0)
    for k, now_a in enumerate(current_a.tolist()):
        estimate(config, state, sample(config, 30.0 * (k + 1), now_a, 3.30), 30 * (k + 1) * SECOND_NS)
    table = curves_at(config.tables, config.cell_index, state.temperature_degc)
    return float(state.curves[0, MODEL_ERROR, 100] / table[0, MODEL_ERROR, 100])


def test_an_hour_of_small_currents_one_way_makes_the_model_less_sure_and_nothing_else_does():
    slow_a, turns = 280.0 / 30.0, np.where(np.arange(180) % 40 < 20, 1.0, -1.0)
    assert model_error_v(np.full(180, slow_a)) > 1.2
    assert model_error_v(np.full(180, -slow_a)) > 1.2
    assert model_error_v(np.concatenate((np.zeros(130), np.full(10, slow_a)))) > 1.2
    assert model_error_v(np.full(100, slow_a)) == 1.0
    assert model_error_v(turns * slow_a) == 1.0
    assert model_error_v(np.full(180, 0.2 * 280.0)) == 1.0
    assert model_error_v(np.zeros(180)) == 1.0


def test_a_voltage_on_the_plateau_leaves_the_bounds_wide():
    config = plant()
    result = run(config, initial(config, 0), range(1, 40), current_a=0.0, voltage_v=3.30)
    assert np.all(result.soc_high_ratio - result.soc_low_ratio > 0.10)
    assert np.all(np.isinf(result.anchor_age_s))


def test_a_tapered_full_charge_anchors_at_full():
    config = plant()
    result = run(config, initial(config, 0), range(1, 40), current_a=-5.0, voltage_v=3.60)
    assert np.all(result.soc_ratio > 0.98)
    assert np.all(result.soc_high_ratio - result.soc_low_ratio < 0.03)
    assert np.all(result.anchor_age_s < 30.0)


def test_a_repeated_source_time_counts_no_charge():
    config, state = plant(), None
    state = initial(config, 0)
    run(config, state, range(1, 30), current_a=-5.0, voltage_v=3.60)
    before = estimate(config, state, sample(config, 29, 140.0, 3.3), 30 * SECOND_NS)
    after = estimate(config, state, sample(config, 29, 140.0, 3.3), 300 * SECOND_NS)
    assert np.allclose(before.soc_ratio, after.soc_ratio, atol=0.01)  # 140 A over the time would be 4 points


def test_a_gap_widens_the_bounds():
    config = plant()
    state = initial(config, 0)
    before = run(config, state, range(1, 30), current_a=-5.0, voltage_v=3.60)
    after = estimate(config, state, sample(config, 1829, 0.0, 3.34), 1829 * SECOND_NS)
    assert np.all(after.soc_high_ratio - after.soc_low_ratio > before.soc_high_ratio - before.soc_low_ratio + 0.05)


def test_what_is_not_a_number_counts_nothing():
    config = plant()
    state = initial(config, 0)
    before = run(config, state, range(1, 30), current_a=-5.0, voltage_v=3.60)
    after = run(config, state, range(30, 60), current_a=float("nan"), voltage_v=float("nan"))
    assert np.allclose(before.soc_ratio, after.soc_ratio, atol=1e-3)
    assert np.isfinite(after.soc_low_ratio).all()


def test_a_copy_is_worked_in_without_touching_the_original():
    config = plant()
    state = initial(config, 0)
    run(config, state, range(1, 20), current_a=50.0, voltage_v=3.25)
    saved = to_bytes(state)
    run(config, state.copy(), range(20, 60), current_a=-50.0, voltage_v=3.4)
    assert to_bytes(state) == saved


def test_a_restart_widens_the_bounds_for_the_time_away():
    config = plant()
    state = initial(config, 0)
    before = run(config, state, range(1, 30), current_a=-5.0, voltage_v=3.60)
    restarted = from_bytes(to_bytes(state), config, now_ns=7, away_s=600.0)
    after = estimate(config, restarted, sample(config, 1, 0.0, 3.4), SECOND_NS)
    assert np.all(after.soc_low_ratio < before.soc_low_ratio - 0.03)
    assert np.all(after.anchor_age_s > 590.0)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04 torn"])
def test_torn_state_is_refused(data: bytes):
    with pytest.raises(StateError):
        from_bytes(data, plant(), 0, 0.0)


def test_state_of_another_plant_is_refused():
    saved = to_bytes(initial(plant(racks=3), 0))
    with pytest.raises(StateError, match="the plant has changed"):
        from_bytes(saved, plant(racks=2), 0, 0.0)
