"""The clocks: the real one, and one that is moved by hand. Nothing else in the project reads time."""

from __future__ import annotations

import ctypes
import time
from enum import IntEnum

NS_PER_S = 1_000_000_000


class TimeQuality(IntEnum):
    """What the kernel says of UTC, as SCADA sees it."""

    UNKNOWN = 0
    SYNCHRONISED = 1
    NOT_SYNCHRONISED = 2


def time_quality() -> TimeQuality:
    """Ask the kernel whether NTP or PTP holds the wall clock (adjtimex(2), which only reads here)."""
    if _LIBC is None:
        return TimeQuality.UNKNOWN
    timex = (ctypes.c_char * _TIMEX_SIZE)()
    if _LIBC.adjtimex(timex) < 0:
        return TimeQuality.UNKNOWN
    status = ctypes.c_int.from_buffer(timex, _STATUS_OFFSET).value
    return TimeQuality.NOT_SYNCHRONISED if status & _STA_UNSYNC else TimeQuality.SYNCHRONISED


def _libc() -> ctypes.CDLL | None:
    """Return the C library where it has adjtimex in its 64-bit form."""
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "adjtimex") and ctypes.sizeof(ctypes.c_long) == 8 else None


_LIBC = _libc()
_TIMEX_SIZE, _STATUS_OFFSET, _STA_UNSYNC = 256, 40, 0x40  # struct timex of Linux on 64 bits, with room to spare


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
