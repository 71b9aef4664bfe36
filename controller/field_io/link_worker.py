"""One link's work: connect, then poll and write side by side until the connection is lost; for ever.

Rules. Whatever fails is not retried within the exchange: a poll comes again in its own time, a write is reported as
failed. Reconnecting starts at 0.1 s and doubles to 1 s; it begins anew after a connection that
lasted for a second, or that only a silent unit or the wrong echo of a write has cost us.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence

from controller.field_io.connecting import connect
from controller.field_io.connection import Connection
from controller.field_io.errors import FieldError, LinkDownError, NoAnswerError, WrongAnswerError, WrongEchoError
from controller.field_io.line import Line
from controller.field_io.link_status import LinkStatus
from controller.field_io.poll_items import PollItem
from controller.field_io.poller import PORTION, Poller
from controller.field_io.unit import Unit
from controller.field_io.write_items import WriteItem
from controller.field_io.writer import Writer
from controller.plant.clock import Clock
from controller.plant.model import Link, SerialAddress, TcpAddress

RECONNECT_FIRST_S, RECONNECT_LONGEST_S = 0.1, 1.0
LASTED_NS = 1_000_000_000


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
        self._transaction = 0
        self._units = {unit.device.unit: unit for unit in units}
        self.status = LinkStatus(str(address), tuple(units))
        self._poller = Poller(polls, link.in_flight, self.status, clock.mono_ns())
        self._writer = Writer(writes, self.status, clock.mono_ns())

    @property
    def is_hanging(self) -> bool:
        """Whether polling or writing gave no sign of life for longer than it may take."""
        silent_ns = self._clock.mono_ns() - min(self._poller.alive_ns, self._writer.alive_ns)
        return silent_ns * 1e-9 > self.silent_at_most_s

    @property
    def silent_at_most_s(self) -> float:
        """How long a worker that is well may take between two signs of life."""
        exchange_s = PORTION * (self._link.timeout_s + self._link.gap_s)
        return max(self._link.connect_timeout_s, exchange_s) + RECONNECT_LONGEST_S + 1.0

    @property
    def fed_ns(self) -> int:
        """From when on a scan that succeeds makes a write due."""
        return self._writer.fed_ns

    def look(self) -> None:
        """Look at the output image and the scans' success, and get to work if that makes a write due."""
        self._writer.look(self._clock.mono_ns())

    async def run(self) -> None:
        """Work until cancelled."""
        delay_s = RECONNECT_FIRST_S
        while True:
            began_ns = self._show_life()
            reason = await self._one_connection()
            self._note(reason)
            now_ns = self._show_life()
            self._writer.expire(now_ns, f"not connected: {self.status.last_error}")
            harmless = isinstance(reason, NoAnswerError | WrongEchoError) and self.status.connected
            lasted = now_ns - began_ns >= LASTED_NS or harmless
            delay_s = RECONNECT_FIRST_S if lasted else min(2 * delay_s, RECONNECT_LONGEST_S)
            await asyncio.sleep(delay_s * self._jitter())

    async def _one_connection(self) -> Exception:
        """Work on one connection until it is lost, and return why."""
        try:
            connection = await connect(self._address, self._link, self._transaction)
        except (FieldError, OSError) as error:  # a TimeoutError is an OSError
            self.status.connected = False
            return error
        self.status.connects += 1
        for unit in self._units.values():
            unit.new_connection()
        line = Line(connection, self._units, self.status, self._clock)
        connection.lost.add_done_callback(self._lost)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_until_lost(self._poller.run(line), connection))
                group.create_task(_until_lost(self._writer.run(line), connection))
        finally:
            connection.drop(LinkDownError("closed by us"))
            self._transaction = connection.transaction
        if not line.is_proven:
            self.status.connected = False
        return line.lost_by or LinkDownError("connection lost")

    def _show_life(self) -> int:
        self._poller.alive_ns = self._writer.alive_ns = now_ns = self._clock.mono_ns()
        return now_ns

    def _lost(self, _lost: asyncio.Future[None]) -> None:
        self._poller.wake()
        self._writer.wake()

    def _jitter(self) -> float:
        """Return a factor of 0.8 to 1.0 that differs from link to link and from time to time."""
        return 0.8 + 0.2 * ((self._link.index * 0.618 + self.status.connects * 0.382) % 1.0)

    def _note(self, error: Exception) -> None:
        self.status.last_error = _in_words(error)
        self.status.silences += isinstance(error, NoAnswerError)
        self.status.wrong_answers += isinstance(error, WrongAnswerError)


async def _until_lost(work: Coroutine[None, None, None], connection: Connection) -> None:
    """Work until the connection is lost, which ends its companion too; `Line` knows why.

    The error ends here and not in the group: a group that winds up takes a cancellation from outside that comes at the
    same moment for its own, and the worker would go on for ever (Python before 3.13).
    """
    try:
        await work
    except FieldError as error:
        connection.drop(error)


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return "no connection in time" if isinstance(error, TimeoutError) else str(error)
