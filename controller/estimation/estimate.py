"""One estimate of all racks: the samples in, values with bounds, quality and age of the last anchor out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation import capacity, misfit, rack_filter
from controller.estimation.beside_bms import listen
from controller.estimation.cell_groups import CellGroup
from controller.estimation.cell_tables import (
    FIRST_PAIR,
    HALF_GAP,
    MODEL_ERROR,
    OCV,
    SERIES,
    SOC_POINTS,
    curves_at,
    look_up,
)
from controller.estimation.config import EstimatorConfig
from controller.estimation.current_doubt import Change, counted, doubtful_voltage, judge
from controller.estimation.current_gain import current_gain, watch_gains
from controller.estimation.integrate import GAP_PERIODS, integrate, take_temperatures, take_voltages
from controller.estimation.mean_resistance import stated_resistance
from controller.estimation.power import PowerBasis, power_limits
from controller.estimation.present import UNCERTAIN_WIDTH, Estimate, present
from controller.estimation.rack_filter import Block, Expectation, Hypotheses, SeenVoltage
from controller.estimation.remaining_life import follow_life, remaining_life
from controller.estimation.samples import RackSample, cell_means
from controller.estimation.slow_currents import KNEE_PLACE_RATIO, with_slow_error
from controller.estimation.state import FIRST_PAIR_SUM, NEVER, EstimatorState, prior
from controller.estimation.state_of_energy import energy_limits
from controller.estimation.thermal import cell_heat_w, follow_core, follow_rise
from controller.estimation.unseen import forgotten, held_v2, with_unseen
from controller.estimation.warranty import FOLD_PERIOD_S, folded
from controller.estimation.watch import watch_cells
from controller.image.masks import anywhere

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

KNEE_TIES_V, NEAR_KNEE_RATIO = 0.015, 0.05
"""Where a knee so near may have moved the voltage by so much, its change is not held against the current."""
KNEE_RATIO = 0.1
"""How far beyond its bounds a SOC is looked at for a knee that moves the voltage without a step of current."""
STEEP_V = 0.3
"""OCV slope, V per unit of SOC, from which a voltage ties the SOC down (3 mV a point)."""
LASTING_SHARE, FLAT_V = 0.6, 0.5
"""Part of the model's error that is the same each time a SOC is visited: no repetition averages it away. It counts
where the SOC was learned: a voltage that teaches nothing (steep errors, plateau) brings none of its own."""
ANCHOR_SIGMA = 0.0125
LEAST_SLOPE_V = 1e-3


def estimate(config: EstimatorConfig, state: EstimatorState, sample: RackSample, now_ns: int) -> Estimate:
    """Return the estimate of all racks after a scan's samples; replaces arrays of `state` (work in a copy).

    Racks without a new sample keep their values and their bounds as of their last sample; how old they are is for
    whoever reads the source times.
    """
    integrate(config, state, sample)
    take_voltages(config, state, sample)
    first = (state.updated_ns == NEVER) & (state.block_samples > 0)
    due = now_ns - state.updated_ns.max() >= config.update_period_s * 1e9 or anywhere(first)
    if due:
        correct(config, state, sample)
        state.updated_ns = np.where(state.time_ns == NEVER, NEVER, now_ns)
    watch_cells(config, state, sample, now_ns)
    if due or now_ns - state.power_ns >= config.power_period_s * 1e9:
        _follow_core(config, state, now_ns)
        limit_power(config, state, sample)
        _listen_to_bms(state, sample, now_ns)
        state.power_ns = now_ns
    _watch_gains(config, state, sample, now_ns)
    if now_ns - state.meter.folded_ns >= FOLD_PERIOD_S * 1e9:
        _count_for_life(config, state, now_ns)
        _count_for_warranty(config, state, sample, now_ns)
    return present(config, state, sample, now_ns)


def correct(config: EstimatorConfig, state: EstimatorState, sample: RackSample) -> None:
    """Correct every rack with the voltages of its open block, and start a new block."""
    take_temperatures(state, sample)
    curves = curves_at(config.tables, config.cell_index, state.temperature_degc)
    took_s = np.maximum(state.time_ns - state.block_start_ns, 1) * 1e-9
    curves = state.curves = with_slow_error(state, curves, took_s)
    means = state.block_sums / np.maximum(state.block_samples, 1)[:, None]
    mean_v, current_a, hysteresis, drawn, *_ = means.T
    pair_a = means[:, FIRST_PAIR_SUM:]
    has_voltage = state.block_samples > 0
    expected = rack_filter.expectation(curves, hysteresis, current_a, pair_a)
    mixture = rack_filter.respread(_moved(config, state, curves))
    before = rack_filter.soc_variance(mixture)
    state.blind_s = np.where(has_voltage, 0.0, state.blind_s + took_s)
    lasted_s = np.clip((state.time_ns - state.block_start_ns) * 1e-9, 1.0, 300.0)
    noise = config.voltage_noise_v / np.sqrt(np.maximum(state.block_samples, 1))
    seen = SeenVoltage(np.nan_to_num(mean_v), noise, lasted_s, state.block_drawn_ratio - drawn, has_voltage)
    mixture = _corrected(config, state, mixture, expected, seen)
    mixture = _at_anchors(config, mixture, mean_v, current_a, has_voltage)
    state.hypotheses = mixture
    _store_soc(config, state, mixture, curves, before)
    _follow_capacity(config, state, means, has_voltage)
    _start_block(state)


def _corrected(
    config: EstimatorConfig, state: EstimatorState, was: Hypotheses, expected: Expectation, seen: SeenVoltage
) -> Hypotheses:
    """Return the mixture after a voltage; where it contradicts the current, after what the current may have hidden."""
    ohm = np.sum(state.curves[:, SERIES:, SOC_POINTS // 2], axis=1)
    before = rack_filter.expected_at(was, expected, seen.soc_back)
    state.residual_v = np.where(seen.use, seen.mean_v - before.open_circuit_v + before.resistive_v, np.nan)
    change = _change(state, before, seen)
    _follow_misfit(config, state, before, seen)
    mixture, fit = rack_filter.correct_with_voltage(
        was, expected, seen, doubtful_voltage(state.doubt, ohm, seen.duration_s)
    )
    series_ohm = state.curves[:, SERIES, SOC_POINTS // 2]
    doubt = judge(state.doubt, change, fit.far, fit.residual, series_ohm, seen.duration_s)
    doubt, unseen = counted(doubt, config.capacity_ah)
    if unseen.any() or doubt.jumped_v.any():
        state.block_extra_ratio = np.hypot(state.block_extra_ratio, unseen)
        was = rack_filter.unsettled(was, doubt.jumped_v, _slope_v(state))
        was = rack_filter.respread(rack_filter.widened(was, unseen))
        mixture, _ = rack_filter.correct_with_voltage(
            was, expected, seen, doubtful_voltage(doubt, ohm, seen.duration_s)
        )
    after = rack_filter.expected_at(mixture, expected, seen.soc_back)
    state.doubt = replace(
        doubt,
        residual_v=np.where(seen.use, seen.mean_v - after.open_circuit_v + after.resistive_v, np.nan),
        resistive_v=after.resistive_v,
        open_circuit_v=after.open_circuit_v,
    )
    return mixture


def _follow_misfit(
    config: EstimatorConfig, state: EstimatorState, before: rack_filter.Expected, seen: SeenVoltage
) -> None:
    """Hold the residual against all that may make it, but a current in doubt or unseen, which are told apart."""
    bias_v = prior(config).bias_v
    resistive_v = misfit.RESISTANCE_SHARE * before.resistive_v
    bends_v = KNEE_PLACE_RATIO * np.maximum(_slope_v(state, 0.02) - _slope_v(state, 0.4), 0.0)
    parts = (before.model_error_v, before.soc_error_v, resistive_v, bias_v, seen.noise_v, bends_v)
    expected_v = np.sqrt(np.sum(np.square(parts), axis=0))
    residual_v = state.residual_v + (state.resistance.ratio - 1.0) * before.resistive_v
    measured = np.where(state.resistance.measured, state.resistance.ratio, np.nan)
    unseen = state.block_extra_ratio
    use = seen.use & ~state.doubt.suspected & (unseen == 0.0)
    block = misfit.Residual(residual_v, expected_v, seen.duration_s, unseen, use)
    state.misfit = misfit.follow_misfit(state.misfit, block, measured)


def _slope_v(state: EstimatorState, reach_ratio: float = 0.1) -> Floats:
    """Return the mean slope of the open-circuit voltage so far about each rack's SOC, V per unit of SOC."""
    at = np.clip(state.soc_ratio, reach_ratio, 1.0 - reach_ratio)[:, None]
    rise_v = look_up(state.curves[:, OCV], at + reach_ratio) - look_up(state.curves[:, OCV], at - reach_ratio)
    return np.maximum(rise_v[:, 0] / (2.0 * reach_ratio), LEAST_SLOPE_V)


