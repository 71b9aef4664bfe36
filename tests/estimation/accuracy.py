"""The whole table of docs/estimation.md, and its plots: `make accuracy DATA=FOLDER`.

Every record is run by the estimator of the scan, started wrong and right, with the sensors' errors as stated and with
every sign turned; the worst of them counts. `--all-signs` adds the two mixed combinations. All tries of a record are
racks of one plant, so they cost one run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from controller.commissioning.cell_fitting import fit_cell_type, read_plan, write_fit
from controller.estimation import EstimatorConfig, RackSample, RackSpec, estimate, estimator_config, initial
from controller.estimation.rack_filter import initial_hypotheses
from controller.estimation.state import INITIAL_SOC_SIGMA, prior
from controller.plant.cell_loader import packaged_cell_names, packaged_cell_type, parse_cell_type
from controller.plant.cell_types import BOUND_TO_SIGMA, CellType, SensorSpec
from tests.estimation.records import Record, all_records, disturbed, lfp_first_script_rows, part

Floats = NDArray[np.float64]

PLANS = Path(__file__).parents[2] / "docs" / "cell_fits"
GAIN, OFFSET_PER_H, BIAS_V = 0.01, 0.002, 0.002
SIGNS = ((1, 1, 1), (-1, -1, -1))
"""Of gain, offset and bias; the first is the corruption that the goals are stated for."""
MIXED_SIGNS = ((1, -1, 1), (-1, 1, -1))
POWER_PERIOD_S = 600.0
"""Power limits are not scored here."""
WRONG = 0.20
HINT_SIGMA = 0.1
MIDDLE_SOC = 0.65
SETTLING_S = 3600.0


@dataclass(frozen=True)
class Try:
    """One run: the record as the sensors show it, and what the estimator is told of its SOC at the start."""

    group: str
    name: str
    record: Record
    hint: float | None


@dataclass(frozen=True)
class Score:
    """Errors in SOC points after the first hour (or quarter): what the goals speak of."""

    group: str
    name: str
    rmse: float
    largest: float
    inside: float
    width: float
    anchor_h: float
    anchored_rmse: float
    anchored_largest: float
    anchored_inside: float
    anchored_width: float
    last_width: float


def tries(record: Record, signs: Sequence[tuple[int, int, int]]) -> list[Try]:
    """Return the runs of a record: measured ones disturbed in all signs, simulated ones as they are."""
    if not record.measured:
        start = float(record.soc_true_ratio[0])
        return [Try(record.name, "no hint", record, None)] + [
            Try(record.name, f"{points:+.0f} points", record, start + 0.01 * points)
            for points in (-20, 20)
            if 0.0 <= start + 0.01 * points <= 1.0
        ]
    found = []
    for kind, rows, wrongs in _cuts(record):
        cut = part(record, f"{record.name}{kind}", rows)
        start = float(cut.soc_true_ratio[0])
        for k, (gain, offset, bias) in enumerate(signs):
            seen = disturbed(cut, 1.0 + gain * GAIN, offset * OFFSET_PER_H, bias * BIAS_V, seed=7 + k)
            errors = "".join("+" if sign > 0 else "-" for sign in (gain, offset, bias))
            for wrong in wrongs:
                hint = None if wrong is None else min(max(start + wrong, 0.0), 1.0)
                told = "no hint" if wrong is None else f"{100 * wrong:+.0f} points"
                found.append(Try(cut.name, f"{told}, errors {errors}", seen, hint))
    return found


def _cuts(record: Record) -> Iterator[tuple[str, slice, Sequence[float | None]]]:
    if not record.cell.startswith("a123"):
        yield "", slice(None), (-WRONG, None)
        return
    end = lfp_first_script_rows(record)
    middle = int(np.flatnonzero(record.soc_true_ratio < MIDDLE_SOC)[0])
    empty = int(np.flatnonzero(record.soc_true_ratio < 1e-4)[0]) if record.soc_true_ratio.min() < 1e-4 else end
    yield ", from full", slice(0, end), (-WRONG, None)
    yield ", from the plateau", slice(middle, max(empty, end)), (-WRONG, WRONG, None)


def sensors(record: Record) -> SensorSpec:
    """Return what a data sheet would say of these sensors: limits of gain, offset and bias, sigmas of noise."""
    return SensorSpec(
        current_gain_ratio=GAIN * BOUND_TO_SIGMA,
        current_offset_a=OFFSET_PER_H * record.capacity_ah * BOUND_TO_SIGMA,
        current_noise_a=0.0005 * record.capacity_ah,
        voltage_bias_v=BIAS_V * BOUND_TO_SIGMA,
        voltage_noise_v=1e-3,
        voltage_step_v=1e-3,
        temperature_bias_k=1.0,
    )


def cell_type(record: Record, data: Path) -> CellType:
    """Return the cell type to try a record with; LFP is fitted to all temperatures but the record's own."""
    if record.cell != "a123_26650_lfp":
        return packaged_cell_type(record.cell)
    kept = Path("build") / f"{record.cell}_without_{record.chamber_degc:g}.yaml"
    if not kept.is_file():
        plan = read_plan(PLANS / "a123_26650_lfp.yaml", data)
        tests = tuple(
            replace(t, use="hold_out" if t.temperature_degc == record.chamber_degc else "fit") for t in plan.tests
        )
        kept.parent.mkdir(exist_ok=True)
        write_fit(fit_cell_type(replace(plan, tests=tests)), kept)
    return parse_cell_type(kept.read_text(), str(kept))


