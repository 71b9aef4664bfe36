"""One TCP connection of the OPC UA face: bytes in, whole chunks on to the processor, answers out, all of it bounded.

Rules. The first message is a Hello. A chunk is refused by its header, before its body is waited for; until a session is
active, few bytes are taken at all. What comes faster than it is worked on stays in the client's socket, and a client
that does not read its answers is not served on. Whatever a message does to the library ends its own connection and no
other. A connection beyond the limits is dropped at once.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.ua.ua_binary import header_from_binary, uatcp_to_binary

from controller.scada.opcua.internal_server import PlantInternalServer
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.processor import Processor
from controller.scada.opcua.value_types import fault, status

_HEADER = struct.Struct("<3scI")
_HELLO_BYTES_MAX = 32 + 4096
_KINDS = {b"OPN": b"F", b"CLO": b"F", b"MSG": b"FCA"}
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """What happened at the door, for `bess status`."""

    accepted: int = 0
    refused: int = 0  # beyond the connections allowed
    broken: Counter[str] = field(default_factory=Counter)  # ended by us, by status name


class Connection(OPCUAProtocol):
    """One client."""

    def __init__(self, server: Listener) -> None:
        """Wait for the transport."""
        super().__init__(server.iserver, server.policies, server.clients, server.closing_tasks, server.limits)
        self.peer = ""
        self._allowed, self._counters = server.allowed, server.counters
        self._received = bytearray()
        self._arrived, self._writable = asyncio.Event(), asyncio.Event()
        self._greeted, self._kind = False, b""
        self._early_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or drop it."""
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        mine = sum(1 for other in self.clients if cast("Connection", other).peer == self.peer)
        if len(self.clients) >= self._allowed.connections or mine >= self._allowed.connections_per_peer:
            self._counters.refused += 1
            cast("asyncio.Transport", transport).abort()
            return
        self._counters.accepted += 1
        self._writable.set()
        super().connection_made(transport)
        server = cast("PlantInternalServer", self.iserver)
        self.processor = Processor(server, transport, self.limits, self._allowed)
        cast("Any", self.processor).set_policies(self.policies)

    def connection_lost(self, ex: BaseException | None) -> None:
        """Close what hangs on it."""
        if self.transport is not None:
            super().connection_lost(ex)

    def pause_writing(self) -> None:
        """Serve no further request until the client has read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Keep the bytes; read no more while a whole chunk waits."""
        self._received += data
        self._arrived.set()
        if len(self._received) > self._allowed.chunk_bytes and self.transport is not None:
            self.transport.pause_reading()

    async def _process_received_message_loop(self) -> None:
        assert self.transport is not None
        try:
            while await self._process_next():
                pass
        except TimeoutError:
            self._counters.broken["timeout"] += 1
        except (ServiceError, ua.UaStatusCodeError) as refusal:
            self._say(refusal.code)
        except Exception:  # the library decodes foreign bytes: whatever it raises ends this connection only
            _logger.info("connection from %s broken by a message", self.peer, exc_info=True)
            is_opening = self._kind == b"OPN"
            self._say(ua.StatusCodes.BadSecurityChecksFailed if is_opening else ua.StatusCodes.BadDecodingError)
        self.transport.close()

    async def _process_next(self) -> bool:
        await asyncio.sleep(0)  # all connections in turn, also when this one has sent a thousand requests
        chunk = await self._next_chunk()
        async with asyncio.timeout(self._allowed.unread_s):
            await self._writable.wait()
        body = Buffer(chunk)
        assert self.processor is not None
        return bool(await cast("Any", self.processor).process(header_from_binary(body), body))

    async def _next_chunk(self) -> bytes:
        """Cut the next chunk out of what was received, waiting for it."""
        while (size := self._announced_size()) is None or len(self._received) < size:
            assert self.transport is not None
            self.transport.resume_reading()
            self._arrived.clear()
            async with asyncio.timeout(self._allowed.idle_s):
                await self._arrived.wait()
        chunk = bytes(memoryview(self._received)[:size])
        del self._received[:size]
        self._kind, self._greeted = chunk[:3], True
        self._early_bytes += 0 if self._is_logged_in() else len(chunk)
        return chunk

    def _announced_size(self) -> int | None:
        if len(self._received) < _HEADER.size:
            return None
        kind, end, size = _HEADER.unpack_from(self._received)
        ends = _KINDS.get(kind, b"") if self._greeted else b"F" if kind == b"HEL" else b""
        if end not in ends or not end:
            raise fault(ua.StatusCodes.BadTcpMessageTypeInvalid)
        if not _HEADER.size < size <= (self._allowed.chunk_bytes if self._greeted else _HELLO_BYTES_MAX):
            raise fault(ua.StatusCodes.BadTcpMessageTooLarge)
        if not self._is_logged_in() and self._early_bytes + size > self._allowed.early_bytes:
            raise fault(ua.StatusCodes.BadTcpNotEnoughResources)
        return int(size)

    def _is_logged_in(self) -> bool:
        return isinstance(self.processor, Processor) and self.processor.is_logged_in

    def _say(self, code: int) -> None:
        """Tell the client why its connection ends."""
        self._counters.broken[status(code).name] += 1
        message = ua.ErrorMessage(status(code), cast("ua.String", status(code).name))
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(uatcp_to_binary(cast("Any", ua.MessageType.Error), message))


class Listener(BinaryServer):
    """The listening socket; makes our connections instead of the library's."""

    def __init__(self, iserver: Any, host: str, port: int, transport_limits: Any, allowed: Limits) -> None:
        """Listen later."""
        super().__init__(iserver, host, port, transport_limits)
        self.allowed, self.counters = allowed, Counters()

    @property
    def policies(self) -> list[Any]:
        """The security policies that are offered."""
        return self._policies

    def _make_protocol(self) -> Connection:
        return Connection(self)

    def bound_port(self) -> int:
        """Return the port, also when the system chose it."""
        server = cast("asyncio.Server", self._server)
        return int(server.sockets[0].getsockname()[1])
