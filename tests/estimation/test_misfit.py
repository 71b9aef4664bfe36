"""Measurements that are not of the cell type, and voltages that jump: told, uncertain, and never of a sound cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.estimation.misfit import (
    FOUND,
    LEAST_S,
    MOST,
    SETTLES_S,
    Misfit,
    Residual,
    follow_misfit,
    initial_misfit,
)
from controller.estimation.offline import OfflineResult
from controller.image.quality import Quality
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import CellType
from tests.estimation.test_bad_samples import CELLS, Drive, driven, result

BLOCK_S = np.array([30.0])
YES = np.array([True])
NAN = np.array([np.nan])
TIME_S = np.arange(0.0, 7200.0, 5.0)


def after(was: Misfit, residual_v: float, hours: float, resistance: float = np.nan) -> Misfit:
    block = Residual(np.array([residual_v]), np.array([0.01]), BLOCK_S, np.zeros(1), YES)
    for _ in range(round(hours * 120)):
        was = follow_misfit(was, block, np.array([resistance]))
    return was


def test_a_residual_as_large_as_expected_is_no_misfit_ever() -> None:
    assert not after(initial_misfit(1), 0.012, 24.0).found[0]


def test_a_residual_of_three_sigma_is_one_within_an_hour_once_settled() -> None:
    settled = after(initial_misfit(1), 0.03, SETTLES_S / 3600.0)
    assert not settled.found[0]
    found = after(settled, 0.03, 1.0)
    assert found.found[0]
    assert FOUND < found.ratio[0] <= MOST
    assert found.widening[0] == pytest.approx(np.sqrt(found.ratio[0]))
    assert not after(found, 0.005, 2.0).found[0]


def test_what_is_off_for_minutes_is_none_however_far() -> None:
    assert not after(after(initial_misfit(1), 0.0, 1.0), 10.0, 0.1).found[0]


def after_gap(unseen_ratio: float, minutes: float) -> Misfit:
    """The state when a voltage has been ten sigma off for some minutes, beginning at a gap."""
    gap = Residual(np.array([0.0]), np.array([0.01]), BLOCK_S, np.array([unseen_ratio]), YES)
    return after(follow_misfit(after(initial_misfit(1), 0.005, 2.0), gap, NAN), 0.1, minutes / 60.0)


def test_after_a_gap_in_which_all_may_have_flowed_it_waits_anew() -> None:
    assert not after_gap(1.0, SETTLES_S / 60.0 - 1.0).found[0]
    assert after_gap(1.0, SETTLES_S / 60.0 + 20.0).found[0]


def test_after_a_gap_of_seconds_it_does_not() -> None:
    assert after_gap(0.002, 20.0).found[0]


def test_a_file_of_less_than_an_hour_tells_a_misfit() -> None:
    assert not after(initial_misfit(1), 0.03, (SETTLES_S + LEAST_S) / 3600.0 - 0.02).found[0]
    assert after(initial_misfit(1), 0.03, (SETTLES_S + LEAST_S) / 3600.0 + 0.02).found[0]


def test_a_resistance_of_half_the_types_is_one_at_once() -> None:
    assert after(initial_misfit(1), 0.0, 0.1, 0.5).found[0]
    assert not after(initial_misfit(1), 0.0, 0.1, 1.8).found[0]


def long_drive(name: str, c_rate: float = 0.25) -> Drive:
    cell = packaged_cell_type(name)
    steps = np.random.default_rng(11).normal(c_rate, 0.7, len(TIME_S) // 6) * cell.capacity_ah
    return driven(cell, TIME_S, np.repeat(steps, 6), 0.9)


def estimated(true: Drive, current_a: np.ndarray | None = None, voltage_v: np.ndarray | None = None) -> OfflineResult:
    current_a = true.current_a if current_a is None else current_a
    voltage_v = true.voltage_v if voltage_v is None else voltage_v
    return result(TIME_S[: len(current_a)], current_a, voltage_v, true.cell, (0.9, 0.02))


def lost(found: OfflineResult, soc: np.ndarray) -> np.ndarray:
    """Rows whose truth lies outside the bounds."""
    low, high = found.columns["soc_low_ratio"], found.columns["soc_high_ratio"]
    return np.asarray((soc < low) | (soc > high))


def lying(found: OfflineResult, soc: np.ndarray) -> np.ndarray:
    """Rows whose quality is good although the truth lies outside the bounds."""
    return np.asarray(lost(found, soc) & (found.columns["quality"] < Quality.UNCERTAIN))


@pytest.mark.parametrize("name", CELLS)
def test_a_sound_cell_fits_and_does_not_jump(name: str) -> None:
    true = long_drive(name)
    found = estimated(true)
    assert found.misfit is None
    assert found.jumps == ()
    assert not lying(found, true.soc).any()


@pytest.mark.parametrize("name", CELLS)
def test_a_current_of_twice_the_size_does_not_fit(name: str) -> None:
    true = long_drive(name)
    found = estimated(true, 2.0 * true.current_a)
    assert found.misfit is not None
    told = found.misfit.time_s < TIME_S
    assert (found.columns["quality"][told] >= Quality.UNCERTAIN).mean() > 0.95
    assert lost(found, true.soc)[told].mean() < 0.15


def test_seconds_that_are_missing_each_quarter_of_an_hour_hide_no_misfit() -> None:
    true = long_drive("ncr18650pf_nca")
    kept = TIME_S % 900.0 >= 10.0
    found = result(TIME_S[kept], 2.0 * true.current_a[kept], true.voltage_v[kept], true.cell, (0.9, 0.02))
    assert found.misfit is not None
    assert found.misfit.time_s < 3600.0
    assert not lost(found, true.soc[kept])[found.misfit.time_s < TIME_S[kept]].any()


def test_a_voltage_that_is_gone_for_a_quarter_of_an_hour_leaves_nothing_good() -> None:
    true = long_drive("ncr18650pf_nca")
    found = estimated(true, voltage_v=np.where(TIME_S < 2400.0, true.voltage_v, np.nan))
    assert (found.columns["quality"][TIME_S > 3360.0] >= Quality.UNCERTAIN).all()
    assert (found.columns["quality"][(TIME_S > 600.0) & (TIME_S < 3240.0)] < Quality.UNCERTAIN).all()


def test_charge_that_flowed_while_the_times_hide_it_is_seen_by_the_jump_it_left() -> None:
    true = long_drive("ncr18650pf_nca", 0.3)
    kept = (TIME_S < 3000.0) | (TIME_S >= 5400.0)
    found = estimated(true, true.current_a[kept], true.voltage_v[kept])
    assert 3000.0 < found.jumps[0].time_s < 3300.0
    assert not lying(found, true.soc[kept])[TIME_S[: kept.sum()] > 3000.0].any()


def test_a_sensor_that_is_off_by_50_mv_from_some_moment_on_does_not_fit_within_an_hour() -> None:
    true = long_drive("ncr18650pf_nca")
    found = estimated(true, voltage_v=true.voltage_v + np.where(TIME_S < 3000.0, 0.0, 0.05))
    assert found.misfit is not None
    assert 3000.0 < found.misfit.time_s < 6600.0
    assert not lying(found, true.soc)[found.misfit.time_s < TIME_S].any()


def bent_elsewhere(cell: CellType, gap_share: float, shift_ratio: float) -> CellType:
    """A cell of the type whose branches lie nearer to each other, and its curve further down."""
    soc = np.array(cell.ocv.soc_ratio)
    rows = []
    for up, down in zip(cell.ocv.charge_v, cell.ocv.discharge_v, strict=True):
        middle, half = 0.5 * (np.array(up) + np.array(down)), 0.5 * gap_share * (np.array(up) - np.array(down))
        rows.append(
            [tuple(np.interp(soc + shift_ratio, soc, part).tolist()) for part in (middle + half, middle - half)]
        )
    charge_v, discharge_v = zip(*rows, strict=True)
    return replace(cell, ocv=replace(cell.ocv, charge_v=charge_v, discharge_v=discharge_v))


@pytest.mark.parametrize(("gap_share", "shift_ratio"), [(0.5, 0.01), (0.3, 0.02), (0.0, 0.0)])
def test_a_slow_test_of_a_cell_that_bends_elsewhere_is_no_misfit(gap_share: float, shift_ratio: float) -> None:
    cell, time_s = packaged_cell_type("a123_26650_lfp"), np.arange(0.0, 9.0 * 3600.0, 30.0)
    current_a = np.full(len(time_s), cell.capacity_ah / 30.0)
    true = driven(bent_elsewhere(cell, gap_share, shift_ratio), time_s, current_a, 0.9)
    found = result(time_s, true.current_a, true.voltage_v, cell, (0.9, 0.03))
    assert found.misfit is None
    assert not lying(found, true.soc).any()
