"""Lists that parties brought, served by the real face: their own units, scales, signs, word orders and rights."""

from __future__ import annotations

import asyncio
import contextlib
import math
import shlex
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller.cli import app
from controller.commissioning.party_maps import party_points
from controller.control.commands import Action
from controller.image.image import Image
from controller.image.quality import Quality
from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.plant.site_loader import load_site_or_raise
from controller.points.addresses import flat_map
from controller.points.interface_document import Endpoint, party_rows, rows
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.scada.modbus.face import ModbusServerFace
from tests.scada.modbus.parts import FakePlant, RawClient, fake_plant, raw_client, serving

UTILITY = """tag,address,type,scale,sign,unit,deadband,writable,words
Plant.ActivePower,0,int32,0.1,-1,kW,5,no,low_first
Plant.SoC,2,uint16,0.1,1,%,0.5,no,
Plant.Frequency,3,uint16,0.001,1,Hz,,no,
Plant.State,4,int16,,,,,no,
Plant.Heartbeat,5,uint32,,,,,no,
Plant.Voltage,7,float32,,,V,,no,
Plant.ActivePowerSetpoint,10,int32,0.1,-1,kW,,yes,low_first
Plant.ExportLimit,12,float32,,,MW,,no,
Plant.Stop,14,uint16,,,,,yes,
"""
TRADER = "tag,address,type\nPlant.SoC,0,float32\nPlant.ActivePowerSetpoint,2,float32\n"
MAPS = """
    maps:
      - {party: utility, file: maps/utility.csv, unit: 100}
      - {party: trader, file: maps/trader.csv, unit: 101, writers: [10.9.8.7]}
"""


def write_site(folder: Path, utility: str = UTILITY) -> Path:
    file = write_demo_site(folder)
    listen = "    listen: tcp://127.0.0.1:5020\n"
    text = file.read_text()
    assert listen in text
    file.write_text(text.replace(listen, listen + MAPS.lstrip("\n")))
    (folder / "maps").mkdir()
    (folder / "maps" / "utility.csv").write_text(utility)
    (folder / "maps" / "trader.csv").write_text(TRADER)
    return folder


@dataclass(slots=True)
class Served:
    client: RawClient
    view: FakePlant
    port: int
    plant: Plant
    site: Path

    def show(self, quality: Quality = Quality.GOOD, **values: float) -> None:
        image = Image(self.view.snap.image.layout)
        image.copy_from(self.view.snap.image)
        for name, value in values.items():
            image[name.replace("__", ".")].value[:] = value
            image[name.replace("__", ".")].quality[:] = quality
        self.view.publish(image)


@contextlib.asynccontextmanager
async def serve(site: Path) -> AsyncIterator[Served]:
    plant = load_site_or_raise(site)
    listed, view = point_list(plant), fake_plant(plant)
    assert plant.faces.modbus is not None
    face = ModbusServerFace(replace(plant.faces.modbus, port=0), plant, listed, flat_map(listed), view, SystemClock(),
                            party_points(plant, site, listed))  # fmt: skip
    host, _, port = (await face.start()).rpartition(":")
    async with serving(face.serve), raw_client((host, int(port))) as client:
        yield Served(client, view, int(port), plant, site)


@pytest.fixture
async def served(tmp_path: Path):
    async with serve(write_site(tmp_path / "site")) as running:
        yield running


async def test_values_are_shown_in_the_partys_unit_scale_sign_and_order(served: Served) -> None:
    served.show(plant__active_power=1_234_560.0, plant__soc=0.437, plant__frequency=59.987, plant__voltage=12_470.0)
    data = await served.client.read(100, 0, 9)
    low, high, soc, frequency, _, _, _ = struct.unpack(">HHHHhHH", data[:14])

    assert (high << 16 | low) - (1 << 32) == -12_346  # 1234.56 kW, turned round, in steps of 0.1 kW
    assert (soc, frequency) == (437, 59_987)
    assert struct.unpack(">f", data[14:18])[0] == pytest.approx(12_470.0)


async def test_lifetime_energy_keeps_every_watt_hour(tmp_path: Path) -> None:
    lines = "Plant.EnergyOut,20,uint64,,,Wh,,no,\nPlant.EnergyIn,24,float64,,,,,no,low_first\n"
    energy_wh, taken_wh = 83_123_456_789.0, 79_000_000_001.0
    async with serve(write_site(tmp_path / "site", UTILITY + lines)) as running:
        running.show(plant__energy_out=energy_wh, plant__energy_in=taken_wh)
        data = await running.client.read(100, 20, 8)
        assert int.from_bytes(data[:8]) == energy_wh
        words = struct.unpack(">4H", data[8:])
        assert struct.unpack(">d", struct.pack(">4H", *reversed(words)))[0] == taken_wh * 1e-6
        place = flat_map(point_list(running.plant)).points["Plant.EnergyOut"]
        assert struct.unpack(">d", await running.client.read(2, place.address, 4))[0] == energy_wh * 1e-6

        running.show(Quality.NO_COMMUNICATION, plant__energy_out=1.0, plant__energy_in=1.0)
        data = await running.client.read(100, 20, 8)
        assert data[:8] == b"\xff" * 8
        words = struct.unpack(">4H", data[8:])
        assert math.isnan(struct.unpack(">d", struct.pack(">4H", *reversed(words)))[0])


