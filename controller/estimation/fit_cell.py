"""Fit a cell type from slow and dynamic tests: OCV branches first, then resistances and RC pairs in one NNLS problem.

Once SOC, temperature and the pairs' time constants are known, the voltage is linear in the resistances and in what the
OCV is off by; both are tables over temperature and SOC, so one non-negative least-squares problem finds them all from
all tests at once. Resistances are sought as their value at 25 degC by Arrhenius' law: a table that is smooth in that
scale interpolates well between the temperatures that were measured.
scipy is needed here and nowhere else in this room (optional extra `tools`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import block_diag
from scipy.optimize import nnls

from controller.estimation.cell_model import (
    CellTest,
    hat_weights,
    hysteresis_state,
    open_circuit,
    pair_currents,
    simulate_voltage,
)
from controller.plant.cell_types import CellType, Impedance, OpenCircuitVoltage, Row, Table

Floats = NDArray[np.float64]

OCV_SOC = np.unique(
    np.concatenate((np.linspace(0, 0.1, 11), np.linspace(0.1, 0.9, 33), np.linspace(0.9, 1.0, 11))).round(6)
)
"""The SOC axis of fitted OCV tables: 1 % at the ends, 2.5 % between."""
IMPEDANCE_SOC = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
SHIFT_SOC = np.unique(np.concatenate((np.linspace(0, 0.2, 9), np.linspace(0.2, 1.0, 17))).round(4))
TIME_CONSTANTS_S = (6.0, 50.0, 400.0, 4000.0)
PARTS = 1 + len(TIME_CONSTANTS_S)
KELVIN_AT_0_DEGC = 273.15
ENERGY_K = 3500.0
ENERGY_K_RANGE = (500.0, 6000.0)
"""Activation energy over the gas constant: where a fit starts, and what is believed."""
ENERGY_SIGMA_K = 1600.0
"""1-sigma of that energy where one temperature alone was measured: as if anything in the range were as likely."""
USUAL_PER_H = 0.5
ENTROPY_V_PER_K = 3e-4
MOST_ERROR_RATIO = 0.25
"""Of the cell's window: a voltage with such an error teaches nothing."""
TEMPERATURES_DEGC = np.array([-20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 25.0, 35.0, 45.0])
NODE_APART_K = 8.0
"""Temperatures nearer to each other than this share a node of the fitted tables."""
SMOOTH_SOC, SMOOTH_TEMPERATURE = 3e-3, 3e-3
SHIFT_RIDGE, SHIFT_SMOOTH_SOC, SHIFT_SMOOTH_TEMPERATURE = 1e-3, 1e-3, 3e-3
KNEE_SOC, KNEE_WEIGHT = 0.06, 0.2
"""The last percents are weighed less, or they would rule the rest."""
MOST_ROWS = 20000
ASSUMED_ERROR_V, LEAST_ERROR_V = 5e-3, 2e-3
JUDGED_S, SLOW_S = 10.0, 900.0


@dataclass(frozen=True, slots=True)
class FitBin:
    """How well the model does in one bin of temperature and SOC, on one record."""

    record: str
    temperature_degc: float
    soc_ratio: float
    rmse_v: float
    bias_v: float
    samples: int


@dataclass(frozen=True, slots=True)
class SlowTest:
    """A slow run over the whole SOC range at one temperature; `charge` tells its direction."""

    temperature_degc: float
    charge: bool
    soc_ratio: Floats
    voltage_v: Floats


@dataclass(frozen=True, slots=True)
class Tables:
    """What a fit finds: resistances as of 25 degC [part, node, SOC] and the OCV's shift [node, SOC] in V.

    Part 0 is the series resistance, then one part a pair. `energy_k` carries resistances to other temperatures.
    """

    node_degc: Floats
    energy_k: float
    ohm_at_25: Floats
    shift_v: Floats


