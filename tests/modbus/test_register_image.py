"""A simulated device serves what its file says, and nothing else exists."""

from __future__ import annotations

import numpy as np
import pytest

from controller.modbus.errors import DeviceMapError, EncodeError
from controller.modbus.register_image import RegisterImage
from controller.modbus.register_map import compile_map, expected_models
from controller.modbus.sunspec_image import SunSpecImage

POINTS = """
rack.voltage: {at: input 10, as: u16, unit: V, block: fast, missing: 0xFFFF}
rack.current: {at: input 13, as: u16, unit: A, block: fast}
rack.connect_request: {at: holding 4, as: u16, writable: volatile, values: {0: none, 1: connect, 2: disconnect}}
rack.controller_heartbeat: {at: holding 5, as: u32, words: low_first, writable: volatile}
rack.reset_request: {at: coil 3, as: bool, writable: volatile, values: {0: none, 1: reset}}
cell.balancing: {at: discrete 9, count: 11, as: bool, block: fast}
"""
MORE = 'identify: {at: holding 0, as: string2, equals: "RACK"}\nsetup: [{at: holding 9, as: u16, value: 1}]'


@pytest.fixture
def image(device) -> RegisterImage:
    return RegisterImage(compile_map(device(POINTS, MORE, "rack_bms")), 2)


def test_only_declared_registers_exist(image: RegisterImage) -> None:
    assert image.read(0, 4, 10, 1) == b"\0\0"
    assert image.read(0, 4, 13, 1) == b"\0\0"
    for function, address, count in ((4, 9, 2), (4, 10, 2), (4, 14, 1), (3, 10, 1), (2, 8, 2), (2, 9, 12), (1, 9, 1)):
        assert image.read(0, function, address, count) is None


def test_gaps_that_may_be_read_are_served(device) -> None:
    image = RegisterImage(compile_map(device(POINTS, "max_gap: 2", "rack_bms")), 1)
    assert image.read(0, 4, 10, 4) == bytes(8)


def test_signals_are_written_per_device(image: RegisterImage) -> None:
    image.put("rack.voltage", np.array([[7.0], [np.nan]]))
    assert [image.read(d, 4, 10, 1) for d in (0, 1)] == [b"\0\7", b"\xff\xff"]
    image.put("rack.current", np.array([[7.0], [9e9]]), np.array([[False], [True]]))
    assert [image.read(d, 4, 13, 1) for d in (0, 1)] == [b"\xff\xff", b"\xff\xff"]
    bits = np.arange(22).reshape(2, 1, 11) % 3 == 0
    image.put("cell.balancing", bits)
    assert image.read(1, 2, 9, 11) == np.packbits(bits[1, 0], bitorder="little").tobytes()
    assert image.read(1, 2, 10, 3) == np.packbits(bits[1, 0, 1:4], bitorder="little").tobytes()


def test_the_identity_is_there_from_the_start(image: RegisterImage) -> None:
    assert image.read(0, 3, 0, 2) == b"RACK"
    assert image.read(1, 3, 9, 1) == b"\0\0"


def test_what_a_controller_writes_is_read_as_signals(image: RegisterImage) -> None:
    assert image.get("rack.connect_request").values.tolist() == [[0], [0]]
    assert image.write_registers(1, 4, b"\0\2\0\5\0\1")
    assert image.get("rack.connect_request").values.tolist() == [[0], [2]]
    assert image.get("rack.controller_heartbeat").values.tolist() == [[0], [0x10005]]
    assert image.write_coils(0, 3, 1, b"\1")
    assert image.get("rack.reset_request").values.tolist() == [[1], [0]]


def test_writes_outside_change_nothing(image: RegisterImage) -> None:
    assert not image.write_registers(0, 6, bytes(4))
    assert not image.write_registers(0, 10, b"\0\1")
    assert not image.write_coils(0, 2, 2, b"\3")
    assert not image.words[0, 2:].any() or image.read(0, 3, 0, 2) == b"RACK"
    assert not image.bits.any()


def test_a_sunspec_device_serves_its_whole_chain(library_device) -> None:
    pcs = library_device("sunspec-pcs-7xx")
    sunspec = SunSpecImage(expected_models(pcs))
    sunspec.put_text(1, "Mn", "Maker")
    image = RegisterImage(compile_map(pcs, sunspec.chain), 1, sunspec)
    assert image.read(0, 3, 40_000, 100) == sunspec.read(40_000, 100)
    assert image.read(0, 3, sunspec.chain[-1].end, 2) == b"\xff\xff\0\0"
    with pytest.raises(EncodeError, match=r"pcs\.active_power has no scale factor yet"):
        image.put("pcs.active_power", np.array([[1.0]]))


def test_the_images_chain_must_be_the_maps(device, library_device) -> None:
    pcs = library_device("sunspec-pcs-7xx")
    with pytest.raises(DeviceMapError, match="chain of models is not the map's"):
        RegisterImage(compile_map(pcs), 1)
    with pytest.raises(DeviceMapError, match="chain of models is not the map's"):
        RegisterImage(compile_map(device(POINTS, kind="rack_bms")), 1, SunSpecImage([(1, {})]))


def test_there_is_no_such_signal(image: RegisterImage) -> None:
    with pytest.raises(KeyError):
        image.put("rack.soc", np.zeros((2, 1)))
