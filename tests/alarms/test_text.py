"""Events in an operator's words."""

from __future__ import annotations

import pytest

from controller.alarms.events import EventKind, EventRecord
from controller.alarms.groups import unit_of
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.text import quantity_text, render, response
from controller.plant.protection_rows import Direction, Level, ProtectionRow, Reduction, ResetClass
from controller.plant.signals import Owner


def event(table, group, index, kind=EventKind.RAISED, **values):
    alarm = group.start + index
    return EventRecord(kind, alarm, int(table.equipment_number[alarm]), group.level, 0, **values)


def test_a_trip_names_rack_cell_value_and_limit(table):
    trip = table.row_group(Owner.RACK, "cell_voltage_high", Level.TRIP)
    raised = event(table, trip, 2, cell=16, value=3.72, limit=3.65)
    assert render(raised, table) == "B01-R03 cell 17 voltage high: 3.72 V >= trip 3.65 V"
    assert response(raised, table).startswith("The rack is disconnected")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (EventKind.RETURNED, 0.0, "B01-R03 gives no usable value warning: returned to normal"),
        (EventKind.ACKNOWLEDGED, 0.0, "B01-R03 gives no usable value warning: acknowledged"),
        (EventKind.FIRST_OUT, 1.0, "first out: B01-R03 gives no usable value warning"),
        (EventKind.FIRST_OUT, 2.0, "first out of 2, order not decidable: B01-R03 gives no usable value warning"),
        (EventKind.FLOOD_STARTED, 0.0, "alarm flood began: more than ten alarms in ten minutes"),
        (EventKind.RAISED, 6.2, "B01-R03 gives no usable value: 6.2 s >= warning 5.0 s"),
    ],
)
def test_every_kind_has_words(table, kind, value, text):
    group = table.row_group(Owner.RACK, "data_age", Level.WARNING)
    assert render(event(table, group, 2, kind, value=value, limit=5.0), table) == text


@pytest.mark.parametrize("kind", EventKind)
def test_no_kind_is_forgotten(table, kind):
    assert render(event(table, table.groups[0], 0, kind), table)


def test_system_alarms_speak_for_themselves(table):
    lost = event(table, table.system(SystemAlarm.DEVICE_LOST), 0)
    assert render(lost, table) == f"{table.equipment.name(lost.equipment)} does not answer"
    following = table.system(SystemAlarm.PCS_NOT_FOLLOWING)
    assert render(event(table, following, 0, value=110e3), table) == "PCS01 does not follow its command: 110.0 kW"
    short = event(table, table.system(SystemAlarm.CELL_INTERNAL_SHORT), 0, cell=4, value=30.0)
    assert render(short, table) == "B01-R01 cell 5 internal short suspected: 30 ohm"


def test_what_became_of_a_system_alarm_stands_before_its_sentence(table):
    unknown = table.system(SystemAlarm.INTERLOCK_UNKNOWN)
    name = table.equipment.names[unknown.axis][0]
    assert render(event(table, unknown, 0, EventKind.RETURNED), table) == f"over: {name} {unknown.words}"
    assert render(event(table, unknown, 0, EventKind.ACKNOWLEDGED), table) == f"acknowledged: {name} {unknown.words}"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(3.654, "V", "3.65 V"), (500e3, "ohm", "500 kohm"), (12.0, "W", "12 W"), (1.5, "K/min", "1.5 K/min")],
)
def test_quantities_are_read_in_fitting_units(value, unit, text):
    assert quantity_text(value, unit) == text


@pytest.mark.parametrize(
    ("signal", "reduction", "unit"),
    [
        ("cell.voltage", Reduction.HIGHEST, "V"),
        ("cell.temperature", Reduction.SPREAD, "K"),
        ("rack.cell_temperature_max", Reduction.RATE, "K/min"),
        ("rack.voltage", Reduction.AGE, "s"),
        ("interlock.healthy", Reduction.NONE, ""),
    ],
)
def test_the_unit_follows_signal_and_reduction(signal, reduction, unit):
    row = ProtectionRow("x", Owner.RACK, signal, Direction.HIGH, reduction, (), 0.0, 0.0, ResetClass.AUTO)
    assert unit_of(row) == unit
