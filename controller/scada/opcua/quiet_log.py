"""What the library says, and no more than a few lines a minute: whoever can connect can make it talk."""

from __future__ import annotations

import logging

from controller.plant.clock import Clock

LINES_A_MINUTE = 10
_MINUTE_NS = 60_000_000_000
_REFUSED = "sending service fault response"


class FewLines(logging.Filter):
    """Lets a few records of each minute pass."""

    def __init__(self, clock: Clock) -> None:
        """Count from now."""
        super().__init__()
        self._clock, self._since_ns, self._passed = clock, clock.mono_ns(), 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record may pass; a request that was refused is no error of ours."""
        if str(record.msg).startswith(_REFUSED):
            return False
        now_ns = self._clock.mono_ns()
        if now_ns - self._since_ns > _MINUTE_NS:
            self._since_ns, self._passed = now_ns, 0
        self._passed += 1
        return self._passed <= LINES_A_MINUTE


def quieten_library(clock: Clock) -> None:
    """Let only the library's errors through, and few of them."""
    library = logging.getLogger("asyncua")
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    handler.addFilter(FewLines(clock))
    library.handlers, library.propagate = [handler], False
    library.setLevel(logging.ERROR)
