"""`bess fit-cell` from end to end: a cell whose truth is known comes back as a type."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from controller.cli import app
from controller.plant.cell_loader import parse_cell_type
from controller.plant.cell_types import CellType

Floats = NDArray[np.float64]

CAPACITY_AH = 5.0
SERIES_OHM, PAIR_OHM, PAIR_S = 0.020, 0.015, 30.0
KELVIN = 2500.0
"""Arrhenius: activation energy over the gas constant."""
GAP_V, GAP_PER_SOC = 0.008, 20.0
NOISE_V = 0.0005
SLOW_H = 40.0


def open_v(soc: Floats) -> Floats:
    """A layered oxide's curve, made up: an exponential foot, a straight middle, a wave."""
    return np.asarray(3.5 + 0.65 * soc - 0.45 * np.exp(-18.0 * soc) + 0.02 * np.sin(9.0 * soc))


def measured(time_s: Floats, current_a: Floats, degc: float, soc: float, hysteresis: float, seed: int) -> Floats:
    """Return time, current, voltage and temperature [row, 4] of the true cell, stepped by itself."""
    heat = np.exp(KELVIN * (1.0 / (degc + 273.15) - 1.0 / 298.15))
    pair_a, before_s, rows = 0.0, time_s[0], []
    noise = NOISE_V * np.random.default_rng(seed).standard_normal(len(time_s))
    for at_s, now_a, jitter_v in zip(time_s, current_a, noise, strict=True):
        step_s = at_s - before_s
        moved = now_a * step_s / 3600.0 / CAPACITY_AH
        soc, before_s = soc - moved, at_s
        toward = -np.sign(moved)
        hysteresis = toward + np.exp(-GAP_PER_SOC * abs(moved)) * (hysteresis - toward)
        pair_a = now_a + np.exp(-step_s / PAIR_S) * (pair_a - now_a)
        drop_v = heat * (SERIES_OHM * now_a + PAIR_OHM * pair_a)
        rows.append((at_s, now_a, float(open_v(np.array(soc))) + GAP_V * hysteresis - drop_v + jitter_v, degc))
    return np.array(rows)


def slow(way: float, seed: int) -> Floats:
    time_s = np.arange(0.0, SLOW_H * 3600.0, 60.0)
    return measured(time_s, np.full(len(time_s), way * CAPACITY_AH / SLOW_H), 25.0, 0.5 + 0.5 * way, -way, seed)


def pulses(degc: float, seed: int) -> Floats:
    """From full in steps of a twelfth at C/2; after each a rest, and a pulse of 1 C both ways, a row a second."""
    parts = [(60, 10.0, 0.5), (60, 15.0, 0.0), (30, 1.0, 1.0), (120, 1.0, 0.0), (30, 1.0, -0.75), (120, 1.0, 0.0)]
    steps_s = np.tile(np.concatenate([np.full(rows, step_s) for rows, step_s, _ in parts]), 11)
    current_a = CAPACITY_AH * np.tile(np.concatenate([np.full(rows, c) for rows, _, c in parts]), 11)
    return measured(np.cumsum(steps_s), current_a, degc, 1.0, 1.0, seed)


def drive(degc: float, seed: int) -> Floats:
    """A drive of random steps from full, discharging on the whole: a profile unlike any that is fitted."""
    steps = np.random.default_rng(seed).normal(0.35, 0.6, 900)
    current_a = CAPACITY_AH * np.clip(np.repeat(steps, 10), -0.8, 1.8)
    return measured(np.arange(0.0, len(current_a)), current_a, degc, 1.0, 1.0, seed)


