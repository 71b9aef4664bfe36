"""Samples as the field delivers them when something is wrong: wide or doubted, never a confident wrong number.

The cell is the model's own (its voltage follows from its true SOC), so only the fault can make the estimate wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.estimation import RackSpec, estimator_config
from controller.estimation.cell_model import CellTest, simulate_voltage
from controller.estimation.offline import OfflineResult, RecordError, Recording, estimate_recording
from controller.image.quality import Quality
from controller.plant.cell_loader import packaged_cell_type

Floats = NDArray[np.float64]

CELL = packaged_cell_type("a123_26650_lfp")
HOURS = 0.9
FROM_S = 2400.0
WRONG = 0.05


def drive() -> tuple[Floats, Floats, Floats]:
    """Return time, current (steps of a minute, net discharge) and true SOC, at first in the upper knee."""
    time_s = np.arange(0.0, HOURS * 3600.0)
    steps = np.random.default_rng(5).normal(1.0, 2.0, len(time_s) // 60 + 1)
    current_a = np.repeat(steps, 60)[: len(time_s)]
    soc = 0.97 - np.concatenate(([0.0], np.cumsum(current_a[1:]))) / 3600.0 / CELL.capacity_ah
    return time_s, current_a, soc


TIME_S, CURRENT_A, SOC = drive()
WARMTH_DEGC = np.full(len(TIME_S), 25.0)
VOLTAGE_V = simulate_voltage(CELL, CellTest("drive", TIME_S, CURRENT_A, np.zeros_like(TIME_S), WARMTH_DEGC, SOC))
VOLTAGE_V = VOLTAGE_V + np.random.default_rng(6).normal(0.0, 1e-3, len(TIME_S))


def result(time_s: Floats = TIME_S, current_a: Floats = CURRENT_A, voltage_v: Floats = VOLTAGE_V) -> OfflineResult:
    config = estimator_config([RackSpec(CELL, CELL.capacity_ah, 1, 10.0, 20.0, balancing_a=0.0)])
    return estimate_recording(
        config, Recording(time_s, current_a, voltage_v[:, None], WARMTH_DEGC[: len(time_s), None])
    )


def late(values: NDArray[Any]) -> NDArray[Any]:
    return values[TIME_S[: len(values)] >= FROM_S]


def inside(found: OfflineResult, true: Floats = SOC) -> float:
    low, high = found.columns["soc_low_ratio"], found.columns["soc_high_ratio"]
    return float(np.mean(late((low <= true) & (true <= high))))


def doubted_where_wrong(found: OfflineResult) -> None:
    wrong = late(np.abs(found.columns["soc_ratio"] - SOC)) > WRONG
    assert wrong.any()
    assert np.all(late(found.columns["quality"])[wrong] >= Quality.UNCERTAIN)


def test_a_sound_record_is_followed_closely() -> None:
    found = result()
    assert inside(found) > 0.95
    assert np.abs(late(found.columns["soc_ratio"] - SOC)).max() < 0.015
    assert late(found.columns["soc_high_ratio"] - found.columns["soc_low_ratio"]).max() < 0.06


def test_a_gap_in_which_charge_flows_widens_the_bounds_over_it() -> None:
    keep = (TIME_S < 1500.0) | (TIME_S >= 2400.0)
    found = result(TIME_S[keep], CURRENT_A[keep], VOLTAGE_V[keep])
    width = found.columns["soc_high_ratio"] - found.columns["soc_low_ratio"]
    after, before = int(np.searchsorted(TIME_S[keep], 2401.0)), int(np.searchsorted(TIME_S[keep], 1499.0))
    assert width[after] > width[before] + 0.1
    wrong = np.abs(found.columns["soc_ratio"] - SOC[keep]) > WRONG
    assert np.all(found.columns["quality"][after:][wrong[after:]] >= Quality.UNCERTAIN)


@pytest.mark.parametrize("what", ["current", "both"])
def test_values_that_are_no_number_leave_the_truth_inside(what: str) -> None:
    current, voltage = CURRENT_A.copy(), VOLTAGE_V.copy()
    hole = slice(1500, 1950)
    current[hole] = np.nan
    if what == "both":
        voltage[hole] = np.nan
    found = result(current_a=current, voltage_v=voltage)
    assert np.isfinite(found.columns["soc_ratio"]).all()
    assert inside(found) > 0.93


@pytest.mark.xfail(
    strict=True, reason="steps once a minute are too rare for the comparison of steps: nothing is doubted"
)
def test_a_frozen_current_is_doubted_though_the_load_steps_seldom() -> None:
    current = CURRENT_A.copy()
    current[1200:] = current[1200]
    doubted_where_wrong(result(current_a=current))


def test_a_current_of_the_wrong_sign_is_doubted() -> None:
    doubted_where_wrong(result(current_a=-CURRENT_A))


def test_repeated_times_are_one_sample() -> None:
    twice = np.repeat(np.arange(len(TIME_S)), 2)
    config = estimator_config([RackSpec(CELL, CELL.capacity_ah, 1, 10.0, 20.0, balancing_a=0.0)])
    record = Recording(TIME_S[twice], CURRENT_A[twice], VOLTAGE_V[twice, None], WARMTH_DEGC[twice, None])
    found = estimate_recording(config, record)
    assert np.allclose(found.columns["soc_ratio"][1::2], result().columns["soc_ratio"], atol=0.01)


def test_falling_times_are_refused_with_their_row() -> None:
    time_s = TIME_S.copy()
    time_s[500] = 3.0
    with pytest.raises(RecordError, match="row 500: time_s goes back"):
        result(time_s)


def test_no_voltage_at_all_grows_no_faster_than_the_sensors_say() -> None:
    voltage = VOLTAGE_V.copy()
    voltage[900:] = np.nan
    found = result(voltage_v=voltage)
    low, high = found.columns["soc_low_ratio"], found.columns["soc_high_ratio"]
    hours, net = (TIME_S[-1] - 900.0) / 3600.0, abs(SOC[-1] - SOC[900])
    sensors = CELL.sensors
    gain = np.hypot(sensors.current_gain_ratio, CELL.ageing.capacity_sigma_ratio)
    grown = 2 * 1.96 * (sensors.current_offset_a / CELL.capacity_ah * hours + gain * net)
    assert high[-1] - low[-1] <= high[900] - low[900] + 1.05 * grown
