"""Commands: rights, targets, types, and that stops are never refused."""

from __future__ import annotations

import pytest

from controller.control.commands import OWN_FACE, STOPS, Action, Refusal
from controller.control.events import EventKind
from controller.control.sequences.plant import PlantState
from controller.image.quality import Quality

RACK = "Plant.Block01.Rack04"
TARGETS = dict.fromkeys((Action.CONNECT, Action.DISCONNECT, Action.RESET_TRIP, Action.LOCK_OUT), RACK)
TARGETS[Action.REMOVE_LOCK_OUT] = RACK


@pytest.mark.parametrize("role", ["viewer", "", "root"])
@pytest.mark.parametrize("action", list(Action))
def test_without_the_right_everything_is_refused(rig, action, role):
    assert rig.ask(action, 0.0, TARGETS.get(action, "Plant"), role=role).refusal is Refusal.NO_RIGHT


@pytest.mark.parametrize("role", ["operator", "engineer", "service"])
@pytest.mark.parametrize("action", sorted(STOPS))
def test_stops_are_accepted_in_every_state_at_any_age(rig, action, role):
    old = -10_000_000_000_000
    for sequence in PlantState:
        rig.state.plant.sequence = sequence
        value = "a reason" if action is Action.LOCK_OUT else None
        assert rig.ask(action, value, TARGETS.get(action, "Plant"), role=role, issued_mono_ns=old).accepted


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("target", ["", "Plant.Block99", "plant", "Plant.GRID"])
def test_an_unknown_target_is_refused(rig, action, target):
    assert rig.ask(action, 0.0, target).refusal is Refusal.UNKNOWN_TARGET


def test_an_action_on_the_wrong_kind_of_equipment_is_refused(running):
    assert running.ask(Action.START, target=RACK).refusal is Refusal.UNKNOWN_TARGET
    assert running.ask(Action.CONNECT).refusal is Refusal.UNKNOWN_TARGET


@pytest.mark.parametrize("order", [(Action.START, Action.FAST_STOP), (Action.FAST_STOP, Action.START)])
def test_a_fast_stop_wins_over_a_start_of_the_same_scan(running, order):
    result = running.scan(*(running.command(action) for action in order))
    assert len({reply.id for reply in result.replies}) == 2
    assert not running.field.pcs_w.any()
    assert running.ask(Action.START).refusal is Refusal.WRONG_STATE


def test_of_a_start_and_a_later_stop_the_stop_stands(running):
    running.scan(running.command(Action.START), running.command(Action.STOP))
    assert running.run(30.0).plant.operating_state == 1


def kinds(rig) -> list[EventKind]:
    return [e.kind for e in rig.result.events]


def test_commands_leave_events_with_their_actor_and_cyclic_ones_only_when_something_changes(running):
    running.ask(Action.SET_ACTIVE_POWER, 9e9, user="bert")
    refused = running.result.events
    assert [(e.kind, e.actor) for e in refused] == [(EventKind.COMMAND_REFUSED, "opcua:bert")]
    assert "expected" in refused[0].text
    running.ask(Action.SET_ACTIVE_POWER, 9e9, user="bert")
    assert kinds(running) == [], "the same refusal again"
    running.ask(Action.SET_ACTIVE_POWER, 1e5)
    assert kinds(running) == [EventKind.SETPOINT_ACCEPTED]
    running.ask(Action.SET_ACTIVE_POWER, 1e5)
    assert kinds(running) == []
    running.ask(Action.SCADA_HEARTBEAT, 1)
    assert kinds(running) == []
    running.ask(Action.SET_EXPORT_LIMIT, 1e6)
    assert kinds(running) == [EventKind.LIMIT_CHANGED]
    running.ask(Action.SET_EXPORT_LIMIT, 1e6)
    assert kinds(running) == []
    running.ask(Action.ACKNOWLEDGE_ALARMS)
    assert kinds(running) == [EventKind.COMMAND_ACCEPTED]


def test_start_names_what_is_missing(make_rig):
    rig = make_rig(auto_start=False)
    rig.run(3)
    rig.field.image["interlock.healthy"].quality[:] = Quality.GOOD
    rig.field.healthy[1] = 0
    rig.protection.plant_stop = True
    rig.protection.pcs_stop[:] = True
    refused = rig.ask(Action.START)
    assert refused.refusal is Refusal.WRONG_STATE
    for words in ("FIRE01", "protection's stop", "no converter"):
        assert words in refused.text
    assert rig.ask(Action.RESET_TRIPS).refusal is Refusal.WRONG_STATE
    rig.field.healthy[1] = 1
    rig.protection.plant_stop = False
    rig.protection.pcs_stop[:] = False
    rig.run(2)
    assert rig.ask(Action.START).accepted


def test_start_is_accepted_again_while_starting_or_running_and_refused_while_stopping(make_rig):
    rig = make_rig(auto_start=False, ramp_w_per_s=1e5, setpoint_timeout_s=600.0)
    rig.run(3)
    assert rig.ask(Action.START).accepted
    assert rig.ask(Action.START).accepted
    rig.start()
    assert rig.ask(Action.START).accepted
    rig.setpoint(1e6)
    rig.run(10)
    rig.ask(Action.STOP)
    assert rig.ask(Action.START).refusal is Refusal.WRONG_STATE


