"""The one thread that touches the disk: jobs in order, beside the loop, which never waits for it.

Rule: the queue is bounded; what does not fit is refused at once and whoever submitted it counts that. A job that fails
(`OSError`, `sqlite3.Error`) is told to its `done`, which is called in the loop, and stops nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from controller.plant.clock import Clock

QUEUE_LENGTH = 1_000
PATIENCE_S = 5.0
"""How long a stop waits for a disk that does not come to an end."""

Job = Callable[[], None]
Done = Callable[[bool], None]
"""Told whether the job succeeded."""


@dataclass(frozen=True, slots=True)
class _Queued:
    job: Job
    done: Done
    since_ns: int


class DiskWriter:
    """Owns the thread; made in the loop that `done` is called in."""

    def __init__(self, clock: Clock, length: int = QUEUE_LENGTH) -> None:
        """Start the thread."""
        self._clock, self._loop = clock, asyncio.get_running_loop()
        self._queue: queue.Queue[_Queued | None] = queue.Queue(length)
        self._at_work: _Queued | None = None
        self._thread = threading.Thread(target=self._work, name="disk", daemon=True)
        self._thread.start()

    def submit(self, job: Job, done: Done) -> bool:
        """Queue a job; false if there is no room, and then `done` is not called."""
        try:
            self._queue.put_nowait(_Queued(job, done, self._clock.mono_ns()))
        except queue.Full:
            return False
        return True

    @property
    def behind_s(self) -> float:
        """For how long the job that is at work has been waiting; 0 if there is none."""
        at_work = self._at_work
        return (self._clock.mono_ns() - at_work.since_ns) * 1e-9 if at_work else 0.0

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Carry out what is queued and end; a disk that hangs is left behind after `patience_s`."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=patience_s)
        self._thread.join(timeout=patience_s)

    def _work(self) -> None:
        while (queued := self._queue.get()) is not None:
            self._at_work = queued
            try:
                queued.job()
                succeeded = True
            except (OSError, sqlite3.Error):
                succeeded = False
            self._at_work = None
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(queued.done, succeeded)
