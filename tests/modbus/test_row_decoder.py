"""What simulated devices serve is what the driver's reads decode: every signal, every library device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from controller.modbus.raw_blocks import RawGroup, ReadSpan
from controller.modbus.read_plan import plan_reads
from controller.modbus.register_image import RegisterImage
from controller.modbus.register_map import RegisterMap, WireField, compile_map, expected_models
from controller.modbus.registers import Decoded
from controller.modbus.row_decoder import RowDecoder
from controller.modbus.sunspec_image import SunSpecImage
from controller.plant.device_types import DeviceType
from controller.plant.signals import SignalForm

FACTORS = {"V_SF": -1, "CellV_SF": -3, "W_SF": 2, "A_SF": -1, "Tmp_SF": -1, "Hz_SF": -2, "SoC_SF": -2}


def _image(device_type: DeviceType, devices: int, instances: tuple[int, ...] | None = None) -> RegisterImage:
    if not device_type.sunspec_models:
        return RegisterImage(compile_map(device_type, instances=instances), devices)
    sunspec = SunSpecImage(expected_models(device_type, instances))
    for field in sunspec.fields:
        if field.field.point.kind.name == "sunssf":
            sunspec.put(field.model, field.field.path, FACTORS.get(field.field.path, -1), field.occurrence)
    return RegisterImage(compile_map(device_type, sunspec.chain, instances), devices, sunspec)


def _polled(image: RegisterImage, block: str) -> dict[str, Decoded]:
    """Read a polling class of every device span by span, as the driver does."""
    spans = plan_reads(image.map, block)
    group = RawGroup(image.map.device_type, block, spans, tuple(range(len(image.words))))
    for device in range(len(image.words)):
        parts = [image.read(device, s.function, s.address, s.count) for s in spans]
        group.store(device, b"".join(p for p in parts if p is not None), 1)
    return RowDecoder(image.map, block, spans).decode(group.data)


def _values(field: WireField, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
    match field.signal.form:
        case SignalForm.QUANTITY:
            raw = random.integers(10, 30, shape)
            values = field.scaling.value(raw) * (0.1 if field.factor_addresses is not None else 1.0)
            low = -np.inf if field.point.valid_min is None else field.point.valid_min
            high = np.inf if field.point.valid_max is None else field.point.valid_max
            return np.where((values < low) | (values > high), (low + high) / 2, values)
        case SignalForm.CODE | SignalForm.BOOL:
            return random.choice(sorted({c for _, c in field.point.codes} or {0, 1}), shape)
        case SignalForm.BITS:
            usable = sum(1 << c for _, c in field.point.codes) or 0xFFFF
            return random.integers(0, 1 << 31, shape) & usable
        case _:
            return random.integers(0, 60_000, shape)


@pytest.mark.parametrize("devices", [1, 3])
def test_every_signal_of_every_library_device_comes_back(library_device, library_name: str, devices: int) -> None:
    device_type, random = library_device(library_name), np.random.default_rng(7)
    instances = (0, 2, 5) if device_type.repeat else None
    image = _image(device_type, devices, instances)
    for block in device_type.poll_blocks:
        written = {f.signal.name: _values(f, f.shape(devices), random) for f in image.map.block(block.name)}
        for name, values in written.items():
            image.put(name, values)
        for name, (values, valid) in _polled(image, block.name).items():
            field = image.map.fields[name]
            assert values.shape == field.shape(devices)
            assert valid.shape == values.shape
            assert valid.all(), name
            step = 0.0 if field.signal.form is not SignalForm.QUANTITY else _step(field, values)
            assert np.abs(values - written[name]).max() <= step, name
            assert np.array_equal(image.get(name).values, values)


def _step(field: WireField, values: NDArray[Any]) -> float:
    """Return half of what one raw step means, with room for single precision."""
    coarsest = 0.5 * abs(float(np.diff(field.scaling.value(np.array([0, 1])))[0]))
    return coarsest * (100.0 if field.factor_addresses is not None else 1.0) + 1e-6 * float(np.abs(values).max())


def test_cells_are_single_precision_and_the_rest_is_not(library_device) -> None:
    found = _polled(_image(library_device("generic-rack-bms"), 1), "slow")
    assert found["cell.voltage"].values.dtype == np.float32
    fast = _polled(_image(library_device("generic-rack-bms"), 1), "fast")
    assert fast["rack.soc"].values.dtype == np.float64
    assert fast["rack.alarms"].values.dtype == np.int64


def test_invalid_values_stay_invalid_all_the_way(library_device, library_name: str) -> None:
    device_type = library_device(library_name)
    image = _image(device_type, 2, (0,) if device_type.repeat else None)
    for block in device_type.poll_blocks:
        fields = [f for f in image.map.block(block.name) if f.signal.form is SignalForm.QUANTITY and f.patterns]
        for field in fields:
            values = np.ones(field.shape(2))
            image.put(field.signal.name, values, np.zeros(values.shape, np.bool_))
        found = _polled(image, block.name)
        for field in fields:
            assert not found[field.signal.name].valid.any()
            assert np.isnan(found[field.signal.name].values).all()


# ----------------------------------------------------------------------------------------------- single rules by hand


def _decoded(device_type: DeviceType, *rows: str, block: str = "fast") -> dict[str, Decoded]:
    found: RegisterMap = compile_map(device_type)
    spans = plan_reads(found, block)
    data = np.array([list(bytes.fromhex(row)) for row in rows], np.uint8)
    return RowDecoder(found, block, spans).decode(data)


def test_word_order_scale_sign_and_unit(device) -> None:
    rack = device(
        """
        rack.voltage: {at: input 0, as: u32, unit: mV, words: low_first, block: fast}
        rack.current: {at: input 2, as: i16, unit: A, scale: 0.1, sign: charge_positive, block: fast}
        rack.cell_temperature_max: {at: input 3, as: u16, unit: degC, scale: 0.1, offset: -40, block: fast}
        """,
        kind="rack_bms",
    )
    found = _decoded(rack, "e240 0001 ff38 0291", "0000 0000 0064 0000")
    assert found["rack.voltage"].values.tolist() == [[123.456], [0.0]]
    assert found["rack.current"].values.tolist() == [[20.0], [-10.0]]
    assert found["rack.cell_temperature_max"].values.tolist() == [[25.7], [-40.0]]


def test_values_outside_of_their_possible_range_are_invalid(device) -> None:
    rack = device(
        """
        rack.voltage: {at: input 0, as: u16, unit: V, block: fast, range: [10 V, 20 V]}
        rack.soc: {at: input 1, as: u16, unit: "%", block: fast}
        """,
        kind="rack_bms",
    )
    found = _decoded(rack, "0009 0064", "000a 0000", "0014 ffff", "0015 0001")
    assert found["rack.voltage"].valid[:, 0].tolist() == [False, True, True, False]
    assert np.isnan(found["rack.voltage"].values[0, 0])
    assert found["rack.soc"].valid.all()
    assert found["rack.soc"].values[0, 0] == 1.0


def test_codes_that_the_file_does_not_list_are_invalid(device) -> None:
    rack = device(
        """
        rack.contactor: {at: input 0, as: u16, block: fast, values: {1: open, 7: closed}}
        rack.tripped: {at: input 1, as: u16, block: fast}
        rack.alarms: {at: input 2, as: u16, block: fast, values: {15: communication_error, 0: open_door, 1: open_door}}
        rack.heartbeat: {at: input 3, as: u16, block: fast}
        """,
        kind="rack_bms",
    )
    found = _decoded(rack, "0007 0001 8000 ffff", "0001 0000 0003 0001", "0000 0002 7ffc 0000", "ffff ffff 0001 0000")
    assert found["rack.contactor"].values[:, 0].tolist() == [3, 1, 0, 0]
    assert found["rack.contactor"].valid[:, 0].tolist() == [True, True, False, False]
    assert found["rack.tripped"].values[:, 0].tolist() == [1, 0, 0, 0]
    assert found["rack.tripped"].valid[:, 0].tolist() == [True, True, False, False]
    assert found["rack.alarms"].values[:, 0].tolist() == [1, 1 << 23, 0, 1 << 23]
    assert found["rack.heartbeat"].values[:, 0].tolist() == [0xFFFF, 1, 0, 0]


def test_bits_may_be_inverted(device) -> None:
    modules = device(
        "interlock.healthy: {at: discrete 3, as: bool, block: fast, values: {0: yes, 1: no}}",
        "repeat: {interlock: {count: 12, stride: 1}}",
        "digital_io",
    )
    found = _decoded(modules, "01 08", "ff 0f")["interlock.healthy"]
    assert found.values.tolist() == [[0, *[1] * 10, 0], [0] * 12]
    assert found.valid.all()


def test_elements_may_stand_apart(device) -> None:
    rack = device(
        "cell.voltage: {at: input 0, count: 3, stride: 2, as: u16, unit: mV, block: fast}", "max_gap: 1", "rack_bms"
    )
    found = _decoded(rack, "0001 ffff 0002 ffff 0003")["cell.voltage"].values
    assert found.tolist() == [[[np.float32(0.001), np.float32(0.002), np.float32(0.003)]]]


@given(st.lists(st.one_of(st.integers(-12, 12), st.just(-32_768)), min_size=1, max_size=5))
def test_scale_factors_are_each_devices_own(library_device, factors: list[int]) -> None:
    meter = library_device("sunspec-meter-3ph")
    image = _image(meter, len(factors))
    image.put("meter.active_power", np.full((len(factors), 1), 200.0))
    field = image.map.fields["meter.active_power"]
    assert field.factor_addresses is not None
    offset = int(field.factor_addresses[0, 0]) - 40_000
    image.words[:, offset] = np.array(factors, ">i2").view(">u2")
    values, valid = _polled(image, "fast")["meter.active_power"]
    assert valid[:, 0].tolist() == [abs(f) <= 10 for f in factors]
    assert np.allclose(values[valid], [2.0 * 10.0**f for f in factors if abs(f) <= 10])
    assert np.isnan(values[~valid]).all()


def test_a_block_of_bits_alone_is_decoded(library_device) -> None:
    rack = library_device("generic-rack-bms")
    image = _image(rack, 2)
    wanted = np.random.default_rng(1).integers(0, 2, image.map.fields["cell.balancing"].shape(2))
    image.put("cell.balancing", wanted)
    assert np.array_equal(_polled(image, "rare")["cell.balancing"].values, wanted)


def test_rows_in_any_order_of_spans_are_the_same(device) -> None:
    rack = device("rack.voltage: {at: input 5, as: u16, unit: V, block: fast}", kind="rack_bms")
    wide = (ReadSpan(4, 3, 4, 2), ReadSpan(4, 100, 1, 0))
    data = np.array([[9, 9, 0, 0, 0, 0, 0, 7, 0, 0]], np.uint8)
    assert RowDecoder(compile_map(rack), "fast", wide).decode(data)["rack.voltage"].values.tolist() == [[7.0]]


def test_no_rows_decode_to_no_rows(library_device, library_name: str) -> None:
    device_type = library_device(library_name)
    for block in device_type.poll_blocks:
        for name, (values, valid) in _polled(_image(device_type, 0), block.name).items():
            assert values.shape[0] == valid.shape[0] == 0, name


def test_cells_too_large_for_single_precision_are_no_numbers(device) -> None:
    rack = device("cell.voltage: {at: input 0, count: 2, as: f64, unit: kV, block: fast}", kind="rack_bms")
    found = _decoded(rack, "7f00000000000000 3f50624dd2f1a9fc")["cell.voltage"]
    assert found.valid.tolist() == [[[False, True]]]
    assert found.values[0, 0, 1] == np.float32(1.0)
    assert np.isnan(found.values[0, 0, 0])


@given(st.binary(min_size=200, max_size=200))
def test_any_bytes_decode_without_a_fault(library_device, data: bytes) -> None:
    for name in ("generic-meter", "generic-pcs", "generic-rack-bms"):
        device_type = library_device(name)
        block = device_type.poll_blocks[0].name
        found = compile_map(device_type)
        spans = plan_reads(found, block)
        width = sum(s.size_bytes for s in spans)
        for values, valid in (
            RowDecoder(found, block, spans).decode(np.frombuffer(data, np.uint8)[None, :width]).values()
        ):
            assert np.isfinite(values[valid]).all()
            assert not np.isfinite(values[~valid]).any() or values.dtype == np.int64
