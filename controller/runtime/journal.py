"""The event journal: every event on disk, in SQLite (WAL, synchronous FULL), written by the disk's thread.

Rule: the scan never waits. A batch that finds no room is dropped and counted, and that is an alarm. An acknowledge or a
reset is replied to only after its batch was committed, so each batch may carry a callback that is called in the loop
after the commit (or the failure).
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from controller.runtime.disk_writer import DiskWriter, Done

SCHEMA_VERSION = 1
_SCHEMA = """
create table if not exists event (
  number integer primary key autoincrement, utc_ns integer not null, mono_ns integer not null, kind text not null,
  equipment text not null, function text not null, level integer not null, cell integer, value real, limit_value real,
  uncertainty_ns integer not null, user text not null, text text not null);
create index if not exists event_utc on event (utc_ns);
"""

JournalRow = tuple[int, int, str, str, str, int, int | None, float | None, float | None, int, str, str]
"""utc_ns, mono_ns, kind, equipment, function, level, cell, value, limit, uncertainty_ns, user, text."""


class JournalError(Exception):
    """The journal can't be read; the text says why, and what helps."""


class Journal:
    """Hands batches to the disk. `failures` and `dropped` (events) only grow; `failing`: the last batch is lost."""

    def __init__(self, path: Path, disk: DiskWriter) -> None:
        """Open nothing yet."""
        self._path, self._disk = path, disk
        self._connection: sqlite3.Connection | None = None
        self.failing = False
        self.failures = self.dropped = 0

    def write(self, rows: Sequence[JournalRow], done: Done = lambda _committed: None) -> None:
        """Queue rows; `done(committed)` is called in the loop."""

        def told(committed: bool) -> None:  # noqa: FBT001 - as the disk tells it
            self.failing = not committed
            self.failures += not committed
            done(committed)

        if not self._disk.submit(lambda: self._insert(rows), told):
            self.failing = True
            self.dropped += len(rows)
            done(False)

    def close(self) -> None:
        """Close the file behind what is queued."""
        self._disk.submit(self._close, lambda _closed: None)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _insert(self, rows: Sequence[JournalRow]) -> None:
        if self._connection is None:
            self._connection = _open_or_set_aside(self._path)
        with self._connection as transaction:
            transaction.executemany(
                "insert into event (utc_ns, mono_ns, kind, equipment, function, level, cell, value, limit_value,"
                " uncertainty_ns, user, text) values (?,?,?,?,?,?,?,?,?,?,?,?)",
                rows,
            )


def read_events(path: Path, limit: int = 1_000) -> list[JournalRow]:
    """Return the newest events, oldest first, from another process or after the fact; JournalError if they can't be."""
    try:
        with contextlib.closing(_reading(path)) as connection:
            rows = connection.execute(
                "select utc_ns, mono_ns, kind, equipment, function, level, cell, value, limit_value, uncertainty_ns,"
                " user, text from event order by number desc limit ?",
                (limit,),
            ).fetchall()
    except sqlite3.Error as error:
        raise JournalError(_in_words(path, error)) from error
    return rows[::-1]


def journal_problem(path: Path) -> str:
    """Return why a file is no sound journal, "" if it is one or there is none; it is only read."""
    if not path.exists():
        return ""
    try:
        with contextlib.closing(_reading(path)) as connection:
            (found,) = connection.execute("pragma quick_check(1)").fetchone()
            connection.execute("select text from event limit 1").fetchall()
    except sqlite3.Error as error:
        return _in_words(path, error)
    return "" if found == "ok" else f"{path}: the journal is damaged: {found}"


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _in_words(path: Path, error: sqlite3.Error) -> str:
    """Where an error says that nothing is wrong with the file itself, what helps is another than where it does."""
    hint = "a new one is begun by the next run, and this one kept as *.bad"
    if isinstance(error, sqlite3.OperationalError):
        hint = "see which program holds it, and whether this user may read it; then try again"
    return f"{path}: the journal can't be read: {error}; {hint}"


def _open_or_set_aside(path: Path) -> sqlite3.Connection:
    """Open the file; one that is no journal any more is set aside as `*.bad`, and a new one begun."""
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # no room, no right, no disk: the file itself may be sound
        sys.stderr.write(f"{path}: {error}; set aside, a new journal is begun\n")
        for kept in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            if kept.exists():
                kept.replace(kept.with_name(kept.name + ".bad"))
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.executescript(_SCHEMA)
        connection.execute(f"pragma user_version={SCHEMA_VERSION}")
        connection.commit()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
