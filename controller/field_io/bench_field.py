"""What polling costs on this machine: CPU of one read of 125 registers, beside pymodbus and libmodbus in one run.

Ours is the whole way: planned, sent, checked, stored, decoded into the image, by the workers that control runs. Theirs
is the bare read. All ask the same server, which runs in a process of its own and is not counted. Figures are user and
system time of the client: of several rounds, taken in turn, the least disturbed of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import uvloop
from pymodbus.client import AsyncModbusTcpClient

from controller.field_io.field import Field
from controller.image.image import Image
from controller.image.latch import Latch
from controller.image.layout import plant_layout
from controller.image.outputs import OutputImage
from controller.modbus.mbap import frame
from controller.modbus.pdu import read
from controller.modbus.poll_groups import poll_groups
from controller.modbus.raw_blocks import RawGroup
from controller.plant.clock import Clock
from controller.plant.device_types import DeviceKind, DevicePoint, DeviceType, PollBlock, RegisterPlace, RegisterTable
from controller.plant.model import Binding, Device, Link, Plant, TcpAddress
from controller.plant.signals import SIGNALS, Owner

REGISTERS, READS = 125, 12
ROUNDS, ROUND_S, SETTLE_S = 5, 0.5, 0.15
IN_TURN_GOAL_PYMODBUS, IN_TURN_GOAL_LIBMODBUS, PIPELINED_GOAL_LIBMODBUS = 0.2, 0.7, 0.4
_HERE = Path(__file__).parent
_REQUEST = frame(1, 1, read(4, 0, REGISTERS).pdu)

Row = dict[str, Any]
Microseconds = float


def bench_field(plant: Plant, clock: Clock, connections: int = 24) -> list[Row]:
    """Measure with racks of 1,500 cells, each behind a connection of its own; `plant` has at least so many racks."""
    with _programs() as (device, libmodbus):
        if device is None:
            return _rows({})
        with _running(device) as port:
            return _rows(_least(_ways(plant, clock, connections, port, libmodbus)))


def _ways(
    plant: Plant, clock: Clock, connections: int, port: int, libmodbus: Path | None
) -> dict[str, Callable[[], Microseconds]]:
    one, many = (_plant(plant, port, connections, in_flight) for in_flight in (1, READS))
    ways = {
        "in_turn": lambda: _ours(one, clock, uvloop.new_event_loop),
        "pipelined": lambda: _ours(many, clock, uvloop.new_event_loop),
        "in_turn_asyncio": lambda: _ours(one, clock, asyncio.new_event_loop),
        "floor_in_turn": lambda: _run(_unchecked(port, connections), uvloop.new_event_loop),
        "pymodbus": lambda: _run(_pymodbus(port, connections), asyncio.new_event_loop),
    }
    if libmodbus is not None:
        ways["libmodbus"] = lambda: _of_program(libmodbus, port, connections)
    return ways


def _least(ways: dict[str, Callable[[], Microseconds]]) -> dict[str, Microseconds]:
    """Take all in turn, so that a noisy moment hits all alike; others at work only ever add."""
    taken: dict[str, list[Microseconds]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, measure in ways.items():
            taken[name].append(measure())
    return {f"{name}_us": round(min(times), 2) for name, times in taken.items()}


def _rows(us: dict[str, Microseconds]) -> list[Row]:
    return [
        _row("field_read_in_turn_beside_pymodbus", "in_turn_us", "pymodbus_us", IN_TURN_GOAL_PYMODBUS, us),
        _row("field_read_in_turn_beside_libmodbus", "in_turn_us", "libmodbus_us", IN_TURN_GOAL_LIBMODBUS, us),
        _row("field_read_pipelined_beside_libmodbus", "pipelined_us", "libmodbus_us", PIPELINED_GOAL_LIBMODBUS, us),
    ]


def _row(name: str, ours: str, theirs: str, goal: float, us: dict[str, Microseconds]) -> Row:
    row: Row = {"name": name, "unit": "ratio", "goal": goal, "value": None, "met": None}
    if ours not in us or theirs not in us:
        return row | {"beside": {**us, "missing": "a C compiler (cc) or libmodbus.so.5"}}
    value = round(us[ours] / us[theirs], 3)
    return row | {"value": value, "met": value <= goal, "beside": us}


def _cpu_us() -> Microseconds:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1e6 * (used.ru_utime + used.ru_stime)


def _run(work: Any, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Microseconds:  # noqa: ANN401 - a coroutine
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return float(runner.run(work))


# ---------------------------------------------------------------------------------------------------------------- ours


def _ours(plant: Plant, clock: Clock, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Microseconds:
    return _run(_poll(plant, clock), loop_factory)


async def _poll(plant: Plant, clock: Clock) -> Microseconds:
    """Poll without a pause; every block that arrives is decoded, most of them together."""
    groups = poll_groups(plant)
    field, (raw,) = Field(plant, groups, OutputImage(plant), clock), (g.raw for g in groups)
    latch = Latch(plant, groups, Image(plant_layout(plant)))
    working = asyncio.get_running_loop().create_task(field.run())
    await _decode(raw, latch, clock, SETTLE_S)
    before_us, before = _cpu_us(), int(raw.arrivals.sum())
    await _decode(raw, latch, clock, ROUND_S)
    spent_us, reads = _cpu_us() - before_us, READS * (int(raw.arrivals.sum()) - before)
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return spent_us / reads


async def _decode(raw: RawGroup, latch: Latch, clock: Clock, duration_s: float) -> None:
    """Take whatever has arrived each time when a round is complete."""
    end_ns = clock.mono_ns() + round(duration_s * 1e9)
    taken = int(raw.arrivals.sum())
    while (now_ns := clock.mono_ns()) < end_ns:
        await asyncio.sleep(0.002)
        if int(raw.arrivals.sum()) - taken >= len(raw.devices):
            taken = int(raw.arrivals.sum())
            latch.take(now_ns)


def _plant(plant: Plant, port: int, connections: int, in_flight: int) -> Plant:
    """Return a plant whose racks have 1,500 cells each and nothing else, polled without a pause."""
    cells = READS * REGISTERS
    place = RegisterPlace(RegisterTable.INPUT, 0)
    point = DevicePoint(
        SIGNALS["cell.voltage"], place, "u16", "cells", cells, scale=0.001, valid_min=0.5, valid_max=5.0
    )
    # Polled without a pause, but no older for it: a second counts as fresh, as in a plant.
    poll = (PollBlock("cells", 1e-6),)
    device_type = DeviceType("bench", DeviceKind.RACK_BMS, "none", None, (point,), poll, refresh_s=1.0)
    racks = tuple(replace(r, battery=replace(r.battery, cells_in_series=cells)) for r in plant.racks[:connections])
    devices = tuple(Device(n, r.name, device_type, n, 1, (Binding(Owner.RACK, n),)) for n, r in enumerate(racks))
    links = tuple(Link(n, TcpAddress("127.0.0.1", port), in_flight, 0.0, 5.0) for n in range(len(racks)))
    return replace(plant, racks=racks, devices=devices, links=links)


# -------------------------------------------------------------------------------------------------------------- theirs


class _Unchecked(asyncio.Protocol):
    """The floor: asks again as soon as so many bytes have come, and looks at none of them."""

    reads = missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing <= 0:
            self.reads += 1
            self._ask()

    def close(self) -> None:
        self._transport.abort()

    def _ask(self) -> None:
        self.missing += 9 + 2 * REGISTERS
        self._transport.write(_REQUEST)


async def _unchecked(port: int, connections: int) -> Microseconds:
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(_Unchecked, "127.0.0.1", port))[1] for _ in range(connections)]
    await asyncio.sleep(SETTLE_S)
    before_us, before = _cpu_us(), sum(one.reads for one in made)
    await asyncio.sleep(ROUND_S)
    spent_us = (_cpu_us() - before_us) / (sum(one.reads for one in made) - before)
    for one in made:
        one.close()
    return spent_us


async def _pymodbus(port: int, connections: int) -> Microseconds:
    clients = [AsyncModbusTcpClient("127.0.0.1", port=port, retries=0) for _ in range(connections)]
    for client in clients:
        await client.connect()
    ended, reads = False, 0

    async def poll(client: AsyncModbusTcpClient) -> None:
        nonlocal reads
        while not ended:
            for block in range(READS):
                answer = await client.read_input_registers(block * REGISTERS, count=REGISTERS, device_id=1)
                reads += len(answer.registers) == REGISTERS

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(poll(client))
        await asyncio.sleep(SETTLE_S)
        before_us, before = _cpu_us(), reads
        await asyncio.sleep(ROUND_S)
        spent_us = (_cpu_us() - before_us) / (reads - before)
        ended = True
    for client in clients:
        client.close()
    return spent_us


def _of_program(program: Path, port: int, connections: int) -> Microseconds:
    words = [str(program), str(port), str(connections), str(ROUND_S)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - the program that was just compiled
    reads, spent_us = done.stdout.split()
    return float(spent_us) / int(reads)


@contextlib.contextmanager
def _programs() -> Iterator[tuple[Path | None, Path | None]]:
    """Compile the device that is asked, and the program that asks through libmodbus; None for what can't be had."""
    with tempfile.TemporaryDirectory(prefix="bess-bench-") as folder:
        yield (
            _compiled("bench_device.c", Path(folder)),
            _compiled("bench_libmodbus.c", Path(folder), "-l:libmodbus.so.5"),
        )


def _compiled(source: str, folder: Path, *libraries: str) -> Path | None:
    compiler, program = shutil.which("cc"), folder / Path(source).stem
    if compiler is None:
        return None
    words = [compiler, "-O2", "-o", str(program), str(_HERE / source), *libraries]
    done = subprocess.run(words, capture_output=True, check=False)  # noqa: S603 - a fixed command
    return program if done.returncode == 0 else None


@contextlib.contextmanager
def _running(device: Path) -> Iterator[int]:
    """Run the device that all ask; yield its port."""
    with subprocess.Popen([str(device)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - the program that was just compiled
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
