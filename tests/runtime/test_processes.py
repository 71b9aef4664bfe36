"""The controller in its real processes: what is killed comes back, what falls silent shows, nothing outlives a stop."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from controller.control.commands import Action, Command, Reply
from controller.link.command_socket import CommandClient
from controller.link.linked_plant import LinkedPlant
from controller.link.run_directory import RunDirectory
from controller.link.sealed_site import load_sealed
from controller.plant.model import Plant
from controller.runtime import status
from controller.runtime.clock import SystemClock
from controller.runtime.retained import BEHIND, load
from controller.runtime.retained_parts import died
from controller.runtime.scan_state import image_layout
from tests.runtime.running_demo import BESS, Demo, alive, ended, private_runs, running_demo, start, until

NO_COMMUNICATION = 0x0B
pytestmark = pytest.mark.timeout(600)


def _is(demo: Demo, wanted: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return await demo.answers() == wanted

    return check


async def test_whatever_is_killed_or_stopped_comes_back_and_is_told(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo:
        links = _links(demo)
        for role, sign in (
            ("modbus", signal.SIGKILL), ("opcua", signal.SIGKILL), ("simulator", signal.SIGKILL),
            ("control", signal.SIGKILL), ("modbus", signal.SIGSTOP),
        ):  # fmt: skip
            killed = demo.signal(role, sign)
            await until(lambda role=role, killed=killed: demo.pid(role) != killed and demo.is_ready(role))  # type: ignore[misc] # bound here
            await until(_is(demo, 0))
            assert not alive(killed)
            assert _links(demo) == links, "a new simulator is where it is looked for"
        await until(lambda: "modbus face_restarted raised" in demo.journal())
        assert "Demo plant control_restarted raised" in demo.journal()
        before = demo.journal().count("opcua face_restarted raised")
    assert demo.journal().count("opcua face_restarted raised") == before, "all end together"


def _links(demo: Demo) -> tuple[str, list[str]]:
    """Return where the devices are, and on which port faults are taken."""
    return (demo.run / "addresses.json").read_text(encoding="utf-8"), [(demo.run / "faults.port").read_text("ascii")]


async def test_an_alarm_names_the_port_that_a_device_really_has(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo:
        (address,) = {d["address"] for d in demo.about["devices"] if d["name"] == "PCS01"}
        assert await demo.disturb("no_read PCS01") == "ok"
        await until(lambda: f"PCS01 at {address} link_lost raised" in demo.journal())
        await until(lambda: any(f"PCS01 at {address} connection lost" in line for line in _alarm_lines(demo)))


def _alarm_lines(demo: Demo) -> list[str]:
    done = subprocess.run([*BESS, "status", str(demo.run), "--json"], capture_output=True, text=True, check=False)
    return [alarm["line"] for alarm in json.loads(done.stdout)["alarms"]]


async def test_a_stopped_control_shows_on_the_face_and_is_replaced(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo:
        await until(_is(demo, 0))
        stopped = demo.signal("control", signal.SIGSTOP)
        await until(_is(demo, NO_COMMUNICATION))
        await until(_is(demo, 0))

        assert demo.pid("control") != stopped


async def test_a_supervisor_that_stood_still_blames_nobody(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo:
        before = {role: demo.pid(role) for role in ("control", "opcua", "modbus", "simulator")}
        demo.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3.0)  # longer than control may be silent
        assert await demo.answers() == 0
        demo.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(1.0)

        assert {role: demo.pid(role) for role in before} == before


async def test_nothing_outlives_a_killed_supervisor_and_the_next_demo_tidies_up(tmp_path: Path) -> None:
    with private_runs() as runs:
        async with running_demo(tmp_path, runs=runs) as demo:
            left = demo.run
            demo.process.send_signal(signal.SIGKILL)
            await until(lambda: not any(alive(pid) for pid in demo.about["pids"].values()))
        told = status.read_status(RunDirectory(left))
        assert (told.running, told.processes) == (False, [])
        assert told.problem == "not running: it was stopped; what is shown is the last that it published"
        async with running_demo(tmp_path / "next", runs=runs) as demo:
            assert demo.run != left
        assert list(runs.glob("bess/*")) == []


async def test_status_finds_the_only_controller_and_knows_links_and_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "_present", list)  # others may run on this machine
    assert (status.status_of(None).running, status.status_of(None).problem) == (False, "no controller runs here")
    async with running_demo(tmp_path) as demo:
        await until((demo.run / "links.json").exists)
        monkeypatch.setattr(status, "_present", lambda: [RunDirectory(demo.run)])
        told = json.loads(json.dumps(status.status_of(None).as_json()))

        assert (told["site"], told["running"]) == ("demo", True)
        assert {p["role"] for p in told["processes"]} == {"supervisor", "control", "opcua", "modbus", "simulator"}
        assert told["links"]["links"] == told["links"]["connected"] > 0
        assert all(p["uptime_s"] > 0.0 for p in told["processes"])
        assert told["faces"] == {"opcua": demo.about["opcua"], "modbus": demo.about["modbus"]}
        assert told["scan"]["scan_count"] > 0


async def test_a_second_controller_on_the_same_state_is_refused(tmp_path: Path) -> None:
    async with running_demo(tmp_path) as demo:
        site = _word_behind("--site", demo.pid("control"))
        words = ["run", site, "--simulated", "--ports", "auto", "--state", str(demo.state)]
        code, _, messages = await ended(await start(words, demo.runs))

        assert code == 2
        assert "already controlled by pid" in messages


async def test_a_real_site_has_one_controller_whatever_the_state_folder(tmp_path: Path, repository: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(repository / "site_configs" / "demo", site)
    text = (site / "site.yaml").read_text(encoding="utf-8")
    (site / "site.yaml").write_text(text.replace("id: demo", f"id: only-one-{os.getpid()}"), encoding="utf-8")
    with private_runs() as runs:
        first = await start(["run", str(site), "--ports", "auto", "--json", "--state", str(tmp_path / "one")], runs)
        assert first.stdout is not None
        async with asyncio.timeout(90):
            about = json.loads(await first.stdout.readline())
        code, _, messages = await ended(
            await start(["run", str(site), "--ports", "auto", "--state", str(tmp_path / "two")], runs)
        )
        first.send_signal(signal.SIGINT)

        assert code == 2
        assert f"already controlled by pid {about['pids']['control']}" in messages
        assert (await ended(first))[0] == 0


STAGES = {
    "as soon as it has its state": "state",
    "as soon as it has its run directory": "bess/demo-*",
    "while the simulator starts": "bess/demo-*/processes.json",
    "while control seals the site": "bess/demo-*/site",
    "while the faces start": "bess/demo-*/snapshot",
}


@pytest.mark.parametrize("stage", STAGES)
async def test_a_start_can_be_broken_off(stage: str) -> None:
    sign = (signal.SIGTERM, signal.SIGINT)[list(STAGES).index(stage) % 2]
    with private_runs() as runs:
        words = ["demo", "--headless", "--json", "--ports", "auto", "--state", str(runs / "state")]
        process = await start(words, runs)
        while not any(runs.glob(STAGES[stage])):
            await asyncio.sleep(0.005)
        process.send_signal(sign)
        code, _, messages = await ended(process)

        assert (code, "Traceback" in messages) == (0, False), messages
        assert list(runs.glob("bess/*")) == []


@pytest.fixture
def small_tmpfs() -> Iterator[Path]:
    """Return a tmpfs of its own, of 64 MB."""
    with private_runs() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"a small tmpfs can't be mounted here: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(folder: Path) -> None:
    with (folder / "full").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return


async def test_a_full_tmpfs_is_refused_in_words(tmp_path: Path, small_tmpfs: Path) -> None:
    _fill(small_tmpfs)
    words = ["demo", "--headless", "--json", "--ports", "auto", "--state", str(tmp_path / "state")]
    code, _, messages = await ended(await start(words, small_tmpfs))

    assert code == 2
    assert "No space left on device" in messages
    assert "Traceback" not in messages


async def test_a_tmpfs_that_fills_up_stops_nothing(tmp_path: Path, small_tmpfs: Path) -> None:
    async with running_demo(tmp_path, runs=small_tmpfs) as demo:
        _fill(small_tmpfs)
        before = demo.pid("control")
        for role in ("control", "modbus"):
            os.kill(demo.about["pids"][role], signal.SIGKILL)
        await until(lambda: not alive(before))
        await until(_is(demo, 0))


async def test_a_full_disk_is_an_alarm_and_stops_nothing(tmp_path: Path, small_tmpfs: Path) -> None:
    with private_runs() as runs:
        async with running_demo(small_tmpfs, runs=runs) as demo:
            _fill(small_tmpfs)
            assert await demo.disturb("cell B01-R03 17 3.72V") == "ok"
            await until(lambda: _alarms(demo) >= 3)  # the cell's, the journal's, the retained state's

            assert await demo.answers() == 0


async def test_what_was_stopped_on_a_full_disk_is_stopped_after_control_died(
    tmp_path: Path, small_tmpfs: Path, demo_plant: Plant
) -> None:
    """Fast stop, lock-out and limit were answered, and forgotten: the plant started again by itself."""
    rack = "Plant.Block01.Rack03"
    with private_runs() as runs:
        async with running_demo(small_tmpfs, runs=runs) as demo:
            _fill(small_tmpfs)
            for action, target, value in (
                (Action.FAST_STOP, "Plant", None),
                (Action.LOCK_OUT, rack, "repair"),
                (Action.SET_EXPORT_LIMIT, "Plant", 0.5e6),
            ):
                assert (await _ask(demo, action, target, value)).accepted
            assert "can't be written" in await _refused(demo, Action.RESET_TRIPS)

            killed = demo.signal("control", signal.SIGKILL)
            await until(lambda: demo.pid("control") != killed and demo.is_ready("control"))
            await until(lambda: {"fast_stop_latched", "control_restarted"} <= _standing(demo))
            view = LinkedPlant(
                RunDirectory(demo.run), image_layout(demo_plant), load_sealed(demo.run).hash, SystemClock()
            )
            assert view.snapshot().image["plant.export_limit"].value[0] == 0.5e6
            assert "fast stop" in await _refused(demo, Action.START)

            (small_tmpfs / "full").unlink()
            await until(lambda: "retained_state_failing" not in _standing(demo))
            for action, target in ((Action.REMOVE_LOCK_OUT, rack), (Action.RESET_TRIPS, "Plant")):
                assert (await _ask(demo, action, target)).accepted
            await asyncio.sleep(2.0)
            assert view.snapshot().image["plant.operating_state"].value[0] == 1, "a reset alone starts nothing"
            assert (await _ask(demo, Action.START)).accepted
        kept = load(small_tmpfs / "state" / "retained")
        assert BEHIND not in kept
        assert not died(kept)


async def _ask(demo: Demo, action: Action, target: str = "Plant", value: float | str | None = None) -> Reply:
    number = f"test-{next(_NUMBERS)}"
    command = Command(number, "local", "anne", "operator", action, target, value, SystemClock().mono_ns())
    return await CommandClient(demo.run / "command.sock", reply_timeout_s=30.0).submit(command)


async def _refused(demo: Demo, action: Action) -> str:
    """Ask until it is refused, and return why: the disk's failure is known once something was to be written."""
    replies: list[Reply] = []

    async def asked() -> bool:
        replies.append(await _ask(demo, action))
        return not replies[-1].accepted

    await until(asked)
    return replies[-1].text


_NUMBERS = itertools.count()


def _standing(demo: Demo) -> set[str]:
    done = subprocess.run(
        [*BESS, "status", str(demo.run), "--json"], capture_output=True, text=True, check=False, timeout=60
    )
    return {a["function"] for a in json.loads(done.stdout)["alarms"] if "returned" not in a["state"]}


def _alarms(demo: Demo) -> int:
    done = subprocess.run(
        [*BESS, "status", str(demo.run), "--json"], capture_output=True, text=True, check=False, timeout=60
    )
    return int(json.loads(done.stdout)["plant"]["ActiveAlarms"])


def _word_behind(option: str, pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
    return words[words.index(option) + 1]
