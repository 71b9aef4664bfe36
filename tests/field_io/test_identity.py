"""SunSpec devices over real sockets: models found where they are, swapped devices refused, set-up and scale factors."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from controller.field_io.identity import CONFIRM_EACH_NS, WrongDeviceError, shifts_of
from controller.image.outputs import WriteState
from controller.modbus.errors import ExceptionCode
from controller.modbus.pdu import READS, Request, exception_reply, read, reply, write_words
from controller.modbus.raw_blocks import RowState
from controller.modbus.row_decoder import RowDecoder
from controller.modbus.sunspec_chain import ModelPlace
from controller.plant.signals import Owner
from controller.simulator.device_memory import put_identity
from controller.simulator.link_faults import Disturbance, LinkFault
from controller.simulator.simulated_field import SimulatedDevice, SimulatedField
from tests.field_io.rig import Rig, library_type, make_plant, running


@dataclass
class Elsewhere:
    """A simulated device whose chain of models begins `by` registers further on."""

    device: SimulatedDevice
    by: int = 0
    asked: list[Request] = field(default_factory=list)
    disturbed: list[Disturbance] = field(default_factory=list)

    def disturbances(self, request: Request) -> list[Disturbance]:  # noqa: ARG002 - the server's protocol
        return self.disturbed

    def answer(self, request: Request) -> bytes:
        self.asked.append(request)
        address = request.address - self.by
        if address < 0:
            return exception_reply(request.function, ExceptionCode.ILLEGAL_DATA_ADDRESS)
        if request.function in READS:
            return self.device.answer(read(request.function, address, request.count))
        answered = self.device.answer(write_words(address, request.data))
        return answered if answered[0] & 0x80 else reply(request)

    def written_at(self, address: int) -> list[bytes]:
        return [r.data for r in self.asked if r.function not in READS and r.address == address + self.by]


@pytest.fixture
def converter(demo_plant):
    """Return a rig with one simulated SunSpec converter."""
    plant = make_plant(demo_plant, [(library_type("sunspec-pcs-7xx"), 0, Owner.PCS)])
    simulated = SimulatedField(replace(plant, links=(replace(plant.links[0], timeout_s=0.5),)))
    return Rig(plant, {0: {1: Elsewhere(simulated.devices[0])}})


def _device(rig: Rig) -> Elsewhere:
    found = rig.units[0][1]
    assert isinstance(found, Elsewhere)
    return found


@contextlib.asynccontextmanager
async def _polled(rig: Rig) -> AsyncIterator[Rig]:
    async with running(rig):
        await rig.until(lambda: rig.state(0) is not RowState.NEVER)
        yield rig


def _decoded(rig: Rig, signal: str, block: str = "fast") -> float:
    group = next(g for g in rig.groups if g.raw.block == block)
    found = RowDecoder(group.register_map, block, group.raw.spans).decode(group.raw.data)[signal]
    assert found.valid.all()
    return float(found.values[0, 0])


@pytest.mark.parametrize("base", [40_000, 50_000])
async def test_models_are_found_where_they_are(converter, base):
    _device(converter).by = base - 40_000
    async with _polled(converter) as rig:
        assert rig.state(0) is RowState.GOOD
        assert 59 < _decoded(rig, "pcs.frequency") < 61
        assert rig.field.links[0].wrong_identity == {}


@pytest.mark.parametrize("base", [40_000, 50_000])
async def test_set_points_are_scaled_by_the_devices_own_factor_and_written_where_it_has_them(converter, base):
    device = _device(converter)
    device.by = base - 40_000
    fields = converter.groups[0].register_map.fields
    setpoint = fields["pcs.active_power_setpoint"]
    assert setpoint.factor_addresses is not None
    factor = device.device.image.scale_factor(setpoint, 0)
    assert factor is not None
    async with _polled(converter) as rig:
        requests = rig.outputs["pcs.active_power_setpoint"]
        requests.ask(0, 300_000.0)

        assert await rig.written(requests, 0) == WriteState.CONFIRMED, rig.field.links[0].last_error
        assert device.written_at(int(setpoint.addresses[0, 0])) == [round(300_000 / 10**factor).to_bytes(4)]


async def test_what_the_file_sets_up_is_set_up_before_the_first_command_and_only_where_it_differs(converter):
    async with _polled(converter) as rig:
        device, requests = _device(rig), rig.outputs["pcs.operation"]
        assert [r for r in device.asked if r.function not in READS] == []
        requests.ask(0, 1)
        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        first = [(r.address, r.data) for r in device.asked if r.function not in READS]
        assert len(first) > 1
        assert first[-1][0] == int(rig.groups[0].register_map.fields["pcs.operation"].addresses[0, 0])

        rig.servers.drop(0)
        await rig.until(lambda: rig.field.links[0].connects == 2)
        requests.repeat(0, 0)
        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        assert [(r.address, r.data) for r in device.asked if r.function not in READS][len(first) :] == [
            (first[-1][0], b"\x00\x00")
        ]


async def test_a_device_that_can_not_be_set_up_gets_no_command(converter, monkeypatch):
    device = _device(converter)
    usual = device.answer

    def answer(request: Request) -> bytes:
        answered = usual(request)
        return answered if request.function in READS else exception_reply(request.function, ExceptionCode(3))

    monkeypatch.setattr(device, "answer", answer)
    async with _polled(converter) as rig:
        requests = rig.outputs["pcs.operation"]
        requests.ask(0, 1)

        assert await rig.written(requests, 0) == WriteState.FAILED
        assert "set-up of register" in rig.field.links[0].last_error
        operation = int(rig.groups[0].register_map.fields["pcs.operation"].addresses[0, 0])
        assert device.written_at(operation) == []
        assert rig.state(0) is RowState.GOOD  # it is read all the same


async def test_a_device_of_another_serial_number_is_refused_until_the_first_is_back(converter):
    async with _polled(converter) as rig:
        image, row = _device(rig).device.image, _device(rig).device.row
        put_identity(image.memory, row, "ANOTHER")
        rig.servers.drop(0)
        await rig.until(lambda: rig.state(0) is RowState.FAILED)
        assert "'ANOTHER', it was 'SIMULATED'" in rig.field.links[0].wrong_identity[0]
        requests = rig.outputs["pcs.operation"]
        requests.ask(0, 1)
        assert await rig.written(requests, 0) == WriteState.FAILED
        assert [r for r in _device(rig).asked if r.function not in READS] == []

        put_identity(image.memory, row, "SIMULATED")
        rig.servers.drop(0)
        await rig.until(lambda: rig.field.links[0].connects == 3)
        requests.repeat(0, 1)
        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        assert rig.field.links[0].wrong_identity == {}


async def test_models_that_have_moved_since_are_found_again(converter):
    async with _polled(converter) as rig:
        _device(rig).by = 10_000
        rig.servers.drop(0)
        await rig.until(lambda: rig.field.links[0].connects == 2 and rig.field.links[0].connected)
        await rig.more_polls(0, 2)

        assert rig.state(0) is RowState.GOOD
        assert 59 < _decoded(rig, "pcs.frequency") < 61


async def test_without_its_scale_factor_nothing_is_written(converter, monkeypatch):
    device = _device(converter)
    usual = device.answer
    setpoint = converter.groups[0].register_map.fields["pcs.active_power_setpoint"]
    assert setpoint.factor_addresses is not None
    factor = int(setpoint.factor_addresses[0, 0])

    def answer(request: Request) -> bytes:
        if (request.address, request.count) == (factor, 1):
            return exception_reply(request.function, ExceptionCode(4))
        return usual(request)

    monkeypatch.setattr(device, "answer", answer)
    async with _polled(converter) as rig:
        requests = rig.outputs["pcs.active_power_setpoint"]
        for _ in range(2):
            requests.repeat(0, 1000.0)
            assert await rig.written(requests, 0) == WriteState.FAILED
            assert "scale factor" in rig.field.links[0].last_error
        assert device.written_at(int(setpoint.addresses[0, 0])) == []


async def test_a_known_device_is_recognised_by_one_read(converter):
    async with _polled(converter) as rig:
        device = _device(rig)
        assert (40_000, 2) in [(r.address, r.count) for r in device.asked]  # the walk along the chain
        asked = len(device.asked)
        rig.servers.drop(0)
        await rig.until(lambda: rig.field.links[0].connects == 2 and rig.field.links[0].connected)
        await rig.more_polls(0, 1)

        assert [(r.address, r.count) for r in device.asked[asked:] if r.address < 40_070] == [(40_000, 70)]


async def test_a_device_that_is_no_sunspec_device_is_wrong(converter):
    _device(converter).by = 1
    async with _polled(converter) as rig:
        assert rig.state(0) is RowState.FAILED
        assert "no 'SunS'" in rig.field.links[0].wrong_identity[0]


async def test_a_device_that_is_exchanged_while_the_connection_stands_is_found(converter):
    async with _polled(converter) as rig:
        unit = rig.field.links[0].units[0]
        assert unit.confirm_ns > rig.clock.mono_ns() + CONFIRM_EACH_NS // 2
        simulated = _device(rig).device
        put_identity(simulated.image.memory, simulated.row, "ANOTHER")
        await rig.more_polls(0, 3)
        assert rig.state(0) is RowState.GOOD, "it is not asked with each poll"
        unit.confirm_ns = 0  # the minute is over
        await rig.until(lambda: rig.state(0) is RowState.FAILED)
        assert "ANOTHER" in rig.field.links[0].wrong_identity[0]
        assert rig.field.links[0].connects == 1


async def test_one_that_is_known_and_busy_when_asked_again_stays_known(converter):
    async with _polled(converter) as rig:
        unit = rig.field.links[0].units[0]
        _device(rig).disturbed = [Disturbance(LinkFault.EXCEPTION, 6)]
        unit.confirm_ns = 0
        await rig.until(lambda: unit.confirm_ns > 0)
        _device(rig).disturbed = []
        assert unit.identified
        await rig.until(lambda: rig.state(0) is RowState.GOOD)
        assert rig.field.links[0].wrong_identity == {}


async def test_a_device_that_is_busy_is_asked_again_and_not_called_wrong(converter):
    _device(converter).disturbed = [Disturbance(LinkFault.EXCEPTION, 6)]
    async with _polled(converter) as rig:
        assert rig.state(0) is RowState.FAILED
        assert rig.field.links[0].wrong_identity == {}
        _device(rig).disturbed = []
        await rig.until(lambda: rig.state(0) is RowState.GOOD)


# ------------------------------------------------------------------------------------------------ models, by themselves

EXPECTED = (ModelPlace(1, 40_002, 66), ModelPlace(701, 40_070, 153), ModelPlace(714, 40_225, 43))


def test_models_that_stand_where_they_should_are_not_moved():
    assert shifts_of(EXPECTED, (*EXPECTED, ModelPlace(715, 40_270, 7))) == ()


def test_models_between_others_are_found():
    found = (EXPECTED[0], ModelPlace(702, 40_070, 50), ModelPlace(701, 40_122, 153), ModelPlace(714, 40_277, 43))

    assert [shift.by for shift in shifts_of(EXPECTED, found)] == [0, 52, 52]


def test_a_model_with_more_copies_of_its_group_is_taken():
    one, two = 18 + 25, 18 + 2 * 25
    found = (*EXPECTED[:2], ModelPlace(714, 40_225, two), ModelPlace(715, 40_290, 7))

    assert EXPECTED[2].length == one
    assert shifts_of(EXPECTED, found) == ()


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (EXPECTED[:2], "lacks 714"),
        ((*EXPECTED[:2], ModelPlace(714, 40_225, 18)), "length 18"),
        ((EXPECTED[0], ModelPlace(701, 40_070, 150), EXPECTED[2]), "length 150"),
    ],
)
def test_a_model_that_lacks_or_is_laid_out_in_another_way_is_refused(found, reason):
    with pytest.raises(WrongDeviceError, match=reason):
        shifts_of(EXPECTED, found)
