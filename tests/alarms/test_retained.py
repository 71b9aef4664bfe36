"""Alarms across a restart: what stood, what waited for an acknowledge, what people did to them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.alarms.conditions import Conditions
from controller.alarms.events import EventKind
from controller.alarms.first_out import FirstOut
from controller.alarms.life_cycle import acknowledge, new_alarms, set_out_of_service, shelve, update
from controller.alarms.retained import HOLD_S, from_bytes, to_bytes
from controller.alarms.states import AlarmState, Condition
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.plant.protection_rows import Level
from controller.plant.signals import Owner

S = 10**9


@pytest.fixture
def warning(table):
    return table.row_group(Owner.RACK, "cell_voltage_high", Level.WARNING).start


@pytest.fixture
def trip(table):
    return table.row_group(Owner.RACK, "cell_voltage_high", Level.TRIP).start


def restarted(table, data, now_ns=0):
    alarms = new_alarms(table)
    assert from_bytes(table, alarms, data, now_ns) == ()
    return alarms


@pytest.fixture
def dealt_with(table, alarms, conditions, warning, trip):
    """Return what is kept of an acknowledged warning, an acknowledged latch, a shelf and one out of service."""
    conditions.state[warning] = Condition.ACTIVE
    conditions.state[trip + 1] = Condition.LATCHED
    update(table, alarms, conditions, S)
    acknowledge(table, alarms, 2 * S)
    shelve(table, alarms, warning + 2, 60.0, 3 * S)
    set_out_of_service(table, alarms, warning + 3, 3 * S, out=True)
    return to_bytes(table, alarms, 13 * S)


def test_an_acknowledged_alarm_is_not_raised_twice(table, dealt_with, warning, trip):
    alarms, conditions = restarted(table, dealt_with), Conditions(table)
    conditions.state[trip + 1] = Condition.LATCHED
    assert update(table, alarms, conditions, S) == ()
    assert alarms.state[warning] == AlarmState.ACKED_ACTIVE, "its delay runs anew"
    assert alarms.state[trip + 1] == AlarmState.LATCHED_ACKED
    conditions.state[warning] = Condition.ACTIVE
    assert update(table, alarms, conditions, 30 * S) == ()
    conditions.state[warning] = Condition.NORMAL
    (event,) = update(table, alarms, conditions, 31 * S)
    assert event.kind is EventKind.RETURNED, "held no longer"


def test_what_does_not_stand_again_returns(table, dealt_with, warning, trip):
    alarms, conditions = restarted(table, dealt_with), Conditions(table)
    conditions.state[trip + 1] = Condition.LATCHED
    assert update(table, alarms, conditions, S) == ()
    events = update(table, alarms, conditions, round(HOLD_S) * S)
    assert (EventKind.RETURNED, warning) in {(e.kind, e.code) for e in events}


def test_a_shelf_runs_on_for_what_was_left(table, dealt_with, warning, trip):
    alarms, conditions = restarted(table, dealt_with, 100 * S), Conditions(table)
    conditions.state[trip + 1] = Condition.LATCHED
    update(table, alarms, conditions, 100 * S)
    assert alarms.state[warning + 2] == AlarmState.SHELVED
    assert alarms.state[warning + 3] == AlarmState.OUT_OF_SERVICE
    update(table, alarms, conditions, 149 * S)
    assert alarms.state[warning + 2] == AlarmState.SHELVED
    update(table, alarms, conditions, 150 * S)
    assert alarms.state[warning + 2] == AlarmState.NORMAL


def test_a_changed_plant_says_what_is_lost(plant, dealt_with):
    renamed = tuple(replace(r, name="NEW") if r.index == 0 else r for r in plant.racks)
    table = AlarmTable(replace(plant, racks=renamed))
    lost = from_bytes(table, new_alarms(table), dealt_with, 0)
    assert lost == ("the alarm cell_voltage_high of B01-R01 is not kept: there is none any more",)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_json_crashes_a_start(table, content):
    for data in (b"\xff", json.dumps(content).encode(), json.dumps({"alarms": [content]}).encode()):
        alarms = new_alarms(table)
        from_bytes(table, alarms, data, 0)
        assert not alarms.held.any()


def test_nothing_retained_is_nothing_lost(table, alarms):
    assert from_bytes(table, alarms, b"", 0) == ()


@pytest.fixture
def unacknowledged(table, alarms, conditions, warning, trip):
    """Return what is kept of an alarm, a latched trip and one that is over, none of which anybody has acknowledged."""
    alarm = table.row_group(Owner.RACK, "cell_voltage_high", Level.ALARM).start
    conditions.state[[warning, alarm, trip + 1]] = Condition.ACTIVE
    conditions.value[trip + 1], conditions.cell[trip + 1] = 3.72, 17
    conditions.time_ns[trip + 1] = 5 * S
    update(table, alarms, conditions, 6 * S)
    conditions.state[alarm], conditions.state[trip + 1] = Condition.NORMAL, Condition.LATCHED
    update(table, alarms, conditions, 7 * S)
    return to_bytes(table, alarms, 10 * S)


def test_what_nobody_has_acknowledged_waits_on_after_a_restart(table, unacknowledged, warning, trip):
    alarm = table.row_group(Owner.RACK, "cell_voltage_high", Level.ALARM).start
    alarms, conditions = new_alarms(table), Conditions(table)
    assert from_bytes(table, alarms, unacknowledged, 100 * S, away_ns=20 * S) == ()
    conditions.state[trip + 1] = Condition.LATCHED
    assert update(table, alarms, conditions, 100 * S) == (), "nobody is called twice"
    assert alarms.state[warning] == AlarmState.UNACKED_ACTIVE, "it was explained by the alarm, and stood again"
    assert alarms.state[alarm] == AlarmState.RETURNED_UNACKED
    assert alarms.state[trip + 1] == AlarmState.LATCHED_UNACKED
    assert alarms.time_ns[trip + 1] == (100 - 20 - 3) * S, "since then, as before"
    assert (alarms.value[trip + 1], alarms.cell[trip + 1]) == (pytest.approx(3.72), 17)
    assert alarms.first_out[trip + 1] == FirstOut.FIRST
    assert {e.kind for e in acknowledge(table, alarms, 101 * S)} == {EventKind.ACKNOWLEDGED}
    assert alarms.state[alarm] == AlarmState.NORMAL


def test_a_trip_whose_cause_stands_is_not_called_gone_while_its_delay_runs_anew(table, alarms, conditions, trip):
    conditions.state[trip + 1] = Condition.ACTIVE
    update(table, alarms, conditions, 6 * S)
    again, conditions = restarted(table, to_bytes(table, alarms, 7 * S), 100 * S), Conditions(table)
    conditions.state[trip + 1] = Condition.LATCHED  # as protection has it until its delay is over
    assert update(table, again, conditions, 100 * S) == ()
    conditions.state[trip + 1] = Condition.ACTIVE
    assert update(table, again, conditions, 101 * S) == ()
    assert again.state[trip + 1] == AlarmState.UNACKED_ACTIVE


def test_a_trip_that_is_reset_after_the_restart_is_over_at_once(table, alarms, conditions, trip):
    conditions.state[trip + 1] = Condition.ACTIVE
    update(table, alarms, conditions, 6 * S)
    again, conditions = restarted(table, to_bytes(table, alarms, 7 * S), 100 * S), Conditions(table)
    conditions.state[trip + 1] = Condition.LATCHED
    update(table, again, conditions, 100 * S)
    conditions.state[trip + 1] = Condition.NORMAL
    update(table, again, conditions, 101 * S)
    assert again.state[trip + 1] == AlarmState.RETURNED_UNACKED


def test_a_trip_after_the_restart_is_not_the_first(table, unacknowledged, trip):
    alarms, conditions = restarted(table, unacknowledged, 100 * S), Conditions(table)
    conditions.state[trip + 1] = Condition.LATCHED
    conditions.state[trip + 2], conditions.time_ns[trip + 2] = Condition.ACTIVE, 101 * S
    update(table, alarms, conditions, 101 * S)
    assert (alarms.first_out[trip + 1], alarms.first_out[trip + 2]) == (FirstOut.FIRST, FirstOut.NO)


def test_a_second_restart_is_raised_anew(table, alarms, conditions):
    restart = table.system(SystemAlarm.CONTROL_RESTARTED)
    conditions.hold(restart, [True], S)
    update(table, alarms, conditions, S)
    again, conditions = restarted(table, to_bytes(table, alarms, 2 * S)), Conditions(table)
    assert again.state[restart.start] == AlarmState.RETURNED_UNACKED
    conditions.hold(restart, [True], 3 * S)
    (event,) = update(table, again, conditions, 3 * S)
    assert event.kind is EventKind.RAISED


def test_what_an_earlier_release_kept_is_read(table, dealt_with, warning):
    kept = json.loads(dealt_with)
    for record in kept["alarms"]:
        for name in ("since_ns", "value", "cell", "first_out", "sampled_ns", "uncertainty_ns"):
            del record[name]
    alarms = restarted(table, json.dumps(kept).encode())
    assert alarms.state[warning] == AlarmState.ACKED_ACTIVE
