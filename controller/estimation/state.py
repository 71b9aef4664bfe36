"""What the estimator remembers between scans, owned by the scan.

Arrays are replaced, never written into, so a copy is a handful of references: an estimate that fails half-way leaves
the original whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.beside_bms import BesideBms, initial_beside
from controller.estimation.capacity import CapacityState, StatedCapacity, initial_capacity, stated
from controller.estimation.cell_groups import CellGroup, initial_groups
from controller.estimation.cell_tables import curves_at
from controller.estimation.config import EstimatorConfig
from controller.estimation.current_doubt import CurrentDoubt, initial_doubt
from controller.estimation.current_gain import CurrentGain, GainState, initial_gains
from controller.estimation.findings import Finding
from controller.estimation.mean_resistance import StatedResistance, StepSums, no_steps, stated_resistance
from controller.estimation.misfit import Misfit, initial_misfit
from controller.estimation.power import HORIZONS_S, PowerLimits
from controller.estimation.rack_filter import Hypotheses, Prior, initial_hypotheses, soc_bounds
from controller.estimation.remaining_life import LifeHistory, RemainingLife, initial_life
from controller.estimation.unseen import Unseen, nothing_unseen
from controller.estimation.warranty import Meter, Warranty, initial_meter, initial_warranty

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

FIRST_PAIR_SUM = 4
NEVER = -1
"""A time that has not been."""
INITIAL_SOC_SIGMA = 0.5
MODEL_BIAS_V = 0.003
"""1-sigma of what a cell model is off by at every SOC, seen on records that were not fitted."""


@dataclass
class EstimatorState:
    """One array a field, first axis rack; the block is what has happened since the last voltage update."""

    time_ns: Times
    cell_time_ns: Times
    period_s: Floats
    current_a: Floats
    temperature_degc: Floats
    core_degc: Floats  # of the mean cell; NaN: not followed yet
    hottest_core_degc: Floats
    heat_rise_k: Floats  # by how much its heat lifts the mean cell's surface above its air
    pair_current_a: Floats  # [rack, pair]
    hysteresis: Floats
    block_start_ns: Times
    block_drawn_ratio: Floats
    block_moved_ratio: Floats
    block_extra_ratio: Floats  # 1-sigma of charge that may have flowed unseen
    block_sums: Floats  # [rack, voltage | current | hysteresis | charge drawn | pairs]
    block_samples: NDArray[np.int64]
    series_ohm: Floats
    seen_voltage_v: Floats  # mean cell at the last voltage sample
    seen_current_a: Floats
    doubt: CurrentDoubt
    misfit: Misfit
    unseen: Unseen
    hypotheses: Hypotheses
    soc_ratio: Floats  # at the last update
    soc_sigma_ratio: Floats
    soc_low_ratio: Floats
    soc_high_ratio: Floats
    lasting_ratio: Floats  # 1-sigma of SOC that no repetition averages away
    slow_s: Floats  # for how long no large current and none the other way has flowed
    slow_way: Floats  # +1 discharge, -1 charge, 0: none has
    blind_s: Floats  # for how long no voltage has been seen
    anchor_time_ns: Times
    residual_v: Floats
    updated_ns: Times
    capacity_in_use: StatedCapacity  # present over nameplate, in the sensor's own ampere-hours
    steps: StepSums
    resistance: StatedResistance  # of the mean cell over its type's
    resistance_ohm: Floats
    energy_to_empty_wh: Floats
    energy_to_full_wh: Floats
    power: PowerLimits
    power_ns: int
    curves: Floats  # [rack, curve, SOC point] at the last update's temperature
    counted_drawn_ratio: Floats  # charge over nameplate, counted since the start: net
    counted_moved_ratio: Floats  # and without sign
    counted_unseen_ratio: Floats  # 1-sigma of charge that may have flowed unseen, summed up
    capacity: CapacityState
    beside: BesideBms
    gains: GainState
    gain_error: CurrentGain  # as of the last block
    meter: Meter
    warranty: Warranty  # retained apart, by rack name, as is the history of capacities
    life: LifeHistory
    remaining: RemainingLife
    findings: tuple[Finding, ...]
    groups: tuple[CellGroup, ...]

    def copy(self) -> EstimatorState:
        """Return a second state to work in; the arrays are shared until replaced."""
        second = object.__new__(EstimatorState)
        second.__dict__.update(self.__dict__)
        return second


def initial(
    config: EstimatorConfig, now_ns: int, soc_ratio: float = 0.5, soc_sigma_ratio: float = INITIAL_SOC_SIGMA
) -> EstimatorState:
    """Return a state that knows nothing yet but perhaps a hint of the SOC: sensors as their data sheet says."""
    racks, pairs = config.racks, config.tables.pairs
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
        core_degc=np.full(racks, np.nan),
        hottest_core_degc=np.full(racks, np.nan),
        heat_rise_k=zeros,
        pair_current_a=np.zeros((racks, pairs)),
        hysteresis=zeros,
        block_start_ns=np.full(racks, now_ns, dtype=np.int64),
        block_drawn_ratio=zeros,
        block_moved_ratio=zeros,
        block_extra_ratio=zeros,
        block_sums=np.zeros((racks, FIRST_PAIR_SUM + pairs)),
        block_samples=np.zeros(racks, dtype=np.int64),
        series_ohm=np.zeros(racks),
        seen_voltage_v=np.full(racks, np.nan),
        seen_current_a=zeros,
        doubt=initial_doubt(racks),
        misfit=initial_misfit(racks),
        unseen=nothing_unseen(racks, pairs),
        hypotheses=mixture,
        soc_ratio=soc,
        soc_sigma_ratio=sigma,
        soc_low_ratio=np.maximum(low, 0.0),
        soc_high_ratio=np.minimum(high, 1.0),
        lasting_ratio=zeros,
        slow_s=zeros,
        slow_way=zeros,
        blind_s=zeros,
        anchor_time_ns=never,
        residual_v=zeros,
        updated_ns=never,
        capacity_in_use=stated(np.ones(racks), prior(config).scale, config.current_gain_ratio),
        steps=no_steps(racks, pairs),
        resistance=stated_resistance(
            no_steps(racks, pairs), np.ones(racks), config.temperature_bias_k, config.current_gain_ratio
        ),
        resistance_ohm=np.full(racks, np.nan),
        energy_to_empty_wh=np.full(racks, np.nan),
        energy_to_full_wh=np.full(racks, np.nan),
        power=PowerLimits(*[np.zeros((racks, len(HORIZONS_S)))] * 4),
        power_ns=now_ns,
        curves=curves_at(config.tables, config.cell_index, np.full(racks, 25.0)),
        counted_drawn_ratio=zeros,
        counted_moved_ratio=zeros,
        counted_unseen_ratio=zeros,
        capacity=initial_capacity(racks, prior(config).scale),
        beside=initial_beside(racks, now_ns),
        gains=initial_gains(config, now_ns),
        gain_error=CurrentGain(*[np.full(racks, np.nan)] * 3),
        meter=initial_meter(racks, now_ns),
        warranty=initial_warranty(racks),
        life=initial_life(racks),
        remaining=RemainingLife(*[np.full(racks, np.nan)] * 2),
        findings=(),
        groups=initial_groups(config, NEVER, now_ns),
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
