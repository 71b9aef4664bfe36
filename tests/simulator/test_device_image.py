from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.modbus.errors import ExceptionCode
from controller.modbus.pdu import (
    FunctionCode,
    mask_register,
    parse_request,
    read,
    read_write_registers,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)
from controller.modbus.register_map import is_repeated
from controller.modbus.registers import Decoded
from controller.plant.signals import PcsState, SignalForm
from controller.simulator.device_image import RegionFault
from controller.simulator.device_memory import device_memory, put_identity
from controller.simulator.simulated_field import SimulatedField

HOLDING, INPUT = FunctionCode.READ_HOLDING_REGISTERS, FunctionCode.READ_INPUT_REGISTERS


@pytest.fixture
def devices(demo):
    return SimulatedField(demo)


@pytest.fixture
def field(devices):
    return {d.name: d for d in devices.devices}


def code(answer):
    assert answer[0] & 0x80, f"{answer.hex()} is no exception"
    return ExceptionCode(answer[1])


def registers(answer):
    assert not answer[0] & 0x80, f"exception {answer[1]}"
    return np.frombuffer(answer[2:], ">u2").tolist()


@pytest.mark.parametrize("seed", range(6))
def test_encoding_agrees_with_the_reference_for_all_values(any_plant, seed):
    """Values of every size, missing ones and unknown codes come out as `RegisterImage.put` writes them."""
    devices = SimulatedField(any_plant)
    readings = devices.readings
    readings.flat[:-1] = odd_values(np.random.default_rng(seed), readings.flat.size - 1)
    readings._taken = dict.fromkeys(readings._take, devices.virtual.time_s)
    for image in devices.images:
        reference = device_memory(image.register_map, len(image.devices), any_plant)
        for block, encoder in image.encoders.items():
            encoder.encode()
            for field in image.register_map.block(block):
                if not field.signal.command and not field.is_array:
                    compare(image, reference, field, readings)


def odd_values(rng, size):
    values = rng.choice([0.0, 1.0, 2.0, 3.0, np.nan, 7.0, 63.0, -5.5, 812.3, 4.7e4, -1e7, 1e12], size)
    return np.where(rng.random(size) < 0.5, values, rng.normal(0.0, 1e3, size))


def compare(image, reference, field, readings):
    name = field.signal.name
    whose = [equipment(image, d, field) for d in image.devices]
    sent = readings.flat[np.array([[readings.place(name, e) for e in row] for row in whose])]
    finite = np.isfinite(sent)
    if field.signal.form is not SignalForm.QUANTITY:
        finite &= np.abs(sent) < 2**40
        sent = np.rint(np.where(finite, sent, 0))
    reference.put(name, sent, finite)
    got, expected = image.memory.get(name), reference.get(name)
    possible = np.isin(sent, (0, 1)) if field.is_bits else (sent >= 0) & (sent < 2**27)
    if field.is_bits or field.signal.form is SignalForm.BITS:  # other values make no sense there
        got, expected = (Decoded(d.values[possible], d.valid[possible]) for d in (got, expected))
    np.testing.assert_array_equal(got.valid, expected.valid, err_msg=name)
    step = np.abs(field.scaling.numerator / field.scaling.denominator) if field.factor_addresses is None else 1e3
    difference = np.abs(got.values.astype(float) - expected.values.astype(float))[got.valid]
    assert (difference <= 1.01 * step + 1e-6 * np.abs(expected.values[got.valid])).all(), name


def equipment(image, device, field):
    bound = {(b.owner, b.instance): b.equipment for b in device.bindings}
    numbers = image.register_map.instances if is_repeated(device.type, field.signal) else (0,)
    return [bound.get((field.signal.owner, n), -1) for n in numbers]


