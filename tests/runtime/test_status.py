"""`bess status`: who did what can be read from the journal, also when nothing runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli import app
from controller.link.run_directory import RunDirectory
from controller.plant.demo_site import write_demo_site
from controller.runtime import status
from controller.runtime.clock import SystemClock
from controller.runtime.disk_writer import DiskWriter
from controller.runtime.journal import Journal
from controller.runtime.retained import mark_behind, save
from controller.runtime.run import RunOptions, run_check

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


def _asked(tmp_path: Path, *more: str):
    site, state = write_demo_site(tmp_path / "site").parent, tmp_path / "state"
    state.mkdir()
    asyncio.run(_journal(state))
    return state / "journal.sqlite", ["status", str(site), "--state", str(state), "--events", "2", *more]


def test_a_journal_that_is_none_is_told_in_words(tmp_path: Path) -> None:
    journal, words = _asked(tmp_path)
    journal.write_bytes(b"this was a journal once" * 100)
    answer = CliRunner().invoke(app, words)

    assert (answer.exit_code, answer.exception.__class__) == (2, SystemExit)
    assert f"{journal}: the journal can't be read" in answer.stdout
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert (told["events"], "can't be read" in told["events_problem"]) == ([], True)


def test_a_journal_that_another_program_holds_is_told_in_words(tmp_path: Path) -> None:
    journal, words = _asked(tmp_path)
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as held:
        held.execute("pragma journal_mode=delete")
        held.execute("begin exclusive")
        answer = CliRunner().invoke(app, words)

    assert answer.exit_code == 2
    assert "database is locked; see which program holds it" in answer.stdout


def test_a_state_folder_tells_several_runs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [RunDirectory(tmp_path / name) for name in ("one", "two")]
    known = {run: status.Status(True, site="demo", folder=str(run.folder), state=str(run.folder)) for run in runs}
    monkeypatch.setattr(status, "_present", lambda: runs)
    monkeypatch.setattr(status, "read_status", known.__getitem__)

    assert "2 controllers run here" in status.status_of(None).problem
    assert status.status_of(None, tmp_path / "two").folder == str(tmp_path / "two")
    assert status.status_of(None, tmp_path / "three").problem == "no controller runs here"


@pytest.mark.parametrize("name", ["retained", "learned", "journal.sqlite"])
def test_a_check_tells_of_what_could_not_be_taken_over(tmp_path: Path, name: str, capfd) -> None:
    site, state = write_demo_site(tmp_path / "site").parent, tmp_path / "state"
    state.mkdir()
    asyncio.run(_journal(state))
    for kept in ("retained", "learned"):
        save(state / kept, {"control": b"limits"}, utc_ns=1)
    options = RunOptions(site, simulated=True, auto_ports=True, state=state)
    assert run_check(options) == 0
    (state / name).write_bytes((state / name).read_bytes()[:-7].replace(b"e", b"f"))
    before = (state / name).read_bytes()

    assert run_check(options) == 1
    assert f"error: {state / name}: " in capfd.readouterr().err
    assert (state / name).read_bytes() == before, "nothing is set aside by a look"


def test_a_check_tells_of_what_is_behind(tmp_path: Path, capfd) -> None:
    site, state = write_demo_site(tmp_path / "site").parent, tmp_path / "state"
    state.mkdir()
    save(state / "retained", {"control": b"limits"}, utc_ns=1)
    mark_behind(state / "retained")

    assert run_check(RunOptions(site, simulated=True, auto_ports=True, state=state)) == 1
    assert "older than what was decided" in capfd.readouterr().err
