"""The controller in its real processes: what is killed comes back, what falls silent shows, nothing outlives a stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

STATE_ADDRESS_UNIT = 2


@dataclass(slots=True)
class Demo:
    """A running demo: its announcement and its supervisor."""

    about: dict[str, Any]
    process: asyncio.subprocess.Process
    state: Path

    @property
    def modbus(self) -> tuple[str, int]:
        host, _, port = self.about["modbus"].rpartition(":")
        return host, int(port)


@contextlib.asynccontextmanager
async def _demo(tmp_path: Path) -> AsyncIterator[Demo]:
    words = ["demo", "--headless", "--json", "--ports", "auto", "--state", str(tmp_path / "state")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from controller.cli import main; main()", *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(90):
            about = json.loads(await process.stdout.readline())
        yield Demo(about, process, tmp_path / "state")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(40):
            code = await process.wait()
    assert code == 0
    assert not any(_alive(pid) for role, pid in about["pids"].items() if role != "supervisor")


def _command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.1)


async def _answers(demo: Demo) -> int | None:
    """Read the map version: its exception code, 0 if it is answered with a value, None if nobody is there."""
    client = AsyncModbusTcpClient(demo.modbus[0], port=demo.modbus[1], timeout=1, retries=0)
    try:
        if not await client.connect():
            return None
        answer = await client.read_holding_registers(0, count=2, device_id=STATE_ADDRESS_UNIT)
        return answer.exception_code if answer.isError() else 0
    except Exception:  # noqa: BLE001 - whatever the client raises, nobody answered
        return None
    finally:
        client.close()


async def test_a_stopped_control_shows_on_the_face_and_a_killed_one_comes_back(tmp_path: Path) -> None:
    async with _demo(tmp_path) as demo:
        await _until(lambda: _is(demo, 0))
        os.kill(demo.about["pids"]["control"], signal.SIGSTOP)
        await _until(lambda: _is(demo, 0x0B))
        await _until(lambda: _is(demo, 0))  # killed for its silence, and started again


async def test_a_killed_modbus_face_comes_back(tmp_path: Path) -> None:
    async with _demo(tmp_path) as demo:
        await _until(lambda: _is(demo, 0))
        killed = demo.about["pids"]["modbus"]
        os.kill(killed, signal.SIGKILL)
        await _until(lambda: _is(demo, 0))
        assert not _alive(killed)


async def test_a_second_controller_on_the_same_state_is_refused(tmp_path: Path) -> None:
    async with _demo(tmp_path) as demo:
        command = _command_line(demo.about["pids"]["control"])
        site = command[command.index("--site") + 1]
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from controller.cli import main; main()", "run", site, "--simulated",
            "--ports", "auto", "--state", str(demo.state), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(90):
            _, messages = await second.communicate()

        assert second.returncode == 2
        assert b"already controlled by pid" in messages


async def _is(demo: Demo, wanted: int) -> bool:
    return await _answers(demo) == wanted


@pytest.fixture(autouse=True)
def _long_enough(request: pytest.FixtureRequest) -> None:
    request.node.add_marker(pytest.mark.timeout(240))
