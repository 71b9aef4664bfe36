"""The mean cell of each rack: a bank of Kalman filters over SOC hypotheses, all racks at once.

On LFP's plateau a voltage hardly tells the SOC, and a filter that linearises there believes what it happened to guess.
So the SOC is a mixture: some hypotheses, each with its own Kalman filter whose further states are the errors that a
voltage can't be told from: current offset, gain and capacity, voltage bias, model error, resistance. They carry the
sensors' and the model's stated errors, so the covariance stays true where nothing can be learned.

State, in this order: SOC; current offset in 1/h (A per Ah); relative error of gain and capacity; voltage bias (V,
constant); model error (V, forgets over a span of SOC); relative error of the resistance.
Sources: Alspach and Sorenson 1972 (Gaussian sums); Plett 2004 (cell models); Schmidt 1966 (considered errors).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import HALF_GAP, MODEL_ERROR, OCV, SERIES, look_up

Floats = NDArray[np.float64]

SOC, OFFSET, SCALE, BIAS, MODEL, RESISTANCE = range(6)
STATES = 6
HYPOTHESES = 15
SPACING = 1.0 / (HYPOTHESES - 1)
HYPOTHESIS_SIGMA = 0.6 * SPACING
SPLIT_SIGMA = 1.0 * SPACING
DEAD_LOG_WEIGHT = -30.0
FLOOR_LOG_WEIGHT = -1000.0
GATE_SIGMA = 3.0
BIAS_FORGETS_S = 86400.0
"""The model is off by as much each day at the same place: what one day taught must not add up over many."""
MODEL_FORGETS_S = 24.0 * 3600.0
THROUGHPUT_PER_NET = 2.5
"""How much charge flows to and fro for each that moves the SOC on: the model's error belongs to the place."""
RESISTANCE_FORGETS_SOC = 0.3
ERROR_MARGIN = 1.15
"""What a held-out error is multiplied by: it was measured on few records."""
FAST_ERROR_S = 100.0
"""The model's error also wanders from minute to minute: as white noise of its own size over so many seconds."""
FAST_RESISTANCE_SHARE = 0.1
OFFSET_DRIFT_PER_SQRT_DAY = 0.3
SCALE_DRIFT_PER_SQRT_DAY = 0.02
INITIAL_MODEL_V = 0.02
"""1-sigma of hysteresis and slow pairs together while nothing is known of the cell's past."""
NORMAL_95 = 1.959964
LEAST_SHARE = 1e-4


@dataclass(frozen=True, slots=True)
class Prior:
    """1-sigma of what is not known at the start, per rack [rack]."""

    offset_per_h: Floats
    scale: Floats
    bias_v: Floats
    resistance: Floats


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """The mixture [rack, hypothesis]: mean [.., state], covariance [.., state, state], log weight (largest is 0)."""

    mean: Floats
    covariance: Floats
    log_weight: Floats


@dataclass(frozen=True, slots=True)
class Block:
    """What happened since the last update, per rack [rack].

    `drawn_ratio` is measured charge over capacity, `moved_ratio` the same without sign; `extra_sigma_ratio` is what
    may have flowed unseen. `held_v2` is the variance that the voltage holds at least of such a current, `drift_v2` what
    it has lost of it.
    """

    duration_s: Floats
    drawn_ratio: Floats
    moved_ratio: Floats
    extra_sigma_ratio: Floats
    held_v2: Floats
    drift_v2: Floats


@dataclass(frozen=True, slots=True)
class Expectation:
    """What each rack's mean cell should show over SOC [rack, SOC point]: with hysteresis, and its resistive part."""

    open_circuit_v: Floats
    resistive_v: Floats
    model_error_v: Floats


@dataclass(frozen=True, slots=True)
class SeenVoltage:
    """A mean cell's voltage [rack]: averaged over `duration_s`, when the SOC was `soc_back` higher than now.

    Racks where `use` is false have none.
    """

    mean_v: Floats
    noise_v: Floats
    duration_s: Floats
    soc_back: Floats
    use: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Misfit:
    """How a measurement fitted the hypothesis that explains it best [rack]: its residual, squared over the gate too."""

    far: Floats
    residual: Floats


