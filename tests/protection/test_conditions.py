"""Protection seen by the alarm list."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.alarms.conditions import Conditions
from controller.alarms.events import EventKind
from controller.alarms.life_cycle import new_alarms, update
from controller.alarms.states import AlarmState
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.alarms.text import render
from controller.plant.protection_rows import Level, Reduction
from controller.plant.signals import Owner
from controller.protection.conditions import write_conditions
from tests.protection.conftest import CELL_VOLTAGE_HIGH

RACK = 2


def desk_of(bench):
    """Return a function that scans once and gives the new events as text, and the alarms."""
    table = AlarmTable(bench.plant)
    conditions, alarms = Conditions(table), new_alarms(table)

    def step(seconds=1.0):
        result = bench.step(seconds)
        write_conditions(bench.table, result, table, conditions, bench.now_ns)
        events = update(table, alarms, conditions, bench.now_ns)
        return [render(e, table) for e in events if e.kind not in {EventKind.SUPPRESSED, EventKind.UNSUPPRESSED}]

    step.alarms, step.table = alarms, table  # type: ignore[attr-defined] # a function that carries its desk
    return step


@pytest.fixture
def desk(bench):
    return desk_of(bench)


def test_a_trip_is_told_in_an_operators_words(bench, desk):
    assert desk() == []
    bench.set("cell.voltage", 3.72, RACK, cell=16)
    desk()
    assert desk() == ["B01-R03 cell 17 voltage high: 3.72 V >= alarm 3.55 V"]
    assert desk() == [
        "B01-R03 cell 17 voltage high: 3.72 V >= trip 3.65 V",
        "first out: B01-R03 cell 17 voltage high trip",
    ]
    bench.set("cell.voltage", 3.3, RACK)
    assert [t for n in range(5) for t in desk()] == ["B01-R03 cell 17 voltage high trip: cause gone, waits for reset"]
    trip = desk.table.row_group(Owner.RACK, "cell_voltage_high", Level.TRIP)
    assert desk.alarms.state[trip.start + RACK] == AlarmState.LATCHED_UNACKED
    bench.reset()
    assert desk() == ["B01-R03 cell 17 voltage high trip: reset"]


def test_lost_measurements_are_alarms_of_their_own(bench, desk):
    bench.silence(Owner.RACK, RACK)
    texts = [text for _ in range(30) for text in desk()]
    assert texts == [
        "B01-R03 values that protection needs are lost",
        "DC01 goes to zero power: values of its equipment stay lost",
    ]


def test_cells_without_a_value_and_dumb_interlocks_are_told(bench, desk):
    bench.image["cell.voltage"].quality[RACK, 3] = 4
    bench.spoil("interlock.healthy", 0)
    assert desk() == ["ESTOP state is not known"]  # a chain never waits
    told = [text for _ in range(15) for text in desk()]
    assert "B01-R03 cells or sensors give no value" in told  # once no cause of its silence has come
    assert "ESTOP tripped" not in told
    assert desk.alarms.state[desk.table.system(SystemAlarm.CELLS_MISSING).start + RACK] == AlarmState.UNACKED_ACTIVE


def test_the_cell_is_named_when_its_rack_was_read_after_the_bms_had_stated_the_highest(make_bench):
    bench = make_bench(replace(CELL_VOLTAGE_HIGH, also=(("rack.cell_voltage_max", Reduction.NONE),)))
    desk = desk_of(bench)
    desk()
    bench.set("rack.cell_voltage_max", 3.72, RACK)
    texts = [text for _ in range(3) for text in desk()]
    assert "B01-R03 cell voltage high: 3.72 V >= trip 3.65 V" in texts
    bench.set("cell.voltage", 3.45, RACK, cell=16)
    assert desk() == ["B01-R03 cell 17 voltage high trip: it is this one"], "also below the trip, once it is at rest"
    assert [text for _ in range(3) for text in desk()] == []
    trip = desk.table.row_group(Owner.RACK, "cell_voltage_high", Level.TRIP)
    assert desk.alarms.cell[trip.start + RACK] == 16
    assert bench.step().trips.cell[bench.element("cell_voltage_high", RACK)] == 16


def test_no_cell_is_named_that_is_well(make_bench):
    bench = make_bench(replace(CELL_VOLTAGE_HIGH, also=(("rack.cell_voltage_max", Reduction.NONE),)))
    desk = desk_of(bench)
    bench.set("rack.cell_voltage_max", 3.72, RACK)
    texts = [text for _ in range(6) for text in desk()]
    assert texts
    assert not any("it is this one" in text for text in texts)
