"""Fit a cell type from slow and dynamic tests: OCV branches first, then series resistance and RC pairs by NNLS.

The dynamic model is linear once SOC and the pairs' time constants are known, so each temperature is one non-negative
least-squares problem in hat functions over SOC; resistances are then smoothed over temperature with Arrhenius' law.
scipy is needed here and nowhere else in this room (optional extra `tools`).
"""

from __future__ import annotations

from collections.abc import Sequence
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
TIME_CONSTANTS_S = (6.0, 50.0, 400.0, 4000.0)
KELVIN_AT_0_DEGC = 273.15
START_ENERGY_K = 3500.0
ENERGY_K_RANGE = (500.0, 6000.0)
"""Arrhenius slopes, activation energy over the gas constant, that are believed beyond the measured temperatures."""
TEMPERATURES_DEGC = np.array([-20.0, -10.0, -5.0, 0.0, 5.0, 15.0, 25.0, 35.0, 45.0])
TURNS = 25
QUADRATIC_FROM = 4
"""With more records than this, ln R is a parabola in 1/T through all of them; else straight between them."""
SMOOTHNESS = 3e-3
OCV_RIDGE = 3e-3
FACTOR_RIDGE = 0.02
FACTOR_FLOOR = 0.02
KNEE_SOC, KNEE_WEIGHT = 0.06, 0.2
JUDGED_S = 10.0


