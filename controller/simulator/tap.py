"""A tap on a Modbus TCP link: passes every byte on, and tells when a value came and when a command went.

For measuring from outside how long a controller takes: it stands where the network would, so both directions are timed
as the device's side sees them. It never changes, delays or drops anything itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.modbus.errors import ExceptionCode, FrameError
from controller.modbus.mbap import FrameBuffer
from controller.modbus.pdu import READS, Request, parse_request
from controller.plant.clock import Clock
from controller.plant.model import TcpAddress
from controller.simulator.modbus_server import LOOPBACK

_BYTES = 1 << 16

Came = Callable[[Request, bytes, int], None]
"""A read was answered: the request, the registers, when (monotonic ns)."""
Went = Callable[[Request, int], None]
"""A write was asked for, and when."""


@dataclass(slots=True)
class Tap:
    """One link: listens on `port` and passes on to `device`."""

    device: TcpAddress
    port: int
    clock: Clock
    came: Came = lambda _request, _data, _now_ns: None
    went: Went = lambda _request, _now_ns: None

    _server: asyncio.Server | None = None
    _passing: set[asyncio.Task[None]] = field(default_factory=set)

    async def listen(self) -> None:
        """Open the port."""
        self._server = await asyncio.start_server(self._pass_on, LOOPBACK, self.port)

    async def close(self) -> None:
        """Close the port and cut what passes."""
        if self._server is not None:
            self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(self.device.host, self.device.port)
            requests, replies = FrameBuffer(), FrameBuffer()
            asked: dict[int, Request] = {}
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far_writer, lambda data: self._out(requests, asked, data)))
                group.create_task(_copy(far_reader, writer, lambda data: self._in(replies, asked, data)))

    def _out(self, frames: FrameBuffer, asked: dict[int, Request], data: bytes) -> None:
        now_ns = self.clock.mono_ns()
        with contextlib.suppress(FrameError):
            for transaction, _, pdu in frames.feed(data):
                request = parse_request(pdu)
                if isinstance(request, ExceptionCode):
                    continue
                if request.function in READS:
                    asked[transaction] = request
                else:
                    self.went(request, now_ns)

    def _in(self, frames: FrameBuffer, asked: dict[int, Request], data: bytes) -> None:
        now_ns = self.clock.mono_ns()
        with contextlib.suppress(FrameError):
            for transaction, _, pdu in frames.feed(data):
                request = asked.pop(transaction, None)
                if request is not None and len(pdu) == request.reply_size:
                    self.came(request, pdu[len(request.reply_head) :], now_ns)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Callable[[bytes], None]) -> None:
    """Copy until one side hangs up; each piece is looked at just before it is passed on."""
    try:
        while data := await reader.read(_BYTES):
            look(data)
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
