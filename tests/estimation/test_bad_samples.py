"""Samples as the field delivers them when something is wrong: wide or doubted, never a confident wrong number.

The cell is the model's own (its voltage follows from its true SOC), so only the fault can make the estimate wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.estimation import RackSpec, estimator_config
from controller.estimation.cell_model import CellTest, simulate_voltage
from controller.estimation.offline import OfflineResult, RecordError, Recording, estimate_recording
from controller.estimation.state import INITIAL_SOC_SIGMA
from controller.image.quality import Quality
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import CellType
from tests.estimation import fault_table

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CELLS = ("a123_26650_lfp", "ncr18650pf_nca", "lg_m50_nmc")
HOURS = 0.9
FROM_S = 2400.0
TIME_S = np.arange(0.0, HOURS * 3600.0)


@dataclass(frozen=True)
class Drive:
    """What sound sensors show of one cell, and its true SOC."""

    cell: CellType
    current_a: Floats
    voltage_v: Floats
    soc: Floats


@cache
def drive(name: str = "a123_26650_lfp") -> Drive:
    """Return steps of half a C about a net discharge, one a minute; from the upper knee."""
    cell = packaged_cell_type(name)
    steps = np.random.default_rng(5).normal(0.5, 1.0, len(TIME_S) // 60 + 1) * cell.capacity_ah
    current_a = np.repeat(steps, 60)[: len(TIME_S)]
    return driven(cell, TIME_S, current_a, 0.97)


def driven(cell: CellType, time_s: Floats, current_a: Floats, soc_ratio: float) -> Drive:
    """Return what a cell that starts at a SOC shows under a current."""
    charge_as = np.concatenate(([0.0], np.cumsum(current_a[1:] * np.diff(time_s))))
    soc = soc_ratio - charge_as / 3600.0 / cell.capacity_ah
    test = CellTest("drive", time_s, current_a, np.zeros_like(time_s), np.full(len(time_s), 25.0), soc)
    noise_v = np.random.default_rng(6).normal(0.0, 1e-3, len(time_s))
    return Drive(cell, current_a, simulate_voltage(cell, test) + noise_v, soc)


SOUND = drive()
SOC, CURRENT_A, VOLTAGE_V = SOUND.soc, SOUND.current_a, SOUND.voltage_v


def result(
    time_s: Floats = TIME_S,
    current_a: Floats = CURRENT_A,
    voltage_v: Floats = VOLTAGE_V,
    cell: CellType = SOUND.cell,
    hint: tuple[float, float] = (0.5, INITIAL_SOC_SIGMA),
) -> OfflineResult:
    config = estimator_config([RackSpec(cell, cell.capacity_ah, 1, 10.0, 20.0, balancing_a=0.0)])
    warmth = np.full((len(time_s), 1), 25.0)
    return estimate_recording(config, Recording(time_s, current_a, voltage_v[:, None], warmth), *hint)


def late(values: NDArray[Any]) -> NDArray[Any]:
    return values[TIME_S[: len(values)] >= FROM_S]


def outside(found: OfflineResult, true: Floats = SOC) -> Mask:
    low, high = found.columns["soc_low_ratio"], found.columns["soc_high_ratio"]
    return np.asarray((true < low) | (true > high))


def inside(found: OfflineResult, true: Floats = SOC) -> float:
    return 1.0 - float(np.mean(late(outside(found, true))))


def doubted(found: OfflineResult) -> Mask:
    return np.asarray(found.columns["quality"] >= Quality.UNCERTAIN)


@pytest.mark.parametrize("name", CELLS)
def test_a_sound_record_is_followed_closely_and_never_doubted(name: str) -> None:
    sound = drive(name)
    found = result(current_a=sound.current_a, voltage_v=sound.voltage_v, cell=sound.cell)
    assert inside(found, sound.soc) > 0.95
    assert np.abs(late(found.columns["soc_ratio"] - sound.soc)).max() < 0.015
    assert late(found.columns["soc_high_ratio"] - found.columns["soc_low_ratio"]).max() < 0.06
    assert not late(doubted(found)).any()


def test_after_a_gap_in_which_charge_flows_the_truth_is_inside_or_the_value_is_uncertain() -> None:
    keep = (TIME_S < 1500.0) | (TIME_S >= 2400.0)
    found = result(TIME_S[keep], CURRENT_A[keep], VOLTAGE_V[keep])
    lost = outside(found, SOC[keep])
    assert not np.any(lost & ~doubted(found))
    assert np.mean(lost[TIME_S[keep] >= 2400.0]) < 0.1


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


def test_a_pulse_that_a_long_gap_ends_with_has_not_flowed_throughout_it() -> None:
    drives = [
        fault_table.drive(packaged_cell_type(name), soc, mean_per_h, 600)
        for name in ("a123_26650_lfp", "generic_280_lfp")
        for soc, mean_per_h in ((0.96, 0.5), (0.6, 0.15))
    ]
    gap = "gap of two hours"
    these = [
        fault_table.Variant(one.name, gap, fault_table.faulty(one, gap), packaged_cell_type(one.cell), 0.0)
        for one in drives
    ]
    low, high, good = fault_table.run(these)
    true = np.stack([one.soc_true_ratio for one in drives])
    lost = ((true < low) | (true > high))[:, fault_table.LONG_GAP.stop :]
    assert lost.mean() < 0.05
    assert not np.any(lost & good[:, fault_table.LONG_GAP.stop :])


HOLE_S = (1800.0, 9000.0)


def long_drive(name: str, ends_c_rate: float) -> tuple[Floats, Drive]:
    """Return three hours of a mild discharge, a sample each 10 s, with a current of its own at both ends of a hole."""
    cell, time_s = packaged_cell_type(name), np.arange(0.0, 10_800.0, 10.0)
    steps = np.random.default_rng(7).normal(0.15, 0.5, len(time_s) // 6) * cell.capacity_ah
    current_a = np.repeat(steps, 6)
    for end_s in HOLE_S:
        current_a[np.abs(time_s - end_s) < 30.0] = ends_c_rate * cell.capacity_ah
    return time_s, driven(cell, time_s, current_a, 0.85)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("ends_c_rate", [-1.2, 1.2])
@pytest.mark.parametrize("what", ["rows", "current"])
def test_two_hours_that_nobody_saw_leave_the_soc_open(name: str, ends_c_rate: float, what: str) -> None:
    time_s, true = long_drive(name, ends_c_rate)
    hole = (time_s > HOLE_S[0]) & (time_s < HOLE_S[1])
    keep = ~hole if what == "rows" else np.ones_like(hole)
    current_a = np.where(hole, np.nan, true.current_a)
    found = result(time_s[keep], current_a[keep], true.voltage_v[keep], true.cell, (0.85, 0.02))
    lost, after = outside(found, true.soc[keep]), time_s[keep] > HOLE_S[1]
    assert np.mean(lost[after]) < 0.07
    assert not np.any(lost & ~doubted(found))
    low, high = found.columns["capacity_low_ah"][-1], found.columns["capacity_high_ah"][-1]
    assert low < true.cell.capacity_ah < high


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("at", [1200, 1790])
def test_a_frozen_current_is_doubted_in_minutes_though_the_load_steps_seldom(name: str, at: int) -> None:
    sound = drive(name)
    current = sound.current_a.copy()
    current[at:] = current[at]
    found = result(current_a=current, voltage_v=sound.voltage_v, cell=sound.cell)
    assert inside(found, sound.soc) == 1.0
    assert doubted(found)[at + 240 :].all()


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("at", [0, 1200])
def test_a_current_of_the_wrong_sign_is_doubted_in_minutes(name: str, at: int) -> None:
    sound = drive(name)
    current = sound.current_a.copy()
    current[at:] *= -1.0
    found = result(current_a=current, voltage_v=sound.voltage_v, cell=sound.cell)
    assert inside(found, sound.soc) == 1.0
    assert doubted(found)[at + 300 :].all()  # near a knee, where LFP begins, a minute later


def test_a_current_that_is_right_again_is_believed_again() -> None:
    sound = drive("ncr18650pf_nca")  # whose voltage tells the SOC: LFP's stays lost until an anchor
    current = sound.current_a.copy()
    current[600:1200] = current[600]
    found = result(current_a=current, voltage_v=sound.voltage_v, cell=sound.cell)
    assert doubted(found)[840:1200].all()
    assert inside(found, sound.soc) == 1.0
    assert not doubted(found)[-300:].any()


def test_repeated_times_are_one_sample() -> None:
    twice = np.repeat(np.arange(len(TIME_S)), 2)
    found = result(TIME_S[twice], CURRENT_A[twice], VOLTAGE_V[twice])
    assert np.allclose(found.columns["soc_ratio"][1::2], result().columns["soc_ratio"], atol=0.01)


def test_falling_times_are_refused_with_their_row() -> None:
    time_s = TIME_S.copy()
    time_s[500] = 3.0
    with pytest.raises(RecordError, match="row 500: time_s goes back"):
        result(time_s)


def test_times_that_stand_still_are_refused() -> None:
    with pytest.raises(RecordError, match="in the first and in the last row"):
        result(np.full(len(TIME_S), 7.0))


def test_no_voltage_at_all_grows_no_faster_than_the_sensors_say() -> None:
    voltage = VOLTAGE_V.copy()
    voltage[900:] = np.nan
    found = result(voltage_v=voltage)
    low, high = found.columns["soc_low_ratio"], found.columns["soc_high_ratio"]
    hours, net = (TIME_S[-1] - 900.0) / 3600.0, abs(SOC[-1] - SOC[900])
    sensors = SOUND.cell.sensors
    gain = np.hypot(sensors.current_gain_ratio, SOUND.cell.ageing.capacity_sigma_ratio)
    grown = 2 * 1.96 * (sensors.current_offset_a / SOUND.cell.capacity_ah * hours + gain * net)
    assert high[-1] - low[-1] <= high[900] - low[900] + 1.05 * grown
