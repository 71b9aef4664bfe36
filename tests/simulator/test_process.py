"""The simulator as a process, as `bess simulate` starts it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

import controller
from controller.runtime.clock import FakeClock
from controller.simulator.faults.lines import CommandInput, CommandLines
from controller.simulator.process import Simulation, simulate_site

DEMO = Path(controller.__file__).parent / "library" / "sites" / "demo"
WAIT_S = 60.0
PROGRAM = "from controller.cli import main; main()"


@contextlib.asynccontextmanager
async def simulator(*words, stdin=asyncio.subprocess.PIPE):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, "simulate", *words,
        stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process):
    async with asyncio.timeout(WAIT_S):
        return (await process.stdout.readline()).decode().strip()


async def told(process, line):
    process.stdin.write(f"{line}\n".encode())
    return await line_of(process)


async def ended(process):
    async with asyncio.timeout(WAIT_S):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_it_says_where_takes_commands_and_stops_cleanly():
    async with simulator(str(DEMO), "--json", "--ports", "auto") as process:
        about = json.loads(await line_of(process))
        assert [d["name"] for d in about["devices"]][:2] == ["BANK01", "B02-R01"]
        assert all(d["address"].startswith("127.0.0.1:") and d["unit"] == 1 for d in about["devices"])
        assert await told(process, "silent B01-R03 for 30s") == "ok"
        assert (await told(process, "silent B09")).startswith("error: there is no 'B09'")
        assert await told(process, "list") == "silent B01-R03 for 30s"
        assert await line_of(process) == "ok"

        host, port = about["faults"].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"limit PCS01 500kW\r\nli")
        assert await reader.readline() == b"ok\n"
        writer.write(b"st\n")
        assert [await reader.readline() for _ in range(3)] == [
            b"silent B01-R03 for 30s\n",
            b"limit PCS01 500kW\n",
            b"ok\n",
        ]

        process.stdin.close()  # the end of input stops nothing
        writer.write(b"clear\n")
        assert await reader.readline() == b"ok\n"
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == (0, "")
        writer.close()


def test_a_fault_file_about_nobody_is_refused(tmp_path, capsys):
    faults = tmp_path / "faults.txt"
    faults.write_text("0 silent B09-R03\n")
    assert simulate_site(DEMO, FakeClock(), faults=faults, auto_ports=True) == 2
    assert "there is no 'B09-R03'" in capsys.readouterr().err
    assert simulate_site(DEMO, FakeClock(), faults=tmp_path / "none") == 2
    assert "No such file" in capsys.readouterr().err


def test_a_site_that_does_not_load_is_explained(tmp_path, capsys):
    shutil.copytree(DEMO, tmp_path / "site")
    site = tmp_path / "site" / "site.yaml"
    site.write_text(site.read_text().replace("battery: lfp280", "battery: lfp999", 1))
    assert simulate_site(tmp_path / "site", FakeClock()) == 1
    assert "lfp999" in capsys.readouterr().err
    assert simulate_site(tmp_path / "nowhere", FakeClock()) == 2


async def test_a_port_that_is_taken_is_an_error(demo):
    first, second = Simulation(demo, FakeClock()), Simulation(demo, FakeClock())
    try:
        await first.start()
        with pytest.raises(OSError, match="in use"):
            await second.start()
    finally:
        await first.close()
        await second.close()


async def test_addresses_are_left_in_a_file(demo, tmp_path):
    simulation = Simulation(demo, FakeClock())
    file = tmp_path / "addresses.json"
    about = await simulation.start(file, auto_ports=True)
    found = json.loads(file.read_text())
    assert found[str(demo.devices[0].link)] == about["devices"][0]["address"]
    assert len(found) == len(demo.links)
    await simulation.close()


class Echo:
    """A menu that remembers."""

    def __init__(self):
        self.lines = []

    def execute(self, line):
        self.lines.append(line)
        return f"did {line}"


def test_lines_are_cut_however_they_arrive():
    menu = Echo()
    lines = CommandLines(menu.execute)
    answers = [a for piece in (b"on", b"e\n\ntwo\r\nthr", b"ee", b"\n\xff\n") for a in lines.feed(piece)]
    assert answers == ["did one", "did two", "did three", "did �"]


async def test_a_file_as_input_is_read_to_its_end(tmp_path):
    file = tmp_path / "lines"
    file.write_bytes(b"one\ntwo\n" * 2000)
    menu = Echo()
    descriptor = os.open(file, os.O_RDONLY)
    CommandInput(menu.execute, descriptor, lambda _: None).start(asyncio.get_running_loop())
    os.close(descriptor)
    assert len(menu.lines) == 4000


@pytest.mark.parametrize("descriptor", [-1, 9999])
async def test_no_input_at_all_is_fine(descriptor):
    CommandInput(Echo().execute, descriptor, lambda _: None).start(asyncio.get_running_loop())
