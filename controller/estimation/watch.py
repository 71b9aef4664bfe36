"""Each visit of the cells: the difference filter moved on, temperatures watched, and once an hour a look for faults."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.estimation import anomalies
from controller.estimation.cell_filter import Visit, visit_cells
from controller.estimation.cell_tables import FIRST_PAIR, HALF_GAP, OCV, SERIES, look_up
from controller.estimation.config import EstimatorConfig
from controller.estimation.samples import RackSample
from controller.estimation.state import NEVER, EstimatorState

Floats = NDArray[np.float64]

FAST_PAIR_S = 100.0
"""Pairs slower than this are not part of a cell's own resistance: they differ with its past."""


def watch_cells(config: EstimatorConfig, state: EstimatorState, sample: RackSample, now_ns: int) -> None:
    """Visit every cell with the latest voltages; replaces the state's cells and anomalies."""
    curves, soc = state.curves, np.clip(state.soc_ratio - state.block_drawn_ratio, 0.0, 1.0)
    if state.cells.states.shape[2] < MOST_USEFUL_CELLS:
        return
    seen = state.cell_visit_ns != NEVER
    elapsed_s = np.where(seen, np.maximum(state.cell_time_ns - state.cell_visit_ns, 0), 0) * 1e-9
    use = (state.cell_time_ns != state.cell_visit_ns) & (state.soc_high_ratio - state.soc_low_ratio < USEFUL_WIDTH)
    resistive_v = _resistive(config, state, soc)
    visit = Visit(
        elapsed_s=elapsed_s,
        drawn_ratio=state.cell_drawn_ratio,
        soc_ratio=soc,
        curve_v=curves[:, OCV] + state.hysteresis[:, None] * curves[:, HALF_GAP],
        resistive_v=resistive_v,
        current_a=state.current_a,
        use=use,
        bled_ratio=_bled(config, sample, elapsed_s),
    )
    state.cells = visit_cells(state.cells, visit, sample.cell_voltage_v, sample.cell_valid)
    state.cell_visit_ns = state.cell_time_ns
    state.cell_drawn_ratio = np.zeros(config.racks)
    warmed = anomalies.watch_temperatures(
        state.anomalies,
        np.asarray(sample.cell_temperature_degc, dtype=np.float32),
        sample.temperature_valid,
        state.current_a / config.capacity_ah,
        elapsed_s,
    )
    unknown_a = config.balancing_a if sample.balancing is None else np.zeros(config.racks)
    evidence = anomalies.Evidence(
        capacity_ah=config.capacity_ah * state.capacity_ah_ratio,
        voltage_v=look_up(curves[:, OCV], state.soc_ratio[:, None])[:, 0],
        series_ohm=look_up(curves[:, SERIES], state.soc_ratio[:, None])[:, 0],
        balancing_unknown_a=unknown_a,
    )
    state.anomalies = anomalies.look(warmed, state.cells, evidence, now_ns)


MOST_USEFUL_CELLS = 8
"""With fewer cells in series there is no crowd to compare one with."""
USEFUL_WIDTH = 0.5


def _resistive(config: EstimatorConfig, state: EstimatorState, soc_ratio: Floats) -> Floats:
    at, curves = soc_ratio[:, None], state.curves
    drop = look_up(curves[:, SERIES], at)[:, 0] * state.current_a
    constants = config.pair_time_constant_s
    for k in range(config.tables.pairs):
        fast = constants[:, k] < FAST_PAIR_S
        drop = drop + np.where(fast, look_up(curves[:, FIRST_PAIR + k], at)[:, 0] * state.pair_current_a[:, k], 0.0)
    return np.asarray(drop)


def _bled(config: EstimatorConfig, sample: RackSample, elapsed_s: Floats) -> NDArray[np.float32] | None:
    if sample.balancing is None:
        return None
    share = config.balancing_a * elapsed_s / 3600.0 / config.capacity_ah
    return (sample.balancing * share[:, None]).astype(np.float32)
