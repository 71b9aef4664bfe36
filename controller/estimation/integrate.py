"""What happens at every sample: charge is counted, pair currents and hysteresis move, voltages are averaged.

Racks with a new sample only, each over its own time. What can't be true (a current beyond any limit, time going back)
is not counted but widens the bounds as an unseen current would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.estimation.config import EstimatorConfig
from controller.estimation.mean_resistance import StepSample, with_sample
from controller.estimation.samples import RackSample, cell_means
from controller.estimation.state import NEVER, EstimatorState
from controller.estimation.unseen import LOST_RATIO, unseen_current_a, unseen_ratio, with_unseen
from controller.estimation.warranty import LONGEST_SAMPLE_S, metered
from controller.image.masks import anywhere, everywhere

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

GAP_PERIODS = 3.0
VOLTAGE_AGE_S = 2.0
CELLS_NEEDED_SHARE = 0.8


def integrate(config: EstimatorConfig, state: EstimatorState, sample: RackSample) -> Mask:
    """Take a sample into the open block; returns which racks had a new one. Replaces arrays of `state`."""
    elapsed_s = np.asarray((sample.source_time_ns - state.time_ns) * 1e-9, dtype=np.float64)
    seen = state.time_ns != NEVER
    possible = np.abs(sample.current_a) < config.impossible_current_a
    new: Mask = sample.valid & possible & (~seen | (elapsed_s > 0.0))
    if not anywhere(new):
        return new
    current_a, before_a, time_ns = sample.current_a, state.current_a, sample.source_time_ns
    if not everywhere(new & seen):
        elapsed_s = np.where(new & seen, elapsed_s, 0.0)
        current_a = np.where(new, current_a, before_a)
        before_a = np.where(seen, before_a, current_a)
        time_ns = np.where(new, time_ns, state.time_ns)
    mean_a = np.asarray(0.5 * (before_a + current_a))
    usual_s = np.where(state.period_s > 0.0, GAP_PERIODS * state.period_s, LONGEST_SAMPLE_S)
    sound = (elapsed_s <= np.minimum(usual_s, LONGEST_SAMPLE_S)) & ~state.doubt.suspected
    state.meter = metered(state.meter, mean_a, sample.voltage_v, np.where(sound, elapsed_s, 0.0))
    held_a = _count(config, state, elapsed_s, mean_a, current_a)[:, None]
    decay = np.exp(-elapsed_s[:, None] / config.pair_time_constant_s)
    state.pair_current_a = held_a + decay * (state.pair_current_a - held_a)
    state.current_a = current_a
    state.time_ns = time_ns
    return new


def _count(config: EstimatorConfig, state: EstimatorState, elapsed_s: Floats, mean_a: Floats, now_a: Floats) -> Floats:
    """Count charge, note gaps, and let the hysteresis follow; returns the current [rack] that pairs are to hold.

    That is the one seen now; over a gap the mean of its ends, or none where they say nothing: a pulse that a gap
    happens to end with has not flowed for hours.
    """
    held_a, drawn = now_a, mean_a * elapsed_s / (3600.0 * config.capacity_ah)
    known = state.period_s > 0.0
    gap_s = (elapsed_s - GAP_PERIODS * state.period_s) * known
    if gap_s.max() > 0.0:
        missed_s = np.maximum(gap_s, 0.0)
        unseen = unseen_ratio(config, missed_s)
        lost = unseen > LOST_RATIO
        unseen, drawn = np.where(lost, 1.0, unseen), np.where(lost, 0.0, drawn)
        held_a = np.where(lost, 0.0, np.where(gap_s > 0.0, mean_a, now_a))
        state.hysteresis = np.where(lost, 0.0, state.hysteresis)
        state.unseen = with_unseen(config, state.unseen, unseen_current_a(config), missed_s, unseen)
        state.block_extra_ratio = np.hypot(state.block_extra_ratio, unseen)
        _forget_voltages(state, gap_s > 0.0)
    if not everywhere(elapsed_s == state.period_s):
        pace = np.where(known, state.period_s + 0.1 * (elapsed_s - state.period_s), elapsed_s)
        state.period_s = np.where((elapsed_s > 0.0) & (gap_s <= 0.0), pace, state.period_s)
    moved = np.abs(drawn)
    keep = np.exp(-config.hysteresis_per_soc * moved)
    toward = -np.sign(drawn)
    state.hysteresis = toward + keep * (state.hysteresis - toward)
    state.block_drawn_ratio = state.block_drawn_ratio + drawn
    state.counted_drawn_ratio = state.counted_drawn_ratio + drawn
    state.counted_moved_ratio = state.counted_moved_ratio + moved
    state.block_moved_ratio = state.block_moved_ratio + moved
    return held_a


def _forget_voltages(state: EstimatorState, which: Mask) -> None:
    """Drop the voltages of an open block that a gap has cut: they belong to another SOC."""
    state.block_sums = np.where(which[:, None], 0.0, state.block_sums)
    state.block_samples = np.where(which, 0, state.block_samples)


def take_voltages(config: EstimatorConfig, state: EstimatorState, sample: RackSample) -> Mask:
    """Add new cell voltages to the open block's means; returns which racks had new cells."""
    fresh = sample.cell_time_ns > state.cell_time_ns
    near = np.abs(sample.cell_time_ns - state.time_ns) < (VOLTAGE_AGE_S + state.period_s) * 1e9
    if not anywhere(fresh):
        return fresh
    mean_v, count = cell_means(sample.cell_voltage_v, sample.cell_valid)
    use = fresh & near & (count >= CELLS_NEEDED_SHARE * config.cells_in_series)
    scalars = (mean_v, state.current_a, state.hysteresis, state.block_drawn_ratio)
    row = np.concatenate((np.stack(scalars, axis=1), state.pair_current_a), axis=1)
    state.block_sums = state.block_sums + (row if everywhere(use) else np.where(use[:, None], row, 0.0))
    state.block_samples = state.block_samples + use
    state.steps = with_sample(
        state.steps,
        StepSample(
            time_s=np.asarray(state.time_ns * 1e-9, dtype=np.float64),
            voltage_v=mean_v,
            current_a=state.current_a,
            pair_current_a=state.pair_current_a,
            drawn_ratio=state.counted_drawn_ratio,
            curves=state.curves,
            soc_ratio=state.soc_ratio,
            capacity_ah=config.capacity_ah,
            use=use,
        ),
    )
    state.seen_voltage_v = np.where(use, mean_v, state.seen_voltage_v)
    state.seen_current_a = np.where(use, state.current_a, state.seen_current_a)
    state.cell_time_ns = np.maximum(sample.cell_time_ns, state.cell_time_ns)
    return fresh


def take_temperatures(state: EstimatorState, sample: RackSample) -> None:
    """Keep each rack's mean temperature, the last one where none is valid."""
    temperature, sensors = cell_means(sample.cell_temperature_degc, sample.temperature_valid)
    state.temperature_degc = np.where(sensors > 0, temperature, state.temperature_degc)
