"""What a recording can't be: units and signs that are wrong in every row are refused, single bad samples counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from typer.testing import CliRunner

from controller.cli import app
from controller.commissioning.recording_checks import BadSamples, checked_recording
from controller.commissioning.recording_files import FileError, write_columns
from controller.estimation.capacity import LEAST_RATIO, stated
from controller.estimation.cell_model import CellTest, simulate_voltage
from controller.estimation.offline import Recording
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import CellType

CELLS = ("a123_26650_lfp", "ncr18650pf_nca", "generic_280_lfp")
ROWS = 1800
PATH = Path("run.csv")


def sound(cell: CellType, hold_s: int = 60, step_s: float = 1.0) -> Recording:
    """A drive about a net discharge, in steps; or one current alone where `hold_s` is as long as the file."""
    time_s = np.asarray(np.arange(ROWS) * step_s, dtype=np.float64)
    mean_per_h = 0.15 / (ROWS * step_s / 3600.0)
    steps = np.random.default_rng(3).normal(mean_per_h, 0.4, ROWS // hold_s + 1) * cell.capacity_ah
    steps[0] = mean_per_h * cell.capacity_ah
    current = np.asarray(np.repeat(steps, hold_s)[:ROWS], dtype=np.float64)
    soc = np.asarray(0.8 - np.cumsum(current * step_s) / 3600.0 / cell.capacity_ah)
    warmth = np.full(ROWS, 25.0)
    volts = simulate_voltage(cell, CellTest("drive", time_s, current, np.zeros(ROWS), warmth, soc))
    volts = np.asarray(np.round(volts + np.random.default_rng(4).normal(0.0, 3e-4, ROWS), 4), dtype=np.float64)
    return Recording(time_s, current, volts[:, None], warmth[:, None])


def checked(recording: Recording, cell: CellType) -> tuple[Recording, BadSamples]:
    return checked_recording(recording, cell, cell.sensors, PATH)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("hold_s", "step_s"), [(60, 1.0), (1, 1.0), (ROWS, 1.0), (30, 10.0)])
def test_a_sound_recording_has_no_bad_sample(name: str, hold_s: int, step_s: float) -> None:
    cell = packaged_cell_type(name)
    kept, bad = checked(sound(cell, hold_s, step_s), cell)
    assert not any(bad.kinds.values())
    assert bad.text() == ""
    assert np.array_equal(kept.cell_voltage_v, sound(cell, hold_s, step_s).cell_voltage_v)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("seconds", [60.0, 3600.0])
def test_a_time_in_minutes_or_hours_is_refused_by_the_voltage_that_runs_on(name: str, seconds: float) -> None:
    cell = packaged_cell_type(name)
    time_s = np.asarray(np.arange(ROWS) * 5.0, dtype=np.float64)
    steps = np.random.default_rng(3).normal(0.36, 0.8, ROWS // 6) * cell.capacity_ah
    current = np.repeat(steps, 6)
    current[::10] = 0.0
    soc = np.asarray(0.95 - np.cumsum(current * 5.0) / 3600.0 / cell.capacity_ah)
    warmth = np.full(ROWS, 25.0)
    volts = simulate_voltage(cell, CellTest("drive", time_s, current, np.zeros(ROWS), warmth, soc))
    run = Recording(time_s, current, volts[:, None], warmth[:, None])
    checked(run, cell)
    with pytest.raises(FileError, match="is time_s in minutes or hours"):
        checked(replace(run, time_s=run.time_s / seconds), cell)


@pytest.mark.parametrize("name", CELLS)
def test_a_rest_after_a_load_counts_nothing_and_is_sound(name: str) -> None:
    cell, time_s, warmth = packaged_cell_type(name), np.arange(float(ROWS)), np.full(ROWS, 25.0)
    current = np.where(time_s < 120.0, 3.0 * cell.capacity_ah, 0.0)
    soc = np.asarray(0.5 - np.cumsum(current) / 3600.0 / cell.capacity_ah)
    volts = simulate_voltage(cell, CellTest("rest", time_s, current, np.zeros(ROWS), warmth, soc))
    rest = slice(120, None)
    checked(Recording(time_s[rest], current[rest], volts[rest, None], warmth[rest, None]), cell)


@pytest.mark.parametrize("name", CELLS)
def test_a_current_in_milliampere_is_refused_as_such(name: str) -> None:
    cell = packaged_cell_type(name)
    recording = sound(cell)
    with pytest.raises(FileError, match=r"looks like mA: 1,000 times"):
        checked(replace(recording, current_a=1000.0 * recording.current_a), cell)


def test_a_small_current_in_milliampere_is_told_by_its_charge() -> None:
    cell = packaged_cell_type("a123_26650_lfp")  # which allows 70 A: a twentieth of C in mA is 100 of them
    small = replace(sound(cell), current_a=np.full(ROWS, 50.0 * cell.capacity_ah))
    with pytest.raises(FileError, match=r"counted charge spans .* looks like mA: 1,000 times"):
        checked(small, cell)


@pytest.mark.parametrize("name", CELLS)
def test_a_time_in_milliseconds_is_refused_as_such(name: str) -> None:
    cell = packaged_cell_type(name)
    recording = sound(cell)
    with pytest.raises(FileError, match=r"counted charge spans .* time looks like ms"):
        checked(replace(recording, time_s=1000.0 * recording.time_s), cell)


def test_a_current_of_another_size_is_refused_without_a_guess() -> None:
    cell = packaged_cell_type("ncr18650pf_nca")
    recording = sound(cell)
    with pytest.raises(FileError, match=r"times what a cell ncr18650pf_nca .* is it in A"):
        checked(replace(recording, current_a=30.0 * recording.current_a), cell)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("hold_s", "step_s"), [(60, 1.0), (1, 1.0), (ROWS, 1.0), (30, 10.0)])
def test_a_sign_that_is_reversed_throughout_is_refused(name: str, hold_s: int, step_s: float) -> None:
    cell = packaged_cell_type(name)
    recording = sound(cell, hold_s, step_s)
    with pytest.raises(FileError, match=r"the voltage falls while you say charge.*is the sign reversed"):
        checked(replace(recording, current_a=-recording.current_a), cell)


def test_a_frozen_current_is_told_with_its_row() -> None:
    cell = packaged_cell_type("ncr18650pf_nca")
    recording = sound(cell)
    frozen = recording.current_a.copy()
    frozen[610:] = frozen[610]
    _, bad = checked(replace(recording, current_a=frozen), cell)
    assert bad.kinds["current_frozen"] == ROWS - 600  # the step it froze in began ten rows before
    assert "from row 600 current_a stands at" in bad.text()
    assert "frozen" in bad.text()


def test_single_bad_samples_are_left_out_and_counted_by_kind() -> None:
    cell = packaged_cell_type("a123_26650_lfp")
    recording = sound(cell)
    time_s, current = recording.time_s.copy(), recording.current_a.copy()
    volts, warmth = recording.cell_voltage_v.copy(), recording.temperature_degc.copy()
    time_s[100], time_s[1700:] = time_s[99], time_s[1700:] + 500.0
    current[200:205], current[300:302] = np.nan, -1e6
    volts[400:403], volts[500], volts[501] = np.nan, 65.535, 0.0
    warmth[600] = -3276.8
    kept, bad = checked(Recording(time_s, current, volts, warmth), cell)
    assert dict(bad.kinds) == {
        "time_repeated": 1,
        "gap": 1,
        "current_missing": 5,
        "current_implausible": 2,
        "current_frozen": 0,
        "voltage_missing": 3,
        "voltage_implausible": 2,
        "temperature_implausible": 1,
    }
    assert np.isnan(kept.cell_voltage_v[500:502]).all()
    assert np.isnan(kept.temperature_degc[600]).all()


def test_bad_samples_are_printed_and_in_the_json(tmp_path: Path) -> None:
    cell = packaged_cell_type("ncr18650pf_nca")
    recording = sound(cell)
    current = recording.current_a.copy()
    current[50:60], current[70] = np.nan, 1e9
    path = tmp_path / "run.csv"
    volts = recording.cell_voltage_v[:, 0]
    write_columns(path, {"time_s": recording.time_s, "current_a": current, "voltage_v": volts})
    words = ["estimate", str(path), "--cell", "ncr18650pf_nca", "--initial-soc", "0.8"]
    text, answer = (CliRunner().invoke(app, [*words, *more]).stdout for more in ([], ["--json"]))
    assert "bad samples, of 1,800 rows: current missing 10, current implausible 1" in text
    found = json.loads(answer)
    assert found["bad_samples"]["current_missing"] == 10
    assert found["bad_samples"]["current_implausible"] == 1
    assert found["remarks"] == ["no temperature in the file: 25 degC is assumed (--temperature says another)"]
    assert 0.0 < found["capacity_low_ah"] < found["capacity_ah"] < found["capacity_high_ah"]
    assert found["capacity_ah"] == pytest.approx(cell.capacity_ah, rel=0.1)  # a spike of 1e9 A counted nothing


ANY = arrays(np.float64, 4, elements=st.floats(width=32))


@given(ANY, ANY, arrays(np.float64, 4, elements=st.floats(0.0, 0.5)))
def test_a_capacity_is_above_zero_and_its_bounds_in_order_whatever_a_filter_says(
    ratio: np.ndarray, sigma: np.ndarray, gain: np.ndarray
) -> None:
    shown = stated(ratio, np.abs(sigma), gain)
    assert np.all(shown.ratio >= LEAST_RATIO)
    assert np.all(shown.low_ratio > 0.0)
    assert np.all(shown.low_ratio <= shown.ratio)
    assert np.all(shown.ratio <= shown.high_ratio)
