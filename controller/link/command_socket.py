"""The command socket: faces ask, control answers after the scan that applied it.

A Unix stream socket of mode 0660 in the run directory. The kernel says who is at the other end: our own user, root, or
a member of the given group; others are dropped. Control never waits for a face: frames are read a few at a time
between other work, a connection with too many open questions is not read on, one that does not read its answers is
dropped.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import struct
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from controller.control.commands import STOPS, Command, Refusal, Reply
from controller.link.command_frame import (
    FRAME_MAX_BYTES,
    FrameError,
    FrameSplitter,
    command_frame,
    command_of,
    reply_frame,
    reply_of,
)
from controller.link.command_queue import CommandQueue, refuse
from controller.plant.clock import Clock

UNREAD_MAX_BYTES = 256 * 1024
CONNECTIONS_MAX = 256
OPEN_QUESTIONS_MAX = 1024
_FRAMES_AT_ONCE = 16  # about 0.5 ms of the loop that also runs the scan
_UCRED = struct.Struct("3i")
_GROUPS_BYTES = 1024
_SO_PEERGROUPS = 59  # Linux 4.13; the socket module does not name it


class CommandServer:
    """Control's end. `take` at step 1 of a scan, `answer` after step 6."""

    def __init__(self, queue: CommandQueue, clock: Clock, *, allowed_group: int | None = None) -> None:
        """Serve nobody yet. `allowed_group` is a group id whose members may command too."""
        self.queue = queue
        self.clock = clock
        self.allowed_group = allowed_group
        self.dropped = 0
        self.refused_peers = 0
        self.connections: set[_Connection] = set()
        self._asking: defaultdict[str, list[_Connection]] = defaultdict(list)
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def start(self, path: Path) -> None:
        """Listen at `path`, in place of a dead predecessor's socket; only the holder of the control lock may."""
        self._path = path
        listener = _bound(path, self.allowed_group)
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Connection(self), sock=listener)

    async def stop(self) -> None:
        """Stop listening and drop all connections; whoever still waits learns that the outcome is unknown."""
        assert self._server is not None, "not started"
        assert self._path is not None, "not started"
        self._server.close()
        for connection in tuple(self.connections):
            connection.abort()
        await self._server.wait_closed()
        _remove(self._path)

    def take(self) -> list[Command]:
        """Return the commands to carry out in this scan; those that grew too old are answered here."""
        taken = self.queue.take(self.clock.mono_ns())
        self._send(taken.refused)
        return taken.commands

    def answer(self, replies: Iterable[Reply]) -> None:
        """Send the replies of commands that were taken."""
        now_ns = self.clock.mono_ns()
        for reply in replies:
            self._send(self.queue.settle(reply, now_ns))

    def offer(self, command: Command, connection: _Connection) -> None:
        """Put a command that arrived into the queue, or refuse it at once."""
        reply = self.queue.offer(command, self.clock.mono_ns())
        if reply is not None:
            connection.send(reply)
            return
        self._asking[command.id].append(connection)
        connection.open_questions += 1

    def _send(self, replies: Iterable[Reply]) -> None:
        for reply in replies:
            for connection in self._asking.pop(reply.id, ()):
                connection.open_questions -= 1
                connection.send(reply)
                connection.read_on()


