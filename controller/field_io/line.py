"""One connection at work: each failure is put down to the units that may have caused it.

Rule: who was silent is known by name; a wrong answer or a broken connection is put down to all who had been asked, who
are then asked alone until they have answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from controller.field_io.connection import Answer, Asked, Connection
from controller.field_io.errors import FieldError, LinkDownError
from controller.field_io.link_status import LinkStatus
from controller.field_io.unit import Unit
from controller.modbus.errors import ExceptionCode, ExceptionReply
from controller.modbus.pdu import Request
from controller.plant.clock import Clock

UNREACHABLE = frozenset({ExceptionCode.GATEWAY_PATH_UNAVAILABLE, ExceptionCode.GATEWAY_TARGET_FAILED_TO_RESPOND})
"""Codes by which a gateway says that the unit itself is silent."""


class Line:
    """A connection, and the units behind it. `lost_by`: what ended it."""

    def __init__(self, connection: Connection, units: Mapping[int, Unit], status: LinkStatus, clock: Clock) -> None:
        """Take a connection that has just been made; `units` by unit number."""
        self._connection, self._units, self._status = connection, units, status
        self.now_ns = clock.mono_ns
        self.identifying = asyncio.Lock()
        self.is_proven = False
        self.lost_by: FieldError | None = None

    def check(self) -> None:
        """Raise LinkDownError if the connection is gone."""
        if self._connection.lost.done():
            raise LinkDownError("connection lost")

    async def ask(self, asked: Sequence[Asked], *, urgent: bool = False) -> list[Answer]:
        """Exchange requests.

        Raises:
            FieldError: no sound answer to one of them; the connection is gone then.
        """
        try:
            answers = await self._connection.exchange(asked, urgent=urgent)
        except FieldError as error:
            self._blame(error)
            raise
        if not self.is_proven:
            self.is_proven = self._status.connected = True
        return answers

    async def ask_one(self, unit: Unit, request: Request) -> Answer:
        """Exchange one request before all that is polled; raises as `ask`."""
        (answer,) = await self.ask([Asked(unit.device.unit, request)], urgent=True)
        if isinstance(answer, ExceptionReply) and answer.code in UNREACHABLE:
            unit.breaker.failed(self.now_ns())
        else:
            unit.breaker.answered()
        return answer

    def _blame(self, error: FieldError) -> None:
        """Put a failure down to units, once, however many exchanges it ended."""
        if self.lost_by is not None:
            return
        self.lost_by = error
        for unit in error.units & self._units.keys():
            self._units[unit].breaker.failed(self.now_ns())
