"""Fit a cell type from slow and dynamic tests: OCV branches first, then series resistance and RC pairs by NNLS.

The dynamic model is linear once SOC and the pairs' time constants are known, so each temperature is one non-negative
least-squares problem in hat functions over SOC; resistances are then smoothed over temperature with Arrhenius' law.
scipy is needed here and nowhere else in this room (optional extra `tools`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from controller.plant.cell_types import CellType, Impedance, OpenCircuitVoltage, Table

Floats = NDArray[np.float64]

OCV_SOC = np.unique(
    np.concatenate((np.linspace(0, 0.1, 11), np.linspace(0.1, 0.9, 33), np.linspace(0.9, 1.0, 11))).round(6)
)
"""The SOC axis of fitted OCV tables: 1 % at the ends, 2.5 % between."""
IMPEDANCE_SOC = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
TIME_CONSTANTS_S = (8.0, 60.0, 500.0)
KELVIN_AT_0_DEGC = 273.15
GAS_CONSTANT_J_PER_MOLK = 8.314


@dataclass(frozen=True, slots=True)
class TestRecord:
    """One test run on one cell: rising time, current (+ = discharge), voltage, temperature, true SOC."""

    name: str
    time_s: Floats
    current_a: Floats
    voltage_v: Floats
    temperature_degc: Floats
    soc_ratio: Floats


@dataclass(frozen=True, slots=True)
class FitBin:
    """How well the model does in one bin of temperature and SOC, on one record."""

    record: str
    temperature_degc: float
    soc_ratio: float
    rmse_v: float
    bias_v: float
    samples: int


def branch(soc_ratio: Floats, voltage_v: Floats, axis: Floats = OCV_SOC) -> Floats:
    """Return a slow charge or discharge curve as mean voltage around each point of an SOC axis."""
    order = np.argsort(soc_ratio)
    z, v = soc_ratio[order], voltage_v[order]
    fine = np.linspace(0.0, 1.0, 1001)
    bins = np.clip(np.round(z * 1000).astype(int), 0, 1000)
    count = np.bincount(bins, minlength=1001)
    mean = np.bincount(bins, weights=v, minlength=1001)[count > 0] / count[count > 0]
    return np.asarray(np.interp(axis, fine[count > 0], mean))


def pair_currents(time_s: Floats, current_a: Floats, time_constant_s: float, start: float = 0.0) -> Floats:
    """Return the current through the resistor of an RC pair (current held between samples)."""
    decay = np.exp(-np.diff(time_s) / time_constant_s)
    out = np.empty_like(current_a)
    out[0] = start
    for k in range(1, len(current_a)):
        out[k] = decay[k - 1] * out[k - 1] + (1.0 - decay[k - 1]) * current_a[k]
    return out


def hysteresis_state(soc_ratio: Floats, rate_per_soc: float, start: float) -> Floats:
    """Return where between the branches the cell stands: +1 charge branch, -1 discharge branch."""
    change = np.diff(soc_ratio)
    keep = np.exp(-rate_per_soc * np.abs(change))
    toward = np.sign(change)
    out = np.empty_like(soc_ratio)
    out[0] = start
    for k in range(1, len(soc_ratio)):
        out[k] = keep[k - 1] * out[k - 1] + (1.0 - keep[k - 1]) * toward[k - 1]
    return out


def hat_weights(x: Floats, axis: Floats) -> Floats:
    """Return the weights [sample, node] of linear interpolation on an axis, held outside it."""
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
    in_z = hat_weights(soc, axis_z) @ table.T
    if len(axis_t) == 1:
        return np.asarray(in_z[:, 0])
    return np.asarray(np.sum(in_z * hat_weights(temperature, axis_t), axis=1))


def open_circuit(ocv: OpenCircuitVoltage, soc: Floats, temperature: Floats, hysteresis: Floats) -> Floats:
    """Return OCV with hysteresis (+1: charge branch) at points."""
    axes = (np.array(ocv.temperature_degc), np.array(ocv.soc_ratio))
    charge = interpolate_table(*axes, np.array(ocv.charge_v), temperature, soc)
    discharge = interpolate_table(*axes, np.array(ocv.discharge_v), temperature, soc)
    return 0.5 * (charge + discharge) + 0.5 * hysteresis * (charge - discharge)


def fit_resistances(
    record: TestRecord, ocv: OpenCircuitVoltage, axis: Floats = IMPEDANCE_SOC, smooth_ohm: float = 0.0
) -> Floats:
    """Return [1 + pair, SOC] resistances that explain a record best, all >= 0.

    `smooth_ohm` penalises differences between neighbouring SOC nodes, and carries nodes that the record never visits.
    """
    h = hysteresis_state(record.soc_ratio, ocv.hysteresis_per_soc, start=1.0)
    target = open_circuit(ocv, record.soc_ratio, record.temperature_degc, h) - record.voltage_v
    weights = hat_weights(record.soc_ratio, axis)
    columns = [record.current_a, *(pair_currents(record.time_s, record.current_a, tau) for tau in TIME_CONSTANTS_S)]
    design = np.hstack([weights * column[:, None] for column in columns])
    gram, right = design.T @ design, design.T @ target
    nodes = len(axis)
    second = np.diff(np.eye(nodes), axis=0)
    penalty = smooth_ohm * np.kron(np.eye(len(columns)), second.T @ second) * np.trace(gram) / gram.shape[0]
    root = np.linalg.cholesky(gram + penalty + 1e-9 * np.trace(gram) / gram.shape[0] * np.eye(gram.shape[0]))
    solution, _ = nnls(root.T, np.linalg.solve(root, right))
    return np.asarray(solution).reshape(len(columns), nodes)


def smooth_over_temperature(temperatures: Floats, fitted: Floats, axis: Floats) -> Floats:
    """Return resistances [temperature of `axis`, ...] from those fitted [temperature, ...], ln R over 1/T."""
    floor = 0.02 * fitted.max(axis=0, keepdims=True) + 1e-6
    inverse = 1.0 / (temperatures + KELVIN_AT_0_DEGC)
    at = 1.0 / (axis + KELVIN_AT_0_DEGC)
    order = np.argsort(inverse)
    logs = np.log(np.maximum(fitted, floor))[order].reshape(len(temperatures), -1)
    out = np.empty((len(axis), logs.shape[1]))
    for k in range(logs.shape[1]):
        out[:, k] = np.interp(at, inverse[order], logs[:, k])
    return np.exp(out).reshape(len(axis), *fitted.shape[1:])


def simulate_voltage(cell: CellType, record: TestRecord) -> Floats:
    """Return the model's terminal voltage along a record with its true SOC."""
    h = hysteresis_state(record.soc_ratio, cell.ocv.hysteresis_per_soc, start=1.0)
    voltage = open_circuit(cell.ocv, record.soc_ratio, record.temperature_degc, h)
    z = cell.impedance
    axes = (np.array(z.temperature_degc), np.array(z.soc_ratio))
    voltage = voltage - record.current_a * interpolate_table(
        *axes, np.array(z.series_ohm), record.temperature_degc, record.soc_ratio
    )
    for tau, table in zip(z.pair_time_constant_s, z.pair_ohm, strict=True):
        ohm = interpolate_table(*axes, np.array(table), record.temperature_degc, record.soc_ratio)
        voltage = voltage - ohm * pair_currents(record.time_s, record.current_a, tau)
    return voltage


