"""A reply is taken only if it is exactly the reply to its request; a request only if the standard allows it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controller.modbus.errors import ExceptionCode, ExceptionReply, ReplyError, RequestError, exception_name
from controller.modbus.pdu import (
    FunctionCode,
    Request,
    check_response,
    exception_reply,
    mask_register,
    parse_request,
    read,
    read_write_registers,
    reply,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)

address = st.integers(0, 65_535)
bit_reads = st.builds(read, st.sampled_from([1, 2]), st.integers(0, 63_536), st.integers(1, 2000))
register_reads = st.builds(read, st.sampled_from([3, 4]), st.integers(0, 65_411), st.integers(1, 125))


def _registers(most: int) -> st.SearchStrategy[bytes]:
    return st.integers(1, most).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n))


@st.composite
def coil_writes(draw: st.DrawFn) -> Request:
    count = draw(st.integers(1, 1968))
    size = -(-count // 8)
    return write_coils(draw(st.integers(0, 63_568)), count, draw(st.binary(min_size=size, max_size=size)))


requests = st.one_of(
    bit_reads,
    register_reads,
    st.builds(lambda at, on: write_coil(at, on=on), address, st.booleans()),
    st.builds(write_register, address, st.binary(min_size=2, max_size=2)),
    coil_writes(),
    st.builds(write_registers, st.integers(0, 65_413), _registers(123)),
    st.builds(mask_register, address, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
    st.builds(
        read_write_registers, st.integers(0, 65_411), st.integers(1, 125), st.integers(0, 65_415), _registers(121)
    ),
)


@st.composite
def answered(draw: st.DrawFn) -> tuple[Request, bytes, bytes]:
    """A request, its payload and its right reply."""
    request = draw(requests)
    size = request.reply_size - len(request.reply_head)
    payload = draw(st.binary(min_size=size, max_size=size))
    return request, payload, reply(request, payload)


@given(requests)
def test_a_server_reads_what_a_client_wrote(request: Request) -> None:
    assert parse_request(request.pdu) == request


@given(answered())
def test_the_right_reply_gives_its_payload(case: tuple[Request, bytes, bytes]) -> None:
    request, payload, pdu = case
    assert check_response(request, pdu) == payload


@given(answered(), st.integers(1, 255))
def test_an_exception_is_the_devices_own_word(case: tuple[Request, bytes, bytes], code: int) -> None:
    with pytest.raises(ExceptionReply) as raised:
        check_response(case[0], bytes((case[0].function | 0x80, code)))
    assert raised.value.code == code
    assert str(code) in str(raised.value)


@given(answered(), answered())
def test_the_reply_to_another_request_is_refused(
    mine: tuple[Request, bytes, bytes], other: tuple[Request, bytes, bytes]
) -> None:
    request, pdu = mine[0], other[2]
    fits = pdu.startswith(request.reply_head) and len(pdu) == request.reply_size
    assume(not fits)  # reads carry no address: the same function and length can't be told apart by the PDU
    with pytest.raises((ReplyError, ExceptionReply)):
        check_response(request, pdu)


@given(answered(), st.data())
def test_a_reply_with_a_changed_head_or_length_is_refused(case: tuple[Request, bytes, bytes], data: st.DataObject):
    request, _, pdu = case
    head = len(request.reply_head)
    mutated = data.draw(
        st.one_of(
            st.integers(0, len(pdu) - 1).map(lambda n: pdu[:n]),
            st.binary(min_size=1, max_size=9).map(lambda extra: pdu + extra),
            st.tuples(st.integers(0, head - 1), st.integers(1, 255)).map(
                lambda flip: pdu[: flip[0]] + bytes((pdu[flip[0]] ^ flip[1],)) + pdu[flip[0] + 1 :]
            ),
        )
    )
    with pytest.raises((ReplyError, ExceptionReply)):
        check_response(request, mutated)


READ = read(3, 107, 4)
WRITE = write_register(1, b"\x00\x03")


@pytest.mark.parametrize(
    ("request_", "pdu", "text"),
    [
        (READ, "04 08 0001 0002 0003 0004", "answered by function 0x04"),
        (READ, "01 08 0001 0002 0003 0004", "answered by function 0x01"),
        (READ, "06 0001 0003", "answered by function 0x06"),
        (READ, "84 02", "answered by function 0x84"),
        (READ, "83 00", "answered by function 0x83"),
        (READ, "83", "answered by function 0x83"),
        (READ, "83 02 00", "answered by function 0x83"),
        (READ, "03 02 0001", "4 bytes where 10"),
        (READ, "03 14" + 10 * "0001", "22 bytes where 10"),
        (READ, "03 07 0001 0002 0003 00", "9 bytes where 10"),
        (READ, "03 06 0001 0002 0003 0004", "'03 06' where '03 08'"),
        (READ, "03 08 0001 0002 0003", "8 bytes where 10"),
        (READ, "", "answered by nothing"),
        (WRITE, "06 0002 0003", "'06 00 02 00 03' where '06 00 01 00 03'"),
        (WRITE, "06 0001 0004", "where '06 00 01 00 03'"),
        (WRITE, "03 02 0003", "answered by function 0x03"),
        (write_registers(1, b"\0\1\0\2"), "10 0001 0003", "where '10 00 01 00 02'"),
        (write_registers(1, b"\0\1\0\2"), "10 0001 0002 04", "6 bytes where 5"),
        (write_coil(9, on=True), "05 0009 0000", "where '05 00 09 ff 00'"),
        (mask_register(4, 0xF2, 0x25), "16 0004 00f2 0024", "where '16 00 04"),
        (read_write_registers(3, 6, 14, bytes(6)), "17 0e" + 7 * "0001", "16 bytes where 14"),
    ],
)
def test_replies_that_libraries_take_are_refused(request_: Request, pdu: str, text: str) -> None:
    with pytest.raises(ReplyError) as raised:
        check_response(request_, bytes.fromhex(pdu))
    assert text in str(raised.value)


def test_the_examples_of_the_standard() -> None:
    assert read(1, 0x13, 0x13).pdu.hex() == "0100130013"
    assert write_coil(0xAC, on=True).pdu.hex() == "0500acff00"
    assert write_register(1, b"\0\3").pdu.hex() == "0600010003"
    assert write_coils(0x13, 10, b"\xcd\x01").pdu.hex() == "0f0013000a02cd01"
    assert write_registers(1, b"\0\x0a\1\2").pdu.hex() == "100001000204000a0102"
    assert mask_register(4, 0xF2, 0x25).pdu.hex() == "16000400f20025"
    assert read_write_registers(3, 6, 14, 3 * b"\0\xff").pdu.hex() == "1700030006000e000306" + 3 * "00ff"


@pytest.mark.parametrize(
    "make",
    [
        lambda: read(5, 0, 1),
        lambda: read(1, 0, 2001),
        lambda: read(3, 0, 0),
        lambda: read(3, 0, 126),
        lambda: read(4, 65_535, 2),
        lambda: read(3, -1, 2),
        lambda: write_coil(65_536, on=True),
        lambda: write_register(0, b"\0"),
        lambda: write_register(0, bytes(4)),
        lambda: write_coils(0, 1969, bytes(247)),
        lambda: write_coils(0, 9, b"\0"),
        lambda: write_registers(0, b""),
        lambda: write_registers(0, bytes(248)),
        lambda: write_registers(65_535, bytes(4)),
        lambda: mask_register(0, 0x10000, 0),
        lambda: mask_register(0, 0, -1),
        lambda: read_write_registers(0, 126, 0, bytes(2)),
        lambda: read_write_registers(0, 1, 0, bytes(244)),
        lambda: read_write_registers(0, 1, 65_535, bytes(4)),
        lambda: reply(READ, bytes(7)),
        lambda: reply(WRITE, bytes(1)),
    ],
)
def test_what_no_device_may_be_asked_is_refused_before_it_is_sent(make) -> None:
    with pytest.raises(RequestError):
        make()


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("", 1),
        ("00", 1),
        ("14 00", 1),
        ("83 0000 0001", 1),
        ("2b 0e 01 00", 1),
        ("03 0000", 3),
        ("03 0000 0001 00", 3),
        ("03 0000 0000", 3),
        ("03 0000 007e", 3),
        ("04 0000 ffff", 3),
        ("01 0000 07d1", 3),
        ("02 0000 0000", 3),
        ("03 ffff 0002", 2),
        ("01 ffff 0002", 2),
        ("05 0000 0001", 3),
        ("05 0000 ff", 3),
        ("06 0000", 3),
        ("06 0000 0000 00", 3),
        ("0f 0000 0001", 3),
        ("0f 0000 0000 00", 3),
        ("0f 0000 07b1 f7" + 247 * "00", 3),
        ("0f 0000 0009 01 00", 3),
        ("0f ffff 0002 01 00", 2),
        ("10 0000 0001 02 00", 3),
        ("10 0000 0001 03 000000", 3),
        ("10 0000 007c f8" + 248 * "00", 3),
        ("10 ffff 0002 04 00000000", 2),
        ("16 0000 0000", 3),
        ("17 0000 0001 0000", 3),
        ("17 0000 0000 0000 0001 02 0000", 3),
        ("17 0000 007e 0000 0001 02 0000", 3),
        ("17 0000 0001 0000 007a f4" + 244 * "00", 3),
        ("17 0000 0001 0000 0001 02 00", 3),
        ("17 0000 0001 0000 0001 04 0000 0000", 3),
        ("17 ffff 0002 0000 0001 02 0000", 2),
        ("17 0000 0001 ffff 0002 04 00000000", 2),
    ],
)
def test_a_wrong_request_earns_the_standards_exception(pdu: str, code: int) -> None:
    assert parse_request(bytes.fromhex(pdu)) == ExceptionCode(code)


@given(st.binary(max_size=260))
def test_any_bytes_are_a_request_or_an_exception(pdu: bytes) -> None:
    parsed = parse_request(pdu)
    assert isinstance(parsed, ExceptionCode) or parsed.pdu == pdu


def test_an_exception_reply_has_the_error_bit() -> None:
    assert exception_reply(3, ExceptionCode.ILLEGAL_DATA_VALUE) == b"\x83\x03"
    assert exception_reply(0xAB, ExceptionCode.ILLEGAL_FUNCTION) == b"\xab\x01"


def test_exceptions_have_names() -> None:
    assert exception_name(0x0B) == "gateway target failed to respond"
    assert exception_name(37) == "no standard meaning"


def test_server_side_fields_say_what_to_do() -> None:
    written = parse_request(bytes.fromhex("17 0003 0006 000e 0001 02 00ff"))
    assert isinstance(written, Request)
    assert (written.function, written.address, written.count) == (FunctionCode.READ_WRITE_MULTIPLE_REGISTERS, 3, 6)
    assert (written.write_address, written.data) == (14, b"\x00\xff")
    coil = parse_request(bytes.fromhex("05 0009 ff00"))
    assert isinstance(coil, Request)
    assert (coil.count, coil.data) == (1, b"\x01")
