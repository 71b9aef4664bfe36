"""The journal: committed in order, told after the commit, never in the way of the scan."""

from __future__ import annotations

import asyncio
from pathlib import Path

from controller.runtime.journal import Journal, JournalRow, read_events


def _row(text: str) -> JournalRow:
    return (1, 2, "trip", "B01-R03", "cell_voltage_high", 3, 17, 3.72, 3.65, 0, "", text)


async def test_rows_are_readable_once_done_is_called(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    journal.write([_row("first"), _row("second")], committed.set_result)

    assert await asyncio.wait_for(committed, 10)
    assert [row[-1] for row in read_events(tmp_path / "journal.sqlite")] == ["first", "second"]
    journal.close()


async def test_a_failing_disk_is_reported_and_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "no such folder" / "journal.sqlite")
    committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    journal.write([_row("lost")], committed.set_result)

    assert not await asyncio.wait_for(committed, 10)
    assert journal.failures == 1
    journal.close()
