"""What a clock is: the seam between the pure rooms and time. The real one lives in `runtime/`."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Two readings: durations come from the first only, stamps for people from the second."""

    def mono_ns(self) -> int:
        """Monotonic nanoseconds; never steps, never goes back."""

    def utc_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may step."""
