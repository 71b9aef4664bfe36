from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.control.commands import Action, Command, Refusal, Reply
from controller.link import command_socket
from controller.link.command_frame import command_frame, reply_of
from controller.link.command_queue import CommandQueue
from controller.link.command_socket import OPEN_QUESTIONS_MAX, CommandClient, CommandServer, is_allowed
from controller.runtime.clock import FakeClock

QUEUE_CAPACITY = 256
JUNK = b"\0\0\0\1x"  # a frame, but no command: answered at once
OTHER_USER, OTHER_GROUP = 65_534, 54_321
ANSWERED, DROPPED = 10, 11


class Control:
    """Stands in for the scan: takes what is there, carries it out, answers."""

    def __init__(self, server: CommandServer) -> None:
        self.server = server
        self.carried_out: list[Command] = []

    def scan(self) -> None:
        commands = self.server.take()
        self.carried_out += commands
        sequence = len(self.carried_out)
        self.server.answer(
            Reply(c.id, accepted=True, refusal=Refusal.NONE, text="", sequence=sequence) for c in commands
        )

    async def run(self) -> None:
        while True:
            self.scan()
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def listening(path: Path, clock: FakeClock, *, group: int | None = None) -> AsyncIterator[Control]:
    server = CommandServer(CommandQueue(lambda _: True), clock, allowed_group=group)
    await server.start(path)
    try:
        yield Control(server)
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def scanning(path: Path, clock: FakeClock, *, group: int | None = None) -> AsyncIterator[Control]:
    async with listening(path, clock, group=group) as control, asyncio.TaskGroup() as tasks:
        scans = tasks.create_task(control.run())
        yield control
        scans.cancel()


