"""`bess status`: who did what can be read from the journal, also when nothing runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner

from controller.cli import app
from controller.plant.demo_site import write_demo_site
from controller.runtime.clock import SystemClock
from controller.runtime.disk_writer import DiskWriter
from controller.runtime.journal import Journal

FORGED = "locked out: bad\n\x1b[31mevent  2026 raised Plant"
REFUSED = "write to unit 2, register 4, of 7FC0 0000: exception 3"


def _row(number: int, kind: str, user: str, text: str):
    utc_ns = 1_767_268_800_000_000_000 + number * 1_250_000_000
    return (utc_ns, number, kind, "demo", "", 0, None, None, 1.5, 0, user, text)


async def _journal(state: Path) -> None:
    disk = DiskWriter(SystemClock())
    journal = Journal(state / "journal.sqlite", disk)
    done = asyncio.Event()
    rows = [_row(n, "raised", "", f"event {n}") for n in range(4)] + [_row(4, "raised", "", FORGED)]
    journal.write([*rows, _row(5, "command_refused", "modbus:192.0.2.7", REFUSED)], lambda _: done.set())
    async with asyncio.timeout(20):
        await done.wait()
    journal.close()
    await asyncio.to_thread(disk.close)


def test_the_newest_events_are_shown_with_who_and_when(tmp_path: Path) -> None:
    site, state = write_demo_site(tmp_path / "site").parent, tmp_path / "state"
    state.mkdir()
    asyncio.run(_journal(state))
    words = ["status", str(site), "--state", str(state), "--events", "2"]
    answer = CliRunner().invoke(app, [*words, "--json"])
    told = json.loads(answer.stdout)

    assert answer.exit_code == 1  # nothing runs
    assert [event["text"] for event in told["events"]] == [FORGED, REFUSED]
    assert told["events"][-1]["user"] == "modbus:192.0.2.7"
    assert told["events"][-1]["utc"] == "2026-01-01T12:00:06.250Z"
    *_, before, line = CliRunner().invoke(app, words).stdout.splitlines()
    assert before.endswith(r"-: locked out: bad\n\x1b[31mevent  2026 raised Plant"), "one line of it"
    assert line == f"event  2026-01-01T12:00:06.250Z command_refused demo modbus:192.0.2.7: {REFUSED}"


def test_nobody_asked_for_events(tmp_path: Path) -> None:
    site = write_demo_site(tmp_path / "site").parent
    answer = CliRunner().invoke(app, ["status", str(site), "--state", str(tmp_path / "state"), "--json"])

    assert "events" not in json.loads(answer.stdout)
