"""A demo in its real processes, for tests: started, asked, signalled, and gone at the end with all that it had."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from controller.runtime.journal import read_events

BESS = (sys.executable, "-c", "from controller.cli import main; main()")
FLAT_UNIT = 2
PATIENCE_S = 150.0


@dataclass(slots=True)
class Demo:
    """A running demo: its announcement, its supervisor, its folders."""

    about: dict[str, Any]
    process: asyncio.subprocess.Process
    state: Path
    runs: Path

    @property
    def modbus(self) -> tuple[str, int]:
        host, _, port = self.about["modbus"].rpartition(":")
        return host, int(port)

    @property
    def run(self) -> Path:
        """Its run directory."""
        (found,) = self.runs.glob("bess/demo-*")
        return found

    def pid(self, role: str) -> int:
        """The process that has the role now."""
        told = json.loads((self.run / "processes.json").read_text(encoding="utf-8"))
        return int(told[role]["pid"])

    def is_ready(self, role: str) -> bool:
        told = json.loads((self.run / "processes.json").read_text(encoding="utf-8"))
        return bool(told[role]["ready"])

    def signal(self, role: str, sign: signal.Signals) -> int:
        """Signal the process of a role and return its pid."""
        pid = self.pid(role)
        os.kill(pid, sign)
        return pid

    def journal(self) -> list[str]:
        """What has been written down, in words: equipment, function, kind."""
        path = self.state / "journal.sqlite"
        return [f"{row[3]} {row[4]} {row[2]}" for row in read_events(path)] if path.exists() else []

    async def disturb(self, line: str) -> str:
        """Give the simulator a fault command and return its answer."""
        host, _, port = self.about["faults"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{line}\n".encode())
        answer = (await reader.readline()).decode().strip()
        writer.close()
        await writer.wait_closed()
        return answer

    async def answers(self, count: int = 2, address: int = 0) -> int | None:
        """Read the flat map: 0 if it is answered by values, the exception's code, None if nobody is there."""
        client = AsyncModbusTcpClient(self.modbus[0], port=self.modbus[1], timeout=1, retries=0)
        try:
            if not await client.connect():
                return None
            answer = await client.read_holding_registers(address, count=count, device_id=FLAT_UNIT)
            return answer.exception_code if answer.isError() else 0
        except Exception:  # noqa: BLE001 - whatever the client raises, nobody answered
            return None
        finally:
            client.close()


@contextlib.contextmanager
def private_runs() -> Iterator[Path]:
    """Return a folder on tmpfs for run directories that nobody else uses."""
    folder = Path(tempfile.mkdtemp(prefix="bess-test-", dir="/dev/shm"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(runs: Path) -> Mapping[str, str]:
    """Return the environment of a run whose run directory lies there."""
    kept = {k: v for k, v in os.environ.items() if k not in {"RUNTIME_DIRECTORY", "STATE_DIRECTORY"}}
    return {**kept, "XDG_RUNTIME_DIR": str(runs)}


async def start(words: list[str], runs: Path) -> asyncio.subprocess.Process:
    """Start `bess` with these words."""
    return await asyncio.create_subprocess_exec(
        *BESS, *words, env=environment(runs), limit=1 << 20,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Wait for the end: exit code, output, messages."""
    async with asyncio.timeout(PATIENCE_S):
        out, messages = await process.communicate()
    return process.returncode, out.decode(), messages.decode()


@contextlib.asynccontextmanager
async def running_demo(tmp_path: Path, *more: str, runs: Path | None = None) -> AsyncIterator[Demo]:
    """Run a demo; at the end it must stop cleanly, and nothing may be left of it."""
    with contextlib.ExitStack() as stack:
        runs = runs or stack.enter_context(private_runs())
        state = tmp_path / "state"
        process = await start(["demo", "--headless", "--json", "--ports", "auto", "--state", str(state), *more], runs)
        assert process.stdout is not None
        about: dict[str, Any] = {"pids": {}}
        try:
            async with asyncio.timeout(PATIENCE_S):
                about = json.loads(await process.stdout.readline())
            demo = Demo(about, process, state, runs)
            yield demo
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            code, _, messages = await ended(process)
        assert code in {0, -signal.SIGKILL}, messages
        assert not any(alive(pid) for role, pid in about["pids"].items() if role != "supervisor")


def alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone, or going while it was read
        return False


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Wait for something that must come."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.1)
