"""An OPC UA connection by hand: whole and broken chunks, any request, no client library in between."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Any, cast

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary, uatcp_to_binary

from controller.scada.opcua.value_types import standard_id

NO_SECURITY = b"http://opcfoundation.org/UA/SecurityPolicy#None"


class RawUa:
    """The connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.token = ua.NodeId()
        self._channel = self._sequence = 0

    def hello(self) -> None:
        self.writer.write(uatcp_to_binary(cast("Any", b"HEL"), ua.Hello(EndpointUrl=cast("Any", "opc.tcp://test"))))

    def open_channel(self, policy: bytes = NO_SECURITY) -> None:
        request = ua.OpenSecureChannelRequest()
        request.Parameters.RequestedLifetime = cast("Any", 60_000)
        request.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        security = struct.pack("<i", len(policy)) + policy + struct.pack("<ii", -1, -1)
        self._sequence += 1
        body = struct.pack("<I", 0) + security + struct.pack("<II", self._sequence, 1) + struct_to_binary(request)
        self.writer.write(chunk(b"OPNF", body))

    def send(self, request: Any, *, end: bytes = b"F") -> None:
        """Send a request as one chunk."""
        request.RequestHeader.AuthenticationToken = self.token
        self.send_body(struct_to_binary(request), end=end)

    def send_body(self, body: bytes, *, end: bytes = b"F") -> None:
        """Send what stands for a request's body."""
        self._sequence += 1
        head = struct.pack("<IIII", self._channel, 13, self._sequence, 7)
        self.writer.write(chunk(b"MSG" + end, head + body))

    async def receive(self) -> tuple[bytes, bytes]:
        """Return the type and the body of the next chunk; IncompleteReadError once the server has closed."""
        head = await asyncio.wait_for(self.reader.readexactly(8), 30)
        return head[:3], await self.reader.readexactly(int.from_bytes(head[4:], "little") - 8)

    async def answer(self) -> Any:
        """Return the next response; a fault is one too."""
        kind, body = await self.receive()
        assert kind == b"MSG", body
        data = Buffer(body[16:])
        return struct_from_binary(ua.extension_objects_by_typeid[nodeid_from_binary(data.copy())], data)

    async def error(self) -> str:
        """Return the status of the error message that ends the connection."""
        kind, body = await self.receive()
        assert kind == b"ERR", kind
        assert await self.is_closed()
        return str(struct_from_binary(ua.ErrorMessage, Buffer(body)).Error.name)

    async def is_closed(self) -> bool:
        """Wait until the server has closed; false if it sent something instead."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 30) == b""
        except ConnectionError:
            return True

    async def opened(self) -> None:
        """Go as far as an open channel."""
        self.hello()
        assert (await self.receive())[0] == b"ACK"
        self.open_channel()
        kind, body = await self.receive()
        assert kind == b"OPN"
        (self._channel,) = struct.unpack_from("<I", body)

    async def logged_in(self) -> None:
        """Go as far as an active session."""
        await self.opened()
        created = await self.session_created()
        self.token = created.Parameters.AuthenticationToken
        activate = ua.ActivateSessionRequest()
        activate.Parameters.UserIdentityToken = cast("Any", ua.AnonymousIdentityToken())
        self.send(activate)
        assert isinstance(await self.answer(), ua.ActivateSessionResponse)

    async def session_created(self) -> Any:
        request = ua.CreateSessionRequest()
        request.Parameters.ClientNonce = cast("Any", bytes(32))
        request.Parameters.RequestedSessionTimeout = cast("Any", 60_000.0)
        self.send(request)
        return await self.answer()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk: its type with its end, its size, its body."""
    return kind + struct.pack("<I", 8 + len(body)) + body


def read_of(*tags: ua.NodeId) -> ua.ReadRequest:
    request = ua.ReadRequest()
    request.Parameters.NodesToRead = [ua.ReadValueId(tag, cast("Any", ua.AttributeIds.Value)) for tag in tags]
    return request


def fault_of(answer: Any) -> str:
    """Return the status of a refused request."""
    assert isinstance(answer, ua.ServiceFault), answer
    return str(cast("Any", answer.ResponseHeader.ServiceResult).name)


SERVER_STATE = standard_id(ua.ObjectIds.Server_ServerStatus_State)


@contextlib.asynccontextmanager
async def raw_ua(port: int, source: str = "127.0.0.1") -> AsyncIterator[RawUa]:
    """Connect, from another address of loopback where that matters."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        yield RawUa(reader, writer)
    finally:
        writer.transport.abort()
