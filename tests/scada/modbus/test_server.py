"""The server's sockets: each request answered once, in order, however bytes come; nobody can hold it up or fill it."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import Action, Refusal
from controller.link.linked_plant import SiteChangedError
from controller.link.plant_view import Snapshot
from controller.modbus.errors import ExceptionCode
from controller.plant.model import Plant
from controller.runtime.clock import SystemClock
from controller.scada.modbus import server
from controller.scada.modbus.requests import COMMANDS_AT_ONCE, EXCEPTION_OF, Order, Plan, Requests, Writers
from controller.scada.modbus.server import ModbusServer, ServerLimits
from tests.scada.modbus.parts import NOW_NS, FakePlant, fake_plant, raw_client, serving, snapshot_of

UNIT = 7
READ = struct.pack(">BHH", 3, 5, 2)
ANSWER = b"\x03\x04\x00\x05\x00\x06"


@dataclass(slots=True)
class Registers:
    """Registers 0 to 999, each holding its address. Register 1 starts the plant, 2 stops it, others are set-points."""

    undone: int = 0
    actions: dict[int, Action] = field(default_factory=lambda: {1: Action.START, 2: Action.STOP})

    def read(self, _snapshot: Snapshot, _now_ns: int, address: int, count: int) -> bytes | ExceptionCode:
        if address + count > 1000:
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        return b"".join(a.to_bytes(2) for a in range(address, address + count))

    def write(self, _snapshot: Snapshot, _now_ns: int, address: int, data: bytes) -> Plan | ExceptionCode:
        if address >= 1000:
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        words = [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]
        action = self.actions.get(address, Action.SET_ACTIVE_POWER)
        return Plan(tuple(Order(action, value=w) for w in words if w), self._undo)

    def _undo(self) -> None:
        self.undone += 1


@dataclass(slots=True)
class Served:
    server: ModbusServer
    plant: FakePlant
    registers: Registers
    address: tuple[str, int]


@contextlib.asynccontextmanager
async def served(
    plant: FakePlant, limits: ServerLimits | None = None, writers: tuple[str, ...] = ()
) -> AsyncIterator[Served]:
    registers = Registers()
    requests = Requests(plant, {UNIT: registers}, SystemClock())
    server = ModbusServer(requests, Writers(writers, "127.0.0.1"), limits)
    address = server.listen("127.0.0.1", 0)
    async with serving(server.serve):
        yield Served(server, plant, registers, address)


@pytest.fixture(scope="module")
def new_plant(demo_plant: Plant) -> Callable[[], FakePlant]:
    image = fake_plant(demo_plant).snap.image
    return lambda: FakePlant(snapshot_of(image))


@pytest.fixture
def plant(new_plant):
    return new_plant()


def _write_one(address: int, value: int) -> bytes:
    return struct.pack(">BHH", 6, address, value)


# --------------------------------------------------------------------------------------------------------------- order


async def test_thirty_requests_in_one_segment_get_thirty_answers_in_order(plant):
    async with served(plant) as face, raw_client(face.address) as client:
        for number in range(30):
            client.send(UNIT, struct.pack(">BHH", 3, number, 1))
        for number in range(30):
            assert await client.receive() == (number + 1, UNIT, b"\x03\x02" + number.to_bytes(2))


async def test_a_request_may_come_byte_by_byte(plant):
    async with served(plant) as face, raw_client(face.address) as client:
        for byte in struct.pack(">HHHB", 9, 0, 6, UNIT) + READ:
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0.001)
        assert await client.receive() == (9, UNIT, ANSWER)


async def test_more_requests_than_are_answered_in_one_go_are_all_answered(plant):
    async with served(plant) as face, raw_client(face.address) as client:
        for _ in range(5 * server.REQUESTS_AT_ONCE + 3):
            client.send(UNIT, READ)
        answers = [await client.receive() for _ in range(5 * server.REQUESTS_AT_ONCE + 3)]
        assert answers == [(n, UNIT, ANSWER) for n in range(1, 5 * server.REQUESTS_AT_ONCE + 4)]


async def test_four_hundred_pipelined_writes_are_all_applied_and_answered_in_order(plant):
    plant.pause_s = 0.001
    async with served(plant) as face, raw_client(face.address) as client:
        for number in range(1, 401):
            client.send(UNIT, _write_one(10, number))
        for number in range(1, 401):
            assert await client.receive() == (number, UNIT, _write_one(10, number))
    assert [command.value for command in plant.asked] == list(range(1, 401))
    assert len({command.id for command in plant.asked}) == 400


async def test_a_read_waits_for_the_writes_before_it_and_the_other_connections_do_not(plant):
    release = asyncio.Event()

    class Slow(FakePlant):
        async def submit(self, command):
            await release.wait()
            return await FakePlant.submit(self, command)

    slow = Slow(plant.snap)
    async with served(slow) as face, raw_client(face.address) as client, raw_client(face.address) as other:
        client.send(UNIT, _write_one(10, 1))
        client.send(UNIT, READ)
        assert await other.read(UNIT, 5, 1) == b"\x00\x05"
        assert slow.asked == []
        release.set()
        assert await client.receive() == (1, UNIT, _write_one(10, 1))
        assert await client.receive() == (2, UNIT, ANSWER)


async def test_a_start_is_answered_before_what_follows_is_taken(plant):
    at_once: list[int] = []

    def answer(_):
        at_once.append(len(plant.asked))
        return Refusal.NONE

    plant.answers, plant.pause_s = answer, 0.01
    async with served(plant) as face, raw_client(face.address) as client:
        for address in (10, 1, 11, 2):
            client.send(UNIT, _write_one(address, 1))
        for _ in range(4):
            await client.receive()
    assert at_once == [2, 2, 4, 4]


async def test_a_stop_does_not_wait_behind_the_set_points_of_others(plant):
    release = asyncio.Event()

    class Slow(FakePlant):
        async def submit(self, command):
            if command.action is not Action.STOP:
                await release.wait()
            return await FakePlant.submit(self, command)

    async with served(Slow(plant.snap)) as face, contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            busy = await stack.enter_async_context(raw_client(face.address))
            for number in range(COMMANDS_AT_ONCE):
                busy.send(UNIT, _write_one(10, number + 1))
        operator = await stack.enter_async_context(raw_client(face.address))
        assert await operator.ask(UNIT, _write_one(2, 1)) == _write_one(2, 1)
        release.set()


async def test_what_a_client_sent_before_it_closed_its_half_is_answered(plant):
    plant.pause_s = 0.05
    async with served(plant) as face, raw_client(face.address) as client:
        client.send(UNIT, _write_one(10, 1))
        client.send(UNIT, READ)
        client.writer.write_eof()
        assert (await client.receive())[0] == 1
        assert (await client.receive())[2] == ANSWER
        assert await client.is_closed()


async def test_a_client_that_goes_away_while_its_write_waits_leaves_nothing_behind(plant):
    plant.pause_s = 0.05
    async with served(plant) as face:
        async with raw_client(face.address) as client:
            client.send(UNIT, _write_one(1, 1))
            client.send(UNIT, _write_one(1, 2))
            while not plant.asked:
                await asyncio.sleep(0.001)
            client.writer.transport.abort()
        while face.server.connections:
            await asyncio.sleep(0.001)
        async with raw_client(face.address) as other:
            assert await other.read(UNIT, 5, 2) == ANSWER[2:]


# ---------------------------------------------------------------------------------------------------------- exceptions


@pytest.mark.parametrize(
    ("unit", "pdu", "code"),
    [
        (0, READ, 0x0B),
        (UNIT + 1, READ, 0x0B),
        (UNIT, b"\x04\x00\x05\x00\x02", 1),
        (UNIT, b"\x2b\x0e\x01\x00", 1),
        (UNIT, b"\x17\x00\x05\x00\x01\x00\x05\x00\x01\x02\x00\x00", 1),
        (UNIT, b"\x03\x00\x05\x00\x00", 3),
        (UNIT, b"\x03\x00\x05\x00\x7e", 3),
        (UNIT, b"\x03\x00\x05", 3),
        (UNIT, b"\x03\xff\xff\x00\x02", 2),
        (UNIT, b"\x03\x03\xe8\x00\x01", 2),
        (UNIT, b"\x06\x03\xe8\x00\x01", 2),
        (UNIT, b"\x10\x00\x05\x00\x01\x04\x00\x00\x00\x00", 3),
    ],
)
async def test_what_can_not_be_done_is_answered_by_its_exception(plant, unit, pdu, code):
    async with served(plant) as face, raw_client(face.address) as client:
        assert await client.ask(unit, pdu) == bytes((pdu[0] | 0x80, code))
        assert await client.read(UNIT, 5, 2) == ANSWER[2:]
    assert plant.asked == []


@pytest.mark.parametrize("refusal", [r for r in Refusal if r is not Refusal.NONE])
async def test_a_refusal_of_the_plant_is_an_exception_and_is_undone(plant, refusal):
    plant.answers = lambda _: refusal
    async with served(plant) as face, raw_client(face.address) as client:
        assert await client.ask(UNIT, _write_one(10, 1)) == bytes((0x86, EXCEPTION_OF[refusal]))
        assert face.registers.undone == 1
        assert face.server.requests.counters.commands_refused == 1


async def test_a_write_that_asks_for_nothing_is_answered_at_once(plant):
    async with served(plant) as face, raw_client(face.address) as client:
        assert await client.ask(UNIT, _write_one(10, 0)) == _write_one(10, 0)
    assert plant.asked == []


@pytest.mark.parametrize("pdu", [READ, _write_one(10, 1)])
async def test_while_control_is_silent_nothing_is_answered_but_0x0b(plant, pdu):
    plant.publishes, plant.snap = False, snapshot_of(plant.snap.image, NOW_NS() - 2_000_000_000)
    async with served(plant) as face, raw_client(face.address) as client:
        assert await client.ask(UNIT, pdu) == bytes((pdu[0] | 0x80, 0x0B))
        plant.snap = snapshot_of(plant.snap.image)
        assert (await client.ask(UNIT, pdu))[0] == pdu[0]
        plant.snap = Snapshot.none(plant.snap.image.layout)
        assert await client.ask(UNIT, pdu) == bytes((pdu[0] | 0x80, 4))


async def test_another_site_in_control_reads_as_silence(plant):
    class Changed(FakePlant):
        def snapshot(self):
            raise SiteChangedError("another site")

    async with served(Changed(plant.snap)) as face, raw_client(face.address) as client:
        assert await client.read(UNIT, 5, 2) == b"\x83\x0b"


# --------------------------------------------------------------------------------------------------------------- rights


async def test_who_is_not_named_may_read_but_not_write(plant):
    async with served(plant, writers=("10.0.0.0/8",)) as face, raw_client(face.address) as client:
        assert await client.read(UNIT, 5, 2) == ANSWER[2:]
        assert await client.ask(UNIT, _write_one(10, 1)) == b"\x86\x01"
        assert await client.write(UNIT, 10, b"\x00\x01") == b"\x90\x01"
    assert plant.asked == []


@pytest.mark.parametrize(
    ("allowed", "host", "address", "may_write"),
    [
        ((), "127.0.0.1", "127.0.0.1", True),
        ((), "localhost", "::1", True),
        ((), "0.0.0.0", "127.0.0.1", False),
        ((), "0.0.0.0", "10.0.0.5", False),
        (("10.0.0.5",), "127.0.0.1", "127.0.0.1", False),
        (("10.0.0.5",), "0.0.0.0", "10.0.0.5", True),
        (("10.0.0.5",), "::", "::ffff:10.0.0.5", True),
        (("10.0.0.0/24", "fe80::/16"), "::", "fe80::1%eth0", True),
        (("10.0.0.0/24",), "0.0.0.0", "10.0.1.1", False),
    ],
)
def test_writers_are_addresses_and_networks_or_this_machine_in_the_demo(allowed, host, address, may_write):
    assert Writers(allowed, host).peer(address).may_write is may_write


async def test_a_command_says_who_asked_and_when(plant):
    async with served(plant) as face, raw_client(face.address) as client:
        before = NOW_NS()
        await client.ask(UNIT, _write_one(10, 5))
    (command,) = plant.asked
    assert (command.face, command.user, command.role, command.target) == ("modbus", "127.0.0.1", "operator", "Plant")
    assert before <= command.issued_mono_ns <= NOW_NS()


# ---------------------------------------------------------------------------------------------------------- connections


async def test_a_stream_that_is_no_modbus_closes_after_the_answers_before_it(plant):
    async with served(plant) as face, raw_client(face.address) as client:
        client.send(UNIT, READ)
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await client.receive())[2] == ANSWER
        assert await client.is_closed()
        assert face.server.counters.frame_errors == 1


async def test_a_broken_frame_behind_a_write_closes_after_the_answer(plant):
    async with served(plant) as face, raw_client(face.address) as client:
        client.send(UNIT, _write_one(10, 1))
        client.writer.write(b"\xff" * 20)
        assert (await client.receive())[2] == _write_one(10, 1)
        assert await client.is_closed()
        assert face.server.counters.frame_errors == 1


async def test_one_connection_too_many_is_closed_and_the_others_stay(plant):
    async with served(plant, ServerLimits(connections=2)) as face:
        async with raw_client(face.address) as first, raw_client(face.address) as second:
            assert await first.read(UNIT, 5, 2) == ANSWER[2:]
            assert await second.read(UNIT, 5, 2) == ANSWER[2:]
            async with raw_client(face.address) as third:
                assert await third.is_closed()
            assert await first.read(UNIT, 5, 2) == ANSWER[2:]
        while face.server.connections:
            await asyncio.sleep(0.001)
        async with raw_client(face.address) as late:
            assert await late.read(UNIT, 5, 2) == ANSWER[2:]
        assert (face.server.counters.accepted, face.server.counters.refused) == (3, 1)


def test_one_peer_can_not_have_all_connections_unless_it_is_this_machine(plant):
    server = ModbusServer(Requests(plant, {}, SystemClock()), Writers((), "0.0.0.0"), ServerLimits(8, 2))

    @dataclass(eq=False)
    class Connected:
        peer: object

    stranger, own = server.writers.peer("10.0.0.5"), server.writers.peer("127.0.0.1")
    for peer in (stranger, stranger, own, own, own):
        assert server.admits(peer)
        server.connections.add(Connected(peer))  # type: ignore[arg-type]  # only its peer is looked at
    assert not server.admits(stranger)
    assert server.admits(own)
    assert server.admits(server.writers.peer("10.0.0.6"))


@pytest.fixture
def quick_sweeps(monkeypatch):
    monkeypatch.setattr(server, "_SWEEP_S", 0.02)


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(plant, quick_sweeps):
    async with served(plant, ServerLimits(idle_s=0.2)) as face:
        async with raw_client(face.address) as idle, raw_client(face.address) as busy, asyncio.TaskGroup() as group:
            waiting = group.create_task(idle.is_closed())
            while not waiting.done():
                assert await busy.read(UNIT, 5, 2) == ANSWER[2:]
                await asyncio.sleep(0.01)
        assert waiting.result()
        assert face.server.counters.closed_idle == 1


async def test_a_frame_that_never_ends_is_given_up(plant, quick_sweeps):
    async with served(plant, ServerLimits(unfinished_s=0.1)) as face, raw_client(face.address) as client:
        client.writer.write(b"\x00\x01\x00\x00")
        assert await client.is_closed()
        assert face.server.counters.closed_idle == 1


async def test_a_client_that_reads_no_answers_is_held_back_and_then_dropped(plant, quick_sweeps, monkeypatch):
    monkeypatch.setattr(server, "UNREAD_BYTES", 4096)
    async with served(plant, ServerLimits(unread_s=0.2)) as face, raw_client(face.address) as deaf:
        pdu = struct.pack(">BHH", 3, 0, 125)
        deaf.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the stream's own reading
        for _ in range(100_000):
            deaf.send(UNIT, pdu)
        while not face.server.counters.closed_unread:
            await asyncio.sleep(0.01)
        assert face.server.requests.counters.requests < 100_000
        async with raw_client(face.address) as other:
            assert await other.read(UNIT, 5, 2) == ANSWER[2:]


async def test_a_client_that_reads_late_gets_every_answer(plant, monkeypatch):
    monkeypatch.setattr(server, "UNREAD_BYTES", 4096)
    async with served(plant) as face, raw_client(face.address) as client:
        pdu = struct.pack(">BHH", 3, 0, 125)
        for _ in range(20_000):
            client.send(UNIT, pdu)
        await asyncio.sleep(0.2)
        for number in range(20_000):
            transaction, _, answer = await client.receive()
            assert (transaction, len(answer)) == (number + 1, 252)


async def test_stopping_closes_the_port_and_every_connection(plant):
    async with served(plant) as face:
        reader, writer = await asyncio.open_connection(*face.address)
        while not face.server.connections:
            await asyncio.sleep(0.001)
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*face.address)


# ----------------------------------------------------------------------------------------------------------------- fuzz

PDUS = st.one_of(
    st.binary(min_size=1, max_size=253),
    st.builds(
        lambda f, a, c: struct.pack(">BHH", f, a, c),
        st.sampled_from([1, 3, 4, 6]),
        st.integers(0, 0xFFFF),
        st.integers(0, 200),
    ),
    st.builds(
        lambda a, data: struct.pack(">BHHB", 16, a, len(data) // 2, len(data)) + data,
        st.integers(0, 1100),
        st.binary(max_size=246),
    ),
)


def _is_answer(request: bytes, answer: bytes) -> bool:
    if answer[0] == request[0] and request[0] < 0x80:
        return request[0] in {3, 6, 16}
    return len(answer) == 2 and answer[0] == request[0] | 0x80 and answer[1] in {1, 2, 3, 4, 6, 0x0B}


@given(
    pdus=st.lists(st.tuples(st.sampled_from([UNIT, UNIT, UNIT, 0, 255]), PDUS), max_size=40), cut=st.integers(1, 400)
)
def test_whatever_is_asked_gets_exactly_one_answer_in_order(new_plant, pdus, cut):
    async def talk() -> None:
        async with served(new_plant()) as face, raw_client(face.address) as client:
            stream = b"".join(
                struct.pack(">HHHB", n, 0, len(pdu) + 1, unit) + pdu for n, (unit, pdu) in enumerate(pdus)
            )
            for start in range(0, len(stream), cut):
                client.writer.write(stream[start : start + cut])
                await asyncio.sleep(0)
            for number, (unit, pdu) in enumerate(pdus):
                transaction, echoed, answer = await client.receive()
                assert (transaction, echoed) == (number, unit)
                assert _is_answer(pdu, answer)
            client.writer.write_eof()
            assert await client.is_closed()

    asyncio.run(talk())


@given(stream=st.binary(min_size=1, max_size=600))
def test_whatever_bytes_come_the_next_client_is_served(new_plant, stream):
    async def talk() -> None:
        async with served(new_plant()) as face:
            async with raw_client(face.address) as client:
                client.writer.write(stream)
                client.writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(client.reader.read(), 10)
            async with raw_client(face.address) as next_client:
                assert await next_client.read(UNIT, 5, 2) == ANSWER[2:]

    asyncio.run(talk())