class Raw:
    """A face that speaks in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self) -> Reply:
        return reply_of(await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(4), "big")))

    async def is_dropped(self) -> bool:
        with contextlib.suppress(ConnectionResetError):
            while await self.reader.read(65_536):
                pass
        return True


@contextlib.asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "command.sock"


async def test_command_is_carried_out_and_answered(path, clock, command) -> None:
    async with scanning(path, clock) as control:
        asked = command(value=2.5e6, timeout_s=20.0, fallback=0.0)
        reply = await CommandClient(path).submit(asked)
        assert reply == Reply(asked.id, accepted=True, refusal=Refusal.NONE, text="", sequence=1)
        assert control.carried_out == [asked]
        assert path.stat().st_mode & 0o777 == 0o660
    assert not path.exists()


def test_uvloop_serves_the_same(path, clock, command) -> None:
    async def exchange() -> list[Reply]:
        async with scanning(path, clock):
            client = CommandClient(path)
            return list(await asyncio.gather(*(client.submit(command()) for _ in range(20))))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert all(reply.accepted for reply in runner.run(exchange()))


async def test_many_at_once_are_each_answered_with_their_own(path, clock, command) -> None:
    async with scanning(path, clock) as control:
        client = CommandClient(path, at_once_max=10)
        asked = [command(value=float(n)) for n in range(100)]
        replies = await asyncio.gather(*(client.submit(c) for c in asked))
        assert [reply.id for reply in replies] == [c.id for c in asked]
        assert all(reply.accepted for reply in replies)
        assert sorted(c.id for c in control.carried_out) == sorted(c.id for c in asked)


async def test_same_command_again_is_not_carried_out_twice(path, clock, command) -> None:
    async with scanning(path, clock) as control:
        client = CommandClient(path)
        asked = command()
        first = await client.submit(asked)
        clock.advance(30.0)
        assert await client.submit(asked) == first
        assert control.carried_out == [asked]


async def test_same_command_over_two_connections_while_it_waits(path, clock, command) -> None:
    async with listening(path, clock) as control, connected(path) as one, connected(path) as other:
        frame = command_frame(command())
        one.send(frame)
        other.send(frame + frame)
        await until(lambda: sum(c.open_questions for c in control.server.connections) == 3)
        control.scan()
        replies = [await one.reply(), await other.reply(), await other.reply()]
        assert replies == [replies[0]] * 3
        assert len(control.carried_out) == 1


async def test_full_queue_is_busy_at_once_but_not_for_a_stop(path, clock, command) -> None:
    async with listening(path, clock) as control, connected(path) as face:
        for _ in range(QUEUE_CAPACITY + 1):
            face.send(command_frame(command()))
        busy = await face.reply()
        assert busy.refusal is Refusal.BUSY
        stop = command(Action.FAST_STOP, issued_mono_ns=0)
        face.send(command_frame(stop))
        await until(lambda: len(control.server.queue) == QUEUE_CAPACITY + 1)
        control.scan()
        assert stop in control.carried_out
        replies = [await face.reply() for _ in range(QUEUE_CAPACITY + 1)]
        assert all(reply.accepted for reply in replies)


async def test_command_that_grew_old_is_answered_so(path, clock, command) -> None:
    async with listening(path, clock) as control, connected(path) as face:
        face.send(command_frame(command()))
        await until(lambda: len(control.server.queue) == 1)
        clock.advance(6.0)
        control.scan()
        assert (await face.reply()).refusal is Refusal.TOO_OLD
        assert control.carried_out == []


async def test_malformed_json_is_answered_and_the_connection_lives(path, clock, command) -> None:
    async with scanning(path, clock), connected(path) as face:
        face.send(JUNK)
        reply = await face.reply()
        assert (reply.id, reply.refusal) == ("", Refusal.WRONG_TYPE)
        face.send(command_frame(command()))
        assert (await face.reply()).accepted


@pytest.mark.parametrize("length", [0, 64 * 1024 + 1, 2**32 - 1])
async def test_impossible_length_is_answered_and_the_connection_ends(path, clock, command, length) -> None:
    async with scanning(path, clock) as control, connected(path) as face:
        face.send(length.to_bytes(4, "big") + command_frame(command()))
        assert (await face.reply()).refusal is Refusal.WRONG_TYPE
        assert await face.is_dropped()
        assert control.carried_out == []


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(st.binary(max_size=40), max_size=6), change=st.binary(min_size=1, max_size=3), at=st.integers(0))
def test_no_bytes_harm_the_server(tmp_path, clock, command, chunks, change, at) -> None:
    """Random bytes, and a good command with some bytes overwritten; then a good one from somebody else."""
    path = tmp_path / "fuzz.sock"

    async def attack() -> Reply:
        async with scanning(path, clock):
            frame = bytearray(command_frame(command()))
            frame[at % len(frame) : at % len(frame) + len(change)] = change
            for data in (b"".join(chunks), bytes(frame)):
                async with connected(path) as face:
                    face.send(data)
                    await asyncio.sleep(0.002)
            return await CommandClient(path).submit(command())

    assert asyncio.run(attack()).accepted


async def test_reader_of_nothing_is_dropped(path, clock, command) -> None:
    async with scanning(path, clock) as control:
        reader, writer = await asyncio.open_unix_connection(path, limit=1)
        assert isinstance(reader, asyncio.StreamReader)
        writer.write(JUNK * 20_000)
        await until(lambda: control.server.dropped == 1)
        await until(lambda: not control.server.connections)
        writer.transport.abort()
        assert (await CommandClient(path).submit(command())).accepted


async def test_flood_does_not_hold_up_a_stop(path, clock, command) -> None:
    async with scanning(path, clock) as control, connected(path) as flood:
        answered = 0

        async def read_answers() -> None:
            nonlocal answered
            while True:
                await flood.reply()
                answered += 1

        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read_answers())
            flood.send(JUNK * 2000)
            await until(lambda: answered > 0)
            assert (await CommandClient(path).submit(command(Action.STOP))).accepted
            assert answered < 2000
            await until(lambda: answered == 2000)
            reading.cancel()
        assert control.server.dropped == 0


async def test_too_many_open_questions_wait_in_the_socket(path, clock, command) -> None:
    extra = 40
    async with listening(path, clock) as control, connected(path) as face:
        for n in range(OPEN_QUESTIONS_MAX + extra):
            face.send(command_frame(command(Action.STOP, target=f"Plant.Block{n}")))
        await until(lambda: len(control.server.queue) == OPEN_QUESTIONS_MAX)
        await asyncio.sleep(0.01)
        assert len(control.server.queue) == OPEN_QUESTIONS_MAX
        control.scan()
        await until(lambda: len(control.server.queue) == extra)
        control.scan()
        for _ in range(OPEN_QUESTIONS_MAX + extra):
            assert (await face.reply()).accepted


async def test_face_that_left_is_not_waited_for(path, clock, command) -> None:
    async with listening(path, clock) as control:
        async with connected(path) as face:
            face.send(command_frame(command(Action.STOP)))
            await until(lambda: len(control.server.queue) == 1)
        await until(lambda: not control.server.connections)
        control.scan()
        assert [c.action for c in control.carried_out] == [Action.STOP]


async def test_connections_are_limited(path, clock, command, monkeypatch) -> None:
    monkeypatch.setattr(command_socket, "CONNECTIONS_MAX", 1)
    async with scanning(path, clock) as control:
        async with connected(path):
            await until(lambda: len(control.server.connections) == 1)
            reply = await CommandClient(path).submit(command())
            assert reply.refusal is Refusal.NO_COMMUNICATION
        await until(lambda: not control.server.connections)
        assert (await CommandClient(path).submit(command())).accepted


async def test_start_replaces_the_socket_of_a_killed_predecessor(path, clock, command) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(os.fspath(path))
    async with scanning(path, clock):
        assert (await CommandClient(path).submit(command())).accepted


async def test_silent_control_is_no_communication(path, clock, command) -> None:
    client = CommandClient(path, reply_timeout_s=0.05)
    asked = command()
    nobody = await client.submit(asked)
    assert (nobody.id, nobody.refusal) == (asked.id, Refusal.NO_COMMUNICATION)
    assert "nothing was sent" in nobody.text
    async with listening(path, clock):
        silent = await client.submit(asked)
    assert silent.refusal is Refusal.NO_COMMUNICATION
    assert "outcome is unknown" in silent.text


async def test_control_that_dies_meanwhile_is_no_communication(path, clock, command) -> None:
    async with asyncio.TaskGroup() as tasks:
        async with listening(path, clock) as control:
            asking = tasks.create_task(CommandClient(path).submit(command()))
            await until(lambda: len(control.server.queue) == 1)
        reply = await asking
    assert reply.refusal is Refusal.NO_COMMUNICATION
    assert "outcome is unknown" in reply.text


@pytest.mark.parametrize("answer", [b"", b"\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff", JUNK])
async def test_broken_answer_is_no_communication(path, command, answer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_unix_server(serve, path):
        reply = await CommandClient(path).submit(command())
    assert reply.refusal is Refusal.NO_COMMUNICATION


async def test_not_a_number_is_refused_before_it_is_sent(path, command) -> None:
    reply = await CommandClient(path).submit(command(value=float("nan")))
    assert reply.refusal is Refusal.OUT_OF_RANGE


async def test_stop_passes_set_points_that_wait_for_a_place(path, clock, command) -> None:
    async with listening(path, clock) as control:
        client = CommandClient(path, at_once_max=1)
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(client.submit(command())) for _ in range(2)]
            await until(lambda: len(control.server.queue) == 1)
            asking.append(tasks.create_task(client.submit(command(Action.STOP))))
            await until(lambda: len(control.server.queue) == 2)
            control.scan()
            await until(lambda: len(control.server.queue) == 1)
            control.scan()
        assert all(task.result().accepted for task in asking)


def test_our_own_processes_are_allowed() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert is_allowed(ours, None)


def ask_as_another_user(path: Path, groups: list[int], frame: bytes) -> int:
    """Return the pid of a child that asks as OTHER_USER and exits with ANSWERED or DROPPED."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setgroups(groups)
        os.setgid(OTHER_USER)
        os.setuid(OTHER_USER)
        with socket.socket(socket.AF_UNIX) as face, contextlib.suppress(ConnectionResetError, BrokenPipeError):
            face.connect(os.fspath(path))
            face.sendall(frame)
            if face.recv(4096):
                os._exit(ANSWERED)
        os._exit(DROPPED)
    finally:
        os._exit(1)


@pytest.mark.parametrize(
    ("groups", "outcome"), [([], DROPPED), ([OTHER_GROUP], ANSWERED)], ids=["no member", "member of the group"]
)
async def test_other_users_need_the_group(clock, command, groups, outcome, request) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    # Not below pytest's folder: another user may not enter it.
    path = Path(tempfile.gettempdir()) / f"bess-test-{os.getpid()}-{outcome}.sock"
    request.addfinalizer(lambda: path.unlink(missing_ok=True))
    statuses: list[int] = []

    def has_ended() -> bool:
        ended, status = os.waitpid(child, os.WNOHANG)
        statuses.append(os.waitstatus_to_exitcode(status))
        return ended == child

    async with scanning(path, clock, group=OTHER_GROUP) as control:
        os.chmod(path, 0o666)  # noqa: PTH101 - the file's mode is not what is tested
        child = ask_as_another_user(path, groups, command_frame(command()))
        await until(has_ended)
        assert statuses[-1] == outcome
        assert control.server.refused_peers == (outcome == DROPPED)
