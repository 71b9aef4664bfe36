"""Ramps: how fast a value may follow its target.

Rule: ramps apply to set-points and to rising limits, never to falling limits and stops. So a target is first ramped,
and only then clipped: what a limit takes away is gone at once, what it gives back is ramped.
"""

from __future__ import annotations

import math


def ramp(previous: float, target: float, rate_per_s: float, dt_s: float) -> float:
    """Return `target`, or as far towards it as the rate allows in `dt_s`. A rate of 0 or less means no ramp."""
    step = rate_per_s * dt_s
    if rate_per_s <= 0.0 or abs(target - previous) <= step:
        return target
    return previous + math.copysign(step, target - previous)
