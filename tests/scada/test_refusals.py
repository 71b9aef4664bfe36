"""What a face refuses by itself reaches the journal: who, what and why; bounded, whatever a client does."""

from __future__ import annotations

import asyncio

import pytest

from controller.control.commands import Action, Refusal
from controller.control.events import EventKind
from controller.image.data_periods import data_periods
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.runtime.local_plant import local_plant
from controller.scada import refusals
from controller.scada.modbus.flat_map import flat_units
from controller.scada.modbus.requests import Peer, Requests
from controller.scada.refusals import WAITING_AT_MOST, RefusalReport
from tests.scada.modbus.parts import FakePlant, fake_plant, serving

NOT_A_NUMBER = bytes.fromhex("10 0004 0002 04 7FC00000")


@pytest.fixture
def plant(demo_plant):
    return fake_plant(demo_plant)


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(refusals, "PACE_S", 0.0)
    monkeypatch.setattr(refusals, "RETRY_S", 0.01)


async def _told(plant: FakePlant, report: RefusalReport, count: int) -> list[tuple[str, str]]:
    async with serving(report.run), asyncio.timeout(20):
        while len(plant.reported) < count:
            await asyncio.sleep(0.01)
    return [(command.user, str(command.value)) for command in plant.reported]


async def test_a_write_that_modbus_refuses_is_told_with_who_where_and_what(demo_plant, plant):
    listed = point_list(demo_plant)
    units = flat_units(listed, flat_map(listed), plant.snap.image.layout, data_periods(demo_plant))
    requests = Requests(plant, units, SystemClock())
    requests.answer(2, NOT_A_NUMBER, Peer("192.0.2.7", may_write=True))
    requests.answer(2, bytes.fromhex("06 0009 0001"), Peer("192.0.2.8", may_write=False))
    requests.answer(2, bytes.fromhex("03 0000 0001"), Peer("192.0.2.8", may_write=False))  # a read is nobody's command

    assert await _told(plant, requests.refusals, 2) == [
        ("192.0.2.7", "write to unit 2, register 4, of 7FC0 0000: exception 3"),
        ("192.0.2.8", "write to unit 2, register 9, of 0001: exception 1"),
    ]


async def test_too_many_are_counted_and_told_with_the_next(plant):
    report = RefusalReport("modbus", plant, SystemClock())
    for number in range(WAITING_AT_MOST + 10_000):
        report.refused("192.0.2.7", f"write {number}")
    told = await _told(plant, report, WAITING_AT_MOST)

    assert told[0] == ("192.0.2.7", "write 0; 10000 more were refused since")
    assert told[-1] == ("192.0.2.7", f"write {WAITING_AT_MOST - 1}")


async def test_what_could_not_be_told_is_told_later(plant):
    silent = iter([Refusal.NO_COMMUNICATION, Refusal.BUSY])
    plant.answers = lambda _: next(silent, Refusal.NONE)
    report = RefusalReport("opcua", plant, SystemClock())
    report.refused("somebody", "write Plant.ActivePowerSetpoint")

    assert await _told(plant, report, 3) == [("somebody", "write Plant.ActivePowerSetpoint")] * 3


async def test_the_journal_has_it_under_the_name_of_who_tried(demo_plant):
    local = local_plant(demo_plant, seed=1)
    report = RefusalReport("opcua", local, local.clock)
    report.refused("somebody", "write Plant.ActivePowerSetpoint 'x': BadTypeMismatch")
    command = report._command(report._waiting[0])
    reply = await local.submit(command)
    result = local.advance(0.25)

    assert command.action is Action.REPORT_REFUSED
    assert not reply.accepted
    assert "BadTypeMismatch" in reply.text
    assert EventKind.COMMAND_REFUSED in {int(kind) for kind in local.events(0).records["kind"]}
    assert not result.replies
