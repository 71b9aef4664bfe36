"""Commands are written as asked or refused with the reason; counters never count into "no value"."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.modbus.errors import EncodeError
from controller.modbus.field_codec import encode_write, raw_whole
from controller.modbus.register_map import RegisterMap, compile_map

PCS = """
pcs.active_power_setpoint: {at: holding 0, as: i32, unit: kW, scale: 0.1, sign: charge_positive, writable: volatile, R}
pcs.reactive_power_setpoint: {at: holding 2, as: f32, words: low_first, unit: kvar, writable: volatile}
pcs.operation: {at: holding 4, as: u16, writable: volatile, values: {9: stop, 5: start}}
pcs.reset_request: {at: coil 5, as: bool, writable: volatile, values: {0: none, 1: reset}}
pcs.controller_heartbeat: {at: holding 6, as: u16, missing: 0xFFFF, writable: volatile}
pcs.watchdog_timeout_setting: {at: holding 7, as: u16, unit: s, scale: 0.1, missing: 0xFFFF, writable: persistent}
pcs.active_power: {at: holding 8, as: i16, unit: W, block: fast}
pcs.state: {at: input 1, as: u16, block: fast, values: {4: running, 5: running, 7: off}}
pcs.alarms: {at: input 2, as: bits16, block: fast}
""".replace(" R}", " range: [-2 MW, 2 MW]}")


@pytest.fixture(scope="module")
def pcs(device) -> RegisterMap:
    return compile_map(device(PCS, kind="pcs"))


@pytest.mark.parametrize(
    ("name", "value", "pdu"),
    [
        ("pcs.active_power_setpoint", -1_000_000.0, "10 0000 0002 04 0000 2710"),
        ("pcs.active_power_setpoint", 1_000_040.0, "10 0000 0002 04 ffff d8f0"),
        ("pcs.reactive_power_setpoint", 1000.0, "10 0002 0002 04 0000 3f80"),
        ("pcs.operation", 1, "06 0004 0005"),
        ("pcs.operation", 0, "06 0004 0009"),
        ("pcs.reset_request", 1, "05 0005 ff00"),
        ("pcs.reset_request", 0, "05 0005 0000"),
        ("pcs.controller_heartbeat", 65_534, "06 0006 fffe"),
        ("pcs.controller_heartbeat", 65_535, "06 0006 0000"),
        ("pcs.controller_heartbeat", 65_536, "06 0006 0001"),
        ("pcs.watchdog_timeout_setting", 5.0, "06 0007 0032"),
    ],
)
def test_commands_become_requests(pcs: RegisterMap, name: str, value: float, pdu: str) -> None:
    assert encode_write(pcs.fields[name], value).pdu == bytes.fromhex(pdu)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("pcs.active_power_setpoint", 2_000_001.0, "= 2e+06 is outside of -2e+06 to 2e+06"),
        ("pcs.active_power_setpoint", float("nan"), "= nan is no number"),
        ("pcs.controller_heartbeat", float("inf"), "= inf is no number"),
        ("pcs.operation", 2, "has no command 2"),
        ("pcs.operation", 1.5, "has no command 1.5"),
        ("pcs.reset_request", 2, "has no command 2"),
        ("pcs.watchdog_timeout_setting", -1.0, "does not fit"),
        ("pcs.watchdog_timeout_setting", 6553.5, "reads as 'no value'"),
        ("pcs.active_power", 5.0, "can't be written"),
        ("pcs.state", 3, "can't be written"),
    ],
)
def test_commands_that_can_not_be_written_are_refused(pcs: RegisterMap, name: str, value: float, text: str) -> None:
    with pytest.raises(EncodeError) as raised:
        encode_write(pcs.fields[name], value)
    assert name in str(raised.value)
    assert text in str(raised.value)


def test_a_coil_holds_no_more_than_yes_and_no(device) -> None:
    wrong = device(
        "rack.connect_request: {at: coil 0, as: bool, writable: volatile, values: {2: connect}}", kind="rack_bms"
    )
    with pytest.raises(EncodeError, match="2 in a coil"):
        encode_write(compile_map(wrong).fields["rack.connect_request"], 1)


@given(st.integers(0, 2**40))
def test_counters_go_on_and_never_read_as_no_value(pcs: RegisterMap, count: int) -> None:
    data = encode_write(pcs.fields["pcs.controller_heartbeat"], count).data
    assert int.from_bytes(data) == count % 65_535


@pytest.mark.parametrize(("kind", "modulus"), [("u16", 1 << 16), ("i16", 1 << 15), ("u32", 1 << 32), ("f32", 1 << 24)])
def test_counters_wrap_where_their_type_ends(device, kind: str, modulus: int) -> None:
    points = f"pcs.controller_heartbeat: {{at: holding 0, as: {kind}, writable: volatile}}"
    field = compile_map(device(points, kind="pcs")).fields["pcs.controller_heartbeat"]
    assert encode_write(field, modulus).data == encode_write(field, 0).data
    assert encode_write(field, modulus + 5).data == encode_write(field, 5).data
    assert encode_write(field, modulus - 1).data != encode_write(field, 0).data


def test_counters_pass_over_every_sentinel(device) -> None:
    points = "pcs.controller_heartbeat: {at: holding 0, as: u16, missing: [0, 1, 0xFFFE, 0xFFFF], writable: volatile}"
    field = compile_map(device(points, kind="pcs")).fields["pcs.controller_heartbeat"]
    written = [int.from_bytes(encode_write(field, n).data) for n in (0, 1, 2, 3, 0xFFFD, 0xFFFE)]
    assert written == [2, 2, 2, 3, 0xFFFD, 2]


def test_instances_have_their_own_address(device) -> None:
    bank = device(
        "rack.connect_request: {at: holding 100, as: u16, writable: volatile, values: {1: connect}}",
        "repeat: {rack: {count: 3, stride: 50}}",
    )
    field = compile_map(bank, instances=(0, 2)).fields["rack.connect_request"]
    assert [encode_write(field, 1, position).address for position in (0, 1)] == [100, 200]


def test_sunspec_commands_need_their_scale_factor(library_device) -> None:
    found = compile_map(library_device("sunspec-pcs-7xx"))
    field = found.fields["pcs.active_power_setpoint"]
    assert encode_write(field, -200_000.0, scale_factor=3).data == (-200).to_bytes(4, signed=True)
    for wrong in (None, -32_768, 11):
        with pytest.raises(EncodeError, match=f"the scale factor is {wrong}"):
            encode_write(field, 1000.0, scale_factor=wrong)
    heartbeat = found.fields["pcs.controller_heartbeat"]
    assert int.from_bytes(encode_write(heartbeat, 0xFFFF_FFFF).data) == 0


def test_of_several_raw_codes_the_first_is_served(pcs: RegisterMap) -> None:
    raw = raw_whole(pcs.fields["pcs.state"], np.array([3, 0, 6]))
    assert raw.values.tolist() == [4, 7, 0]
    assert raw.valid.tolist() == [True, True, False]


def test_bits_without_a_list_stay_where_they_are(pcs: RegisterMap) -> None:
    assert raw_whole(pcs.fields["pcs.alarms"], np.array([0x8001])).values.tolist() == [0x8001]
