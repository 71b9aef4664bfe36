"""Writes over real sockets: once, verified, only to who has proved who he is; watchdogs are fed by scans alone."""

from __future__ import annotations

import asyncio

import pytest

from controller.field_io.errors import LinkDownError
from controller.field_io.line import Line
from controller.field_io.link_status import REFUSAL_STANDS_NS
from controller.field_io.poller import Poller
from controller.image.outputs import WriteState
from controller.modbus.pdu import READS
from controller.plant.signals import Owner
from tests.field_io.rig import Rig, running

SETPOINT, OPERATION, HEARTBEAT = 0, 4, 6
"""Addresses of the generic converter."""


@pytest.fixture
def pcs_rig(make_rig, pcs_type):
    """Return one converter with a port of its own."""
    rig = make_rig([(pcs_type, 0, Owner.PCS)])
    rig.check_what_is_stored()
    return rig


def _written_at(rig: Rig, address: int) -> list[bytes]:
    return [r.data for r in rig.devices[0].writes if r.address == address]


async def test_a_request_is_written_once_and_confirmed(pcs_rig):
    async with running(pcs_rig) as rig:
        requests = rig.outputs["pcs.operation"]
        requests.ask(0, 1)

        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        for _ in range(5):
            rig.scanned()
            await rig.more_polls(0, 1)
        assert _written_at(rig, OPERATION) == [b"\x00\x01"]


async def test_nothing_is_written_before_the_device_has_said_who_it_is(pcs_rig):
    async with running(pcs_rig) as rig:
        requests = rig.outputs["pcs.operation"]
        requests.ask(0, 1)
        await rig.written(requests, 0)

        first = rig.devices[0].asked[0]
        assert (first.function, first.address) == (4, 0)
        assert first.function in READS


async def test_a_set_point_is_read_back(pcs_rig):
    async with running(pcs_rig) as rig:
        requests = rig.outputs["pcs.active_power_setpoint"]
        requests.ask(0, -250_000.0)
        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        assert _written_at(rig, SETPOINT) == [(-250_000).to_bytes(4, signed=True)]

        rig.devices[0].holds_what_is_written = False
        requests.ask(0, 1000.0)
        assert await rig.written(requests, 0) == WriteState.FAILED
        assert "holds ff fc 2f 70" in rig.field.links[0].last_error


async def test_a_refused_write_has_failed_and_is_not_repeated(pcs_rig):
    async with running(pcs_rig) as rig:
        await rig.more_polls(0, 1)
        requests = rig.outputs["pcs.operation"]
        rig.devices[0].disturb("exception", 4)
        requests.ask(0, 1)

        assert await rig.written(requests, 0) == WriteState.FAILED
        assert rig.field.links[0].connects == 1


async def test_a_refusal_is_told_while_it_is_asked_and_not_for_ever(pcs_rig):
    """A stop that was refused stood as an alarm for good once the converter was not to stop any more."""
    async with running(pcs_rig) as rig:
        await rig.more_polls(0, 1)
        requests, link = rig.outputs["pcs.operation"], rig.field.links[0]
        rig.devices[0].disturb("exception", 4)
        requests.ask(0, 0)
        await rig.written(requests, 0)
        refused_ns = next(iter(link.units[0].refused_ns.values()))
        assert link.refusing_devices(refused_ns + REFUSAL_STANDS_NS - 1) == (0,)
        assert link.refusing_devices(refused_ns + REFUSAL_STANDS_NS) == ()

        rig.devices[0].disturbed = []
        await rig.more_polls(0, 1)
        requests.ask(0, 1)
        await rig.written(requests, 0)
        assert link.refusing_devices(refused_ns) == ()


async def test_what_a_silent_device_was_not_told_is_no_refusal(pcs_rig, monkeypatch):
    """`late PCS01 1.5s`, then `clear`: the stop that never reached it was told as refused, for ever."""
    monkeypatch.setattr("controller.field_io.write_items.WRITTEN_WITHIN_NS", 300_000_000)
    async with running(pcs_rig) as rig:
        await rig.more_polls(0, 1)
        requests, link = rig.outputs["pcs.operation"], rig.field.links[0]
        rig.devices[0].disturb("late", 10.0)
        await rig.until(lambda: link.dead_units == (1,))
        requests.ask(0, 0)
        assert await rig.written(requests, 0) == WriteState.FAILED
        assert link.refusing_devices(0) == ()


