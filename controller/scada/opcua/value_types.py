"""The library's values made from plain Python ones.

asyncua annotates its integers as classes of their own but works with plain ones; here, and only here, the two meet.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from asyncua import ua
from asyncua.common.utils import ServiceError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def status(code: int) -> ua.StatusCode:
    """Return a status code."""
    return ua.StatusCode(cast("ua.UInt32", code))


def fault(code: int) -> ServiceError:
    """Return the error that refuses a whole request with this status."""
    return ServiceError(code)


def standard_id(number: int) -> ua.NodeId:
    """Return the NodeId of a node of the standard itself (namespace 0)."""
    return ua.NodeId(cast("ua.Int32", number))


def string_id(text: str, namespace: int) -> ua.NodeId:
    """Return a NodeId `s=text`."""
    return ua.NodeId(cast("ua.String", text), cast("ua.Int16", namespace))


def opaque_id(data: bytes) -> ua.NodeId:
    """Return a NodeId of bytes that nobody can guess."""
    return ua.NodeId(cast("ua.ByteString", data))


def name(text: str, namespace: int = 0) -> ua.QualifiedName:
    """Return a browse name."""
    return ua.QualifiedName(cast("ua.String", text), cast("ua.UInt16", namespace))


def words(text: str) -> ua.LocalizedText:
    """Return text for people, without a locale."""
    return ua.LocalizedText(cast("ua.String", text))


def value_range(low: float, high: float) -> ua.Range:
    """Return a Range, as EURange holds it."""
    return ua.Range(cast("ua.Double", low), cast("ua.Double", high))


def date_time(utc_ns: int) -> ua.DateTime:
    """Return a DateTime of nanoseconds since 1970."""
    return cast("ua.DateTime", _EPOCH + timedelta(microseconds=utc_ns // 1_000))


def data_value(
    value: ua.Variant, code: ua.StatusCode, source: ua.DateTime | None = None, server: ua.DateTime | None = None
) -> ua.DataValue:
    """Return a DataValue."""
    return ua.DataValue(value, code, source, server)


def attribute(value: Any, variant_type: ua.VariantType) -> ua.DataValue:
    """Return a DataValue of an attribute other than a variable's value: good, without times."""
    return ua.DataValue(ua.Variant(value, variant_type))
