"""What is encoded is decoded again; what is no number never becomes one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controller.modbus.errors import EncodeError
from controller.modbus.registers import (
    TYPES,
    Decoded,
    RegisterType,
    Words,
    decode,
    decode_whole,
    encode,
    encode_command,
    numbers,
    register_type,
    registers,
    sentinels,
    text,
    text_registers,
    with_scale_factors,
)
from controller.modbus.scaling import IDENTITY, scaling
from controller.plant.device_types import WordOrder

NUMBERS = [t for t in TYPES.values() if t.dtype]
INTEGERS = [t for t in NUMBERS if not t.is_float and t.name[0] in "ui"]  # one of each dtype
FLOATS = [t for t in NUMBERS if t.is_float]
orders = st.sampled_from(list(WordOrder))
scales = st.sampled_from([1.0, 0.1, 0.001, 10.0, 0.25, 1 / 3])
offsets = st.sampled_from([0.0, -40.0, 273.15])


def _words(data: str) -> Words:
    return np.frombuffer(bytes.fromhex(data), ">u2")


def _limits(kind: RegisterType) -> tuple[int, int]:
    return int(np.iinfo(kind.dtype).min), int(np.iinfo(kind.dtype).max)


def test_the_words_of_a_value_stand_as_the_device_says() -> None:
    words = _words("1234 5678 9abc def0")
    assert numbers(words, TYPES["u32"]).tolist() == [0x12345678, 0x9ABCDEF0]
    assert numbers(words, TYPES["u32"], WordOrder.LOW_FIRST).tolist() == [0x56781234, 0xDEF09ABC]
    assert numbers(words, TYPES["u64"], WordOrder.LOW_FIRST).tolist() == [0xDEF09ABC56781234]
    assert numbers(words, TYPES["u16"], WordOrder.LOW_FIRST).tolist() == [0x1234, 0x5678, 0x9ABC, 0xDEF0]


@pytest.mark.parametrize("kind", [*INTEGERS, *FLOATS], ids=lambda t: t.name)
@given(data=st.data(), order=orders, devices=st.integers(1, 4), count=st.integers(1, 5))
def test_registers_and_numbers_are_inverse(
    kind: RegisterType, data: st.DataObject, order: WordOrder, devices: int, count: int
) -> None:
    size = 2 * devices * count * kind.words
    words = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), ">u2").reshape(devices, -1)
    raw = numbers(words, kind, order)
    assert raw.shape == (devices, count)
    assert registers(raw, kind, order).tobytes() == words.tobytes()


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda t: t.name)
@given(data=st.data(), order=orders, scale=scales, offset=offsets, sign=st.sampled_from([1, -1]))
def test_scaled_values_come_back_from_integers(
    kind: RegisterType, data: st.DataObject, order: WordOrder, scale: float, offset: float, sign: int
) -> None:
    made = scaling(scale, offset, sign=sign)
    low, high = (max(_limits(kind)[0], -(2**50)), min(_limits(kind)[1], 2**50))
    raw = data.draw(st.lists(st.integers(low, high), min_size=1, max_size=6))
    values = made.value(np.array(raw, np.float64))
    found = decode(encode(values, kind, made, (), order), kind, made, (), order)
    assert found.valid.all()
    assert np.allclose(found.values, values, rtol=1e-12, atol=abs(scale) / 2)
    assert encode_command(values[0], kind, made, (), order) == encode(values[:1], kind, made, (), order).tobytes()


@pytest.mark.parametrize("kind", FLOATS, ids=lambda t: t.name)
@given(data=st.data(), order=orders)
def test_floats_come_back(kind: RegisterType, data: st.DataObject, order: WordOrder) -> None:
    width = 16 * kind.words
    number = st.floats(allow_nan=False, allow_infinity=False, width=64 if width == 64 else 32)
    values = np.array(data.draw(st.lists(number, min_size=1, max_size=6)))
    found = decode(encode(values, kind, order=order), kind, order=order)
    assert found.valid.all()
    assert (found.values == values).all()


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda t: t.name)
@given(data=st.data(), order=orders)
def test_whole_numbers_come_back_exactly(kind: RegisterType, data: st.DataObject, order: WordOrder) -> None:
    low, high = _limits(kind)
    value = data.draw(st.integers(low, min(high, 2**63 - 1)))
    found = decode_whole(encode(np.array([value]), kind, order=order), kind, order=order)
    assert found.valid[0]
    assert found.values[0] == value


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda t: t.name)
@pytest.mark.parametrize("order", WordOrder)
def test_not_implemented_is_never_a_number(kind: RegisterType, order: WordOrder) -> None:
    patterns = sentinels(kind, sunspec=True)
    words = encode(np.array([np.nan, 7.0]), kind, patterns=patterns, order=order)
    found = decode(words, kind, IDENTITY, patterns, order)
    assert np.isnan(found.values[0])
    assert found.values[1] == 7.0
    assert found.valid.tolist() == [False, True]
    assert decode_whole(words, kind, patterns, order).values.tolist() == [0, 7]
    assert decode_whole(words, kind, patterns, order).valid.tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("u16", "ffff"), ("i16", "8000"), ("u32", "ffffffff"), ("i32", "80000000"), ("u64", "ffffffffffffffff"),
        ("i64", "8000000000000000"), ("f32", "7fc00000"), ("f64", "7ff8000000000000"), ("enum16", "ffff"),
        ("enum32", "ffffffff"), ("bits16", "ffff"), ("bits32", "ffffffff"), ("acc16", "0000"), ("acc32", "00000000"),
        ("acc64", "0000000000000000"), ("count", "ffff"), ("sunssf", "8000"), ("pad", "8000"), ("ipaddr", "00000000"),
        ("ipv6addr", 16 * "00"), ("eui48", "0000ffffffffffff"), ("string4", 8 * "00"), ("bool", "ffff"),
    ],
)  # fmt: skip
def test_not_implemented_as_the_specification_lists_it(name: str, wire: str) -> None:
    kind = register_type(name)
    assert kind.not_implemented.hex() == wire
    assert len(kind.not_implemented) == 2 * kind.words


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("f32", "7fc00000"),
        ("f32", "ffc12345"),
        ("f32", "7f800001"),
        ("f64", "fff0000000000001"),
        ("f32", "7f800000"),
        ("f32", "ff800000"),
        ("f64", "7ff0000000000001"),
    ],
)
def test_nan_and_infinity_are_never_numbers(name: str, wire: str) -> None:
    for scale in (scaling(), scaling(0.1, 3.0), scaling(1000.0)):
        found = decode(_words(wire), TYPES[name], scale)
        assert np.isnan(found.values[0])
        assert not found.valid[0]
    assert decode_whole(_words(wire), TYPES[name]).valid.tolist() == [False]


def test_a_float_that_scaling_makes_infinite_is_no_number() -> None:
    found = decode(_words("7fe0000000000000"), TYPES["f64"], scaling(1000.0))
    assert np.isnan(found.values[0])
    assert not found.valid[0]


@pytest.mark.parametrize(
    ("name", "missing", "wire"),
    [
        ("u16", 0xFFFF, "ffff"),
        ("u16", 0xFFFE, "fffe"),
        ("i16", 0x8000, "8000"),
        ("i16", -32_768, "8000"),
        ("i16", -1, "ffff"),
        ("i32", 0x80000000, "80000000"),
        ("i32", 0x7FFFFFFF, "7fffffff"),
        ("u32", 0, "00000000"),
        ("u64", 0xFFFFFFFFFFFFFFFF, "ffffffffffffffff"),
        ("f32", -999, "c479c000"),
        ("f32", 0xFF7FFFFF, "ff7fffff"),
        ("f64", 9999, "40c3878000000000"),
    ],
)
def test_declared_sentinels_are_never_numbers(name: str, missing: int, wire: str) -> None:
    kind = TYPES[name]
    patterns = sentinels(kind, [missing])
    assert not decode(_words(wire), kind, patterns=patterns).valid[0]
    assert decode(_words(wire), kind).valid[0]
    if not kind.is_float:
        assert encode(np.array([np.nan]), kind, patterns=patterns).tobytes().hex() == wire


@pytest.mark.parametrize("missing", [0x10000, -32_769])
def test_a_sentinel_that_can_not_occur_is_an_error(missing: int) -> None:
    with pytest.raises(EncodeError, match="type i16"):
        sentinels(TYPES["i16"], [missing])


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda t: t.name)
@given(value=st.one_of(st.floats(), st.integers(-(2**70), 2**70).map(float)))
def test_a_command_is_written_as_asked_or_refused(kind: RegisterType, value: float) -> None:
    patterns = sentinels(kind, sunspec=True)
    try:
        written = encode_command(value, kind, IDENTITY, patterns)
    except EncodeError:
        high = float(np.finfo(kind.dtype).max) if kind.is_float else _limits(kind)[1]
        low = -high if kind.is_float else _limits(kind)[0]
        nearest = value if kind.is_float or not np.isfinite(value) else round(value)
        reserved = not kind.is_float and nearest == int(np.frombuffer(kind.not_implemented, kind.dtype)[0])
        assert not low <= nearest <= high or reserved
        return
    found = decode(np.frombuffer(written, ">u2"), kind, IDENTITY, patterns)
    assert found.valid[0]
    assert found.values[0] == pytest.approx(value, abs=0.5, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("u16", -1.0), ("u16", 65_535.6), ("i16", 32_768.0), ("i16", -32_769.0), ("u32", 2.0**32), ("u64", 2.0**64),
        ("i64", 2.0**63), ("f32", 1e39), ("f32", np.inf), ("f64", np.nan), ("u16", np.nan), ("bits32", -1.0),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_never_clipped(name: str, value: float) -> None:
    with pytest.raises(EncodeError, match=name):
        encode_command(value, TYPES[name])
    assert encode(np.array([value]), TYPES[name]).tobytes() == TYPES[name].not_implemented


def test_a_command_that_would_read_as_no_value_is_refused() -> None:
    with pytest.raises(EncodeError, match="reads as 'no value'"):
        encode_command(6553.5, TYPES["u16"], scaling(0.1), (0xFFFF,))


@pytest.mark.parametrize(("value", "raw"), [(0.5, 0), (1.5, 2), (2.4999, 2), (2.5001, 3)])
def test_rounding_is_half_to_even(value: float, raw: int) -> None:
    assert encode_command(value, TYPES["u16"]) == raw.to_bytes(2)


def test_integers_beyond_the_type_are_no_value() -> None:
    assert encode(np.array([-1, 65_536, 5]), TYPES["u16"]).tolist() == [0xFFFF, 0xFFFF, 5]


def test_values_marked_invalid_are_encoded_as_no_value() -> None:
    words = encode(np.array([1.0, 2.0]), TYPES["i16"], patterns=(0x8000,), valid=np.array([False, True]))
    assert words.tobytes().hex() == "80000002"


def test_whole_numbers_of_floats_and_of_the_highest_counters() -> None:
    fractions = decode_whole(np.array([3.0, 3.5, 1e30, np.nan], ">f4").view(">u2"), TYPES["f32"])
    assert fractions.values.tolist() == [3, 0, 0, 0]
    assert fractions.valid.tolist() == [True, False, False, False]
    high = decode_whole(np.array([2**63, 2**63 - 1], ">u8").view(">u2"), TYPES["u64"])
    assert high.values.tolist() == [0, 2**63 - 1]
    assert high.valid.tolist() == [False, True]


@given(st.lists(st.one_of(st.integers(-12, 12), st.just(-32_768)), min_size=1, max_size=8))
def test_a_scale_factor_that_is_missing_or_absurd_makes_values_unusable(factors: list[int]) -> None:
    made, usable = with_scale_factors(IDENTITY, np.array(factors, ">i2").view(">u2"))
    assert usable.tolist() == [abs(factor) <= 10 for factor in factors]
    values = made.value(np.full(len(factors), 5))
    assert np.allclose(values[usable], [5 * 10.0**f for f in factors if abs(f) <= 10])


def test_decoded_is_per_device() -> None:
    found = decode(np.arange(6, dtype=">u2").reshape(2, 3), TYPES["u16"], scaling(0.1))
    assert isinstance(found, Decoded)
    assert found.values.tolist() == [[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]]


@given(st.text(max_size=12))
def test_text_comes_back(content: str) -> None:
    assume("\0" not in content and content == content.strip() and len(content.encode()) <= 16)
    assert text(text_registers(content, 8)) == content


def test_text_of_a_device_may_be_anything() -> None:
    assert text(b" GBANK-1 \0\xff\xff") == "GBANK-1"
    assert text(b"\xff\xfe\0\0") == "��"
    with pytest.raises(EncodeError, match="takes 5 bytes where 4"):
        text_registers("abcde", 2)


@pytest.mark.parametrize("name", ["string0", "string", "u8", "", "string1000"])
def test_there_is_no_such_type(name: str) -> None:
    with pytest.raises(KeyError):
        register_type(name)
