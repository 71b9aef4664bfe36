"""The fault menu against the running controller on real sockets: the disturbed go bad, nobody else, and all heal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from controller.image.data_periods import data_periods
from controller.image.quality import WORST_USABLE
from controller.plant.model import Plant
from controller.plant.signals import Owner
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.runtime.socket_plant import SocketPlant
from controller.scada.readings import PointReader

PATIENCE_S = 60.0
LINK_FAULTS = (
    "silent {}", "late {} 1.5s", "wrong_tid {}", "zero_tid {}", "wrong_unit {}", "wrong_function {}", "truncate {}",
    "exception {} 4", "garbage {}", "rst {}", "no_read {}", "identity {} OTHER",
)  # fmt: skip
DATA_FAULTS = {
    "sentinel {} Voltage": "Voltage",
    "scale {} Voltage 10": "Voltage",
    "offset {} CellVoltageMax 3V": "CellVoltageMax",
    "sentinel {} Current": "Current",
    "scale {} CellTemperatureMax 100": "CellTemperatureMax",
}
pytestmark = pytest.mark.timeout(300)


class _Shown:
    """What a face would show of a plant, and the way to disturb it."""

    def __init__(self, plant: SocketPlant) -> None:
        self.plant = plant
        self._points, self._reader = point_list(plant.plant).by_tag(), PointReader(data_periods(plant.plant))

    def is_good(self, tag: str) -> bool:
        reading = self._reader.read_image(self.plant.state.image, self._points[tag], self.plant.clock.mono_ns())
        return reading.quality <= WORST_USABLE

    def disturb(self, line: str) -> None:
        assert self.plant.simulation.menu.execute(line) == "ok"

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self.plant.scanned.wait()


@contextlib.asynccontextmanager
async def _shown(plant: Plant) -> AsyncIterator[_Shown]:
    """Run a plant; every rack's voltage is good when it is handed over."""
    async with SocketPlant(plant, SystemClock()).running() as running:
        shown = _Shown(running)
        await shown.until(lambda: all(shown.is_good(tag) for tag in _voltages(plant)))
        yield shown


def _voltages(plant: Plant) -> Sequence[str]:
    return [f"{rack.tag}.Voltage" for rack in plant.racks]


async def test_every_link_fault_is_its_own_device_s_alone_and_heals(demo_plant: Plant) -> None:
    disturbed, well = demo_plant.racks[12:], demo_plant.racks[:12]
    async with _shown(demo_plant) as shown:
        for fault, rack in zip(LINK_FAULTS, disturbed, strict=True):
            shown.disturb(fault.format(rack.name))
        await shown.until(lambda: not any(shown.is_good(f"{rack.tag}.Voltage") for rack in disturbed))

        assert all(shown.is_good(f"{rack.tag}.Voltage") for rack in well)
        shown.disturb("clear")
        await shown.until(lambda: all(shown.is_good(tag) for tag in _voltages(demo_plant)))


async def test_every_data_fault_is_seen_where_it_is(demo_plant: Plant) -> None:
    points = list(DATA_FAULTS.values())
    disturbed = demo_plant.racks[: len(points)]
    async with _shown(demo_plant) as shown:
        for fault, rack in zip(DATA_FAULTS, disturbed, strict=True):
            shown.disturb(fault.format(rack.name))
        tags = [f"{rack.tag}.{point}" for rack, point in zip(disturbed, points, strict=True)]
        await shown.until(lambda: not any(shown.is_good(tag) for tag in tags))

        others = set(_voltages(demo_plant)) - set(tags)
        assert all(shown.is_good(tag) for tag in others)
        shown.disturb("clear")
        await shown.until(lambda: all(shown.is_good(tag) for tag in tags))


def _behind_one_gateway(plant: Plant) -> Plant:
    """Put the racks that have an endpoint each behind one, as units 1 to 12."""
    own = {b.equipment: d for d in plant.devices for b in d.bindings if b.owner is Owner.RACK and len(d.bindings) == 1}
    gateway = min(d.link for d in own.values())
    units = {d.index: n for n, d in enumerate(own.values(), start=1)}
    devices = [replace(d, link=gateway, unit=units[d.index]) if d.index in units else d for d in plant.devices]
    return replace(plant, devices=tuple(devices))


@pytest.mark.parametrize("fault", ["silent {}", pytest.param("exception {} 11", marks=pytest.mark.nightly)])
async def test_a_dead_unit_behind_a_gateway_keeps_nobody_waiting(demo_plant: Plant, fault: str) -> None:
    plant = _behind_one_gateway(demo_plant)
    sick = next(d.index for d in plant.devices if d.name == "B02-R05")
    others = [d.index for d in plant.devices if d.name.startswith("B02-R") and d.index != sick]
    async with _shown(plant) as shown:
        shown.disturb(fault.format("B02-R05"))
        await shown.until(lambda: not shown.is_good("Plant.Block02.Rack05.Voltage"))
        before = shown.plant.arrivals()
        await shown.until(lambda: bool((shown.plant.arrivals() - before)[others].min() >= 10))

        # The slowest neighbour has kept up with the fastest: nobody pays for the dead one.
        came = (shown.plant.arrivals() - before)[others]
        assert came.min() >= 0.9 * np.median(came) - 1
        shown.disturb("clear")
        await shown.until(lambda: shown.is_good("Plant.Block02.Rack05.Voltage"))


@pytest.mark.nightly
@pytest.mark.parametrize("fault", LINK_FAULTS)
async def test_each_link_fault_alone_leaves_all_others_good(demo_plant: Plant, fault: str) -> None:
    async with _shown(demo_plant) as shown:
        others = [tag for tag in _voltages(demo_plant) if "Block02.Rack05" not in tag]
        shown.disturb(fault.format("B02-R05"))
        await shown.until(lambda: not shown.is_good("Plant.Block02.Rack05.Voltage"))
        for _ in range(20):
            await shown.plant.scanned.wait()
            assert all(shown.is_good(tag) for tag in others)
        shown.disturb("clear")
        await shown.until(lambda: shown.is_good("Plant.Block02.Rack05.Voltage"))
