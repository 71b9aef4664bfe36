"""The estimator on a million cells: 2,400 racks of 416, a sample a second, beside copying the same arrays.

Every second of ten is measured, so that each cell is visited once and the rack filter corrects as often as in a plant.
A per-object loop over a few cells shows what the same filter would cost one cell at a time.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from controller.estimation import EstimatorConfig, RackSample, RackSpec, estimate, estimator_config, initial
from controller.plant.cell_loader import packaged_cell_type
from controller.runtime.bench.result import Result, at_most

RACKS, CELLS, SECONDS = 2400, 416, 40
MOST_CORE_RATIO, MOST_MB = 0.20, 2000.0
LOOPED_CELLS = 2000


def bench_estimation(racks: int = RACKS) -> list[Result]:
    """Return the core's share at 1 Hz and the memory of the estimator, and ns per cell and step."""
    config = estimator_config([RackSpec(packaged_cell_type("generic_280_lfp"), 280.0, CELLS, 140.0, 140.0)] * racks)
    per_step_s = _estimate_s(config)
    count = racks * CELLS
    copied_ns, looped_ns = _copied_s(config) / count * 1e9, _looped_s() / LOOPED_CELLS * 1e9
    per_cell_ns = per_step_s / count * 1e9
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    beside = {"copyto_ns_per_cell": copied_ns, "per_object_loop_ns_per_cell": looped_ns, "cells": float(count)}
    return [
        at_most("estimation_core_share_at_1hz", per_step_s, "ratio", MOST_CORE_RATIO, {"cells": float(count)}),
        at_most("estimation_per_cell_and_step", per_cell_ns, "ns", None, beside),
        at_most("estimation_memory", memory_mb, "MB", MOST_MB, {"cells": float(count)}),
    ]


def _estimate_s(config: EstimatorConfig) -> float:
    state, rng = initial(config, 0), np.random.default_rng(1)
    shape = config.racks, CELLS
    rest_v = (3.3 + 0.002 * rng.standard_normal(shape)).astype(np.float32)
    spent_s = []
    for second in range(1, SECONDS + 1):
        noisy_v = rest_v + np.float32(0.001) * rng.standard_normal(CELLS, dtype=np.float32)
        sample = _sample(config, second, noisy_v)
        begun = time.process_time()
        estimate(config, state, sample, second * 10**9)
        spent_s.append(time.process_time() - begun)
    return float(np.mean(spent_s[-30:]))


def _sample(config: EstimatorConfig, second: int, cell_v: np.ndarray) -> RackSample:
    racks = config.racks
    times, yes = np.full(racks, second * 10**9, np.int64), np.ones(racks, np.bool_)
    return RackSample(
        source_time_ns=times,
        valid=yes,
        current_a=np.full(racks, 60.0 * np.sin(0.3 * second)),
        voltage_v=cell_v.sum(axis=1).astype(np.float64),
        soc_bms_ratio=np.full(racks, 0.5),
        contactor_open=~yes,
        bms_alarm_free=yes,
        cell_time_ns=times,
        cell_voltage_v=cell_v,
        cell_valid=np.ones(cell_v.shape, np.bool_),
        cell_temperature_degc=np.full((racks, config.temperature_sensors), 25.0, np.float32),
        temperature_valid=np.ones((racks, config.temperature_sensors), np.bool_),
    )


def _copied_s(config: EstimatorConfig) -> float:
    """Return how long it takes to copy what is kept of the cells."""
    groups = initial(config, 0).groups
    arrays = [part for group in groups for part in (group.cells.states, group.cells.signs.last_v)]
    targets = [np.empty_like(part) for part in arrays]
    begun = time.process_time()
    for target, part in zip(targets, arrays, strict=True):
        np.copyto(target, part)
    return time.process_time() - begun


def _looped_s() -> float:
    """Return how long the same five-state filter takes, one cell object after another in Python."""
    cells = [np.zeros(5) for _ in range(LOOPED_CELLS)]
    gain = np.array([0.01, 0.001, 0.001, 0.01, 0.005])
    row = np.array([0.1, 0.0, 0.0, -0.02, 1.0])
    begun = time.process_time()
    for number, cell in enumerate(cells):
        cells[number] = cell + gain * (0.001 - float(row @ cell))
    return time.process_time() - begun
