"""Limits at the POI: any number of sources, always effective, the lowest wins; and why a value was clipped.

Rule: a limit stands until its source changes it, or until the expiry that the source gave; then it ends, or falls back
to the limit that the source named. Loss of contact and a restart never lift it. Limits may fall at once; what rises is
ramped (`ramps.py`). Every clip of a set-point is recorded with a `LimitReason`; the last one in order is the one that
binds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.control.limits.reasons import NOWHERE, LimitReason


class Clip(NamedTuple):
    """One reduction on the way from what was asked to what is in effect (W or var). `place`: of what it speaks."""

    reason: LimitReason
    before: float
    after: float
    place: int = NOWHERE


@dataclass(frozen=True, slots=True)
class Limit:
    """One source's limit: a magnitude in W."""

    value_w: float
    expires_ns: int | None = None  # monotonic; None: never by itself
    fallback_w: float | None = None  # what stands from then on; None: nothing

    def left_s(self, now_ns: int) -> float:
        """Return how long it still stands; infinite: until its source changes it."""
        return math.inf if self.expires_ns is None else (self.expires_ns - now_ns) * 1e-9


@dataclass(slots=True)
class Limits:
    """All limits of one direction, by source. `rating_w` is the contract's and always stands."""

    rating_w: float
    by_source: dict[str, Limit] = field(default_factory=dict)
    lowest_w: float = field(init=False)

    def __post_init__(self) -> None:
        """The contract's rating alone."""
        self.lowest_w = self.rating_w

    def set(self, source: str, limit: Limit) -> None:
        """Take a source's limit in place of its earlier one."""
        self.by_source[source] = limit
        self.refresh()

    def expire(self, now_ns: int) -> list[str]:
        """Drop what has run out, or put its fall-back in its place, and return whose it was."""
        over = [s for s, limit in self.by_source.items() if limit.expires_ns is not None and now_ns >= limit.expires_ns]
        for source in over:
            fallback_w = self.by_source.pop(source).fallback_w
            if fallback_w is not None:
                self.by_source[source] = Limit(fallback_w)
        if over:
            self.refresh()
        return over

    def refresh(self) -> None:
        """Find the lowest again, after `by_source` was changed."""
        self.lowest_w = min((self.rating_w, *(limit.value_w for limit in self.by_source.values())))

    def remaining_s(self, now_ns: int) -> float:
        """Return how long the lowest still stands; 0 where it does not end by itself."""
        binding = [limit for limit in self.by_source.values() if limit.value_w == self.lowest_w < self.rating_w]
        longest_s = max((limit.left_s(now_ns) for limit in binding), default=math.inf)
        return 0.0 if math.isinf(longest_s) else max(longest_s, 0.0)


def clip_power(power_w: float, limits: tuple[float, float], reasons: tuple[LimitReason, LimitReason]) -> Clip:
    """Clip to [-charge, discharge]; `limits` and `reasons` are (charge, discharge). Reason NONE: nothing was cut."""
    if power_w > limits[1]:
        return Clip(reasons[1], power_w, limits[1])
    if power_w < -limits[0]:
        return Clip(reasons[0], power_w, -limits[0])
    return Clip(LimitReason.NONE, power_w, power_w)
