"""`bess fit-cell`: pulse, drive and OCV tests on disk become a cell type, judged on a profile that was not fitted.

A plan (YAML) lists tests that need words of their own: temperature, columns, which rows, where the SOC starts, and
whether a test is fitted or held out. Files alone do for a cell whose tests start full: slow ones are told by their
current, and the last dynamic one of several is held out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import yaml

from controller.commissioning.estimation_options import check_numbers
from controller.commissioning.fit_checks import (
    GAP_S,
    SLOW_PER_H,
    SLOW_SPANS,
    check_above_empty,
    check_counter,
    check_dynamic,
    check_slow_span,
    check_test,
)
from controller.commissioning.recording_files import Columns, FileError, Floats, column, mapped, read_columns
from controller.estimation.cell_model import CellTest
from controller.estimation.cell_yaml import cell_yaml
from controller.estimation.fit_cell import (
    NODE_APART_K,
    FitBin,
    SlowTest,
    fitted,
    held_out_error,
    judge_fit,
    slow_branches,
    with_errors,
    with_unmeasured_errors,
)
from controller.plant.cell_loader import CellTypeError, packaged_cell_type, parse_cell_type
from controller.plant.cell_types import CellType, scaled

PLAN_SCHEMA = "cell_fit/v1"
PLAN_KEYS = {"schema", "name", "like", "chemistry", "origin", "capacity_ah", "columns", "tests"}
TEST_KEYS = {"file", "use", "columns", "where", "between_s", "temperature_degc", "start_soc_ratio", "capacity_ah"}
LEAST_ROWS = 10
IDLE_PER_H = 0.005
VERIFIED_SIGMAS = 3.0
"""A type that is off by more of its stated errors, on a test that was not fitted, is not what it says."""
KNEE_RATIO = 0.1
FLAT_CELL_V = 3.45
"""A cell whose middle voltage lies below is taken for LFP, above for a layered oxide, where nothing else is said."""
BINS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.001])


@dataclass(frozen=True, slots=True)
class FitFile:
    """One file of a plan, and its use: fit, hold_out or auto.

    `where` keeps the rows whose column has that value, `between_s` those of a time; at the first row kept the SOC is
    `start_soc_ratio`.
    """

    path: Path
    use: str = "auto"
    columns: str = ""
    where: Mapping[str, float] = field(default_factory=dict)
    between_s: tuple[float, float] = (-np.inf, np.inf)
    temperature_degc: float | None = None
    start_soc_ratio: float = 1.0
    capacity_ah: float | None = None


@dataclass(frozen=True, slots=True)
class FitRequest:
    """What the command line or a plan asks for."""

    tests: tuple[FitFile, ...]
    name: str
    like: str | None = None
    chemistry: str | None = None
    origin: str = ""
    capacity_ah: float | None = None


@dataclass(frozen=True, slots=True)
class FitResult:
    """The fitted cell and how well it does on what it was not fitted to (empty where nothing was held out)."""

    cell: CellType
    bins: tuple[FitBin, ...]
    fitted: tuple[str, ...]
    held_out: tuple[str, ...]

    def text(self) -> str:
        """Return the report as a table: mV RMSE per bin of SOC and temperature, on held-out tests."""
        lines = [f"{self.cell.name}: {self.cell.fit_report}", f"fitted: {', '.join(self.fitted)}"]
        lines += [f"held out: {', '.join(self.held_out) or 'nothing; the errors below 5 mV are assumed'}", ""]
        lines += [f"{'test':40s} {'degC':>6s} {'SOC %':>6s} {'RMSE mV':>8s} {'bias mV':>8s}"]
        return "\n".join(
            lines
            + [
                f"{b.record:40s} {b.temperature_degc:6.1f} {100 * b.soc_ratio:6.0f} {1e3 * b.rmse_v:8.1f} "
                f"{1e3 * b.bias_v:8.1f}"
                for b in self.bins
            ]
        )

    def as_json(self) -> dict[str, object]:
        """Return the report for machines."""
        return {
            "name": self.cell.name,
            "report": self.cell.fit_report,
            "fitted": list(self.fitted),
            "held_out": list(self.held_out),
            "bins": [
                {
                    "test": b.record,
                    "temperature_degc": b.temperature_degc,
                    "soc_ratio": b.soc_ratio,
                    "rmse_v": b.rmse_v,
                    "bias_v": b.bias_v,
                    "samples": b.samples,
                }
                for b in self.bins
            ],
        }


def read_plan(path: Path, folder: Path | None = None) -> FitRequest:
    """Return what a plan asks for, its files in a folder or beside it; FileError names the key that is wrong."""
    try:
        plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FileError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(plan, Mapping) or plan.get("schema") != PLAN_SCHEMA:
        raise FileError(f"{path}: expected `schema: {PLAN_SCHEMA}`")
    _only(plan, PLAN_KEYS, str(path))
    tests = plan.get("tests")
    if not isinstance(tests, list) or not tests:
        raise FileError(f"{path}: tests: expected a list of tests")
    return FitRequest(
        tests=tuple(
            _planned(folder or path.parent, f"{path}: tests[{k}]", test, str(plan.get("columns", "")))
            for k, test in enumerate(tests)
        ),
        name=str(plan.get("name", path.stem)),
        like=plan.get("like"),
        chemistry=plan.get("chemistry"),
        origin=str(plan.get("origin", "")),
        capacity_ah=plan.get("capacity_ah"),
    )


def _planned(folder: Path, place: str, test: object, columns: str) -> FitFile:
    if not isinstance(test, Mapping) or "file" not in test:
        raise FileError(f"{place}: expected a mapping with `file`")
    _only(test, TEST_KEYS, place)
    use = str(test.get("use", "auto"))
    if use not in {"fit", "hold_out", "auto"}:
        raise FileError(f"{place}: use: {use!r}: expected fit or hold_out")
    return FitFile(
        path=folder / str(test["file"]),
        use=use,
        columns=str(test.get("columns", columns)),
        where=dict(test.get("where", {})),
        between_s=tuple(test.get("between_s", FitFile.__dataclass_fields__["between_s"].default)),
        temperature_degc=test.get("temperature_degc"),
        start_soc_ratio=float(test.get("start_soc_ratio", 1.0)),
        capacity_ah=test.get("capacity_ah"),
    )


def _only(found: Mapping[object, object], known: set[str], place: str) -> None:
    if unknown := sorted(str(key) for key in found if key not in known):
        raise FileError(f"{place}: unknown key {', '.join(unknown)}; expected {', '.join(sorted(known))}")


def request_of(
    data: Sequence[Path],
    held_out: Sequence[Path],
    columns: str,
    *,
    folder: Path | None = None,
    temperature_degc: float | None,
    capacity_ah: float | None,
    like: str | None,
    name: str,
) -> FitRequest:
    """Return the request of a command line: a plan, or files with the same columns and temperature.

    FileError where an option can't be meant.
    """
    check_numbers(capacity_ah, temperature_degc)
    if len(data) == 1 and data[0].suffix in {".yaml", ".yml"}:
        plan = read_plan(data[0], folder)
        return replace(plan, like=like or plan.like, capacity_ah=capacity_ah or plan.capacity_ah)
    files = [
        FitFile(path, use, columns, temperature_degc=temperature_degc)
        for use, paths in (("auto", data), ("hold_out", held_out))
        for path in paths
    ]
    return FitRequest(tuple(files), name, like, origin="fitted with bess fit-cell", capacity_ah=capacity_ah)


def fit_cell_type(request: FitRequest) -> FitResult:
    """Return the fitted cell type with its report; FileError says what a file lacks.

    The stated errors are those of tests that were left out of the fit in turn, so the held-out profile is not used for
    anything but judging.
    """
    slow: list[SlowTest] = []
    dynamic: list[tuple[FitFile, CellTest]] = []
    capacity_ah = request.capacity_ah or _capacity_of([f.capacity_ah for f in request.tests])
    for file in request.tests:
        test, own_ah = cell_test(file, capacity_ah), file.capacity_ah or capacity_ah
        check_test(test, own_ah, file.path)
        runs = _slow_runs(test, own_ah, file.path)
        slow += runs
        if not runs:
            if file.use == "auto":
                check_dynamic(test, own_ah, file.path)
            dynamic.append((file, test))
    if slow:
        for file, test in dynamic:
            check_above_empty(test, file.capacity_ah or capacity_ah, file.path)
    fit, held = _roles(dynamic)
    if not fit:
        raise FileError("fit-cell: expected at least one pulse or drive test to fit")
    base = _base(request, fit, capacity_ah)
    base = replace(base, ocv=slow_branches(slow, base.ocv)) if slow else base
    cell = _with_stated_errors(*fitted(base, fit), fit)
    warmth = [float(np.mean(test.temperature_degc)) for test in fit]
    alone = max(warmth) - min(warmth) < NODE_APART_K
    cell = with_unmeasured_errors(cell, float(np.mean(warmth))) if alone else cell
    bins = tuple(b for test in held for b in judge_fit(cell, test, BINS))
    names = tuple(sorted({f"slow {t.temperature_degc:g} degC" for t in slow})) + tuple(t.name for t in fit)
    far = [word for test in held for word in _far_words(cell, test)]
    leans = [*_leans(base, warmth, slow=bool(slow), alone=alone), *far]
    cell = replace(
        cell,
        name=request.name,
        chemistry=request.chemistry or cell.chemistry,
        origin=request.origin or cell.origin,
        verified=bool(held and slow and not far),
        fit_report="; ".join([_sentence(fit, held, bins), *leans]),
    )
    return FitResult(cell, bins, names, tuple(t.name for t in held))


def cell_test(file: FitFile, capacity_ah: float) -> CellTest:
    """Return a file as a test: repeated times dropped, gaps bridged by what the tester counted, SOC from the start."""
    path = file.path
    table = mapped(read_columns(path), file.columns, path)
    keep = np.ones(len(column(table, "time_s", path)), dtype=bool)
    for name, value in file.where.items():
        keep &= column(table, name, path) == value
    keep &= (table["time_s"] >= file.between_s[0]) & (table["time_s"] < file.between_s[1])
    if keep.sum() < LEAST_ROWS:
        raise FileError(f"{path}: fewer than {LEAST_ROWS} rows where {dict(file.where)} between {file.between_s} s")
    table = Columns({name: values[keep] for name, values in table.items()}, table.others)
    rising = np.concatenate(([True], table["time_s"][1:] > np.maximum.accumulate(table["time_s"])[:-1]))
    time_s, current = table["time_s"][rising], column(table, "current_a", path)[rising]
    warmth = table.get("temperature_degc")
    if file.temperature_degc is not None or warmth is None:
        warmth = np.full(keep.sum(), 25.0 if file.temperature_degc is None else file.temperature_degc)
    drawn = np.concatenate(([0.0], np.cumsum(current[1:] * np.diff(time_s)))) / 3600.0
    if "charge_ah" in table:
        drawn = table["charge_ah"][rising][0] - table["charge_ah"][rising]
        check_counter(time_s, current, drawn, capacity_ah, path)
    soc = file.start_soc_ratio - drawn / (file.capacity_ah or capacity_ah)
    name = path.stem + "".join(f" {key}={value:g}" for key, value in file.where.items())
    test = CellTest(name, time_s, current, column(table, "voltage_v", path)[rising], warmth[rising], soc)
    return _bridged(test, drawn) if "charge_ah" in table else test


def _bridged(test: CellTest, drawn_ah: Floats) -> CellTest:
    """Return the test with a row at the end of each gap that holds the mean current which flowed in it."""
    at = np.flatnonzero(np.diff(test.time_s) > GAP_S) + 1
    mean_a = (drawn_ah[at] - drawn_ah[at - 1]) * 3600.0 / (test.time_s[at] - test.time_s[at - 1])
    return CellTest(
        test.name,
        np.insert(test.time_s, at, test.time_s[at] - 1e-3),
        np.insert(test.current_a, at, mean_a),
        np.insert(test.voltage_v, at, np.nan),
        np.insert(test.temperature_degc, at, test.temperature_degc[at]),
        np.insert(test.soc_ratio, at, test.soc_ratio[at]),
    )


def _slow_runs(test: CellTest, capacity_ah: float, path: Path) -> list[SlowTest]:
    """Return the slow discharge and charge of a test over most of the SOC range, none if it is a dynamic one."""
    if np.quantile(np.abs(test.current_a), 0.98) > SLOW_PER_H * capacity_ah:
        return []
    runs = []
    for charge in (False, True):
        on = (test.current_a * (-1.0 if charge else 1.0) > IDLE_PER_H * capacity_ah) & np.isfinite(test.voltage_v)
        soc = test.soc_ratio[on]
        if on.sum() < 100 or np.ptp(soc) < SLOW_SPANS[0]:
            continue
        check_slow_span(float(np.ptp(soc)), capacity_ah, path)
        soc = (soc - soc.min()) / np.ptp(soc)
        runs.append(SlowTest(float(np.mean(test.temperature_degc)), charge, soc, test.voltage_v[on]))
    return runs


def _capacity_of(stated: Sequence[float | None]) -> float:
    known = [value for value in stated if value]
    if not known:
        raise FileError("fit-cell: state the capacity in Ah (--capacity, or capacity_ah in the plan)")
    return float(np.mean(known))


def _roles(dynamic: Sequence[tuple[FitFile, CellTest]]) -> tuple[list[CellTest], list[CellTest]]:
    held = [test for file, test in dynamic if file.use == "hold_out"]
    fit = [test for file, test in dynamic if file.use != "hold_out"]
    if not held and len(fit) > 1 and all(file.use == "auto" for file, _ in dynamic):
        return fit[:-1], fit[-1:]
    return fit, held


def _base(request: FitRequest, fit: Sequence[CellTest], capacity_ah: float) -> CellType:
    """Return the cell type whose limits, heat, anchors and ageing the new one takes over."""
    if request.like is not None and Path(request.like).is_file():
        return scaled(parse_cell_type(Path(request.like).read_text(encoding="utf-8"), request.like), capacity_ah)
    middle = np.median(np.concatenate([test.voltage_v[np.isfinite(test.voltage_v)] for test in fit]))
    guess = "a123_26650_lfp" if middle < FLAT_CELL_V else "ncr18650pf_nca"
    return scaled(packaged_cell_type(request.like or guess), capacity_ah)


def _with_stated_errors(cell: CellType, without: Sequence[CellType], fit: Sequence[CellTest]) -> CellType:
    """Return the cell type with the error of each test under a fit to the others, over temperature.

    Leaving out the only test at an end of the measured range makes an extrapolation: its error counts beyond the end,
    and the worst of those between counts at the end.
    """
    if not without:
        return cell
    warmth = np.array([np.mean(test.temperature_degc) for test in fit])
    errors = np.array([held_out_error(other, test) for other, test in zip(without, fit, strict=True)])
    far = np.array([np.sort(np.abs(warmth - w))[1] > NODE_APART_K for w in warmth])
    ends = far & ((warmth == warmth.min()) | (warmth == warmth.max()))
    if ends.any() and not ends.all():
        beyond = warmth[ends] + np.where(warmth[ends] == warmth.min(), -10.0, 10.0)
        outside = errors[ends]
        errors[ends] = np.fmax.reduce(errors[~ends])
        warmth, errors = np.concatenate((warmth, beyond)), np.concatenate((errors, outside))
    return with_errors(cell, warmth, list(errors))


def _sentence(fit: Sequence[CellTest], held: Sequence[CellTest], bins: Sequence[FitBin]) -> str:
    told = []
    for test in held:
        own = [b for b in bins if b.record == test.name and b.soc_ratio > 0.1]
        power = sum(b.rmse_v**2 * b.samples for b in own) / max(sum(b.samples for b in own), 1)
        told.append(f"{np.mean(test.temperature_degc):.0f} degC {1e3 * power**0.5:.1f}")
    judged = f"mV RMSE above 10 % SOC on what was not fitted: {', '.join(told)}" if told else "nothing held out"
    return f"fitted to {len(fit)} dynamic tests; {judged}"


def _far_words(cell: CellType, test: CellTest) -> Iterator[str]:
    """Yield what says that a held-out test lies far beyond the errors that the cell type states, above its knee."""
    part = cell.impedance
    off_v, warmth = held_out_error(cell, test), float(np.mean(test.temperature_degc))
    stated_v = np.array([np.interp(warmth, part.temperature_degc, column) for column in np.transpose(part.error_v)])
    use = np.isfinite(off_v) & (np.array(part.soc_ratio) > KNEE_RATIO)
    if use.any() and np.sqrt(np.mean(np.square(off_v[use] / stated_v[use]))) > VERIFIED_SIGMAS:
        off_mv, stated_mv = (1e3 * np.sqrt(np.mean(np.square(errors[use]))) for errors in (off_v, stated_v))
        yield (
            f"not verified: {test.name} is off by {off_mv:.0f} mV where {stated_mv:.0f} mV are stated: does each test"
            " start where it is told to, and has it the same cell, sensors and temperatures as the others?"
        )


def _leans(base: CellType, warmth_degc: Sequence[float], *, slow: bool, alone: bool) -> Iterator[str]:
    """Yield what of a cell type was not measured."""
    if not slow:
        yield f"no slow test: the open-circuit voltage is that of {base.name}"
    if alone:
        yield f"measured at {np.mean(warmth_degc):.0f} degC alone: errors elsewhere are assumed"


def write_fit(result: FitResult, out: Path) -> None:
    """Write the cell type as YAML; FileError, and nothing written, where no cell can be so."""
    text = cell_yaml(result.cell)
    try:
        parse_cell_type(text, out.name)
    except CellTypeError as error:
        raise FileError(
            f"fit-cell: these tests make a cell that can't be; look at their units, signs and starts, and at the"
            f" capacity. Nothing is written.\n{error}"
        ) from error
    out.write_text(text, encoding="utf-8")