def test_a_read_shows_what_is_measured_and_moves_with_it(devices, field):
    rack = field["B02-R01"]
    first = registers(rack.answer(read(INPUT, 16, 2)))
    assert first[0] == pytest.approx(10 * devices.virtual.cells.emf_v[12], abs=10)
    devices.virtual.bms.state.limit_a[0, 12] = 55.5
    assert registers(rack.answer(read(INPUT, 20, 1))) != [555]  # not before the device renews its registers
    devices.virtual.time_s += 1.0
    assert registers(rack.answer(read(INPUT, 20, 1))) == [555]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (read(INPUT, 0, 101), ExceptionCode.ILLEGAL_DATA_VALUE),  # the rack BMS takes 100 at most
        (read(INPUT, 5000, 1), ExceptionCode.ILLEGAL_DATA_ADDRESS),
        (read(FunctionCode.READ_COILS, 0, 1), ExceptionCode.ILLEGAL_DATA_ADDRESS),
        (write_register(16, b"\0\1"), ExceptionCode.ILLEGAL_DATA_ADDRESS),
        (write_register(0, b"\0\x07"), ExceptionCode.ILLEGAL_DATA_VALUE),  # no such request
        (write_coils(0, 1, b"\1"), ExceptionCode.ILLEGAL_DATA_ADDRESS),
        (mask_register(500, 0, 0), ExceptionCode.ILLEGAL_DATA_ADDRESS),
        (read_write_registers(5000, 1, 0, b"\0\1"), ExceptionCode.ILLEGAL_DATA_ADDRESS),
    ],
)
def test_what_a_device_can_not_do_is_refused(field, request_, expected):
    assert code(field["B02-R01"].answer(request_)) is expected


def test_forbidden_registers_and_racks_that_are_not_there_do_not_exist(field):
    bank = field["BANK01"]
    assert code(bank.answer(read(INPUT, 100, 1))) is ExceptionCode.ILLEGAL_DATA_ADDRESS
    assert code(bank.answer(read(INPUT, 1000 + 12 * 800, 1))) is ExceptionCode.ILLEGAL_DATA_ADDRESS
    assert len(registers(bank.answer(read(INPUT, 1000 + 11 * 800, 16)))) == 16


def test_writes_read_back_and_act(devices, field):
    pcs = field["PCS01"]
    virtual = devices.virtual
    virtual.converters[0].state = PcsState.RUNNING
    request = write_registers(0, (250_000).to_bytes(4))
    assert pcs.answer(request) == request.reply_head
    assert registers(pcs.answer(read(HOLDING, 0, 2))) == [3, 0xD090]
    virtual.converters[0].state = PcsState.OFF
    assert pcs.answer(write_register(7, (35).to_bytes(2)))[0] == 6
    assert virtual.converters[0].watchdog_s == 3.5
    answer = pcs.answer(read_write_registers(0, 2, 0, (-1).to_bytes(4, signed=True)))
    assert registers(answer) == [0xFFFF, 0xFFFF]
    assert pcs.answer(mask_register(7, 0xFFF0, 0x000F))[0] == 22
    assert virtual.converters[0].watchdog_s == pytest.approx((35 & 0xFFF0 | 0xF) / 10)


def test_floats_codes_and_coils_are_written_too(odd_demo):
    devices = SimulatedField(odd_demo)
    pcs, converter = next(d for d in devices.devices if d.name == "PCS01"), devices.virtual.converters[0]
    low_word_first = np.array([-250.0], ">f4").view(">u2")[::-1].tobytes()
    assert pcs.answer(write_registers(0, low_word_first))[0] == 16
    assert converter._asked == (250_000.0, 0.0)
    for refused in (np.array([np.nan], ">f4"), np.array([1201.0], ">f4")):
        data = refused.view(">u2")[::-1].tobytes()
        assert code(pcs.answer(write_registers(0, data))) is ExceptionCode.ILLEGAL_DATA_VALUE
    assert code(pcs.answer(write_register(3, b"\0\1"))) is ExceptionCode.ILLEGAL_DATA_VALUE
    assert code(pcs.answer(write_register(4, b"\0\1"))) is ExceptionCode.ILLEGAL_DATA_ADDRESS
    assert converter._asked == (250_000.0, 0.0)
    converter.trip(1)
    assert pcs.answer(write_coil(5, on=True))[0] == 5
    assert converter.state == PcsState.OFF
    assert pcs.answer(read(FunctionCode.READ_COILS, 5, 1))[2:] == b"\1"
    assert code(pcs.answer(write_coils(4, 2, b"\3"))) is ExceptionCode.ILLEGAL_DATA_ADDRESS


