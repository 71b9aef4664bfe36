"""The strict transport against a device that misbehaves: a wrong or late answer is never taken for a right one."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from controller.field_io.connection import Asked
from controller.field_io.errors import LinkDownError, NoAnswerError, WrongAnswerError
from controller.field_io.tcp_connection import TcpConnection
from controller.modbus.errors import ExceptionReply
from controller.modbus.mbap import FrameBuffer
from controller.modbus.pdu import read, write_register

Answer = Callable[[int, int, bytes], bytes]

READ = read(3, 100, 2)
GOOD = bytes([3, 4, 0, 1, 0, 2])


def _frame(transaction: int, unit: int, pdu: bytes, protocol: int = 0) -> bytes:
    return struct.pack(">HHHB", transaction, protocol, len(pdu) + 1, unit) + pdu


class Device(asyncio.Protocol):
    """A device that answers each request as its script says; `collect` requests are answered together, last first."""

    def __init__(self, answer: Answer, collect: int, delay_s: float) -> None:
        self.answer, self.collect, self.delay_s = answer, collect, delay_s
        self.frames, self.replies = FrameBuffer(), list[bytes]()
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.replies += [self.answer(*asked) for asked in self.frames.feed(data)]
        if len(self.replies) >= self.collect:
            out, self.replies = b"".join(reversed(self.replies)), []
            asyncio.get_running_loop().call_later(self.delay_s, self.send, out)

    def send(self, out: bytes) -> None:
        if out == RESET:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(out)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.gone.set_result(None)


RESET = b"reset"


@contextlib.asynccontextmanager
async def _connected(
    answer: Answer, collect: int = 1, delay_s: float = 0.0, timeout_s: float = 5.0, in_flight: int = 12
) -> AsyncIterator[TcpConnection]:
    loop = asyncio.get_running_loop()
    device = Device(answer, collect, delay_s)
    server = await loop.create_server(lambda: device, "127.0.0.1", 0)
    _, connection = await loop.create_connection(
        lambda: TcpConnection(timeout_s, in_flight), *server.sockets[0].getsockname()
    )
    try:
        async with asyncio.timeout(20):
            yield connection
            connection.drop(LinkDownError("the test is over"))
            await asyncio.gather(connection.lost, device.gone)
    finally:
        server.close()


async def test_a_right_answer_is_the_payload() -> None:
    async with _connected(lambda t, u, _: _frame(t, u, GOOD)) as connection:
        assert await connection.exchange([Asked(1, READ)]) == [GOOD[2:]]


async def test_pipelined_answers_may_come_in_any_order() -> None:
    async with _connected(lambda t, u, pdu: _frame(t, u, bytes([3, 2]) + pdu[1:3]), collect=5) as connection:
        answers = await connection.exchange([Asked(unit, read(3, 10 * unit, 1)) for unit in range(1, 6)])

    assert answers == [(10 * unit).to_bytes(2) for unit in range(1, 6)]


async def test_a_refusal_keeps_the_connection() -> None:
    def answer(transaction: int, unit: int, pdu: bytes) -> bytes:
        return _frame(transaction, unit, bytes([0x83, 4]) if pdu[2] == 100 else GOOD)

    async with _connected(answer) as connection:
        refused, good = await connection.exchange([Asked(1, READ), Asked(1, read(3, 200, 2))])

        assert isinstance(refused, ExceptionReply)
        assert refused.code == 4
        assert good == GOOD[2:]
        assert not connection.lost.done()


WRONG: dict[str, Answer] = {
    "transaction id 0": lambda _t, u, _: _frame(0, u, GOOD),
    "another transaction": lambda t, u, _: _frame(t + 7, u, GOOD),
    "another unit": lambda t, u, _: _frame(t, u + 1, GOOD),
    "another function": lambda t, u, _: _frame(t, u, bytes([4, 4, 0, 1, 0, 2])),
    "too few registers": lambda t, u, _: _frame(t, u, bytes([3, 2, 0, 1])),
    "too many registers": lambda t, u, _: _frame(t, u, bytes([3, 6, 0, 1, 0, 2, 0, 3])),
    "an odd byte count": lambda t, u, _: _frame(t, u, bytes([3, 3, 0, 1, 0])),
    "a lying byte count": lambda t, u, _: _frame(t, u, bytes([3, 8, 0, 1, 0, 2])),
    "an exception of another function": lambda t, u, _: _frame(t, u, bytes([0x84, 2])),
    "another protocol": lambda t, u, _: _frame(t, u, GOOD, protocol=1),
    "garbage": lambda _t, _u, _: b"\xff" * 40,
    "the same answer twice": lambda t, u, _: _frame(t, u, GOOD) * 2,
}


@pytest.mark.parametrize("fault", WRONG)
async def test_a_wrong_answer_drops_the_connection(fault: str) -> None:
    async with _connected(WRONG[fault]) as connection:
        with pytest.raises((WrongAnswerError, LinkDownError)):
            await connection.exchange([Asked(1, READ)])
        await asyncio.wait_for(connection.lost, 5)


@pytest.mark.parametrize("echo", [b"\x06\x00\x0a\x00\x08", b"\x06\x00\x0b\x00\x07", b"\x03\x02\x00\x07"])
async def test_a_write_with_a_wrong_echo_fails(echo: bytes) -> None:
    async with _connected(lambda t, u, _: _frame(t, u, echo)) as connection:
        with pytest.raises(WrongAnswerError):
            await connection.exchange([Asked(1, write_register(10, b"\x00\x07"))])


async def test_silence_names_the_unit_and_drops_the_connection() -> None:
    def answer(transaction: int, unit: int, _pdu: bytes) -> bytes:
        return b"" if unit == 7 else _frame(transaction, unit, GOOD)

    async with _connected(answer, timeout_s=0.1) as connection:
        with pytest.raises(NoAnswerError) as silence:
            await connection.exchange([Asked(1, READ), Asked(7, READ)])

        assert silence.value.unit == 7
        await asyncio.wait_for(connection.lost, 5)


async def test_a_late_answer_is_never_anybodys() -> None:
    async with _connected(lambda t, u, _: _frame(t, u, GOOD), delay_s=0.3, timeout_s=0.1) as connection:
        with pytest.raises(NoAnswerError):
            await connection.exchange([Asked(1, READ)])
        with pytest.raises(LinkDownError):
            await connection.exchange([Asked(1, read(3, 300, 2))])


async def test_a_reset_fails_at_once_what_is_out() -> None:
    async with _connected(lambda _t, _u, _: RESET) as connection:
        with pytest.raises(LinkDownError):
            await connection.exchange([Asked(1, READ)])
