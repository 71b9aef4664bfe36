"""The clocks: the real one, and one that is moved by hand. Nothing else in the project reads time."""

from __future__ import annotations

import time

NS_PER_S = 1_000_000_000


class SystemClock:
    """The machine's clocks: `CLOCK_MONOTONIC` for durations, `CLOCK_REALTIME` for stamps."""

    def mono_ns(self) -> int:
        """Monotonic nanoseconds."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return time.time_ns()


class FakeClock:
    """A clock that stands still until it is advanced; both readings move together, and UTC may be stepped."""

    def __init__(self, mono_ns: int = 1_000 * NS_PER_S, utc_ns: int = 1_767_268_800 * NS_PER_S) -> None:
        """Start at 1,000 s of monotonic time and 2026-01-01 12:00 UTC."""
        self._mono_ns, self._utc_ns = mono_ns, utc_ns

    def mono_ns(self) -> int:
        """Monotonic nanoseconds."""
        return self._mono_ns

    def utc_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return self._utc_ns

    def advance(self, duration_s: float) -> None:
        """Let time pass; never backwards."""
        step_ns = round(duration_s * NS_PER_S)
        assert step_ns >= 0, "monotonic time does not go back"
        self._mono_ns += step_ns
        self._utc_ns += step_ns

    def step_utc(self, duration_s: float) -> None:
        """Step the wall clock alone, as NTP may."""
        self._utc_ns += round(duration_s * NS_PER_S)
