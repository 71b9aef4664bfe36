"""A cell type as tables for many cells at once: voltage on a fine even grid of charge, resistances by charge and heat.

Beyond empty and full the open-circuit voltage falls and rises steeply, so that a cell driven there shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.plant.cell_types import CellType, Table

FloatArray = NDArray[np.float64]

SOC_LOW, SOC_HIGH, TABLE_STEPS = -0.05, 1.05, 16384
BELOW_EMPTY_V_PER_RATIO, ABOVE_FULL_V_PER_RATIO = 25.0, 12.0
REFERENCE_DEGC, REFERENCE_SOC = 25.0, 0.5


@dataclass(frozen=True, slots=True)
class CellCurves:
    """Voltages [step] from SOC_LOW to SOC_HIGH: the mean of both branches and half their gap.

    Resistances are ratios to the series resistance at 25 degC and half charge: `ohm_ratio` is [1 + pair, temperature,
    charge], the series resistance first.
    """

    mean_v: FloatArray
    half_gap_v: FloatArray
    hysteresis_rate: float
    pair_time_s: tuple[float, ...]
    ohm_ratio: FloatArray
    temperature_degc: FloatArray
    soc_ratio: FloatArray
    heat_j_per_k_ah: float
    cooling_time_s: float

    def half_gap_at(self, soc_ratio: FloatArray) -> FloatArray:
        """Return half the gap between the branches at charges [n]."""
        gap_v: FloatArray = np.interp(soc_ratio, np.linspace(SOC_LOW, SOC_HIGH, len(self.half_gap_v)), self.half_gap_v)
        return gap_v

    def ohm_ratios(self, soc_ratio: FloatArray, temperature_degc: FloatArray) -> FloatArray:
        """Return the resistances [1 + pair, n] at charges and temperatures [n], bilinear, held at the edges."""
        low_t, part_t = _place(self.temperature_degc, temperature_degc)
        low_z, part_z = _place(self.soc_ratio, soc_ratio)
        high_t, high_z = (
            np.minimum(low_t + 1, len(self.temperature_degc) - 1),
            np.minimum(low_z + 1, len(self.soc_ratio) - 1),
        )
        table = self.ohm_ratio
        cold = table[:, low_t, low_z] * (1.0 - part_z) + table[:, low_t, high_z] * part_z
        warm = table[:, high_t, low_z] * (1.0 - part_z) + table[:, high_t, high_z] * part_z
        ratios: FloatArray = cold * (1.0 - part_t) + warm * part_t
        return ratios


def cell_curves(cell: CellType) -> CellCurves:
    """Return a cell type's curves, its open-circuit voltages at 25 degC."""
    grid = np.linspace(SOC_LOW, SOC_HIGH, TABLE_STEPS + 1)
    soc = np.array(cell.ocv.soc_ratio)
    charge_v = np.interp(grid, soc, _at_reference(cell.ocv.temperature_degc, cell.ocv.charge_v))
    discharge_v = np.interp(grid, soc, _at_reference(cell.ocv.temperature_degc, cell.ocv.discharge_v))
    beyond_v = ABOVE_FULL_V_PER_RATIO * np.maximum(grid - 1.0, 0.0) + BELOW_EMPTY_V_PER_RATIO * np.minimum(grid, 0.0)
    tables = np.array([cell.impedance.series_ohm, *cell.impedance.pair_ohm])
    axes = np.array(cell.impedance.temperature_degc), np.array(cell.impedance.soc_ratio)
    by_soc = _at_reference(cell.impedance.temperature_degc, cell.impedance.series_ohm)
    reference_ohm = float(np.interp(REFERENCE_SOC, axes[1], by_soc))
    heat = cell.heat
    heat_j_per_k = heat.core_j_per_k + heat.surface_j_per_k
    return CellCurves(
        mean_v=0.5 * (charge_v + discharge_v) + beyond_v,
        half_gap_v=0.5 * (charge_v - discharge_v),
        hysteresis_rate=cell.ocv.hysteresis_per_soc,
        pair_time_s=cell.impedance.pair_time_constant_s,
        ohm_ratio=tables / reference_ohm,
        temperature_degc=axes[0],
        soc_ratio=axes[1],
        heat_j_per_k_ah=heat_j_per_k / cell.capacity_ah,
        cooling_time_s=heat_j_per_k * (heat.core_to_surface_k_per_w + heat.surface_to_ambient_k_per_w),
    )


def _at_reference(temperature_degc: tuple[float, ...], table: Table) -> FloatArray:
    """Return the row of a table at 25 degC."""
    columns = np.array(table).T
    return np.array([np.interp(REFERENCE_DEGC, temperature_degc, column) for column in columns])


def _place(axis: FloatArray, values: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """Return where values lie on a rising axis: the step below, and how far towards the next."""
    exact = np.interp(values, axis, np.arange(len(axis), dtype=np.float64))
    low = exact.astype(np.int64)
    return low, exact - low