def slow_branches(tests: Sequence[SlowTest], base: OpenCircuitVoltage) -> OpenCircuitVoltage:
    """Return OCV tables from slow tests: each branch straight over temperature; a branch not measured keeps base's gap.

    ValueError without a slow discharge.
    """
    down, up = ([t for t in tests if t.charge is way] for way in (False, True))
    if not down:
        raise ValueError("fit: expected at least one slow discharge over the whole SOC range")
    axis = TEMPERATURES_DEGC
    discharge, slope = _straight(down, axis)
    if up:
        charge, _ = _straight(up, axis)
    else:
        charge = discharge + np.interp(
            OCV_SOC, base.soc_ratio, np.array(base.charge_v[0]) - np.array(base.discharge_v[0])
        )
    entropy = (
        slope
        if len({t.temperature_degc for t in down}) > 1
        else np.interp(OCV_SOC, base.soc_ratio, base.entropy_v_per_k)
    )
    middle, gap = 0.5 * (charge + discharge), np.maximum(0.5 * (charge - discharge), 0.0)
    return OpenCircuitVoltage(
        _row(axis),
        _row(OCV_SOC),
        as_table(middle + gap),
        as_table(middle - gap),
        _row(entropy),
        base.hysteresis_per_soc,
    )


def _straight(tests: Sequence[SlowTest], axis: Floats) -> tuple[Floats, Floats]:
    """Return a branch over temperature [temperature, SOC], linear, and its slope per kelvin (at most 0.3 mV/K)."""
    curves = np.array([branch(t.soc_ratio, t.voltage_v) for t in tests])
    warmth = np.array([t.temperature_degc for t in tests])
    away = warmth - warmth.mean()
    slope = away @ curves / max(float(away @ away), 1e-9) if len(tests) > 1 else np.zeros(curves.shape[1])
    slope = np.clip(slope, -ENTROPY_V_PER_K, ENTROPY_V_PER_K)
    return curves.mean(axis=0) + np.outer(axis - warmth.mean(), slope), slope


def branch(soc_ratio: Floats, voltage_v: Floats, axis: Floats = OCV_SOC) -> Floats:
    """Return a slow charge or discharge curve as mean voltage around each point of an SOC axis."""
    order = np.argsort(soc_ratio)
    z, v = soc_ratio[order], voltage_v[order]
    fine = np.linspace(0.0, 1.0, 1001)
    bins = np.clip(np.round(z * 1000).astype(int), 0, 1000)
    count = np.bincount(bins, minlength=1001)
    mean = np.bincount(bins, weights=v, minlength=1001)[count > 0] / count[count > 0]
    return np.asarray(np.interp(axis, fine[count > 0], mean))


def fitted(cell: CellType, tests: Sequence[CellTest], start_hysteresis: float = 1.0) -> tuple[CellType, list[CellType]]:
    """Return the cell type with resistances and an OCV shift fitted to all tests, and one fitted without each in turn.

    Their errors are not yet judged. One activation energy holds for all of them.
    """
    nodes = _temperature_nodes(tests)

    def normals(energy_k: float) -> list[tuple[Floats, Floats]]:
        return [_normal_equations(cell.ocv, test, nodes, energy_k, start_hysteresis) for test in tests]

    energy_k = ENERGY_K
    if len(nodes) > 1:
        energy_k = _energy(_solved(normals(ENERGY_K), nodes, ENERGY_K, cell.ocv))
    each = normals(energy_k)
    without = [each[:k] + each[k + 1 :] for k in range(len(each))] if len(each) > 1 else []
    whole, *rest = (_with_tables(cell, _solved(those, nodes, energy_k, cell.ocv)) for those in (each, *without))
    return whole, rest


def _with_tables(cell: CellType, tables: Tables) -> CellType:
    weights = hat_weights(TEMPERATURES_DEGC, tables.node_degc)
    shift = np.stack([np.interp(cell.ocv.soc_ratio, SHIFT_SOC, row) for row in weights @ tables.shift_v])
    at = hat_weights(TEMPERATURES_DEGC, np.array(cell.ocv.temperature_degc))
    ocv = replace(
        cell.ocv,
        temperature_degc=_row(TEMPERATURES_DEGC),
        charge_v=as_table(at @ np.array(cell.ocv.charge_v) + shift),
        discharge_v=as_table(at @ np.array(cell.ocv.discharge_v) + shift),
    )
    ohm = np.einsum("tn,pnz->tpz", weights, tables.ohm_at_25)
    ohm *= _growth(TEMPERATURES_DEGC, tables.energy_k)[:, None, None]
    errors = np.full((len(TEMPERATURES_DEGC), len(IMPEDANCE_SOC)), ASSUMED_ERROR_V)
    return with_impedance(replace(cell, ocv=ocv), TEMPERATURES_DEGC, ohm, errors)