def judge_fit(cell: CellType, record: TestRecord, edges: Floats) -> list[FitBin]:
    """Return RMSE and bias per SOC bin of a record; use a record that was not fitted."""
    error = simulate_voltage(cell, record) - record.voltage_v
    bins = []
    for low, high in pairwise(edges):
        inside = (record.soc_ratio >= low) & (record.soc_ratio < high)
        if inside.any():
            part = error[inside]
            middle, warmth = float(low + high) / 2, float(np.mean(record.temperature_degc[inside]))
            rmse, bias = float(np.sqrt(np.mean(part**2))), float(np.mean(part))
            bins.append(FitBin(record.name, warmth, middle, rmse, bias, int(inside.sum())))
    return bins


def with_impedance(cell: CellType, axis_t: Floats, resistances: Floats, error_v: Floats) -> CellType:
    """Return the cell type with fitted resistances [temperature, 1 + pair, SOC] and errors [temperature, SOC]."""
    impedance = Impedance(
        temperature_degc=tuple(axis_t.tolist()),
        soc_ratio=tuple(IMPEDANCE_SOC.tolist()),
        series_ohm=as_table(resistances[:, 0]),
        pair_time_constant_s=TIME_CONSTANTS_S,
        pair_ohm=tuple(as_table(resistances[:, 1 + k]) for k in range(len(TIME_CONSTANTS_S))),
        error_v=as_table(error_v),
        error_soc_ratio=cell.impedance.error_soc_ratio,
    )
    return replace(cell, impedance=impedance)


def as_table(values: Floats) -> Table:
    """Return a 2-D array as the tuples that cell types hold."""
    return tuple(tuple(float(v) for v in row) for row in values)
