"""Measurements that can't be true, put into sound stretches: `python -m tests.estimation.fault_table DATA`.

Prints the table of docs/estimation.md: how often the truth lies inside the 95 % bounds, and how often it lies outside
while the quality says good. Stretches of 2.5 h come from the measured and the simulated records in DATA and from
drives that a cell model makes; all variants are racks of one plant. A fault begins after the first hour; a current
reversed from the start, and a sound one, count from a quarter of an hour on, a gap of two hours from its end on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.estimation import EstimatorConfig, RackSample, RackSpec, estimate, estimator_config, initial
from controller.estimation.cell_model import CellTest, simulate_voltage
from controller.estimation.rack_filter import initial_hypotheses
from controller.estimation.state import prior
from controller.image.quality import Quality
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import CellType
from tests.estimation.accuracy import (
    BIAS_V,
    GAIN,
    HINT_SIGMA,
    MIDDLE_SOC,
    MIXED_SIGNS,
    OFFSET_PER_H,
    POWER_PERIOD_S,
    SIGNS,
    WRONG,
    cell_type,
    sensors,
)
from tests.estimation.records import (
    LFP_SETS,
    NCA_SETS,
    Record,
    disturbed,
    lfp,
    lfp_first_script_rows,
    nca,
    part,
    simulated,
)

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROWS = 9000
FAULT_ROW, SOUND_ROW = 3600, 900
GAP_ROWS = 900
LONG_GAP = slice(900, 8100)
CUT_ROWS = 1200
STEP_V = 0.05
OTHER_CELL = {
    "ncr18650pf_nca": "lg_m50_nmc",
    "lg_m50_nmc": "ncr18650pf_nca",
    "a123_26650_lfp": "prada2013_lfp",
    "prada2013_lfp": "a123_26650_lfp",
    "generic_280_lfp": "prada2013_lfp",
}
"""The nearest relative: a file that nobody sees to be wrong at once."""
ZERO_PER_H = 0.002
CURRENT_MAX_PER_H = 2.5
SIMULATED = (
    ("lfp_25C", "prada2013_lfp", 2.3033),
    ("lfp_40C", "prada2013_lfp", 2.3033),
    ("nmc_10C", "lg_m50_nmc", 5.1532),
)
DRIVEN = ("a123_26650_lfp", "ncr18650pf_nca", "lg_m50_nmc", "generic_280_lfp")
FAULTS = {
    "none, SOC told right": SOUND_ROW,
    "none, told 20 points too low": SOUND_ROW,
    "frozen current": FAULT_ROW,
    "stuck at zero": FAULT_ROW,
    "wrong sign from some moment on": FAULT_ROW,
    "wrong sign from the start": SOUND_ROW,
    "gap of 15 minutes": FAULT_ROW,
    "gap of two hours": LONG_GAP.stop,
    "20 minutes cut out, times renumbered": FAULT_ROW,
    "voltage 50 mV up": FAULT_ROW,
    "current twice (or half of the capacity)": SOUND_ROW,
    "current half (or twice the capacity)": SOUND_ROW,
    "another cell's file": SOUND_ROW,
}
"""What is put in, and from which row on it is judged."""
FACTORS = {
    "wrong sign from some moment on": (FAULT_ROW, -1.0),
    "wrong sign from the start": (0, -1.0),
    "current twice (or half of the capacity)": (0, 2.0),
    "current half (or twice the capacity)": (0, 0.5),
}
GAPS = {"gap of 15 minutes": slice(FAULT_ROW, FAULT_ROW + GAP_ROWS), "gap of two hours": LONG_GAP}


@dataclass(frozen=True)
class Variant:
    """A stretch as the sensors show it, with one fault, and the cell file that is told."""

    stretch: str
    fault: str
    record: Record
    cell: CellType
    wrong: float


def stretches(data: Path) -> Iterator[tuple[Record, CellType]]:
    """Return sound stretches of at most 2.5 h, each with its cell type."""
    for label in LFP_SETS:
        record = lfp(data, label)
        cell, end = cell_type(record, data), lfp_first_script_rows(record)
        middle = int(np.flatnonzero(record.soc_true_ratio < MIDDLE_SOC)[0])
        for name, first in (("full", 0), ("middle", middle), ("low", end - ROWS)):
            yield part(record, f"{record.name} {name}", slice(first, first + ROWS)), cell
    for label in NCA_SETS:
        record = nca(data, label, 2)
        yield part(record, record.name, slice(0, ROWS)), packaged_cell_type(record.cell)
    for label, name, capacity_ah in SIMULATED:
        record = simulated(data, label, name, capacity_ah)
        for hour in (0, 6, 12, 18):
            yield (
                part(record, f"{record.name} {hour} h", slice(hour * 3600, hour * 3600 + ROWS)),
                packaged_cell_type(name),
            )
    for name in DRIVEN:
        for soc, mean_per_h in ((0.96, 0.5), (0.6, 0.15)):
            for hold_s in (60, 10, 600):
                yield drive(packaged_cell_type(name), soc, mean_per_h, hold_s), packaged_cell_type(name)


def drive(cell: CellType, soc_ratio: float, mean_per_h: float, hold_s: int) -> Record:
    """Return steps of current about a net discharge, turned where they would leave 5 to 97 %; voltages are modelled."""
    steps = np.random.default_rng(5).normal(mean_per_h, 1.0, ROWS // hold_s + 1) * cell.capacity_ah
    at = soc_ratio
    for k, current_a in enumerate(steps):
        drawn = current_a * hold_s / 3600.0 / cell.capacity_ah
        if not 0.05 < at - drawn < 0.97:
            steps[k], drawn = -current_a, -drawn
        at -= drawn
    time_s, warmth = np.arange(ROWS, dtype=np.float64), np.full(ROWS, 25.0)
    current = np.asarray(np.repeat(steps, hold_s)[:ROWS], dtype=np.float64)
    soc = np.asarray(soc_ratio - np.concatenate(([0.0], np.cumsum(current[1:]))) / 3600.0 / cell.capacity_ah)
    volts = simulate_voltage(cell, CellTest("drive", time_s, current, np.zeros(ROWS), warmth, soc))
    name = f"{cell.name}, drive from {100 * soc_ratio:.0f} %, {hold_s} s"
    return Record(
        name, cell.name, cell.capacity_ah, time_s, current, volts[:, None], warmth[:, None], soc, 25.0, measured=True
    )


def variants(data: Path) -> Iterator[Variant]:
    """Return each stretch with each fault; sound ones with the sensors' errors in all combinations of signs."""
    for record, cell in stretches(data):
        for k, signs in enumerate(SIGNS + MIXED_SIGNS if record.measured else (None,)):
            seen = _disturbed(record, signs, 7 + k)
            yield Variant(record.name, "none, SOC told right", seen, cell, 0.0)
            if k == 0:
                yield Variant(record.name, "none, told 20 points too low", seen, cell, -WRONG)
                yield from (
                    Variant(record.name, fault, faulty(seen, fault), _cell_told(cell, record, fault), 0.0)
                    for fault in FAULTS
                    if not fault.startswith("none")
                )


