"""A serial line, Modbus RTU: pymodbus frames and speaks, every reply is checked here once more, byte for byte.

Rules. RTU has no transaction ids, so one request is out at a time, and a reply that comes too late could be taken for
the next one: any time-out or mismatch closes the port, and a port that has been opened is first listened to for one
time-out, so that what is late is thrown away. What pymodbus would accept (another function, another length, bytes
before the frame, another echo) is refused.

Source: Modbus over Serial Line V1.02, sections 2.4 and 2.5.1 (3.5 characters of silence; 1.75 ms above 19,200 baud).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from controller.field_io.connection import Answer, Asked
from controller.field_io.errors import FieldError, LinkDownError, NoAnswerError, WrongAnswerError, WrongEchoError
from controller.modbus.errors import EchoError, ExceptionReply, ReplyError
from controller.modbus.pdu import Request, check_response
from controller.plant.model import SerialAddress

BITS_A_CHARACTER = 11
SILENT_CHARACTERS, SILENCE_LEAST_S = 3.5, 1.75e-3
FRAME_BYTES = 3
"""Unit and checksum around a PDU."""
_NEVER_BY_ITSELF_S = 3600.0

# What goes wrong is told by our own errors; pymodbus would repeat it on standard error.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())


class _Sent(ModbusPDU):
    """A request that pymodbus sends as it is."""

    def __init__(self, unit: int, request: Request) -> None:
        super().__init__(dev_id=unit)
        self.function_code = int(request.function)
        self._data = request.pdu[1:]

    def encode(self) -> bytes:
        return self._data


class RtuConnection:
    """An open serial port. `lost` is done when it is closed."""

    transaction = 0  # a serial line has none

    def __init__(self, address: SerialAddress, timeout_s: float, gap_s: float = 0.0) -> None:
        """Prepare; `open` makes it usable."""
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._character_s = BITS_A_CHARACTER / address.baud
        self._silence_s = max(SILENT_CHARACTERS * self._character_s, SILENCE_LEAST_S, gap_s)
        self._heard = b""
        self._client = AsyncModbusSerialClient(
            address.path,
            baudrate=address.baud,
            parity=address.parity,
            stopbits=address.stop_bits,
            timeout=_NEVER_BY_ITSELF_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._hear,
            trace_connect=self._note_state,
        )

    @classmethod
    async def open(cls, address: SerialAddress, timeout_s: float, gap_s: float = 0.0) -> RtuConnection:
        """Open the port and let what is late pass for one time-out; LinkDownError if it can't be opened."""
        connection = cls(address, timeout_s, gap_s)
        if not await connection._client.connect():
            raise LinkDownError(f"{address.path} can't be opened")
        try:
            await asyncio.sleep(timeout_s)
        except asyncio.CancelledError:
            connection.drop(LinkDownError("given up"))
            raise
        return connection

    async def exchange(self, asked: Sequence[Asked], *, urgent: bool = False) -> list[Answer]:  # noqa: ARG002 - turns are taken request by request, so that nobody waits for long
        """Send the requests one after the other, in turn with others who ask, and return their answers.

        Raises:
            FieldError: no sound answer to one of them; the port is closed then.
        """
        answers = []
        for one in asked:
            async with self._turn:
                answers.append(await self._ask(one.unit, one.request))
        return answers

    def drop(self, reason: FieldError) -> None:  # noqa: ARG002 - nothing else is out that could be told
        """Close the port at once."""
        self._client.close()
        self._note_state(connected=False)

    async def _ask(self, unit: int, request: Request) -> Answer:
        if self.lost.done():
            raise LinkDownError("the port is closed")
        self._heard = b""
        on_the_wire_s = (len(request.pdu) + request.reply_size + 2 * FRAME_BYTES) * self._character_s
        try:
            async with asyncio.timeout(self._timeout_s + on_the_wire_s):
                await self._client.execute(False, _Sent(unit, request))
        except TimeoutError:
            self.drop(NoAnswerError(unit))
            raise NoAnswerError(unit) from None
        except asyncio.CancelledError:
            self.drop(LinkDownError("given up"))
            raise
        except ModbusException as error:
            self.drop(LinkDownError(str(error)))
            raise LinkDownError(str(error), (unit,)) from error
        await asyncio.sleep(self._silence_s)
        return self._checked(unit, request)

    def _checked(self, unit: int, request: Request) -> Answer:
        """Return the payload of what was heard; pymodbus has verified the checksum."""
        try:
            return _payload(unit, request, self._heard)
        except ExceptionReply as refusal:
            return refusal
        except EchoError as error:
            self.drop(WrongEchoError(str(error)))
            raise WrongEchoError(str(error)) from error
        except ReplyError as error:
            self.drop(WrongAnswerError(str(error)))
            raise WrongAnswerError(str(error), (unit,)) from error

    def _hear(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - pymodbus's signature
        """Keep what came since the request; pymodbus hands over all of it each time."""
        if not sending:
            self._heard = data
        return data

    def _note_state(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus's signature
        if not connected and not self.lost.done():
            self.lost.set_result(None)


def _payload(unit: int, request: Request, frame: bytes) -> bytes:
    if not frame or frame[0] != unit:
        raise ReplyError(f"unit {unit} answered by '{frame.hex(' ')}'")
    return check_response(request, frame[1:-2])