def initial_hypotheses(prior: Prior, soc_ratio: Floats, soc_sigma_ratio: Floats) -> Hypotheses:
    """Return hypotheses spread over the SOC range, weighted by a normal distribution around a first guess."""
    racks = len(soc_ratio)
    mean = np.zeros((racks, HYPOTHESES, STATES))
    mean[..., SOC] = np.linspace(0.0, 1.0, HYPOTHESES)
    covariance = np.zeros((racks, HYPOTHESES, STATES, STATES))
    covariance[..., SOC, SOC] = HYPOTHESIS_SIGMA**2
    for place, sigma in (
        (OFFSET, prior.offset_per_h),
        (SCALE, prior.scale),
        (BIAS, prior.bias_v),
        (RESISTANCE, prior.resistance),
    ):
        covariance[..., place, place] = (sigma**2)[:, None]
    covariance[..., MODEL, MODEL] = INITIAL_MODEL_V**2
    spread = (mean[..., SOC] - soc_ratio[:, None]) / np.hypot(soc_sigma_ratio, HYPOTHESIS_SIGMA)[:, None]
    log_weight = -0.5 * spread**2
    return Hypotheses(mean, covariance, log_weight - log_weight.max(axis=1, keepdims=True))


def predict(was: Hypotheses, block: Block, prior: Prior, model_error_v: Floats, error_soc_ratio: Floats) -> Hypotheses:
    """Return the hypotheses after a block: moved by the measured charge, wider by every error that acts on it.

    `model_error_v` is the model's error at each hypothesis [rack, hypothesis]; `error_soc_ratio` [rack] over how much
    SOC it lasts.
    """
    hours = (block.duration_s / 3600.0)[:, None]
    days = block.duration_s / 86400.0
    drawn = block.drawn_ratio[:, None]
    mean, cov = was.mean.copy(), was.covariance.copy()
    mean[..., SOC] += (hours * mean[..., OFFSET] - drawn) * (1.0 + mean[..., SCALE])
    cov[..., SOC, :] += hours[..., None] * cov[..., OFFSET, :] - drawn[..., None] * cov[..., SCALE, :]
    cov[..., SOC] += hours[..., None] * cov[..., OFFSET] - drawn[..., None] * cov[..., SCALE]
    keep = np.exp(-block.moved_ratio / (THROUGHPUT_PER_NET * error_soc_ratio) - block.duration_s / MODEL_FORGETS_S)[
        :, None
    ]
    keep_resistance = np.exp(-block.moved_ratio / RESISTANCE_FORGETS_SOC)[:, None]
    _forget(mean, cov, MODEL, keep, model_error_v)
    _forget(mean, cov, RESISTANCE, keep_resistance, prior.resistance[:, None])
    keep_bias = np.exp(-block.duration_s / BIAS_FORGETS_S)[:, None]
    _forget(mean, cov, BIAS, keep_bias, prior.bias_v[:, None])
    cov[..., SOC, SOC] += (block.extra_sigma_ratio**2)[:, None]
    cov[..., MODEL, MODEL] = np.maximum(cov[..., MODEL, MODEL], block.held_v2[:, None]) + block.drift_v2[:, None]
    cov[..., OFFSET, OFFSET] += ((OFFSET_DRIFT_PER_SQRT_DAY * prior.offset_per_h) ** 2 * days)[:, None]
    cov[..., SCALE, SCALE] += ((SCALE_DRIFT_PER_SQRT_DAY * prior.scale) ** 2 * days)[:, None]
    return Hypotheses(mean, cov, was.log_weight)


def _forget(mean: Floats, cov: Floats, place: int, keep: Floats, sigma: Floats) -> None:
    """Let one state return to its prior: first-order Gauss-Markov."""
    mean[..., place] *= keep
    cov[..., place, :] *= keep[..., None]
    cov[..., place] *= keep[..., None]
    cov[..., place, place] += (1.0 - keep**2) * sigma**2


