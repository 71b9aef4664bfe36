"""The Modbus TCP server's sockets: every whole request is answered once, in order; nothing is dropped in silence.

Rules. A stream that is no Modbus TCP closes its connection, after the answers to what came before. Reads are answered
at once. From a write on the connection is not read (TCP holds the client back) until all that came with it is
answered: writes of set-points, limits, heartbeats and stops are handed over together and answered in order, anything
else one by one; a read waits for all writes before it. Too many connections, idle ones, and clients that don't
read their answers are closed.

Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b, section 4.3.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import cast

from controller.modbus.errors import FrameError
from controller.modbus.mbap import Frame, FrameBuffer, frame
from controller.scada.modbus.requests import WRITES, Peer, Requests, Write, Writers

REQUESTS_AT_ONCE = 64  # about 1 ms of the loop
WRITES_AT_ONCE = 32
UNREAD_BYTES = 64 * 1024
_SWEEP_S = 1.0
_KEEP_ALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What clients may take. A peer is an IP address; this machine itself may have all connections."""

    connections: int = 32
    connections_per_peer: int = 16
    idle_s: float = 300.0
    unfinished_s: float = 30.0  # a frame that has begun
    unread_s: float = 10.0  # answers that the client does not read


@dataclass(slots=True)
class ServerCounters:
    """What happened to connections, since the start."""

    accepted: int = 0
    refused: int = 0
    frame_errors: int = 0
    closed_idle: int = 0
    closed_unread: int = 0


@dataclass(slots=True)
class _Waited:
    """For how many sweeps a connection has been in a state that it should leave."""

    idle: int = 0
    unfinished: int = 0
    unread: int = 0