def _solved(
    normals: Sequence[tuple[Floats, Floats]], nodes: Floats, energy_k: float, ocv: OpenCircuitVoltage
) -> Tables:
    """Return the tables that explain all tests best, smooth over SOC and temperature; each test counts the same.

    No resistance is negative, and no shift lets the OCV fall with SOC: what a cold cell lacks at its low end is not an
    OCV's doing.
    """
    nt, nz, ns = len(nodes), len(IMPEDANCE_SOC), len(SHIFT_SOC)
    ohms, shifts = PARTS * nt * nz, nt * ns
    gram = np.sum([one for one, _ in normals], axis=0)
    right = np.sum([one for _, one in normals], axis=0)
    by_soc, by_temperature = _steps(nz), _steps(nt)
    level = np.trace(gram[:ohms, :ohms]) / ohms * nt
    gram[:ohms, :ohms] += level * SMOOTH_SOC * np.kron(np.eye(PARTS * nt), by_soc)
    gram[:ohms, :ohms] += level * SMOOTH_TEMPERATURE * np.kron(np.eye(PARTS), np.kron(by_temperature, np.eye(nz)))
    level = len(normals) / ns
    gram[ohms:, ohms:] += level * SHIFT_RIDGE * np.eye(shifts)
    gram[ohms:, ohms:] += level * SHIFT_SMOOTH_SOC * np.kron(np.eye(nt), _steps(ns))
    gram[ohms:, ohms:] += level * SHIFT_SMOOTH_TEMPERATURE * np.kron(by_temperature, np.eye(ns))
    rise, least_v = _rising(ocv, nodes)
    unknown = block_diag(np.eye(ohms), rise)
    known = np.concatenate((np.zeros(ohms), least_v.ravel()))
    found = unknown @ _non_negative(unknown.T @ gram @ unknown, unknown.T @ (right - gram @ known)) + known
    return Tables(nodes, energy_k, found[:ohms].reshape(PARTS, nt, nz), found[ohms:].reshape(nt, ns))


def _rising(ocv: OpenCircuitVoltage, nodes: Floats) -> tuple[Floats, Floats]:
    """Return how shifts [node x SOC] follow from non-negative unknowns, and the lowest ones [node, SOC], from zero on.

    A shift's first value may have either sign: its negative is one more unknown. From there on each is the one before,
    less what the OCV itself rises at least, plus an unknown.
    """
    at = hat_weights(nodes, np.array(ocv.temperature_degc))
    soc = np.array(ocv.soc_ratio)
    slopes = [np.diff(at @ np.array(branch_v), axis=1) / np.diff(soc) for branch_v in (ocv.charge_v, ocv.discharge_v)]
    segment = np.searchsorted(SHIFT_SOC, 0.5 * (soc[1:] + soc[:-1])) - 1
    inside = segment == np.arange(len(SHIFT_SOC) - 1)[:, None]
    flattest = np.where(inside, np.minimum(*slopes)[:, None, :], np.inf).min(axis=2)
    fall_v = np.maximum(flattest, 0.0) * np.diff(SHIFT_SOC)
    least_v: Floats = -np.cumsum(np.pad(fall_v, ((0, 0), (1, 0))), axis=1)
    of_node = np.hstack((np.tril(np.ones((len(SHIFT_SOC),) * 2)), -np.ones((len(SHIFT_SOC), 1))))
    return np.asarray(np.kron(np.eye(len(nodes)), of_node), np.float64), least_v


