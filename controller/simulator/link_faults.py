"""What disturbed links do to answers: pure, one reply at a time.

A disturbance belongs to a device, or to one equipment behind a shared device; it acts on requests that touch its
registers. Those that break the connection itself (`rst`, `no_read`, `flap`) are the server's to carry out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from controller.modbus.mbap import frame
from controller.modbus.pdu import ERROR_BIT, READS, Request


class LinkFault(StrEnum):
    """The link part of the fault menu."""

    SILENT = "silent"
    LATE = "late"
    WRONG_TID = "wrong_tid"
    ZERO_TID = "zero_tid"
    WRONG_UNIT = "wrong_unit"
    WRONG_FUNCTION = "wrong_function"
    TRUNCATE = "truncate"
    EXCEPTION = "exception"
    GARBAGE = "garbage"
    RST = "rst"
    NO_READ = "no_read"
    FLAP = "flap"
    BAD_ECHO = "bad_echo"


LOST = frozenset({LinkFault.SILENT, LinkFault.RST, LinkFault.NO_READ, LinkFault.FLAP})
"""No answer comes at all."""
UNHEARD = LOST | {LinkFault.GARBAGE, LinkFault.EXCEPTION}
"""The request is not even carried out."""
SPOILED = frozenset(set(LinkFault) - LOST - {LinkFault.LATE, LinkFault.EXCEPTION, LinkFault.BAD_ECHO})
"""An answer comes that a strict client must refuse."""

GARBAGE = bytes(range(7, 250, 11))


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A link fault and its value: seconds of `late` and `flap`, the code of `exception`."""

    fault: LinkFault
    value: float = 0.0


class Answer(NamedTuple):
    """What goes back: bytes (empty = nothing), after a delay, and what then happens to the connection."""

    data: bytes
    delay_s: float = 0.0
    connection: LinkFault | None = None


class Reply(NamedTuple):
    """An answer before it is framed."""

    transaction: int
    unit: int
    pdu: bytes


def disturbed(disturbances: Iterable[Disturbance], request: Request, reply: Reply) -> Answer:
    """Return what becomes of the reply to a request."""
    delay_s = 0.0
    for disturbance in disturbances:
        fault = disturbance.fault
        if fault in LOST:
            return Answer(b"", connection=None if fault is LinkFault.SILENT else fault)
        if fault is LinkFault.GARBAGE:
            return Answer(GARBAGE)
        if fault is LinkFault.LATE:
            delay_s = max(delay_s, disturbance.value)
        reply = _altered(disturbance, request, reply)
    return Answer(frame(*reply), delay_s)


def _altered(disturbance: Disturbance, request: Request, reply: Reply) -> Reply:
    transaction, unit, pdu = reply
    match disturbance.fault:
        case LinkFault.WRONG_TID:
            return Reply(transaction ^ 0x5555, unit, pdu)
        case LinkFault.ZERO_TID:
            return Reply(0, unit, pdu)
        case LinkFault.WRONG_UNIT:
            return Reply(transaction, (unit + 1) & 0xFF, pdu)
        case LinkFault.WRONG_FUNCTION:
            return Reply(transaction, unit, bytes((pdu[0] ^ 0x07,)) + pdu[1:])
        case LinkFault.TRUNCATE:
            return Reply(transaction, unit, pdu[:-2] if len(pdu) > 3 else pdu[:1])
        case LinkFault.EXCEPTION:
            return Reply(transaction, unit, bytes((request.function | ERROR_BIT, int(disturbance.value))))
        case LinkFault.BAD_ECHO if request.function not in READS:
            return Reply(transaction, unit, pdu[:-1] + bytes((pdu[-1] ^ 0x01,)))
        case _:
            return reply
