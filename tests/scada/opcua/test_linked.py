"""The OPC UA face over the real link: before control starts, while it runs, when it dies, when it comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from controller.control.commands import Action, Refusal, Reply
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quantities import QUANTITIES, Section
from controller.link.command_queue import CommandQueue
from controller.link.command_socket import CommandServer
from controller.link.linked_plant import LinkedPlant, SiteChangedError
from controller.link.run_directory import RunDirectory
from controller.link.snapshot_file import SnapshotFile
from controller.link.snapshot_memory import SnapshotFormat
from controller.plant.model import Plant
from controller.runtime.clock import SystemClock
from tests.scada.modbus.parts import NOW_NS, filled_image
from tests.scada.opcua.parts import called, client_of, name_of, served, until, value_of, written
from tests.scada.opcua.test_subscriptions import subscribed

SITE_HASH = b"s" * 32


@contextlib.asynccontextmanager
async def control(plant: Plant, run: RunDirectory, site_hash: bytes = SITE_HASH) -> AsyncIterator[None]:
    """Publish ten times a second, take set-points, refuse starts; on leaving fall silent, as the dead do."""
    layout = plant_layout(plant)
    racks, cells = (layout.section_size(section) for section in (Section.RACKS, Section.CELLS))
    file = SnapshotFile(
        run.snapshot, SnapshotFormat(layout.hash, site_hash, racks, cells, event_records=64), first_event=1
    )
    server = CommandServer(CommandQueue(lambda _: False), SystemClock())
    await server.start(run.command_socket)
    image = filled_image(plant, layout, NOW_NS())
    async with asyncio.TaskGroup() as group:
        scan = group.create_task(_scan(file, server, image))
        yield
        scan.cancel()
    await server.stop()


async def _scan(file: SnapshotFile, server: CommandServer, image: Image) -> None:
    while True:
        replies = []
        for command in server.take():
            refusal = Refusal.WRONG_STATE if command.action is Action.START else Refusal.NONE
            text = "missing: grid within its window" if refusal else ""
            replies.append(Reply(command.id, accepted=not refusal, refusal=refusal, text=text, sequence=1))
            if command.action is Action.SET_ACTIVE_POWER:
                image["plant.active_power_setpoint"].value[0] = command.value
        for name in QUANTITIES:
            image[name].time_ns[:] = NOW_NS()
        file.publish(image, NOW_NS())
        server.answer(replies)
        await asyncio.sleep(0.05)


def view_of(plant: Plant, run: RunDirectory) -> LinkedPlant:
    return LinkedPlant(run, plant_layout(plant), SITE_HASH, SystemClock())


async def test_control_may_come_later_die_and_come_back(demo_plant, run, state):
    setpoint = "Plant.ActivePowerSetpoint"
    async with served(demo_plant, view_of(demo_plant, run), state) as face, client_of(face) as client:
        _, seen = await subscribed(client, setpoint)
        assert await written(client, setpoint, 1.0) == "BadNoCommunication"
        for _ in range(2):
            async with control(demo_plant, run):
                await until(lambda: seen.statuses(setpoint)[-1] == "Good")
                assert await written(client, setpoint, 1.0) == "Good"
                await until(lambda: seen.shown(setpoint)[-1] == 1.0)
                assert await called(client, "Plant", "Start") == ("BadInvalidState", "missing: grid within its window")
            await until(lambda: seen.statuses(setpoint)[-1] == "BadNoCommunication")
            assert seen.shown(setpoint)[-1] is None
            assert name_of((await value_of(client, "Plant.State")).StatusCode) == "BadNoCommunication"

    assert seen.statuses(setpoint)[0] == "BadWaitingForInitialData"


async def test_another_site_ends_the_face(demo_plant, run, state):
    async def serve() -> None:
        async with served(demo_plant, view_of(demo_plant, run), state), control(demo_plant, run, b"o" * 32):
            await asyncio.sleep(30)

    with pytest.raises(ExceptionGroup) as ended:
        await serve()
    assert ended.group_contains(SiteChangedError)
