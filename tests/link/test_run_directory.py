from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from controller.link.run_directory import (
    RunDirectory,
    RunDirectoryError,
    discard,
    filesystem_type,
    hold,
    locate,
    pids_alive,
    prepare,
    sweep,
)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "/dev/shm/bess-1000/demo"),
        ({"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/bess/demo"),
        ({"XDG_RUNTIME_DIR": "/run/user/1000", "RUNTIME_DIRECTORY": "/run/bess/demo"}, "/run/bess/demo"),
        ({"RUNTIME_DIRECTORY": "/run/bess/demo:/run/other"}, "/run/bess/demo"),
        ({"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": ""}, "/dev/shm/bess-1000/demo"),
    ],
)
def test_place_follows_the_environment(environment, expected) -> None:
    run = locate("demo", environment, 1000)
    assert run.folder == Path(expected)
    assert run.snapshot == Path(expected, "snapshot")
    assert run.command_socket == Path(expected, "command.sock")


@pytest.mark.parametrize("environment", [{}, {"XDG_RUNTIME_DIR": "/run/user/1"}, {"RUNTIME_DIRECTORY": "/run/bess/a"}])
def test_simulated_runs_are_apart_by_their_state_folder(environment) -> None:
    states = [None, Path("/a"), Path("/b")]
    folders = [locate("demo", environment, 1, simulated_state=state).folder for state in states]
    assert len(set(folders)) == 3
    assert locate("demo", environment, 1, simulated_state=Path("/a")).folder == folders[1]


def test_folder_is_private_with_its_parents(run_folder) -> None:
    run = RunDirectory(run_folder / "bess" / "demo")
    prepare(run)
    prepare(run)
    assert run.folder.stat().st_mode & 0o777 == 0o750
    assert run.folder.parent.stat().st_mode & 0o027 == 0


def test_disk_is_refused_and_left_untouched(tmp_path) -> None:
    if filesystem_type(tmp_path) == "tmpfs":
        pytest.skip("the temporary folder of this machine is on tmpfs")
    with pytest.raises(RunDirectoryError, match="tmpfs expected"):
        prepare(RunDirectory(tmp_path / "bess" / "demo"))
    assert not (tmp_path / "bess").exists()


def test_unknown_file_system_is_refused(run_folder, monkeypatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_args, **_more: "")
    assert filesystem_type(run_folder) is None
    with pytest.raises(RunDirectoryError, match="unknown file system"):
        prepare(RunDirectory(run_folder / "demo"))


def test_link_and_file_are_refused(run_folder) -> None:
    (run_folder / "link").symlink_to(run_folder)
    (run_folder / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(RunDirectoryError, match="not a folder"):
            prepare(RunDirectory(run_folder / name))


def test_folder_of_somebody_else_is_refused(run_folder, monkeypatch) -> None:
    folder = run_folder / "demo"
    folder.mkdir()
    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    with pytest.raises(RunDirectoryError, match=f"belongs to user {ours}, expected {ours + 1}"):
        prepare(RunDirectory(folder))


def test_path_too_long_for_a_socket_is_refused(run_folder) -> None:
    with pytest.raises(RunDirectoryError, match="at most 107 bytes"):
        prepare(RunDirectory(run_folder / ("x" * 100)))


@pytest.fixture
def beside(run_folder):
    """Return a maker of run directories that a supervisor held, with the process it told of."""

    def make(name: str, pid: int = 0) -> RunDirectory:
        run = RunDirectory(run_folder / "bess" / name)
        os.close(hold(run))
        run.processes.write_text(json.dumps({"control": {"pid": pid}}), encoding="utf-8")
        return run

    return make


def test_a_start_removes_what_killed_runs_left_and_nothing_that_lives(beside, tmp_path) -> None:
    mine, killed, unloading, held = beside("mine"), beside("killed"), beside("unloading", os.getpid()), beside("held")
    foreign = mine.folder.parent / "foreign"
    foreign.mkdir()
    linked = mine.folder.parent / "linked"
    linked.symlink_to(tmp_path)
    (tmp_path / "held").touch()
    holding = hold(held)
    sweep(mine)
    os.close(holding)
    assert not killed.folder.exists()
    for stays in (mine.folder, unloading.folder, held.folder, foreign, linked, tmp_path):
        assert stays.exists(), stays
    sweep(mine)
    assert not held.folder.exists()


def test_nothing_is_removed_where_others_can_look(beside) -> None:
    mine, other = beside("mine"), beside("other")
    mine.folder.parent.chmod(0o755)
    sweep(mine)
    assert other.folder.exists()


def test_nothing_of_another_user_is_removed(beside, monkeypatch) -> None:
    mine, other = beside("mine"), beside("other")
    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    sweep(mine)
    assert other.folder.exists()


def test_a_directory_that_was_removed_meanwhile_is_made_again(beside) -> None:
    run = beside("again")
    discard(run)
    assert not run.folder.exists()
    holding = hold(run)
    with pytest.raises(RunDirectoryError, match="another run holds it"):
        hold(run)
    discard(run)
    assert run.folder.exists()
    os.close(holding)


@pytest.mark.parametrize("told", ["", "[]", "{}", '{"control": 1}', '{"control": {"pid": null}}'])
def test_processes_that_nobody_told_of_do_not_live(beside, told) -> None:
    run = beside("told")
    run.processes.write_text(told, encoding="utf-8")
    assert pids_alive(run) == {}