def test_resets_are_handed_on_with_the_role_and_bms_trips_are_reset_at_their_source(running):
    running.field.tripped[3] = True
    running.run(2)
    running.ask(Action.RESET_TRIP, target=RACK, role="engineer")
    assert running.result.forwarded.resets == [(3, "engineer")]
    assert not running.field.tripped[3]
    running.scan()
    running.scan()
    assert running.state.outputs["rack.reset_request"].value[3] == 0.0, "taken back, so that the next is an edge"
    running.ask(Action.RESET_TRIPS)
    assert running.result.forwarded.resets == [(-1, "operator")]


def test_acknowledging_is_handed_on(running):
    assert running.ask(Action.ACKNOWLEDGE_ALARMS).accepted
    assert running.result.forwarded.acknowledge


@pytest.mark.parametrize("reason", [None, "", "  ", "x" * 201, 7])
def test_a_lock_out_needs_a_reason_of_bounded_length(running, reason):
    refused = running.ask(Action.LOCK_OUT, reason, RACK)
    assert refused.refusal in {Refusal.OUT_OF_RANGE, Refusal.WRONG_TYPE}
    assert "reason" in refused.text
    assert 3 not in running.state.lock_outs


def test_the_longest_reason_is_kept_whole(running):
    assert running.ask(Action.LOCK_OUT, "x" * 200, RACK).accepted
    assert running.state.lock_outs[3][0].reason == "x" * 200


def test_replies_carry_the_number_of_the_scan(running):
    first, second = running.setpoint(1.0), running.setpoint(2.0)
    assert second.sequence == first.sequence + 1


@pytest.mark.parametrize("value", [-1, 2**32, 1.5e300, "1", None])
def test_a_heartbeat_that_is_no_counter_is_refused(running, value):
    assert not running.ask(Action.SCADA_HEARTBEAT, value).accepted


def test_what_takes_a_hold_away_is_refused_while_it_can_not_be_retained(running):
    running.ask(Action.LOCK_OUT, "repair", RACK)
    running.ask(Action.SET_EXPORT_LIMIT, 1e6)
    running.ask(Action.FAST_STOP)
    running.run(5)
    running.retains = False
    for action, value, target in (
        (Action.RESET_TRIPS, None, "Plant"),
        (Action.RESET_TRIP, None, RACK),
        (Action.REMOVE_LOCK_OUT, None, RACK),
        (Action.SET_EXPORT_LIMIT, 1.1e6, "Plant"),
        (Action.START, None, "Plant"),
    ):
        refused = running.ask(action, value, target)
        assert (refused.refusal, "can't be written" in refused.text) == (Refusal.WRONG_STATE, True), action
    assert running.state.plant.fast_stop
    assert (3 in running.state.lock_outs, running.state.export_limits.lowest_w) == (True, 1e6)
    running.retains = True
    assert running.ask(Action.RESET_TRIPS).accepted
    assert running.ask(Action.START).accepted


def test_what_holds_is_carried_out_all_the_same_and_told_not_to_be_stored(running):
    running.retains = False
    for action, value, target in (
        (Action.SET_EXPORT_LIMIT, 1e6, "Plant"),
        (Action.LOCK_OUT, "repair", RACK),
        (Action.FAST_STOP, None, "Plant"),
    ):
        reply = running.ask(action, value, target)
        assert (reply.accepted, "not on disk" in reply.text) == (True, True), action
    assert running.state.plant.fast_stop
    assert (3 in running.state.lock_outs, running.state.export_limits.lowest_w) == (True, 1e6)


def test_a_fast_stop_outlasts_a_reset_of_the_same_scan_whatever_their_order(running):
    """One Modbus write to all four command registers left no latch."""
    frame = (Action.START, Action.STOP, Action.FAST_STOP, Action.RESET_TRIPS)
    for order in (frame, frame[::-1]):
        running.scan(*(running.command(action) for action in order))
        assert running.state.plant.fast_stop, order
        running.run(5)
        assert running.ask(Action.RESET_TRIPS).accepted, "once it has been seen"


def test_a_reset_alone_starts_nothing(rig):
    """A controller that starts with a fast stop latched would start by itself once it was reset."""
    rig.state.plant.fast_stop = "somebody before the restart"
    rig.run(5)
    assert rig.ask(Action.RESET_TRIPS).accepted
    rig.run(20)
    assert rig.state.plant.sequence is PlantState.OFF
    assert rig.ask(Action.START).accepted
    rig.start()


@pytest.mark.parametrize("action", [Action.STOP, Action.FAST_STOP])
def test_what_a_person_stopped_is_started_by_a_person_also_after_a_restart(running, action):
    running.ask(action)
    running.run(10)
    running.restart()
    running.run(5)
    if action is Action.FAST_STOP:
        assert running.ask(Action.RESET_TRIPS).accepted
    running.run(20)
    assert running.state.plant.sequence is PlantState.OFF
    assert running.ask(Action.START).accepted
    running.start()
    running.restart()
    running.start()


def test_the_controllers_own_stop_is_undone_by_its_next_start(running):
    running.ask(Action.STOP, face=OWN_FACE)
    running.run(10)
    running.restart()
    running.start()
