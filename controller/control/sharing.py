"""Sharing P and Q among the converters.

Rule: active power goes by what each converter may carry now, tilted towards those whose racks should move (fuller ones
discharge more, emptier ones charge more); what one can't take goes to the others, so the sum is met wherever it can
be. Active power has priority; reactive power takes what the MVA circles of converter and transformer leave.

Plain numbers in lists: a plant has few converters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BALANCE_GAIN = 3.0
"""Share added per unit of SOC above the mean: 5 % more charge, 15 % more of the discharge."""
LARGEST_TILT_RATIO = 0.5
SMALLEST_W = 1e-6


def share_active_power(
    total_w: float, allowed_w: Sequence[float], weight_w: Sequence[float], soc_ratio: Sequence[float]
) -> list[float]:
    """Return each converter's power; the sum is `total_w`, or all that is allowed.

    `allowed_w`: in the direction of `total_w`, >= 0. `weight_w`: by what it is shared, >= allowed. `soc_ratio`: of the
    racks behind each (NaN: no tilt).
    """
    if total_w > 0.0:
        return pour(total_w, allowed_w, _tilted(weight_w, soc_ratio, BALANCE_GAIN))
    if total_w < 0.0:
        return [-power_w for power_w in pour(-total_w, allowed_w, _tilted(weight_w, soc_ratio, -BALANCE_GAIN))]
    return [0.0] * len(allowed_w)


def _tilted(weight_w: Sequence[float], soc_ratio: Sequence[float], gain: float) -> list[float]:
    known = [s for s, w in zip(soc_ratio, weight_w, strict=True) if w > 0.0 and not math.isnan(s)]
    if len(known) < 2:
        return list(weight_w)
    mean = sum(known) / len(known)
    return [
        w if math.isnan(s) else w * (1.0 + max(-LARGEST_TILT_RATIO, min(LARGEST_TILT_RATIO, gain * (s - mean))))
        for w, s in zip(weight_w, soc_ratio, strict=True)
    ]


def pour(total: float, capacity: Sequence[float], weight: Sequence[float]) -> list[float]:
    """Pour `total` >= 0 into vessels by weight; what overflows goes to those that still take it.

    Returns 0 <= x <= capacity with the sum min(total, sum of capacities). A weight is > 0 where there is capacity.
    """
    filled = [0.0] * len(capacity)
    still_open = [i for i, c in enumerate(capacity) if c > 0.0]
    remaining = min(total, sum(capacity))
    while still_open and remaining > SMALLEST_W:
        per_weight = remaining / sum(weight[i] for i in still_open)
        full = [i for i in still_open if filled[i] + weight[i] * per_weight >= capacity[i]]
        for i in full or still_open:
            taken = capacity[i] - filled[i] if full else weight[i] * per_weight
            filled[i] += taken
            remaining -= taken
        still_open = [i for i in still_open if i not in full] if full else []
    return filled


def reactive_capability_var(active_w: float, apparent_va: float) -> float:
    """Return what the MVA circle leaves beside the active power, >= 0."""
    return math.sqrt(max(apparent_va * apparent_va - active_w * active_w, 0.0))


def share_reactive_power(total_var: float, capability_var: Sequence[float]) -> list[float]:
    """Return each converter's reactive power, by what its circle leaves."""
    available_var = sum(capability_var)
    if total_var == 0.0 or available_var <= 0.0:
        return [0.0] * len(capability_var)
    ratio = max(-1.0, min(1.0, total_var / available_var))
    return [ratio * capability for capability in capability_var]
