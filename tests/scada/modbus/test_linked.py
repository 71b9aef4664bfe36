"""The Modbus face over the real link: snapshot file, command socket, a scan that answers ten times a second."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from controller.control.commands import Action, Command, Refusal, Reply
from controller.image.image import Image
from controller.image.layout import Layout, plant_layout
from controller.image.quantities import Section
from controller.link.command_queue import CommandQueue
from controller.link.command_socket import CommandServer
from controller.link.linked_plant import LinkedPlant
from controller.link.run_directory import RunDirectory
from controller.link.snapshot_file import SnapshotFile
from controller.link.snapshot_memory import SnapshotFormat
from controller.plant.model import Plant
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.scada.modbus.face import ModbusServerFace
from tests.scada.modbus.parts import NOW_NS, filled_image, raw_client, serving

SITE_HASH = b"s" * 32


@dataclass(slots=True)
class Control:
    """What stands for the control process: publishes, takes commands, shows the last set-point, answers."""

    run: RunDirectory
    layout: Layout
    image: Image
    taken: list[Command] = field(default_factory=list)

    async def scan(self, server: CommandServer) -> None:
        racks, cells = (self.layout.section_size(s) for s in (Section.RACKS, Section.CELLS))
        form = SnapshotFormat(self.layout.hash, SITE_HASH, racks, cells, event_records=64)
        file = SnapshotFile(self.run.snapshot, form, first_event=1)
        while True:
            commands = server.take()
            self.taken += commands
            for command in commands:
                if command.action is Action.SET_ACTIVE_POWER:
                    self.image["plant.active_power_setpoint"].value[0] = command.value
            file.publish(self.image, NOW_NS())
            server.answer(Reply(c.id, accepted=True, refusal=Refusal.NONE, text="", sequence=1) for c in commands)
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def linked(plant: Plant, run: RunDirectory) -> AsyncIterator[tuple[Control, tuple[str, int]]]:
    assert plant.faces.modbus is not None
    layout, clock, listed = plant_layout(plant), SystemClock(), point_list(plant)
    control = Control(run, layout, filled_image(plant, layout, NOW_NS()))
    server = CommandServer(CommandQueue(lambda _: False), clock)
    await server.start(run.command_socket)
    view = LinkedPlant(run, layout, SITE_HASH, clock)
    face = ModbusServerFace(replace(plant.faces.modbus, port=0), plant, listed, flat_map(listed), view, clock)
    host, _, port = (await face.start()).rpartition(":")
    async with serving(face.serve), serving(lambda: control.scan(server)):
        yield control, (host, int(port))
    await server.stop()


async def test_pipelined_set_points_are_applied_in_order_and_the_last_one_stands(demo_plant, run):
    values = [round(-2.4 + n / 100, 2) for n in range(300)]
    async with linked(demo_plant, run) as (control, address), raw_client(address) as client:
        for value in values:
            client.send(2, struct.pack(">BHHBf", 16, 4, 2, 4, value))
        client.send(2, struct.pack(">BHH", 3, 4, 2))
        answers = [await client.receive() for _ in values]
        assert {pdu for _, _, pdu in answers} == {struct.pack(">BHH", 16, 4, 2)}
        assert [transaction for transaction, _, _ in answers] == list(range(1, len(values) + 1))
        _, _, last = await client.receive()
    assert [command.value for command in control.taken] == [round(value * 1e6, 6) for value in values]
    assert struct.unpack(">f", last[2:])[0] == pytest.approx(values[-1])


async def test_before_control_starts_and_after_it_falls_silent(demo_plant, run):
    assert demo_plant.faces.modbus is not None
    layout, clock, listed = plant_layout(demo_plant), SystemClock(), point_list(demo_plant)
    view = LinkedPlant(run, layout, SITE_HASH, clock)
    settings = replace(demo_plant.faces.modbus, port=0)
    face = ModbusServerFace(settings, demo_plant, listed, flat_map(listed), view, clock)
    host, _, port = (await face.start()).rpartition(":")
    async with serving(face.serve), raw_client((host, int(port))) as client:
        assert await client.read(2, 0, 2) == b"\x83\x04"
        assert await client.write(2, 9, b"\x00\x01") == b"\x90\x04"
        control = Control(run, layout, filled_image(demo_plant, layout, NOW_NS()))
        server = CommandServer(CommandQueue(lambda _: False), clock)
        async with serving(lambda: control.scan(server)):
            while await client.read(2, 0, 2) == b"\x83\x04":
                await asyncio.sleep(0.02)
            assert await client.read(1, 40_000, 2) == b"SunS"
        while await client.read(2, 0, 2) != b"\x83\x0b":
            await asyncio.sleep(0.05)
        assert await client.read(1, 40_000, 2) == b"\x83\x0b"
        assert await client.write(2, 9, b"\x00\x01") == b"\x90\x0b"
