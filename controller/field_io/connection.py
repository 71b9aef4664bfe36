"""What a connection to devices is, whatever it runs over, and what is asked through it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from controller.field_io.errors import FieldError
from controller.modbus.errors import ExceptionReply
from controller.modbus.mbap import HEADER
from controller.modbus.pdu import Request

Answer = bytes | ExceptionReply
"""What a sound exchange gives: the payload, or the device's refusal."""

TRANSACTION_BYTES = 2


class Asked:
    """A request to a unit, worked out once for all the times that it is sent.

    `frame` is what is sent behind the transaction id. A request fixes its reply but for the payload: `reply_head` is
    what must come behind the same id (protocol, length, unit, function, byte count or the whole echo), `reply_bytes`
    how long the whole frame must be.
    """

    __slots__ = ("frame", "head_bytes", "reply_bytes", "reply_head", "request", "unit")

    def __init__(self, unit: int, request: Request) -> None:
        self.unit, self.request = unit, request
        self.frame = HEADER.pack(0, 0, len(request.pdu) + 1, unit)[TRANSACTION_BYTES:] + request.pdu
        self.reply_head = HEADER.pack(0, 0, request.reply_size + 1, unit)[TRANSACTION_BYTES:] + request.reply_head
        self.head_bytes = TRANSACTION_BYTES + len(self.reply_head)
        self.reply_bytes = HEADER.size + request.reply_size


class Connection(Protocol):
    """A connection that has been made. `lost` is done when it is gone; `transaction`: the last id it used, if any."""

    lost: asyncio.Future[None]
    transaction: int

    async def exchange(self, asked: Sequence[Asked], *, urgent: bool = False) -> list[Answer]:
        """Send the requests, as many at once as the link bears, and return their answers in order.

        Several may exchange at the same time; an urgent one goes before what has not been sent yet.

        Raises:
            FieldError: no sound answer to one of them; the connection is gone then.
        """

    def drop(self, reason: FieldError) -> None:
        """Cut the connection at once and fail what is out."""
