"""One link's work: connect, make sure of who is there, then write and poll until the connection is lost; for ever.

Rules. Writes go before polls. Whatever fails is not retried within the exchange: a poll comes again in its own time,
a write is reported as failed. Reconnecting starts at 0.1 s and doubles to 1 s; it begins anew after a connection that
lasted for a second, or that only a silent unit has cost us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from controller.field_io.connecting import connect
from controller.field_io.connection import Connection
from controller.field_io.errors import FieldError, LinkDownError, NoAnswerError, WrongAnswerError
from controller.field_io.line import Line
from controller.field_io.link_status import LinkStatus
from controller.field_io.poll_items import PollItem
from controller.field_io.poller import Poller
from controller.field_io.unit import Unit
from controller.field_io.wake import Wake
from controller.field_io.write_items import WriteItem
from controller.field_io.writer import Writer
from controller.plant.clock import Clock
from controller.plant.model import Link, SerialAddress, TcpAddress

RECONNECT_FIRST_S, RECONNECT_LONGEST_S = 0.1, 1.0
LASTED_NS = 1_000_000_000
IDLE_S = 0.5
WAIT_LEAST_S = 0.001


class LinkWorker:
    """Runs one link. Its status is read by others; nothing else of it is."""

    def __init__(
        self,
        link: Link,
        address: TcpAddress | SerialAddress,
        units: Sequence[Unit],
        polls: Sequence[PollItem],
        writes: Sequence[WriteItem],
        clock: Clock,
    ) -> None:
        """Take the link's work; `address` is where it really is (simulated plants move it)."""
        self._link, self._address, self._clock = link, address, clock
        self._units = {unit.device.unit: unit for unit in units}
        self.status = LinkStatus(str(address), tuple(units), alive_ns=clock.mono_ns())
        self._poller = Poller(polls, link.in_flight, self.status)
        self._writer = Writer(writes, self.status)
        self._wake = Wake()

    @property
    def silent_at_most_s(self) -> float:
        """How long a worker that is well may take between two signs of life."""
        return max(self._link.connect_timeout_s, 2 * self._link.timeout_s, 2 * RECONNECT_LONGEST_S) + 1.0

    def fed_ns(self) -> int:
        """Return from when on a scan that succeeds makes a write due."""
        return self._writer.fed_ns

    def look(self) -> None:
        """Look at the output image and the scans' success, and get to work if that makes a write due."""
        now_ns = self._clock.mono_ns()
        self._writer.look(now_ns)
        if self._writer.soonest_ns <= now_ns:
            self._wake.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        delay_s = RECONNECT_FIRST_S
        while True:
            began_ns = self._clock.mono_ns()
            reason = await self._one_connection()
            self._note(reason)
            now_ns = self._clock.mono_ns()
            self._writer.expire(now_ns, f"not connected: {self.status.last_error}")
            lasted = now_ns - began_ns >= LASTED_NS or (isinstance(reason, NoAnswerError) and self.status.connected)
            delay_s = RECONNECT_FIRST_S if lasted else min(2 * delay_s, RECONNECT_LONGEST_S)
            await asyncio.sleep(delay_s * self._jitter())

    async def _one_connection(self) -> Exception:
        """Work on one connection until it is lost, and return why."""
        self.status.alive_ns = self._clock.mono_ns()
        proven = False
        try:
            connection = await connect(self._address, self._link)
            self.status.connects += 1
            line = Line(connection, self._link, self._units, self.status, self._clock)
            connection.lost.add_done_callback(self._lost)
            try:
                await self._serve(connection, line)
            finally:
                proven = line.is_proven
                connection.drop(LinkDownError("closed by us"))
        except (FieldError, OSError) as error:  # a TimeoutError is an OSError
            reason: Exception = error
        else:
            reason = LinkDownError("connection lost")
        if not proven:
            self.status.connected = False
        return reason

    async def _serve(self, connection: Connection, line: Line) -> None:
        for unit in self._units.values():
            unit.new_connection()
        self._writer.look(line.now_ns())
        while not connection.lost.done():
            self.status.alive_ns = now_ns = line.now_ns()
            if self._writer.soonest_ns <= now_ns:
                await self._writer.write_due(line)
            due = self._poller.due(now_ns)
            if due:
                await self._poller.poll(line, due, self._writer)
            else:
                await self._wake.wait(self._until_next_s(line.now_ns()))

    def _until_next_s(self, now_ns: int) -> float:
        soonest_ns = min(self._poller.next_ns(now_ns), self._writer.soonest_ns)
        return min(max((soonest_ns - now_ns) * 1e-9, WAIT_LEAST_S), IDLE_S)

    def _lost(self, _lost: asyncio.Future[None]) -> None:
        self._wake.wake()

    def _jitter(self) -> float:
        """Return a factor of 0.8 to 1.0 that differs from link to link and from time to time."""
        return 0.8 + 0.2 * ((self._link.index * 0.618 + self.status.connects * 0.382) % 1.0)

    def _note(self, error: Exception) -> None:
        self.status.last_error = str(error) or type(error).__name__
        self.status.silences += isinstance(error, NoAnswerError)
        self.status.wrong_answers += isinstance(error, WrongAnswerError)