@dataclass(frozen=True, slots=True)
class Expected:
    """What a mixture expects of the mean cell [rack], without what it has learned of errors: OCV less resistive part.

    `model_error_v` is the 1-sigma of the model there, `soc_error_v` what the SOC's own makes of the voltage.
    """

    open_circuit_v: Floats
    resistive_v: Floats
    model_error_v: Floats
    soc_error_v: Floats


def expected_at(mixture: Hypotheses, expected: Expectation, soc_back: Floats) -> Expected:
    """Return the mixture's mean of the curves, `soc_back` above where it stands now."""
    share, soc = weights(mixture), mixture.mean[..., SOC] + soc_back[:, None]
    sigma = np.sqrt(mixture.covariance[..., SOC, SOC])
    open_v = look_up(expected.open_circuit_v, soc)
    resistive_v, error_v = (
        np.sum(share * look_up(curve, soc), axis=1) for curve in (expected.resistive_v, expected.model_error_v)
    )
    mean_v = np.sum(share * open_v, axis=1)
    reach = 0.5 * (look_up(expected.open_circuit_v, soc + sigma) - look_up(expected.open_circuit_v, soc - sigma))
    spread_v = np.sqrt(np.sum(share * ((open_v - mean_v[:, None]) ** 2 + reach**2), axis=1))
    return Expected(mean_v, resistive_v, error_v, spread_v)


def correct_with_voltage(
    was: Hypotheses, expected: Expectation, seen: SeenVoltage, doubtful_v2: Floats
) -> tuple[Hypotheses, Misfit]:
    """Return the hypotheses after a mean-cell voltage, and how well it fitted; `doubtful_v2` comes from the current.

    The OCV's slope is taken over the hypothesis's own width (central differences), and what it bends there counts as
    noise: a sigma-point filter in the one direction that is not linear.
    """
    soc = was.mean[..., SOC] + seen.soc_back[:, None]
    sigma = np.sqrt(was.covariance[..., SOC, SOC])
    width = np.maximum(sigma, 0.004)
    middle = look_up(expected.open_circuit_v, soc)
    above, below = look_up(expected.open_circuit_v, soc + width), look_up(expected.open_circuit_v, soc - width)
    resistive = look_up(expected.resistive_v, soc)
    error = look_up(expected.model_error_v, soc)
    bend = 0.5 * (above + below) - middle
    rows = np.zeros_like(was.mean)
    rows[..., SOC] = (above - below) / (2.0 * width)
    rows[..., BIAS] = rows[..., MODEL] = 1.0
    rows[..., RESISTANCE] = -resistive
    predicted = (
        middle
        + bend * (sigma / width) ** 2
        - resistive * (1.0 + was.mean[..., RESISTANCE])
        + was.mean[..., BIAS]
        + was.mean[..., MODEL]
    )
    # the noise of a measurement is the same for all: stated per hypothesis, the one that states the least would win
    fast = (error**2 + (FAST_RESISTANCE_SHARE * resistive) ** 2) * (FAST_ERROR_S / seen.duration_s)[:, None]
    noise = (seen.noise_v**2 + np.sum(weights(was) * fast, axis=1))[:, None] + 2.0 * bend**2 * (sigma / width) ** 4
    return _corrected(was, rows, seen.mean_v[:, None] - predicted, noise, seen.use, doubtful_v2)


def correct_with_soc(was: Hypotheses, soc_ratio: Floats, sigma_ratio: Floats, use: NDArray[np.bool_]) -> Hypotheses:
    """Return the hypotheses after an anchor: a SOC [rack] known to a 1-sigma, whatever was believed before."""
    rows = np.zeros_like(was.mean)
    rows[..., SOC] = 1.0
    residual = soc_ratio[:, None] - was.mean[..., SOC]
    return _corrected(was, rows, residual, np.broadcast_to((sigma_ratio**2)[:, None], residual.shape), use)[0]


