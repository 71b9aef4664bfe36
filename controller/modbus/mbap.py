"""Modbus TCP frames: the MBAP header put before a PDU, and a byte stream cut into frames again.

Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from controller.modbus.errors import FrameError

Frame = tuple[int, int, bytes]
"""Transaction id, unit id, PDU."""

HEADER = Struct(">HHHB")
HEADER_BYTES = HEADER.size
LENGTH_MIN, LENGTH_MAX = 2, 254
"""The length field counts the unit id and a PDU of 1 to 253 bytes."""
FRAME_BYTES_MAX = 6 + LENGTH_MAX


def frame(transaction_id: int, unit: int, pdu: bytes) -> bytes:
    """Return a frame: MBAP header and PDU of 1 to 253 bytes."""
    return HEADER.pack(transaction_id, 0, len(pdu) + 1, unit) + pdu


class FrameBuffer:
    """Cuts a byte stream into frames, however the network cut it.

    Rule: a header must have protocol id 0 and a length of 2 to 254; anything else means that we no longer know where
    frames begin, and there is no way back into step but a new connection. At most one unfinished frame is kept.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that these bytes complete; to be read to its end before the next call.

        Frames before a broken header are still yielded, so that the result does not depend on how bytes arrive.

        Raises:
            FrameError: at the first header that is none; the buffer then stays broken.
        """
        stream = self._pending + data if self._pending else data
        start, end = 0, len(stream)
        while end - start >= HEADER_BYTES:
            transaction_id, protocol, length, unit = HEADER.unpack_from(stream, start)
            if protocol != 0 or not LENGTH_MIN <= length <= LENGTH_MAX:
                self._pending = stream[start:]
                raise FrameError(_complaint(protocol, length))
            stop = start + 6 + length
            if stop > end:
                break
            yield transaction_id, unit, stream[start + HEADER_BYTES : stop]
            start = stop
        self._pending = stream[start:]

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frame that has begun and is not yet whole."""
        return len(self._pending)


def _complaint(protocol: int, length: int) -> str:
    if protocol != 0:
        return f"protocol id {protocol} where 0 is expected"
    return f"length {length} where {LENGTH_MIN} to {LENGTH_MAX} is expected"
