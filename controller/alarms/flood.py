"""Alarm flood (ISA-18.2): it begins with more than ten alarms in ten minutes and ends below five in ten minutes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_NS = 600 * 10**9
BEGINS_ABOVE = 10
ENDS_BELOW = 5


@dataclass(slots=True)
class Flood:
    """When the last alarms were raised, oldest first; no more are kept than tell begin and end apart."""

    raised_ns: deque[int] = field(default_factory=lambda: deque(maxlen=BEGINS_ABOVE + 1))
    active: bool = False

    def count(self, raises: int, now_ns: int) -> bool:
        """Count new raises; return whether there is a flood now."""
        self.raised_ns.extend([now_ns] * min(raises, BEGINS_ABOVE + 1))
        while self.raised_ns and self.raised_ns[0] <= now_ns - WINDOW_NS:
            self.raised_ns.popleft()
        recent = len(self.raised_ns)
        self.active = recent >= ENDS_BELOW if self.active else recent > BEGINS_ABOVE
        return self.active
