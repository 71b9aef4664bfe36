"""Each rack's current sensor against the DC currents of its bus's converters: gain errors found, with bounds.

From a rack alone its gain can't be seen: voltages tell a share of the capacity, and a sensor that reads one percent
much looks like a capacity one percent small. On a bus what the racks say must add up to what the converters take:

    sum of racks' readings - sum of converters' readings = sum(gain error of rack x its reading)
                                                           - gain error of converters x their reading + offset

A recursive least squares with priors (a Kalman filter without dynamics but a slow drift) per bus. Racks that share the
current always in the same parts can't be told from one another: then only their mean narrows, and each rack's bounds
stay wide. What tells them apart is a changing share: a rack disconnected, racks at different SOC near a knee. The
converters' own gain is a state too, so no bound gets narrower than what their sensors are worth.

Reported, never used by the estimate: see docs/decisions/0013. Source: Kalman filtering of constants, Sorenson 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.config import EstimatorConfig
from controller.estimation.samples import RackSample

Floats = NDArray[np.float64]

BLOCK_NS = 30_000_000_000
GAIN_SIGMA = 0.015
"""1-sigma of a gain that is to be checked: wider than a data sheet's, since a data sheet is what is being checked."""
CONVERTER_GAIN_SIGMA = 0.005
CONVERTER_OFFSET_SHARE = 0.001
"""1-sigma of the converters' offset, over the largest current of their racks together."""
DRIFT_PER_SQRT_DAY = 0.0002
LINEAR_RATIO, LINEAR_LASTS_S = 0.001, 3600.0
"""What sensors are off by beside gain and offset, over the current: the same for about an hour, so no repetition
within it averages it away."""
APART_S = 1.0
"""How far apart the samples of racks and converters may have been taken, while the current changes."""
GATE_SIGMA = 6.0
"""A sum that is further off is another thing than a gain: a wrong sign, a converter of another bus."""
NORMAL_95 = 1.959964
SHARED = 2
"""States beside the racks' gains: the converters' gain and the offset of the sum, A."""


@dataclass(frozen=True, slots=True)
class GainState:
    """Per bus: states [bus, racks' gains | converters' gain | offset], their covariance, and how many blocks taught.

    The open block: summed readings of racks [bus, place], of converters [bus] and their squares, and the samples.
    """

    mean: Floats
    covariance: Floats
    blocks: NDArray[np.int64]
    rack_sum_a: Floats
    bus_sum_a: Floats
    bus_square: Floats
    samples: NDArray[np.int64]
    block_ns: int


@dataclass(frozen=True, slots=True)
class CurrentGain:
    """Each rack's relative gain error [rack] with 95 % bounds (0.01: reads 1 % much); NaN where no sum was seen."""

    error_ratio: Floats
    low_ratio: Floats
    high_ratio: Floats


def initial_gains(config: EstimatorConfig, now_ns: int) -> GainState:
    """Return gains of which nothing is known but how far off a sensor may be."""
    members = config.bus_racks
    buses, places = members.shape
    offset_a = np.sqrt(_at(members, config.current_offset_a**2).sum(axis=1))
    most_a = _at(members, np.maximum(config.charge_current_max_a, config.discharge_current_max_a)).sum(axis=1)
    covariance = np.zeros((buses, places + SHARED, places + SHARED))
    rack = np.arange(places)
    covariance[:, rack, rack] = np.where(members >= 0, GAIN_SIGMA**2, 0.0)
    covariance[:, places, places] = CONVERTER_GAIN_SIGMA**2
    covariance[:, places + 1, places + 1] = offset_a**2 + (CONVERTER_OFFSET_SHARE * most_a) ** 2
    mean, none = np.zeros((buses, places + SHARED)), np.zeros(buses, dtype=np.int64)
    return GainState(mean, covariance, none, *_open_block(buses, places), now_ns)


