"""Requests and replies: PDUs of the function codes 1-6, 15, 16, 22 and 23, as the client and as the server see them.

Rule: a request fixes how its reply begins and how long it is, so checking a reply is one comparison. A reply is taken
only if function, byte count, exact length and, for a write, the whole echo are right; nothing is guessed, padded or
cut.

Source: Modbus Application Protocol V1.1b3, sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from controller.modbus.errors import EchoError, ExceptionCode, ExceptionReply, ReplyError, RequestError


class FunctionCode(IntEnum):
    """The function codes we speak."""

    READ_COILS = 1
    READ_DISCRETE_INPUTS = 2
    READ_HOLDING_REGISTERS = 3
    READ_INPUT_REGISTERS = 4
    WRITE_SINGLE_COIL = 5
    WRITE_SINGLE_REGISTER = 6
    WRITE_MULTIPLE_COILS = 15
    WRITE_MULTIPLE_REGISTERS = 16
    MASK_WRITE_REGISTER = 22
    READ_WRITE_MULTIPLE_REGISTERS = 23


BIT_READS = frozenset({FunctionCode.READ_COILS, FunctionCode.READ_DISCRETE_INPUTS})
READS = BIT_READS | {FunctionCode.READ_HOLDING_REGISTERS, FunctionCode.READ_INPUT_REGISTERS}

READ_BITS_MAX, READ_REGISTERS_MAX = 2000, 125
WRITE_BITS_MAX, WRITE_REGISTERS_MAX = 1968, 123
READ_WRITE_WRITTEN_MAX = 121
"""Most registers that function 23 may write."""
ADDRESSES = 65_536
ERROR_BIT = 0x80

_COIL_ON, _COIL_OFF = b"\xff\x00", b"\x00\x00"
_TWO = Struct(">BHH")
_HEAD = Struct(">BHHB")
_READ_WRITE_HEAD = Struct(">BHHHHB")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and how its reply must look.

    `address` and `count` say what is read, or what is written if nothing is read. `data` is what is written, as on the
    wire: registers big-endian, coils packed from the lowest bit, function 22 the AND mask and the OR mask; function 5
    one packed coil. Function 23 writes `data` at `write_address`.
    """

    function: FunctionCode
    address: int
    count: int
    pdu: bytes
    reply_head: bytes  # what the reply must begin with; a write's whole reply
    reply_size: int
    data: bytes = b""
    write_address: int = 0


# ------------------------------------------------------------------------------------------------------------- client


def read(function: int, address: int, count: int) -> Request:
    """Return a read request (functions 1 to 4); RequestError beyond 2000 bits or 125 registers."""
    if function not in READS:
        raise RequestError(f"function {function:d} is no read (1 to 4)")
    code = FunctionCode(function)
    is_bits = code in BIT_READS
    _check_quantity(count, READ_BITS_MAX if is_bits else READ_REGISTERS_MAX, "bits" if is_bits else "registers")
    _check_range(address, count)
    return _read(code, address, count, _packed_bytes(count) if is_bits else 2 * count)


def write_coil(address: int, *, on: bool) -> Request:
    """Return a request that writes one coil (function 5)."""
    _check_range(address, 1)
    return _write_coil(address, on=on)


def write_register(address: int, data: bytes) -> Request:
    """Return a request that writes one register (function 6); `data` is its two bytes."""
    _check_written(data, 1)
    _check_range(address, 1)
    return _write_register(address, data)


def write_coils(address: int, count: int, data: bytes) -> Request:
    """Return a request that writes several coils (function 15); `data` packed from the lowest bit."""
    _check_quantity(count, WRITE_BITS_MAX, "coils")
    _check_range(address, count)
    if len(data) != _packed_bytes(count):
        raise RequestError(f"{count} coils take {_packed_bytes(count)} bytes, not {len(data)}")
    return _write_multiple(FunctionCode.WRITE_MULTIPLE_COILS, address, count, data)


