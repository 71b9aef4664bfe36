"""Every cell against its rack: what it has more or less of SOC, capacity, leak, resistance and sensor offset.

Common errors (current gain and offset, OCV, temperature) cancel in the difference to the rack's median cell. All cells
of a rack see the same current and the same slope, so they share one covariance and one gain: a Kalman filter of five
states costs a few multiplications a cell. After Plett 2009 (bar-delta filtering).

States: difference of SOC, relative one of capacity, leak in SOC per day, relative one of resistance, voltage offset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_signs import CellSigns, Seen, at_look, initial_signs, stuck, watch_signs
from controller.estimation.cell_tables import look_up
from controller.estimation.samples import AnyFloats

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]

SOC, CAPACITY, LEAK, RESISTANCE, OFFSET = range(5)
STATES = 5
INITIAL_SIGMA = (0.05, 0.02, 0.003, 0.10, 0.001)
DRIFT_PER_SQRT_DAY = (0.004, 0.0005, 0.0004, 0.03, 0.0003)
NOISE_V = 0.0006
NOISE_SOC = 0.002
NOISE_LASTS_S = 3600.0
"""A cell's own model error stays for long: visits each 10 s bring no more than one an hour."""
GATE_SIGMA = 6.0
STEEPEST_V = 3.0
FLAT_V = 0.5
PLACE_REACH = 0.05
KNEE_REACH = 0.015
"""How far beyond the rack's extreme cells a knee is looked for."""
DEEP_SOC = 0.03
"""Below this no table holds; a cell there is not judged by its voltage."""


@dataclass(frozen=True, slots=True)
class CellState:
    """States [state, rack, cell] as float32, their shared covariance [rack, state, state], and `days` [rack] observed.

    `first_empty_ratio` <= 0 and `first_full_ratio` >= 0 [rack]: by how much SOC the first cell meets either end before
    the mean cell does; `largest_ohm_ratio` >= 1 [rack]: the largest resistance over the mean cell's.
    """

    states: Cells
    covariance: Floats
    signs: CellSigns
    days: Floats
    first_empty_ratio: Floats
    first_full_ratio: Floats
    largest_ohm_ratio: Floats


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of all cells, per rack [rack]: time and charge since the last one, and what the mean cell shows now.

    `curve_v` [rack, SOC point]: open-circuit voltage with hysteresis; `resistive_v`: drop of the mean cell, + on
    discharge. `use` false: nothing new. `bled_ratio` [rack, cell]: SOC that a balancer is known to have taken.
    """

    elapsed_s: Floats
    drawn_ratio: Floats
    soc_ratio: Floats
    curve_v: Floats
    resistive_v: Floats
    current_a: Floats
    capacity_ah: Floats
    noise_v: Floats
    use: Mask
    bled_ratio: Cells | None = None


def initial_cells(racks: int, cells: int) -> CellState:
    """Return cells of which nothing is known but what a new rack's spread is."""
    return CellState(
        states=np.zeros((STATES, racks, cells), dtype=np.float32),
        covariance=np.tile(np.diag(np.square(INITIAL_SIGMA)), (racks, 1, 1)),
        signs=initial_signs(racks, cells),
        days=np.zeros(racks),
        first_empty_ratio=np.zeros(racks),
        first_full_ratio=np.zeros(racks),
        largest_ohm_ratio=np.ones(racks),
    )


def with_absence(was: CellState, away_s: float, unseen_ratio: Floats, bled_ratio: Floats) -> CellState:
    """Return the cells after a time without samples, each difference wider by what may have moved it.

    Charge that nobody saw, 1 sigma [rack], moved cells apart by their capacities' spread; a balancer may have taken
    anything up to `bled_ratio` [rack] from either of the two that are compared, so up to as much either way.
    """
    covariance = was.covariance + np.diag(np.square(DRIFT_PER_SQRT_DAY)) * (away_s / 86400.0)
    covariance[:, SOC, SOC] += unseen_ratio**2 * covariance[:, CAPACITY, CAPACITY] + bled_ratio**2 / 3.0
    return replace(was, covariance=covariance)


