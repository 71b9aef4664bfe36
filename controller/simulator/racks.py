"""Cells of all racks: charge, voltage, resistance and heat, as arrays [rack, cell].

Rule: each cell is an open-circuit voltage with hysteresis behind a series resistance and RC pairs. Resistance,
polarisation and hysteresis are states of the rack, spread over its cells by one fixed multiplier each; state of charge
and temperature are the cell's own. Charge is counted exactly per rack and booked to the cells every twenty seconds,
with heat, leaks and balancing; voltages follow at most every `period_s`, in single precision (0.01 mV).

Model: one-state hysteresis and RC pairs after G. Plett, Battery Management Systems vol. 1 (2015), ch. 2; lumped heat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.plant.model import Rack
from controller.simulator.cell_curves import SOC_HIGH, SOC_LOW, TABLE_STEPS, CellCurves, cell_curves

FloatArray = NDArray[np.float64]

SLOW_PERIOD_S = 20.0
END_MARGIN = 0.02
"""No cell moves by this much in twenty seconds below 3C: only nearer to the ends of the table are places clipped."""
BUSBAR_SHARE = 0.08
"""Part of a rack's resistance that is not in its cells."""
CAPACITY_SPREAD, RESISTANCE_SPREAD, SOC_SPREAD = 0.008, 0.04, 0.004
"""1-sigma spreads of cells in a rack, as a maker sorts them."""
RACK_SOC_SPREAD = 0.005
COOLANT_DEGC, COOLANT_RISE_K, COOLANT_SPREAD_K = 23.0, 2.0, 0.4


@dataclass(slots=True)
class CellFaults:
    """What is wrong with single cells, by (rack, cell). Pinned values are what the BMS believes it measures."""

    pinned_v: dict[tuple[int, int], float] = field(default_factory=dict)
    pinned_degc: dict[tuple[int, int], float] = field(default_factory=dict)
    leak_ohm: dict[tuple[int, int], float] = field(default_factory=dict)
    joint_ohm: dict[tuple[int, int], float] = field(default_factory=dict)


