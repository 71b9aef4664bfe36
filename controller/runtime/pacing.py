"""The scan's pace: deadlines on a fixed grid of monotonic time, and how late each scan began.

Rule: a scan that overruns skips the grid points it missed, counts them, and waits for the next; two scans are never
run back to back to catch up. Lateness is kept in a logarithmic histogram (1 us to 1000 s, 10 bins a decade), so that
percentiles cost nothing; they are those of the last 600 to 1,200 scans, so that a start does not hide what is now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

BINS_PER_DECADE = 10
DECADES = 9
_FIRST_S = 1e-6


@dataclass(slots=True)
class Lateness:
    """A histogram of durations; percentiles are the upper edge of their bin (at most 26 % above the truth).

    It remembers one to two `half`s of them; `longest_s` is that of all.
    """

    half: int = 600
    bins: list[int] = field(default_factory=lambda: [0] * (BINS_PER_DECADE * DECADES + 1))
    newer: list[int] = field(default_factory=lambda: [0] * (BINS_PER_DECADE * DECADES + 1))
    count: int = 0
    longest_s: float = 0.0

    def add(self, duration_s: float) -> None:
        """Count one duration; half of what is remembered is forgotten when the other half is full."""
        if self.count == 2 * self.half:
            self.bins, self.newer, self.count = self.newer, [0] * len(self.bins), self.half
        self.count += 1
        self.longest_s = max(self.longest_s, duration_s)
        place = 0 if duration_s <= _FIRST_S else math.ceil(math.log10(duration_s / _FIRST_S) * BINS_PER_DECADE)
        bins = self.bins if self.count <= self.half else self.newer
        bins[min(place, len(self.bins) - 1)] += 1

    def percentile_s(self, share_ratio: float) -> float:
        """Return the duration that this share of all stays under; 0 before the first."""
        needed, seen = share_ratio * self.count, 0
        for place, number in enumerate(map(int.__add__, self.bins, self.newer)):
            seen += number
            if number and seen >= needed:
                return min(_FIRST_S * 10 ** (place / BINS_PER_DECADE), self.longest_s)
        return self.longest_s


@dataclass(slots=True)
class Pace:
    """A fixed grid: `next_ns` is the next deadline."""

    period_ns: int
    next_ns: int
    overruns: int = 0
    lateness: Lateness = field(default_factory=Lateness)

    def begin(self, now_ns: int) -> None:
        """Note that the scan due at `next_ns` begins now."""
        self.lateness.add(max(now_ns - self.next_ns, 0) / 1e9)

    def finish(self, now_ns: int) -> int:
        """Move to the next deadline after now; return how many were missed."""
        periods = max((now_ns - self.next_ns) // self.period_ns, 0) + 1
        self.next_ns += periods * self.period_ns
        self.overruns += periods - 1
        return periods - 1
