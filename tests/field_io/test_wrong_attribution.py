"""No reply is ever taken for another request's: adversarial replies by the hundred thousand, no wrong sample."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import numpy as np
import pytest

from controller.field_io.connection import Asked
from controller.field_io.errors import FieldError
from controller.field_io.tcp_connection import TcpConnection
from controller.modbus.errors import ExceptionReply
from controller.modbus.mbap import FRAME_BYTES_MAX, HEADER
from controller.modbus.pdu import read

UNITS, COUNT, IN_FLIGHT = 4, 10, 4
REPLIES, REPLIES_NIGHTLY = 100_000, 1_000_000


class _Wire:
    """A transport that keeps what is sent, and has the adversary's replies delivered."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += [data[n : n + 12] for n in range(0, len(data), 12)]

    def set_write_buffer_limits(self, high: int) -> None:
        """Is never full."""

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


def _true_payload(unit: int, address: int) -> bytes:
    """Return what the registers hold: it follows from who is asked for what."""
    return b"".join(((unit << 12) + address + n).to_bytes(2) for n in range(COUNT))


def _true_reply(request: bytes) -> bytes:
    _, _, _, unit = HEADER.unpack_from(request)
    payload = _true_payload(unit, int.from_bytes(request[8:10]))
    return request[:4] + (3 + len(payload)).to_bytes(2) + request[6:8] + bytes([len(payload)]) + payload


class _Adversary:
    """Makes bad replies out of true ones of this and of earlier connections."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._old = [bytes(FRAME_BYTES_MAX)]

    def reply(self, request: bytes) -> bytes:
        """Return what comes back: a third of it is true."""
        true = _true_reply(request)
        self._old = [*self._old[-63:], true]
        self.whole = False
        kind, pick = int(self._rng.integers(9)), self._rng.integers
        old = self._old[int(pick(len(self._old)))]
        match kind:
            case 0 | 1 | 2:
                return true
            case 3:
                return old  # late, from whomever
            case 4:
                return b"\0\0" + true[2:]  # transaction 0
            case 5:
                self.whole = True
                return true[: int(pick(1, len(true)))] + old  # cut short, the next behind it
            case 6:
                at = int(pick(2, 9))  # a header byte, never the transaction's
                return true[:at] + bytes([true[at] ^ int(pick(1, 256))]) + true[at + 1 :]
            case 7:
                return bytes([true[0] ^ 0x80]) + true[1:]  # an id that nobody has waiting
            case _:
                return bytes(pick(0, 256, int(pick(1, 60)), np.uint8))

    def cut(self, data: bytes) -> list[bytes]:
        """Cut bytes where the network might; not where one reply fills up another, which nobody could then tell."""
        if self.whole:
            return [data]
        at = sorted({0, *self._rng.integers(0, len(data) + 1, int(self._rng.integers(0, 3))).tolist(), len(data)})
        return [data[a:b] for a, b in itertools.pairwise(at)]


async def _attack(replies: int, seed: int) -> tuple[int, int, list[str]]:
    """Return how many answers were taken, how many connections dropped, and every answer that was wrong."""
    adversary, rng = _Adversary(seed), np.random.default_rng(seed + 1)
    given = taken = dropped = transaction = 0
    wrong: list[str] = []
    while given < replies:
        wire, connection = _Wire(), TcpConnection(5.0, IN_FLIGHT, transaction=transaction)
        connection.connection_made(wire)  # type: ignore[arg-type] # all of a transport that is used
        while not wire.closed:
            places = [(int(rng.integers(1, UNITS + 1)), int(rng.integers(0, 4000))) for _ in range(IN_FLIGHT)]
            asking = asyncio.ensure_future(connection.exchange([Asked(u, read(4, a, COUNT)) for u, a in places]))  # noqa: TID251 - cancelled below
            await asyncio.sleep(0)
            requests, wire.sent = wire.sent, []
            rng.shuffle(requests)
            for request in requests:
                data = adversary.reply(request)
                given += 1
                for piece in adversary.cut(data):
                    if not wire.closed:
                        connection.data_received(piece)
            if not asking.done() and not wire.closed:
                connection.drop(FieldError("nothing more comes"))
            with contextlib.suppress(FieldError):
                answers = await asking
                taken += len(answers)
                wrong += [
                    f"{place}: {answer!r}"
                    for place, answer in zip(places, answers, strict=True)
                    if not isinstance(answer, ExceptionReply) and answer != _true_payload(*place)
                ]
        dropped += 1
        transaction = connection.transaction
        connection.connection_lost(None)
    return taken, dropped, wrong


@pytest.mark.parametrize("replies", [REPLIES, pytest.param(REPLIES_NIGHTLY, marks=pytest.mark.nightly)])
async def test_not_one_adversarial_reply_is_taken_for_another(replies: int) -> None:
    taken, dropped, wrong = await _attack(replies, seed=replies)

    assert wrong == []
    assert dropped > replies // 100
    assert taken > 0
