"""Racks of cells with known faults: an equivalent-circuit model of its own, wrong on purpose beside the cell type.

The estimator must hold on cells it was not told about. So the truth here takes the type's open-circuit curves and bends
them (a smooth error a rack, another a cell), scales resistances, stretches time constants, and gives every cell its own
capacity, resistance, hysteresis, temperature and sensor offset. Sensors add gain, offset, noise and the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.estimation import RackSample
from controller.plant.cell_types import CellType

Floats = NDArray[np.float64]

GRID = 4001
DAY_S = 86400.0
CAPACITY_SPREAD, RESISTANCE_SPREAD, SOC_SPREAD = 0.008, 0.04, 0.004
CELL_BEND_V, RACK_BEND_V = 0.0005, 0.003
OFFSET_V, NOISE_V, STEP_V = 0.0008, 0.0005, 0.001
GAIN, OFFSET_C_RATE = 1.01, 0.001
TOP_V = 3.58
KELVIN_PER_WATT = 3.0
FOREVER = 1e9


@dataclass(slots=True)
class CellFault:
    """One fault of one cell, from a day on."""

    kind: str  # leak, growth, capacity, joint, stuck, offset, low_soc, hot, warm_sensor
    rack: int
    cell: int
    size: float
    from_day: float = 0.0
    to_day: float = FOREVER


@dataclass(slots=True)
class PackSpec:
    """What to simulate: `profile(day_fraction, day, rng)` gives a C rate, + = discharge; SOC stays in `window`."""

    cell: CellType
    capacity_ah: float = 280.0
    racks: int = 1
    cells: int = 240
    days: float = 14.0
    step_s: float = 60.0
    seed: int = 1
    ambient_degc: float = 23.0
    window: tuple[float, float] = (0.10, 0.95)
    start_soc: float = 0.5
    profile: Callable[[float, int, np.random.Generator], float] = field(default=lambda *_: 0.0)
    faults: tuple[CellFault, ...] = ()
    balancer_a: float = 0.0
    balancer_seen: bool = True


def arbitrage(fraction: float, day: int, rng: np.random.Generator) -> float:
    """Charge over noon, discharge in the evening, small corrections in between."""
    hour = 24.0 * fraction
    if 10.0 <= hour < 14.0:
        return -0.28
    if 17.0 <= hour < 20.5:
        return 0.32
    return float(0.07 * rng.standard_normal()) if rng.random() < 0.2 else 0.0


def two_cycles(fraction: float, day: int, rng: np.random.Generator) -> float:
    """Two cycles a day at C/2, with noise: a trading plant."""
    hour = 24.0 * fraction
    if 2.0 <= hour < 4.5 or 12.0 <= hour < 14.5:
        return -0.45 + float(0.05 * rng.standard_normal())
    if 7.0 <= hour < 9.5 or 18.0 <= hour < 20.5:
        return 0.45 + float(0.05 * rng.standard_normal())
    return 0.0


def regulation(fraction: float, day: int, rng: np.random.Generator) -> float:
    """Frequency response around the middle, a full cycle on Sundays."""
    if day % 7 == 6:
        return arbitrage(fraction, day, rng)
    return float(np.clip(0.12 * rng.standard_normal() + 0.03 * np.sin(2 * np.pi * fraction), -0.4, 0.4))


class Pack:
    """The truth, stepped: `steps` yields what the sensors say; the truth behind it stands in the attributes."""

    def __init__(self, spec: PackSpec) -> None:
        self.spec, self.rng = spec, np.random.default_rng(spec.seed)
        rng, shape = self.rng, (spec.racks, spec.cells)
        self.capacity_ah = 0.95 * spec.capacity_ah * (1.0 + CAPACITY_SPREAD * rng.standard_normal(shape))
        self.ohm_ratio = 1.0 + RESISTANCE_SPREAD * rng.standard_normal(shape)
        self.rack_ohm_ratio = rng.uniform(0.85, 1.15, (spec.racks, 1))
        self.soc = spec.start_soc + SOC_SPREAD * rng.standard_normal(shape)
        self.gap_ratio = 1.0 + 0.05 * rng.standard_normal(shape)
        self.offset_v = OFFSET_V * rng.standard_normal(shape)
        self.place_k = rng.normal(0.0, 0.4, shape) + np.linspace(-1.0, 1.0, spec.cells)
        self.hysteresis = np.zeros(shape)
        self.heat_k = np.zeros(shape)
        self.balancing = np.zeros(shape, dtype=bool)
        self._tables(spec.cell)
        self.pairs_a = np.zeros((len(self.pair_s), spec.racks, 1))
        self._stuck: dict[tuple[int, int], float] = {}
        for fault in spec.faults:
            if fault.kind == "capacity":
                self.capacity_ah[fault.rack, fault.cell] *= 1.0 + fault.size
            if fault.kind == "low_soc":
                self.soc[fault.rack, fault.cell] += fault.size

    def _tables(self, cell: CellType) -> None:
        scale = cell.capacity_ah / self.spec.capacity_ah
        grid, soc = np.linspace(-0.05, 1.05, GRID), np.array(cell.ocv.soc_ratio)
        at = int(np.argmin(np.abs(np.array(cell.ocv.temperature_degc) - 25.0)))
        charge, discharge = (np.interp(grid, soc, table[at]) for table in (cell.ocv.charge_v, cell.ocv.discharge_v))
        beyond = 12.0 * np.maximum(grid - 1.0, 0.0) + 25.0 * np.minimum(grid, 0.0)
        shape = self.spec.racks, 1
        bend = sum(RACK_BEND_V / k * np.sin(k * np.pi * grid + self.rng.uniform(0, 6.28, shape)) for k in (1, 2, 3))
        self.mean_v = 0.5 * (charge + discharge) + beyond + bend  # [rack, grid]
        self.half_gap_v = 0.5 * (charge - discharge)
        self.bend_phase = self.rng.uniform(0, 6.28, (self.spec.racks, self.spec.cells))
        impedance = cell.impedance
        ohms = np.array([impedance.series_ohm, *impedance.pair_ohm])  # [part, temperature, soc]
        self.z_axis, self.t_axis = np.array(impedance.soc_ratio), np.array(impedance.temperature_degc)
        self.ohms = ohms * scale
        self.pair_s = np.array(impedance.pair_time_constant_s) * self.rng.uniform(0.75, 1.35)
        self.per_soc = cell.ocv.hysteresis_per_soc * self.rng.uniform(0.8, 1.25)

    def _ohm(self, soc: float, degc: float) -> Floats:
        rows = np.array([[np.interp(soc, self.z_axis, row) for row in part] for part in self.ohms])
        return np.array([np.interp(degc, self.t_axis, row) for row in rows])

    def open_v(self) -> Floats:
        """Return every cell's open-circuit voltage with its hysteresis."""
        place = (self.soc + 0.05) / 1.1 * (GRID - 1)
        at = np.clip(place, 0, GRID - 1.001).astype(np.intp)
        share = place - at
        rows = np.arange(self.spec.racks)[:, None]
        low, high = self.mean_v[rows, at], self.mean_v[rows, at + 1]
        gap = self.half_gap_v[at]
        bend = CELL_BEND_V * np.sin(2.5 * np.pi * self.soc + self.bend_phase)
        return low + share * (high - low) + self.gap_ratio * gap * self.hysteresis + bend

    def steps(self) -> Iterator[RackSample]:
        """Yield a sample a step."""
        spec = self.spec
        for k in range(int(spec.days * DAY_S / spec.step_s)):
            self.time_s = (k + 1) * spec.step_s
            day = self.time_s / DAY_S
            growth, extra_ohm, leak_a = self._faults_at(day, k)
            ambient = spec.ambient_degc + 3.0 * np.sin(2 * np.pi * (day - 0.4))
            degc = ambient + self.place_k + self.heat_k
            ohms = self._ohm(float(self.soc.mean()), float(degc.mean())) * self.rack_ohm_ratio[..., None]
            open_v = self.open_v()
            series = ohms[..., 0] * self.ohm_ratio * growth + extra_ohm
            pair_v = sum(ohms[..., 1 + p] * a for p, a in enumerate(self.pairs_a)) * self.ohm_ratio
            current = self._current(day, open_v - pair_v, series)
            self.current_a = current[:, 0]
            bleed_a = self._bleed(open_v)
            yield self._sample(k, current, open_v - pair_v - series * current, degc)
            self._advance(current, current + leak_a + bleed_a, ohms.sum(axis=-1) * self.ohm_ratio * growth + extra_ohm)

    def _faults_at(self, day: float, k: int) -> tuple[Floats, Floats, Floats]:
        growth, extra_ohm, leak_a = np.ones_like(self.soc), np.zeros_like(self.soc), np.zeros_like(self.soc)
        for f in self.spec.faults:
            if f.from_day > day:
                continue
            if f.kind == "growth":
                part = min((day - f.from_day) / (f.to_day - f.from_day), 1.0) if f.to_day < FOREVER else 1.0
                growth[f.rack, f.cell] = 1.0 + f.size * part
            elif f.kind == "leak":
                leak_a[f.rack, f.cell] = 3.3 / f.size
            elif f.kind == "joint" and (k // 30) % 5 == 0:
                extra_ohm[f.rack, f.cell] = f.size
        return growth, extra_ohm, leak_a

    def _current(self, day: float, settled_v: Floats, series: Floats) -> Floats:
        """Return the profile's current [rack, 1], less where a cell is full, none beyond the window."""
        spec = self.spec
        wanted = np.full((spec.racks, 1), spec.profile(day % 1.0, int(day), self.rng) * spec.capacity_ah)
        top_a = np.maximum((TOP_V - settled_v) / series, 0.0).min(axis=1, keepdims=True)
        current = np.maximum(wanted, -top_a)
        soc = self.soc.mean(axis=1, keepdims=True)
        ended = ((current > 0) & (soc < spec.window[0])) | ((current < 0) & (soc > spec.window[1]))
        return np.where(ended, 0.0, current)

    def _advance(self, current: Floats, drawn_a: Floats, ohm: Floats) -> None:
        spec = self.spec
        moved = drawn_a * spec.step_s / 3600.0 / self.capacity_ah
        self.soc = self.soc - moved
        toward = -np.sign(moved)
        self.hysteresis = toward + np.exp(-self.per_soc * np.abs(moved)) * (self.hysteresis - toward)
        keep = np.exp(-spec.step_s / self.pair_s)[:, None, None]
        self.pairs_a = current + keep * (self.pairs_a - current)
        heat_k = KELVIN_PER_WATT * current**2 * ohm
        for f in spec.faults:
            if f.kind == "hot" and f.from_day <= self.time_s / DAY_S:
                heat_k[f.rack, f.cell] *= 1.0 + f.size
        self.heat_k = heat_k + np.exp(-spec.step_s / 7200.0) * (self.heat_k - heat_k)

    def _bleed(self, open_v: Floats) -> Floats:
        """A top balancer: whoever stands 3 mV above the median while the rack is near its top bleeds."""
        if self.spec.balancer_a == 0.0:
            return np.zeros_like(open_v)
        near_top = open_v.max(axis=1, keepdims=True) > 3.36
        self.balancing = near_top & (open_v > np.median(open_v, axis=1, keepdims=True) + 0.003)
        return self.spec.balancer_a * self.balancing

    def _sample(self, k: int, current: Floats, cell_v: Floats, degc: Floats) -> RackSample:
        spec, rng = self.spec, self.rng
        day = self.time_s / DAY_S
        seen = cell_v + self.offset_v + NOISE_V * rng.standard_normal(cell_v.shape)
        warmth = degc + 0.2 * rng.standard_normal(degc.shape)
        for f in spec.faults:
            if f.kind == "offset" and f.from_day <= day:
                seen[f.rack, f.cell] += f.size
            if f.kind == "warm_sensor" and f.from_day <= day:
                warmth[f.rack, f.cell] += f.size
            if f.kind == "stuck" and f.from_day <= day < f.to_day:
                seen[f.rack, f.cell] = self._stuck.setdefault((f.rack, f.cell), seen[f.rack, f.cell])
        seen = STEP_V * np.round(seen / STEP_V)
        time = np.full(spec.racks, int(self.time_s * 1e9), dtype=np.int64)
        yes = np.ones(spec.racks, dtype=bool)
        hourly = np.full(degc.shape, k % 60 == 0)
        return RackSample(
            source_time_ns=time,
            valid=yes,
            current_a=GAIN * current[:, 0] + OFFSET_C_RATE * spec.capacity_ah,
            voltage_v=seen.sum(axis=1),
            soc_bms_ratio=np.full(spec.racks, np.nan),
            contactor_open=~yes,
            bms_alarm_free=yes,
            cell_time_ns=time,
            cell_voltage_v=seen.astype(np.float32),
            cell_valid=np.ones(seen.shape, dtype=bool),
            cell_temperature_degc=(0.1 * np.round(warmth / 0.1)).astype(np.float32),
            temperature_valid=hourly,
            balancing=self.balancing.copy() if spec.balancer_a and spec.balancer_seen else None,
        )
