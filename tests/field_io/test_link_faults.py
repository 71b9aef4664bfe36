"""Each link fault of the menu over real sockets: nothing wrong is believed, the others go on, and it ends."""

from __future__ import annotations

import pytest

from controller.image.outputs import WriteState
from controller.modbus.raw_blocks import RowState
from controller.plant.signals import Owner
from tests.field_io.rig import TIMEOUT_S, Rig, running

SICK, WELL = 0, 1
FAULTS = {
    "silent": 0.0,
    "late": 1.5 * TIMEOUT_S,
    "wrong_tid": 0.0,
    "zero_tid": 0.0,
    "wrong_unit": 0.0,
    "wrong_function": 0.0,
    "truncate": 0.0,
    "exception": 4.0,
    "garbage": 0.0,
    "rst": 0.0,
    "no_read": 0.0,
}


@pytest.fixture
def two_racks(make_rig, rack_type):
    """Return two racks, each with a port of its own."""
    return make_rig([(rack_type, 0, Owner.RACK), (rack_type, 1, Owner.RACK)])


async def _all_good(rig: Rig) -> None:
    for device in (SICK, WELL):
        await rig.more_polls(device, 1)
        assert rig.state(device) is RowState.GOOD


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_of_a_disturbed_device_is_believed_and_it_comes_back(two_racks, fault):
    two_racks.check_what_is_stored()
    async with running(two_racks) as rig:
        await _all_good(rig)
        sick = rig.devices[SICK]
        sick.disturb(fault, FAULTS[fault])
        before = rig.arrivals(SICK)
        await rig.more_polls(WELL, 10)

        if fault == "exception":
            assert rig.state(SICK) is RowState.FAILED
        else:
            assert rig.arrivals(SICK) <= before + 1
            assert not rig.field.links[SICK].connected
        sick.disturbed = []
        rig.servers.drop(SICK)
        await _all_good(rig)


async def test_a_late_answer_that_is_in_time_is_good(two_racks):
    two_racks.check_what_is_stored()
    async with running(two_racks) as rig:
        rig.devices[SICK].disturb("late", 0.5 * TIMEOUT_S)
        await _all_good(rig)

        assert rig.field.links[SICK].silences == 0


async def test_an_answer_that_only_gets_later_is_never_taken_for_another_block(two_racks):
    two_racks.check_what_is_stored()
    async with running(two_racks) as rig:
        sick = rig.devices[SICK]
        for delay_s in (0.5, 0.9, 1.1, 1.5, 2.1, 0.2):
            sick.disturb("late", delay_s * TIMEOUT_S)
            await rig.more_polls(WELL, 3)


async def test_a_device_that_flaps_stays_bad_until_it_answers_five_times_in_a_row(two_racks):
    two_racks.check_what_is_stored()
    async with running(two_racks) as rig:
        await _all_good(rig)
        sick, breaker = rig.devices[SICK], rig.field.links[SICK].units[0].breaker
        for turn in range(3):
            sick.disturb("rst")
            rig.servers.drop(SICK)
            await rig.until(lambda: breaker.is_suspect)
            before = rig.arrivals(SICK)
            sick.disturbed = []
            await rig.until(lambda: not breaker.is_suspect)
            if turn >= 1:
                assert not breaker.is_believed
                assert rig.arrivals(SICK) == before

        await _all_good(rig)
        assert rig.field.links[SICK].flapping_units == ()


async def test_a_device_that_resets_each_request_is_reached_for_once_a_second_at_most(two_racks):
    async with running(two_racks) as rig:
        rig.devices[SICK].disturb("rst")
        await rig.more_polls(WELL, 40)  # two seconds

        assert rig.field.links[SICK].connects <= 5


async def test_wrong_echoes_cost_no_reads(make_rig, pcs_type):
    rig = make_rig([(pcs_type, 0, Owner.PCS)])
    rig.check_what_is_stored()
    async with running(rig):
        pcs, requests = rig.devices[0], rig.outputs["pcs.active_power_setpoint"]
        status = rig.field.links[0]
        pcs.disturb("bad_echo")
        for n in range(3):
            requests.ask(0, 1000.0 + n)
            assert await rig.written(requests, 0) == WriteState.FAILED
            await rig.more_polls(0, 1)
            assert rig.state(0) is RowState.GOOD

        assert status.wrong_answers >= 3
        assert status.units[0].breaker.debt == 0
        assert status.lost_devices == status.flapping_units == ()


async def test_a_wrong_echo_fails_the_write_and_nothing_else(make_rig, pcs_type):
    rig = make_rig([(pcs_type, 0, Owner.PCS)])
    rig.check_what_is_stored()
    async with running(rig):
        pcs, requests = rig.devices[0], rig.outputs["pcs.active_power_setpoint"]
        pcs.disturb("bad_echo")
        requests.ask(0, 1000.0)
        assert await rig.written(requests, 0) == WriteState.FAILED

        pcs.disturbed = []
        await rig.more_polls(0, 1)
        requests.repeat(0, 1000.0)
        assert await rig.written(requests, 0) == WriteState.CONFIRMED
