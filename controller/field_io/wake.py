"""Waiting that can be cut short: for a time, or until woken."""

from __future__ import annotations

import asyncio

IDLE_S = 0.5
"""How long a worker waits at most before it looks around again."""
WAIT_LEAST_S = 0.001


class Wake:
    """One waiter; a wake-up while nobody waits is remembered."""

    def __init__(self) -> None:
        """Start asleep."""
        self._waiter: asyncio.Future[None] | None = None
        self._woken = False

    def wake(self) -> None:
        """End the wait that is on, or the next one at once."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, duration_s: float) -> None:
        """Return after `duration_s` (and a moment at least), or earlier when woken."""
        if not self._woken:
            loop = asyncio.get_running_loop()
            self._waiter = waiter = loop.create_future()
            timer = loop.call_later(max(duration_s, WAIT_LEAST_S), _finish, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiter = None
        self._woken = False


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