class _Connection(asyncio.Protocol):
    """One face. Lives in the loop's callbacks; has no task of its own."""

    def __init__(self, server: CommandServer) -> None:
        self.open_questions = 0
        self._server = server
        self._frames = FrameSplitter()
        self._transport: asyncio.Transport | None = None
        self._working = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        peer: socket.socket = stream.get_extra_info("socket")
        if len(self._server.connections) >= CONNECTIONS_MAX or not is_allowed(peer, self._server.allowed_group):
            self._server.refused_peers += 1
            stream.abort()
            return
        self._transport = stream
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        self._transport = None
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        self._work()

    def send(self, reply: Reply) -> None:
        if self._transport is None:
            return
        self._transport.write(reply_frame(reply))
        if self._transport.get_write_buffer_size() > UNREAD_MAX_BYTES:
            self._server.dropped += 1
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def read_on(self) -> None:
        """Go on with what waits in the buffer, later, if anything does."""
        if self._transport is not None and not self._working:
            self._working = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        self._working = False
        try:
            for _ in range(_FRAMES_AT_ONCE):
                if self._transport is None:
                    return
                if self.open_questions >= OPEN_QUESTIONS_MAX:
                    self._transport.pause_reading()
                    return
                frame = self._frames.next_frame()
                if frame is None:
                    self._transport.resume_reading()
                    return
                self._one(frame)
        except FrameError as error:
            self._refuse(error)
            self._close()
            return
        self._pause()
        self.read_on()

    def _one(self, frame: bytes) -> None:
        try:
            command = command_of(frame)
        except FrameError as error:
            self._refuse(error)
        else:
            self._server.offer(command, self)

    def _refuse(self, error: FrameError) -> None:
        self.send(Reply("", accepted=False, refusal=Refusal.WRONG_TYPE, text=str(error), sequence=0))

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()  # after what is written
            self._transport = None


class CommandClient:
    """A face's end: one connection per command, so that there is no connection to keep alive or to repair."""

    def __init__(self, path: Path, *, reply_timeout_s: float = 5.0, at_once_max: int = 32) -> None:
        """Talk to control at `path`; at most `at_once_max` commands at once, stops not counted."""
        self._path = path
        self._reply_timeout_s = reply_timeout_s
        self._places = asyncio.Semaphore(at_once_max)

    async def submit(self, command: Command) -> Reply:
        """Send a command and wait for its reply. A lost one reads NO_COMMUNICATION: its outcome is unknown.

        The same command (same id) may then be sent again within a minute; it is not carried out twice.
        """
        try:
            frame = command_frame(command)
        except FrameError as error:
            return refuse(command, Refusal.OUT_OF_RANGE, str(error))
        try:
            async with asyncio.timeout(self._reply_timeout_s), self._place(command):
                return await self._exchange(frame)
        except (FileNotFoundError, ConnectionRefusedError):
            return refuse(command, Refusal.NO_COMMUNICATION, "control is not there; nothing was sent")
        except TimeoutError:
            text = f"no answer within {self._reply_timeout_s:g} s: the outcome is unknown"
            return refuse(command, Refusal.NO_COMMUNICATION, text)
        except (OSError, EOFError, FrameError) as error:
            text = f"the answer was lost ({error}): the outcome is unknown"
            return refuse(command, Refusal.NO_COMMUNICATION, text)

    def _place(self, command: Command) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext() if command.action in STOPS else self._places

    async def _exchange(self, frame: bytes) -> Reply:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(frame)
            size = int.from_bytes(await reader.readexactly(4), "big")
            if not 0 < size <= FRAME_MAX_BYTES:
                raise FrameError(f"an answer of {size} bytes")
            return reply_of(await reader.readexactly(size))
        finally:
            writer.transport.abort()


def is_allowed(peer: socket.socket, allowed_group: int | None) -> bool:
    """Whether the process at the other end is ours: same user, root, or a member of `allowed_group`."""
    _, user, group = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    if user in {0, os.geteuid()}:
        return True
    return allowed_group is not None and allowed_group in {group, *_further_groups(peer)}


def _further_groups(peer: socket.socket) -> Iterable[int]:
    groups = array.array("I")
    with contextlib.suppress(OSError):  # an older kernel, or more groups than Python's buffer takes: none known
        groups.frombytes(peer.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES))
    return groups


def _bound(path: Path, group: int | None) -> socket.socket:
    _remove(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.fspath(path))
    path.chmod(0o660)  # nobody can connect before `listen`
    if group is not None:
        os.chown(path, -1, group)
    return listener


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