def write_registers(address: int, data: bytes) -> Request:
    """Return a request that writes several registers (function 16)."""
    _check_written(data, WRITE_REGISTERS_MAX)
    _check_range(address, len(data) // 2)
    return _write_multiple(FunctionCode.WRITE_MULTIPLE_REGISTERS, address, len(data) // 2, data)


def write_words(address: int, data: bytes) -> Request:
    """Return the plainest request that writes these registers: function 6 for one, 16 for several."""
    return write_register(address, data) if len(data) == 2 else write_registers(address, data)


def mask_register(address: int, and_mask: int, or_mask: int) -> Request:
    """Return a request that sets a register to `(old AND and_mask) OR (or_mask AND NOT and_mask)` (function 22)."""
    _check_range(address, 1)
    for mask in (and_mask, or_mask):
        if not 0 <= mask <= 0xFFFF:
            raise RequestError(f"mask {mask:#x} is no 16-bit number")
    return _mask(address, and_mask.to_bytes(2) + or_mask.to_bytes(2))


def read_write_registers(address: int, count: int, write_address: int, data: bytes) -> Request:
    """Return a request that writes registers first and then reads others (function 23)."""
    _check_quantity(count, READ_REGISTERS_MAX, "registers")
    _check_written(data, READ_WRITE_WRITTEN_MAX)
    _check_range(address, count)
    _check_range(write_address, len(data) // 2)
    return _read_write(address, count, write_address, data)


def check_response(request: Request, pdu: bytes) -> bytes:
    """Return the payload of a reply (registers big-endian, bits packed; empty for a write).

    Raises:
        ExceptionReply: the device refused.
        ReplyError: the reply answers something else; whatever else arrives on this connection can't be trusted.
        EchoError: only the echo of a write is wrong.
    """
    if len(pdu) == request.reply_size and pdu.startswith(request.reply_head):
        return pdu[len(request.reply_head) :]
    if len(pdu) == 2 and pdu[0] == request.function | ERROR_BIT and pdu[1] != 0:
        raise ExceptionReply(pdu[1])
    complaint = _reply_complaint(request, pdu)
    is_echo = request.function not in READS and pdu[:1] == request.pdu[:1] and len(pdu) == request.reply_size
    raise EchoError(complaint) if is_echo else ReplyError(complaint)


def _reply_complaint(request: Request, pdu: bytes) -> str:
    asked = f"function {request.function:d} at {request.address}"
    if not pdu:
        return f"{asked} answered by nothing"
    if pdu[0] != request.function:
        return f"{asked} answered by function {pdu[0]:#04x}"
    if len(pdu) != request.reply_size:
        return f"{asked} answered by {len(pdu)} bytes where {request.reply_size} are expected"
    found, expected = pdu[: len(request.reply_head)].hex(" "), request.reply_head.hex(" ")
    return f"{asked} answered by '{found}' where '{expected}' is expected"


# ------------------------------------------------------------------------------------------------------------- server


def parse_request(pdu: bytes) -> Request | ExceptionCode:
    """Return a client's request, or the exception it has earned.

    Checked in the standard's order: function (1), quantity, exact length and value (3), address range (2).
    """
    if not pdu or pdu[0] not in _PARSERS:
        return ExceptionCode.ILLEGAL_FUNCTION
    return _PARSERS[pdu[0]](pdu)


def reply(request: Request, payload: bytes = b"") -> bytes:
    """Return the PDU that answers a request; the payload must be exactly what the request asked for."""
    pdu = request.reply_head + payload
    if len(pdu) != request.reply_size:
        raise RequestError(f"function {request.function:d} takes a reply of {request.reply_size} bytes, not {len(pdu)}")
    return pdu


def exception_reply(function: int, code: ExceptionCode) -> bytes:
    """Return the PDU that refuses a request of this function."""
    return bytes((function | ERROR_BIT, code))


def _parse_read(pdu: bytes) -> Request | ExceptionCode:
    if len(pdu) != 5:
        return ExceptionCode.ILLEGAL_DATA_VALUE
    function, address, count = _TWO.unpack(pdu)
    code = FunctionCode(function)
    is_bits = code in BIT_READS
    if not 1 <= count <= (READ_BITS_MAX if is_bits else READ_REGISTERS_MAX):
        return ExceptionCode.ILLEGAL_DATA_VALUE
    if address + count > ADDRESSES:
        return ExceptionCode.ILLEGAL_DATA_ADDRESS
    return _read(code, address, count, _packed_bytes(count) if is_bits else 2 * count)


def _parse_write_coil(pdu: bytes) -> Request | ExceptionCode:
    if len(pdu) != 5 or pdu[3:] not in (_COIL_ON, _COIL_OFF):
        return ExceptionCode.ILLEGAL_DATA_VALUE
    return _write_coil(int.from_bytes(pdu[1:3]), on=pdu[3:] == _COIL_ON)


def _parse_write_register(pdu: bytes) -> Request | ExceptionCode:
    if len(pdu) != 5:
        return ExceptionCode.ILLEGAL_DATA_VALUE
    return _write_register(int.from_bytes(pdu[1:3]), pdu[3:])


def _parse_write_multiple(pdu: bytes) -> Request | ExceptionCode:
    if len(pdu) < _HEAD.size:
        return ExceptionCode.ILLEGAL_DATA_VALUE
    function, address, count, size = _HEAD.unpack_from(pdu)
    is_bits = function == FunctionCode.WRITE_MULTIPLE_COILS
    most = WRITE_BITS_MAX if is_bits else WRITE_REGISTERS_MAX
    needed = _packed_bytes(count) if is_bits else 2 * count
    if not 1 <= count <= most or size != needed or len(pdu) != _HEAD.size + size:
        return ExceptionCode.ILLEGAL_DATA_VALUE
    if address + count > ADDRESSES:
        return ExceptionCode.ILLEGAL_DATA_ADDRESS
    return _write_multiple(FunctionCode(function), address, count, pdu[_HEAD.size :])


def _parse_mask(pdu: bytes) -> Request | ExceptionCode:
    if len(pdu) != 7:
        return ExceptionCode.ILLEGAL_DATA_VALUE
    return _mask(int.from_bytes(pdu[1:3]), pdu[3:])


def _parse_read_write(pdu: bytes) -> Request | ExceptionCode:
    if len(pdu) < _READ_WRITE_HEAD.size:
        return ExceptionCode.ILLEGAL_DATA_VALUE
    _, address, count, write_address, written, size = _READ_WRITE_HEAD.unpack_from(pdu)
    if not (1 <= count <= READ_REGISTERS_MAX and 1 <= written <= READ_WRITE_WRITTEN_MAX):
        return ExceptionCode.ILLEGAL_DATA_VALUE
    if size != 2 * written or len(pdu) != _READ_WRITE_HEAD.size + size:
        return ExceptionCode.ILLEGAL_DATA_VALUE
    if address + count > ADDRESSES or write_address + written > ADDRESSES:
        return ExceptionCode.ILLEGAL_DATA_ADDRESS
    return _read_write(address, count, write_address, pdu[_READ_WRITE_HEAD.size :])


_PARSERS: dict[int, Callable[[bytes], Request | ExceptionCode]] = {
    FunctionCode.READ_COILS: _parse_read,
    FunctionCode.READ_DISCRETE_INPUTS: _parse_read,
    FunctionCode.READ_HOLDING_REGISTERS: _parse_read,
    FunctionCode.READ_INPUT_REGISTERS: _parse_read,
    FunctionCode.WRITE_SINGLE_COIL: _parse_write_coil,
    FunctionCode.WRITE_SINGLE_REGISTER: _parse_write_register,
    FunctionCode.WRITE_MULTIPLE_COILS: _parse_write_multiple,
    FunctionCode.WRITE_MULTIPLE_REGISTERS: _parse_write_multiple,
    FunctionCode.MASK_WRITE_REGISTER: _parse_mask,
    FunctionCode.READ_WRITE_MULTIPLE_REGISTERS: _parse_read_write,
}


# ----------------------------------------------------------------------------------------------- both sides, unchecked


def _read(function: FunctionCode, address: int, count: int, size: int) -> Request:
    return Request(function, address, count, _TWO.pack(function, address, count), bytes((function, size)), size + 2)


def _echoed(function: FunctionCode, address: int, pdu: bytes, data: bytes) -> Request:
    return Request(function, address, 1, pdu, pdu, len(pdu), data)


def _write_coil(address: int, *, on: bool) -> Request:
    function = FunctionCode.WRITE_SINGLE_COIL
    pdu = bytes((function,)) + address.to_bytes(2) + (_COIL_ON if on else _COIL_OFF)
    return _echoed(function, address, pdu, bytes((on,)))


def _write_register(address: int, data: bytes) -> Request:
    function = FunctionCode.WRITE_SINGLE_REGISTER
    return _echoed(function, address, bytes((function,)) + address.to_bytes(2) + data, data)


def _mask(address: int, masks: bytes) -> Request:
    function = FunctionCode.MASK_WRITE_REGISTER
    return _echoed(function, address, bytes((function,)) + address.to_bytes(2) + masks, masks)


def _write_multiple(function: FunctionCode, address: int, count: int, data: bytes) -> Request:
    head = _TWO.pack(function, address, count)
    return Request(function, address, count, head + bytes((len(data),)) + data, head, len(head), data)


def _read_write(address: int, count: int, write_address: int, data: bytes) -> Request:
    function = FunctionCode.READ_WRITE_MULTIPLE_REGISTERS
    pdu = _READ_WRITE_HEAD.pack(function, address, count, write_address, len(data) // 2, len(data)) + data
    return Request(function, address, count, pdu, bytes((function, 2 * count)), 2 + 2 * count, data, write_address)


def _packed_bytes(bits: int) -> int:
    return -(-bits // 8)


def _check_quantity(count: int, most: int, of: str) -> None:
    if not 1 <= count <= most:
        raise RequestError(f"{count} {of} where 1 to {most} are allowed")


def _check_range(address: int, count: int) -> None:
    if not 0 <= address <= ADDRESSES - count:
        raise RequestError(f"addresses {address}..{address + count - 1} do not exist (0 to {ADDRESSES - 1})")


def _check_written(data: bytes, most: int) -> None:
    if len(data) % 2:
        raise RequestError(f"{len(data)} bytes are no whole number of registers")
    _check_quantity(len(data) // 2, most, "registers")
