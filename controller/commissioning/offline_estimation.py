"""`bess estimate`: the estimators over a recording on disk, one row out a row in, findings and a plot beside it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from controller.commissioning.estimation_options import PLOTS, TABLES, check_numbers, check_target, size_words
from controller.commissioning.recording_checks import BadSamples, checked_recording, limit_a
from controller.commissioning.recording_files import (
    CELL_PREFIX,
    SENSOR_PREFIX,
    Columns,
    FileError,
    Floats,
    column,
    mapped,
    numbered,
    read_columns,
    write_columns,
)
from controller.commissioning.temperature_checks import ASSUMED_DEGC, unsure_of_temperature
from controller.estimation import EstimatorConfig, Finding, RackSpec, Severity, estimator_config
from controller.estimation.offline import (
    OfflineResult,
    RecordError,
    Recording,
    checked,
    estimate_recording,
    quality_word,
)
from controller.plant.cell_loader import CellTypeError, packaged_cell_names, packaged_cell_type, parse_cell_type
from controller.plant.cell_types import BOUND_TO_SIGMA, CellType, SensorSpec, scaled

HINT_SIGMA = 0.1
MOST_JUMPS = 5
WIDE = (0.5, 0.5)
INSUFFICIENT = "insufficient data"


class EstimationInputError(ValueError):
    """Something asked for that can't be done; the text is for the user, exit code 2."""


@dataclass(frozen=True, slots=True)
class EstimationRequest:
    """What the command line asks for; file names as given, None where not."""

    cell: str
    data: Path
    initial_soc: str | None = None
    sensors: Path | None = None
    columns: str = ""
    temperature_degc: float | None = None
    capacity_ah: float | None = None
    out: Path | None = None
    findings: Path | None = None
    plot: Path | None = None


@dataclass(frozen=True, slots=True)
class EstimatedRecording:
    """What the estimator says of a recording, and which of its samples it had to leave out."""

    result: OfflineResult
    bad: BadSamples


def run_estimation(request: EstimationRequest) -> EstimatedRecording:
    """Return the result, with all files written that were asked for; EstimationInputError says what to mend."""
    try:
        check_options(request)
        cell = load_cell(request.cell)
        told: tuple[str, ...] = ()
        if request.capacity_ah is not None:
            told = tuple(size_words(request.capacity_ah, cell))
            cell = scaled(cell, request.capacity_ah)
        sensors = load_sensors(request.sensors, cell) if request.sensors else cell.sensors
        as_read, assumed = load_recording(request)
        recording, bad = checked_recording(checked(as_read), cell, sensors, request.data)
        bad = replace(bad, remarks=(*told, *assumed, *bad.remarks))
        config = _config(unsure_of_temperature(cell) if assumed else cell, sensors, recording)
        result = estimate_recording(config, recording, *parse_hint(request.initial_soc))
        bad = replace(bad, remarks=(*bad.remarks, *_misfit_words(result, cell), *_jump_words(result)))
        write_result(request, result)
    except (CellTypeError, FileError, RecordError) as error:
        raise EstimationInputError(str(error)) from error
    return EstimatedRecording(result, bad)


def check_options(request: EstimationRequest) -> None:
    """Refuse, before anything is computed, what no number or no file can be; FileError says which option."""
    check_numbers(request.capacity_ah, request.temperature_degc)
    for option, path, suffixes in (
        ("--out", request.out, TABLES),
        ("--findings", request.findings, ()),
        ("--plot", request.plot, PLOTS),
    ):
        if path is not None:
            check_target(option, path, suffixes)


def load_cell(name: str) -> CellType:
    """Return a cell type by its library name or from a YAML file."""
    if name in packaged_cell_names():
        return packaged_cell_type(name)
    path = Path(name)
    if not path.is_file():
        raise EstimationInputError(
            f"--cell {name!r}: neither in the library ({', '.join(packaged_cell_names())}) nor a file"
        )
    return parse_cell_type(path.read_text(encoding="utf-8"), str(path))


