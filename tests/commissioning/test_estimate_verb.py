"""`bess estimate` as a person types it: files in, files out, and clear words about what can't be used."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.commissioning.recording_files import read_columns, write_columns
from controller.estimation.offline import OUTPUT_COLUMNS

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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--cell", "no_such_cell"), "a123_26650_lfp"),
        (("--cell", CELL, "--columns", "time_s=t_s,current_a=J"), "J"),
        (("--cell", CELL, "--columns", "time_s=t_s,current_a=I_A,voltage_v=T_C"), "median voltage"),
        (("--cell", CELL, "--columns", MAP, "--initial-soc", "80"), "0 to 1"),
        (("--cell", CELL, "--columns", MAP, "--out", "out.xls"), ".csv or .parquet"),
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
