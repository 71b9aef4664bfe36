"""A cell type's terminal voltage along a test whose SOC is known: what fits are made and judged with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.plant.cell_types import CellType, OpenCircuitVoltage

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CellTest:
    """One test run on one cell: rising time, current (+ = discharge), voltage, temperature, true SOC.

    A row whose voltage is NaN only tells what flowed (the mean current of a gap); it is not compared. A current holds
    from the row before to its own.
    """

    name: str
    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    soc_ratio: Floats


def pair_currents(time_s: Floats, current_a: Floats, time_constant_s: float, start: float = 0.0) -> Floats:
    """Return the current through the resistor of an RC pair (current held between samples)."""
    decay = np.exp(-np.diff(time_s) / time_constant_s).tolist()
    current, last = current_a.tolist(), start
    out = [start]
    for keep, now in zip(decay, current[1:], strict=True):
        last = keep * last + (1.0 - keep) * now
        out.append(last)
    return np.array(out)


def hysteresis_state(soc_ratio: Floats, rate_per_soc: float, start: float) -> Floats:
    """Return where between the branches the cell stands: +1 charge branch, -1 discharge branch."""
    change = np.diff(soc_ratio)
    keeps, towards = np.exp(-rate_per_soc * np.abs(change)).tolist(), np.sign(change).tolist()
    last, out = start, [start]
    for keep, toward in zip(keeps, towards, strict=True):
        last = keep * last + (1.0 - keep) * toward
        out.append(last)
    return np.array(out)


def hat_weights(x: Floats, axis: Floats) -> Floats:
    """Return the weights [sample, node] of linear interpolation on an axis, held outside it."""
    if len(axis) == 1:
        return np.ones((len(x), 1))
    x = np.clip(x, axis[0], axis[-1])
    right = np.clip(np.searchsorted(axis, x, side="right"), 1, len(axis) - 1)
    share = (x - axis[right - 1]) / (axis[right] - axis[right - 1])
    weights = np.zeros((len(x), len(axis)))
    rows = np.arange(len(x))
    weights[rows, right - 1] = 1.0 - share
    weights[rows, right] = share
    return weights


def interpolate_table(axis_t: Floats, axis_z: Floats, table: Floats, temperature: Floats, soc: Floats) -> Floats:
    """Return a [temperature, SOC] table at points, bilinear, held at the edges."""
    return np.asarray(np.sum((hat_weights(soc, axis_z) @ table.T) * hat_weights(temperature, axis_t), axis=1))


def open_circuit(ocv: OpenCircuitVoltage, soc: Floats, temperature: Floats, hysteresis: Floats) -> Floats:
    """Return OCV with hysteresis (+1: charge branch) at points."""
    axes = (np.array(ocv.temperature_degc), np.array(ocv.soc_ratio))
    charge = interpolate_table(*axes, np.array(ocv.charge_v), temperature, soc)
    discharge = interpolate_table(*axes, np.array(ocv.discharge_v), temperature, soc)
    return 0.5 * (charge + discharge) + 0.5 * hysteresis * (charge - discharge)


def simulate_voltage(cell: CellType, test: CellTest, start_hysteresis: float = 1.0) -> Floats:
    """Return the model's terminal voltage along a test; by default it begins after a full charge."""
    h = hysteresis_state(test.soc_ratio, cell.ocv.hysteresis_per_soc, start_hysteresis)
    voltage = open_circuit(cell.ocv, test.soc_ratio, test.temperature_degc, h)
    z = cell.impedance
    at = np.array(z.temperature_degc), np.array(z.soc_ratio)
    where = test.temperature_degc, test.soc_ratio
    voltage = voltage - test.current_a * interpolate_table(*at, np.array(z.series_ohm), *where)
    for tau, table in zip(z.pair_time_constant_s, z.pair_ohm, strict=True):
        ohm = interpolate_table(*at, np.array(table), *where)
        voltage = voltage - ohm * pair_currents(test.time_s, test.current_a, tau)
    return voltage
