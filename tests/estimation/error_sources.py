"""Where the error of a SOC comes from: `python -m tests.estimation.error_sources DATA [--only TEXT]`.

Each record is run with one error of the sensors at a time, and with all of them, on the voltages that were measured
and on those that the cell model itself makes of the true charge. The second kind has no error of OCV, hysteresis or
temperature: what is left there is what this filter can't tell with such sensors, whatever the cell model. The floor of
counting is what charge counting alone would be off by, had it started right.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_model import CellTest, simulate_voltage
from controller.plant.cell_types import CellType
from tests.estimation.accuracy import BIAS_V, GAIN, OFFSET_PER_H, WRONG, Try, cell_type, run, score
from tests.estimation.records import Record, disturbed, lfp, lfp_first_script_rows, nca, part

Floats = NDArray[np.float64]

SENSOR_ERRORS = {
    "none": (0, 0, 0),
    "gain": (1, 0, 0),
    "offset": (0, 1, 0),
    "bias": (0, 0, 1),
    "all +": (1, 1, 1),
    "all -": (-1, -1, -1),
}


@dataclass(frozen=True)
class Line:
    """A row of the table: RMSE and largest error, measured voltages and the model's own, and of counting alone."""

    record: str
    errors: str
    measured: tuple[float, float]
    modelled: tuple[float, float]
    counted: tuple[float, float]


def records(data: Path) -> Iterator[Record]:
    """Return what the goals speak of: LFP from full at 5-45 degC, NCA at 0-25 degC."""
    for label in ("P05", "P25", "P45"):
        record = lfp(data, label)
        yield part(record, f"{record.name}, from full", slice(0, lfp_first_script_rows(record)))
    for label in ("0degC", "10degC", "25degC"):
        yield nca(data, label, 2)


def modelled(record: Record, cell: CellType) -> Record:
    """Return the record with the voltages that the cell model makes of its true SOC and current."""
    grow = record.capacity_ah / cell.capacity_ah
    test = CellTest(
        record.name, record.time_s, record.current_a / grow, np.zeros_like(record.time_s),
        record.temperature_degc[:, 0], record.soc_true_ratio,
    )  # fmt: skip
    return replace(record, cell_voltage_v=simulate_voltage(cell, test)[:, None])


def lines(record: Record, data: Path) -> Iterator[Line]:
    """Return a line for each kind of error; all of them are racks of one run."""
    cell = cell_type(record, data)
    runs = [
        Try(kind, name, _seen(source, signs), max(float(record.soc_true_ratio[0]) - WRONG, 0.0))
        for kind, source in (("measured", record), ("modelled", modelled(record, cell)))
        for name, signs in SENSOR_ERRORS.items()
    ]
    series = run(runs, cell)
    found = [score(one, *(values[k] for values in series)) for k, one in enumerate(runs)]
    half = len(SENSOR_ERRORS)
    for name, on_measured, on_modelled in zip(SENSOR_ERRORS, found[:half], found[half:], strict=True):
        yield Line(
            record.name,
            name,
            (on_measured.rmse, on_measured.largest),
            (on_modelled.rmse, on_modelled.largest),
            _counting(record, SENSOR_ERRORS[name]),
        )


def _seen(record: Record, signs: tuple[int, int, int]) -> Record:
    gain, offset, bias = signs
    return disturbed(record, 1.0 + gain * GAIN, offset * OFFSET_PER_H, bias * BIAS_V)


def _counting(record: Record, signs: tuple[int, int, int]) -> tuple[float, float]:
    """Return what counting alone is off by after the first hour, had it started right."""
    since_h = (record.time_s - record.time_s[0]) / 3600.0
    drawn = record.soc_true_ratio[0] - record.soc_true_ratio
    error = 100.0 * (signs[0] * GAIN * drawn + signs[1] * OFFSET_PER_H * since_h)
    late = error[since_h >= min(1.0, 0.25 * since_h[-1])]
    return float(np.sqrt(np.mean(late**2))), float(np.abs(late).max())


def table(found: Sequence[Line]) -> str:
    """Return the lines as Markdown, RMSE / largest in SOC points."""
    heads = "record | sensor errors | measured voltages | the model's own voltages | counting alone, started right"
    rows = [f"| {heads} |", "|---" * 5 + "|"]
    rows += [
        f"| {one.record} | {one.errors} | "
        + " | ".join(f"{rmse:.2f} / {most:.2f}" for rmse, most in (one.measured, one.modelled, one.counted))
        + " |"
        for one in found
    ]
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="records whose name holds this text")
    asked = parser.parse_args(arguments)
    wanted = [record for record in records(asked.data) if asked.only in record.name]
    print(table([line for record in wanted for line in lines(record, asked.data)]))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
