"""A breaker per unit: a dead unit is asked rarely, so that it never slows its neighbours behind the same gateway.

Rule: after two silences in a row the unit is left alone for twenty time-outs, so that it takes at most a twentieth of
the link's time, and then asked once; one sound answer closes the breaker. A unit that answers with an exception is
alive.
"""

from __future__ import annotations

from dataclasses import dataclass

SILENCES_TO_OPEN = 2
REST_IN_TIMEOUTS = 20


@dataclass(slots=True)
class Breaker:
    """State of one unit; times are monotonic nanoseconds."""

    timeout_ns: int
    silences: int = 0
    rests_until_ns: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the unit is considered dead."""
        return self.silences >= SILENCES_TO_OPEN

    def may_ask(self, now_ns: int) -> bool:
        """Whether the unit may be asked now."""
        return not self.is_open or now_ns >= self.rests_until_ns

    def answered(self) -> None:
        """Note a sound answer, an exception included."""
        self.silences = 0

    def was_silent(self, now_ns: int) -> None:
        """Note a time-out."""
        self.silences += 1
        self.rests_until_ns = now_ns + REST_IN_TIMEOUTS * self.timeout_ns
