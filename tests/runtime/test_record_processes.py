"""`bess run --record` and `bess replay` as they are typed: a simulated plant on real sockets, killed and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from controller.plant.demo_site import write_demo_site

BESS = (sys.executable, "-c", "from controller.cli import main; main()")
PLANT_UNIT = 2
HALF_A_MEGAWATT = [0x3F00, 0x0000]
NOT_A_NUMBER = [0x7FC0, 0x0000]
pytestmark = pytest.mark.timeout(300)


@contextlib.asynccontextmanager
async def _recorded(site: Path, state: Path, recording: Path) -> AsyncIterator[dict[str, Any]]:
    words = ("run", str(site), "--simulated", "--json", "--ports", "auto", "--state", str(state))
    process = await asyncio.create_subprocess_exec(
        *BESS, *words, "--record", str(recording), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(90):
            yield json.loads(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def _bess(*words: str) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *BESS, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        answer, messages = await process.communicate()
    assert process.returncode is not None
    return process.returncode, answer, messages


async def _replayed(site: Path, recording: Path) -> dict[str, Any]:
    code, answer, messages = await _bess("replay", str(site), str(recording), "--json")
    assert code == 0, answer + messages
    result: dict[str, Any] = json.loads(answer)
    return result


async def _fault(about: dict[str, Any], command: str) -> None:
    host, _, port = about["faults"].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{command}\n".encode())
    assert (await reader.readline()).strip() == b"ok"
    writer.close()


async def _registers(site: Path) -> dict[str, int]:
    _, answer, _ = await _bess("points", str(site), "--format", "json")
    return {row["tag"]: int(row["modbus_address"]) for row in json.loads(answer) if row["modbus_address"] is not None}


async def _until_reads(client: AsyncModbusTcpClient, address: int, value: int) -> None:
    async with asyncio.timeout(60):
        while (answer := await client.read_holding_registers(address, count=1, device_id=PLANT_UNIT)).isError() or (
            answer.registers[0] != value
        ):
            await asyncio.sleep(0.1)


async def _until_longer(file: Path) -> None:
    size = _size(file)
    async with asyncio.timeout(60):
        while _size(file) == size:
            await asyncio.sleep(0.1)


def _size(file: Path) -> int:
    return file.stat().st_size


async def test_a_run_with_setpoints_and_a_trip_replays_bit_for_bit_even_after_a_kill(tmp_path: Path) -> None:
    site, recording = write_demo_site(tmp_path / "site").parent, tmp_path / "day.rec"
    registers = await _registers(site)
    async with _recorded(site, tmp_path / "state", recording) as about:
        host, _, port = about["modbus"].rpartition(":")
        client = AsyncModbusTcpClient(host, port=int(port), timeout=10, retries=0)
        assert await client.connect()
        await _until_reads(client, registers["Plant.State"], 3)
        assert not (await client.write_registers(4, HALF_A_MEGAWATT, device_id=PLANT_UNIT)).isError()
        refused = await client.write_registers(4, NOT_A_NUMBER, device_id=PLANT_UNIT)
        assert refused.exception_code == 3
        await _fault(about, "cell B01-R03 17 3.75V")
        await _until_reads(client, registers["Plant.Block01.Rack03.Tripped"], 1)
        client.close()
        for _ in range(2):  # the record with the trip is whole once another one has followed
            await _until_longer(recording)
        os.kill(about["pids"]["control"], signal.SIGKILL)
        second = recording.with_stem("day-2")
        async with asyncio.timeout(60):
            while not second.exists():
                await asyncio.sleep(0.1)

    killed, stopped = await _replayed(site, recording), await _replayed(site, second)
    assert not killed["closed_cleanly"]
    assert killed["trips"] >= 1
    assert killed["commands"] >= 1
    assert {"setpoint_accepted", "first_out"} <= {event["kind"] for event in killed["events"]}
    assert stopped["closed_cleanly"]
    assert stopped["scans"] > 1
    assert (killed["different_scans"], stopped["different_scans"]) == (0, 0)


async def test_nothing_is_started_where_the_recording_would_replace_a_file(tmp_path: Path) -> None:
    site = write_demo_site(tmp_path / "site").parent
    (tmp_path / "mine.rec").write_text("mine")
    words = ("run", str(site), "--simulated", "--ports", "auto", "--state", str(tmp_path / "state"))
    code, _, messages = await _bess(*words, "--record", str(tmp_path / "mine.rec"))

    assert code == 2
    assert b"is there already" in messages
    assert (tmp_path / "mine.rec").read_text() == "mine"


async def test_what_cannot_be_replayed_says_why_and_exits_with_2(tmp_path: Path) -> None:
    site = write_demo_site(tmp_path / "site").parent
    (tmp_path / "x").write_text("no recording")
    code, answer, messages = await _bess("replay", str(site), str(tmp_path / "x"))

    assert (code, answer) == (2, b"")
    assert b"is no recording" in messages
