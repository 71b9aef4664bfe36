"""What a face refuses by itself is told to control, so that it stands in the journal like every other refusal.

Rule: control judges commands and journals what became of them; a face refuses only what is no command at all (a wrong
type, no number, a read-only register, no right). That too is an event: who, from where, what, and why not. Telling is
bounded: one at a time, two a second, 64 waiting; what is too much is counted and told with the next.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import deque
from typing import NamedTuple

from controller.control.commands import Action, Command, Refusal
from controller.link.plant_view import PlantView
from controller.plant.clock import Clock

NEVER_TAKEN = frozenset({Refusal.BUSY, Refusal.TOO_OLD, Refusal.NO_COMMUNICATION})
"""Refusals of commands that never came to the scan, which therefore could not journal them."""
WAITING_AT_MOST = 64
PACE_S = 0.5
RETRY_S = 1.0
TEXT_LENGTH = 200


class _Refused(NamedTuple):
    user: str
    text: str
    at_ns: int


class RefusalReport:
    """The refusals of one face on their way to the journal."""

    def __init__(self, face: str, view: PlantView, clock: Clock) -> None:
        """Take what the face is called and where commands go."""
        self._face, self._view, self._clock = face, view, clock
        self._waiting: deque[_Refused] = deque()
        self._numbers = itertools.count(1)
        self._some = asyncio.Event()
        self.untold = 0

    def refused(self, user: str, text: str) -> None:
        """Note a refusal; costs nothing more where there are too many."""
        if len(self._waiting) == WAITING_AT_MOST:
            self.untold += 1
            return
        self._waiting.append(_Refused(user, text[:TEXT_LENGTH], self._clock.mono_ns()))
        self._some.set()

    async def run(self) -> None:
        """Tell one after the other until cancelled."""
        while True:
            await self._some.wait()
            while self._waiting:
                reply = await self._view.submit(self._command(self._waiting[0]))
                if reply.refusal in {Refusal.NO_COMMUNICATION, Refusal.BUSY}:
                    await asyncio.sleep(RETRY_S)
                    continue
                self._waiting.popleft()
                await asyncio.sleep(PACE_S)
            self._some.clear()

    def _command(self, refused: _Refused) -> Command:
        now_ns, more = self._clock.mono_ns(), self.untold
        self.untold = 0
        age_s = (now_ns - refused.at_ns) * 1e-9
        text = refused.text + (f" ({age_s:.0f} s ago)" if age_s >= 1.5 else "")
        text += f"; {more} more were refused since" if more else ""
        number = f"{self._face}-refusal-{os.getpid()}-{next(self._numbers)}"
        return Command(
            number, self._face, refused.user, "operator", Action.REPORT_REFUSED, "Plant", text, now_ns
        )  # the face itself says so, whatever the user may
