"""The tables of all cell types in use as arrays, and how they are read for all racks at once.

SOC runs on a uniform grid, so that a look-up is an index and a share. For a scan each rack's tables are blended to its
temperature first; what remains is a curve over SOC per rack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.plant.cell_types import CellType, Table

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

SOC_POINTS = 201
SOC_GRID = np.linspace(0.0, 1.0, SOC_POINTS)
TEMPERATURE_STEP_K = 5.0
TEMPERATURE_GRID_DEGC = np.arange(-30.0, 66.0, TEMPERATURE_STEP_K)


@dataclass(frozen=True, slots=True)
class CellTables:
    """Tables [type, temperature, SOC point] on the common grids; `pair_ohm` and the rest have pairs before SOC.

    `curves` holds, in this order: OCV mean of the branches, half the gap between them, model error (V), series
    resistance, then each pair's resistance.
    """

    curves: Floats  # [type, temperature, curve, SOC point]
    pair_time_constant_s: Floats  # [type, pair]
    hysteresis_per_soc: Floats  # [type]
    error_soc_ratio: Floats  # [type]
    entropy_v_per_k: Floats  # [type, SOC point]

    @property
    def pairs(self) -> int:
        """How many RC pairs every type is padded to."""
        return int(self.pair_time_constant_s.shape[1])


OCV, HALF_GAP, MODEL_ERROR, SERIES = 0, 1, 2, 3
FIRST_PAIR = 4


def build_tables(cells: tuple[CellType, ...]) -> CellTables:
    """Return the tables of some cell types; types with fewer pairs get pairs of zero ohm."""
    pairs = max(len(cell.impedance.pair_ohm) for cell in cells)
    constants = np.full((len(cells), pairs), 1.0)
    for row, cell in enumerate(cells):
        constants[row, : len(cell.impedance.pair_ohm)] = cell.impedance.pair_time_constant_s
    return CellTables(
        curves=np.stack([_curves(cell, pairs) for cell in cells]),
        pair_time_constant_s=constants,
        hysteresis_per_soc=np.array([cell.ocv.hysteresis_per_soc for cell in cells]),
        error_soc_ratio=np.array([cell.impedance.error_soc_ratio for cell in cells]),
        entropy_v_per_k=np.stack([np.interp(SOC_GRID, cell.ocv.soc_ratio, cell.ocv.entropy_v_per_k) for cell in cells]),
    )


def _curves(cell: CellType, pairs: int) -> Floats:
    ocv, impedance = cell.ocv, cell.impedance
    charge = _resampled(ocv.temperature_degc, ocv.soc_ratio, ocv.charge_v)
    discharge = _resampled(ocv.temperature_degc, ocv.soc_ratio, ocv.discharge_v)
    tables = (impedance.error_v, impedance.series_ohm, *impedance.pair_ohm)
    rest = [_resampled(impedance.temperature_degc, impedance.soc_ratio, table) for table in tables]
    rest += [np.zeros_like(charge)] * (pairs - len(impedance.pair_ohm))
    return np.stack([0.5 * (charge + discharge), 0.5 * (charge - discharge), *rest], axis=1)


def _resampled(temperature: tuple[float, ...], soc: tuple[float, ...], table: Table) -> Floats:
    in_soc = np.stack([np.interp(SOC_GRID, soc, row) for row in table])
    columns = [np.interp(TEMPERATURE_GRID_DEGC, temperature, column) for column in in_soc.T]
    return np.stack(columns, axis=1)


def curves_at(tables: CellTables, cell_index: Indices, temperature_degc: Floats) -> Floats:
    """Return each rack's curves [rack, curve, SOC point] at its temperature, held at the tables' ends."""
    place = (temperature_degc - TEMPERATURE_GRID_DEGC[0]) / TEMPERATURE_STEP_K
    place = np.minimum(np.maximum(place, 0.0), len(TEMPERATURE_GRID_DEGC) - 1.001)
    lower = place.astype(np.intp)
    share = (place - lower)[:, None, None]
    low = tables.curves[cell_index, lower]
    low += share * (tables.curves[cell_index, lower + 1] - low)
    return np.asarray(low)


def look_up(curve: Floats, soc_ratio: Floats) -> Floats:
    """Return values of curves [rack, SOC point] at SOCs [rack, any]; beyond 0..1 the end slope goes on."""
    place = soc_ratio * (SOC_POINTS - 1)
    lower = np.minimum(np.maximum(place, 0.0), SOC_POINTS - 2).astype(np.intp)
    share = place - lower
    at = lower + (np.arange(len(curve)) * SOC_POINTS)[:, None]
    flat = curve.reshape(-1)
    low = flat[at]
    return np.asarray(low + share * (flat[at + 1] - low))


def invert(curve: Floats, voltage_v: Floats) -> Floats:
    """Return the SOC [rack, any] at which rising curves [rack, SOC point] reach given voltages, by bisection."""
    low, high = np.zeros_like(voltage_v), np.ones_like(voltage_v)
    for _ in range(12):
        middle = 0.5 * (low + high)
        above = look_up(curve, middle) > voltage_v
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    return np.asarray(0.5 * (low + high))