def _change(state: EstimatorState, expected: rack_filter.Expected, seen: SeenVoltage) -> Change:
    """Return what changed since the last block; nothing can be told over a gap."""
    was = state.doubt
    return Change(
        misfit_v=state.residual_v - was.residual_v,
        resistive_v=was.resistive_v - expected.resistive_v,
        open_circuit_v=expected.open_circuit_v - was.open_circuit_v,
        error_v=np.hypot(expected.model_error_v, seen.noise_v),
        bend_v=_bend_v(state, state.soc_low_ratio, state.soc_high_ratio, KNEE_RATIO),
        use=seen.use & np.isfinite(was.residual_v) & (state.block_extra_ratio == 0.0) & ~_is_at_knee(state),
    )


def _is_at_knee(state: EstimatorState) -> Mask:
    """Whether a knee is near: there each rack's own curve bends elsewhere, and the voltage itself tells the SOC."""
    return np.asarray(_bend_v(state, state.soc_ratio, state.soc_ratio, NEAR_KNEE_RATIO) > KNEE_TIES_V)


def _bend_v(state: EstimatorState, low_ratio: Floats, high_ratio: Floats, beyond_ratio: float) -> Floats:
    """Return by how much the open-circuit voltage may have moved: a knee inside these bounds or near them counts."""
    steps = np.diff(state.curves[:, OCV], axis=1)
    place = np.linspace(0.0, 1.0, SOC_POINTS - 1)
    low, high = low_ratio[:, None], high_ratio[:, None]
    steepest = np.max(np.where((place >= low - beyond_ratio) & (place <= high + beyond_ratio), steps, 0.0), axis=1)
    return np.asarray(state.block_moved_ratio * steepest * (SOC_POINTS - 1))


