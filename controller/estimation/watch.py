"""Each visit of the cells: the difference filter moved on, temperatures watched, and once an hour a look for faults."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation import anomalies
from controller.estimation.cell_filter import Visit, visit_cells, with_jumps
from controller.estimation.cell_groups import CellGroup
from controller.estimation.cell_tables import FIRST_PAIR, HALF_GAP, OCV, SERIES, look_up
from controller.estimation.config import EstimatorConfig
from controller.estimation.finding_evidence import Evidence
from controller.estimation.samples import RackSample
from controller.estimation.state import NEVER, EstimatorState
from controller.estimation.thermal import core_per_surface
from controller.estimation.warm_cells import watch_temperatures

Floats = NDArray[np.float64]

FAST_PAIR_S = 100.0
"""Pairs slower than this are not part of a cell's own resistance: they differ with its past."""
LEAST_USEFUL_CELLS = 8
"""With fewer cells in series there is no crowd to compare one with."""
USEFUL_WIDTH = 0.5
BLED_KNOWN_TO = 0.3
"""Part of a bleed current that is not known even where the BMS tells when it flows."""


def watch_cells(config: EstimatorConfig, state: EstimatorState, sample: RackSample, now_ns: int) -> None:
    """Visit the groups that are due with the latest voltages; replaces the state's groups."""
    period_ns = config.visit_period_s * 1e9
    due = [k for k, group in enumerate(state.groups) if now_ns - group.visited_ns >= period_ns]
    if not due or state.groups[0].cells.states.shape[2] < LEAST_USEFUL_CELLS:
        return
    groups = list(state.groups)
    for k in due:
        groups[k] = _visited(config, state, sample, groups[k], now_ns)
    if any(groups[k].anomalies.found is not state.groups[k].anomalies.found for k in due):
        state.findings = tuple(finding for group in groups for finding in group.anomalies.found)
    state.groups = tuple(groups)


def _visited(
    config: EstimatorConfig, state: EstimatorState, sample: RackSample, was: CellGroup, now_ns: int
) -> CellGroup:
    racks = was.racks
    seen_ns, drawn = state.cell_time_ns[racks], state.counted_drawn_ratio[racks]
    elapsed_s = np.where(was.seen_ns != NEVER, np.maximum(seen_ns - was.seen_ns, 0), 0) * 1e-9
    narrow = state.soc_high_ratio[racks] - state.soc_low_ratio[racks] < USEFUL_WIDTH
    soc = np.clip(state.soc_ratio[racks] - state.block_drawn_ratio[racks], 0.0, 1.0)
    curves = state.curves[racks]
    visit = Visit(
        elapsed_s=elapsed_s,
        drawn_ratio=drawn - was.drawn_ratio,
        soc_ratio=soc,
        curve_v=curves[:, OCV] + state.hysteresis[racks, None] * curves[:, HALF_GAP],
        resistive_v=_resistive(config, state, racks, curves, soc),
        current_a=state.current_a[racks],
        capacity_ah=config.capacity_ah[racks],
        noise_v=config.voltage_noise_v[racks],
        use=(seen_ns != was.seen_ns) & narrow & ~state.doubt.doubted[racks],
        bled_ratio=_bled(config, sample, racks, elapsed_s),
    )
    cells = visit_cells(was.cells, visit, sample.cell_voltage_v[racks], sample.cell_valid[racks])
    warm = watch_temperatures(
        was.anomalies.warmth,
        np.asarray(sample.cell_temperature_degc[racks], dtype=np.float32),
        sample.temperature_valid[racks],
        state.heat_rise_k[racks],
        elapsed_s,
    )
    warmed = anomalies.with_bled(replace(was.anomalies, warmth=warm), visit.bled_ratio)
    since_look_ns = now_ns - warmed.looked_ns
    if since_look_ns >= anomalies.LOOK_NS:
        cells = with_jumps(cells, since_look_ns * 1e-9)
        warmed = anomalies.look(warmed, cells, _evidence(config, state, sample, was, curves), now_ns)
    return replace(was, visited_ns=now_ns, seen_ns=seen_ns, drawn_ratio=drawn, cells=cells, anomalies=warmed)


def _evidence(
    config: EstimatorConfig, state: EstimatorState, sample: RackSample, group: CellGroup, curves: Floats
) -> Evidence:
    racks = group.racks
    soc = state.soc_ratio[racks, None]
    told = sample.tells_balancing[racks]
    return Evidence(
        first_rack=group.first,
        capacity_ah=config.capacity_ah[racks] * state.capacity_in_use.ratio[racks],
        voltage_v=look_up(curves[:, OCV], soc)[:, 0],
        noise_v=config.voltage_noise_v[racks],
        core_per_surface=core_per_surface(config)[racks],
        balancing_unknown_a=config.balancing_a[racks] * np.where(told, BLED_KNOWN_TO, 1.0),
        balancing_told=told,
    )


def _resistive(config: EstimatorConfig, state: EstimatorState, racks: slice, curves: Floats, soc: Floats) -> Floats:
    fast = config.pair_time_constant_s[racks] < FAST_PAIR_S
    load = np.concatenate((state.current_a[racks, None], np.where(fast, state.pair_current_a[racks], 0.0)), axis=1)
    drop_v = np.einsum("rc,rcz->rz", load, curves[:, SERIES : FIRST_PAIR + fast.shape[1]])
    return look_up(drop_v, soc[:, None])[:, 0]


def _bled(config: EstimatorConfig, sample: RackSample, racks: slice, elapsed_s: Floats) -> NDArray[np.float32] | None:
    if sample.balancing is None:
        return None
    share = config.balancing_a[racks] * elapsed_s / 3600.0 / config.capacity_ah[racks]
    return (sample.balancing[racks] * share[:, None]).astype(np.float32)
