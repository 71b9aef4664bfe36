"""How fault commands arrive: line by line over TCP and on standard input, each answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from typing import cast

LINE_BYTES = 4096

Execute = Callable[[str], str]
"""Carries out a command and returns the answer."""


class CommandLines:
    """Cuts bytes into lines and has them carried out."""

    def __init__(self, execute: Execute) -> None:
        """Take what carries a line out."""
        self._execute, self._pending = execute, b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Carry out every whole line and yield its answer; of a line that never ends only the end is kept."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        self._pending = self._pending[-LINE_BYTES:]
        for line in lines:
            if text := line.decode("utf-8", "replace").strip():
                yield self._execute(text)


class CommandConnection(asyncio.Protocol):
    """Fault commands over TCP."""

    def __init__(self, execute: Execute, connections: set[CommandConnection]) -> None:
        """Take what carries a line out; `connections` is where the listener keeps its open ones."""
        self._lines, self._connections = CommandLines(execute), connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection."""
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer every whole line."""
        for answer in self._lines.feed(data):
            if self._transport is not None:
                self._transport.write(f"{answer}\n".encode())

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class CommandServer:
    """The port for fault commands."""

    def __init__(self, execute: Execute) -> None:
        """Take what carries a line out; nothing listens yet."""
        self._execute = execute
        self._server: asyncio.Server | None = None
        self._connections: set[CommandConnection] = set()

    async def listen(self, host: str, port: int = 0) -> str:
        """Open a port (0: one that the system chooses); return its address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: CommandConnection(self._execute, self._connections), host, port)
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.close()


class CommandInput:
    """Fault commands on standard input, which may be a terminal, a pipe, a file or nothing; its end stops nothing."""

    def __init__(self, execute: Execute, descriptor: int, say: Callable[[str], None]) -> None:
        """Take what carries a line out, where lines come from and where answers go."""
        self._lines, self._descriptor, self._say = CommandLines(execute), descriptor, say

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen as long as there is somebody; what can't be waited for (a file) is read at once."""
        try:
            loop.add_reader(self._descriptor, self._take, loop)
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                while self._read():
                    pass

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        more = False
        with contextlib.suppress(OSError):
            more = self._read()
        if not more:
            loop.remove_reader(self._descriptor)

    def _read(self) -> bool:
        data = os.read(self._descriptor, LINE_BYTES)
        for answer in self._lines.feed(data):
            self._say(answer)
        return bool(data)
