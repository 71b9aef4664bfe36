"""Racks of a bus against its converters: a gain that is off is found where it can be, and never beyond its bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.estimation import RackSample, RackSpec, estimator_config
from controller.estimation.current_gain import CurrentGain, current_gain, initial_gains, watch_gains
from controller.plant.cell_loader import packaged_cell_type

CELL = packaged_cell_type("generic_280_lfp")
RACKS, AMPERE_HOURS, MOST_A = 6, 280.0, 140.0
STEP_S = 60


def plant(buses: tuple[int, ...] = (0,) * RACKS):
    return estimator_config([RackSpec(CELL, AMPERE_HOURS, 4, MOST_A, MOST_A, bus=bus) for bus in buses])


def sample(second: int, current_a: np.ndarray, bus_a: np.ndarray | None) -> RackSample:
    racks = len(current_a)
    time, yes = np.full(racks, second * 10**9), np.ones(racks, dtype=bool)
    cells = np.full((racks, 4), 3.3, dtype=np.float32)
    return RackSample(
        source_time_ns=time,
        valid=yes,
        current_a=current_a,
        voltage_v=np.full(racks, 13.2),
        soc_bms_ratio=np.full(racks, np.nan),
        contactor_open=~yes,
        bms_alarm_free=yes,
        cell_time_ns=time,
        cell_voltage_v=cells,
        cell_valid=np.ones_like(cells, dtype=bool),
        cell_temperature_degc=np.full((racks, 1), 25.0, dtype=np.float32),
        temperature_valid=np.ones((racks, 1), dtype=bool),
        bus_current_a=bus_a,
    )


def shares(second: int, *, parted: bool) -> np.ndarray:
    """Return how the racks part the current: alike but for their resistances, or with one away, each in its turn."""
    share = 1.0 + 0.03 * np.sin(np.arange(RACKS) + second / 20000.0)
    if parted:
        share[(second // 7200) % RACKS] = 0.0
    total: float = share.sum()
    return np.asarray(share / total)


def calibrated(wrong: float, *, parted: bool, days: float, seed: int) -> tuple[np.ndarray, CurrentGain]:
    """Return the true gain errors and what was found: sensors with gains, offsets, noise and a bend of their own."""
    rng = np.random.default_rng(seed)
    gain = 0.003 * rng.standard_normal(RACKS)
    gain[2] = wrong
    offset_a, bend = 0.2 * rng.standard_normal(RACKS), 0.0005 * rng.standard_normal(RACKS)
    converters = 0.003 * rng.standard_normal()
    config = plant()
    state, total_a = initial_gains(config, 0), 0.0
    for second in range(STEP_S, int(days * 86400), STEP_S):
        hour = second / 3600.0 % 24.0
        if second % 900 == 0:
            total_a = 90.0 * RACKS * (np.sin(2 * np.pi * hour / 12.0) + 0.3 * rng.standard_normal())
        true_a = total_a * shares(second, parted=parted)
        seen = (1.0 + gain) * true_a + bend * np.abs(true_a) + offset_a + 0.1 * rng.standard_normal(RACKS)
        bus_a = np.array([(1.0 + converters) * total_a + 0.3 + 0.2 * rng.standard_normal()])
        state = watch_gains(config, state, sample(second, seen, bus_a), second * 10**9)
    return gain, current_gain(config, state)


@pytest.mark.parametrize("wrong", [-0.02, -0.005, 0.005, 0.01, 0.02])
@pytest.mark.parametrize("parted", [True, False])
def test_the_bounds_hold_the_gain_of_every_rack(wrong: float, *, parted: bool):
    inside = 0
    for seed in (1, 2, 3):
        gain, found = calibrated(wrong, parted=parted, days=1.0, seed=seed)
        inside += int(((found.low_ratio <= gain) & (gain <= found.high_ratio)).sum())
    assert inside >= 0.95 * 3 * RACKS


@pytest.mark.parametrize("wrong", [-0.02, 0.02])
def test_racks_that_come_and_go_show_whose_sensor_is_off(wrong: float):
    gain, found = calibrated(wrong, parted=True, days=2.0, seed=4)
    width = found.high_ratio - found.low_ratio
    assert abs(found.error_ratio[2] - wrong) < 0.006
    assert np.argmax(np.abs(found.error_ratio)) == 2
    assert (width < 0.018).all()
    assert not found.low_ratio[2] <= 0.0 <= found.high_ratio[2]
    assert len(gain) == RACKS


def test_racks_that_always_part_the_current_alike_stay_open():
    """Only the mean of their gains can be seen then, and no bound says more."""
    _, found = calibrated(0.02, parted=False, days=1.0, seed=5)
    assert (found.high_ratio - found.low_ratio > 0.03).all()


def test_a_rack_alone_is_known_no_better_than_its_converter():
    config = plant((0,))
    state = initial_gains(config, 0)
    for second in range(10, 86400, 10):
        true_a = 100.0 * np.sin(second / 5000.0)
        seen = sample(second, np.array([1.01 * true_a]), np.array([true_a]))
        state = watch_gains(config, state, seen, second * 10**9)
    found = current_gain(config, state)
    assert found.error_ratio[0] == pytest.approx(0.01, abs=0.002)
    assert found.high_ratio[0] - found.low_ratio[0] > 2 * 1.95 * 0.004


@pytest.mark.parametrize("what", ["none", "silent", "never", "impossible"])
def test_without_a_sum_nothing_is_said(what: str):
    config = plant((0, 0, 1))
    state = initial_gains(config, 0)
    for second in range(10, 600, 10):
        bus_a = {"none": None, "silent": np.array([np.nan, np.nan])}.get(what, np.array([20.0, 10.0]))
        one = sample(second, np.array([10.0, 10.0, 10.0]), bus_a)
        if what == "never":
            one = replace(one, valid=np.array([True, False, True]))
        if what == "impossible":
            one = replace(one, current_a=np.array([10.0, 9e9, np.nan]))
        state = watch_gains(config, state, one, second * 10**9)
    found = current_gain(config, state)
    assert np.isnan(found.error_ratio[:2]).all()
    assert np.isnan(found.low_ratio[:2]).all()
    assert np.isfinite(found.error_ratio[2]) == (what == "never")


def test_a_sum_that_no_gain_explains_teaches_nothing():
    config = plant()
    state = initial_gains(config, 0)
    for second in range(10, 3600, 10):
        seen = sample(second, np.full(RACKS, 100.0), np.array([-100.0 * RACKS]))
        state = watch_gains(config, state, seen, second * 10**9)
    assert np.isnan(current_gain(config, state).error_ratio).all()