def _cell_told(cell: CellType, record: Record, fault: str) -> CellType:
    return packaged_cell_type(OTHER_CELL[record.cell]) if fault == "another cell's file" else cell


def _disturbed(record: Record, signs: tuple[int, int, int] | None, seed: int) -> Record:
    if signs is None:
        return record
    gain, offset, bias = signs
    return disturbed(record, 1.0 + gain * GAIN, offset * OFFSET_PER_H, bias * BIAS_V, seed)


def faulty(record: Record, fault: str) -> Record:
    """Return the record as it looks with a fault in its current, its times or its voltages."""
    if fault == "voltage 50 mV up":
        up = np.where(np.arange(len(record.time_s)) < FAULT_ROW, 0.0, STEP_V)[:, None]
        return replace(record, cell_voltage_v=record.cell_voltage_v + up)
    if fault == "20 minutes cut out, times renumbered":
        return _cut(record, slice(FAULT_ROW, FAULT_ROW + CUT_ROWS))
    current = record.current_a.copy()
    if fault in FACTORS:
        first, factor = FACTORS[fault]
        current[first:] *= factor
    elif fault in GAPS:
        current[GAPS[fault]] = np.nan
    elif fault == "frozen current":
        current[FAULT_ROW:] = current[FAULT_ROW]
    elif fault == "stuck at zero":
        current[FAULT_ROW:] = ZERO_PER_H * record.capacity_ah
    return replace(record, current_a=current)


def _cut(record: Record, rows: slice) -> Record:
    """Return the record without some rows, and with times that do not show it."""
    kept = np.delete(np.arange(len(record.time_s)), rows)
    shorter = part(record, record.name, slice(0, len(kept)))
    return replace(
        shorter,
        current_a=record.current_a[kept],
        cell_voltage_v=record.cell_voltage_v[kept],
        temperature_degc=record.temperature_degc[kept],
        soc_true_ratio=record.soc_true_ratio[kept],
    )


