"""What the Modbus face costs on this machine: the server's own CPU time a request, beside a server that checks nothing.

The client runs in a thread of the same process and is not counted. Times are medians of several rounds, in
microseconds of CPU.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from controller.control.commands import Command, Reply
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.link.event_ring import EventBatch, no_events
from controller.link.plant_view import RunState, Snapshot
from controller.plant.model import ModbusFace, Plant
from controller.points.addresses import FIRST_ADDRESS, FIRST_UNIT, flat_map
from controller.points.point_list import point_list
from controller.scada.modbus.face import ModbusServerFace
from controller.scada.modbus.requests import RegisterMap
from controller.scada.modbus.sunspec_map import BLOCK_UNIT, PLANT_UNIT

PIPELINED_GOAL_S, BUILD_GOAL_S = 20e-6, 20e-3
_REGISTERS, _PIPELINED, _ROUNDS = 125, 50, 7
_REQUEST = struct.pack(">HHHBBHH", 1, 0, 6, FIRST_UNIT, 3, FIRST_ADDRESS, _REGISTERS)
_REPLY = struct.pack(">HHHBBB", 1, 0, 3 + 2 * _REGISTERS, FIRST_UNIT, 3, 2 * _REGISTERS) + bytes(2 * _REGISTERS)
_NOW_NS = 1_000_000_000_000

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Result = dict[str, Any]


@dataclass(slots=True)
class _StillPlant:
    """A plant that stands still at one moment, which is also the clock's."""

    snap: Snapshot

    def snapshot(self) -> Snapshot:
        return self.snap

    async def submit(self, command: Command) -> Reply:
        raise NotImplementedError(f"nothing is written here: {command}")

    def events(self, since: int) -> EventBatch:
        return no_events(since)

    def mono_ns(self) -> int:
        return _NOW_NS

    def utc_ns(self) -> int:
        return _NOW_NS

    def publish(self) -> None:
        """Publish the same image again."""
        image = Image(self.snap.image.layout, self.snap.image.buffers)
        self.snap = Snapshot(image, self.snap.sequence + 1, _NOW_NS, RunState.RUNNING, 1, b"", 1)


class _Unchecked(asyncio.Protocol):
    """The floor: sends a reply for every 12 bytes, without looking at them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._bytes = 0

    def data_received(self, data: bytes) -> None:
        requests, self._bytes = divmod(self._bytes + len(data), len(_REQUEST))
        self._transport.write(_REPLY * requests)


class _Opened(Protocol):
    """A server that listens and serves."""

    async def start(self) -> str:
        """Open the port and return host:port."""

    async def serve(self) -> None:
        """Answer until cancelled."""


class _Floor:
    """Serves `_Unchecked`."""

    async def start(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    async def serve(self) -> None:
        server = await asyncio.get_running_loop().create_server(_Unchecked, sock=self._socket)
        await server.serve_forever()


def bench_modbus(plant: Plant, loop_factory: LoopFactory | None = None, requests: int = 5_000) -> list[Result]:
    """Measure reads of 125 registers, pipelined and one by one, and building each kind of unit anew.

    Args:
        plant: whose face.
        loop_factory: the event loop to measure with; the daemon's is uvloop's.
        requests: of each round.
    """
    view = _StillPlant(Snapshot(Image(plant_layout(plant)), 1, _NOW_NS, RunState.RUNNING, 1, b"", 1))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        results = [
            runner.run(_measured_reads(plant, view, "modbus_read_pipelined", requests, _PIPELINED)),
            runner.run(_measured_reads(plant, view, "modbus_read_one_by_one", requests // 5, 1)),
        ]
    return results + _measured_builds(_face(plant, view), view)


def _face(plant: Plant, view: _StillPlant) -> ModbusServerFace:
    listed = point_list(plant)
    return ModbusServerFace(ModbusFace("127.0.0.1", 0, ()), plant, listed, flat_map(listed), view, view)


async def _measured_reads(plant: Plant, view: _StillPlant, name: str, requests: int, depth: int) -> Result:
    own_s = await _cpu_s(_face(plant, view), requests, depth)
    floor_s = await _cpu_s(_Floor(), requests, depth)
    return _result(name, own_s, PIPELINED_GOAL_S if depth > 1 else None, {"no checks, same loop": floor_s})


async def _cpu_s(server: _Opened, requests: int, depth: int) -> float:
    """Return the CPU time of this thread, which serves, for each request."""
    host, _, port = (await server.start()).rpartition(":")
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve())
        rounds = []
        for _ in range(_ROUNDS):
            before_s = _thread_s()
            await asyncio.to_thread(_ask, (host, int(port)), requests // depth, depth)
            rounds.append((_thread_s() - before_s) / (requests // depth * depth))
        serving.cancel()
    return statistics.median(rounds)


def _ask(address: tuple[str, int], times: int, depth: int) -> None:
    wanted, asked = depth * len(_REPLY), _REQUEST * depth
    with socket.create_connection(address) as client:
        for _ in range(times):
            client.sendall(asked)
            left = wanted
            while left:
                left -= len(client.recv(left))


def _measured_builds(face: ModbusServerFace, view: _StillPlant) -> list[Result]:
    units = {"flat": (FIRST_UNIT, FIRST_ADDRESS), "plant": (PLANT_UNIT, 40_000), "block": (BLOCK_UNIT + 1, 40_000)}
    return [
        _result(f"modbus_build_{name}", _build_s(face.requests.units[unit], view, address), BUILD_GOAL_S, {})
        for name, (unit, address) in units.items()
    ]


def _build_s(registers: RegisterMap, view: _StillPlant, address: int) -> float:
    rounds = []
    for _ in range(10 * _ROUNDS):
        view.publish()
        before_s = _thread_s()
        registers.read(view.snapshot(), _NOW_NS, address, 1)
        rounds.append(_thread_s() - before_s)
    return statistics.median(rounds)


def _thread_s() -> float:
    return time.thread_time_ns() / 1e9


def _result(name: str, value_s: float, goal_s: float | None, beside_s: dict[str, float]) -> Result:
    """Return a row of `bess bench`."""
    return {
        "name": name,
        "value": round(1e6 * value_s, 2),
        "unit": "us CPU",
        "goal": None if goal_s is None else round(1e6 * goal_s, 2),
        "met": goal_s is None or value_s <= goal_s,
        "beside": {other: round(1e6 * cost_s, 2) for other, cost_s in beside_s.items()},
    }
