"""Our bytes of values are the library's bytes."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import extensionobject_to_binary, struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from controller.scada.opcua.encoding import packed, response_bytes, value_bytes
from controller.scada.opcua.value_types import data_value, status

NUMBERS: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    ua.VariantType.Double: st.floats(),
    ua.VariantType.Float: st.floats(width=32),
    ua.VariantType.Int32: st.integers(-(2**31), 2**31 - 1),
    ua.VariantType.UInt32: st.integers(0, 2**32 - 1),
    ua.VariantType.Boolean: st.booleans(),
    ua.VariantType.String: st.text(max_size=9),
}
times: st.SearchStrategy[Any] = st.none() | st.datetimes(timezones=st.just(UTC))


@st.composite
def variants(draw: st.DrawFn) -> ua.Variant:
    kind = draw(st.sampled_from([*NUMBERS, ua.VariantType.Null]))
    if kind is ua.VariantType.Null:
        return ua.Variant(None, kind)
    is_array = draw(st.booleans())
    return ua.Variant(draw(st.lists(NUMBERS[kind], max_size=4) if is_array else NUMBERS[kind]), kind, is_array=is_array)


@st.composite
def data_values(draw: st.DrawFn) -> ua.DataValue:
    made = data_value(draw(variants()), status(draw(st.integers(0, 2**32 - 1))), draw(times), draw(times))
    made.SourcePicoseconds, made.ServerPicoseconds = draw(st.tuples(*[st.sampled_from([None, 0, 7])] * 2))
    return made


@given(data_values())
def test_a_value(value):
    assert value_bytes(value) == struct_to_binary(value)


@given(st.lists(data_values(), max_size=3))
def test_a_notification(values):
    items = [ua.MonitoredItemNotification(number, value) for number, value in enumerate(values)]
    notification = ua.DataChangeNotification(MonitoredItems=items)

    assert extensionobject_to_binary(packed(notification)) == extensionobject_to_binary(notification)


@given(st.lists(data_values(), max_size=3))
def test_a_response(values):
    response = ua.ReadResponse(Results=values)

    assert response_bytes(response) == struct_to_binary(response)


def test_what_is_neither_is_left_to_the_library():
    change = ua.StatusChangeNotification()

    assert packed(change) is change
    written = ua.WriteResponse()
    assert response_bytes(written) == struct_to_binary(written)