def watch_gains(config: EstimatorConfig, was: GainState, sample: RackSample, now_ns: int) -> GainState:
    """Return the gains after a scan: readings summed up, and each half minute held against one another."""
    if sample.bus_current_a is None:
        return was
    members, bus_a = config.bus_racks, sample.bus_current_a
    present = members >= 0
    sound = sample.valid & np.isfinite(sample.current_a) & (np.abs(sample.current_a) < config.impossible_current_a)
    use = np.isfinite(bus_a) & (sound[members] | ~present).all(axis=1)
    bus_a = np.where(use, bus_a, 0.0)
    rack_a = np.where(use[:, None], _at(members, np.where(sound, sample.current_a, 0.0)), 0.0)
    now = replace(
        was,
        rack_sum_a=was.rack_sum_a + rack_a,
        bus_sum_a=was.bus_sum_a + bus_a,
        bus_square=was.bus_square + bus_a**2,
        samples=was.samples + use,
    )
    return now if now_ns - was.block_ns < BLOCK_NS else _taught(config, now, now_ns)


def current_gain(config: EstimatorConfig, state: GainState) -> CurrentGain:
    """Return the racks' gain errors as they are known now."""
    members = config.bus_racks
    bus, place = np.nonzero(members >= 0)
    rack = members[bus, place]
    error, spread = np.zeros(config.racks), np.zeros(config.racks)
    error[rack] = np.where(state.blocks[bus] > 0, state.mean[bus, place], np.nan)
    spread[rack] = NORMAL_95 * np.sqrt(np.maximum(state.covariance[bus, place, place], 0.0))
    return CurrentGain(error, error - spread, error + spread)


def _taught(config: EstimatorConfig, was: GainState, now_ns: int) -> GainState:
    """Return the gains after a block, each bus by its own sum, and the next block begun."""
    buses, places = was.rack_sum_a.shape
    count = np.maximum(was.samples, 1)
    rack_a, bus_a = was.rack_sum_a / count[:, None], was.bus_sum_a / count
    total_a = rack_a.sum(axis=1)  # for the converters' gain too: with their own reading "all read nothing" would fit
    rows = np.concatenate((rack_a, -total_a[:, None], np.ones((buses, 1))), axis=1)
    lasted_s = (now_ns - was.block_ns) * 1e-9
    covariance = _drifted(was, lasted_s)
    cross = np.matmul(covariance, rows[..., None])[..., 0]
    variance = np.sum(rows * cross, axis=1) + _noise(config, was, rack_a, bus_a, lasted_s)
    apart_a = total_a - bus_a - np.sum(rows * was.mean, axis=1)
    use = (was.samples > 0) & (apart_a**2 < GATE_SIGMA**2 * variance)
    gain = np.where(use[:, None], cross / variance[:, None], 0.0)
    return GainState(
        was.mean + gain * apart_a[:, None],
        covariance - gain[:, :, None] * cross[:, None, :],
        was.blocks + use,
        *_open_block(buses, places),
        now_ns,
    )


def _noise(config: EstimatorConfig, was: GainState, rack_a: Floats, bus_a: Floats, lasted_s: float) -> Floats:
    """Return the variance of a block's sum, A^2 [bus]: noise, samples taken apart, and what lasts for an hour."""
    count = np.maximum(was.samples, 1)
    noise = _at(config.bus_racks, config.current_noise_a**2).sum(axis=1) / count
    wander = np.maximum(was.bus_square / count - bus_a**2, 0.0) * (APART_S / lasted_s) ** 2
    lasting = (LINEAR_RATIO * np.abs(rack_a)) ** 2
    return np.asarray(noise + 4.0 * wander + lasting.sum(axis=1) * max(LINEAR_LASTS_S / lasted_s, 1.0) + 1e-6)


def _drifted(was: GainState, elapsed_s: float) -> Floats:
    covariance = was.covariance.copy()
    gains = np.arange(covariance.shape[1] - 1)
    known = covariance[:, gains, gains] > 0.0  # a place without a rack has none
    covariance[:, gains, gains] += np.where(known, DRIFT_PER_SQRT_DAY**2 * elapsed_s / 86400.0, 0.0)
    return covariance


def _at(members: NDArray[np.intp], values: Floats) -> Floats:
    """Return values [rack] by bus [bus, place]; 0 where there is no rack."""
    return np.where(members >= 0, values[members], 0.0)


def _open_block(buses: int, places: int) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    zero = np.zeros(buses)
    return np.zeros((buses, places)), zero, zero, np.zeros(buses, dtype=np.int64)
