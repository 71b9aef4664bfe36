"""What the OPC UA tests share: a served face over a plant by hand, and short ways to write, call and browse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from asyncua import Client, ua

from controller.alarms.table import alarm_fields
from controller.control.commands import Command, Refusal, Reply
from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quantities import QUANTITIES
from controller.link.plant_view import PlantView, Snapshot
from controller.plant.model import OpcUaFace, Plant
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.scada.code_words import wording_of
from controller.scada.opcua.limits import Limits
from controller.scada.opcua.server import OpcUaServer
from controller.scada.opcua.value_types import standard_id, string_id
from tests.scada.modbus.parts import NOW_NS, FakePlant, filled_image, snapshot_of

DEMO_FACE = OpcUaFace("127.0.0.1", 0, ("None",), anonymous=True)


@dataclass(slots=True)
class TalkingPlant(FakePlant):
    """A plant by hand that also says why, and whose samples never grow old while it publishes."""

    text: str = ""

    def snapshot(self) -> Snapshot:
        if self.publishes and self.snap.age_ns(NOW_NS()) > 20_000_000:
            image = Image(self.snap.image.layout)
            image.copy_from(self.snap.image)
            for name in QUANTITIES:
                image[name].time_ns[:] = NOW_NS()
            self.publish(image)
        return self.snap

    async def submit(self, command: Command) -> Reply:
        reply = await FakePlant.submit(self, command)
        return replace(reply, text=self.text)


def talking_plant(
    plant: Plant, answers: Callable[[Command], Refusal] = lambda _: Refusal.NONE, text: str = ""
) -> TalkingPlant:
    return TalkingPlant(
        snapshot_of(filled_image(plant, plant_layout(plant, alarm_fields(plant)), NOW_NS())), answers, text=text
    )


@dataclass(frozen=True, slots=True)
class Served:
    """A face that is up."""

    server: OpcUaServer
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def broken(self) -> dict[str, int]:
        """Return why connections were ended."""
        return dict(self.server.status()["broken"])


@contextlib.asynccontextmanager
async def served(
    plant: Plant, view: PlantView, state: Path | None, face: OpcUaFace = DEMO_FACE, allowed: Limits | None = None
) -> AsyncIterator[Served]:
    """Serve a face beside the test; whatever ends it early fails the test."""
    server = OpcUaServer(
        face, point_list(plant), view, data_periods(plant), SystemClock(), state, allowed, wording_of(plant)
    )
    url = await server.start()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve())
        try:
            yield Served(server, url)
        finally:
            task.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something that another task does has happened."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def client_of(face: Served) -> Client:
    """Return a client that is patient: the tests' machine may be slow."""
    return Client(face.url, timeout=30, watchdog_intervall=30)


def name_of(status: ua.StatusCode | None) -> str:
    assert status is not None
    return str(status.name)


def tag_id(tag: str) -> ua.NodeId:
    return string_id(tag, 2)


async def value_of(client: Client, tag: str) -> Any:
    """Read one DataValue, good or bad."""
    return await client.get_node(tag_id(tag)).read_attribute(ua.AttributeIds.Value, raise_on_bad_status=False)


async def all_read(client: Client, *tags: str, **asked: Any) -> Any:
    """Read the values of several tags with one request."""
    params = ua.ReadParameters(**asked)
    params.NodesToRead = [ua.ReadValueId(tag_id(tag), cast("Any", ua.AttributeIds.Value)) for tag in tags]
    return await client.uaclient.read(params)


async def written(client: Client, tag: str, value: object, kind: ua.VariantType = ua.VariantType.Double) -> str:
    """Write one value and return the name of its status code."""
    return (await all_written(client, [(tag, value, kind)]))[0]


async def all_written(client: Client, items: Sequence[tuple[str, object, ua.VariantType]]) -> list[str]:
    params = ua.WriteParameters()
    params.NodesToWrite = [write_of(tag, ua.Variant(value, kind)) for tag, value, kind in items]
    return [name_of(status) for status in await client.uaclient.write(params)]


def write_of(tag: str, value: ua.Variant, attribute: ua.AttributeIds = ua.AttributeIds.Value) -> ua.WriteValue:
    return ua.WriteValue(tag_id(tag), cast("Any", attribute), cast("Any", ""), ua.DataValue(value))


async def called(client: Client, target: str, method: str, *arguments: object) -> tuple[str, str]:
    """Call a method and return its status code's name and the message."""
    request = ua.CallMethodRequest()
    request.ObjectId, request.MethodId = tag_id(target), tag_id(f"{target}.{method}")
    request.InputArguments = [ua.Variant(argument) for argument in arguments]
    (result,) = await client.uaclient.call([request])
    return name_of(result.StatusCode), result.OutputArguments[0].Value


async def references(client: Client, *nodes: ua.NodeId) -> list[list[Any]]:
    """Browse several nodes at once, forward, through everything hierarchical."""
    params = ua.BrowseParameters()
    for node in nodes:
        description = ua.BrowseDescription()
        description.NodeId, description.BrowseDirection = node, ua.BrowseDirection.Forward
        description.ReferenceTypeId = standard_id(ua.ObjectIds.HierarchicalReferences)
        description.IncludeSubtypes, description.ResultMask = cast("Any", (True, ua.BrowseResultMask.All))
        params.NodesToBrowse.append(description)
    results = await client.uaclient.browse(params)
    assert {name_of(result.StatusCode) for result in results} <= {"Good"}
    return [list(result.References) for result in results]


async def walk(client: Client, top: ua.NodeId) -> dict[str, Any]:
    """Return every node below `top` by its browse path."""
    found: dict[str, Any] = {}
    waiting = [("", top)]
    while waiting:
        some, waiting = waiting[:500], waiting[500:]
        below = await references(client, *(node for _, node in some))
        for (path, _), children in zip(some, below, strict=True):
            for child in children:
                found[f"{path}/{child.BrowseName.Name}"] = child
                waiting.append((f"{path}/{child.BrowseName.Name}", child.NodeId))
    return found
