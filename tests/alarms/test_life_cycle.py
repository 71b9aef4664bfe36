"""Alarms of a whole plant, told as steps in fake time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.alarms.alarm_list import NO_PRIORITY, listed_alarm, listed_alarms
from controller.alarms.conditions import Conditions
from controller.alarms.events import EventKind
from controller.alarms.first_out import FirstOut
from controller.alarms.groups import Priority
from controller.alarms.life_cycle import (
    EXPLAINED_FOR_NS,
    EXPLAINED_WITHIN_NS,
    SHELVE_MAX_S,
    acknowledge,
    count_alarms,
    new_alarms,
    published,
    set_out_of_service,
    shelve,
    unshelve,
    update,
    why_not_shelved,
)
from controller.alarms.states import AlarmState, Condition
from controller.alarms.system_alarms import COMMUNICATION_OFF_DELAY_S, SystemAlarm
from controller.alarms.table import alarm_fields
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.plant.protection_rows import Level
from controller.plant.signals import Owner

S = 10**9
MINUTE = 60 * S
OFF_DELAY = round(COMMUNICATION_OFF_DELAY_S * S)


def group(table, level, name="cell_voltage_high"):
    return table.row_group(Owner.RACK, name, level)


def raise_row(table, conditions, level, rack, time_ns, uncertainty_ns=0):
    """Bring a rack to a level: the milder levels are active too, as protection reports it."""
    for lower in Level:
        if Level.NONE < lower <= level:
            alarm = group(table, lower).start + rack
            conditions.state[alarm] = Condition.ACTIVE
            conditions.time_ns[alarm], conditions.uncertainty_ns[alarm] = time_ns, uncertainty_ns
            conditions.value[alarm], conditions.cell[alarm] = 3.72, 16


def listed_arrays(alarms):
    return {f"alarm.{name}": getattr(alarms, name) for name in ("state", "first_out", "time_ns", "value", "cell")}


def kinds(events):
    return [e.kind for e in events]


def test_nothing_new_yields_no_event(table, alarms, conditions):
    assert update(table, alarms, conditions, 0) == ()
    assert count_alarms(table, alarms).active == (0, 0, 0)


def test_a_warning_is_raised_acknowledged_and_returns(table, alarms, conditions):
    alarm = group(table, Level.WARNING).start + 2
    raise_row(table, conditions, Level.WARNING, rack=2, time_ns=7 * S, uncertainty_ns=S)
    (event,) = update(table, alarms, conditions, 8 * S)
    assert (event.kind, event.code, event.cell, event.value) == (EventKind.RAISED, alarm, 16, 3.72)
    assert (event.mono_ns, event.uncertainty_ns) == (7 * S, S), "the sample's time, not the scan's"
    assert table.equipment.name(event.equipment) == "B01-R03"
    assert alarms.time_ns[alarm] == 8 * S
    assert alarms.value[alarm] == pytest.approx(3.72)
    assert kinds(acknowledge(table, alarms, 9 * S)) == [EventKind.ACKNOWLEDGED]
    assert acknowledge(table, alarms, 9 * S) == ()
    conditions.state[:] = Condition.NORMAL
    assert kinds(update(table, alarms, conditions, 10 * S)) == [EventKind.RETURNED]
    assert alarms.state[alarm] == AlarmState.NORMAL


def test_a_trip_suppresses_the_milder_levels_of_its_function(table, alarms, conditions):
    raise_row(table, conditions, Level.ALARM, rack=0, time_ns=S)
    update(table, alarms, conditions, S)
    assert alarms.state[group(table, Level.WARNING).start] == AlarmState.SUPPRESSED
    assert alarms.state[group(table, Level.ALARM).start] == AlarmState.UNACKED_ACTIVE
    raise_row(table, conditions, Level.TRIP, rack=0, time_ns=2 * S)
    events = update(table, alarms, conditions, 2 * S)
    assert kinds(events) == [EventKind.SUPPRESSED, EventKind.RAISED, EventKind.FIRST_OUT]
    assert count_alarms(table, alarms).active == (1, 0, 0)
    assert count_alarms(table, alarms).suppressed == 2


def test_a_latched_trip_leaves_the_list_only_by_reset_and_acknowledge(table, alarms, conditions):
    alarm = group(table, Level.TRIP).start
    raise_row(table, conditions, Level.TRIP, rack=0, time_ns=S)
    update(table, alarms, conditions, S)
    conditions.state[:] = Condition.NORMAL
    conditions.state[alarm] = Condition.LATCHED
    assert EventKind.LATCHED in kinds(update(table, alarms, conditions, 2 * S))
    acknowledge(table, alarms, 3 * S, [alarm])
    assert alarms.state[alarm] == AlarmState.LATCHED_ACKED
    assert count_alarms(table, alarms).active == (1, 0, 0)
    conditions.state[alarm] = Condition.NORMAL
    assert kinds(update(table, alarms, conditions, 4 * S)) == [EventKind.RESET]
    assert alarms.state[alarm] == AlarmState.NORMAL
    assert not alarms.first_out.any()


def test_silence_of_a_bank_is_one_alarm(table, alarms, conditions, plant):
    device = next(d for d in plant.devices if len(d.bindings) > 10)
    link_lost = table.system(SystemAlarm.LINK_LOST)
    conditions.hold_one(link_lost, device.link, active=True, now_ns=S)
    conditions.hold_one(table.system(SystemAlarm.DEVICE_LOST), device.index, active=True, now_ns=S)
    racks = np.array([rack.bank >= 0 for rack in plant.racks])
    conditions.hold(table.system(SystemAlarm.PROTECTION_DATA_LOST), racks, S)
    conditions.hold(group(table, Level.WARNING, "data_age"), racks, S)
    update(table, alarms, conditions, S)
    assert count_alarms(table, alarms).active == (0, 0, 0), "it may be the whole field: wait a moment"
    update(table, alarms, conditions, S + EXPLAINED_WITHIN_NS)
    assert count_alarms(table, alarms).active == (0, 1, 0)
    assert alarms.state[link_lost.start + device.link] == AlarmState.UNACKED_ACTIVE
    assert count_alarms(table, alarms).suppressed == 1 + 2 * racks.sum()


def test_racks_that_are_missed_before_their_bank_wait_for_it_and_come_back_after_it(table, alarms, conditions, plant):
    device = next(d for d in plant.devices if len(d.bindings) > 10)
    bank = table.system(SystemAlarm.DEVICE_LOST)
    racks = np.array([rack.bank >= 0 for rack in plant.racks])
    conditions.hold(table.system(SystemAlarm.PROTECTION_DATA_LOST), racks, S)
    assert update(table, alarms, conditions, S) == ()
    conditions.hold_one(bank, device.index, active=True, now_ns=2 * S)
    assert update(table, alarms, conditions, 2 * S) == ()
    assert update(table, alarms, conditions, S + EXPLAINED_WITHIN_NS) == (), "their cause may be found, and waits"
    raised = kinds(update(table, alarms, conditions, 2 * S + EXPLAINED_WITHIN_NS))
    assert sorted(raised) == sorted([EventKind.RAISED, *[EventKind.SUPPRESSED] * racks.sum()])

    over_ns = 60 * S + OFF_DELAY
    conditions.hold_one(bank, device.index, active=False, now_ns=60 * S)
    assert update(table, alarms, conditions, 60 * S) == ()
    still = racks & (np.arange(len(racks)) % 2 == 0)
    conditions.hold(table.system(SystemAlarm.PROTECTION_DATA_LOST), still, 61 * S)
    assert update(table, alarms, conditions, 61 * S) == ()
    assert kinds(update(table, alarms, conditions, over_ns)) == [EventKind.RETURNED]
    back = set(kinds(update(table, alarms, conditions, over_ns + S)))
    assert back == {EventKind.UNSUPPRESSED}, "half of them are back, the others may be on their way"
    late = kinds(update(table, alarms, conditions, over_ns + EXPLAINED_FOR_NS))
    assert late.count(EventKind.RAISED) == still.sum(), "what stays away has another cause"


def test_a_link_that_comes_and_goes_is_one_alarm(table, alarms, conditions):
    """Each device of a flapping I/O module was told fifteen times in two minutes."""
    unknown = table.system(SystemAlarm.POI_UNKNOWN)
    raised = []
    for second in range(120):
        conditions.hold_one(unknown, 0, active=second % 8 < 4, now_ns=second * S)
        raised += kinds(update(table, alarms, conditions, second * S))
    assert raised == [EventKind.RAISED]
    assert update(table, alarms, conditions, 116 * S + OFF_DELAY - 1) == ()
    assert kinds(update(table, alarms, conditions, 116 * S + OFF_DELAY)) == [EventKind.RETURNED]


def test_what_is_no_matter_of_communication_returns_at_once(table, alarms, conditions):
    missed = table.system(SystemAlarm.POI_MISSED)
    conditions.hold_one(missed, 0, active=True, now_ns=S)
    update(table, alarms, conditions, S)
    conditions.hold_one(missed, 0, active=False, now_ns=2 * S)
    assert kinds(update(table, alarms, conditions, 2 * S)) == [EventKind.RETURNED]


def test_one_rack_that_nothing_explains_is_raised_after_a_moment(table, alarms, conditions):
    lost = table.system(SystemAlarm.PROTECTION_DATA_LOST)
    conditions.hold_one(lost, 3, active=True, now_ns=S)
    assert update(table, alarms, conditions, S) == ()
    assert update(table, alarms, conditions, S + EXPLAINED_WITHIN_NS - 1) == ()
    assert kinds(update(table, alarms, conditions, S + EXPLAINED_WITHIN_NS)) == [EventKind.RAISED]
    conditions.hold_one(lost, 4, active=True, now_ns=10 * S)
    update(table, alarms, conditions, 10 * S)
    conditions.hold_one(lost, 4, active=False, now_ns=11 * S)
    assert update(table, alarms, conditions, 11 * S) == (), "a hiccup is none"


def test_a_silent_field_is_one_alarm_and_hides_no_trip(table, alarms, conditions):
    conditions.hold(table.system(SystemAlarm.FIELD_LOST), np.array([True]), S)
    for name in (SystemAlarm.LINK_LOST, SystemAlarm.PROTECTION_DATA_LOST, SystemAlarm.PCS_TAKES_NO_COMMAND):
        conditions.hold(table.system(name), np.array([True]), S)
    conditions.hold(table.system(SystemAlarm.PCS_TRIPPED), np.array([True]), S)
    raise_row(table, conditions, Level.TRIP, rack=0, time_ns=S)
    update(table, alarms, conditions, S)
    standing = {table.locate(int(a))[0].name for a in listed_alarms(table, listed_arrays(alarms))}
    assert standing == {SystemAlarm.FIELD_LOST, SystemAlarm.PCS_TRIPPED, "cell_voltage_high"}


def test_what_is_gone_never_pushes_out_what_stands(table, alarms, conditions):
    gone, stands = group(table, Level.ALARM).start + 1, group(table, Level.WARNING).start
    conditions.state[[gone, stands]] = Condition.ACTIVE
    update(table, alarms, conditions, S)
    assert listed_alarms(table, listed_arrays(alarms)).tolist() == [gone, stands]
    conditions.state[gone] = Condition.NORMAL
    update(table, alarms, conditions, 2 * S)
    assert listed_alarms(table, listed_arrays(alarms)).tolist() == [stands, gone]
    acknowledge(table, alarms, 3 * S, [stands])
    assert listed_alarms(table, listed_arrays(alarms)).tolist() == [stands, gone]


def test_shelving_ends_by_time_and_shows_the_alarm_again(table, alarms, conditions):
    alarm = group(table, Level.WARNING).start
    raise_row(table, conditions, Level.WARNING, rack=0, time_ns=0)
    update(table, alarms, conditions, 0)
    assert kinds(shelve(table, alarms, alarm, 60.0, S)) == [EventKind.SHELVED]
    assert count_alarms(table, alarms).active == (0, 0, 0)
    assert update(table, alarms, conditions, 60 * S) == ()
    assert kinds(update(table, alarms, conditions, 61 * S)) == [EventKind.UNSHELVED, EventKind.RAISED]
    shelve(table, alarms, alarm, 60.0, 62 * S)
    conditions.state[:] = Condition.NORMAL
    update(table, alarms, conditions, 63 * S)
    assert kinds(unshelve(table, alarms, alarm, 64 * S)) == [EventKind.UNSHELVED]
    assert alarms.state[alarm] == AlarmState.NORMAL


def test_a_trip_is_never_shelved_and_nothing_for_longer_than_a_shift(table, alarms):
    trip, warning = group(table, Level.TRIP).start, group(table, Level.WARNING).start
    assert why_not_shelved(table, trip, 60.0) == "a trip can't be shelved"
    assert "at most 8 h" in why_not_shelved(table, warning, SHELVE_MAX_S + 1)
    assert "at most 8 h" in why_not_shelved(table, warning, 0.0)
    assert why_not_shelved(table, warning, SHELVE_MAX_S) == ""
    with pytest.raises(AssertionError):
        shelve(table, alarms, trip, 60.0, 0)


def test_an_alarm_out_of_service_is_hidden_until_it_returns(table, alarms, conditions):
    alarm = group(table, Level.WARNING).start
    assert kinds(set_out_of_service(table, alarms, alarm, 0, out=True)) == [EventKind.TAKEN_OUT_OF_SERVICE]
    raise_row(table, conditions, Level.WARNING, rack=0, time_ns=S)
    assert update(table, alarms, conditions, S) == ()
    assert count_alarms(table, alarms).out_of_service == 1
    events = set_out_of_service(table, alarms, alarm, 2 * S, out=False)
    assert kinds(events) == [EventKind.RETURNED_TO_SERVICE, EventKind.RAISED]


def test_what_the_grid_does_is_first_out_whenever_its_alarm_comes(table, alarms, conditions):
    """At 63 Hz the converters stopped 0.75 s before the grid's alarm came, and were named as the cause."""
    tripped, grid = table.system(SystemAlarm.PCS_TRIPPED), table.system(SystemAlarm.GRID_FREQUENCY_OUTSIDE)
    conditions.hold(tripped, np.array([True, True]), 10 * S)
    update(table, alarms, conditions, 10 * S)
    assert alarms.first_out[tripped.place].tolist() == [FirstOut.FIRST] * 2, "nothing else is known yet"
    conditions.hold_one(grid, 0, active=True, now_ns=11 * S)
    events = update(table, alarms, conditions, 11 * S)
    assert [(e.kind, e.code) for e in events][-1] == (EventKind.FIRST_OUT, grid.start)
    assert alarms.first_out[tripped.place].tolist() == [FirstOut.NO] * 2
    assert alarms.first_out[grid.start] == FirstOut.FIRST
    assert listed_alarms(table, listed_arrays(alarms))[0] == grid.start, "the first to look at"

    conditions.state[:] = Condition.NORMAL
    update(table, alarms, conditions, 60 * S)
    acknowledge(table, alarms, 61 * S)
    assert not alarms.first_out.any()
    conditions.hold_one(grid, 0, active=True, now_ns=70 * S)
    update(table, alarms, conditions, 70 * S)
    assert not alarms.first_out.any(), "without a trip there is no episode"


