"""Bounds on what decoding a foreign message may cost; the library has none.

Rule: an array announces its length; more elements than bytes are left can't follow, and elements that take no bytes
(Null) or that can each be anything (Variant) are few. A request's additional header is small. Without this a message
of 60 bytes, sent before any login, makes the library build a list of two thousand million entries.
"""

from __future__ import annotations

import struct
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.ua_binary import nodeid_from_binary

from controller.scada.opcua.value_types import fault

LOOSE_ELEMENTS_MAX = 1_000
ADDITIONAL_HEADER_BYTES_MAX = 1_024
_LOOSE = {ua.VariantType.Null, ua.VariantType.Variant, ua.VariantType.ExtensionObject, ua.VariantType.DataValue}
_INT32 = struct.Struct("<i")
_TIMES_HANDLE_DIAGNOSTICS_BYTES = 8 + 4 + 4
_unpack_array = ua_binary.unpack_uatype_array


def bound_decoding() -> None:
    """Put the bounds into the library, once for the process."""
    ua_binary.unpack_uatype_array = _bounded


def _bounded(vtype: ua.VariantType, data: Any) -> list[Any] | None:
    length = announced(data)
    if length > len(data) or (vtype in _LOOSE and length > LOOSE_ELEMENTS_MAX):
        raise fault(ua.StatusCodes.BadEncodingLimitsExceeded)
    return _unpack_array(vtype, data)


def announced(data: Buffer, skipped: int = 0) -> int:
    """Return the length that the array or string behind `skipped` bytes announces, without decoding it."""
    ahead = data.copy(skipped + _INT32.size)
    ahead.skip(skipped)
    return max(0, int(_INT32.unpack(ahead.read(_INT32.size))[0]))


def check_additional_header(body: Buffer) -> None:
    """Refuse a request whose additional header is more than small; `body` starts at its type."""
    ahead = body.copy()
    nodeid_from_binary(ahead)  # the request's type
    nodeid_from_binary(ahead)  # the session's token
    ahead.skip(_TIMES_HANDLE_DIAGNOSTICS_BYTES)
    ahead.skip(_INT32.size + announced(ahead))  # the audit entry's id
    ahead.skip(_INT32.size)  # time-out
    nodeid_from_binary(ahead)
    has_body = ahead.read(1) != b"\x00"
    length = _INT32.unpack(ahead.read(_INT32.size))[0] if has_body else 0
    if not 0 <= length <= ADDITIONAL_HEADER_BYTES_MAX:
        raise fault(ua.StatusCodes.BadEncodingLimitsExceeded)