def test_a_converter_without_a_heartbeat_register_hears_any_write(odd_demo):
    devices = SimulatedField(odd_demo)
    pcs, converter = next(d for d in devices.devices if d.name == "PCS01"), devices.virtual.converters[0]
    converter.state = PcsState.RUNNING
    pcs.answer(write_registers(0, np.array([100.0], ">f4").view(">u2")[::-1].tobytes()))
    converter._watch(6.0)
    assert converter._asked == (0.0, 0.0)


def test_a_refusing_converter_changes_nothing(devices, field):
    devices.virtual.converters[0].faults.refuses = True
    pcs = field["PCS01"]
    assert code(pcs.answer(write_registers(0, (1000).to_bytes(4)))) is ExceptionCode.SERVER_DEVICE_FAILURE
    assert registers(pcs.answer(read(HOLDING, 0, 2))) == [0, 0]


def test_a_sentinel_as_a_set_point_is_refused(sunspec_demo):
    pcs = next(d for d in SimulatedField(sunspec_demo).devices if d.name == "PCS01")
    field = pcs.image.register_map.fields["pcs.active_power_setpoint"]
    address = int(field.addresses[0, 0])
    assert code(pcs.answer(write_registers(address, b"\x80\0\0\0"))) is ExceptionCode.ILLEGAL_DATA_VALUE
    assert pcs.answer(write_registers(address, b"\0\0\1\0"))[0] == 16


def test_registers_that_are_only_set_up_are_taken(sunspec_demo):
    pcs = next(d for d in SimulatedField(sunspec_demo).devices if d.name == "PCS01")
    chain = {m.model: m.address for m in pcs.image.register_map.chain}
    image = pcs.image
    setting = next(iter(sorted(image.commands._settings)))
    base = chain[1] - 2
    assert pcs.answer(write_register(base + setting, b"\0\1"))[0] == 6


def test_region_faults_act_on_one_rack_of_a_bank_only(devices, field):
    bank = field["BANK01"]
    mine, other = read(INPUT, 1000 + 2 * 800, 16), read(INPUT, 1000 + 3 * 800, 16)
    healthy, neighbour = registers(bank.answer(mine)), registers(bank.answer(other))
    image = bank.image
    for fault, amount in ((RegionFault.SHIFT, 1), (RegionFault.SWAP_WORDS, 0)):
        region = image.region(fault, bank.row, 2, amount)
        image.regions[bank.row] = [region]
        disturbed = registers(bank.answer(mine))
        if fault is RegionFault.SHIFT:
            assert disturbed[1:16] == healthy[0:15]
        else:
            assert disturbed[12:14] == healthy[12:14][::-1]
            assert disturbed[:12] == healthy[:12]
        assert registers(bank.answer(other)) == neighbour
        image.drop_region(bank.row, region)
    assert registers(bank.answer(mine)) == healthy
    assert not image.regions


def test_a_frozen_device_keeps_its_values_but_not_its_heartbeat(devices, field):
    rack = field["B02-R01"]
    image = rack.image
    image.regions[rack.row] = [image.region(RegionFault.FREEZE, rack.row, None)]
    before = registers(rack.answer(read(INPUT, 16, 16)))
    devices.virtual.cells.set_soc(12, 0.2)
    devices.virtual.step(5.0)
    after = registers(rack.answer(read(INPUT, 16, 16)))
    assert after[14] == before[14] + 5
    assert after[:14] == before[:14]


def test_an_identity_can_be_another(field):
    rack = field["B02-R01"]
    answer = rack.answer(read(INPUT, 0, 4))
    assert answer[2:].rstrip(b"\0") == b"GRACK-1"
    put_identity(rack.image.memory, rack.row, "OTHER")
    assert rack.answer(read(INPUT, 0, 4))[2:].rstrip(b"\0") == b"OTHER"


@given(st.binary(max_size=60))
def test_no_request_breaks_a_device(any_device, pdu):
    request = parse_request(pdu)
    if not isinstance(request, ExceptionCode):
        answer = any_device.answer(request)
        assert answer[0] & 0x7F == request.function


@pytest.fixture(scope="module", params=["BANK01", "B02-R01", "PCS01", "GRID", "IO01"])
def any_device(request, demo):
    return next(d for d in SimulatedField(demo).devices if d.name == request.param)