def write(path: Path, rows: Floats, names: str = "time_s,current_a,voltage_v,temperature_degc") -> str:
    np.savetxt(path, rows, fmt="%.5f", delimiter=",", header=names, comments="")
    return str(path)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """The files to fit, and the two drives that are held out (25 degC, and 15 degC, between what is fitted)."""
    folder = tmp_path_factory.mktemp("laboratory")
    fit = [write(folder / "slow_down.csv", slow(1.0, 1))]
    fit += [write(folder / f"pulses_{degc}.csv", pulses(degc, degc)) for degc in (5, 25, 40)]
    held = [write(folder / f"drive_{degc}.csv", drive(degc, degc)) for degc in (15, 25)]
    plan_only = slow(-1.0, 2)
    plan_only[:, 1] *= -1.0
    write(folder / "slow_up.csv", plan_only, "t_s,charging_a,U_V,T_C")
    return fit, held


def run(*words: str) -> Any:
    result = CliRunner().invoke(app, ["fit-cell", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def resistance_ohm(cell: CellType, degc: float, soc: float) -> float:
    z = cell.impedance
    total = np.sum([z.series_ohm, *z.pair_ohm], axis=0)
    return float(np.interp(degc, z.temperature_degc, [np.interp(soc, z.soc_ratio, row) for row in total]))


def judged(report: dict[str, Any]) -> None:
    """The report is of the held-out drives alone, within millivolts in every bin away from the ends."""
    assert {bin_["test"] for bin_ in report["bins"]} == set(report["held_out"]) == {"drive_15", "drive_25"}
    assert not set(report["held_out"]) & set(report["fitted"])
    middle = [bin_ for bin_ in report["bins"] if 0.2 <= bin_["soc_ratio"] <= 0.9]
    assert len(middle) >= 8
    assert {bin_["temperature_degc"] for bin_ in middle} == {15.0, 25.0}
    worst = max(middle, key=lambda bin_: bin_["rmse_v"])
    assert worst["rmse_v"] < 0.006, worst


def test_files_become_a_cell_type_and_a_report(laboratory: tuple[list[str], list[str]], tmp_path: Path):
    (fit, held), out = laboratory, tmp_path / "mine.yaml"
    words = [word for path in held for word in ("--hold-out", path)]
    report = json.loads(run(*fit, *words, "--capacity", "5", "--out", str(out), "--json"))
    judged(report)
    cell = parse_cell_type(out.read_text(encoding="utf-8"), str(out))
    assert (cell.name, cell.chemistry, cell.capacity_ah, cell.verified) == ("mine", "nca", 5.0, True)
    for degc in (5.0, 25.0):
        truth = (SERIES_OHM + PAIR_OHM) * np.exp(KELVIN * (1.0 / (degc + 273.15) - 1.0 / 298.15))
        assert resistance_ohm(cell, degc, 0.5) == pytest.approx(truth, rel=0.1)
    at = int(np.argmin(np.abs(np.array(cell.ocv.temperature_degc) - 25.0)))
    middle = 0.5 * (np.array(cell.ocv.charge_v[at]) + np.array(cell.ocv.discharge_v[at]))
    soc = np.array(cell.ocv.soc_ratio)
    inside = (soc >= 0.2) & (soc <= 0.9)
    assert np.abs(middle - open_v(soc))[inside].max() < 0.008


def test_a_plan_says_columns_and_uses_and_the_report_is_a_table(
    laboratory: tuple[list[str], list[str]], tmp_path: Path
):
    fit, held = laboratory
    rows = [f"  - {{file: {Path(path).name}}}" for path in fit]
    rows += [f"  - {{file: {Path(path).name}, use: hold_out}}" for path in held]
    up = 'columns: "time_s=t_s,current_a=-charging_a,voltage_v=U_V,temperature_degc=T_C", start_soc_ratio: 0'
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"schema: cell_fit/v1\nname: planned\nchemistry: nmc\ncapacity_ah: 5\ntests:\n"
        f"{chr(10).join(rows)}\n  - {{file: slow_up.csv, {up}}}\n",
        encoding="utf-8",
    )
    out = tmp_path / "planned.yaml"
    text = run(str(plan), "--data", str(Path(fit[0]).parent), "--out", str(out))
    assert "RMSE mV" in text
    assert text.count("drive_15") >= 5
    cell = parse_cell_type(out.read_text(encoding="utf-8"), str(out))
    assert cell.chemistry == "nmc"
    at = int(np.argmin(np.abs(np.array(cell.ocv.temperature_degc) - 25.0)))
    gap = np.interp(0.5, cell.ocv.soc_ratio, np.array(cell.ocv.charge_v[at]) - np.array(cell.ocv.discharge_v[at]))
    drop_v = (
        (SERIES_OHM + PAIR_OHM) * CAPACITY_AH / SLOW_H
    )  # stays in the branches: a slow test is as good as it is slow
    assert gap == pytest.approx(2.0 * (GAP_V + drop_v), abs=0.002)


def test_a_held_out_drive_changes_nothing_that_is_fitted(laboratory: tuple[list[str], list[str]], tmp_path: Path):
    (fit, held), outs = laboratory, [tmp_path / name / "same.yaml" for name in "ab"]
    for out, path in zip(outs, held, strict=True):
        out.parent.mkdir()
        run(*fit, "--hold-out", path, "--capacity", "5", "--out", str(out))
    a, b = (parse_cell_type(out.read_text(encoding="utf-8"), str(out)) for out in outs)
    assert (a.ocv, a.impedance) == (b.ocv, b.impedance)
    assert a.fit_report != b.fit_report


def refused(tmp_path: Path, *words: str) -> str:
    out = tmp_path / "none.yaml"
    result = CliRunner().invoke(app, ["fit-cell", *words, "--out", str(out)])
    assert result.exit_code != 0
    assert not out.exists()
    return str(result.exception)


def changed(tmp_path: Path, rows: Floats) -> str:
    return write(tmp_path / "changed.csv", rows)


def scaled_column(rows: Floats, column: int, factor: float) -> Floats:
    rows[:, column] *= factor
    return rows


def rest() -> Floats:
    time_s = np.arange(0.0, 3600.0, 10.0)
    return np.column_stack((time_s, np.zeros_like(time_s), np.full_like(time_s, 4.0), np.full_like(time_s, 25.0)))


MISTAKES = {
    "half of the range": (lambda: slow(1.0, 1)[:1200], "a slow test .* over 50 % of 5 Ah; expected the whole range"),
    "a rest": (rest, "voltage_v stands still at 4 V: nothing can be fitted to a rest"),
    "mA": (lambda: scaled_column(drive(25.0, 3), 1, 1000.0), "is it in mA"),
    "slow mA": (lambda: scaled_column(slow(1.0, 1), 1, 1000.0), "is current_a in mA, or time_s in ms"),
    "mV": (lambda: scaled_column(slow(1.0, 1), 2, 1000.0), "the median voltage is .*millivolts"),
    "sign": (lambda: scaled_column(slow(1.0, 1), 1, -1.0), "starts at 100 % goes from 100 to 200 %; .*sign reversed"),
    "exchanged": (lambda: drive(25.0, 3)[:, [0, 2, 1, 3]], "exchanged"),
    "degF": (lambda: drive(79.0, 3), "the temperature is 79 in the mean, expected degC .*degF are 26.1 degC"),
    "nothing": (lambda: scaled_column(slow(1.0, 1), 2, np.nan), "no voltage is a number"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_test_that_can_not_be_so_is_refused_with_its_cause(tmp_path: Path, mistake: str):
    make, told = MISTAKES[mistake]
    found = refused(tmp_path, changed(tmp_path, make()), "--capacity", "5")
    assert "changed.csv: " in found
    assert re.search(told, found), found


def test_twice_the_capacity_is_told_by_the_slow_test(laboratory: tuple[list[str], list[str]], tmp_path: Path):
    fit, _ = laboratory
    assert "is --capacity right (it counts 4.998 Ah)" in refused(tmp_path, *fit, "--capacity", "10")


def test_a_slow_test_tells_a_capacity_that_is_too_small_and_a_drive_of_another_size(
    laboratory: tuple[list[str], list[str]], tmp_path: Path
):
    fit, _ = laboratory
    assert "counts 4.998 Ah, 1.16 times the capacity of 4.3 Ah" in refused(tmp_path, *fit, "--capacity", "4.3")
    larger = changed(tmp_path, scaled_column(drive(25.0, 3), 1, 1.2))
    found = refused(tmp_path, fit[0], larger, "--capacity", "5")
    assert re.search(r"changed.csv: it counts down to -\d+ % of the 5 Ah that the slow test has", found), found


def test_times_in_minutes_contradict_the_testers_counter(tmp_path: Path):
    rows = drive(25.0, 3)
    counted = -np.cumsum(rows[:, 1]) / 3600.0
    rows[:, 0] /= 60.0
    path = write(
        tmp_path / "minutes.csv",
        np.column_stack((rows, counted)),
        "time_s,current_a,voltage_v,temperature_degc,charge_ah",
    )
    assert "is time_s in s, and current_a in A?" in refused(tmp_path, path, "--capacity", "5")


def test_a_held_out_drive_far_beyond_what_the_file_states_leaves_it_unverified(
    laboratory: tuple[list[str], list[str]], tmp_path: Path
):
    (slow_down, _, pulses_25, _), (_, held) = laboratory
    later, out = drive(25.0, 3)[3000:], tmp_path / "late.yaml"
    run(slow_down, pulses_25, "--hold-out", changed(tmp_path, later), "--capacity", "5", "--out", str(out))
    cell = parse_cell_type(out.read_text(encoding="utf-8"), str(out))
    assert not cell.verified
    assert re.search(r"not verified: changed is off by \d+ mV where \d+ mV are stated", cell.fit_report)
    run(slow_down, pulses_25, "--hold-out", held, "--capacity", "5", "--out", str(out))
    assert parse_cell_type(out.read_text(encoding="utf-8"), str(out)).verified


def test_options_and_folders_are_looked_at_first(laboratory: tuple[list[str], list[str]], tmp_path: Path):
    fit, _ = laboratory
    assert "--capacity 0: expected" in refused(tmp_path, *fit, "--capacity", "0")
    result = CliRunner().invoke(app, ["fit-cell", *fit, "--capacity", "5", "--out", str(tmp_path / "no" / "c.yaml")])
    assert "there is no folder" in str(result.exception)


def test_a_cell_measured_at_one_temperature_is_unsure_elsewhere(
    laboratory: tuple[list[str], list[str]], tmp_path: Path
):
    (slow_down, _, pulses_25, _), held = laboratory
    out = tmp_path / "one.yaml"
    report = json.loads(
        run(slow_down, pulses_25, "--hold-out", held[1], "--capacity", "5", "--out", str(out), "--json")
    )
    assert "measured at 25 degC alone: errors elsewhere are assumed" in report["report"]
    z = parse_cell_type(out.read_text(encoding="utf-8"), str(out)).impedance
    half = [float(np.interp(0.5, z.soc_ratio, row)) for row in z.error_v]
    error_v = dict(zip(z.temperature_degc, half, strict=True))
    assert error_v[25.0] < 0.006
    assert 0.015 < error_v[5.0] < error_v[-10.0]


def test_without_a_slow_test_the_file_says_whose_curve_it_has(laboratory: tuple[list[str], list[str]], tmp_path: Path):
    (_, *pulses_only), held = laboratory
    out = tmp_path / "borrowed.yaml"
    run(*pulses_only, "--hold-out", held[1], "--capacity", "5", "--out", str(out))
    cell = parse_cell_type(out.read_text(encoding="utf-8"), str(out))
    assert not cell.verified
    assert "no slow test: the open-circuit voltage is that of ncr18650pf_nca" in cell.fit_report
