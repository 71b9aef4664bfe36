"""One Modbus TCP connection, strict: every reply is matched by transaction, unit, function, length and echo.

Rules. Any time-out or mismatch drops the connection, so a late or foreign reply can never be taken for a later
request. Nothing is retried here; a write that may have been carried out is never sent twice. At most `in_flight`
requests are out at once, whoever asks; each must be answered within the time-out after it was sent; their replies may
come in any order. What comes together is believed together: a reply that something broken follows may be a broken one
filled up by it. The next request leaves as soon as a reply has come (after the silence that the link wants): nobody
has to be woken for that, which is most of what a read costs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast

from controller.field_io.connection import TRANSACTION_BYTES, Answer, Asked
from controller.field_io.errors import FieldError, LinkDownError, NoAnswerError, WrongAnswerError, WrongEchoError
from controller.modbus.errors import EchoError, ExceptionReply, FrameError, ReplyError
from controller.modbus.mbap import FrameBuffer
from controller.modbus.pdu import check_response

TRANSACTIONS = 0xFFFF
WRITE_BUFFER_BYTES = 64 << 10


class _Batch:
    """Requests of one exchange; done when the last reply is in, or at the first failure."""

    __slots__ = ("answers", "asked", "done", "missing", "sent")

    def __init__(self, asked: Sequence[Asked], done: asyncio.Future[list[Answer]]) -> None:
        self.asked, self.done = asked, done
        self.answers: list[Answer] = [b""] * len(asked)
        self.sent, self.missing = 0, len(asked)

    def finish(self) -> None:
        """Hand over the answers, if somebody still waits for them."""
        if not self.done.done():
            self.done.set_result(self.answers)


_Out = tuple[float, _Batch, int, Asked]
"""A request that is out: when it was sent, whose it is, its place there, and itself."""


class TcpConnection(asyncio.Protocol):
    """A connection that has been made. `lost` is done when it is gone."""

    def __init__(self, timeout_s: float, in_flight: int = 1, gap_s: float = 0.0, transaction: int = 0) -> None:
        """Start with nothing outstanding; `gap_s` is the silence that the link wants behind a reply.

        `transaction`: the last id that the link's last connection used. Counting goes on from there, because a gateway
        may send on a new connection what was asked for on the old one.
        """
        self._timeout_s, self._in_flight, self._gap_s = timeout_s, in_flight, gap_s
        self._frames, self._in_pieces = FrameBuffer(), False
        self._queue: deque[_Batch] = deque()  # those with requests that have not been sent
        self._out: dict[bytes, _Out] = {}  # by transaction id as on the wire, oldest first
        self._complete: list[_Batch] = []  # by what is just being looked at
        self.transaction = transaction
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; refuse to pile up writes that the peer does not read."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever is out."""
        self.drop(LinkDownError(f"connection lost: {exc or 'closed by the device'}", self._units_out()))
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        """Drop a peer that has stopped reading."""
        self.drop(LinkDownError("the device does not read what is sent", self._units_out()))

    async def exchange(self, asked: Sequence[Asked], *, urgent: bool = False) -> list[Answer]:
        """Send the requests and return their answers in order; urgent ones before those that wait to be sent.

        Raises:
            FieldError: no sound answer to one of them; the connection is gone then.
        """
        if self._transport is None or self._transport.is_closing():
            raise LinkDownError("not connected")
        batch = _Batch(asked, self._loop.create_future())
        if urgent:
            self._queue.appendleft(batch)
        else:
            self._queue.append(batch)
        if self._pause is None:
            self._send()
        try:
            return await batch.done
        except asyncio.CancelledError:
            self.drop(LinkDownError("given up"))
            raise

    def data_received(self, data: bytes) -> None:
        """Take what is just what it must be, header and all, look closer at the rest, and send what may follow."""
        out, start, end = self._out, 0, len(data)
        while start < end and not self._in_pieces:
            transaction = data[start : start + TRANSACTION_BYTES]
            found = out.get(transaction)
            if found is None:
                break
            _, batch, place, asked = found
            stop = start + asked.reply_bytes
            if stop > end or not data.startswith(asked.reply_head, start + TRANSACTION_BYTES):
                break
            del out[transaction]
            batch.answers[place] = data[start + asked.head_bytes : stop]
            batch.missing -= 1
            if not batch.missing:
                self._complete.append(batch)
            start = stop
        if start < end:
            self._look_closer(data[start:])
        for batch in self._complete:
            batch.finish()
        self._complete.clear()
        if self._gap_s:
            self._rest()
        elif self._queue:
            self._send()

    def drop(self, reason: FieldError) -> None:
        """Cut the connection at once and fail what is out or waits."""
        failed = {batch for _, batch, _, _ in self._out.values()}.union(self._queue, self._complete)
        self._out.clear()
        self._queue.clear()
        for batch in failed:
            if not batch.done.done():
                batch.done.set_exception(reason)
        for timer in (self._watch, self._pause):
            if timer is not None:
                timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        """Send as much as may be out."""
        assert self._transport is not None
        queue, out, frames = self._queue, self._out, b""
        now_s = self._loop.time()
        while queue and len(out) < self._in_flight:
            batch = queue[0]
            place = batch.sent
            asked = batch.asked[place]
            batch.sent = place + 1
            if batch.sent == len(batch.asked):
                queue.popleft()
            # Never 0, which careless gateways put into late replies.
            self.transaction = self.transaction % TRANSACTIONS + 1
            transaction = self.transaction.to_bytes(TRANSACTION_BYTES)
            out[transaction] = now_s, batch, place, asked
            frames += transaction + asked.frame
        if frames:
            self._transport.write(frames)
            if self._watch is None:
                self._watch = self._loop.call_later(self._timeout_s, self._look)

    def _look_closer(self, data: bytes) -> None:
        """Take refusals and frames that come in pieces; drop the connection at anything else."""
        try:
            for transaction, unit, pdu in self._frames.feed(data):
                self._take(transaction, unit, pdu)
        except EchoError as error:
            self.drop(WrongEchoError(str(error)))
        except (FrameError, ReplyError) as error:
            self.drop(WrongAnswerError(str(error), self._units_out()))
        self._in_pieces = self._frames.pending_bytes > 0
        if self._in_pieces and not self._out:
            self.drop(WrongAnswerError("more came than was asked for"))

    def _take(self, transaction: int, unit: int, pdu: bytes) -> None:
        """Match a frame with its request; ReplyError if it does not answer it."""
        key = transaction.to_bytes(TRANSACTION_BYTES)
        if key not in self._out:
            raise ReplyError(f"transaction {transaction} was not asked for")
        _, batch, place, asked = self._out[key]
        if unit != asked.unit:
            raise ReplyError(f"unit {unit} answered for unit {asked.unit}")
        answer: Answer
        try:
            answer = check_response(asked.request, pdu)
        except ExceptionReply as refusal:
            answer = refusal
        del self._out[key]
        batch.answers[place] = answer
        batch.missing -= 1
        if not batch.missing:
            self._complete.append(batch)

    def _look(self) -> None:
        """Drop the connection if the oldest request has waited too long; else look again when it would have."""
        self._watch = None
        if not self._out:
            return
        sent_s, _, _, asked = next(iter(self._out.values()))
        left_s = sent_s + self._timeout_s - self._loop.time()
        if left_s <= 0:
            self.drop(NoAnswerError(asked.unit))
        else:
            self._watch = self._loop.call_later(left_s, self._look)

    def _rest(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._pause = self._loop.call_later(self._gap_s, self._end_rest)

    def _end_rest(self) -> None:
        self._pause = None
        if self._queue:
            self._send()

    def _units_out(self) -> set[int]:
        return {asked.unit for _, _, _, asked in self._out.values()}
