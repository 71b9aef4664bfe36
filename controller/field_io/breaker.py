"""A breaker per unit: what fails is asked rarely, and what flaps is not believed.

Rules. After two failures in a row a unit is left alone for a rest and then asked once; a sound answer closes the
breaker. Behind a shared gateway the rest is twenty time-outs, so that a dead unit takes at most a twentieth of the
link's time. Each failure is a debt of five good polls: one failure is a hiccup and changes nothing, but who fails
again before he has paid is not believed until he has made five good polls more. The polls of its fastest block count.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES_TO_OPEN = 2
REST_IN_TIMEOUTS, REST_ALONE_IN_TIMEOUTS = 20, 2
GOOD_POLLS_A_FAILURE = 5
_DEBT_MAX = 2 * GOOD_POLLS_A_FAILURE


@dataclass(slots=True)
class Breaker:
    """State of one unit; times are monotonic nanoseconds."""

    rest_ns: int
    failures: int = 0  # in a row
    debt: int = 0  # good polls that are owed
    rests_until_ns: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the unit is considered dead."""
        return self.failures >= FAILURES_TO_OPEN

    @property
    def is_suspect(self) -> bool:
        """Whether its last exchange failed: it must not take others down with it."""
        return self.failures > 0

    @property
    def is_believed(self) -> bool:
        """Whether its data count."""
        return self.debt <= GOOD_POLLS_A_FAILURE

    def may_ask(self, now_ns: int) -> bool:
        """Whether the unit may be asked now."""
        return self.failures < FAILURES_TO_OPEN or now_ns >= self.rests_until_ns

    def good_poll(self) -> None:
        """Note a good poll of the fastest block."""
        self.failures = 0
        if self.debt:
            self.debt -= 1

    def answered(self) -> None:
        """Note any other sound answer: another block, an echo, an exception."""
        self.failures = 0

    def failed(self, now_ns: int) -> None:
        """Note silence, a wrong answer, or a connection that broke under a request."""
        self.failures += 1
        self.debt = min(self.debt + GOOD_POLLS_A_FAILURE, _DEBT_MAX)
        self.rests_until_ns = now_ns + self.rest_ns
