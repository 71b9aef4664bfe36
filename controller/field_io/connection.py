"""What a connection to devices is, whatever it runs over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from controller.field_io.errors import FieldError
from controller.modbus.errors import ExceptionReply
from controller.modbus.pdu import Request

Asked = tuple[int, Request]
"""Unit and request."""

Answer = bytes | ExceptionReply
"""What a sound exchange gives: the payload, or the device's refusal."""


class Connection(Protocol):
    """A connection that has been made. `lost` is done when it is gone."""

    lost: asyncio.Future[None]

    async def exchange(self, asked: Sequence[Asked], timeout_s: float) -> list[Answer]:
        """Send the requests and return their answers in order.

        Raises:
            FieldError: no sound answer to one of them; the connection is gone then.
        """

    def drop(self, reason: FieldError) -> None:
        """Cut the connection at once and fail what is out."""