def load_recording(request: EstimationRequest) -> tuple[Recording, tuple[str, ...]]:
    """Return the recording that the data file holds, and what had to be assumed of its temperature."""
    path = request.data
    columns = mapped(read_columns(path), request.columns, path)
    time_s = column(columns, "time_s", path)
    cells = numbered(columns, CELL_PREFIX, path)
    voltage_v = column(columns, "voltage_v", path)[:, None] if cells is None else cells
    warmth, told = _temperature(request, columns, len(time_s))
    return Recording(time_s, column(columns, "current_a", path), voltage_v, warmth), told


def _temperature(request: EstimationRequest, columns: Columns, rows: int) -> tuple[Floats, tuple[str, ...]]:
    """Return the temperature sensors [row, sensor]: as the option says, as the file does, or 25 degC with a remark."""
    if request.temperature_degc is not None:
        return np.full((rows, 1), request.temperature_degc), ()
    sensors = numbered(columns, SENSOR_PREFIX, request.data)
    if sensors is None and ("temperature_degc" in columns or "temperature_degc" in columns.others):
        sensors = column(columns, "temperature_degc", request.data)[:, None]
    if sensors is not None and np.isfinite(sensors).any():
        return sensors, ()
    told = f"no temperature in the file: {ASSUMED_DEGC:g} degC is assumed (--temperature says another)"
    return np.full((rows, 1), ASSUMED_DEGC), (told,)


def _config(cell: CellType, sensors: SensorSpec, recording: Recording) -> EstimatorConfig:
    usual_a = limit_a(recording, cell)
    spec = RackSpec(
        cell=cell,
        capacity_ah=cell.capacity_ah,
        cells_in_series=recording.cell_voltage_v.shape[1],
        charge_current_max_a=max(cell.limits.charge_current_max_a, usual_a),
        discharge_current_max_a=max(cell.limits.discharge_current_max_a, usual_a),
        sensors=sensors,
        temperature_sensors=recording.temperature_degc.shape[1],
        balancing_a=0.0,
    )
    return estimator_config([spec])