def run(these: Sequence[Variant]) -> tuple[Floats, Floats, Mask]:
    """Return low, high and whether the quality is good [variant, row]; NaN where a stretch is over."""
    config = estimator_config([_spec(one) for one in these], power_period_s=POWER_PERIOD_S)
    state = initial(config, 0)
    starts = np.array([np.clip(one.record.soc_true_ratio[0] + one.wrong, 0.0, 1.0) for one in these])
    state.hypotheses = initial_hypotheses(prior(config), starts, np.full(len(these), HINT_SIGMA))
    time_s = _padded([one.record.time_s - one.record.time_s[0] + 1.0 for one in these])
    current = _padded([one.record.current_a for one in these])
    volts = _padded([one.record.cell_voltage_v[:, 0] for one in these])
    warmth = _padded([one.record.temperature_degc[:, 0] for one in these])
    bounds = np.full((2, len(these), ROWS), np.nan)
    good = np.zeros((len(these), ROWS), dtype=bool)
    for row in range(ROWS):
        now_ns = (row + 1) * 10**9
        found = estimate(
            config, state, _sample(config, time_s[:, row], current[:, row], volts[:, row], warmth[:, row]), now_ns
        )
        bounds[:, :, row] = found.soc_low_ratio, found.soc_high_ratio
        good[:, row] = found.quality < Quality.UNCERTAIN
    return bounds[0], bounds[1], good


def _spec(one: Variant) -> RackSpec:
    record, limits = one.record, one.cell.limits
    grow, most_a = record.capacity_ah / one.cell.capacity_ah, CURRENT_MAX_PER_H * record.capacity_ah
    return RackSpec(
        one.cell, record.capacity_ah, 1, min(limits.charge_current_max_a * grow, most_a),
        min(limits.discharge_current_max_a * grow, most_a), sensors=sensors(record), balancing_a=0.0,
    )  # fmt: skip


def _padded(rows: Sequence[Floats]) -> Floats:
    return np.stack([np.pad(values, (0, ROWS - len(values)), constant_values=np.nan) for values in rows])


def _sample(config: EstimatorConfig, time_s: Floats, current: Floats, volts: Floats, warmth: Floats) -> RackSample:
    valid = np.isfinite(time_s) & np.isfinite(current)
    time_ns = (np.nan_to_num(time_s) * 1e9).astype(np.int64)
    yes = np.ones(config.racks, dtype=bool)
    return RackSample(
        source_time_ns=time_ns, valid=valid, current_a=np.nan_to_num(current), voltage_v=np.nan_to_num(volts),
        soc_bms_ratio=np.full(config.racks, np.nan), contactor_open=~yes, bms_alarm_free=yes,
        cell_time_ns=np.where(valid, time_ns, 0), cell_voltage_v=volts[:, None],
        cell_valid=(np.isfinite(volts) & valid)[:, None], cell_temperature_degc=warmth[:, None],
        temperature_valid=np.isfinite(warmth)[:, None],
    )  # fmt: skip


def table(these: Sequence[Variant], low: Floats, high: Floats, good: Mask) -> str:
    """Return a line a fault as Markdown: means over its runs, and the run that was worst."""
    lines = ["| fault | runs | truth inside | good although outside | worst run |", "|---" * 5 + "|"]
    for fault, first in FAULTS.items():
        inside, lying = {}, {}
        for k, one in enumerate(these):
            if one.fault != fault or len(one.record.time_s) <= first:
                continue
            rows = slice(first, len(one.record.time_s))
            truth = one.record.soc_true_ratio[rows]
            held = (truth >= low[k, rows]) & (truth <= high[k, rows])
            inside[k], lying[k] = float(held.mean()), float(np.mean(~held & good[k, rows]))
        if not inside:
            continue
        worst = max(lying, key=lambda k: lying[k])
        lines.append(
            f"| {fault} | {len(inside)} | {100 * np.mean(list(inside.values())):.1f} % "
            f"| {100 * np.mean(list(lying.values())):.1f} % | {these[worst].stretch}: {100 * lying[worst]:.0f} % |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="stretches whose name holds this text")
    parser.add_argument("--fault", default="", help="faults whose name holds this text")
    asked = parser.parse_args(arguments)
    these = [one for one in variants(asked.data) if asked.only in one.stretch and asked.fault in one.fault]
    print(f"{len({one.stretch for one in these})} stretches, {len(these)} runs\n")  # noqa: T201
    print(table(these, *run(these)))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
