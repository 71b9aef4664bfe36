"""How far each cell stands from its rack, by the scatter of the healthy ones: median and median absolute deviation."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FALSE_ALARMS = 0.001
LOOKS = 3 * 28
"""Looks in 14 days that tell anything new: six a day, three before a finding counts."""
BULK = 0.6745


def threshold(cells: int) -> float:
    """Return how many robust sigmas a cell must stand out, for a rack of so many cells over 14 days."""
    return NormalDist().inv_cdf(1.0 - FALSE_ALARMS / (max(cells, 2) * LOOKS))


def robust(values: Floats, floor: float | Floats) -> tuple[Floats, Floats]:
    """Return each value's [rack, cell] distance to its rack's median, and its robust sigma, never less than a floor."""
    apart = values - np.median(values, axis=1, keepdims=True)
    sigma = np.median(np.abs(apart), axis=1, keepdims=True) / BULK
    return apart, np.broadcast_to(np.maximum(sigma, floor), apart.shape)