def test_the_earliest_trip_of_a_block_is_marked_first_out(table, alarms, conditions):
    trips = group(table, Level.TRIP).start
    raise_row(table, conditions, Level.TRIP, rack=1, time_ns=5 * S, uncertainty_ns=S // 10)
    update(table, alarms, conditions, 6 * S)
    raise_row(table, conditions, Level.TRIP, rack=2, time_ns=7 * S, uncertainty_ns=S // 10)
    raise_row(table, conditions, Level.TRIP, rack=13, time_ns=4 * S, uncertainty_ns=S // 10)
    update(table, alarms, conditions, 8 * S)
    marks = alarms.first_out[trips : trips + 24]
    assert marks[1] == FirstOut.FIRST
    assert marks[2] == FirstOut.NO
    assert marks[13] == FirstOut.FIRST, "another block is another episode"
    conditions.state[trips + 1] = Condition.NORMAL
    update(table, alarms, conditions, 9 * S)
    assert alarms.first_out[trips + 1] == FirstOut.FIRST, "it stays marked while the episode lasts"


def test_trips_closer_than_their_uncertainty_are_all_named(table, alarms, conditions):
    raise_row(table, conditions, Level.TRIP, rack=1, time_ns=5 * S, uncertainty_ns=S)
    raise_row(table, conditions, Level.TRIP, rack=2, time_ns=6 * S, uncertainty_ns=S)
    raise_row(table, conditions, Level.TRIP, rack=3, time_ns=9 * S, uncertainty_ns=S)
    events = update(table, alarms, conditions, 10 * S)
    first = [e for e in events if e.kind is EventKind.FIRST_OUT]
    assert [table.equipment.name(e.equipment) for e in first] == ["B01-R02", "B01-R03"]
    assert {e.value for e in first} == {2.0}
    trips = group(table, Level.TRIP).start
    assert alarms.first_out[trips + 1 : trips + 4].tolist() == [FirstOut.UNDECIDABLE] * 2 + [FirstOut.NO]


def test_eleven_alarms_in_ten_minutes_are_a_flood_until_fewer_than_five(table, alarms, conditions):
    for rack in range(11):
        raise_row(table, conditions, Level.WARNING, rack, time_ns=0)
        events = update(table, alarms, conditions, rack * S)
        assert (EventKind.FLOOD_STARTED in kinds(events)) == (rack == 10)
    assert alarms.flooded[0] == 1
    assert update(table, alarms, conditions, 10 * MINUTE + 5 * S) == ()
    assert kinds(update(table, alarms, conditions, 10 * MINUTE + 6 * S)) == [EventKind.FLOOD_ENDED]
    assert alarms.flooded[0] == 0


def test_a_latching_system_alarm_waits_for_its_release(table, alarms, conditions):
    latching = group(table, Level.TRIP)
    conditions.hold_one(latching, 3, active=True, now_ns=S, value=3.7)
    conditions.hold_one(latching, 3, active=False, now_ns=2 * S)
    assert conditions.state[latching.start + 3] == Condition.LATCHED
    assert conditions.value[latching.start + 3] == 3.7
    conditions.release(latching)
    assert not conditions.state.any()


def test_the_state_lives_in_the_image(plant, table, conditions):
    image = Image(plant_layout(plant, alarm_fields(plant)))
    alarms = new_alarms(table, image.arrays)
    raise_row(table, conditions, Level.WARNING, rack=0, time_ns=0)
    update(table, alarms, conditions, 0)
    assert image.array("alarm.state")[group(table, Level.WARNING).start] == AlarmState.UNACKED_ACTIVE


def test_the_plants_counts_are_published(table, alarms, conditions):
    raise_row(table, conditions, Level.TRIP, rack=0, time_ns=0)
    conditions.hold(table.system(SystemAlarm.SCADA_LOST), np.array([True]), 0)
    update(table, alarms, conditions, 0)
    values = {name: value for name, value, _ in published(count_alarms(table, alarms))}
    counts = {name: value for name, value in values.items() if name.endswith("_alarms")}
    assert counts == {"plant.active_alarms": 2, "plant.unacknowledged_alarms": 2}
    assert values["plant.alarm_priority"] == Priority.HIGH
    assert values["rack.alarm_priority"].tolist() == [Priority.HIGH] + [NO_PRIORITY] * 23
    assert values["pcs.alarm_priority"].tolist() == [NO_PRIORITY] * 2


def test_each_change_of_the_list_is_counted(table, alarms, conditions):
    before = count_alarms(table, alarms)
    assert (before.changes, before.highest_of_all) == (0, NO_PRIORITY)
    assert count_alarms(table, alarms, before).changes == 1


def test_what_waits_for_an_acknowledge_is_listed_first_then_by_priority(table, alarms, conditions):
    raise_row(table, conditions, Level.TRIP, rack=5, time_ns=0)
    update(table, alarms, conditions, 0)
    acknowledge(table, alarms, 1)
    raise_row(table, conditions, Level.WARNING, rack=0, time_ns=0)
    raise_row(table, conditions, Level.ALARM, rack=2, time_ns=0)
    update(table, alarms, conditions, 2)
    arrays = listed_arrays(alarms)
    listed = [listed_alarm(table, arrays, int(a)) for a in listed_alarms(table, arrays)]
    assert [(a.equipment, a.priority) for a in listed] == [
        ("B01-R03", Priority.MEDIUM),
        ("B01-R01", Priority.LOW),
        ("B01-R06", Priority.HIGH),
    ]
    assert listed[0].text.startswith("B01-R03 ")
    assert listed[2].state is AlarmState.ACKED_ACTIVE
    assert all(a.response for a in listed)


STEPS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["active", "normal", "ack", "shelve", "wait"])))


@given(STEPS)
def test_events_alone_tell_what_stands(table, steps):
    """Whoever follows the events knows which alarms stand, without ever seeing the table."""
    alarms, conditions = new_alarms(table), Conditions(table)
    standing: set[int] = set()
    now_ns = 0
    for alarm, step in steps:
        now_ns += S
        conditions.state[alarm] = {"active": 2, "normal": 0}.get(step, conditions.state[alarm])
        if step == "ack":
            acknowledge(table, alarms, now_ns, [alarm])
        elif step == "shelve" and not why_not_shelved(table, alarm, 5.0):
            _follow(standing, shelve(table, alarms, alarm, 5.0, now_ns))
        _follow(standing, update(table, alarms, conditions, now_ns))
    shown = {int(i) for i in np.flatnonzero(np.isin(alarms.state, [1, 2]))}
    assert standing == shown


def _follow(standing, events):
    ends = {EventKind.RETURNED, EventKind.SHELVED, EventKind.SUPPRESSED}
    for event in events:
        if event.kind is EventKind.RAISED:
            standing.add(event.code)
        elif event.kind in ends:
            standing.discard(event.code)