def visit_cells(was: CellState, visit: Visit, cell_voltage_v: AnyFloats, cell_valid: Mask) -> CellState:
    """Return the cells after a visit; a cell without a valid voltage only moves by what is known of it."""
    valid = cell_valid & np.isfinite(cell_voltage_v)
    voltage = np.where(valid, cell_voltage_v, np.nan).astype(np.float32)
    frozen = stuck(was.signs, visit.noise_v) & (voltage == was.signs.last_v)
    median = median_of(voltage, valid)
    states, covariance = _predicted(was, visit)
    at, slope_v = _place(visit, median)
    rows = _rows(visit, slope_v)
    cross = np.matmul(covariance, rows[..., None])[..., 0]
    variance = np.sum(rows * cross, axis=1) + _noise(visit, slope_v)
    gain = np.where(visit.use[:, None], cross / variance[:, None], 0.0)
    by_soc = look_up(visit.curve_v, at[:, None] + states[SOC]) - look_up(visit.curve_v, at[:, None])
    expected = by_soc.astype(np.float32) + rows.astype(np.float32)[:, RESISTANCE, None] * states[RESISTANCE]
    reach = (GATE_SIGMA * np.sqrt(variance)).astype(np.float32)[:, None]
    apart = voltage - median.astype(np.float32)[:, None] - expected - states[OFFSET]
    deep = at[:, None] + states[SOC] < DEEP_SOC
    innovation = np.where(frozen | deep, 0.0, np.nan_to_num(np.clip(apart, -reach, reach), nan=0.0))
    states = states + gain.T.astype(np.float32)[:, :, None] * innovation
    covariance = covariance - gain[:, :, None] * cross[:, None, :]
    days = was.days + visit.elapsed_s / 86400.0
    first_empty, first_full, largest_ohm = _extremes(states, visit.soc_ratio)
    seen = Seen(
        elapsed_s=visit.elapsed_s,
        use=visit.use,
        steepest_v=_steepest(visit.curve_v, at, states[SOC]),
        current_a=visit.current_a,
        capacity_ah=visit.capacity_ah,
        drawn_ratio=visit.drawn_ratio,
        median_v=median,
        ohm=visit.resistive_v / np.where(visit.current_a == 0.0, np.inf, visit.current_a),
        noise_v=visit.noise_v,
    )
    return CellState(
        states=states,
        covariance=covariance,
        signs=watch_signs(was.signs, seen, voltage, innovation),
        days=days,
        first_empty_ratio=first_empty,
        first_full_ratio=first_full,
        largest_ohm_ratio=largest_ohm,
    )


def with_jumps(was: CellState, elapsed_s: float) -> CellState:
    """Return the cells with the offset moved at once where a sensor jumped: the filter would take it for charge."""
    signs, jump = at_look(was.signs, elapsed_s)
    states = was.states
    if jump.any():
        states = states.copy()
        states[OFFSET] += jump
    return replace(was, states=states, signs=signs)


def _extremes(states: Cells, soc_ratio: Floats) -> tuple[Floats, Floats, Floats]:
    """Return how far the rack's extreme cells stand from its mean cell, in the mean cell's SOC, and in resistance."""
    soc = soc_ratio.astype(np.float32)[:, None]
    first_empty = (states[SOC] + soc * states[CAPACITY]).min(axis=1)
    first_full = (states[SOC] - (1.0 - soc) * states[CAPACITY]).max(axis=1)
    return (
        np.minimum(first_empty, 0.0).astype(np.float64),
        np.maximum(first_full, 0.0).astype(np.float64),
        1.0 + np.maximum(states[RESISTANCE].max(axis=1), 0.0).astype(np.float64),
    )


