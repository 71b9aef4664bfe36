"""One link's work: connect, make sure of who is there, then poll and write until the connection is lost; for ever.

Rules. Writes go before polls. A block is stored only whole. Whatever fails is not retried within the exchange: a poll
comes again in its own time, a write is reported as failed. Reconnecting starts at 0.1 s and doubles to 1 s; five good
exchanges in a row begin anew at 0.1 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from controller.field_io.breaker import Breaker
from controller.field_io.errors import FieldError, LinkDownError, NoAnswerError, WrongAnswerError
from controller.field_io.identity import Identities
from controller.field_io.link_status import LinkStatus
from controller.field_io.poll_items import PollItem
from controller.field_io.tcp_connection import Answer, Asked, TcpConnection
from controller.field_io.wake import Wake
from controller.field_io.writes import WriteItem
from controller.modbus.errors import ExceptionCode, ExceptionReply
from controller.plant.clock import Clock
from controller.plant.model import Link, TcpAddress

RECONNECT_FIRST_S, RECONNECT_LONGEST_S = 0.1, 1.0
GOOD_EXCHANGES_TO_TRUST = 5
REST_AFTER_REFUSAL_NS = 10_000_000_000
IDLE_S = 0.5
_NS = 1e-9
_MISCONFIGURED = {
    ExceptionCode.ILLEGAL_FUNCTION,
    ExceptionCode.ILLEGAL_DATA_ADDRESS,
    ExceptionCode.ILLEGAL_DATA_VALUE,
}
_SOMEONE_ELSE_IS_SILENT = {
    ExceptionCode.GATEWAY_PATH_UNAVAILABLE,
    ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND,
}


class LinkWorker:
    """Runs one link. Its status is read by others; nothing else of it is."""

    def __init__(
        self, link: Link, polls: Sequence[PollItem], writes: Sequence[WriteItem], clock: Clock, address: TcpAddress
    ) -> None:
        """Take the link's work; `address` is where it really is (simulated plants move it)."""
        self._link, self._polls, self._writes = link, polls, writes
        self._clock, self._address = clock, address
        self._identities = Identities({i.device.index: i.device for i in polls})
        self._good_in_a_row = 0
        self.wake = Wake()
        self.status = LinkStatus(str(address))
        timeout_ns = round(link.timeout_s / _NS)
        self.status.breakers = {unit: Breaker(timeout_ns) for unit in {i.device.unit for i in polls}}

    async def run(self) -> None:
        """Work until cancelled."""
        delay_s = RECONNECT_FIRST_S
        while True:
            try:
                await self._one_connection()
            except (FieldError, OSError, TimeoutError) as error:
                self._note(error)
            trusted = self._good_in_a_row >= GOOD_EXCHANGES_TO_TRUST
            delay_s = RECONNECT_FIRST_S if trusted else min(2 * delay_s, RECONNECT_LONGEST_S)
            self._good_in_a_row = 0
            await asyncio.sleep(delay_s * self._jitter())

    def _jitter(self) -> float:
        """Return a factor of 0.8 to 1.0 that differs from link to link and from time to time."""
        return 0.8 + 0.2 * ((self._link.index * 0.618 + self.status.connects * 0.382) % 1.0)

    async def _one_connection(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._link.connect_timeout_s):
            _, connection = await loop.create_connection(TcpConnection, self._address.host, self._address.port)
        self.status.connected, self.status.connects = True, self.status.connects + 1
        self._identities.forget()
        try:
            await self._serve(connection)
        finally:
            self.status.connected = False
            connection.drop(LinkDownError("closed by us"))

    async def _serve(self, connection: TcpConnection) -> None:
        while not connection.lost.done():
            for item in self._writes:
                if item.is_due(self._clock.mono_ns()) and self._may_ask(item.unit):
                    await self._write(connection, item)
            due = self._due_polls()
            if due:
                await self._poll(connection, due)
            else:
                await self.wake.wait(self._until_next_s())
        raise LinkDownError("connection lost")

    def _may_ask(self, unit: int) -> bool:
        breaker = self.status.breakers.get(unit)
        return breaker is None or breaker.may_ask(self._clock.mono_ns())

    def _due_polls(self) -> list[PollItem]:
        """Return the most overdue items that fit into one exchange; a unit under suspicion is asked alone."""
        now_ns = self._clock.mono_ns()
        ready = [i for i in self._polls if i.next_ns <= now_ns and self._may_ask(i.device.unit)]
        ready.sort(key=lambda i: i.next_ns)
        if ready and self.status.breakers[ready[0].device.unit].silences:
            return ready[:1]
        taken: list[PollItem] = []
        requests = 0
        for item in ready:
            requests += len(item.asked)
            if taken and requests > self._link.in_flight:
                break
            taken.append(item)
        return taken

    def _until_next_s(self) -> float:
        now_ns = self._clock.mono_ns()
        times = [i.next_ns for i in self._polls if self._may_ask(i.device.unit)]
        times += [w.next_ns for w in self._writes]
        soonest_ns = min(times, default=now_ns + round(IDLE_S / _NS))
        return min(max((soonest_ns - now_ns) * _NS, 0.001), IDLE_S)

    async def _poll(self, connection: TcpConnection, items: Sequence[PollItem]) -> None:
        for item in items:
            if not await self._is_sound(connection, item):
                return
        asked = [a for item in items for a in item.asked]
        sampled_ns = self._clock.mono_ns()
        try:
            answers = await self._exchange(connection, asked)
        except NoAnswerError as silence:
            self._silent(silence.unit, items)
            raise
        self._good_in_a_row += 1
        for item in items:
            mine, answers = answers[: len(item.asked)], answers[len(item.asked) :]
            self._store(item, mine, sampled_ns)

    async def _is_sound(self, connection: TcpConnection, item: PollItem) -> bool:
        """Whether the device is what it should be; one that is not fails its block and rests."""
        verdict = await self._identities.of(item.device, connection, self._link.timeout_s)
        self.status.wrong_identity = self._identities.wrong
        if verdict.wrong:
            item.group.fail(item.row, self._clock.mono_ns())
            item.postpone(self._clock.mono_ns(), REST_AFTER_REFUSAL_NS)
            return False
        item.shift(verdict.shift)
        return True

    async def _exchange(self, connection: TcpConnection, asked: Sequence[Asked]) -> list[Answer]:
        """Ask in portions of what the link takes at once, with its gap between them."""
        answers: list[Answer] = []
        for start in range(0, len(asked), self._link.in_flight):
            portion = asked[start : start + self._link.in_flight]
            answers += await connection.exchange(portion, self._link.timeout_s)
            if self._link.gap_s:
                await asyncio.sleep(self._link.gap_s)
        return answers

    def _store(self, item: PollItem, answers: Sequence[Answer], sampled_ns: int) -> None:
        refusal = next((a for a in answers if isinstance(a, ExceptionReply)), None)
        now_ns = self._clock.mono_ns()
        if refusal is None:
            self.status.polls += 1
            self.status.breakers[item.device.unit].answered()
            item.group.store(item.row, b"".join(a for a in answers if isinstance(a, bytes)), sampled_ns)
            item.postpone(now_ns)
            return
        self.status.refusals += 1
        self.status.last_error = f"{item.device.name}: {refusal}"
        if refusal.code not in _SOMEONE_ELSE_IS_SILENT:
            item.group.fail(item.row, now_ns)
        item.postpone(now_ns, REST_AFTER_REFUSAL_NS if refusal.code in _MISCONFIGURED else 0)

    async def _write(self, connection: TcpConnection, item: WriteItem) -> None:
        self.status.writes += 1
        try:
            await item.carry_out(connection, self._link.timeout_s, self._clock)
        except FieldError as error:
            item.failed(str(error), self._clock.mono_ns())
            if isinstance(error, NoAnswerError):
                self._silent(error.unit, ())
            raise

    def _silent(self, unit: int, items: Sequence[PollItem]) -> None:
        now_ns = self._clock.mono_ns()
        if unit in self.status.breakers:
            self.status.breakers[unit].was_silent(now_ns)
        for item in items:
            if item.device.unit == unit:
                item.postpone(now_ns)

    def _note(self, error: Exception) -> None:
        self.status.last_error = str(error) or type(error).__name__
        self.status.silences += isinstance(error, NoAnswerError)
        self.status.wrong_answers += isinstance(error, WrongAnswerError)