def _moved(config: EstimatorConfig, state: EstimatorState, curves: Floats) -> Hypotheses:
    duration_s = np.where(state.updated_ns == NEVER, 0, np.maximum(state.time_ns - state.block_start_ns, 0)) * 1e-9
    held, drift = _hold_unseen(config, state, curves, duration_s)
    block = Block(
        duration_s=duration_s,
        drawn_ratio=state.block_drawn_ratio,
        moved_ratio=state.block_moved_ratio,
        extra_sigma_ratio=state.block_extra_ratio,
        held_v2=held,
        drift_v2=drift,
    )
    error = rack_filter.ERROR_MARGIN * look_up(curves[:, MODEL_ERROR], state.hypotheses.mean[..., rack_filter.SOC])
    span = config.tables.error_soc_ratio[config.cell_index]
    return rack_filter.predict(state.hypotheses, block, prior(config), error, span)


def _hold_unseen(
    config: EstimatorConfig, state: EstimatorState, curves: Floats, duration_s: Floats
) -> tuple[Floats, Floats]:
    """Return the variance that voltages hold of currents that nobody saw, and what they lost of it in this block."""
    ohm = curves[:, FIRST_PAIR:, SOC_POINTS // 2]
    gap_v = look_up(curves[:, HALF_GAP], state.soc_ratio[:, None])[:, 0]
    doubt = state.doubt
    if doubt.doubted.any():
        unknown_a = np.where(doubt.doubted, doubt.unknown_a, 0.0)
        moved = unknown_a * doubt.wrong_s / 3600.0 / config.capacity_ah
        state.unseen = with_unseen(config, state.unseen, unknown_a, doubt.wrong_s, moved)
    hidden = (state.block_extra_ratio > 0.0) | doubt.doubted
    held = np.where(hidden, held_v2(state.unseen, ohm, gap_v), 0.0)
    since_s, moved = np.where(hidden, 0.0, duration_s), np.where(hidden, 0.0, state.block_moved_ratio)
    state.unseen, drift = forgotten(config, state.unseen, ohm, gap_v, since_s, moved)
    return held, drift


def _at_anchors(
    config: EstimatorConfig, mixture: Hypotheses, mean_v: Floats, current_a: Floats, has_voltage: Mask
) -> Hypotheses:
    """Return the mixture tied to 100 % where a charge has tapered off at the full voltage."""
    anchors = [cell.anchors for cell in config.cells]
    full_v = config.per_cell_type([a.full_voltage_v for a in anchors])
    taper_a = config.per_cell_type([a.full_taper_a for a in anchors])
    full = has_voltage & (mean_v >= full_v) & (current_a <= 0.0) & (current_a >= -taper_a - config.current_offset_a)
    if not full.any():
        return mixture
    sigma = config.per_cell_type([a.full_sigma_ratio for a in anchors])
    return rack_filter.correct_with_soc(mixture, np.ones(config.racks), sigma, full)


def _store_soc(
    config: EstimatorConfig, state: EstimatorState, mixture: Hypotheses, curves: Floats, variance_before: Floats
) -> None:
    """Keep what the mixture says; `variance_before` [rack] is the SOC's before this voltage, to see what it taught."""
    soc, sigma, low, high = rack_filter.soc_bounds(mixture)
    at = np.clip(soc, 0.01, 0.99)[:, None]
    slope = (look_up(curves[:, OCV], at + 0.01) - look_up(curves[:, OCV], at - 0.01))[:, 0] / 0.02
    lasting = LASTING_SHARE * look_up(curves[:, MODEL_ERROR], at)[:, 0] / np.maximum(slope, FLAT_V)
    taught = np.clip(1.0 - sigma**2 / variance_before, 0.0, 1.0)
    state.lasting_ratio = state.lasting_ratio + taught * (lasting - state.lasting_ratio)
    known_to = state.misfit.widening * np.hypot(sigma, state.lasting_ratio)
    wider = np.hypot(known_to, state.misfit.soc_error_ratio(_slope_v(state))) / sigma
    low, high = soc - wider * (soc - low), soc + wider * (high - soc)
    state.soc_ratio, state.soc_sigma_ratio = np.clip(soc, 0.0, 1.0), sigma
    state.soc_low_ratio = np.clip(low, 0.0, state.soc_ratio)
    state.soc_high_ratio = np.clip(high, state.soc_ratio, 1.0)
    center, spread = rack_filter.moments(mixture)
    state.resistance = stated_resistance(
        state.steps,
        np.clip(1.0 + center[:, rack_filter.RESISTANCE], 0.5, 3.0),
        config.temperature_bias_k,
        config.current_gain_ratio,
    )
    scale = np.maximum(1.0 + center[:, rack_filter.SCALE], capacity.LEAST_RATIO)
    scale_sigma = np.sqrt(spread[:, rack_filter.SCALE, rack_filter.SCALE])
    state.capacity_in_use = capacity.stated(1.0 / scale, scale_sigma / scale, config.current_gain_ratio)
    anchored = (
        (sigma < ANCHOR_SIGMA)
        & ~state.misfit.found
        & (slope > STEEP_V)
        & (state.block_samples > 0)
        & _may_anchor(config, soc)
    )
    state.anchor_time_ns = np.where(anchored, state.time_ns, state.anchor_time_ns)
    ohm = look_up(curves[:, SERIES], at)[:, 0]
    state.series_ohm = ohm
    state.resistance_ohm = ohm * state.resistance.ratio


def _may_anchor(config: EstimatorConfig, soc_ratio: Floats) -> Mask:
    """Whether a voltage may tie the SOC down here: never inside the band that the cell type forbids."""
    anchors = [cell.anchors for cell in config.cells]
    low = config.per_cell_type([a.forbidden_low_ratio for a in anchors])
    return np.asarray(
        (soc_ratio <= low) | (soc_ratio >= config.per_cell_type([a.forbidden_high_ratio for a in anchors]))
    )


def _follow_capacity(config: EstimatorConfig, state: EstimatorState, means: Floats, has_voltage: Mask) -> None:
    """Take the block's voltage as an anchor where it tells the SOC, and what two of them say of the capacity."""
    mean_v, current_a, hysteresis, drawn, *_ = means.T
    drop_v = capacity.drop_of(state.curves, state.soc_ratio, current_a, means[:, FIRST_PAIR_SUM:])
    drop_v = drop_v * state.resistance.ratio
    soc, sigma = capacity.voltage_reading(
        state.curves, np.nan_to_num(mean_v), drop_v, hysteresis, config.voltage_bias_v
    )
    state.counted_unseen_ratio = state.counted_unseen_ratio + state.block_extra_ratio
    now = capacity.Reading(
        soc_ratio=soc,
        sigma_ratio=np.where(has_voltage, sigma, np.inf),
        counted_ratio=state.counted_drawn_ratio - state.block_drawn_ratio + drawn,
        moved_ratio=state.counted_moved_ratio,
        unseen_ratio=state.counted_unseen_ratio,
        hours=state.time_ns / 3.6e12,
    )
    state.capacity = capacity.follow_capacity(state.capacity, now, prior(config).offset_per_h)
    known = state.capacity.pairs > 0
    if known.any():
        by_pairs = capacity.stated(state.capacity.ratio, state.capacity.sigma_ratio, config.current_gain_ratio)
        state.capacity_in_use = capacity.chosen(known, by_pairs, state.capacity_in_use)


def _start_block(state: EstimatorState) -> None:
    zeros = np.zeros_like(state.block_drawn_ratio)
    state.block_start_ns = np.where(state.time_ns == NEVER, state.block_start_ns, state.time_ns)
    state.block_drawn_ratio = state.block_moved_ratio = state.block_extra_ratio = zeros
    state.block_sums = np.zeros_like(state.block_sums)
    state.block_samples = np.zeros_like(state.block_samples)


def _follow_core(config: EstimatorConfig, state: EstimatorState, now_ns: int) -> None:
    """Move the mean cell's core on by the heat of the current since it was last looked at."""
    if not (state.time_ns != NEVER).any():
        return
    soc = np.clip(state.soc_ratio - state.block_drawn_ratio, 0.0, 1.0)
    heat_w = cell_heat_w(
        config,
        state.curves,
        soc,
        state.seen_current_a,
        state.pair_current_a,
        state.temperature_degc,
        state.seen_voltage_v,
    )
    elapsed_s = np.full(config.racks, max(now_ns - state.power_ns, 0) * 1e-9)
    state.heat_rise_k = follow_rise(config, state.heat_rise_k, heat_w, elapsed_s)
    state.core_degc = follow_core(config, state.core_degc, state.temperature_degc, heat_w, elapsed_s)


def limit_power(config: EstimatorConfig, state: EstimatorState, sample: RackSample) -> None:
    """Work out power and energy from where the racks stand now and how far their extreme cells stand apart."""
    first_empty, first_full, largest_ohm = (
        np.concatenate(part) for part in zip(*map(_extremes, state.groups), strict=True)
    )
    weak_v, strong_v = _extreme_voltages(sample)
    drawn = state.block_drawn_ratio
    coldest, hottest = _extreme_temperatures(state, sample)
    state.hottest_core_degc = hottest
    basis = PowerBasis(
        curves=state.curves,
        soc_low_ratio=np.clip(state.soc_low_ratio - drawn + first_empty, 0.0, 1.0),
        soc_high_ratio=np.clip(state.soc_high_ratio - drawn + first_full, 0.0, 1.0),
        capacity_ah=config.capacity_ah * state.capacity_in_use.ratio,
        hysteresis=state.hysteresis,
        pair_current_a=state.pair_current_a,
        resistance_ratio=state.resistance.ratio * largest_ohm,
        model_shift_v=np.nan_to_num(state.residual_v),
        weak_v=weak_v,
        strong_v=strong_v,
        coldest_degc=coldest,
        hottest_degc=hottest,
    )
    state.power = power_limits(config, basis)
    energy = energy_limits(basis, state.soc_ratio - drawn, first_empty, first_full, config.cells_in_series)
    state.energy_to_empty_wh, state.energy_to_full_wh = energy


def _listen_to_bms(state: EstimatorState, sample: RackSample, now_ns: int) -> None:
    drawn = state.block_drawn_ratio
    low, high = state.soc_low_ratio - drawn, state.soc_high_ratio - drawn
    state.beside = listen(state.beside, sample.soc_bms_ratio, state.counted_drawn_ratio, low, high, now_ns)


def _count_for_warranty(config: EstimatorConfig, state: EstimatorState, sample: RackSample, now_ns: int) -> None:
    """Add what was metered to the counters; a SOC that is uncertain and a temperature never read fill no bin."""
    narrow = state.soc_high_ratio - state.soc_low_ratio <= UNCERTAIN_WIDTH
    sure = ~(state.doubt.suspected | state.misfit.found)
    trusted = narrow & (state.updated_ns != NEVER) & sure & _recent(state, now_ns)
    temperature, sensors = cell_means(sample.cell_temperature_degc, sample.temperature_valid)
    state.warranty, state.meter = folded(
        state.warranty,
        state.meter,
        config.capacity_ah,
        np.where(trusted, state.soc_ratio - state.block_drawn_ratio, np.nan),
        sample.soc_bms_ratio,
        np.where(sensors > 0, temperature, np.nan),
        now_ns,
    )


def _watch_gains(config: EstimatorConfig, state: EstimatorState, sample: RackSample, now_ns: int) -> None:
    """Hold the racks' currents against the converters'."""
    was, state.gains = state.gains, watch_gains(config, state.gains, sample, now_ns)
    if state.gains.block_ns != was.block_ns:
        state.gain_error = current_gain(config, state.gains)


def _count_for_life(config: EstimatorConfig, state: EstimatorState, now_ns: int) -> None:
    """Take the capacity into its history: in true ampere-hours, so with the current's gain open."""
    ratio = state.capacity_in_use.ratio
    sigma = np.hypot(state.capacity_in_use.sigma_ratio, config.current_gain_ratio)
    elapsed_s = max(now_ns - state.meter.folded_ns, 0) * 1e-9
    state.life = follow_life(state.life, ratio, sigma, state.capacity.pairs, elapsed_s)
    state.remaining = remaining_life(state.life, ratio, sigma, config.end_of_life_ratio)


def _recent(state: EstimatorState, now_ns: int) -> Mask:
    silent_ns = now_ns - state.time_ns
    return np.asarray((state.time_ns != NEVER) & (silent_ns <= GAP_PERIODS * np.maximum(state.period_s, 1.0) * 1e9))


def _extremes(group: CellGroup) -> tuple[Floats, Floats, Floats]:
    return group.cells.first_empty_ratio, group.cells.first_full_ratio, group.cells.largest_ohm_ratio


def _extreme_voltages(sample: RackSample) -> tuple[Floats, Floats]:
    """Return how far the lowest and the highest cell [rack] stand from the mean cell; 0 where unknown."""
    voltage = sample.cell_voltage_v
    mean_v, count = cell_means(voltage, sample.cell_valid)
    known = count > 0
    if (count == voltage.shape[1]).all():
        return voltage.min(axis=1) - mean_v, voltage.max(axis=1) - mean_v
    usable = sample.cell_valid & np.isfinite(voltage)
    lowest = np.where(usable, voltage, np.inf).min(axis=1)
    highest = np.where(usable, voltage, -np.inf).max(axis=1)
    return np.where(known, lowest - mean_v, 0.0), np.where(known, highest - mean_v, 0.0)


def _extreme_temperatures(state: EstimatorState, sample: RackSample) -> tuple[Floats, Floats]:
    """Return the coldest and the hottest core [rack]: the sensors' extremes, and how far the mean core stands apart.

    Where no sensor is valid the last mean counts.
    """
    usable = sample.temperature_valid & np.isfinite(sample.cell_temperature_degc)
    known = usable.any(axis=1)
    coldest = np.where(usable, sample.cell_temperature_degc, np.inf).min(axis=1)
    hottest = np.where(usable, sample.cell_temperature_degc, -np.inf).max(axis=1)
    mean = state.temperature_degc
    inside_k = np.nan_to_num(state.core_degc - mean)
    coldest, hottest = np.where(known, coldest, mean), np.where(known, hottest, mean)
    return coldest + np.minimum(inside_k, 0.0), hottest + np.maximum(inside_k, 0.0)
