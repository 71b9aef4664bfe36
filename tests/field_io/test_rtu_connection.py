"""A serial line through a pseudo-terminal: what pymodbus would accept and we must not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from controller.field_io.connection import Asked
from controller.field_io.errors import LinkDownError, NoAnswerError, WrongAnswerError
from controller.field_io.rtu_connection import RtuConnection
from controller.modbus.errors import ExceptionReply
from controller.modbus.pdu import (
    mask_register,
    parse_request,
    read,
    read_write_registers,
    reply,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)
from controller.plant.model import SerialAddress
from tests.field_io.rig import RtuAnswer, rtu_frame, serial_line

TIMEOUT_S = 0.2
UNIT = 17
READ = read(3, 100, 2)
GOOD = bytes([3, 4, 0, 1, 0, 2])


@contextlib.asynccontextmanager
async def _connected(answer: RtuAnswer, delay_s: float = 0.0) -> AsyncIterator[RtuConnection]:
    async with serial_line(answer, delay_s) as address:
        connection = await RtuConnection.open(address, TIMEOUT_S)
        try:
            yield connection
        finally:
            connection.drop(LinkDownError("the test is over"))
            await asyncio.sleep(delay_s)


async def test_a_right_answer_is_the_payload():
    async with _connected(lambda unit, _: rtu_frame(unit, GOOD)) as connection:
        assert await connection.exchange([Asked(UNIT, READ), Asked(UNIT, READ)]) == [GOOD[2:], GOOD[2:]]


REQUESTS = {
    "coils": (read(1, 0, 9), b"\x01\x01"),
    "discrete": (read(2, 0, 8), b"\x55"),
    "holding": (read(3, 0, 125), bytes(range(250))),
    "input": (read(4, 0, 1), b"\x12\x34"),
    "write_coil": (write_coil(5, on=True), b""),
    "write_register": (write_register(5, b"\x00\x07"), b""),
    "write_coils": (write_coils(5, 3, b"\x05"), b""),
    "write_registers": (write_registers(5, b"\x00\x07\x00\x08"), b""),
    "mask": (mask_register(5, 0xFF00, 0x0012), b""),
    "read_write": (read_write_registers(5, 2, 9, b"\x00\x01"), b"\x00\x01\x00\x02"),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_function_is_spoken(name):
    request, payload = REQUESTS[name]

    def answer(unit: int, pdu: bytes) -> bytes:
        asked = parse_request(pdu)
        assert asked == request
        return rtu_frame(unit, reply(request, payload))

    async with _connected(answer) as connection:
        assert await connection.exchange([Asked(UNIT, request)]) == [payload]


async def test_a_refusal_keeps_the_line():
    def answer(unit: int, pdu: bytes) -> bytes:
        return rtu_frame(unit, bytes([0x83, 4]) if pdu[2] == 100 else GOOD)

    async with _connected(answer) as connection:
        refused, good = await connection.exchange([Asked(UNIT, READ), Asked(UNIT, read(3, 200, 2))])

    assert isinstance(refused, ExceptionReply)
    assert refused.code == 4
    assert good == GOOD[2:]


WRONG: dict[str, RtuAnswer] = {
    "another unit": lambda unit, _: rtu_frame(unit + 1, GOOD),
    "another function": lambda unit, _: rtu_frame(unit, bytes([4, 4, 0, 1, 0, 2])),
    "too few registers": lambda unit, _: rtu_frame(unit, bytes([3, 2, 0, 1])),
    "too many registers": lambda unit, _: rtu_frame(unit, bytes([3, 6, 0, 1, 0, 2, 0, 3])),
    "an odd byte count": lambda unit, _: rtu_frame(unit, bytes([3, 3, 0, 1, 0])),
    "an exception of another function": lambda unit, _: rtu_frame(unit, bytes([0x84, 2])),
    "a wrong checksum": lambda unit, _: rtu_frame(unit, GOOD)[:-1] + b"\x00",
    "bytes before the frame": lambda unit, _: b"\xff\xff" + rtu_frame(unit, GOOD),
    "bytes behind the frame": lambda unit, _: rtu_frame(unit, GOOD) + b"\x01",
    "half a frame": lambda unit, _: rtu_frame(unit, GOOD)[:5],
    "garbage": lambda _unit, _: bytes(range(40)),
    "nothing": lambda _unit, _: b"",
}


@pytest.mark.parametrize("fault", WRONG)
async def test_a_wrong_answer_closes_the_port(fault):
    async with _connected(WRONG[fault]) as connection:
        with pytest.raises((WrongAnswerError, NoAnswerError)):
            await connection.exchange([Asked(UNIT, READ)])
        assert connection.lost.done()
        with pytest.raises(LinkDownError):
            await connection.exchange([Asked(UNIT, READ)])


@pytest.mark.parametrize("echo", [b"\x06\x00\x0a\x00\x08", b"\x06\x00\x0b\x00\x07", b"\x03\x02\x00\x07"])
async def test_a_write_with_a_wrong_echo_fails(echo):
    async with _connected(lambda unit, _: rtu_frame(unit, echo)) as connection:
        with pytest.raises(WrongAnswerError):
            await connection.exchange([Asked(UNIT, write_register(10, b"\x00\x07"))])


async def test_a_late_answer_is_thrown_away_when_the_port_is_opened_again():
    async with serial_line(lambda unit, _: rtu_frame(unit, GOOD), delay_s=1.3 * TIMEOUT_S) as address:
        first = await RtuConnection.open(address, TIMEOUT_S)
        with pytest.raises(NoAnswerError):
            await first.exchange([Asked(UNIT, READ)])
        second = await RtuConnection.open(address, 2 * TIMEOUT_S)
        asking = asyncio.ensure_future(second.exchange([Asked(UNIT, read(3, 300, 2))]))  # noqa: TID251 - to see that it waits
        await asyncio.sleep(TIMEOUT_S)
        assert not asking.done()
        assert await asking == [GOOD[2:]]
        second.drop(LinkDownError("the test is over"))


async def test_a_port_that_is_not_there_is_no_connection():
    with pytest.raises(LinkDownError, match="no-such-port"):
        await RtuConnection.open(SerialAddress("/dev/no-such-port", 19_200, "E", 1), TIMEOUT_S)


async def test_who_gives_up_closes_the_port():
    async with _connected(lambda _unit, _: b"") as connection:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.exchange([Asked(UNIT, READ)]), TIMEOUT_S / 4)

        assert connection.lost.done()


async def test_a_port_that_vanishes_is_noticed():
    async with serial_line(lambda unit, _: rtu_frame(unit, GOOD)) as address:
        connection = await RtuConnection.open(address, TIMEOUT_S)
    with pytest.raises((LinkDownError, NoAnswerError)):
        await connection.exchange([Asked(UNIT, READ)])
    assert connection.lost.done()
