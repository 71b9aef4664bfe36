"""Limits at the POI: any number of sources, always effective, the lowest wins; and why a value was clipped.

Rule: a limit stands until its source changes it, or until the expiry that the source gave; loss of contact and a
restart never lift it. Limits may fall at once; what rises is ramped (`ramps.py`). Every clip of a set-point is
recorded with a `LimitReason`; the last one in order is the one that binds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from controller.control.limits.reasons import LimitReason


class Clip(NamedTuple):
    """One reduction on the way from what was asked to what is in effect (W or var)."""

    reason: LimitReason
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Limit:
    """One source's limit: a magnitude in W, and the monotonic time at which it ends (None: never by itself)."""

    value_w: float
    expires_ns: int | None = None


@dataclass(slots=True)
class Limits:
    """All limits of one direction, by source. `rating_w` is the contract's and always stands."""

    rating_w: float
    by_source: dict[str, Limit] = field(default_factory=dict)
    lowest_w: float = field(init=False)

    def __post_init__(self) -> None:
        """The contract's rating alone."""
        self.lowest_w = self.rating_w

    def set(self, source: str, value_w: float, expires_ns: int | None) -> None:
        """Take a source's limit in place of its earlier one."""
        self.by_source[source] = Limit(value_w, expires_ns)
        self.refresh()

    def expire(self, now_ns: int) -> list[str]:
        """Drop what has run out and return whose it was."""
        over = [s for s, limit in self.by_source.items() if limit.expires_ns is not None and now_ns >= limit.expires_ns]
        for source in over:
            del self.by_source[source]
        if over:
            self.refresh()
        return over

    def refresh(self) -> None:
        """Find the lowest again, after `by_source` was changed."""
        self.lowest_w = min((self.rating_w, *(limit.value_w for limit in self.by_source.values())))


def clip_power(power_w: float, limits: tuple[float, float], reasons: tuple[LimitReason, LimitReason]) -> Clip:
    """Clip to [-charge, discharge]; `limits` and `reasons` are (charge, discharge). Reason NONE: nothing was cut."""
    if power_w > limits[1]:
        return Clip(reasons[1], power_w, limits[1])
    if power_w < -limits[0]:
        return Clip(reasons[0], power_w, -limits[0])
    return Clip(LimitReason.NONE, power_w, power_w)
