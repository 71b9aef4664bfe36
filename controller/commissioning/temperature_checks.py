"""Whether a recording's temperatures can be so, and what nobody knows of a cell where there are none.

A unit, a column exchanged with the current, a sensor that is gone are refused or told. Without any temperature one is
assumed, and the cell's resistance and its model's error are those of any temperature near it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from controller.commissioning.recording_files import FileError, Floats
from controller.estimation.offline import Recording
from controller.plant.cell_types import CellType, Table

ASSUMED_DEGC, ASSUMED_SIGMAS_K = 25.0, (-25.0, -12.5, 0.0, 12.5, 25.0)
"""What is assumed without any temperature, and within what (two sigma) the cell may be."""
BEYOND_K = 10.0
"""So far beyond what the cell bears no recording stands in the middle."""
JUMP_K, JUMPS_SHARE = 2.0, 0.02
"""From row to row: a temperature does not move so, but for a sensor that fails now and then."""
STEP_PER_H = 0.1
"""Of the capacity: a current that is a load, and a change of it that is a step."""
GONE_S = 1800.0


def unsure_of_temperature(cell: CellType) -> CellType:
    """Return the cell type for a recording without any temperature.

    Its model's error is the largest, the 1-sigma of its resistance half of what the resistance changes by, within 25 K.
    """
    part = cell.impedance
    warmth_degc = ASSUMED_DEGC + np.array(ASSUMED_SIGMAS_K)
    ohm = np.sum([_at(part.temperature_degc, t, warmth_degc) for t in (part.series_ohm, *part.pair_ohm)], axis=(0, 2))
    sigma = 0.5 * float(np.max(np.abs(ohm / ohm[ASSUMED_SIGMAS_K.index(0.0)] - 1.0)))
    worst_v = _at(part.temperature_degc, part.error_v, warmth_degc).max(axis=0)
    error_v = tuple(tuple(np.maximum(row, worst_v).tolist()) for row in part.error_v)
    known_to = float(np.hypot(cell.ageing.resistance_sigma_ratio, sigma))
    ageing = replace(cell.ageing, resistance_sigma_ratio=known_to)
    return replace(cell, impedance=replace(part, error_v=error_v), ageing=ageing)


def _at(axis_degc: tuple[float, ...], table: Table, warmth_degc: Floats) -> Floats:
    """Return a table's rows at some temperatures [temperature, SOC]."""
    return np.stack([np.interp(warmth_degc, axis_degc, column) for column in np.transpose(table)], axis=1)


def check_temperature_steps(recording: Recording, cell: CellType, path: Path) -> None:
    """Refuse a temperature that steps as a current does beside a current that creeps as a temperature does."""
    steps_k = np.abs(np.diff(recording.temperature_degc, axis=0))
    steps_a = np.abs(np.diff(recording.current_a))
    jumps = float(np.mean(steps_k > JUMP_K))
    if jumps > JUMPS_SHARE and not np.any(steps_a > STEP_PER_H * cell.capacity_ah):
        raise FileError(
            f"{path}: temperature_degc jumps by more than {JUMP_K:g} K in {100 * jumps:.0f} % of the rows while"
            " current_a never steps: are the two exchanged?"
        )


def temperature_words(recording: Recording, cell: CellType) -> Iterator[str]:
    """Yield what is to be told of temperatures: beyond what the cell bears, or gone for long."""
    known = np.isfinite(recording.temperature_degc).any(axis=1)
    if not known.any():
        return
    usual = float(np.nanmedian(recording.temperature_degc))
    low, high = cell.limits.discharge_temperature_min_degc, cell.limits.discharge_temperature_max_degc
    if not low - BEYOND_K <= usual <= high + BEYOND_K:
        yield (
            f"the temperature is usually {usual:.3g} degC, beyond the {low:g} to {high:g} degC of {cell.name}:"
            f" is it in degF ({usual:.3g} degF are {(usual - 32.0) / 1.8:.3g} degC)?"
        )
    seen_s = recording.time_s[known]
    edges_s = np.concatenate((recording.time_s[:1], seen_s, recording.time_s[-1:]))
    gone_s = np.diff(edges_s)
    at = int(np.argmax(gone_s))
    if gone_s[at] > GONE_S:
        minutes = gone_s[at] / 60.0
        yield f"no temperature for {minutes:,.0f} min from {edges_s[at]:,.13g} s on: the last one before counts"
