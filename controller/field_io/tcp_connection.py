"""One Modbus TCP connection, strict: every reply is matched by transaction, unit, function, length and echo.

Rule: any time-out or mismatch drops the connection, so a late or foreign reply can never be taken for a later request.
Nothing is retried here; a write that may have been carried out is never sent twice. Several requests may be out at
once, as many as the device's file allows; their replies may come in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from controller.field_io.connection import Answer, Asked
from controller.field_io.errors import FieldError, LinkDownError, NoAnswerError, WrongAnswerError
from controller.modbus.errors import ExceptionReply, FrameError, ReplyError
from controller.modbus.mbap import FrameBuffer, frame
from controller.modbus.pdu import Request, check_response

TRANSACTIONS = 0xFFFF
WRITE_BUFFER_BYTES = 64 << 10


class _Batch:
    """Requests sent together; done when the last reply is in, or at the first failure."""

    __slots__ = ("answers", "done", "missing", "missing_before", "timer")

    def __init__(self, size: int, done: asyncio.Future[list[Answer]]) -> None:
        self.answers: list[Answer] = [b""] * size
        self.missing = self.missing_before = size
        self.done = done
        self.timer: asyncio.TimerHandle | None = None


class TcpConnection(asyncio.Protocol):
    """A connection that has been made. `lost` is done when it is gone."""

    def __init__(self) -> None:
        """Start with nothing outstanding."""
        self._frames = FrameBuffer()
        self._waiting: dict[int, tuple[_Batch, int, int, Request]] = {}
        self._transaction = 0
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; refuse to pile up writes that the peer does not read."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever is out."""
        self._fail_all(LinkDownError(f"connection lost: {exc or 'closed by the device'}"))
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """Drop a peer that has stopped reading."""
        self.drop(LinkDownError("the device does not read what is sent"))

    async def exchange(self, asked: Sequence[Asked], timeout_s: float) -> list[Answer]:
        """Send the requests back to back and return their answers in order.

        Raises:
            FieldError: no sound answer to one of them; the connection is gone then.
        """
        if self._transport is None or self._transport.is_closing():
            raise LinkDownError("not connected")
        batch = _Batch(len(asked), self._loop.create_future())
        out = bytearray()
        for place, (unit, request) in enumerate(asked):
            transaction = self._next_transaction()
            self._waiting[transaction] = (batch, place, unit, request)
            out += frame(transaction, unit, request.pdu)
        batch.timer = self._loop.call_later(timeout_s, self._time_out, batch, timeout_s)
        self._transport.write(out)
        try:
            return await batch.done
        except asyncio.CancelledError:
            self.drop(LinkDownError("given up"))
            raise
        finally:
            if batch.timer is not None:
                batch.timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Match every whole frame with its request."""
        try:
            for transaction, unit, pdu in self._frames.feed(data):
                self._take(transaction, unit, pdu)
        except (FrameError, ReplyError) as error:
            self.drop(WrongAnswerError(str(error)))

    def drop(self, reason: FieldError) -> None:
        """Cut the connection at once and fail what is out."""
        self._fail_all(reason)
        if self._transport is not None:
            self._transport.abort()

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        waiting = self._waiting.pop(transaction, None)
        if waiting is None:
            raise ReplyError(f"transaction {transaction} was not asked for")
        batch, place, asked_unit, request = waiting
        if unit != asked_unit:
            self._waiting[transaction] = waiting
            raise ReplyError(f"unit {unit} answered for unit {asked_unit}")
        try:
            batch.answers[place] = check_response(request, pdu)
        except ExceptionReply as refusal:
            batch.answers[place] = refusal
        except ReplyError:
            self._waiting[transaction] = waiting
            raise
        batch.missing -= 1
        if not batch.missing and not batch.done.done():
            batch.done.set_result(batch.answers)

    def _next_transaction(self) -> int:
        """Return an id that is not out; never 0, which careless gateways put into late replies."""
        self._transaction = self._transaction % TRANSACTIONS + 1
        return self._transaction

    def _time_out(self, batch: _Batch, timeout_s: float) -> None:
        """Give up, unless something has come since: a gateway answers what is pipelined one by one."""
        if batch.missing < batch.missing_before:
            batch.missing_before = batch.missing
            batch.timer = self._loop.call_later(timeout_s, self._time_out, batch, timeout_s)
            return
        silent = next((unit for b, _, unit, _ in self._waiting.values() if b is batch), 0)
        self.drop(NoAnswerError(silent))

    def _fail_all(self, reason: FieldError) -> None:
        waiting, self._waiting = self._waiting, {}
        for batch, _, _, _ in waiting.values():
            if not batch.done.done():
                batch.done.set_exception(reason)
