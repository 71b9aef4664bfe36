"""`bess estimate` as a person types it: files in, files out, and clear words about what can't be used."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.commissioning.recording_files import read_columns, write_columns
from controller.estimation.cell_model import CellTest, simulate_voltage
from controller.estimation.offline import OUTPUT_COLUMNS
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.site_files import LIBRARY

CELL = "ncr18650pf_nca"
MAP = "time_s=t_s,current_a=-I_A,voltage_v=V,temperature_degc=T_C"


def bess(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def recording(rows: int = 200) -> dict[str, np.ndarray]:
    """A slow discharge of an NCA cell from about 80 %, as a tester writes it: discharge negative."""
    time_s = np.arange(rows, dtype=float)
    return {
        "t_s": 5000.0 + time_s,
        "I_A": np.full(rows, -1.0),
        "V": np.round(4.02 - 2e-5 * time_s, 4),
        "T_C": np.full(rows, 25.0),
    }


def written(path: Path, columns: dict[str, np.ndarray]) -> Path:
    write_columns(path, {name: np.asarray(values, dtype=float) for name, values in columns.items()})
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_row_in_is_a_row_out_in_the_order_of_the_interface(tmp_path: Path, kind: str) -> None:
    data, out = written(tmp_path / f"run.{kind}", recording()), tmp_path / "out.csv"
    answer = bess("estimate", data, "--cell", CELL, "--columns", MAP, "--initial-soc", "0.8", "--out", out)

    assert answer.exit_code == 0, answer.stderr
    with out.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert tuple(rows[0]) == OUTPUT_COLUMNS
    assert [float(row["time_s"]) for row in rows] == recording()["t_s"].tolist()
    assert {row["quality"] for row in rows} <= {"good", "uncertain", "bad"}
    low, soc, high = (np.array([float(row[f"soc{part}_ratio"]) for row in rows]) for part in ("_low", "", "_high"))
    assert np.all(low <= soc)
    assert np.all(soc <= high)
    assert np.all(np.diff(soc[35:55]) < 0.0)  # between two corrections: the tester's minus is a discharge


def test_many_cells_are_read_by_their_numbers_and_findings_are_written(tmp_path: Path) -> None:
    columns = {"time_s": np.arange(60.0), "current_a": np.full(60, 10.0), "temperature_degc": np.full(60, 25.0)}
    columns |= {f"cell_voltage_v_{k:03d}": np.full(60, 3.30 + 0.001 * k) for k in range(12)}
    data, out, found = written(tmp_path / "rack.csv", columns), tmp_path / "out.parquet", tmp_path / "found.jsonl"
    answer = bess("estimate", data, "--cell", "generic_280_lfp", "--out", out, "--findings", found, "--json")

    assert json.loads(answer.stdout)["rows"] == 60
    assert len(read_columns(out)["soc_ratio"]) == 60
    assert found.read_text() == ""


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    plot = tmp_path / "run.png"
    bess("estimate", written(tmp_path / "run.csv", recording()), "--cell", CELL, "--columns", MAP, "--plot", plot)

    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_capacity_scales_the_cell_and_sensors_set_the_bounds(tmp_path: Path) -> None:
    data, sensors = written(tmp_path / "run.csv", recording()), tmp_path / "sensors.yaml"
    sensors.write_text("current_gain_ratio: {bound: 0.05}\nvoltage_bias_v: 0.02\n")
    words = ("estimate", data, "--cell", CELL, "--columns", MAP, "--json")
    plain, worse = (json.loads(bess(*words, *more).stdout) for more in ((), ("--sensors", sensors)))
    large = json.loads(bess(*words, "--capacity", "30").stdout)

    assert worse["soc_high_ratio"] - worse["soc_low_ratio"] > plain["soc_high_ratio"] - plain["soc_low_ratio"]
    assert large["capacity_ah"] == pytest.approx(30.0, rel=0.05)


def stepping(rows: int = 1500) -> dict[str, np.ndarray]:
    """A cell of the NCA type that is discharged and charged by steps, as its own model makes the voltages."""
    cell, time_s = packaged_cell_type(CELL), np.arange(rows, dtype=float)
    current_a = np.repeat(np.tile([2.0, 0.0, -1.0, 1.0, 0.0], rows // 300), 60)
    soc = 0.7 - np.concatenate(([0.0], np.cumsum(current_a[1:]))) / 3600.0 / cell.capacity_ah
    volts = simulate_voltage(cell, CellTest("steps", time_s, current_a, np.zeros(rows), np.full(rows, 25.0), soc))
    return {"time_s": time_s, "current_a": current_a, "voltage_v": volts, "temperature_degc": np.full(rows, 25.0)}


def test_health_energy_power_heat_and_what_flowed_are_in_the_file_the_summary_and_json(tmp_path: Path) -> None:
    columns, out = stepping(), tmp_path / "out.csv"
    words = ("estimate", written(tmp_path / "run.csv", columns), "--cell", CELL, "--initial-soc", "0.7")
    said = json.loads(bess(*words, "--out", out, "--json").stdout)
    ended = {name: values[-1] for name, values in read_columns(out).items() if name != "quality"}
    current_a, volts = columns["current_a"], columns["voltage_v"]
    flow_a = 0.5 * (current_a[1:] + current_a[:-1])

    assert all(said[name] == pytest.approx(value) for name, value in ended.items() if np.isfinite(value))
    assert said["charge_out_ah"] == pytest.approx(flow_a[flow_a > 0.0].sum() / 3600.0, rel=1e-6)
    assert said["charge_in_ah"] == pytest.approx(-flow_a[flow_a < 0.0].sum() / 3600.0, rel=1e-6)
    out_w = np.where(flow_a > 0.0, flow_a * volts[1:], 0.0)
    assert said["energy_out_wh"] == pytest.approx(out_w.sum() / 3600.0, rel=1e-6)
    through = np.abs(flow_a).sum() / 3600.0
    assert said["cycles"] == pytest.approx(0.5 * through / packaged_cell_type(CELL).capacity_ah, rel=1e-6)
    assert said["power_discharge_2s_w"] >= said["power_discharge_10s_w"] >= said["power_discharge_30s_w"]
    assert said["power_discharge_30s_w"] >= said["power_discharge_15min_w"] > 0.0
    assert said["power_charge_2s_w"] >= said["power_charge_30s_w"] >= said["power_charge_15min_w"] > 0.0
    whole_wh = packaged_cell_type(CELL).capacity_ah * 3.6
    assert said["energy_to_empty_wh"] + said["energy_to_full_wh"] == pytest.approx(whole_wh, rel=0.1)
    assert 25.0 <= said["core_degc"] < 30.0
    assert said["soh_low_ratio"] < 1.0 < said["soh_high_ratio"]
    assert said["soh_resistance_low_ratio"] < 1.0 < said["soh_resistance_high_ratio"]
    assert sum(said["soc_bins_s"]) == pytest.approx(1500.0, abs=200.0)
    for line in ("SOH capacity ", "energy to empty ", "discharge power for 2s ", "hottest core 25", "full cycles"):
        assert line in bess(*words).stdout


def test_what_was_not_counted_is_told_and_so_is_a_resistance_that_no_step_measured(tmp_path: Path) -> None:
    columns = recording() | {"t_s": 300.0 * np.arange(200.0), "I_A": np.full(200, -0.02)}
    told = bess("estimate", written(tmp_path / "run.csv", columns), "--cell", CELL, "--columns", MAP).stdout
    assert "0 full cycles; 995 min not counted" in told
    assert "too few steps of the current yet" in told


def test_a_capacity_of_another_size_is_told_with_its_unit(tmp_path: Path) -> None:
    words = ("estimate", written(tmp_path / "run.csv", recording()), "--cell", CELL, "--columns", MAP)
    rated_ah = packaged_cell_type(CELL).capacity_ah
    assert (
        f"--capacity 6 Ah is {6 / rated_ah:.3g} times the {rated_ah:.4g} Ah of {CELL}"
        in bess(*words, "--capacity", "6").stdout
    )
    assert "--capacity" not in bess(*words, "--capacity", f"{0.8 * rated_ah:g}").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--cell", "no_such_cell"), "a123_26650_lfp"),
        (("--cell", CELL, "--columns", "time_s=t_s,current_a=J"), "J"),
        (("--cell", CELL, "--columns", "time_s=t_s,current_a=I_A,voltage_v=T_C"), "median voltage"),
        (("--cell", CELL, "--columns", MAP, "--initial-soc", "80"), "0 to 1"),
        (("--cell", CELL, "--columns", MAP, "--out", "out.xls"), ".csv or .parquet"),
        (("--cell", CELL, "--columns", MAP, "--out", "nowhere/out.csv"), "no folder nowhere"),
        (("--cell", CELL, "--columns", MAP, "--findings", "."), "this is a folder"),
        (("--cell", CELL, "--columns", MAP, "--findings", "nowhere/f"), "--findings nowhere/f: there is no folder"),
        (("--cell", CELL, "--columns", MAP, "--plot", "x.docx"), "--plot x.docx: expected a file that ends in .png"),
        (("--cell", CELL, "--columns", MAP, "--capacity", "0"), "--capacity 0: expected a charge above zero"),
        (("--cell", CELL, "--columns", MAP, "--capacity", "2995"), "looks like mAh (2.995 Ah?)"),
        (("--cell", CELL, "--columns", MAP, "--capacity", "-3"), "--capacity -3: expected"),
        (("--cell", CELL, "--columns", MAP, "--capacity", "nan"), "--capacity nan: expected"),
        (("--cell", CELL, "--columns", MAP, "--temperature", "298"), "kelvins? 298 K are 25 degC"),
        (("--cell", CELL, "--columns", MAP, "--temperature", "nan"), "--temperature nan: expected -60 to 150"),
        (("--cell", CELL, "--columns", "current_a"), "expected NAME=COLUMN"),
        (("--cell", CELL, "--columns", "volts_v=V"), "expected NAME=COLUMN, NAME one of time_s"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(tmp_path: Path, words: tuple[str, ...], expected: str) -> None:
    answer = bess("estimate", written(tmp_path / "run.csv", recording()), *words)

    assert answer.exit_code != 0
    assert expected in str(answer.exception)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_spreadsheets_semicolons_and_decimal_commas_are_read(tmp_path: Path, mark: str) -> None:
    columns = recording(20)
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    lines = [mark.join(names), *(mark.join(f"{v:.4f}".replace(".", ",") for v in row) for row in rows)]
    semi = tmp_path / "semi.csv"
    semi.write_text("\n".join(lines), encoding="utf-8-sig")

    found = read_columns(semi)
    assert list(found) == names
    assert all(np.array_equal(found[name], columns[name]) for name in names)
    assert bess("estimate", semi, "--cell", CELL, "--columns", MAP).exit_code == 0


def test_a_comma_and_a_point_in_one_file_are_refused_not_guessed(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("time_s;current_a;voltage_v\n0;1,5;3.3\n", encoding="utf-8")
    answer = bess("estimate", mixed, "--cell", CELL)

    assert answer.exit_code != 0
    assert "mixed.csv:2: '1,5' has a decimal comma and 2: '3.3' a point; expected one of them" in str(answer.exception)


def test_a_cell_that_does_not_end_is_told_in_our_words(tmp_path: Path) -> None:
    data = tmp_path / "long.csv"
    data.write_text('time_s,current_a,voltage_v\n0,1,3.3\n1,"' + "x" * 140_000 + "\n", encoding="utf-8")
    answer = bess("estimate", data, "--cell", CELL)

    assert "long.csv:3: a cell begins here that is longer than 131,072 characters" in str(answer.exception)


UNITS = "time_s=t_s,current_a=-I_A,voltage_v=V"


def texts(path: Path, **columns: list[str]) -> Path:
    """Write the recording as csv with some columns replaced by texts."""
    kept = {name: [f"{value:.6g}" for value in values] for name, values in recording().items()} | columns
    lines = [",".join(kept), *(",".join(f'"{cell}"' for cell in row) for row in zip(*kept.values(), strict=True))]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def ended(data: Path, *more: str) -> dict[str, float]:
    answer = bess("estimate", data, "--cell", CELL, "--columns", MAP, "--json", *more)
    assert answer.exit_code == 0, answer.exception
    found: dict[str, float] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("offset", ["Z", "", "+02:00"])
def test_times_as_iso_8601_are_seconds(tmp_path: Path, offset: str) -> None:
    stamps = [f"2026-03-29T0{k // 3600}:{k // 60 % 60:02d}:{k % 60:02d}{offset}" for k in range(200)]
    data, out = texts(tmp_path / "iso.csv", t_s=stamps), tmp_path / "out.csv"
    plain = ended(written(tmp_path / "plain.csv", recording()))
    found = ended(data, "--out", str(out))
    assert found["soc_ratio"] == plain["soc_ratio"]
    assert np.diff(read_columns(out)["time_s"]).tolist() == [1.0] * 199  # 1970 is far, and no digit is lost


def test_an_hour_that_comes_twice_is_told_as_such(tmp_path: Path) -> None:
    minutes = [*range(60, 180), *range(120, 200)]
    stamps = [f"2026-10-25 0{k // 60}:{k % 60:02d}" for k in minutes]
    answer = bess("estimate", texts(tmp_path / "dst.csv", t_s=stamps), "--cell", CELL, "--columns", MAP)
    assert "set back an hour? give times in UTC" in str(answer.exception)


def test_decimal_commas_in_quotes_are_read(tmp_path: Path) -> None:
    volts = [f"{v:.4f}".replace(".", ",") for v in recording()["V"]]
    assert ended(texts(tmp_path / "comma.csv", V=volts))["rows"] == 200


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("I_A", "1.5 A", "column 'current_a' holds text such as '1.5 A'; expected numbers"),
        ("t_s", "29.03.2026 02:00", "column 'time_s' holds text such as '29.03.2026 02:00'; expected s, or times as"),
    ],
)
def test_a_column_of_text_is_told_by_what_it_holds(tmp_path: Path, column: str, text: str, expected: str) -> None:
    data = texts(tmp_path / "text.csv", **{column: [text] * 200})
    assert expected in str(bess("estimate", data, "--cell", CELL, "--columns", MAP).exception)


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "twice.csv"
    data.write_text("time_s,current_a,voltage_v,voltage_v\n0,1,3.7,3.8\n1,1,3.7,3.8\n", encoding="utf-8")
    assert "two columns have the name 'voltage_v'" in str(bess("estimate", data, "--cell", CELL).exception)


def refused(tmp_path: Path, columns: dict[str, np.ndarray], *words: str) -> str:
    return str(bess("estimate", written(tmp_path / "run.csv", columns), "--cell", CELL, *words).exception)


def test_a_column_is_not_two_quantities(tmp_path: Path) -> None:
    twice = MAP.replace("current_a=-I_A", "current_a=V")
    assert "column 'V' is taken for current_a and for voltage_v" in refused(tmp_path, recording(), "--columns", twice)
    plain = {name: np.arange(60.0) for name in ("time_s", "current_a", "voltage_v")}
    assert "column 'voltage_v' is taken for" in refused(tmp_path, plain, "--columns", "current_a=voltage_v")


def test_a_row_that_is_no_time_is_named(tmp_path: Path) -> None:
    data = tmp_path / "units.csv"
    rows = "".join(f"{k},1.0,3.7,25\n" for k in range(40))
    data.write_text(f"time_s,current_a,voltage_v,temperature_degc\ns,A,V,degC\n{rows}", encoding="utf-8")
    told = str(bess("estimate", data, "--cell", CELL).exception)
    assert (
        "row 0 (the first is 0): time_s is no number, nor in 0 more rows (a second header, or a row of units?)" in told
    )


def test_temperature_and_current_exchanged_are_refused(tmp_path: Path) -> None:
    columns = recording()
    columns["I_A"] = np.repeat(np.random.default_rng(1).normal(0.0, 4.0, 40), 5)
    exchanged = "time_s=t_s,current_a=T_C,voltage_v=V,temperature_degc=I_A"
    assert "are the two exchanged?" in refused(tmp_path, columns, "--columns", exchanged)


def test_without_a_temperature_the_bounds_cover_a_cell_in_the_cold(tmp_path: Path) -> None:
    cell, time_s = packaged_cell_type(CELL), np.arange(0.0, 5400.0, 5.0)
    current = np.repeat(np.random.default_rng(2).normal(0.4, 0.5, len(time_s) // 12) * cell.capacity_ah, 12)
    soc = 0.9 - np.cumsum(current) * 5.0 / 3600.0 / cell.capacity_ah
    cold = np.full(len(time_s), 5.0)
    volts = simulate_voltage(cell, CellTest("drive", time_s, current, np.zeros_like(time_s), cold, soc))
    data = written(tmp_path / "run.csv", {"time_s": time_s, "current_a": current, "voltage_v": volts})
    answer = bess("estimate", data, "--cell", CELL, "--initial-soc", "0.9", "--out", tmp_path / "out.csv")
    out = read_columns(tmp_path / "out.csv")
    lost = (soc < out["soc_low_ratio"]) | (soc > out["soc_high_ratio"])
    assert answer.exit_code == 0, answer.stdout
    assert lost[time_s > 900.0].mean() < 0.05


def test_degrees_fahrenheit_are_told(tmp_path: Path) -> None:
    data = written(tmp_path / "run.csv", recording())
    told = bess("estimate", data, "--cell", CELL, "--columns", MAP, "--temperature", "77").stdout
    assert f"beyond the -20 to 60 degC of {CELL}: is it in degF (77 degF are 25 degC)?" in told


def test_a_temperature_that_is_gone_for_long_is_told(tmp_path: Path) -> None:
    columns = recording()
    columns["t_s"] *= 20.0
    columns["T_C"][80:] = np.nan
    told = bess("estimate", written(tmp_path / "run.csv", columns), "--cell", CELL, "--columns", MAP).stdout
    assert "no temperature for 40 min from 101,580 s on: the last one before counts" in told


def rack(cells: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"time_s": np.arange(60.0), "current_a": np.full(60, 10.0), "temperature_degc": np.full(60, 25.0), **cells}


def test_a_dead_cell_is_named(tmp_path: Path) -> None:
    cells = {f"cell_voltage_v_{k:03d}": np.full(60, 3.30) for k in range(12)}
    cells["cell_voltage_v_005"][:], cells["cell_voltage_v_007"][20:30] = 0.0, np.nan
    data = written(tmp_path / "rack.csv", rack(cells))
    text, answer = (bess("estimate", data, "--cell", "generic_280_lfp", *more).stdout for more in ((), ("--json",)))
    assert "cell 5 lacks a voltage in any row: its column is cell_voltage_v_005" in text
    assert "cell 7 lacks a voltage in 10 of 60 rows" in text
    assert json.loads(answer)["cells_without_voltage"] == {"5": 60, "7": 10}


def test_a_missing_cell_is_named_and_not_closed_up(tmp_path: Path) -> None:
    cells = {f"cell_voltage_v_{k:03d}": np.full(60, 3.30) for k in range(12) if k != 5}
    told = str(bess("estimate", written(tmp_path / "rack.csv", rack(cells)), "--cell", "generic_280_lfp").exception)
    assert "cell_voltage_v_005 is missing; number them from 000 on without a hole" in told


def test_another_size_of_the_cell_is_told_and_answers_no(tmp_path: Path) -> None:
    cell, time_s = packaged_cell_type(CELL), np.arange(0.0, 9000.0, 10.0)
    steps = np.random.default_rng(2).normal(0.25, 0.7, len(time_s) // 6) * cell.capacity_ah
    current = np.repeat(steps, 6)
    soc = 0.9 - np.cumsum(current) * 10.0 / 3600.0 / cell.capacity_ah
    warmth = np.full(len(time_s), 25.0)
    volts = simulate_voltage(cell, CellTest("drive", time_s, current, np.zeros_like(time_s), warmth, soc))
    columns = {"time_s": time_s, "current_a": current, "voltage_v": volts, "temperature_degc": warmth}
    words = ("estimate", written(tmp_path / "run.csv", columns), "--cell", CELL, "--initial-soc", "0.9+-0.02")
    sound, halved = bess(*words), bess(*words, "--capacity", "1.5")
    assert (sound.exit_code, halved.exit_code) == (0, 1)
    assert "do not fit" not in sound.stdout
    assert f"the measurements do not fit the cell type {CELL} (rms " in halved.stdout
    assert " mV expected" in halved.stdout
    assert json.loads(bess(*words, "--capacity", "1.5", "--json").stdout)["fits_cell_type"] is False


@pytest.mark.parametrize("kind", ["text", "decimal", "timestamp", "duration", "dictionary"])
def test_parquet_that_holds_numbers_in_another_type_is_read(tmp_path: Path, kind: str) -> None:
    columns: dict[str, object] = dict(recording())
    volts, seconds = recording()["V"], recording()["t_s"]
    match kind:
        case "text":
            columns["V"] = pa.array([f"{v:.4f}" for v in volts])
        case "decimal":
            columns["V"] = pa.array([Decimal(f"{v:.4f}") for v in volts])
        case "timestamp":
            columns["t_s"] = pa.array([datetime(2026, 3, 29, tzinfo=UTC) + timedelta(seconds=s) for s in seconds])
        case "duration":
            columns["t_s"] = pa.array([timedelta(seconds=s) for s in seconds])
        case _:
            columns["V"] = pa.array([f"{v:.4f}" for v in volts]).dictionary_encode()
    path = tmp_path / "run.parquet"
    pq.write_table(pa.table(columns), path)
    assert ended(path)["soc_ratio"] == ended(written(tmp_path / "plain.csv", recording()))["soc_ratio"]


def test_parquet_that_holds_something_else_is_told_by_its_type(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    pq.write_table(pa.table({**recording(), "V": pa.array([[float(v)] for v in recording()["V"]])}), path)
    told = str(bess("estimate", path, "--cell", CELL, "--columns", MAP).exception)
    assert "column 'voltage_v' holds values of the type list<" in told


def test_a_file_without_temperature_says_what_is_assumed(tmp_path: Path) -> None:
    data = written(tmp_path / "run.csv", recording())
    assert "25 degC is assumed" in bess("estimate", data, "--cell", CELL, "--columns", UNITS).stdout
    assert "assumed" not in bess("estimate", data, "--cell", CELL, "--columns", UNITS, "--temperature", "20").stdout


def test_a_gain_of_1_01_is_no_error_of_a_sensor(tmp_path: Path) -> None:
    data, sensors = written(tmp_path / "run.csv", recording()), tmp_path / "sensors.yaml"
    sensors.write_text("current_gain_ratio: 1.01\n")
    answer = bess("estimate", data, "--cell", CELL, "--columns", MAP, "--sensors", sensors)
    assert "current_gain_ratio: an error of 1.01, expected at most 0.3 (an error of 1 % is 0.01" in str(
        answer.exception
    )


def test_a_time_of_ages_is_refused_without_a_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    columns = recording()
    columns["t_s"][-1] = 1e18
    answer = bess("estimate", written(tmp_path / "run.csv", columns), "--cell", CELL, "--columns", MAP)
    assert "time_s spans more than a century" in str(answer.exception)
    assert not recwarn.list


def test_a_cell_file_that_no_cell_is_like_is_refused_as_validate_does(tmp_path: Path) -> None:
    text = (LIBRARY / "cells" / f"{CELL}.yaml").read_text(encoding="utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(text.replace("discharge_current_max: 10 A", "discharge_current_max: 5 kA"), encoding="utf-8")
    answer = bess("estimate", written(tmp_path / "run.csv", recording()), "--cell", own, "--columns", MAP)
    assert "own.yaml:14" in str(answer.exception)
    assert "discharge_current_max is 5000 A" in str(answer.exception)


def test_an_unknown_sensor_key_is_refused(tmp_path: Path) -> None:
    sensors = tmp_path / "sensors.yaml"
    sensors.write_text("current_gain: 0.01\n")
    answer = bess(
        "estimate", written(tmp_path / "r.csv", recording()), "--cell", CELL, "--columns", MAP, "--sensors", sensors
    )

    assert "current_gain_ratio" in str(answer.exception)


def test_times_that_go_back_are_refused_with_their_row(tmp_path: Path) -> None:
    columns = recording()
    columns["t_s"][120] = 0.0
    answer = bess("estimate", written(tmp_path / "run.csv", columns), "--cell", CELL, "--columns", MAP)

    assert "row 120" in str(answer.exception)
    assert "goes back" in str(answer.exception)
