"""Which alarms a plant has, and how they hang together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.alarms.equipment import Axis, EquipmentList
from controller.alarms.groups import Priority
from controller.alarms.relations import NONE
from controller.alarms.system_alarms import SYSTEM_ALARMS, SystemAlarm
from controller.alarms.table import AlarmTable
from controller.plant.model import OutOfService
from controller.plant.protection_rows import Level
from controller.plant.signals import Owner


def test_every_alarm_belongs_to_exactly_one_group(table):
    seen = np.zeros(table.size, np.int64)
    for group in table.groups:
        seen[group.place] += 1
    assert (seen == 1).all()
    for alarm in range(table.size):
        group, index = table.locate(alarm)
        assert group.start + index == alarm
        assert 0 <= index < group.count


def test_every_fixed_alarm_is_defined_and_says_what_to_do(table):
    assert set(SYSTEM_ALARMS) == set(SystemAlarm)
    assert all(g.words and g.response.endswith(".") for g in table.groups)


def test_a_connection_is_called_by_what_is_behind_it_and_its_address(plant, table):
    names = table.equipment.names[Axis.LINK]
    assert names[0] == f"{plant.devices[0].name} at {plant.links[0].address}"
    shared = replace(plant, devices=tuple(replace(device, link=0) for device in plant.devices))
    first, *others = EquipmentList(shared).names[Axis.LINK]
    three = ", ".join(device.name for device in plant.devices[:3])
    assert first == f"{three} and {len(plant.devices) - 3} more at {plant.links[0].address}"
    assert others == [str(link.address) for link in plant.links[1:]]


def test_groups_are_found_by_name(table):
    trip = table.row_group(Owner.RACK, "cell_voltage_high", Level.TRIP)
    assert (trip.count, trip.priority, trip.latching, trip.shelvable) == (24, Priority.HIGH, True, False)
    assert table.find(Axis.RACK, "cell_voltage_high", Level.TRIP) is trip
    assert table.find(Axis.RACK, "no_such_row", Level.TRIP) is None
    with pytest.raises(KeyError):
        table.row_group(Owner.RACK, "data_age", Level.TRIP)


EXPLAINED = {
    (SystemAlarm.SCADA_LOST, SystemAlarm.SETPOINT_TIMED_OUT),
    (SystemAlarm.RACK_LIMITS_LOST, SystemAlarm.PROTECTION_DATA_LOST),
    ("data_age", SystemAlarm.PROTECTION_DATA_LOST),
    (SystemAlarm.LINK_LOST, SystemAlarm.FIELD_LOST),
    (SystemAlarm.RACK_OPENED_BY_ITSELF, SystemAlarm.BANK_OPENED_BY_ITSELF),
    (SystemAlarm.RACK_LEFT_OUT, SystemAlarm.RACK_OPENED_BY_ITSELF),
}


def test_each_parent_is_worse_or_explains_silence(table):
    for alarm in np.flatnonzero(table.parent != NONE):
        child, parent = table.locate(int(alarm))[0], table.locate(int(table.parent[alarm]))[0]
        same_function = (child.row, child.axis) == (parent.row, parent.axis) and child.level < parent.level
        lost = parent.name in {SystemAlarm.DEVICE_LOST, SystemAlarm.LINK_LOST}
        assert same_function or lost or (child.name, parent.name) in EXPLAINED
    assert (table.parent[table.level == Level.TRIP] == NONE).all(), "a trip is never suppressed"


def test_what_the_site_takes_out_of_service_gives_no_alarm_but_its_trips(plant):
    racks = list(plant.racks)
    racks[14] = replace(racks[14], out_of_service=OutOfService("module 4", "k.laine", ""))
    table = AlarmTable(replace(plant, racks=tuple(racks)))
    out = {table.locate(int(i))[0].name for i in np.flatnonzero(table.out_of_service)}
    assert {"cell_voltage_high", "data_age", SystemAlarm.DEVICE_LOST} <= out
    assert SystemAlarm.OUT_OF_SERVICE_OVERDUE not in out
    assert not table.out_of_service[table.level == Level.TRIP].any()


def test_the_equipment_list_numbers_everything(plant):
    equipment = EquipmentList(plant)
    assert equipment.name(0) == plant.name
    assert equipment.name(equipment.number(Axis.RACK, 13)) == "B02-R02"
    assert equipment.find(Axis.RACK, "B02-R02") == 13
    assert equipment.find(Axis.RACK, "B09-R99") is None
    assert equipment.name(len(equipment)) == f"equipment {len(equipment)}"
