"""One connection at work: exchanges at the pace that the link bears, each failure put down to the units that were out.

Rule: at most `in_flight` requests at once, `gap_s` of silence behind them. Who was silent is known by name; a wrong
answer or a broken connection is put down to all who had been asked, who are then asked alone until they have answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from controller.field_io.connection import Answer, Asked, Connection
from controller.field_io.errors import FieldError, NoAnswerError
from controller.field_io.link_status import LinkStatus
from controller.field_io.unit import Unit
from controller.modbus.errors import ExceptionCode, ExceptionReply
from controller.modbus.pdu import Request
from controller.plant.clock import Clock
from controller.plant.model import Link

UNREACHABLE = frozenset({ExceptionCode.GATEWAY_PATH_UNAVAILABLE, ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND})
"""Codes by which a gateway says that the unit itself is silent."""


class Line:
    """A connection, and the units behind it."""

    def __init__(
        self, connection: Connection, link: Link, units: Mapping[int, Unit], status: LinkStatus, clock: Clock
    ) -> None:
        """Take a connection that has just been made; `units` by unit number."""
        self._connection, self._units = connection, units
        self._timeout_s, self._gap_s = link.timeout_s, link.gap_s
        self.in_flight, self.status = link.in_flight, status
        self.now_ns = clock.mono_ns
        self.is_proven = False

    async def ask(self, asked: Sequence[Asked]) -> list[Answer]:
        """Exchange at most `in_flight` requests.

        Raises:
            FieldError: no sound answer to one of them; the connection is gone then.
        """
        try:
            answers = await self._connection.exchange(asked, self._timeout_s)
        except FieldError as error:
            self._blame(asked, error)
            raise
        if not self.is_proven:
            self.is_proven = self.status.connected = True
        if self._gap_s:
            await asyncio.sleep(self._gap_s)
        return answers

    async def ask_one(self, unit: Unit, request: Request) -> Answer:
        """Exchange one request; raises as `ask`."""
        self.status.alive_ns = now_ns = self.now_ns()
        (answer,) = await self.ask([(unit.device.unit, request)])
        if isinstance(answer, ExceptionReply) and answer.code in UNREACHABLE:
            unit.breaker.failed(now_ns)
        else:
            unit.breaker.answered()
        return answer

    def _blame(self, asked: Sequence[Asked], error: FieldError) -> None:
        now_ns = self.now_ns()
        out = {error.unit} if isinstance(error, NoAnswerError) else {unit for unit, _ in asked}
        for unit in out & self._units.keys():
            self._units[unit].breaker.failed(now_ns)