async def test_a_write_that_is_not_answered_has_failed_and_is_never_sent_again(pcs_rig):
    async with running(pcs_rig) as rig:
        requests = rig.outputs["pcs.operation"]
        await rig.more_polls(0, 1)
        rig.devices[0].disturb("late", 10.0)  # it is carried out all the same
        requests.ask(0, 1)

        assert await rig.written(requests, 0) == WriteState.FAILED
        rig.devices[0].disturbed = []
        await rig.more_polls(0, 1)
        assert _written_at(rig, OPERATION) == [b"\x00\x01"]


async def test_the_newest_issue_is_what_counts(pcs_rig):
    async with running(pcs_rig) as rig:
        requests = rig.outputs["pcs.operation"]
        requests.ask(0, 1)
        requests.ask(0, 0)
        requests.ask(0, 1)
        requests.ask(0, 2)

        assert await rig.written(requests, 0) == WriteState.CONFIRMED
        assert _written_at(rig, OPERATION) == [b"\x00\x02"]


async def test_what_cannot_be_said_to_the_device_has_failed(pcs_rig):
    async with running(pcs_rig) as rig:
        requests = rig.outputs["pcs.active_power_setpoint"]
        requests.ask(0, float("nan"))

        assert await rig.written(requests, 0) == WriteState.FAILED
        assert "is no number" in rig.field.links[0].last_error


async def test_what_no_device_serves_is_marked(pcs_rig):
    async with running(pcs_rig) as rig:
        assert rig.outputs["pcs.operation"].state.tolist() == [WriteState.NONE, WriteState.NOT_SERVED]
        assert set(rig.outputs["rack.connect_request"].state.tolist()) == {WriteState.NOT_SERVED}


async def test_a_request_that_could_not_be_delivered_in_time_never_is(pcs_rig, monkeypatch):
    monkeypatch.setattr("controller.field_io.write_items.WRITTEN_WITHIN_NS", 300_000_000)
    async with running(pcs_rig) as rig:
        await rig.more_polls(0, 1)
        requests, pcs = rig.outputs["pcs.operation"], rig.devices[0]
        pcs.disturb("silent")
        await rig.until(lambda: rig.field.links[0].dead_units == (1,))
        asked = len(pcs.asked)
        requests.ask(0, 1)
        assert await rig.written(requests, 0) == WriteState.FAILED

        pcs.disturbed = []
        await rig.more_polls(0, 1)
        assert [r for r in pcs.asked[asked:] if r.address == OPERATION and r.function not in READS] == []


async def test_watchdogs_are_fed_by_scans_alone(pcs_rig):
    async with running(pcs_rig) as rig:
        await rig.more_polls(0, 5)
        assert _written_at(rig, HEARTBEAT) == []

        rig.scanned()
        await rig.until(lambda: len(_written_at(rig, HEARTBEAT)) == 1)
        await rig.more_polls(0, 15)  # longer than the heartbeat's period
        assert len(_written_at(rig, HEARTBEAT)) == 1

        rig.scanned()
        await rig.until(lambda: _written_at(rig, HEARTBEAT) == [b"\x00\x01", b"\x00\x02"])


async def test_a_withheld_heartbeat_is_not_written(pcs_rig):
    async with running(pcs_rig) as rig:
        rig.field.withheld[0] = True
        rig.scanned()
        await rig.more_polls(0, 15)
        assert _written_at(rig, HEARTBEAT) == []

        rig.field.withheld[0] = False
        rig.scanned()
        await rig.until(lambda: _written_at(rig, HEARTBEAT) == [b"\x00\x01"])


async def test_a_volatile_set_point_is_refreshed_by_scans_alone(pcs_rig):
    async with running(pcs_rig) as rig:
        requests = rig.outputs["pcs.active_power_setpoint"]
        requests.ask(0, 1000.0)
        await rig.written(requests, 0)
        await rig.more_polls(0, 15)  # longer than the refresh's period
        assert len(_written_at(rig, SETPOINT)) == 1

        rig.scanned()
        await rig.until(lambda: len(_written_at(rig, SETPOINT)) == 2)