def load_sensors(path: Path, cell: CellType) -> SensorSpec:
    """Return the sensor errors of a YAML or JSON file; each a 1-sigma or `{bound: x}`; what it lacks is the cell's."""
    if not path.is_file():
        raise FileError(f"{path}: {'this is no file' if path.exists() else 'no such file'}")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise FileError(f"{path}: not YAML or JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise FileError(f"{path}: expected keys with numbers")
    known = set(SensorSpec.__dataclass_fields__)
    if unknown := sorted(str(key) for key in document if key not in known):
        raise FileError(f"{path}: unknown key {', '.join(unknown)}; expected {', '.join(sorted(known))}")
    sigmas = {str(key): _sigma(path, str(key), value) for key, value in document.items()}
    for key, most in _most(cell).items():
        if sigmas.get(key, 0.0) > most:
            hint = f" (an error of 1 % is 0.01, a factor of {sigmas[key]:g} is none)" if key.endswith("_ratio") else ""
            raise FileError(f"{path}: {key}: an error of {sigmas[key]:g}, expected at most {most:.3g}{hint}")
    return replace(cell.sensors, **sigmas)


def _most(cell: CellType) -> dict[str, float]:
    """Return the largest error of each sensor with which it still measures something of this cell."""
    window_v = cell.limits.voltage_max_v - cell.limits.voltage_min_v
    return {
        "current_gain_ratio": 0.3,
        "current_offset_a": 0.3 * cell.capacity_ah,
        "current_noise_a": cell.capacity_ah,
        "voltage_bias_v": 0.1 * window_v,
        "voltage_noise_v": 0.1 * window_v,
        "voltage_step_v": 0.1 * window_v,
        "temperature_bias_k": 20.0,
    }


def _sigma(path: Path, key: str, value: object) -> float:
    bound = value.get("bound") if isinstance(value, Mapping) and set(value) == {"bound"} else None
    number = value if bound is None else bound
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0.0 <= number < float("inf"):
        raise FileError(f"{path}: {key}: expected a number >= 0 or {{bound: number}}, got {value!r}")
    if bound is not None and key != "voltage_step_v":
        return float(number) * BOUND_TO_SIGMA
    return float(number)


def parse_hint(text: str | None) -> tuple[float, float]:
    """Return SOC and its 1-sigma from `0.8` (1-sigma 0.1) or `0.8+-0.2`; wide where there is no hint."""
    if text is None:
        return WIDE
    value, mark, sigma = text.partition("+-")
    try:
        hint = float(value), float(sigma) if mark else HINT_SIGMA
    except ValueError:
        hint = (-1.0, 0.0)
    if not (0.0 <= hint[0] <= 1.0 and 0.0 < hint[1] <= 1.0):
        raise EstimationInputError(f"--initial-soc {text!r}: expected 0 to 1, such as 0.8 or 0.8+-0.2")
    return hint


def write_result(request: EstimationRequest, result: OfflineResult) -> None:
    """Write output, findings and plot where asked for."""
    if request.out:
        words = [quality_word(code) for code in result.columns["quality"]]
        write_columns(request.out, {**result.columns, "quality": words})
    if request.findings:
        start_s = float(result.columns["time_s"][0])
        lines = [json.dumps(finding_row(f, start_s)) + "\n" for f in result.findings]
        request.findings.write_text("".join(lines), encoding="utf-8")
    if request.plot:
        _plot(request.plot, result)


def _misfit_words(result: OfflineResult, cell: CellType) -> Iterator[str]:
    """Yield what says that these are no measurements of this cell type."""
    if (seen := result.misfit) is None:
        return
    told = []
    if seen.rms_v > seen.expected_v or not np.isfinite(seen.resistance_ratio):
        told.append(f"rms {1e3 * seen.rms_v:.0f} mV against {1e3 * seen.expected_v:.0f} mV expected")
    if np.isfinite(seen.resistance_ratio):
        told.append(f"a resistance of {seen.resistance_ratio:.2f} times the type's")
    how = ", ".join(told)
    yield (
        f"from {seen.time_s:,.13g} s on the measurements do not fit the cell type {cell.name} ({how}): are --cell and"
        " --capacity the right ones, current_a in A and time_s in s? The SOC is uncertain"
    )


def _jump_words(result: OfflineResult) -> Iterator[str]:
    for jump in result.jumps[:MOST_JUMPS]:
        yield (
            f"before {jump.time_s:,.13g} s the voltage jumps by {1e3 * jump.size_v:.0f} mV that no current explains:"
            " rows cut out and times renumbered, or another sensor?"
        )


def finding_row(finding: Finding, start_s: float) -> dict[str, object]:
    """Return a finding as the interface writes it; the recording's first row was taken at 1 s."""
    row: dict[str, object] = {
        "time_s": start_s + finding.first_raised_ns * 1e-9 - 1.0,
        "cell": finding.cell,
        "kind": finding.kind.value,
        "severity": "alarm" if finding.severity is Severity.ALARM else "warning",
        "evidence": finding.evidence,
        "size": finding.size,
        "size_unit": finding.size_unit,
    }
    if finding.sensor:
        row["sensor"] = finding.sensor
    if np.isfinite(finding.days_high):
        row["days_to_limit_low"], row["days_to_limit_high"] = finding.days_low, finding.days_high
    elif np.isnan(finding.days_high):
        row["days_to_limit"] = INSUFFICIENT
    return row


def _plot(path: Path, result: OfflineResult) -> None:
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError as error:
        raise FileError(f"{path}: plots need the extra 'tools' (pip install bess-controller[tools])") from error
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, (top, bottom) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6))
    c = result.columns
    hours = (c["time_s"] - c["time_s"][0]) / 3600.0
    top.fill_between(hours, 100 * c["soc_low_ratio"], 100 * c["soc_high_ratio"], alpha=0.3, label="95 %")
    top.plot(hours, 100 * c["soc_ratio"], label="SOC")
    top.set_ylabel("SOC, %")
    top.legend()
    bottom.plot(hours, 1e3 * c["voltage_residual_v"], linewidth=0.5)
    bottom.set_ylabel("voltage residual, mV")
    bottom.set_xlabel("time, h")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