def median_of(values: Cells, valid: Mask) -> Floats:
    """Return the median over valid columns per row; 0 where there is none. Rows without gaps take the fast way."""
    if valid.all():
        last, half = values.shape[1] - 1, values.shape[1] // 2
        middle = np.partition(values, sorted({last - half, half}), axis=1)
        return (0.5 * (middle[:, last - half] + middle[:, half])).astype(np.float64)
    ranked = np.sort(np.where(valid, values, np.inf), axis=1)
    count = valid.sum(axis=1)
    rows = np.arange(len(ranked))
    middle = 0.5 * (
        ranked[rows, np.maximum(count - 1, 0) // 2] + ranked[rows, np.minimum(count // 2, ranked.shape[1] - 1)]
    )
    return np.asarray(np.where(count > 0, middle, 0.0), dtype=np.float64)


def _predicted(was: CellState, visit: Visit) -> tuple[Cells, Floats]:
    days = visit.elapsed_s / 86400.0
    drawn = visit.drawn_ratio
    states = was.states.copy()
    states[SOC] += (
        drawn.astype(np.float32)[:, None] * states[CAPACITY] - days.astype(np.float32)[:, None] * states[LEAK]
    )
    if visit.bled_ratio is not None:
        states[SOC] -= visit.bled_ratio
    move = np.tile(np.eye(STATES), (len(days), 1, 1))
    move[:, SOC, CAPACITY], move[:, SOC, LEAK] = drawn, -days
    drift = np.diag(np.square(DRIFT_PER_SQRT_DAY)) * days[:, None, None]
    return states, np.matmul(np.matmul(move, was.covariance), move.transpose(0, 2, 1)) + drift


def _place(visit: Visit, median_v: Floats) -> tuple[Floats, Floats]:
    """Return where on its curve the median cell stands, and the slope there.

    Where the curve is steep the voltage tells better than the rack's SOC, and a slope read beside it would be wrong.
    """
    at = np.clip(visit.soc_ratio, 0.0, 1.0)
    open_v = median_v + visit.resistive_v
    slope = np.zeros_like(at)
    for _ in range(3):
        slope = (look_up(visit.curve_v, at[:, None] + 0.005) - look_up(visit.curve_v, at[:, None] - 0.005))[:, 0] / 0.01
        step = (open_v - look_up(visit.curve_v, at[:, None])[:, 0]) / np.maximum(slope, FLAT_V)
        near = np.clip(at + step - visit.soc_ratio, -PLACE_REACH, PLACE_REACH)
        at = np.where(slope > FLAT_V, visit.soc_ratio + near, at)
    return at, np.maximum(slope, 0.0)


def _steepest(curve_v: Floats, at: Floats, apart: Cells) -> Floats:
    """Return the steepest slope [rack] at the median cell and a little beyond the lowest and the highest one."""
    places = np.stack((at + apart.min(axis=1) - KNEE_REACH, at, at + apart.max(axis=1) + KNEE_REACH), axis=1)
    rise_v = look_up(curve_v, places + 0.005) - look_up(curve_v, places - 0.005)
    return np.asarray(rise_v.max(axis=1) / 0.01)


def _rows(visit: Visit, slope_v: Floats) -> Floats:
    rows = np.zeros((len(slope_v), STATES))
    rows[:, SOC], rows[:, RESISTANCE], rows[:, OFFSET] = slope_v, -visit.resistive_v, 1.0
    return rows


def _noise(visit: Visit, slope_v: Floats) -> Floats:
    lasts = NOISE_LASTS_S / np.clip(visit.elapsed_s, 1.0, NOISE_LASTS_S)
    steep = np.where(slope_v > STEEPEST_V, 10.0, 1.0)
    own = NOISE_V**2 + (NOISE_SOC * slope_v) ** 2 + (0.02 * visit.resistive_v) ** 2
    return np.asarray(own * lasts * steep)