class ModbusServer:
    """Listens and serves. `listen`, then `serve` until it is cancelled."""

    def __init__(self, requests: Requests, writers: Writers, limits: ServerLimits | None = None) -> None:
        """Take what answers requests, and who may write; nothing is opened yet."""
        self.requests = requests
        self.writers = writers
        self.limits = limits or ServerLimits()
        self.counters = ServerCounters()
        self.connections: set[_Connection] = set()
        self.tasks: asyncio.TaskGroup | None = None
        self._listener: socket.socket | None = None

    def listen(self, host: str, port: int) -> tuple[str, int]:
        """Open the port (0 = chosen by the system) and return it; clients wait in the backlog until `serve`.

        Raises OSError if the address can't be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=128)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted sockets inherit these
        for option, value in _KEEP_ALIVE.items():
            self._listener.setsockopt(socket.IPPROTO_TCP, option, value)
        return host, int(self._listener.getsockname()[1])

    async def serve(self) -> None:
        """Answer until cancelled; then everything is closed."""
        assert self._listener is not None, "listen first"
        async with asyncio.TaskGroup() as group:
            self.tasks = group
            server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), sock=self._listener)
            group.create_task(self._sweep(server))

    def admits(self, peer: Peer) -> bool:
        """Whether one more connection of this peer may stay."""
        others = sum(c.peer == peer for c in self.connections)
        per_peer = self.limits.connections if _is_own(peer) else self.limits.connections_per_peer
        return len(self.connections) < self.limits.connections and others < per_peer

    async def _sweep(self, server: asyncio.Server) -> None:
        try:
            while True:
                await asyncio.sleep(_SWEEP_S)
                for connection in tuple(self.connections):
                    connection.sweep()
        finally:
            server.close()
            for connection in tuple(self.connections):
                connection.abort()


def _is_own(peer: Peer) -> bool:
    return peer.address.startswith("127.") or peer.address == "::1"


Waiting = deque[tuple[int, int, bytes | asyncio.Task[bytes]]]
"""Transaction id, unit and answer of what is not yet answered."""


@dataclass(slots=True, eq=False)
class _Connection(asyncio.Protocol):
    """One client. Reads are answered in the loop's callback; a task works off a segment that holds a write."""

    server: ModbusServer
    peer: Peer = field(init=False)
    _transport: asyncio.Transport = field(init=False)
    _buffer: FrameBuffer = field(default_factory=FrameBuffer)
    _segment: Iterator[Frame] = field(default_factory=lambda: iter(()))
    _works: bool = False
    _heard: bool = False
    _readable: asyncio.Event = field(default_factory=asyncio.Event)
    _waited: _Waited = field(default_factory=_Waited)

    # The loop's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        name = transport.get_extra_info("peername")
        counters = self.server.counters
        if name is None:  # gone already
            self._transport.abort()
            return
        self.peer = self.server.writers.peer(name[0])
        if not self.server.admits(self.peer):
            counters.refused += 1
            self._transport.abort()
            return
        counters.accepted += 1
        self.server.connections.add(self)
        self._transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self._readable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        self.server.connections.discard(self)
        self._readable.set()

    def pause_writing(self) -> None:
        self._readable.clear()
        self._pace()

    def resume_writing(self) -> None:
        self._readable.set()
        self._pace()

    def data_received(self, data: bytes) -> None:
        """Answer reads at once; from the first write on, and where there are many, a task goes on."""
        self._segment = self._buffer.feed(data)
        answers: list[bytes] = []
        rest: tuple[Frame, ...] | None = None
        try:
            for request in islice(self._segment, REQUESTS_AT_ONCE):
                transaction, unit, pdu = request
                if pdu[0] in WRITES:
                    rest = (request,)
                    break
                answers.append(frame(transaction, unit, self._read(unit, pdu)))
        except FrameError:
            self._give_up(answers)
            return
        self._heard = self._heard or bool(answers)
        self._transport.write(b"".join(answers))
        if rest or len(answers) == REQUESTS_AT_ONCE:
            self._go_on(rest or ())

    # What has to wait its turn

    def _go_on(self, first: tuple[Frame, ...]) -> None:
        assert self.server.tasks is not None
        self._works = True
        self._pace()
        self.server.tasks.create_task(self._answer_rest(first))

    async def _answer_rest(self, first: tuple[Frame, ...]) -> None:
        """Answer the rest of the segment in order, then read on."""
        waiting: Waiting = deque()
        try:
            for number, request in enumerate(chain(first, self._segment), 1):
                await self._take(waiting, *request)
                if number % REQUESTS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if self._transport.is_closing():
                    return
            await self._send_all(waiting)
        except FrameError:
            await self._send_all(waiting)
            self._give_up([])
        finally:
            self._works, self._heard = False, True
            self._pace()

    async def _take(self, waiting: Waiting, transaction: int, unit: int, pdu: bytes) -> None:
        if pdu[0] not in WRITES or len(waiting) == WRITES_AT_ONCE:
            await self._send_all(waiting)
        answer = self.server.requests.answer(unit, pdu, self.peer)
        if isinstance(answer, bytes):
            waiting.append((transaction, unit, answer))
            return
        assert self.server.tasks is not None
        waiting.append((transaction, unit, self.server.tasks.create_task(self.server.requests.perform(answer))))
        if answer.stands_alone:
            await self._send_all(waiting)

    async def _send_all(self, waiting: Waiting) -> None:
        while waiting:
            transaction, unit, answer = waiting.popleft()
            pdu = answer if isinstance(answer, bytes) else await answer
            await self._readable.wait()
            if self._transport.is_closing():
                return
            self._transport.write(frame(transaction, unit, pdu))

    # Parts

    def _read(self, unit: int, pdu: bytes) -> bytes:
        answer = self.server.requests.answer(unit, pdu, self.peer)
        assert not isinstance(answer, Write), "functions that write are handed over"
        return answer

    def _pace(self) -> None:
        """Read on only while there is nothing left to answer and the client takes its answers."""
        if self._transport.is_closing():
            return
        if self._works or not self._readable.is_set():
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _give_up(self, answers: list[bytes]) -> None:
        """Nobody knows where the next frame begins: answer what was whole, and close."""
        self.server.counters.frame_errors += 1
        self._transport.write(b"".join(answers))
        self._transport.close()

    def sweep(self) -> None:
        """Close the connection if it has done nothing, or nothing whole, or read nothing, for too long."""
        waited, limits, counters = self._waited, self.server.limits, self.server.counters
        waited.unread = 0 if self._readable.is_set() else waited.unread + 1
        waited.idle = 0 if self._heard or self._works else waited.idle + 1
        waited.unfinished = waited.unfinished + 1 if self._buffer.pending_bytes and waited.idle else 0
        self._heard = False
        if waited.unread * _SWEEP_S >= limits.unread_s:
            counters.closed_unread += 1
            self.abort()
        elif waited.idle * _SWEEP_S >= limits.idle_s or waited.unfinished * _SWEEP_S >= limits.unfinished_s:
            counters.closed_idle += 1
            self.abort()

    def abort(self) -> None:
        """Close at once, answered or not."""
        self._transport.abort()