async def test_a_failed_set_point_heals_by_its_refresh(pcs_rig):
    async with running(pcs_rig) as rig:
        requests, pcs = rig.outputs["pcs.active_power_setpoint"], rig.devices[0]
        pcs.holds_what_is_written = False
        requests.ask(0, 1000.0)
        assert await rig.written(requests, 0) == WriteState.FAILED

        pcs.holds_what_is_written = True
        await rig.more_polls(0, 12)
        rig.scanned()
        await rig.until(lambda: requests.state[0] == WriteState.CONFIRMED)


async def test_a_write_does_not_wait_for_a_long_poll(make_rig, pcs_type, rack_type):
    """All blocks of a rack take 13 reads; the device takes its time for each."""
    rig = make_rig([(rack_type, 0, Owner.RACK)], timeout_s=1.0)
    async with running(rig):
        await rig.more_polls(0, 1, "slow")
        rack, requests = rig.devices[0], rig.outputs["rack.connect_request"]
        rack.disturb("late", 0.05)
        start = len(rack.asked)
        await rig.until(lambda: any(r.address == 600 for r in rack.asked[start:]))  # in the middle of the slow block
        requests.ask(0, 1)
        await rig.written(requests, 0)

        asked = [r.address for r in rack.asked[start:]]
        after = asked[asked.index(600) :]
        assert after.index(0) <= 2
        await asyncio.sleep(0.1)


async def test_what_is_asked_while_nobody_listens_fails_and_names_the_reason(pcs_rig, monkeypatch):
    monkeypatch.setattr("controller.field_io.write_items.WRITTEN_WITHIN_NS", 100_000_000)
    async with running(pcs_rig) as rig:
        await rig.more_polls(0, 1)
        await rig.servers.close()
        await rig.until(lambda: not rig.field.links[0].connected)
        requests = rig.outputs["pcs.operation"]
        requests.ask(0, 1)

        assert await rig.written(requests, 0) == WriteState.FAILED
        assert rig.field.links[0].last_error == "connection refused"


async def test_a_device_that_is_too_busy_to_say_who_it_is_gets_no_command(pcs_rig):
    pcs_rig.devices[0].disturb("exception", 6)
    async with running(pcs_rig) as rig:
        await rig.until(lambda: "can't be identified now" in rig.field.links[0].last_error)
        requests = rig.outputs["pcs.operation"]
        requests.ask(0, 1)

        assert await rig.written(requests, 0) == WriteState.FAILED
        assert rig.field.links[0].wrong_identity == {}
        assert rig.devices[0].writes == []


async def test_a_device_without_the_register_that_names_it_is_wrong(pcs_rig):
    pcs_rig.devices[0].disturb("exception", 2)
    async with running(pcs_rig) as rig:
        await rig.until(lambda: rig.field.links[0].wrong_identity != {})

        assert "refuses to be identified: exception 2" in rig.field.links[0].wrong_identity[0]


async def test_a_device_that_the_gateway_never_reached_is_dead_and_not_wrong(pcs_rig):
    pcs_rig.devices[0].disturb("exception", 11)
    async with running(pcs_rig) as rig:
        await rig.until(lambda: rig.field.links[0].dead_units == (1,))

        assert rig.field.links[0].wrong_identity == {}
        assert rig.field.links[0].connects == 1


@pytest.mark.parametrize("moments", range(6))
async def test_a_stop_that_comes_as_the_connection_is_lost_is_heard(pcs_rig, monkeypatch, moments):
    lost = asyncio.Event()

    async def until_lost(_poller: Poller, _line: Line) -> None:
        await lost.wait()
        raise LinkDownError("lost")

    monkeypatch.setattr(Poller, "run", until_lost)
    await pcs_rig.listen()
    async with asyncio.TaskGroup() as group:
        work = group.create_task(pcs_rig.field.run())
        await pcs_rig.until(lambda: pcs_rig.field.links[0].connects == 1)
        await asyncio.sleep(0.01)
        lost.set()
        for _ in range(moments):
            await asyncio.sleep(0)
        work.cancel()
        done, _ = await asyncio.wait({work}, timeout=5.0)
        await pcs_rig.servers.close()
        assert done
