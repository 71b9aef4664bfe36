"""A device is used only if it says that it is the device, and holds what its file sets up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.modbus.device_setup import identity_check, setup_checks
from controller.modbus.errors import DeviceMapError
from controller.modbus.register_map import compile_map
from controller.modbus.sunspec_chain import chain_of

POINT = "rack.voltage: {at: input 0, as: u16, unit: V, block: fast}"


def test_a_text_identifies(library_device) -> None:
    check = identity_check(library_device("generic-pcs"))
    assert check is not None
    assert check.request.pdu.hex() == "0400000004"
    assert check.matches(b"GPCS-1\0\0")
    assert check.matches(b"GPCS-1  ")
    assert not check.matches(b"GPCS-2\0\0")
    assert check.found(b"GRACK-1\0") == "GRACK-1"


@pytest.mark.parametrize("equals", ["513", "0x201"])
def test_a_number_identifies(device, equals: str) -> None:
    check = identity_check(device(POINT, f'identify: {{at: holding 3, as: u16, equals: "{equals}"}}', "rack_bms"))
    assert check is not None
    assert check.request.pdu.hex() == "0300030001"
    assert check.matches(b"\x02\x01")
    assert not check.matches(b"\x01\x02")
    assert check.found(b"\x01\x02") == "258"


def test_a_device_without_identity_is_not_asked(library_device) -> None:
    assert identity_check(library_device("sunspec-rack")) is None


@pytest.mark.parametrize(("kind", "equals"), [("u16", "R280"), ("u16", "70000"), ("string2", "R280-A")])
def test_an_identity_that_can_not_be_read_is_refused(device, kind: str, equals: str) -> None:
    wrong = device(POINT, f'identify: {{at: holding 3, as: {kind}, equals: "{equals}"}}', "rack_bms")
    with pytest.raises(DeviceMapError, match=f"test-device, identity '{equals}'"):
        identity_check(wrong)


def test_a_register_is_set_up_by_its_raw_value(device) -> None:
    rack = device(POINT, "setup: [{at: holding 9, as: u16, value: 3}]", "rack_bms")
    (check,) = setup_checks(compile_map(rack))
    assert check.read.pdu.hex() == "0300090001"
    assert check.write.pdu.hex() == "0600090003"


def test_sunspec_points_are_set_up_where_the_chain_has_them(library_device) -> None:
    pcs = library_device("sunspec-pcs-7xx")
    found = compile_map(pcs)
    checks = setup_checks(found)
    place = next(p for p in found.chain if p.model == 704)
    assert len(checks) == len(pcs.setup)
    assert all(place.address < check.read.address < place.end for check in checks)
    assert [check.write.function for check in checks] == [6, 16, 6, 6, 6, 6]
    assert all(check.read.reply_size == 2 + len(check.write.data) for check in checks)


def test_what_can_not_be_set_up_is_refused(device, library_device) -> None:
    for place in ("coil 9, as: bool", "input 9, as: u16", "holding 9, as: u32"):
        rack = device(POINT, f"setup: [{{at: {place}, value: 1}}]", "rack_bms")
        with pytest.raises(DeviceMapError, match="only single holding registers"):
            setup_checks(compile_map(rack))
    pcs = replace(library_device("sunspec-pcs-7xx"), points=())
    with pytest.raises(DeviceMapError, match=r"serves no 704\.WSetMod"):
        setup_checks(compile_map(pcs, chain_of([(1, {})])))
