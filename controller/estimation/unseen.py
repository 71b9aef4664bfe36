"""What the voltage holds of a current that nobody saw: slow pairs and hysteresis after a gap, a restart or a doubt.

Both forget, each at its pace: the pairs with time, the hysteresis with charge that flows. While they do, the voltage
drifts without any current's doing; a filter that took it for a constant error would follow it with the SOC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.config import EstimatorConfig

Floats = NDArray[np.float64]

UNSEEN_CURRENT_SHARE = 0.5
"""1-sigma of a current that nobody saw, as a share of the rack's largest allowed current."""
LOST_RATIO = 0.3
"""After a gap in which so much of the SOC may have flowed (1-sigma), currents at its ends say nothing of it: nothing is
counted, pairs are held by no current, hysteresis may stand on either branch, and the SOC may be anything. A shorter gap
is bridged by their mean, with that uncertainty."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """1-sigma of what slow pairs carry, A [rack, pair], and of the hysteresis state [rack], 0..1."""

    pair_a: Floats
    hysteresis: Floats


def nothing_unseen(racks: int, pairs: int) -> Unseen:
    """Return that all is known."""
    return Unseen(np.zeros((racks, pairs)), np.zeros(racks))


def unseen_ratio(config: EstimatorConfig, duration_s: Floats) -> Floats:
    """Return the 1-sigma of SOC that may have flowed in a time without samples [rack]."""
    return np.minimum(unseen_current_a(config) * duration_s / 3600.0 / config.capacity_ah, 1.0)


def bled_ratio(config: EstimatorConfig, duration_s: Floats) -> Floats:
    """Return the SOC that a balancer may have taken from a cell in a time that nobody saw [rack]: all of it at most."""
    return np.minimum(config.balancing_a * duration_s / 3600.0 / config.capacity_ah, 1.0)


def unseen_current_a(config: EstimatorConfig) -> Floats:
    """Return the 1-sigma of a current that nobody saw [rack]."""
    return UNSEEN_CURRENT_SHARE * np.maximum(config.charge_current_max_a, config.discharge_current_max_a)


def with_unseen(
    config: EstimatorConfig, was: Unseen, current_a: Floats, duration_s: Floats, moved_ratio: Floats
) -> Unseen:
    """Return what is unknown after a time in which a current of a 1-sigma may have flowed, and moved the SOC so far."""
    filled = 1.0 - np.exp(-duration_s[:, None] / config.pair_time_constant_s)
    hysteresis = np.minimum(config.hysteresis_per_soc * moved_ratio, 1.0)
    return Unseen(np.maximum(was.pair_a, filled * current_a[:, None]), np.maximum(was.hysteresis, hysteresis))


def forgotten(
    config: EstimatorConfig, was: Unseen, ohm: Floats, gap_v: Floats, duration_s: Floats, moved_ratio: Floats
) -> tuple[Unseen, Floats]:
    """Return what is left unknown after a block, and the variance, V^2 [rack], of what was forgotten meanwhile.

    `ohm` [rack, pair] and `gap_v` [rack] are the pairs' resistances and half the gap between the branches.
    """
    pairs = np.exp(-duration_s[:, None] / config.pair_time_constant_s)
    branch = np.exp(-config.hysteresis_per_soc * moved_ratio)
    drift_v2 = np.sum((ohm * was.pair_a) ** 2 * (1.0 - pairs**2), axis=1)
    drift_v2 = drift_v2 + (gap_v * was.hysteresis) ** 2 * (1.0 - branch**2)
    return Unseen(was.pair_a * pairs, was.hysteresis * branch), drift_v2


def held_v2(was: Unseen, ohm: Floats, gap_v: Floats) -> Floats:
    """Return the variance, V^2 [rack], that the voltage holds of what is unknown."""
    return np.asarray(np.sum((ohm * was.pair_a) ** 2, axis=1) + (gap_v * was.hysteresis) ** 2)