def run(these: Sequence[Try], cell: CellType) -> tuple[Floats, ...]:
    """Return SOC, low, high and anchor age [try, row] of tries on one time axis."""
    record = these[0].record
    limits = cell.limits
    grow = record.capacity_ah / cell.capacity_ah
    spec = RackSpec(
        cell, record.capacity_ah, record.cell_voltage_v.shape[1], limits.charge_current_max_a * grow,
        limits.discharge_current_max_a * grow, sensors=sensors(record), balancing_a=0.0,
    )  # fmt: skip
    config = estimator_config([spec] * len(these), power_period_s=POWER_PERIOD_S)
    state = initial(config, 0)
    hints = np.array([0.5 if t.hint is None else t.hint for t in these])
    sigmas = np.array([INITIAL_SOC_SIGMA if t.hint is None else HINT_SIGMA for t in these])
    state.hypotheses = initial_hypotheses(prior(config), hints, sigmas)
    current = np.stack([t.record.current_a for t in these], axis=1)
    voltage = np.stack([t.record.cell_voltage_v for t in these], axis=1)
    out = np.empty((4, len(these), len(record.time_s)))
    times_ns = ((record.time_s - record.time_s[0] + 1.0) * 1e9).astype(np.int64)
    for k, now_ns in enumerate(times_ns.tolist()):
        e = estimate(config, state, _sample(config, now_ns, current[k], voltage[k], record.temperature_degc[k]), now_ns)
        out[:, :, k] = e.soc_ratio, e.soc_low_ratio, e.soc_high_ratio, e.anchor_age_s
    return tuple(out)


def _sample(config: EstimatorConfig, now_ns: int, current: Floats, voltage: Floats, warmth: Floats) -> RackSample:
    racks = config.racks
    time, yes = np.full(racks, now_ns, dtype=np.int64), np.ones(racks, dtype=bool)
    return RackSample(
        source_time_ns=time, valid=yes, current_a=current, voltage_v=voltage.sum(axis=1),
        soc_bms_ratio=np.full(racks, np.nan), contactor_open=~yes, bms_alarm_free=yes, cell_time_ns=time,
        cell_voltage_v=voltage, cell_valid=np.isfinite(voltage),
        cell_temperature_degc=np.tile(warmth, (racks, 1)), temperature_valid=np.ones((racks, len(warmth)), dtype=bool),
    )  # fmt: skip


