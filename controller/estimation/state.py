"""What the estimator remembers between scans, owned by the scan.

Arrays are replaced, never written into, so a copy is a handful of references: an estimate that fails half-way leaves
the original whole. Saved as one `npz`; a restart widens the bounds for the time away.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.estimation.anomalies import AnomalyState, initial_anomalies
from controller.estimation.cell_filter import CellState, initial_cells
from controller.estimation.cell_tables import curves_at
from controller.estimation.config import EstimatorConfig
from controller.estimation.power import HORIZONS_S
from controller.estimation.rack_filter import Hypotheses, Prior, initial_hypotheses, soc_bounds

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

FORMAT = 1
NESTED = ("hypotheses", "cells")
NOT_ARRAYS = ("hypotheses", "curves", "visited_ns", "cells", "anomalies")
FIRST_PAIR_SUM = 4
NEVER = -1
"""A time that has not been."""
INITIAL_SOC_SIGMA = 0.5
MODEL_BIAS_V = 0.003
"""1-sigma of what a cell model is off by at every SOC, seen on records that were not fitted."""


class StateError(ValueError):
    """Saved bytes that do not belong to this plant or this version; the caller starts anew."""


@dataclass(slots=True)
class EstimatorState:
    """One array a field, first axis rack; the block is what has happened since the last voltage update."""

    time_ns: Times
    cell_time_ns: Times
    period_s: Floats
    current_a: Floats
    temperature_degc: Floats
    pair_current_a: Floats  # [rack, pair]
    hysteresis: Floats
    block_start_ns: Times
    block_drawn_ratio: Floats
    block_moved_ratio: Floats
    block_extra_ratio: Floats  # 1-sigma of charge that may have flowed unseen
    block_sums: Floats  # [rack, voltage | current | hysteresis | charge drawn | pairs]
    block_samples: NDArray[np.int64]
    series_ohm: Floats
    step_voltage_v: Floats  # mean cell at the last voltage sample
    step_current_a: Floats
    step_trend_v: Floats
    step_misfit_v2: Floats  # mean square of voltage steps that the current does not explain
    step_expected_v2: Floats
    current_doubtful: NDArray[np.bool_]
    hypotheses: Hypotheses
    soc_ratio: Floats  # at the last update
    soc_sigma_ratio: Floats
    soc_low_ratio: Floats
    soc_high_ratio: Floats
    anchor_time_ns: Times
    residual_v: Floats
    updated_ns: Times
    capacity_ah_ratio: Floats  # present over nameplate, in the sensor's own ampere-hours
    capacity_sigma_ratio: Floats
    capacity_low_ratio: Floats
    capacity_high_ratio: Floats
    resistance_ratio: Floats
    resistance_ohm: Floats
    energy_to_empty_wh: Floats
    energy_to_full_wh: Floats
    power_discharge_w: Floats  # [rack, horizon]
    power_charge_w: Floats  # [rack, horizon]
    curves: Floats  # [rack, curve, SOC point] at the last update's temperature
    cell_visit_ns: Times
    cell_drawn_ratio: Floats  # since the cells were visited
    visited_ns: int
    cells: CellState
    anomalies: AnomalyState

    def copy(self) -> EstimatorState:
        """Return a second state to work in; the arrays are shared until replaced."""
        second = object.__new__(EstimatorState)
        for name in EstimatorState.__slots__:
            setattr(second, name, getattr(self, name))
        return second

    def to_bytes(self) -> bytes:
        """Return everything as bytes for retained state; findings are kept by the alarm list, not here."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_ARRAYS}
        nested = {
            f"{part}_{f.name}": getattr(getattr(self, part), f.name)
            for part in NESTED
            for f in fields(getattr(self, part))
        }
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, format=np.array(FORMAT), **arrays, **nested)
        return buffer.getvalue()


def initial(
    config: EstimatorConfig, now_ns: int, soc_ratio: float = 0.5, soc_sigma_ratio: float = INITIAL_SOC_SIGMA
) -> EstimatorState:
    """Return a state that knows nothing yet but perhaps a hint of the SOC: sensors as their data sheet says."""
    racks, pairs = config.racks, config.tables.pairs
    cells = int(config.cells_in_series.max())
    hint = np.full(racks, soc_ratio), np.full(racks, soc_sigma_ratio)
    mixture = initial_hypotheses(prior(config), *hint)
    soc, sigma, low, high = soc_bounds(mixture)
    zeros = np.zeros(racks)
    never = np.full(racks, NEVER, dtype=np.int64)
    return EstimatorState(
        time_ns=never,
        cell_time_ns=never,
        period_s=zeros,
        current_a=zeros,
        temperature_degc=np.full(racks, 25.0),
        pair_current_a=np.zeros((racks, pairs)),
        hysteresis=zeros,
        block_start_ns=np.full(racks, now_ns, dtype=np.int64),
        block_drawn_ratio=zeros,
        block_moved_ratio=zeros,
        block_extra_ratio=zeros,
        block_sums=np.zeros((racks, FIRST_PAIR_SUM + pairs)),
        block_samples=np.zeros(racks, dtype=np.int64),
        series_ohm=np.zeros(racks),
        step_voltage_v=np.full(racks, np.nan),
        step_current_a=zeros,
        step_trend_v=zeros,
        step_misfit_v2=zeros,
        step_expected_v2=zeros,
        current_doubtful=np.zeros(racks, dtype=bool),
        hypotheses=mixture,
        soc_ratio=soc,
        soc_sigma_ratio=sigma,
        soc_low_ratio=np.maximum(low, 0.0),
        soc_high_ratio=np.minimum(high, 1.0),
        anchor_time_ns=never,
        residual_v=zeros,
        updated_ns=never,
        capacity_ah_ratio=np.ones(racks),
        capacity_sigma_ratio=prior(config).scale,
        capacity_low_ratio=np.zeros(racks),
        capacity_high_ratio=np.full(racks, 2.0),
        resistance_ratio=np.ones(racks),
        resistance_ohm=np.full(racks, np.nan),
        energy_to_empty_wh=np.full(racks, np.nan),
        energy_to_full_wh=np.full(racks, np.nan),
        power_discharge_w=np.zeros((racks, len(HORIZONS_S))),
        power_charge_w=np.zeros((racks, len(HORIZONS_S))),
        curves=curves_at(config.tables, config.cell_index, np.full(racks, 25.0)),
        cell_visit_ns=never,
        cell_drawn_ratio=zeros,
        visited_ns=now_ns,
        cells=initial_cells(racks, cells),
        anomalies=initial_anomalies(racks, cells, config.temperature_sensors, now_ns),
    )