def _corrected(
    was: Hypotheses,
    rows: Floats,
    residual: Floats,
    noise: Floats,
    use: NDArray[np.bool_],
    doubtful: Floats | float = 0.0,
) -> tuple[Hypotheses, Misfit]:
    """Return the Kalman update of every hypothesis.

    A residual that is beyond the gate for every living hypothesis counts for no more than the gate: it is rather the
    measurement that is wrong. One that some hypothesis explains condemns the others at full weight.
    """
    cross = np.matmul(was.covariance, rows[..., None])[..., 0]
    variance = np.sum(rows * cross, axis=-1) + noise
    alive = was.log_weight > DEAD_LOG_WEIGHT
    far = np.where(alive, residual**2 / (GATE_SIGMA**2 * variance), np.inf)
    best = np.argmin(far, axis=1)[:, None]
    least = np.take_along_axis(far, best, axis=1)
    misfit = Misfit(np.where(use, least[:, 0], 0.0), np.take_along_axis(residual, best, axis=1)[:, 0])
    variance = variance * np.maximum(least, 1.0) + np.asarray(doubtful)[..., None]
    gain = np.where(use[:, None, None], cross / variance[..., None], 0.0)
    mean = was.mean + gain * residual[..., None]
    cov = was.covariance - gain[..., :, None] * cross[..., None, :]
    change = np.where(use[:, None], -0.5 * residual**2 / variance - 0.5 * np.log(variance), 0.0)
    log_weight = was.log_weight + change
    log_weight = np.maximum(log_weight - log_weight.max(axis=1, keepdims=True), FLOOR_LOG_WEIGHT)
    return Hypotheses(mean, cov, log_weight), misfit


def widened(was: Hypotheses, sigma_ratio: Floats) -> Hypotheses:
    """Return the hypotheses with each SOC less certain by a 1-sigma [rack]."""
    covariance = was.covariance.copy()
    covariance[..., SOC, SOC] += (sigma_ratio**2)[:, None]
    return Hypotheses(was.mean, covariance, was.log_weight)


def unsettled(was: Hypotheses, jump_v: Floats, slope_v: Floats) -> Hypotheses:
    """Return the hypotheses after the voltage has jumped [rack] and nobody knows why: unseen charge, or its sensor.

    Both get less certain by the whole jump; `slope_v` is the open-circuit voltage's, V per unit of SOC.
    """
    covariance = was.covariance.copy()
    covariance[..., SOC, SOC] += (np.minimum(jump_v / slope_v, 1.0) ** 2)[:, None]
    covariance[..., BIAS, BIAS] += (jump_v**2)[:, None]
    return Hypotheses(was.mean, covariance, was.log_weight)


def respread(was: Hypotheses) -> Hypotheses:
    """Return the hypotheses with every rack split anew whose leading one grew too wide to be linear.

    The mixture is summed up as one normal distribution and cut along the SOC into narrower ones; the other states
    move along with the SOC as their correlation says.
    """
    lead = np.argmax(was.log_weight, axis=1)
    racks = np.arange(len(lead))
    wide = np.sqrt(was.covariance[racks, lead, SOC, SOC]) > SPLIT_SIGMA
    if not wide.any():
        return was
    center, spread = moments(Hypotheses(was.mean[wide], was.covariance[wide], was.log_weight[wide]))
    mean, cov, log_weight = was.mean.copy(), was.covariance.copy(), was.log_weight.copy()
    mean[wide], cov[wide], log_weight[wide] = _split(center, spread)
    return Hypotheses(mean, cov, log_weight)


def moments(mixture: Hypotheses) -> tuple[Floats, Floats]:
    """Return the mixture's mean [rack, state] and covariance [rack, state, state]."""
    share = weights(mixture)
    center = np.sum(share[..., None] * mixture.mean, axis=1)
    off = mixture.mean - center[:, None, :]
    spread = np.sum(share[..., None, None] * (mixture.covariance + off[..., :, None] * off[..., None, :]), axis=1)
    return center, spread


