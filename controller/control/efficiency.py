"""What passes a converter: power or energy at its DC bus as it is at its AC side, and back. Losses count both ways."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def ac_per_dc(efficiency_ratio: FloatArray) -> FloatArray:
    """Return AC power per DC power [2, ...] in the order charge, discharge: more goes in, less comes out."""
    return np.stack([1.0 / efficiency_ratio, efficiency_ratio])


def dc_power_w(efficiency_ratio: FloatArray, active_w: FloatArray) -> FloatArray:
    """Return what converters take from their buses [P], + = discharge, by the power at their AC side [P]."""
    return np.where(active_w > 0.0, active_w / efficiency_ratio, active_w * efficiency_ratio)