def _normal_equations(
    ocv: OpenCircuitVoltage, test: CellTest, nodes: Floats, energy_k: float, start_hysteresis: float
) -> tuple[Floats, Floats]:
    """Return what one test says of the tables, thinned to so many rows that it stays quick."""
    h = hysteresis_state(test.soc_ratio, ocv.hysteresis_per_soc, start_hysteresis)
    currents = [test.current_a, *(pair_currents(test.time_s, test.current_a, tau) for tau in TIME_CONSTANTS_S)]
    known = np.flatnonzero(np.isfinite(test.voltage_v))
    rows = known[:: max(len(known) // MOST_ROWS, 1)]
    soc, warmth = test.soc_ratio[rows], test.temperature_degc[rows]
    target = open_circuit(ocv, soc, warmth, h[rows]) - test.voltage_v[rows]
    table, grown = _hats(warmth, nodes, soc, IMPEDANCE_SOC), _growth(warmth, energy_k)
    parts = [sparse.diags_array(grown * current[rows]) @ table for current in currents]
    design = sparse.hstack([*parts, -_hats(warmth, nodes, soc, SHIFT_SOC)]).tocsr()
    weigh = np.where(soc < KNEE_SOC, KNEE_WEIGHT, 1.0) / np.sqrt(len(rows))
    design = sparse.diags_array(weigh) @ design
    return (design.T @ design).toarray(), design.T @ (target * weigh)


def _hats(warmth: Floats, nodes: Floats, soc: Floats, axis: Floats) -> sparse.csr_array:
    """Return the weights [row, node x SOC] of bilinear interpolation, sparse."""
    by_soc, by_node = sparse.csr_array(hat_weights(soc, axis)), hat_weights(warmth, nodes)
    return sparse.hstack([sparse.diags_array(column) @ by_soc for column in by_node.T]).tocsr()


def _temperature_nodes(tests: Sequence[CellTest]) -> Floats:
    """Return the tests' mean temperatures, those near each other as one."""
    warmth = np.array([np.mean(test.temperature_degc) for test in tests])
    return np.array([warmth[group].mean() for group in _grouped(warmth)])


def _growth(warmth_degc: Floats, energy_k: float) -> Floats:
    return np.asarray(np.exp(energy_k * (1.0 / (warmth_degc + KELVIN_AT_0_DEGC) - 1.0 / (25.0 + KELVIN_AT_0_DEGC))))


def _energy(tables: Tables) -> float:
    """Return the one activation energy that suits the sum of all resistances at mid SOC best."""
    middle = (IMPEDANCE_SOC > 0.25) & (IMPEDANCE_SOC < 0.85)
    total = tables.ohm_at_25[:, :, middle].sum(axis=0).mean(axis=1) * _growth(tables.node_degc, tables.energy_k)
    slope, _ = np.polyfit(1.0 / (tables.node_degc + KELVIN_AT_0_DEGC), np.log(np.maximum(total, 1e-9)), 1)
    return float(np.clip(slope, *ENERGY_K_RANGE))


def _steps(count: int) -> Floats:
    difference = np.diff(np.eye(count), axis=0)
    return np.asarray(difference.T @ difference)


def _non_negative(gram: Floats, right: Floats) -> Floats:
    floor = 1e-10 * np.trace(gram) / len(gram) * np.eye(len(gram))
    root = np.linalg.cholesky(gram + floor)
    return np.asarray(nnls(root.T, np.linalg.solve(root, right), maxiter=30 * len(gram))[0])


def held_out_error(cell: CellType, test: CellTest) -> Floats:
    """Return the RMS error at each SOC node of a test that was not fitted, of means over a quarter of an hour.

    That is the part that repetition does not average away, and the part that pulls a SOC. NaN where the test never was.
    """
    error = simulate_voltage(cell, test) - test.voltage_v
    known = np.isfinite(error)
    block = np.floor(test.time_s[known] / SLOW_S).astype(int)
    _, at, count = np.unique(block, return_inverse=True, return_counts=True)
    mean, soc = np.bincount(at, error[known]) / count, np.bincount(at, test.soc_ratio[known]) / count
    edges = np.concatenate(([-1.0], 0.5 * (IMPEDANCE_SOC[1:] + IMPEDANCE_SOC[:-1]), [2.0]))
    node = np.searchsorted(edges, soc) - 1
    samples = np.bincount(node, minlength=len(IMPEDANCE_SOC))
    power = np.bincount(node, mean**2, minlength=len(IMPEDANCE_SOC))
    return np.asarray(np.where(samples > 0, np.sqrt(power / np.maximum(samples, 1)), np.nan))


def with_errors(cell: CellType, temperatures: Floats, errors: Sequence[Floats]) -> CellType:
    """Return the cell type with held-out errors over its temperatures; tests of about one temperature count as one.

    Neighbouring SOC nodes are averaged (in power): a quarter of an hour's mean is a rare sample.
    """
    power = np.square(errors)
    groups = _grouped(temperatures)
    rows = np.array([np.sqrt(_smooth(_without_gaps(_mean_power(power[group])))) for group in groups])
    warmth = np.array([temperatures[group].mean() for group in groups])
    axis = np.array(cell.impedance.temperature_degc)
    table = np.stack([np.interp(axis, warmth, column) for column in rows.T], axis=1)
    return replace(cell, impedance=replace(cell.impedance, error_v=as_table(np.maximum(table, LEAST_ERROR_V))))


def with_unmeasured_errors(cell: CellType, measured_degc: float) -> CellType:
    """Return a cell type that was fitted at one temperature with errors that grow away from it.

    There the resistances lean on an activation energy, and the open-circuit voltage on an entropy, that nobody
    measured. Told for a current of half the capacity an hour.
    """
    z = cell.impedance
    axis = np.array(z.temperature_degc)
    apart = np.abs(1.0 / (axis + KELVIN_AT_0_DEGC) - 1.0 / (measured_degc + KELVIN_AT_0_DEGC))[:, None]
    drop_v = USUAL_PER_H * cell.capacity_ah * np.sum([z.series_ohm, *z.pair_ohm], axis=0)
    resistive_v = drop_v * np.expm1(ENERGY_SIGMA_K * apart)
    open_circuit_v = ENTROPY_V_PER_K * np.abs(axis - measured_degc)[:, None]
    most_v = MOST_ERROR_RATIO * (cell.limits.voltage_max_v - cell.limits.voltage_min_v)
    errors = np.minimum(np.sqrt(np.square(z.error_v) + resistive_v**2 + open_circuit_v**2), most_v)
    return replace(cell, impedance=replace(z, error_v=as_table(errors)))


def _mean_power(power: Floats) -> Floats:
    known = np.isfinite(power)
    count = known.sum(axis=0)
    return np.asarray(np.where(count > 0, np.nansum(power, axis=0) / np.maximum(count, 1), np.nan))


def _smooth(row: Floats) -> Floats:
    padded = np.concatenate((row[:1], row, row[-1:]))
    return np.asarray(0.25 * padded[:-2] + 0.5 * row + 0.25 * padded[2:])


def _without_gaps(row: Floats) -> Floats:
    known = np.isfinite(row)
    return np.asarray(np.interp(IMPEDANCE_SOC, IMPEDANCE_SOC[known], row[known]))


def _grouped(warmth_degc: Floats) -> list[NDArray[np.intp]]:
    """Return which tests are of about one temperature, coldest first."""
    groups: list[list[int]] = []
    for k in np.argsort(warmth_degc).tolist():
        if groups and warmth_degc[k] - warmth_degc[groups[-1][0]] < NODE_APART_K:
            groups[-1].append(k)
        else:
            groups.append([k])
    return [np.array(group) for group in groups]


def judge_fit(cell: CellType, test: CellTest, edges: Floats) -> list[FitBin]:
    """Return RMSE and bias per SOC bin of a test, of 10 s means; use a test that was not fitted."""
    error = simulate_voltage(cell, test) - test.voltage_v
    known = np.isfinite(error)
    block = np.floor(test.time_s[known] / JUDGED_S).astype(int)
    _, at, count = np.unique(block, return_inverse=True, return_counts=True)
    mean, soc, warmth = (np.bincount(at, x[known]) / count for x in (error, test.soc_ratio, test.temperature_degc))
    bins = []
    for low, high in pairwise(edges):
        inside = (soc >= low) & (soc < high)
        if inside.any():
            part, middle = mean[inside], float(low + high) / 2
            rmse, bias = float(np.sqrt(np.mean(part**2))), float(np.mean(part))
            bins.append(FitBin(test.name, float(warmth[inside].mean()), middle, rmse, bias, int(inside.sum())))
    return bins


def with_impedance(cell: CellType, axis_t: Floats, resistances: Floats, error_v: Floats) -> CellType:
    """Return the cell type with fitted resistances [temperature, 1 + pair, SOC] and errors [temperature, SOC]."""
    impedance = Impedance(
        temperature_degc=_row(axis_t),
        soc_ratio=_row(IMPEDANCE_SOC),
        series_ohm=as_table(resistances[:, 0]),
        pair_time_constant_s=TIME_CONSTANTS_S,
        pair_ohm=tuple(as_table(resistances[:, 1 + k]) for k in range(len(TIME_CONSTANTS_S))),
        error_v=as_table(error_v),
        error_soc_ratio=cell.impedance.error_soc_ratio,
    )
    return replace(cell, impedance=impedance)


def _row(values: Floats) -> Row:
    return tuple(float(v) for v in values)


def as_table(values: Floats) -> Table:
    """Return a 2-D array as the tuples that cell types hold."""
    return tuple(_row(row) for row in values)