async def test_what_is_bad_or_does_not_fit_reads_as_no_value(served: Served) -> None:
    served.show(Quality.DEVICE_FAILURE, plant__active_power=1e6, plant__soc=0.5, plant__operating_state=3)
    bad = await served.client.read(100, 0, 5)
    served.show(plant__frequency=70.0, plant__soc=-0.1)
    outside = await served.client.read(100, 2, 2)

    assert bad[:4] == b"\0\0\x80\0"
    assert bad[4:6] == b"\xff\xff"
    assert bad[8:10] == b"\x80\0"
    assert outside == b"\xff\xff\xff\xff"


async def test_only_what_the_list_says_can_be_written_and_comes_in_our_units(served: Served) -> None:
    written = await served.client.write(100, 10, struct.pack(">HH", 0xFFFF & -5_000, 0xFFFF))
    limit = await served.client.write(100, 12, struct.pack(">f", 1.0))
    stop = await served.client.write(100, 14, b"\0\1")
    outside = await served.client.write(100, 10, struct.pack(">HH", 0xFFFF & -50_000, 0xFFFF))

    assert (written[0], limit, stop[0], outside) == (16, b"\x90\x02", 16, b"\x90\x03")
    assert [(c.action, c.value) for c in served.view.asked] == [
        (Action.SET_ACTIVE_POWER, 500_000.0),
        (Action.STOP, None),
    ]


async def test_each_party_has_rights_of_its_own(served: Served) -> None:
    trader = await served.client.write(101, 2, struct.pack(">f", 0.5))
    utility = await served.client.write(100, 12, struct.pack(">f", 0.5))
    ours = await served.client.write(2, 4, struct.pack(">f", 0.5))

    assert trader == b"\x90\x01", "only 10.9.8.7 may write to the trader's unit"
    assert utility == b"\x90\x02", "the utility may write, but not this register"
    assert ours[0] == 16
    assert len(served.view.asked) == 1


async def test_a_block_is_read_over_the_registers_that_a_list_leaves_out(served: Served) -> None:
    served.show(plant__active_power=1_000_000.0, plant__active_power_setpoint=500_000.0)
    block = await served.client.read(100, 0, 15)

    assert len(block) == 30
    assert block[:4] == await served.client.read(100, 0, 2)
    assert block[18:20] == b"\xff\xff"
    assert block[20:24] == await served.client.read(100, 10, 2)


async def test_registers_beside_the_list_do_not_exist(served: Served) -> None:
    assert await served.client.read(100, 9, 1) == b"\x83\x02", "nothing but a hole"
    assert await served.client.read(100, 14, 2) == b"\x83\x02", "beyond the end"
    assert await served.client.write(100, 8, b"\0\0\0\0") == b"\x90\x02", "no write runs over a hole"
    assert await served.client.read(102, 0, 1) == b"\x83\x0b"


async def test_the_mbpoll_lines_of_the_interface_document_read_the_face(served: Served, peer) -> None:
    mbpoll = peer("mbpoll")
    listed = point_list(served.plant)
    endpoint = Endpoint("127.0.0.1", served.port)
    ours = {row["tag"]: row for row in rows(listed, flat_map(listed), endpoint)}
    theirs = {
        row["tag"]: row for row in party_rows("utility", party_points(served.plant, served.site, listed)[100], endpoint)
    }
    served.show(plant__soc=0.437, plant__active_power=-2.5e5, plant__heartbeat=77)
    for row, shown in (
        (ours["Plant.SoC"], "43.7"), (ours["Plant.ActivePower"], "-0.25"), (ours["Plant.State"], "1"),
        (theirs["Plant.SoC"], "437"), (theirs["Plant.ActivePower"], "2500"), (theirs["Plant.Heartbeat"], "77"),
    ):  # fmt: skip
        words = shlex.split(str(row["mbpoll"]))
        process = await asyncio.create_subprocess_exec(mbpoll, *words[1:], stdout=asyncio.subprocess.PIPE)
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, row["mbpoll"]
        assert f"\t{shown}" in output.decode(), (row["mbpoll"], output.decode())


def test_the_verbs_read_the_lists(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    wrong = write_site(tmp_path / "wrong", UTILITY.replace("Plant.SoC", "Plant.SOC"))
    listed = CliRunner().invoke(app, ["points", str(site)])
    book = CliRunner().invoke(app, ["points", str(site), "--format", "xlsx", "--out", str(tmp_path / "points.xlsx")])
    validated = CliRunner().invoke(app, ["validate", str(wrong)])

    assert ",utility,mbpoll -m tcp -p 5020 -a 100 -0 -r 0 -c 1 -t 4:int -1 127.0.0.1" in listed.stdout
    assert book.exit_code == 0, book.stderr
    assert validated.exit_code == 1
    assert "maps/utility.csv:3:1: error: there is no point 'Plant.SOC'" in validated.stdout
    assert "did you mean 'Plant.SoC'?" in validated.stdout
