"""Sharing P and Q among the converters.

Rule: active power goes by what each converter may carry now, tilted towards those whose racks should move (fuller ones
discharge more, emptier ones charge more); what one can't take goes to the others, so the sum is met wherever it can
be. Active power has priority; reactive power takes what the MVA circles of converter and transformer leave.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BALANCE_GAIN = 3.0
"""Share added per unit of SOC above the mean: 5 % more charge, 15 % more of the discharge."""
LARGEST_TILT_RATIO = 0.5


def share_active_power(total_w: float, allowed_w: FloatArray, soc_ratio: FloatArray) -> FloatArray:
    """Return each converter's power [P]; the sum is `total_w`, or all that is allowed.

    `allowed_w` [2, P] (charge, discharge), `soc_ratio` [P] of the racks behind each (NaN: no tilt).
    """
    if total_w == 0.0:
        return np.zeros(allowed_w.shape[1])
    discharging = total_w > 0.0
    capacity_w = allowed_w[1 if discharging else 0]
    weight = capacity_w * (1.0 + _tilt(soc_ratio, capacity_w, 1.0 if discharging else -1.0))
    power_w = pour(abs(total_w), capacity_w, weight)
    return power_w if discharging else -power_w


def _tilt(soc_ratio: FloatArray, capacity_w: FloatArray, sign: float) -> FloatArray:
    known = ~np.isnan(soc_ratio) & (capacity_w > 0.0)
    count = int(known.sum())
    if count < 2:
        return np.zeros(len(soc_ratio))
    deviation = np.where(known, soc_ratio - soc_ratio[known].mean(), 0.0)
    tilt: FloatArray = np.minimum(np.maximum(sign * BALANCE_GAIN * deviation, -LARGEST_TILT_RATIO), LARGEST_TILT_RATIO)
    return tilt


def pour(total: float, capacity: FloatArray, weight: FloatArray) -> FloatArray:
    """Pour `total` >= 0 into vessels by weight; what overflows goes to those that still take it.

    Returns [n] with 0 <= x <= capacity and sum = min(total, sum of capacities).
    """
    filled = np.zeros(len(capacity))
    remaining = min(total, float(capacity.sum()))
    open_weight = np.where(capacity > 0.0, np.maximum(weight, 1e-12), 0.0)
    for _ in range(len(capacity)):
        total_weight = float(open_weight.sum())
        if remaining <= 1e-6 or total_weight <= 0.0:
            break
        wanted = filled + open_weight * (remaining / total_weight)
        full = wanted >= capacity
        filled = np.minimum(wanted, capacity)
        remaining = min(total, float(capacity.sum())) - float(filled.sum())
        open_weight[full] = 0.0
    return filled


def reactive_capability_var(power_w: FloatArray, apparent_va: FloatArray) -> FloatArray:
    """Return what the MVA circle leaves beside the active power, >= 0."""
    capability: FloatArray = np.sqrt(np.maximum(apparent_va * apparent_va - power_w * power_w, 0.0))
    return capability


def share_reactive_power(total_var: float, capability_var: FloatArray) -> FloatArray:
    """Return each converter's reactive power [P], by what its circle leaves."""
    available_var = float(capability_var.sum())
    if total_var == 0.0 or available_var <= 0.0:
        return np.zeros(len(capability_var))
    ratio = max(-1.0, min(1.0, total_var / available_var))
    return capability_var * ratio
