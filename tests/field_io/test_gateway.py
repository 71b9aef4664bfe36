"""Sixteen units behind one gateway: one that is dead, wrong or unwilling takes nothing from the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.image.outputs import WriteState
from controller.modbus.raw_blocks import RowState
from controller.plant.signals import Owner
from tests.field_io.rig import TIMEOUT_S, Rig, running

UNITS, ELSEWHERE = 16, 8
SICK = 6
PERIOD_S, WINDOW_S = 0.25, 3.0  # the sick unit is tried again within the window
OTHERS = [n for n in range(UNITS) if n != SICK]
UNCONCERNED = range(UNITS, UNITS + ELSEWHERE)


@pytest.fixture(params=[1, 4], ids=["one at a time", "four in flight"])
def gateway(request, make_rig, rack_type):
    """Return sixteen racks behind one port, and eight behind another for comparison."""
    members = [(rack_type, 0, Owner.RACK)] * UNITS + [(rack_type, 1, Owner.RACK)] * ELSEWHERE
    return make_rig(members, period_s=PERIOD_S, in_flight=request.param)


def _counts(rig: Rig, devices: Iterable[int] = OTHERS) -> NDArray[np.int64]:
    return np.array([rig.arrivals(n) for n in devices])


@pytest.mark.parametrize("fault", ["silent", "garbage"])
@pytest.mark.nightly  # a rate over a window of real time: not while the machine has other work
async def test_the_others_keep_nine_tenths_of_their_rate(gateway, fault):
    gateway.check_what_is_stored()
    async with running(gateway) as rig:
        await rig.until(lambda: _counts(rig).min() >= 1)
        sick = rig.devices[SICK]
        sick.disturb(fault)
        await rig.until(lambda: rig.field.links[0].dead_units == (SICK + 1,))
        before, unconcerned, connects = _counts(rig), _counts(rig, UNCONCERNED), rig.field.links[0].connects
        await asyncio.sleep(WINDOW_S)
        polled, usual = _counts(rig) - before, _counts(rig, UNCONCERNED) - unconcerned

        assert rig.field.links[0].connected
        assert polled.mean() >= 0.9 * usual.mean()
        assert polled.min() >= 0.9 * usual.mean() - 1  # one alone may just miss the window's end
        assert rig.field.links[0].connects > connects  # it was tried again


@pytest.mark.parametrize("fault", ["silent", "garbage", "rst", "wrong_unit", "late"])
async def test_a_sick_unit_is_left_alone_and_the_others_go_on(gateway, fault):
    gateway.check_what_is_stored()
    async with running(gateway) as rig:
        await rig.until(lambda: _counts(rig).min() >= 1)
        sick = rig.devices[SICK]
        sick.disturb(fault, 5 * TIMEOUT_S)
        await rig.until(lambda: rig.field.links[0].dead_units == (SICK + 1,))
        before, connects = _counts(rig), rig.field.links[0].connects
        await rig.until(lambda: (_counts(rig) - before).min() >= 3)

        assert rig.field.links[0].connects <= connects + 2  # the one that its last failure cost, and at most one try
        assert rig.field.links[0].connected


async def test_a_unit_that_the_gateway_does_not_reach_is_silent_and_not_wrong(gateway):
    gateway.check_what_is_stored()
    async with running(gateway) as rig:
        await rig.until(lambda: rig.arrivals(SICK) >= 1)
        rig.devices[SICK].disturb("exception", 11)
        await rig.until(lambda: rig.field.links[0].dead_units == (SICK + 1,))
        before = rig.arrivals(SICK)
        await rig.more_polls(0, 3)

        assert rig.arrivals(SICK) == before
        assert rig.state(SICK) is RowState.GOOD  # it grows old by itself
        assert rig.field.links[0].wrong_identity == {}
        assert rig.field.links[0].connects == 1


async def test_a_wrong_device_is_neither_believed_nor_commanded_and_stops_nobody(gateway):
    gateway.check_what_is_stored()
    gateway.devices[SICK].identify("OTHER")
    async with running(gateway) as rig:
        await rig.until(lambda: _counts(rig).min() >= 2)
        requests = rig.outputs["rack.connect_request"]
        requests.ask(SICK, 1)
        requests.ask(0, 1)

        assert await rig.written(requests, SICK) == WriteState.FAILED
        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        assert rig.state(SICK) is RowState.FAILED
        assert rig.field.links[0].wrong_identity == {SICK: "identifies as 'OTHER', not 'GRACK-1'"}
        await rig.more_polls(0, 2)
        rig.scanned()
        await rig.more_polls(0, 2)
        assert rig.devices[SICK].writes == []
        assert len(rig.devices[SICK].asked) == 1  # it rests for ten seconds


async def test_who_is_put_right_is_believed_on_the_next_connection(gateway):
    gateway.check_what_is_stored()
    gateway.devices[SICK].identify("OTHER")
    async with running(gateway) as rig:
        await rig.until(lambda: rig.state(SICK) is RowState.FAILED)
        rig.devices[SICK].identify("GRACK-1")
        rig.servers.drop(0)
        raw, row = rig.group(SICK, "fast")
        await rig.until(lambda: len(rig.devices[SICK].asked) > 1 or raw.state[row] == RowState.GOOD)

        assert rig.field.links[0].connects == 2
