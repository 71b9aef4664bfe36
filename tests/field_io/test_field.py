"""The field side as a whole: every link has its worker, a hanging one is started anew, the load is spread."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from controller.field_io.field import Field
from controller.field_io.poll_items import FIRST_ROUND_NS, PollItem, poll_items
from controller.field_io.tcp_connection import TcpConnection
from controller.field_io.unit import make_unit
from controller.image.outputs import OutputImage, WriteState
from controller.modbus.mbap import FrameBuffer
from controller.modbus.poll_groups import device_groups, plan_groups, poll_groups
from controller.modbus.raw_blocks import RowState
from controller.plant.signals import Owner
from controller.runtime.clock import SystemClock
from controller.simulator.process import Simulation
from tests.field_io.rig import running, serial_link_of

SECOND_NS = 1_000_000_000


async def test_a_worker_that_hangs_is_started_anew(make_rig, rack_type, monkeypatch):
    rig = make_rig([(rack_type, 0, Owner.RACK), (rack_type, 1, Owner.RACK)])
    rig.check_what_is_stored()
    hanging = asyncio.Event()
    exchange = TcpConnection.exchange

    async def hang_once(self, asked, *, urgent=False):
        if not hanging.is_set() and rig.arrivals(0) > 2:
            hanging.set()
            await asyncio.Event().wait()
        return await exchange(self, asked, urgent=urgent)

    monkeypatch.setattr(TcpConnection, "exchange", hang_once)
    monkeypatch.setattr("controller.field_io.link_worker.LinkWorker.silent_at_most_s", 1.0)
    async with running(rig):
        await rig.until(lambda: sum(link.restarts for link in rig.field.links) == 1)
        await rig.more_polls(0, 2)
        await rig.more_polls(1, 2)


async def test_a_programmers_error_in_a_worker_is_not_survived(make_rig, rack_type, monkeypatch):
    rig = make_rig([(rack_type, 0, Owner.RACK)])
    await rig.listen()
    monkeypatch.setattr(FrameBuffer, "feed", lambda *_: 1 / 0)
    monkeypatch.setattr("controller.field_io.poller.Poller.due", lambda *_: 1 / 0)

    with pytest.raises(ExceptionGroup) as raised:
        await asyncio.wait_for(rig.field.run(), 10)
    assert raised.group_contains(ZeroDivisionError)
    await rig.servers.close()


async def test_a_serial_link_is_worked_like_any_other(make_rig, rack_type):
    rig = make_rig([(rack_type, 0, Owner.RACK), (rack_type, 1, Owner.RACK)], period_s=0.2)
    rig.check_what_is_stored()
    async with serial_link_of(rig, 0), running(rig):
        requests = rig.outputs["rack.connect_request"]
        requests.ask(0, 1)
        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        for device in (0, 1):
            await rig.more_polls(device, 1)
            assert rig.state(device) is RowState.GOOD
        assert rig.field.links[0].address.startswith("/dev/")


def test_links_are_in_the_order_of_the_plant_whatever_they_run_over(demo_plant):
    groups = poll_groups(demo_plant)
    field = Field(demo_plant, groups, OutputImage(demo_plant), SystemClock())

    assert [status.address for status in field.links] == [str(link.address) for link in demo_plant.links]


async def test_a_simulated_plant_is_polled_whole_and_comes_back_from_a_fault(demo_plant):
    """The demo's own devices, its own faults."""
    plant, clock = demo_plant, SystemClock()
    simulation = Simulation(plant, clock)
    await simulation.start(auto_ports=True)
    groups = poll_groups(plant)
    field = Field(plant, groups, OutputImage(plant), clock, simulation._servers.addresses)

    async def until_all(state: RowState, name: str) -> None:
        index = next(d.index for d in plant.devices if d.name == name)
        raws = [g.raw for g in groups if index in g.raw.devices and g.raw.block == "fast"]
        async with asyncio.timeout(10):
            while any(raw.state[raw.devices.index(index)] != state for raw in raws):
                await asyncio.sleep(0.01)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        tasks = [group.create_task(simulation.serve()), group.create_task(field.run())]
        while any((g.raw.state != RowState.GOOD).any() for g in groups):
            await asyncio.sleep(0.01)
        assert simulation.menu.execute("identity PCS01 OTHER") == "ok"
        await until_all(RowState.FAILED, "PCS01")
        assert list(field.links[13].wrong_identity.values()) == ["identifies as 'OTHER', not 'GPCS-1'"]
        assert simulation.menu.execute("clear") == "ok"
        await until_all(RowState.GOOD, "PCS01")
        for task in tasks:
            task.cancel()


# ------------------------------------------------------------------------------------------------------------- the plan


def _items(plant, start_ns: int = 0) -> list[PollItem]:
    maps = {d: g.register_map for g in device_groups(plant) for d in g.devices}
    units = [make_unit(device, maps[device.index], 1) for device in plant.devices]
    return poll_items(units, plan_groups(plant), start_ns)


def test_items_of_a_period_are_spread_evenly_over_it(demo_plant):
    for period_ns in {item.period_ns for item in _items(demo_plant)}:
        phases = np.sort([i.phase_ns for i in _items(demo_plant) if i.period_ns == period_ns])

        assert phases[-1] < period_ns
        assert np.ptp(np.diff(phases)) <= 1 if len(phases) > 2 else True


def test_the_first_round_is_over_soon(demo_plant):
    assert max(item.next_ns for item in _items(demo_plant, SECOND_NS)) <= SECOND_NS + FIRST_ROUND_NS


@pytest.mark.parametrize("late_ns", [0, 1, SECOND_NS // 2, SECOND_NS - 1, SECOND_NS, 7 * SECOND_NS + 3])
def test_an_item_that_comes_late_keeps_its_place_in_the_period(demo_plant, late_ns):
    item = next(i for i in _items(demo_plant) if i.period_ns == SECOND_NS)
    now_ns = item.next_ns + late_ns
    item.postpone(now_ns)

    assert now_ns < item.next_ns <= now_ns + SECOND_NS
    assert (item.next_ns - item.phase_ns) % SECOND_NS == 0


def test_each_device_has_one_block_that_tells_whether_it_is_well(demo_plant):
    paying = [item for item in _items(demo_plant) if item.pays]

    assert sorted(item.unit.device.index for item in paying) == [d.index for d in demo_plant.devices]
    assert {item.group.block for item in paying} == {"fast"}


def test_a_unit_alone_behind_its_link_rests_for_a_shorter_time(demo_plant):
    alone = Field(demo_plant, poll_groups(demo_plant), OutputImage(demo_plant), SystemClock())
    together = replace(demo_plant, devices=tuple(replace(d, link=0, unit=d.index + 1) for d in demo_plant.devices))
    shared = Field(together, poll_groups(together), OutputImage(together), SystemClock())

    assert shared.links[0].units[0].breaker.rest_ns == 10 * alone.links[0].units[0].breaker.rest_ns
