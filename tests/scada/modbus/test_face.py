"""The whole face against clients that others wrote: libmodbus (mbpoll), pymodbus, modbus-serial, SunSpec's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sunspec2.modbus.client
from pymodbus.client import AsyncModbusTcpClient

from controller.control.commands import Action, Refusal
from controller.image.image import Image
from controller.image.quality import Quality
from controller.link.linked_plant import SiteChangedError
from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.plant.site_loader import load_site_or_raise
from controller.points.addresses import FlatMap, flat_map
from controller.points.interface_document import mbpoll_line
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.scada.modbus.face import ModbusServerFace
from tests.scada.modbus.parts import FakePlant, fake_plant, raw_client, serving

SunSpecClient = Any


@dataclass(slots=True)
class Served:
    face: ModbusServerFace
    plant: FakePlant
    places: FlatMap
    port: int


@contextlib.asynccontextmanager
async def served(plant: Plant, view: FakePlant) -> AsyncIterator[Served]:
    assert plant.faces.modbus is not None
    listed = point_list(plant)
    places = flat_map(listed)
    face = ModbusServerFace(replace(plant.faces.modbus, port=0), plant, listed, places, view, SystemClock())
    host, _, port = (await face.start()).rpartition(":")
    assert host == "127.0.0.1"
    async with serving(face.serve):
        yield Served(face, view, places, int(port))


@pytest.fixture
async def demo(demo_plant):
    async with served(demo_plant, fake_plant(demo_plant)) as face:
        yield face


async def _run(*command: str | os.PathLike[str], **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output.decode()
    return output.decode()


# --------------------------------------------------------------------------------------------------------------- mbpoll


async def test_the_line_that_the_interface_document_prints_reads_the_point(demo, peer):
    mbpoll = peer("mbpoll")
    demo.plant.show(rack__current=-12.5)
    line = mbpoll_line(demo.places.points["Plant.Block02.Rack03.Current"], "127.0.0.1", demo.port)
    output = await _run(mbpoll, *line.split()[1:])
    assert "-12.5" in output


async def test_mbpoll_writes_a_set_point(demo, peer):
    mbpoll = peer("mbpoll")
    arguments = ["-m", "tcp", "-p", str(demo.port), "-a", "2", "-0", "-r", "4", "-t", "4:float", "-B", "127.0.0.1"]
    await _run(mbpoll, *arguments, "1.25")
    (command,) = demo.plant.asked
    assert (command.action, command.value) == (Action.SET_ACTIVE_POWER, 1.25e6)


# ------------------------------------------------------------------------------------------------------------- pymodbus


async def test_pymodbus_reads_the_head_writes_a_command_and_is_told_no(demo):
    demo.plant.answers = lambda command: Refusal.WRONG_STATE if command.action is Action.START else Refusal.NONE
    client = AsyncModbusTcpClient("127.0.0.1", port=demo.port, retries=0)
    assert await client.connect()
    try:
        head = await client.read_holding_registers(0, count=4, device_id=2)
        assert head.registers[:2] == [demo.places.version >> 16, demo.places.version & 0xFFFF]
        assert not (await client.write_register(9, 1, device_id=2)).isError()
        assert (await client.write_register(8, 1, device_id=2)).exception_code == 4
        assert (await client.write_registers(4, [0x7FC0, 0], device_id=2)).exception_code == 3
        assert (await client.read_holding_registers(40, count=1, device_id=2)).exception_code == 2
        assert (await client.read_input_registers(0, count=4, device_id=2)).exception_code == 1
        assert (await client.read_holding_registers(0, count=4, device_id=99)).exception_code == 0x0B
    finally:
        client.close()
    assert [command.action for command in demo.plant.asked] == [Action.STOP, Action.START]


# -------------------------------------------------------------------------------------------------------- modbus-serial


async def test_thirty_reads_and_ten_writes_of_modbus_serial_at_once_are_all_answered(demo, peer, repository):
    package = peer("modbus-serial")
    script = repository / "tests" / "peers" / "modbus_pipelined.js"
    output = await _run(peer("node"), script, str(demo.port), "2", NODE_PATH=str(package.parent))
    answers = json.loads(output)
    version = [demo.places.version >> 16, demo.places.version & 0xFFFF]
    assert [a[:2] for a in answers if isinstance(a, list)] == [version] * 30
    assert [a for a in answers if not isinstance(a, list)] == [*range(0, 30, 3), 2]
    assert [command.value for command in demo.plant.asked] == list(range(0, 30, 3))


# -------------------------------------------------------------------------------------------------------------- SunSpec


async def _scanned(port: int, unit: int) -> SunSpecClient:
    device = sunspec2.modbus.client.SunSpecModbusClientDeviceTCP(unit, "127.0.0.1", port, timeout=10)
    await asyncio.to_thread(device.scan)
    return device


@contextlib.asynccontextmanager
async def sunspec(port: int, unit: int = 1) -> AsyncIterator[SunSpecClient]:
    device = await _scanned(port, unit)
    try:
        yield device
    finally:
        device.close()


def _ids(device: SunSpecClient) -> list[int]:
    return [model.model_id for model in device.model_list]


async def test_a_sunspec_client_finds_every_model_and_every_mandatory_point_filled(demo):
    demo.plant.show(plant__operating_state=3, block__operating_state=3, plant__control_owner=2, rack__soc_estimate=0.5)
    demo.plant.show(plant__soc=0.5, block__soc=0.5)
    for unit, expected in ((1, [1, 701, 702, 704, 713, 715, 802, 803]), (11, [1, 802, 803] + [804] * 12)):
        async with sunspec(demo.port, unit) as device:
            assert _ids(device) == expected
            empty = [
                f"{model.model_id}.{group}.{name}"
                for model in device.model_list
                for group, name, point in _points(model)
                if point.pdef.get("mandatory") == "M" and point.value is None
            ]
            assert empty == []


def _points(group: Any) -> Any:
    for name, point in group.points.items():
        yield group.gname, name, point
    for inner in group.groups.values():
        for one in inner if isinstance(inner, list) else [inner]:
            yield from _points(one)


async def test_plus_is_discharge_and_digits_are_kept(demo):
    demo.plant.show(
        plant__active_power=-1_234_567.0,
        plant__reactive_power=345_678.0,
        plant__apparent_power=1_282_000.0,
        plant__power_factor=-0.9631,
        plant__frequency=59.987,
        plant__voltage=12_481.2,
        plant__energy_out=123_456_789_012.0,
        plant__operating_state=3,
        plant__soc=0.5432,
        meter__breaker=2,
        rack__current=-123.456,
        rack__power=-98_765.0,
        rack__soc_estimate=0.4321,
        rack__cell_voltage_max=3.6543,
    )
    async with sunspec(demo.port) as device:
        ac, base, bank = device.models[701][0], device.models[802][0], device.models[803][0]
        assert ac.W.cvalue == pytest.approx(-1_234_600)
        assert ac.Var.cvalue == pytest.approx(345_700)
        assert ac.VA.cvalue == pytest.approx(1_282_000)
        assert ac.PF.cvalue == pytest.approx(-0.9631)
        assert ac.Hz.cvalue == pytest.approx(59.987)
        assert ac.LLV.cvalue == 12_481
        assert ac.TotWhInj.cvalue == 123_456_789_012
        assert (ac.St.cvalue, ac.InvSt.cvalue, ac.ConnSt.cvalue) == (1, 3, 1)
        assert device.models[713][0].SoC.cvalue == pytest.approx(54.32)
        assert base.A.cvalue == round(-123.456 * 24)
        assert base.W.cvalue == pytest.approx(-2_370_400)
        assert base.ChaSt.cvalue == 4
        assert [string.StrA.cvalue for string in bank.string] == pytest.approx([-123.46] * 24)
        assert bank.string[5].StrSoC.cvalue == pytest.approx(43.21)
    async with sunspec(demo.port, 12) as device:
        assert len(device.models[804]) == 12
        rack = device.models[804][11]
        assert (rack.Idx.cvalue, rack.CellVMax.cvalue) == (12, pytest.approx(3.654))
        assert rack.A.cvalue == pytest.approx(-123.46)


async def test_what_is_bad_or_unknown_reads_as_not_implemented(demo):
    image = Image(demo.plant.snap.image.layout)
    image.copy_from(demo.plant.snap.image)
    image["plant.active_power"].quality[:] = Quality.NO_COMMUNICATION
    for name in ("rack.current", "rack.voltage", "rack.alarms", "rack.cell_voltage_max"):
        image[name].quality[4] = Quality.DEVICE_FAILURE
    image["cell.voltage"].quality[4] = Quality.NO_COMMUNICATION
    demo.plant.publish(image)
    async with sunspec(demo.port) as device:
        assert device.models[701][0].W.value is None
        assert device.models[802][0].A.value is None
        bank = device.models[803][0]
        assert [n for n, string in enumerate(bank.string) if string.StrA.value is None] == [4]
        assert bank.string[4].StrCellVMax.value is None
        assert (bank.string[4].StrEvt1.value, bank.string[5].StrEvt1.value & 1) == (1, 0)
        assert device.models[802][0].Evt1.value & 1


async def test_a_sunspec_master_runs_the_plant(demo):
    async with sunspec(demo.port) as device:
        control, limits = device.models[715][0], device.models[704][0]
        control.OpCtl.cvalue = 1
        await asyncio.to_thread(control.OpCtl.write)
        limits.WSetMod.cvalue, limits.WSet.cvalue, limits.WSetEna.cvalue = 1, -1_500_000, 1
        limits.WSetRvrt.cvalue, limits.WSetRvrtTms.cvalue = 100_000, 60
        await asyncio.to_thread(limits.write)
        limits.VarSetMod.cvalue, limits.VarSet.cvalue, limits.VarSetEna.cvalue = 4, 250_000, 1
        await asyncio.to_thread(limits.write)
        control.ControllerHb.cvalue = 70_000
        await asyncio.to_thread(control.write)
        control.AlarmReset.cvalue = 1
        await asyncio.to_thread(control.AlarmReset.write)
        control.OpCtl.cvalue = 0
        await asyncio.to_thread(control.OpCtl.write)
    asked = [(c.action, c.value) for c in demo.plant.asked]
    assert asked[0] == (Action.START, None)
    assert (Action.SET_REACTIVE_POWER, 250_000.0) in asked
    assert asked[-3:] == [(Action.SCADA_HEARTBEAT, 70_000), (Action.RESET_TRIPS, None), (Action.STOP, None)]
    last = [c for c in demo.plant.asked if c.action is Action.SET_ACTIVE_POWER][-1]
    assert (last.value, last.timeout_s, last.fallback) == (-1_500_000.0, 60.0, 100_000.0)


# ------------------------------------------------------------------------------------------------------ the face itself


async def test_every_unit_and_no_other_answers(demo):
    async with raw_client(("127.0.0.1", demo.port)) as client:
        for unit in range(256):
            address = 0 if unit == 2 else 40_000
            answer = await client.read(unit, address, 2)
            assert (answer == b"\x83\x0b") is (unit not in {1, 2, 11, 12}), unit


async def test_a_site_without_racks_to_spare_shows_as_many_as_fit(tmp_path):
    plant = load_site_or_raise(write_demo_site(tmp_path / "site", 792))
    view = FakePlant(fake_plant(plant).snap)
    async with served(plant, view) as face, raw_client(("127.0.0.1", face.port)) as client:
        head = await client.read(1, 40_000, 2)
        assert head == b"SunS"
        models, address = [], 40_002
        while True:
            model, length = struct.unpack(">HH", await client.read(1, address, 2))
            if model == 0xFFFF:
                break
            models.append(model)
            address += 2 + length
        assert models == [1, 701, 702, 704, 713, 715, 802]
        assert await client.read(1, address + 2, 1) == b"\x83\x02"


async def test_the_largest_bank_model_ends_within_the_address_space(tmp_path):
    plant = load_site_or_raise(write_demo_site(tmp_path / "site", 783))
    async with served(plant, fake_plant(plant)) as face, raw_client(("127.0.0.1", face.port)) as client:
        bank = 40_002 + 68 + 155 + 52 + 67 + 9 + 9 + 64
        model, length, strings = struct.unpack(">HHH", await client.read(1, bank, 3))
        assert (model, length, strings) == (803, 26 + 32 * 783, 783)
        assert await client.read(1, bank + 2 + length, 2) == b"\xff\xff\x00\x00"


async def test_another_site_in_control_ends_the_face(demo_plant):
    class Changing(FakePlant):
        changed = False

        def snapshot(self):
            if self.changed:
                raise SiteChangedError("another site")
            return FakePlant.snapshot(self)

    view = Changing(fake_plant(demo_plant).snap)

    async def serve_it() -> None:
        async with served(demo_plant, view):
            view.changed = True
            await asyncio.sleep(10)

    with pytest.raises(ExceptionGroup) as caught:
        await serve_it()
    assert caught.value.split(SiteChangedError)[1] is None


async def test_the_status_counts(demo):
    async with raw_client(("127.0.0.1", demo.port)) as client:
        await client.read(2, 0, 2)
        await client.read(2, 20, 2)
        await client.write(2, 4, struct.pack(">f", 0.5))
        status = demo.face.status()
    assert {k: status[k] for k in ("connections", "accepted", "requests", "exceptions", "commands")} == {
        "connections": 1,
        "accepted": 1,
        "requests": 3,
        "exceptions": 1,
        "commands": 1,
    }


async def test_a_sunspec_master_sets_per_cents_and_limits_export(demo):
    async with sunspec(demo.port) as device:
        controls = device.models[704][0]
        assert (controls.WSetPct.cvalue, controls.WMaxLimPctEna.cvalue) == (0.0, 1)  # the image filled by hand: 1.5 W
        controls.WSetMod.cvalue, controls.WSetPct.cvalue, controls.WSetEna.cvalue = 0, -25.0, 1
        await asyncio.to_thread(controls.write)
        controls.VarSetMod.cvalue, controls.VarSetPct.cvalue, controls.VarSetEna.cvalue = 3, 10.0, 1
        await asyncio.to_thread(controls.write)
        controls.WMaxLimPct.cvalue, controls.WMaxLimPctEna.cvalue = 50.0, 1
        await asyncio.to_thread(controls.write)
        await asyncio.to_thread(controls.read)

        assert (controls.WSetMod.cvalue, controls.WSetPct.cvalue) == (0, -25.0)
        assert (controls.VarSetMod.cvalue, controls.VarSetPct.cvalue) == (3, 10.0)
        assert controls.PFWInjEna.cvalue is None  # power-factor modes are not served
    last = {command.action: command.value for command in demo.plant.asked}
    assert last[Action.SET_ACTIVE_POWER] == pytest.approx(-0.6e6)
    assert last[Action.SET_REACTIVE_POWER] == pytest.approx(0.264e6)
    assert last[Action.SET_EXPORT_LIMIT] == pytest.approx(1.2e6)