def score(one: Try, soc: Floats, low: Floats, high: Floats, age_s: Floats) -> Score:
    record = one.record
    since_s = record.time_s - record.time_s[0]
    late = since_s >= min(SETTLING_S, 0.25 * since_s[-1])
    error = 100.0 * (soc - record.soc_true_ratio)
    width = 100.0 * (high - low)
    inside = (record.soc_true_ratio >= low) & (record.soc_true_ratio <= high)
    anchored = np.isfinite(age_s)
    first_h = float(since_s[anchored][0] / 3600.0) if anchored.any() else float("inf")
    both = late & anchored
    return Score(
        one.group, one.name, _rms(error[late]), float(np.abs(error[late]).max()), float(inside[late].mean()),
        float(np.median(width[late])), first_h, _rms(error[both]),
        float(np.abs(error[both]).max(initial=0.0)), float(inside[both].mean()) if both.any() else float("nan"),
        float(np.median(width[both])) if both.any() else float("nan"), float(width[-1]),
    )  # fmt: skip


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def run_record(
    record: Record, data: Path, signs: Sequence[tuple[int, int, int]]
) -> list[tuple[Score, dict[str, Floats]]]:
    """Return the scores of all tries of a record, each with a thinned-out series for plots."""
    groups: dict[str, list[Try]] = {}
    for one in tries(record, signs):
        groups.setdefault(one.group, []).append(one)
    found = []
    for these in groups.values():
        series = run(these, cell_type(record, data))
        for k, one in enumerate(these):
            soc, low, high, age = (values[k] for values in series)
            step = max(len(soc) // 600, 1)
            thin = {
                "time_h": (one.record.time_s[::step] - one.record.time_s[0]) / 3600.0,
                "true": one.record.soc_true_ratio[::step],
                "soc": soc[::step],
                "low": low[::step],
                "high": high[::step],
            }
            found.append((score(one, soc, low, high, age), thin))
    return found


def table(scores: Sequence[Score]) -> str:
    """Return the results as Markdown: a line per record and hint; in brackets the worst combination of signs."""
    heads = "record,told at the start,RMSE,largest,inside 95 %,median width,first anchor,RMSE after,width after"
    lines = ["| " + heads.replace(",", " | ") + " |", "|---" * 9 + "|"]
    kinds = dict.fromkeys((s.group, s.name.split(",", maxsplit=1)[0]) for s in scores)
    for group, told in kinds:
        mine = [s for s in scores if s.group == group and s.name.split(",")[0] == told]
        first = mine[0]

        def cell(name: str, worst: float, one: Score = first, digits: int = 2) -> str:
            value = getattr(one, name)
            if not np.isfinite(value):
                return "-"
            return f"{value:.{digits}f}" + (f" ({worst:.{digits}f})" if np.isfinite(worst) and worst != value else "")

        most = {
            n: max(getattr(s, n) for s in mine) for n in ("rmse", "largest", "width", "anchored_rmse", "anchored_width")
        }
        least = min(s.inside for s in mine)
        anchor = f"{first.anchor_h:.1f} h" if np.isfinite(first.anchor_h) else "none"
        lines.append(
            f"| {group} | {told} | {cell('rmse', most['rmse'])} | {cell('largest', most['largest'])} "
            f"| {cell('inside', least)} | {cell('width', most['width'], digits=1)} | {anchor} "
            f"| {cell('anchored_rmse', most['anchored_rmse'])} "
            f"| {cell('anchored_width', most['anchored_width'], digits=1)} |"
        )
    return "\n".join(lines) + "\n"


def draw(results: Sequence[tuple[Score, dict[str, Floats]]], folder: Path) -> None:
    """Draw the first try of each group: the truth, the estimate and its bounds."""
    mpl.use("Agg")
    firsts = list({score.group: (score, thin) for score, thin in reversed(results)}.values())[::-1]
    figure, axes = plt.subplots((len(firsts) + 2) // 3, 3, figsize=(13, 2.5 * ((len(firsts) + 2) // 3)))
    for one in axes.flat[len(firsts) :]:
        one.set_visible(False)
    for one, (score, thin) in zip(axes.flat, firsts, strict=False):
        one.fill_between(thin["time_h"], 100 * thin["low"], 100 * thin["high"], alpha=0.3, linewidth=0, label="95 %")
        one.plot(thin["time_h"], 100 * thin["true"], "k", linewidth=1.2, label="true")
        one.plot(thin["time_h"], 100 * thin["soc"], "C1", linewidth=0.9, label="estimate")
        one.set_title(f"{score.group} ({score.name.split(',')[0]})", fontsize=8)
        one.tick_params(labelsize=7)
    axes.flat[0].legend(fontsize=7)
    figure.supylabel("SOC, %", fontsize=9)
    figure.supxlabel("time, h", fontsize=9)
    figure.tight_layout()
    figure.savefig(folder / "estimation_soc.png", dpi=70)
    plt.close(figure)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="records whose name holds this text")
    parser.add_argument("--out", type=Path, help="folder for results.md, results.json and the picture")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--all-signs", action="store_true", help="mixed signs of the sensors' errors too")
    asked = parser.parse_args(arguments)
    signs = SIGNS + MIXED_SIGNS if asked.all_signs else SIGNS
    if not asked.data.is_dir():
        print(f"skipped: {asked.data}: no such folder; it takes the records that docs/estimation.md names")  # noqa: T201
        return 0
    records = [r for r in all_records(asked.data) if asked.only in r.name and r.cell in packaged_cell_names()]
    with ProcessPoolExecutor(asked.workers) as pool:
        results = [
            item for found in pool.map(partial(run_record, data=asked.data, signs=signs), records) for item in found
        ]
    print(table([s for s, _ in results]))  # noqa: T201
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "results.md").write_text(table([s for s, _ in results]))
        (asked.out / "results.json").write_text(json.dumps([asdict(s) for s, _ in results], indent=1))
        draw(results, asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