@dataclass(frozen=True, slots=True)
class TestRecord:
    """One test run on one cell: rising time, current (+ = discharge), voltage, temperature, true SOC.

    A row whose voltage is NaN only tells what flowed (the mean current of a gap), it is not fitted.
    """

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


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal equations of one record in resistances [part, SOC node] and an OCV correction [SOC node]."""

    temperature_degc: float
    gram: Floats
    right: Floats


@dataclass(frozen=True, slots=True)
class SeparableFit:
    """Resistances as a shape over SOC [part, node] times a factor per temperature [record, part], and the OCV's shift.

    Part 0 is the series resistance, then one part a pair.
    """

    temperature_degc: Floats
    shape_ohm: Floats
    factor: Floats
    ocv_shift_v: Floats


def normal_equations(record: TestRecord, ocv: OpenCircuitVoltage, start_hysteresis: float) -> Normal:
    """Return what one record says; its last percents are weighed less, or they would rule the rest."""
    weights = hat_weights(record.soc_ratio, IMPEDANCE_SOC)
    h = hysteresis_state(record.soc_ratio, ocv.hysteresis_per_soc, start_hysteresis)
    target = open_circuit(ocv, record.soc_ratio, record.temperature_degc, h) - record.voltage_v
    columns = [record.current_a, *(pair_currents(record.time_s, record.current_a, tau) for tau in TIME_CONSTANTS_S)]
    known = np.isfinite(record.voltage_v)
    weigh = np.where(record.soc_ratio < KNEE_SOC, KNEE_WEIGHT, 1.0)[known] / np.sqrt(known.sum())
    design = np.hstack([*(weights * column[:, None] for column in columns), -weights])[known] * weigh[:, None]
    return Normal(float(np.mean(record.temperature_degc)), design.T @ design, design.T @ (target[known] * weigh))


def fit_separable(normals: Sequence[Normal]) -> SeparableFit:
    """Return the best separable resistances, by turns: the shape for given factors, the factors for a given shape.

    Each turn is a small non-negative least-squares problem. Neighbouring SOC nodes are held together, factors of one
    temperature too, and the OCV's shift is held near zero.
    """
    parts, nodes = 1 + len(TIME_CONSTANTS_S), len(IMPEDANCE_SOC)
    warmth = np.array([normal.temperature_degc for normal in normals])
    first = np.exp(START_ENERGY_K * (1.0 / (warmth + KELVIN_AT_0_DEGC) - 1.0 / 298.15))
    factor = np.tile(first[:, None], (1, parts))
    shape, shift = np.zeros((parts, nodes)), np.zeros(nodes)
    for _ in range(TURNS):
        shape, shift = _fit_shape(normals, factor)
        factor = np.array([_fit_factor(n, shape, shift, f) for n, f in zip(normals, factor, strict=True)])
    return SeparableFit(warmth, shape, factor, shift)


def _fit_shape(normals: Sequence[Normal], factor: Floats) -> tuple[Floats, Floats]:
    parts, nodes = factor.shape[1], len(IMPEDANCE_SOC)
    ohms = parts * nodes
    gram, right = np.zeros((ohms + nodes, ohms + nodes)), np.zeros(ohms + nodes)
    for normal, f in zip(normals, factor, strict=True):
        scale = np.concatenate((np.repeat(f, nodes), np.ones(nodes)))
        gram += normal.gram * scale[:, None] * scale
        right += normal.right * scale
    second = np.diff(np.eye(nodes), axis=0)
    smooth = SMOOTHNESS * np.trace(gram[:ohms, :ohms]) / ohms
    gram[:ohms, :ohms] += smooth * np.kron(np.eye(parts), second.T @ second)
    gram[ohms:, ohms:] += np.eye(nodes) * OCV_RIDGE * len(normals) / nodes
    # a shift may have either sign: its negative is one more non-negative unknown
    signed = np.vstack((np.eye(ohms + nodes), np.hstack((np.zeros((nodes, ohms)), -np.eye(nodes)))))
    solution = _non_negative(signed @ gram @ signed.T, signed @ right)
    return solution[:ohms].reshape(parts, nodes), solution[ohms : ohms + nodes] - solution[ohms + nodes :]


def _fit_factor(normal: Normal, shape: Floats, shift: Floats, was: Floats) -> Floats:
    parts, nodes = shape.shape
    ohms = parts * nodes
    spread = np.zeros((ohms + nodes, parts))
    for k in range(parts):
        spread[k * nodes : (k + 1) * nodes, k] = shape[k]
    known = np.concatenate((np.zeros(ohms), shift))
    gram, right = spread.T @ normal.gram @ spread, spread.T @ (normal.right - normal.gram @ known)
    ridge = np.diag(np.diag(gram)) * FACTOR_RIDGE
    used = shape.mean(axis=1) > 1e-3 * shape.mean()
    typical = np.exp(np.mean(np.log(np.maximum(was[used], FACTOR_FLOOR))))
    return np.maximum(_non_negative(gram + ridge, right + ridge @ np.full(parts, typical)), FACTOR_FLOOR)


def _non_negative(gram: Floats, right: Floats) -> Floats:
    floor = 1e-10 * np.trace(gram) / len(gram) * np.eye(len(gram))
    root = np.linalg.cholesky(gram + floor)
    return np.asarray(nnls(root.T, np.linalg.solve(root, right))[0])


def resistances_at(fit: SeparableFit, axis: Floats) -> Floats:
    """Return resistances [temperature of `axis`, part, SOC]: factors straight in ln R over 1/T, one slope outside."""
    order = np.argsort(fit.temperature_degc)
    inverse = 1.0 / (fit.temperature_degc[order] + KELVIN_AT_0_DEGC)
    logs, at = np.log(fit.factor[order]), 1.0 / (axis + KELVIN_AT_0_DEGC)
    if len(order) > QUADRATIC_FROM:
        bend = np.polynomial.polynomial.polyfit(1e3 * inverse, logs, 2)
        logs = np.polynomial.polynomial.polyval(1e3 * inverse, bend).T
    out = np.stack([np.interp(-at, -inverse, column) for column in logs.T], axis=1)
    for outside, edge, inner in ((at > inverse[0], 0, 1), (at < inverse[-1], -1, -2)):
        slope = ENERGY_K_RANGE[0]
        if len(order) > 1:
            slope = (logs[edge] - logs[inner]).mean() / (inverse[edge] - inverse[inner])
        out[outside] = logs[edge] + np.clip(slope, *ENERGY_K_RANGE) * (at[outside, None] - inverse[edge])
    return np.asarray(np.exp(out)[:, :, None] * fit.shape_ohm)


def fitted(cell: CellType, records: Sequence[TestRecord], start_hysteresis: float = 1.0) -> CellType:
    """Return the cell type with resistances and an OCV shift fitted to dynamic records, its errors not yet judged."""
    fit = fit_separable([normal_equations(record, cell.ocv, start_hysteresis) for record in records])
    shift = np.interp(cell.ocv.soc_ratio, IMPEDANCE_SOC, fit.ocv_shift_v)
    ocv = replace(
        cell.ocv,
        charge_v=as_table(np.array(cell.ocv.charge_v) + shift),
        discharge_v=as_table(np.array(cell.ocv.discharge_v) + shift),
    )
    errors = np.full((len(TEMPERATURES_DEGC), len(IMPEDANCE_SOC)), 5e-3)
    return with_impedance(replace(cell, ocv=ocv), TEMPERATURES_DEGC, resistances_at(fit, TEMPERATURES_DEGC), errors)


def held_out_error(cell: CellType, record: TestRecord) -> Floats:
    """Return the RMS error of 10 s means at each SOC node of a record that was not fitted; NaN where it never was."""
    error = simulate_voltage(cell, record) - record.voltage_v
    edges = np.concatenate(([-1.0], 0.5 * (IMPEDANCE_SOC[1:] + IMPEDANCE_SOC[:-1]), [2.0]))
    block = np.floor(record.time_s / JUDGED_S).astype(int)
    _, at, count = np.unique(block, return_inverse=True, return_counts=True)
    mean, soc = np.bincount(at, error) / count, np.bincount(at, record.soc_ratio) / count
    node = np.searchsorted(edges, soc) - 1
    samples = np.bincount(node, minlength=len(IMPEDANCE_SOC))
    power = np.bincount(node, mean**2, minlength=len(IMPEDANCE_SOC))
    return np.asarray(np.where(samples > 0, np.sqrt(power / np.maximum(samples, 1)), np.nan))


def leave_one_out(cell: CellType, records: Sequence[TestRecord]) -> list[Floats]:
    """Return each record's error under a model fitted to all the others, [record][SOC node]."""
    return [held_out_error(fitted(cell, [r for r in records if r is not one]), one) for one in records]


def with_errors(cell: CellType, temperatures: Floats, errors: Sequence[Floats]) -> CellType:
    """Return the cell type with held-out errors interpolated over its temperatures; gaps take the nearest SOC's."""
    order = np.argsort(temperatures)
    rows = np.array([_without_gaps(errors[k]) for k in order])
    axis = np.array(cell.impedance.temperature_degc)
    table = np.stack([np.interp(axis, temperatures[order], column) for column in rows.T], axis=1)
    return replace(cell, impedance=replace(cell.impedance, error_v=as_table(table)))


def _without_gaps(row: Floats) -> Floats:
    known = np.isfinite(row)
    return np.asarray(np.interp(IMPEDANCE_SOC, IMPEDANCE_SOC[known], row[known]))


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