def prior(config: EstimatorConfig) -> Prior:
    """Return what the sensors' and the cells' data sheets leave open, 1 sigma per rack."""
    capacity = config.per_cell_type([cell.ageing.capacity_sigma_ratio for cell in config.cells])
    return Prior(
        offset_per_h=config.current_offset_a / config.capacity_ah,
        scale=np.hypot(config.current_gain_ratio, capacity),
        bias_v=np.hypot(config.voltage_bias_v, MODEL_BIAS_V),
        resistance=config.per_cell_type([cell.ageing.resistance_sigma_ratio for cell in config.cells]),
    )


def from_bytes(data: bytes, config: EstimatorConfig, now_ns: int, away_s: float) -> EstimatorState:
    """Return a saved state, widened by what may have flowed in `away_s` seconds; StateError if it can't be used.

    Monotonic times of the saved run mean nothing here: samples start anew, ages are carried by `away_s`.
    """
    fresh = initial(config, now_ns)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as saved:
            found = {name: saved[name] for name in saved.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise StateError(f"estimator state: not readable: {error}") from error
    if int(found.pop("format", np.array(0))) != FORMAT:
        raise StateError(f"estimator state: expected format {FORMAT}")
    state = _filled(fresh, found)
    return _after_absence(config, state, fresh, now_ns, away_s)


def _filled(fresh: EstimatorState, found: dict[str, NDArray[Any]]) -> EstimatorState:
    state = fresh.copy()
    for field in fields(EstimatorState):
        if field.name not in NOT_ARRAYS:
            setattr(state, field.name, _same_shape(field.name, getattr(fresh, field.name), found))
    mixture = (
        _same_shape(f"hypotheses_{f.name}", getattr(fresh.hypotheses, f.name), found) for f in fields(Hypotheses)
    )
    state.hypotheses = Hypotheses(*mixture)
    return state


def _same_shape(name: str, like: NDArray[Any], found: dict[str, NDArray[Any]]) -> NDArray[Any]:
    value = found.get(name)
    if value is None or value.shape != like.shape or value.dtype != like.dtype:
        raise StateError(f"estimator state: {name}: expected {like.dtype}{like.shape}; the plant has changed")
    return value


def _after_absence(
    config: EstimatorConfig, state: EstimatorState, fresh: EstimatorState, now_ns: int, away_s: float
) -> EstimatorState:
    """Return the state with times carried over and the charge of the open block and of the absence accounted for."""
    saved_ns = int(max(state.time_ns.max(), state.cell_time_ns.max(), 0))
    away_ns = int(away_s * 1e9)
    had_anchor = state.anchor_time_ns != NEVER
    extra = np.hypot(state.block_extra_ratio, unseen_ratio(config, np.full(config.racks, away_s)))
    return replace(
        state,
        time_ns=fresh.time_ns,
        cell_time_ns=fresh.cell_time_ns,
        cell_visit_ns=fresh.cell_visit_ns,
        step_voltage_v=fresh.step_voltage_v,
        updated_ns=np.where(state.updated_ns == NEVER, NEVER, now_ns),
        visited_ns=now_ns,
        pair_current_a=state.pair_current_a * np.exp(-away_s / config.pair_time_constant_s),
        block_start_ns=fresh.block_start_ns,
        block_sums=fresh.block_sums,
        block_samples=fresh.block_samples,
        block_extra_ratio=extra,
        anchor_time_ns=np.where(had_anchor, now_ns - away_ns - (saved_ns - state.anchor_time_ns), NEVER),
    )


UNSEEN_CURRENT_SHARE = 0.5
"""1-sigma of a current that nobody saw, as a share of the rack's largest allowed current."""


def unseen_ratio(config: EstimatorConfig, duration_s: Floats) -> Floats:
    """Return the 1-sigma of SOC that may have flowed in a time without samples [rack]."""
    current = np.maximum(config.charge_current_max_a, config.discharge_current_max_a)
    return np.minimum(UNSEEN_CURRENT_SHARE * current * duration_s / 3600.0 / config.capacity_ah, 1.0)
