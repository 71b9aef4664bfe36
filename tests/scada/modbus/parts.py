"""What the Modbus tests share: a filled image of the demo plant, a plant that answers, a served face, a raw client."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace

import numpy as np

from controller.alarms.table import alarm_fields
from controller.control.commands import Action, Command, Refusal, Reply
from controller.image.image import Image
from controller.image.layout import Layout, plant_layout
from controller.image.quality import Quality
from controller.image.quantities import QUANTITIES
from controller.link.event_ring import EventBatch, no_events
from controller.link.plant_view import RunState, Snapshot
from controller.plant.model import Plant
from controller.runtime.clock import SystemClock

NOW_NS = SystemClock().mono_ns


def filled_image(plant: Plant, layout: Layout, now_ns: int) -> Image:
    """Return an image in which every value is good, sampled now, and tells its row: 1.5, 2.5, ... or 1, 2, ..."""
    image = Image(layout)
    for name, quantity in QUANTITIES.items():
        values = image[name]
        rows = np.arange(1, len(values.value) + 1).reshape(-1, *[1] * (values.value.ndim - 1))
        half = 0.5 if values.value.dtype.kind == "f" else 0
        values.value[:] = 1 if quantity.dtype == "u1" else rows + half
        values.quality[:] = Quality.GOOD
        values.time_ns[:] = now_ns
    return image


@dataclass(slots=True)
class FakePlant:
    """A `PlantView` by hand: shows what it is given, remembers what it is asked, answers as told."""

    snap: Snapshot
    answers: Callable[[Command], Refusal] = lambda _: Refusal.NONE
    asked: list[Command] = field(default_factory=list)
    reported: list[Command] = field(default_factory=list)  # what the face says that it refused
    pause_s: float = 0.0
    publishes: bool = True  # as control does while it lives: the snapshot never grows old

    def snapshot(self) -> Snapshot:
        if self.publishes and self.snap.age_ns(NOW_NS()) > 500_000_000:
            self.snap = replace(self.snap, published_mono_ns=NOW_NS())
        return self.snap

    async def submit(self, command: Command) -> Reply:
        (self.reported if command.action is Action.REPORT_REFUSED else self.asked).append(command)
        await asyncio.sleep(self.pause_s)
        refusal = self.answers(command)
        return Reply(command.id, accepted=refusal is Refusal.NONE, refusal=refusal, text="", sequence=1)

    def events(self, since: int) -> EventBatch:
        return no_events(since)

    def show(self, **quantities: float) -> None:
        """Publish again with other values: `plant__active_power=2e6` for all rows."""
        image = Image(self.snap.image.layout)
        image.copy_from(self.snap.image)
        for name, value in quantities.items():
            image[name.replace("__", ".")].value[:] = value
        self.publish(image)

    def publish(self, image: Image) -> None:
        self.snap = replace(self.snap, image=image, sequence=self.snap.sequence + 1, published_mono_ns=NOW_NS())


def fake_plant(plant: Plant) -> FakePlant:
    layout = plant_layout(plant, alarm_fields(plant))
    return FakePlant(snapshot_of(filled_image(plant, layout, NOW_NS())))


def snapshot_of(image: Image, published_ns: int | None = None) -> Snapshot:
    return Snapshot(image, 1, NOW_NS() if published_ns is None else published_ns, RunState.RUNNING, 1, b"", 1)


@dataclass(slots=True)
class RawClient:
    """Modbus TCP by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _transaction: int = 0

    def send(self, unit: int, pdu: bytes) -> None:
        self._transaction = (self._transaction + 1) & 0xFFFF
        self.writer.write(struct.pack(">HHHB", self._transaction, 0, len(pdu) + 1, unit) + pdu)

    async def receive(self) -> tuple[int, int, bytes]:
        """Return transaction id, unit and PDU; IncompleteReadError once the server has closed."""
        head = await asyncio.wait_for(self.reader.readexactly(7), 10)
        transaction, protocol, length, unit = struct.unpack(">HHHB", head)
        assert protocol == 0
        return transaction, unit, await self.reader.readexactly(length - 1)

    async def ask(self, unit: int, pdu: bytes) -> bytes:
        self.send(unit, pdu)
        transaction, echoed, answer = await self.receive()
        assert (transaction, echoed) == (self._transaction, unit)
        return answer

    async def read(self, unit: int, address: int, count: int) -> bytes:
        """Return registers, or the exception's two bytes."""
        answer = await self.ask(unit, struct.pack(">BHH", 3, address, count))
        return answer[2:] if answer[0] == 3 else answer

    async def write(self, unit: int, address: int, data: bytes) -> bytes:
        pdu = struct.pack(">BHHB", 16, address, len(data) // 2, len(data)) + data
        return await self.ask(unit, pdu)

    async def is_closed(self) -> bool:
        """Wait until the server has closed; false if it sent something instead."""
        try:
            return await asyncio.wait_for(self.reader.read(1), 10) == b""
        except ConnectionError:
            return True


@contextlib.asynccontextmanager
async def raw_client(address: tuple[str, int]) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(serve: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """Run a `serve()` coroutine beside the test; whatever ends it early fails the test."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve())
        try:
            yield
        finally:
            task.cancel()
