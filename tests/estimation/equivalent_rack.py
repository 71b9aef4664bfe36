"""A rack of cells to drive at a power: an equivalent circuit of its own, each cell beside the table in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation import RackSample
from controller.plant.cell_types import CellType

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Reached:
    """The extremes over a run."""

    lowest_v: float = np.inf
    highest_v: float = -np.inf
    largest_a: float = 0.0
    lowest_soc: float = np.inf
    highest_soc: float = -np.inf
    hottest_degc: float = -np.inf

    def take(self, cell_v: Floats, current_a: float, soc: Floats, degc: Floats) -> None:
        self.lowest_v, self.highest_v = min(self.lowest_v, cell_v.min()), max(self.highest_v, cell_v.max())
        self.largest_a = max(self.largest_a, abs(current_a))
        self.lowest_soc, self.highest_soc = min(self.lowest_soc, soc.min()), max(self.highest_soc, soc.max())
        self.hottest_degc = max(self.hottest_degc, degc.max())


class EquivalentRack:
    """Cells in series [cell]: open circuit with hysteresis, two-node heat, pairs slower or faster than stated."""

    def __init__(self, cell: CellType, cells: int, soc: float, degc: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.cell, self.cells = cell, cells
        self.capacity_ah = cell.capacity_ah * (1.0 + 0.008 * rng.standard_normal(cells))
        self.soc = np.clip(soc + 0.006 * rng.standard_normal(cells), 0.0, 1.0)
        self.ohm_ratio = rng.uniform(0.92, 1.08) * (1.0 + 0.04 * rng.standard_normal(cells))
        self.bend_v = 0.001 * rng.standard_normal(cells) + 0.002 * rng.choice([-1.0, 1.0])
        self.pair_s = np.array(cell.impedance.pair_time_constant_s) * rng.uniform(0.85, 1.2)
        self.per_soc = cell.ocv.hysteresis_per_soc * rng.uniform(0.8, 1.2)
        self.hysteresis = np.zeros(cells)
        self.pair_a = np.zeros(len(self.pair_s))
        self.core_degc = degc + 0.4 * rng.standard_normal(cells)
        self.surface_degc = self.core_degc.copy()
        self.ambient_degc = degc
        self.rng = rng
        self._rows_at(degc)

    def copy(self) -> EquivalentRack:
        twin = object.__new__(EquivalentRack)
        twin.__dict__ = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()}
        return twin

    def _rows_at(self, degc: float) -> None:
        """Take the tables at a temperature; they are taken anew when it has changed by half a kelvin."""
        ocv, impedance = self.cell.ocv, self.cell.impedance
        self.table_degc = degc
        self.charge_v, self.discharge_v = (
            _at_temperature(ocv.temperature_degc, table, degc) for table in (ocv.charge_v, ocv.discharge_v)
        )
        tables = (impedance.series_ohm, *impedance.pair_ohm)
        self.ohms = [_at_temperature(impedance.temperature_degc, table, degc) for table in tables]

    def parts(self) -> tuple[Floats, Floats]:
        """Return open-circuit voltage less the pairs' [cell], and series resistance [cell]."""
        degc = float(self.core_degc.mean())
        if abs(degc - self.table_degc) > 0.5:
            self._rows_at(degc)
        charge, discharge = (np.interp(self.soc, self.cell.ocv.soc_ratio, v) for v in (self.charge_v, self.discharge_v))
        series, *pairs = (np.interp(self.soc, self.cell.impedance.soc_ratio, ohm) for ohm in self.ohms)
        held = sum(ohm * a for ohm, a in zip(pairs, self.pair_a, strict=True))
        open_v = 0.5 * (charge + discharge) + 0.5 * (charge - discharge) * self.hysteresis + self.bend_v
        return open_v - self.ohm_ratio * held, self.ohm_ratio * series

    def current_at(self, power_w: float) -> float:
        """Return the current at a power, + = discharge."""
        open_v, ohm = (float(x.sum()) for x in self.parts())
        return float(open_v - np.sqrt(max(open_v**2 - 4.0 * ohm * power_w, 0.0))) / (2.0 * ohm)

    def step(self, current_a: float, dt_s: float, reached: Reached | None = None) -> Floats:
        """Carry a current for some time; returns the cell voltages at its start."""
        open_v, ohm = self.parts()
        cell_v = open_v - ohm * current_a
        heat_w = self._heat_w(current_a, cell_v)
        if reached is not None:
            reached.take(cell_v, current_a, self.soc, self.core_degc)
        moved = current_a * dt_s / 3600.0 / self.capacity_ah
        self.soc = self.soc - moved
        toward = -np.sign(moved)
        self.hysteresis = toward + np.exp(-self.per_soc * np.abs(moved)) * (self.hysteresis - toward)
        self.pair_a = current_a + np.exp(-dt_s / self.pair_s) * (self.pair_a - current_a)
        heat = self.cell.heat
        inward = (self.core_degc - self.surface_degc) / heat.core_to_surface_k_per_w
        outward = (self.surface_degc - self.ambient_degc) / heat.surface_to_ambient_k_per_w
        self.core_degc = self.core_degc + dt_s * (heat_w - inward) / heat.core_j_per_k
        self.surface_degc = self.surface_degc + dt_s * (inward - outward) / heat.surface_j_per_k
        return cell_v

    def _heat_w(self, current_a: float, cell_v: Floats) -> Floats:
        ocv = self.cell.ocv
        branches = (np.interp(self.soc, ocv.soc_ratio, v) for v in (self.charge_v, self.discharge_v))
        entropy = np.interp(self.soc, ocv.soc_ratio, ocv.entropy_v_per_k)
        losses: Floats = current_a * (0.5 * sum(branches) + self.bend_v - cell_v)
        return losses - current_a * (self.core_degc + 273.15) * entropy

    def sample(self, at_ns: int, current_a: float, cell_v: Floats, gain: float = 1.0) -> RackSample:
        """Return what sensors say of it: millivolts, tenths of a kelvin."""
        one, time = np.ones(1, dtype=bool), np.array([at_ns], dtype=np.int64)
        seen = np.round(cell_v + 0.0005 * self.rng.standard_normal(self.cells), 3)[None].astype(np.float32)
        return RackSample(
            source_time_ns=time,
            valid=one,
            current_a=np.array([gain * current_a]),
            voltage_v=seen.sum(axis=1).astype(np.float64),
            soc_bms_ratio=np.array([np.nan]),
            contactor_open=~one,
            bms_alarm_free=one,
            cell_time_ns=time,
            cell_voltage_v=seen,
            cell_valid=np.ones_like(seen, dtype=bool),
            cell_temperature_degc=np.round(self.surface_degc, 1)[None].astype(np.float32),
            temperature_valid=np.ones((1, self.cells), dtype=bool),
        )


def _at_temperature(axis: tuple[float, ...], table: tuple[tuple[float, ...], ...], degc: float) -> Floats:
    return np.array([np.interp(degc, axis, column) for column in np.array(table).T])