def _split(center: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
    variance = spread[:, SOC, SOC]
    along = spread[:, :, SOC] / variance[:, None]
    reach = np.minimum(3.0 * np.sqrt(variance), 1.0)
    low = np.maximum(center[:, SOC] - reach, 0.0)
    high = np.minimum(np.maximum(center[:, SOC] + reach, low + 0.05), 1.0)
    low = np.minimum(low, high - 0.05)
    places = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, HYPOTHESES)
    narrow = (0.6 * (high - low) / (HYPOTHESES - 1)) ** 2
    step = places - center[:, SOC, None]
    mean = center[:, None, :] + step[..., None] * along[:, None, :]
    rest = spread - (variance - narrow)[:, None, None] * along[:, :, None] * along[:, None, :]
    cov = np.repeat(rest[:, None], HYPOTHESES, axis=1)
    log_weight = -0.5 * step**2 / variance[:, None]
    return mean, cov, log_weight - log_weight.max(axis=1, keepdims=True)


def weights(mixture: Hypotheses) -> Floats:
    """Return the hypotheses' shares [rack, hypothesis], summing to one."""
    share = np.exp(mixture.log_weight)
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def soc_variance(mixture: Hypotheses) -> Floats:
    """Return the variance of the mixture's SOC [rack]."""
    share, soc = weights(mixture), mixture.mean[..., SOC]
    center = np.sum(share * soc, axis=1)
    return np.asarray(np.sum(share * ((soc - center[:, None]) ** 2 + mixture.covariance[..., SOC, SOC]), axis=1))


def soc_bounds(mixture: Hypotheses) -> tuple[Floats, Floats, Floats, Floats]:
    """Return SOC mean, 1-sigma and the 2.5 % and 97.5 % quantiles of the mixture [rack]."""
    share = weights(mixture)
    soc, sigma = mixture.mean[..., SOC], np.sqrt(mixture.covariance[..., SOC, SOC])
    center = np.sum(share * soc, axis=1)
    spread = np.sqrt(np.sum(share * ((soc - center[:, None]) ** 2 + sigma**2), axis=1))
    low, high = center - NORMAL_95 * spread, center + NORMAL_95 * spread
    several = share.max(axis=1) < 0.999
    if several.any():
        low[several], high[several] = _quantiles(share[several], soc[several], sigma[several])
    return center, spread, low, high


def _quantiles(share: Floats, soc: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Return the 2.5 % and 97.5 % points of mixtures, read off a grid of 61 points."""
    lowest = np.min(np.where(share > LEAST_SHARE, soc - 3.0 * sigma, np.inf), axis=1)
    highest = np.max(np.where(share > LEAST_SHARE, soc + 3.0 * sigma, -np.inf), axis=1)
    grid = lowest[:, None] + (highest - lowest)[:, None] * np.linspace(0.0, 1.0, 61)
    place = np.clip((grid[:, None, :] - soc[:, :, None]) / sigma[:, :, None], -8.0, 8.0)
    # a logistic curve through the normal distribution's 2.5 % points
    below = np.einsum("rh,rhg->rg", share, 1.0 / (1.0 + np.exp(-place * (1.5976 + 0.0706 * place**2))))
    rows = np.arange(len(grid))
    first = np.maximum(np.argmax(below >= 0.025, axis=1) - 1, 0)
    last = np.argmax(below >= 0.975, axis=1)
    return grid[rows, first], np.where(below[rows, last] >= 0.975, grid[rows, last], highest)


def expectation(curves: Floats, hysteresis: Floats, current_a: Floats, pair_current_a: Floats) -> Expectation:
    """Return what curves [rack, curve, SOC point] say under a hysteresis state, a current and pair currents."""
    load = np.concatenate((current_a[:, None], pair_current_a), axis=1)
    resistive = np.einsum("rc,rcz->rz", load, curves[:, SERIES : SERIES + load.shape[1]])
    return Expectation(
        curves[:, OCV] + hysteresis[:, None] * curves[:, HALF_GAP],
        resistive,
        ERROR_MARGIN * curves[:, MODEL_ERROR],
    )
