"""The event journal: every event on disk, in SQLite (WAL, synchronous FULL), written by one thread beside the loop.

Rule: the scan never waits. Batches go through a bounded queue; when it is full the batch is dropped and counted, and
the count is an alarm. An acknowledge or a reset is replied to only after its batch was committed, so each batch may
carry a callback that is called in the loop after the commit (or the failure).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SCHEMA_VERSION = 1
QUEUE_LENGTH = 1_000
_SCHEMA = """
create table if not exists event (
  number integer primary key autoincrement, utc_ns integer not null, mono_ns integer not null, kind text not null,
  equipment text not null, function text not null, level integer not null, cell integer, value real, limit_value real,
  uncertainty_ns integer not null, user text not null, text text not null);
create index if not exists event_utc on event (utc_ns);
"""

JournalRow = tuple[int, int, str, str, str, int, int | None, float | None, float | None, int, str, str]
"""utc_ns, mono_ns, kind, equipment, function, level, cell, value, limit, uncertainty_ns, user, text."""


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: Sequence[JournalRow]
    done: Callable[[bool], None] | None


class Journal:
    """One writer thread. `failures` and `dropped` only grow; the scan makes alarms of them."""

    def __init__(self, path: Path) -> None:
        """Start the writer; the loop that calls is the one that callbacks run in."""
        self._path = path
        self._queue: queue.Queue[_Batch | None] = queue.Queue(QUEUE_LENGTH)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self.dropped = 0
        self.failures = 0
        self._thread.start()

    def write(self, rows: Sequence[JournalRow], done: Callable[[bool], None] | None = None) -> None:
        """Queue rows; `done(committed)` is called later in the loop."""
        try:
            self._queue.put_nowait(_Batch(rows, done))
        except queue.Full:
            self.dropped += len(rows)
            if done:
                self._loop.call_soon(done, False)

    def close(self) -> None:
        """Write what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=5.0)

    def _write_all(self) -> None:
        connection: sqlite3.Connection | None = None
        while (batch := self._queue.get()) is not None:
            try:
                connection = connection or _open(self._path)
                _insert(connection, batch.rows)
                committed = True
            except sqlite3.Error:
                self.failures += 1
                committed = False
            if batch.done:
                self._loop.call_soon_threadsafe(batch.done, committed)
        if connection:
            connection.close()


def read_events(path: Path, limit: int = 1_000) -> list[JournalRow]:
    """Return the newest events, oldest first, from another process or after the fact."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "select utc_ns, mono_ns, kind, equipment, function, level, cell, value, limit_value, uncertainty_ns, user,"
            " text from event order by number desc limit ?",
            (limit,),
        ).fetchall()
    return rows[::-1]


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.executescript(_SCHEMA)
    connection.execute(f"pragma user_version={SCHEMA_VERSION}")
    connection.commit()
    return connection


def _insert(connection: sqlite3.Connection, rows: Sequence[JournalRow]) -> None:
    with connection:
        connection.executemany(
            "insert into event (utc_ns, mono_ns, kind, equipment, function, level, cell, value, limit_value,"
            " uncertainty_ns, user, text) values (?,?,?,?,?,?,?,?,?,?,?,?)",
            rows,
        )
