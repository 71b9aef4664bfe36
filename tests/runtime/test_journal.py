"""The disk: committed in order, told after the commit, never in the way of the scan."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from controller.runtime.clock import FakeClock
from controller.runtime.disk_writer import DiskWriter
from controller.runtime.journal import Journal, JournalRow, read_events
from controller.runtime.retained import RetainedFile, load


def _row(text: str) -> JournalRow:
    return (1, 2, "trip", "B01-R03", "cell_voltage_high", 3, 17, 3.72, 3.65, 0, "", text)


async def _written(journal: Journal, *texts: str) -> bool:
    committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    journal.write([_row(text) for text in texts], committed.set_result)
    return await asyncio.wait_for(committed, 10)


async def test_rows_are_readable_once_done_is_called(tmp_path: Path) -> None:
    disk = DiskWriter(FakeClock())
    journal = Journal(tmp_path / "journal.sqlite", disk)

    assert await _written(journal, "first", "second")
    assert [row[-1] for row in read_events(tmp_path / "journal.sqlite")] == ["first", "second"]
    journal.close()
    disk.close()


async def test_a_failing_disk_is_reported_and_counted_and_may_heal(tmp_path: Path) -> None:
    disk = DiskWriter(FakeClock())
    journal = Journal(tmp_path / "later" / "journal.sqlite", disk)

    assert not await _written(journal, "lost")
    assert (journal.failures, journal.failing) == (1, True)
    (tmp_path / "later").mkdir()
    assert await _written(journal, "kept")
    assert (journal.failures, journal.failing) == (1, False)
    journal.close()
    disk.close()


async def test_what_is_no_journal_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"this was a journal once" * 100)
    disk = DiskWriter(FakeClock())
    journal = Journal(path, disk)

    assert await _written(journal, "kept")
    assert [row[-1] for row in read_events(path)] == ["kept"]
    assert path.with_name("journal.sqlite.bad").read_bytes().startswith(b"this was")
    journal.close()
    disk.close()


async def test_a_disk_that_hangs_keeps_nobody_waiting(tmp_path: Path) -> None:
    clock, hanging = FakeClock(), threading.Event()
    disk = DiskWriter(clock, length=2)
    journal, retained = Journal(tmp_path / "journal.sqlite", disk), RetainedFile(tmp_path / "retained", disk)
    at_work = threading.Event()
    disk.submit(lambda: (at_work.set(), hanging.wait(60))[0], lambda _done: None)  # type: ignore[func-returns-value] # a job
    assert at_work.wait(10)
    clock.advance(7.0)

    assert disk.behind_s == 7.0
    for number in range(100):
        retained.save({"part": b"%d" % number}, number)
    told: list[bool] = []
    journal.write([_row("queued")], told.append)
    journal.write([_row("dropped")], told.append)
    assert (told, journal.dropped, journal.failing) == ([False], 1, True)

    hanging.set()
    disk.close()
    assert load(tmp_path / "retained")["part"] == b"99"
    assert [row[-1] for row in read_events(tmp_path / "journal.sqlite")] == ["queued"]
