"""The model's error under currents that stay slow.

It was measured under loads. A slow test stays for hours at each place of the curve, on a branch that the loads' mean is
not quite: a part of the gap between the branches is unknown, and so is the place of each bend.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import HALF_GAP, MODEL_ERROR, OCV, SOC_POINTS
from controller.estimation.state import EstimatorState

Floats = NDArray[np.float64]

KNEE_PLACE_RATIO = 0.02
"""1-sigma of where on the SOC axis each rack's curve bends."""
SLOW_PER_H, SLOW_FROM_S = (0.005, 0.1), 3600.0
"""Charge per hour over the capacity of a slow test, and for how long nothing larger or the other way has flowed."""
SLOW_GAP_SHARE = 0.5
"""What of the half gap between the branches is unknown in it (1-sigma)."""


def with_slow_error(state: EstimatorState, curves: Floats, took_s: Floats) -> Floats:
    """Return the curves with a larger model error [rack, SOC point] after an hour of small currents of one direction.

    `took_s` [rack]: how long the open block is, above zero. The state counts for how long the current has been slow.
    """
    per_h = state.block_drawn_ratio * 3600.0 / took_s
    flows = np.abs(per_h) > SLOW_PER_H[0]
    larger = (state.block_moved_ratio * 3600.0 / took_s > SLOW_PER_H[1]) | (state.block_extra_ratio > 0.0)
    turned = flows & (state.slow_way * per_h < 0.0)
    state.slow_s = np.where(larger | turned, 0.0, state.slow_s + took_s)
    state.slow_way = np.where(larger, 0.0, np.where(flows, np.sign(per_h), state.slow_way))
    slow = flows & (state.slow_s > SLOW_FROM_S)
    if not slow.any():
        return curves
    slope_v = np.gradient(curves[:, OCV], 1.0 / (SOC_POINTS - 1), axis=1)
    parts = curves[:, MODEL_ERROR], SLOW_GAP_SHARE * curves[:, HALF_GAP], KNEE_PLACE_RATIO * slope_v
    wider = curves.copy()
    wider[:, MODEL_ERROR] = np.where(slow[:, None], np.sqrt(np.sum(np.square(parts), axis=0)), curves[:, MODEL_ERROR])
    return wider
