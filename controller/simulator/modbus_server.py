"""Modbus TCP servers for all devices of a plant on loopback: one listening port a link, strict, pipelining.

Every request is answered once and in order, unless the fault menu says otherwise: unknown functions by exception 1,
unknown units by 0x0B. A stream that is no Modbus TCP closes its connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol, cast

from controller.modbus.errors import ExceptionCode, FrameError
from controller.modbus.mbap import FrameBuffer, frame
from controller.modbus.pdu import Request, exception_reply, parse_request
from controller.plant.model import Link, TcpAddress
from controller.simulator.link_faults import UNHEARD, Answer, Disturbance, LinkFault, Reply, disturbed

LOOPBACK = "127.0.0.1"
_LINGER_NOTHING = struct.pack("ii", 1, 0)
"""Makes a close send RST."""


class ServedUnit(Protocol):
    """A device as the server meets it."""

    def answer(self, request: Request) -> bytes:
        """Carry out a request and return the PDU that answers it."""

    def disturbances(self, request: Request) -> Sequence[Disturbance]:
        """Return the link faults that this request meets."""


Units = Mapping[int, ServedUnit]


class Connection(asyncio.Protocol):
    """One client's connection to one link."""

    def __init__(self, units: Units, connections: set[Connection]) -> None:
        """Serve `units`; `connections` is where the listener keeps its open ones."""
        self._units, self._connections = units, connections
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection."""
        self._connections.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every whole request, with one write for all that came together."""
        out = bytearray()
        try:
            for transaction, unit, pdu in self._frames.feed(data):
                out += self._answer(transaction, unit, pdu)
                if self._deaf:
                    break
        except FrameError:
            self.close()
            return
        self._send(bytes(out))

    def close(self) -> None:
        """Close without ceremony."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close so that the client sees a reset."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
            self._transport.abort()

    def _answer(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Return what is sent at once; late answers and broken connections are seen to here."""
        served = self._units.get(unit)
        if served is None:
            return frame(transaction, unit, exception_reply(pdu[0], ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND))
        request = parse_request(pdu)
        if isinstance(request, ExceptionCode):
            return frame(transaction, unit, exception_reply(pdu[0], request))
        disturbances = served.disturbances(request)
        if not disturbances:
            return frame(transaction, unit, served.answer(request))
        is_heard = not any(d.fault in UNHEARD for d in disturbances)
        reply = served.answer(request) if is_heard else request.reply_head
        return self._disturbed(disturbed(disturbances, request, Reply(transaction, unit, reply)))

    def _disturbed(self, answer: Answer) -> bytes:
        if answer.connection is LinkFault.NO_READ:
            self._deaf = True
            if self._transport is not None:
                self._transport.pause_reading()
        elif answer.connection is not None:
            self.reset()
        elif answer.delay_s > 0.0:
            asyncio.get_running_loop().call_later(answer.delay_s, self._send, answer.data)
            return b""
        return answer.data

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class DeviceServers:
    """All listening ports of a plant."""

    def __init__(self) -> None:
        """Start with none."""
        self.addresses: dict[int, TcpAddress] = {}
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, set[Connection]] = {}

    async def listen(
        self,
        links: Iterable[Link],
        units: Mapping[int, Units],
        *,
        site_ports: bool,
        before: Mapping[int, TcpAddress] | None = None,
    ) -> None:
        """Open a port for each link: the site's own if asked for and on loopback, else one that the system chooses.

        `before`: where an earlier life listened, which is where it is still looked for. Raises OSError if a port can't
        be had.
        """
        loop = asyncio.get_running_loop()
        for link in links:
            connections = self._connections.setdefault(link.index, set())
            known = (before or {}).get(link.index)
            port = known.port if known else loopback_port(link) if site_ports else 0
            serve = partial(Connection, units[link.index], connections)
            server = await loop.create_server(serve, LOOPBACK, port, backlog=16)
            self._servers.append(server)
            self.addresses[link.index] = TcpAddress(LOOPBACK, server.sockets[0].getsockname()[1])

    def drop(self, link: int) -> None:
        """Reset all connections of a link."""
        for connection in tuple(self._connections[link]):
            connection.reset()

    async def close(self) -> None:
        """Stop listening and close every connection."""
        for server in self._servers:
            server.close()
        for connections in self._connections.values():
            for connection in tuple(connections):
                connection.close()
        await asyncio.sleep(0)


def loopback_port(link: Link) -> int:
    """Return the port that the site states if it lies on loopback, else 0."""
    match link.address:
        case TcpAddress(host, port) if host == "localhost" or host.startswith("127."):
            return port
        case _:
            return 0
