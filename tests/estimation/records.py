"""Measured and simulated records with a known SOC, and the sensor errors that they are tried with.

`DATA` is a folder with `lfp_a123/`, `nca_18650pf/`, `sim/` and `pack/`; docs/estimation.md says what each is, and where
it comes from. Nothing here is used for fitting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CAPACITY_NCA_AH = 2.995
LFP_SETS = {"N05": -5.0, "P05": 5.0, "P25": 25.0, "P45": 45.0}
NCA_SETS = {"-20degC": -20.0, "-10degC": -10.0, "0degC": 0.0, "10degC": 10.0, "25degC": 25.0}
RACK_CELLS = 240


@dataclass(frozen=True)
class Record:
    """One run: what sensors would show, and the truth. Voltages [row, cell], temperatures [row, sensor]."""

    name: str
    cell: str
    capacity_ah: float
    time_s: Floats
    current_a: Floats
    cell_voltage_v: Floats
    temperature_degc: Floats
    soc_true_ratio: Floats
    chamber_degc: float
    measured: bool
    """True: free of sensor errors, so they are to be added; false: they are in already."""


def part(record: Record, name: str, rows: slice) -> Record:
    return replace(
        record,
        name=name,
        time_s=record.time_s[rows],
        current_a=record.current_a[rows],
        cell_voltage_v=record.cell_voltage_v[rows],
        temperature_degc=record.temperature_degc[rows],
        soc_true_ratio=record.soc_true_ratio[rows],
    )


def disturbed(record: Record, gain: float, offset_per_h: float, bias_v: float, seed: int = 7) -> Record:
    """Return the record as sensors with errors would show it: 1 mV noise and a last digit of 1 mV in any case."""
    noise = np.random.default_rng(seed).normal(0.0, 1e-3, record.cell_voltage_v.shape)
    voltage = np.round((record.cell_voltage_v + bias_v + noise) / 1e-3) * 1e-3
    current = record.current_a * gain + offset_per_h * record.capacity_ah
    return replace(record, cell_voltage_v=voltage, current_a=current)


def columns(path: Path) -> dict[str, Floats]:
    table = pq.read_table(path)
    return {name: table[name].to_numpy().astype(np.float64) for name in table.column_names}


def lfp(data: Path, label: str) -> Record:
    """Return the A123 dynamic test of a chamber temperature: from 100 % down, to 0 %, and full again."""
    c = columns(data / "lfp_a123" / f"dyn_{label}.parquet")
    parts = [c["script"] == k for k in (1, 2, 3)]
    time_s, soc, last_s = np.array([]), np.array([]), -1.0
    drawn = [np.concatenate(([0.0], np.cumsum(c["I_A"][rows][1:] * np.diff(c["t_s"][rows])))) for rows in parts]
    capacity_ah = (drawn[0][-1] + drawn[1][-1]) / 3600.0
    at = 1.0
    for rows, q in zip(parts, drawn, strict=True):
        t = c["t_s"][rows] - c["t_s"][rows][0] + last_s + 1.0
        time_s, last_s = np.concatenate((time_s, t)), t[-1]
        z = at - q / 3600.0 / capacity_ah
        soc, at = np.concatenate((soc, z)), z[-1]
    chamber = LFP_SETS[label]
    warmth = np.concatenate([np.full(rows.sum(), t) for rows, t in zip(parts, (chamber, 25.0, 25.0), strict=True)])
    return Record(
        f"LFP {chamber:g} degC", "a123_26650_lfp", float(capacity_ah), time_s, c["I_A"], c["V"][:, None],
        warmth[:, None], soc, chamber, measured=True,
    )  # fmt: skip


def lfp_extract(path: Path, piece: str) -> Record:
    """Return a piece of the A123 test at 5 degC that is kept beside the tests."""
    table = pq.read_table(path)
    rows = np.array(table["part"].to_pylist()) == piece
    time_s, current, volts, soc = (
        table[name].to_numpy().astype(np.float64)[rows]
        for name in ("time_s", "current_a", "voltage_v", "soc_true_ratio")
    )
    warmth = np.full((len(soc), 1), 5.0)
    return Record(piece, "a123_26650_lfp", 2.0409, time_s, current, volts[:, None], warmth, soc, 5.0, measured=True)


def lfp_first_script_rows(record: Record) -> int:
    """Return how many rows the dynamic profile has, before the chamber goes to 25 degC."""
    warm = np.flatnonzero(record.temperature_degc[:, 0] != record.chamber_degc)
    if len(warm):
        return int(warm[0])
    return int(np.flatnonzero(record.soc_true_ratio < 0.035)[0])


def nca(data: Path, label: str, cycle: int) -> Record:
    (path,) = (data / "nca_18650pf").glob(f"{label}_*Cycle_{cycle}.parquet")
    c = columns(path)
    soc = 1.0 + c["Ah"] / CAPACITY_NCA_AH
    return Record(
        f"NCA {NCA_SETS[label]:g} degC, cycle {cycle}", "ncr18650pf_nca", CAPACITY_NCA_AH, c["t_s"], c["I_A"],
        c["V"][:, None], c["T_C"][:, None], soc, NCA_SETS[label], measured=True,
    )  # fmt: skip


def simulated(data: Path, label: str, cell: str, capacity_ah: float) -> Record:
    c = columns(data / "sim" / f"{label}_arb.parquet")
    chemistry, chamber = label.split("_")
    return Record(
        f"{chemistry.upper()} {chamber[:-1]} degC, simulated", cell, capacity_ah, c["t_s"], c["I_meas_A"],
        c["V_meas_V"][:, None], c["T_meas_C"][:, None], c["soc_true"], float(chamber[:-1]), measured=False,
    )  # fmt: skip


def rack(data: Path) -> Record:
    """Return the simulated rack; its truth is the mean cell's SOC, held between the hours."""
    c = columns(data / "pack" / "rack_a.parquet")
    truth = columns(data / "pack" / "rack_a_truesoc_1h.parquet")
    warm = columns(data / "pack" / "rack_a_temp_1h.parquet")
    hours = np.arange(len(truth["z000"])) * 3600.0
    mean_soc = np.mean([truth[f"z{k:03d}"] for k in range(RACK_CELLS)], axis=0)
    mean_degc = np.mean([warm[f"t{k:03d}"] for k in range(RACK_CELLS)], axis=0) * 0.1
    volts = np.stack([c[f"v{k:03d}"] for k in range(RACK_CELLS)], axis=1) * 1e-3
    time_s = c["t_s"]
    return Record(
        "LFP rack, 240 cells, simulated", "generic_280_lfp", 280.0, time_s, c["I_meas_A"], volts,
        np.interp(time_s, hours, mean_degc)[:, None], np.interp(time_s, hours, mean_soc), 25.0, measured=False,
    )  # fmt: skip


def all_records(data: Path) -> Iterator[Record]:
    for label in LFP_SETS:
        yield lfp(data, label)
    for label in NCA_SETS:
        yield nca(data, label, 2)
    yield simulated(data, "lfp_25C", "prada2013_lfp", 2.3033)
    yield simulated(data, "lfp_40C", "prada2013_lfp", 2.3033)
    yield simulated(data, "nmc_10C", "lg_m50_nmc", 5.1532)
    yield rack(data)