class RackCells:
    """State of all cells; [rack] or [rack, cell]. `emf_v` and `resistance_ohm` are what a rack is to its bus."""

    emf_v: FloatArray
    resistance_ohm: FloatArray
    soc_ratio: FloatArray
    highest_v: FloatArray
    lowest_v: FloatArray
    hottest_degc: FloatArray
    coldest_degc: FloatArray
    voltage_v: NDArray[np.float32]
    soc: FloatArray
    temperature_degc: FloatArray
    balancing_a: FloatArray

    def __init__(self, racks: Sequence[Rack], rng: np.random.Generator, soc_ratio: float, period_s: float) -> None:
        """Draw the spread from `rng`; start at rest at `soc_ratio` (mean of the plant)."""
        self.period_s = period_s
        self.faults = CellFaults()
        self._constants(racks, rng)
        self._curves(racks)
        self._start(rng, soc_ratio)

    def _constants(self, racks: Sequence[Rack], rng: np.random.Generator) -> None:
        series = np.array([r.battery.cells_in_series for r in racks], np.int64)
        shape = (len(racks), int(series.max(initial=1)))
        self.present = np.arange(shape[1]) < series[:, None]
        self._weight, self._weight32 = self.present.astype(np.float64), self.present.astype(np.float32)
        capacity_ah = np.array([r.battery.capacity_ah for r in racks])
        ohm = np.array([r.battery.resistance_ohm for r in racks])
        self.capacity_as = self._padded(3600.0 * capacity_ah[:, None] * _spread(rng, shape, CAPACITY_SPREAD))
        self._per_as = 1.0 / self.capacity_as
        self._per_cell = 1.0 / self._sum(self._weight)
        self._per_as_mean = self._sum(self._per_as) * self._per_cell
        self._steps_per_as = (self._per_as * (TABLE_STEPS / (SOC_HIGH - SOC_LOW))).astype(np.float32)
        self._work = np.zeros(shape, np.float32)
        self._share = self._padded(_spread(rng, shape, RESISTANCE_SPREAD)).astype(np.float32)
        self._share_sum = self._sum(self._share)
        self._cell_ohm = ohm * (1.0 - BUSBAR_SHARE) / self._share_sum
        self._busbar_ohm = ohm * BUSBAR_SHARE
        self._nameplate_ah = capacity_ah
        place = np.linspace(0.0, COOLANT_RISE_K, shape[1]) + rng.normal(0.0, COOLANT_SPREAD_K, shape)
        self._coolant_degc = self._padded(COOLANT_DEGC + place)

    def _curves(self, racks: Sequence[Rack]) -> None:
        kinds: dict[str, CellCurves] = {}
        for rack in racks:
            kinds.setdefault(rack.battery.cell.name, cell_curves(rack.battery.cell))
        order = list(kinds)
        self.kinds = tuple(kinds.values())
        self.kind = np.array([order.index(r.battery.cell.name) for r in racks], np.int64)
        self._mean_v = np.concatenate([c.mean_v for c in self.kinds]).astype(np.float32)
        self._half_gap_v = np.zeros(len(racks))
        self._first = (self.kind * (TABLE_STEPS + 1)).astype(np.int32)[:, None]
        self._last = self._first + TABLE_STEPS
        self._rate = np.array([c.hysteresis_rate for c in self.kinds])[self.kind]
        self._heat_capacity = np.array([c.heat_j_per_k_ah for c in self.kinds])[self.kind] * self._nameplate_ah
        self._cooling_time_s = np.array([c.cooling_time_s for c in self.kinds])[self.kind, None]
        pairs = max(len(c.pair_time_s) for c in self.kinds)
        times_s = [(*c.pair_time_s, *[1.0] * (pairs - len(c.pair_time_s))) for c in self.kinds]
        self._pair_rate = -1.0 / np.array(times_s).T.reshape(pairs, -1)[:, self.kind]

    def _start(self, rng: np.random.Generator, soc_ratio: float) -> None:
        racks, cells = self.present.shape
        mean = soc_ratio + rng.normal(0.0, RACK_SOC_SPREAD, (racks, 1))
        self.soc = self._padded(np.clip(mean + rng.normal(0.0, SOC_SPREAD, (racks, cells)), 0.0, 1.0))
        self.temperature_degc = self._coolant_degc.copy()
        self.balancing_a = np.zeros((racks, cells))
        self.joint_ohm = np.zeros((racks, cells))
        self.hysteresis = np.zeros(racks)
        self.polarisation_v = np.zeros(self._pair_rate.shape)
        self._charge_as, self._booked_as, self._heat_a2s = np.zeros(racks), np.zeros(racks), np.zeros(racks)
        self._pending_s = self._slow_s = 0.0
        self.slow_steps = 0
        self._current_a = np.zeros(racks)
        self.refresh()

    def refresh(self) -> None:
        """Take faults and slow states into account at once."""
        self._settle()
        self._slow()
        self._voltages()

    def advance(self, current_a: FloatArray, dt_s: float) -> None:
        """Carry `current_a` [rack] (+ = discharge) for `dt_s`."""
        self._charge_as += current_a * dt_s
        self._pending_s += dt_s
        self._current_a = current_a
        if self._pending_s < self.period_s - 1e-9:
            return
        self._settle()
        if self._slow_s >= SLOW_PERIOD_S:
            self._slow()
        self._voltages()

    def terminal_v(self, current_a: FloatArray) -> FloatArray:
        """Return the rack voltages [rack] at a current."""
        return self.emf_v - current_a * self.resistance_ohm

    def set_soc(self, rack: int, soc_ratio: float) -> None:
        """Bring a rack's mean to a state of charge, keeping the spread of its cells."""
        self._book()
        row = self.soc[rack]
        row += soc_ratio - self.soc_ratio[rack]
        np.clip(row, 0.0, 1.0, out=row)
        self.refresh()

    def _settle(self) -> None:
        """Move polarisation and hysteresis to the end of the pending time."""
        pending_s, charge_as = self._pending_s, self._charge_as
        if pending_s <= 0.0:
            return
        moved = charge_as * self._per_as_mean
        self.soc_ratio -= moved
        self._booked_as += charge_as
        mean_a = charge_as / pending_s
        self._heat_a2s += mean_a * charge_as
        self._slow_s += pending_s
        fading = np.exp(self._pair_rate * pending_s)
        self.polarisation_v -= mean_a * self._pair_ohm
        self.polarisation_v *= fading
        self.polarisation_v += mean_a * self._pair_ohm
        turned = np.sign(moved)
        self.hysteresis = (self.hysteresis + turned) * np.exp(-np.abs(moved) * self._rate) - turned
        charge_as.fill(0.0)
        self._pending_s = 0.0

    def _voltages(self) -> None:
        """Compute every cell's voltage at the present current, and what the rack is to its bus."""
        work = self._work
        np.multiply(self._steps_per_as, self._booked_as.astype(np.float32)[:, None], out=work)
        np.subtract(self._step_at, work, out=work)
        places = work.astype(np.int32)
        if self._near_an_end:
            np.clip(places, self._first, self._last, out=places)
        voltage_v: NDArray[np.float32] = self._mean_v.take(places)
        drop_v = (
            self._current_a * self._cell_ohm_now + self.polarisation_v.sum(axis=0) - self.hysteresis * self._half_gap_v
        )
        voltage_v -= np.multiply(self._share, drop_v.astype(np.float32)[:, None], out=work)
        if self.faults.joint_ohm:
            voltage_v -= self._current_a[:, None] * self.joint_ohm
        self.emf_v = self._sum(voltage_v) + self._current_a * (self.resistance_ohm - self._busbar_ohm)
        for (rack, cell), volt in self.faults.pinned_v.items():
            voltage_v[rack, cell] = volt
        self.voltage_v = voltage_v
        self.highest_v = voltage_v.max(axis=1).astype(np.float64)
        self.lowest_v = voltage_v.min(axis=1).astype(np.float64)

    def _slow(self) -> None:
        """Charge, heat, leaks and balancing of the cells, and what follows from them: resistances and means."""
        self._book()
        elapsed_s, self._slow_s = self._slow_s, 0.0
        if elapsed_s > 0.0:
            self._drain(elapsed_s)
            self._heat(elapsed_s)
        self.measured_degc = self.temperature_degc.copy()
        for (rack, cell), degc in self.faults.pinned_degc.items():
            self.measured_degc[rack, cell] = degc
        self.hottest_degc, self.coldest_degc = self.measured_degc.max(axis=1), self.measured_degc.min(axis=1)
        self.soc_ratio = self._sum(self.soc) * self._per_cell
        self.mean_degc = self._sum(self.temperature_degc) * self._per_cell
        self._resistances()
        self._place()
        self.slow_steps += 1

    def _book(self) -> None:
        """Take the rack's charge from each of its cells."""
        self.soc -= self._booked_as[:, None] * self._per_as
        self._booked_as.fill(0.0)

    def _drain(self, elapsed_s: float) -> None:
        drawn_a = self.balancing_a
        if self.faults.leak_ohm:
            drawn_a = drawn_a.copy()
            for (rack, cell), ohm in self.faults.leak_ohm.items():
                drawn_a[rack, cell] += self.voltage_v[rack, cell] / ohm
        if drawn_a.any():
            self.soc -= drawn_a * self._per_as * elapsed_s

    def _heat(self, elapsed_s: float) -> None:
        power_w = (self._heat_a2s / elapsed_s * self._loss_ohm)[:, None] * self._share
        if self.faults.joint_ohm:
            power_w += (self._heat_a2s / elapsed_s)[:, None] * self.joint_ohm
        for (rack, cell), ohm in self.faults.leak_ohm.items():
            power_w[rack, cell] += self.voltage_v[rack, cell] ** 2 / ohm
        settled_degc = self._coolant_degc + power_w * (self._cooling_time_s / self._heat_capacity[:, None])
        fading = np.exp(-elapsed_s / self._cooling_time_s)
        self.temperature_degc = settled_degc + fading * (self.temperature_degc - settled_degc)
        self._heat_a2s = np.zeros_like(self._heat_a2s)

    def _resistances(self) -> None:
        ohm = np.zeros((1 + len(self._pair_rate), len(self.kind)))
        for number, curves in enumerate(self.kinds):
            mine = self.kind == number
            ratios = curves.ohm_ratios(self.soc_ratio[mine], self.mean_degc[mine])
            ohm[: len(ratios), mine] = ratios * self._cell_ohm[mine]
        self._cell_ohm_now, self._pair_ohm = ohm[0], ohm[1:]
        self._loss_ohm = ohm.sum(axis=0)
        self.joint_ohm.fill(0.0)
        for (rack, cell), joint_ohm in self.faults.joint_ohm.items():
            self.joint_ohm[rack, cell] = joint_ohm
        joints = self._sum(self.joint_ohm)
        self.resistance_ohm = self._cell_ohm_now * self._share_sum + self._busbar_ohm + joints

    def _place(self) -> None:
        """Note where on the voltage table each cell stands; between two slow steps none moves far from there."""
        steps = TABLE_STEPS / (SOC_HIGH - SOC_LOW)
        self._step_at = ((self.soc - SOC_LOW) * steps + self._first + 0.5).astype(np.float32)
        self._near_an_end = bool(self.soc.min() < SOC_LOW + END_MARGIN or self.soc.max() > SOC_HIGH - END_MARGIN)
        for number, curves in enumerate(self.kinds):
            mine = self.kind == number
            self._half_gap_v[mine] = curves.half_gap_at(self.soc_ratio[mine])

    def _sum(self, values: NDArray[np.floating[Any]]) -> FloatArray:
        weight = self._weight32 if values.dtype == np.float32 else self._weight
        total: FloatArray = np.einsum("rc,rc->r", values, weight).astype(np.float64)
        return total

    def _padded(self, values: FloatArray) -> FloatArray:
        """Make the padding of short racks a copy of their first cell, so that extremes need no mask."""
        return np.where(self.present, values, values[:, :1])


def _spread(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> FloatArray:
    return np.clip(rng.normal(1.0, sigma, shape), 1.0 - 3.0 * sigma, 1.0 + 3.0 * sigma)
