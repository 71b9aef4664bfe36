"""Racks: connect with matched voltage, disconnect in four steps, and what happens when a BMS does not do it."""

from __future__ import annotations

import numpy as np
import pytest

from controller.control.commands import Action, Refusal
from controller.control.sequences.rack import RackSequenceState, Wanted
from controller.control.sequences.states import OperatingState
from controller.plant.signals import ContactorState, PcsState
from controller.protection.result import Missing

RACK = "Plant.Block01.Rack04"  # index 3


def state_of(rig, rack: int = 3) -> RackSequenceState:
    return RackSequenceState(int(rig.state.racks.sequence[rack]))


def test_a_disconnected_rack_leaves_its_bus_and_comes_back(running):
    running.setpoint(1e6, timeout_s=600.0)
    assert running.ask(Action.DISCONNECT, target=RACK).accepted
    running.until(lambda: state_of(running) is RackSequenceState.DISCONNECTED)
    running.run(2)
    assert running.field.contactor[3] == ContactorState.OPEN
    assert running.result.racks.operating_state[3] == OperatingState.OFF
    assert running.result.plant.active_power_w == pytest.approx(1e6, rel=0.02), "the others carry it"
    assert running.ask(Action.CONNECT, target=RACK).accepted
    running.until(lambda: state_of(running) is RackSequenceState.CONNECTED)
    assert running.result.racks.operating_state[3] == OperatingState.RUNNING


def test_before_a_rack_leaves_the_power_falls_to_what_the_others_may_carry(running):
    running.field.limit_a[1] = 130.0  # 12 racks: 1.23 MW, 11 racks: 1.13 MW
    running.setpoint(2.4e6, timeout_s=600.0)
    running.run(3)
    asked = []
    running.command(Action.DISCONNECT, target=RACK)
    running.ask(Action.DISCONNECT, target=RACK)
    while running.field.contactor[3] == ContactorState.CLOSED:
        running.scan()
        asked.append(float(running.result.pcs.active_power_command_w[0]))
        assert len(asked) < 20
    neighbours_a = running.field._currents_a()[:12].max()
    assert neighbours_a <= 130.0 * 1.01


def test_a_tripped_rack_is_unloaded_to_zero_disconnected_and_its_bus_restored(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(2)
    running.protection.rack_trip[3] = running.protection.rack_disconnect[3] = True
    running.scan()
    assert running.field.pcs_w[0] == 0.0
    assert running.field.pcs_w[1] > 9e5
    running.until(lambda: running.field.contactor[3] == ContactorState.OPEN)
    running.run(3)
    assert running.field.pcs_w[0] > 4e5
    assert running.result.racks.operating_state[3] == OperatingState.TRIPPED
    running.protection.rack_trip[3] = running.protection.rack_disconnect[3] = False
    running.run(5)
    assert running.field.contactor[3] == ContactorState.OPEN, "nothing connects by itself"


def test_a_rack_that_does_not_open_stops_its_converter_and_nobody_elses(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.field.obeys_requests = False
    running.ask(Action.DISCONNECT, target=RACK)
    running.field.obeys_requests = True
    running.field.deaf.add(3)
    running.until(lambda: state_of(running) is RackSequenceState.DISCONNECT_FAILED)
    running.run(3)
    assert running.field.pcs_state.tolist() == [PcsState.OFF, PcsState.RUNNING]
    assert running.field.pcs_w[1] > 9e5
    for _ in range(30):
        running.run(1)
        assert running.result.conditions["rack.disconnect_failed"][3], "also while it is tried again"
    running.field.deaf.clear()
    running.field.contactor[3] = ContactorState.OPEN
    running.run(5)
    assert state_of(running) is RackSequenceState.DISCONNECTED
    assert running.field.pcs_state[0] == PcsState.OFF, "nothing starts by itself"


def test_a_refused_request_is_repeated_once_and_then_given_up(running):
    running.ask(Action.DISCONNECT, target=RACK)
    running.until(lambda: state_of(running) is RackSequenceState.DISCONNECTED)
    running.field.refuses.add("rack.connect_request")
    before = int(running.state.outputs["rack.connect_request"].issue[3])
    running.ask(Action.CONNECT, target=RACK)
    running.run(4)
    assert running.state.outputs["rack.connect_request"].issue[3] == before + 2
    assert running.result.conditions["rack.connect_failed"][3]
    assert state_of(running) is RackSequenceState.DISCONNECTED


def test_a_rack_too_far_from_its_bus_waits_for_as_long_as_it_takes(running):
    """It was given up after a minute, without a word of the voltage."""
    running.ask(Action.DISCONNECT, target=RACK)
    running.until(lambda: state_of(running) is RackSequenceState.DISCONNECTED)
    running.field.resting_v[3] += 12.0
    running.ask(Action.CONNECT, target=RACK)
    running.run(3)
    assert state_of(running) is RackSequenceState.WAITING_FOR_VOLTAGE
    assert running.result.conditions["rack.voltage_apart"][3]
    running.run(200)
    assert state_of(running) is RackSequenceState.WAITING_FOR_VOLTAGE
    running.field.resting_v[3] -= 11.0
    running.until(lambda: state_of(running) is RackSequenceState.CONNECTED)
    assert not running.result.conditions["rack.voltage_apart"][3]
    assert not running.result.conditions["rack.connect_failed"][3]


def test_a_rack_that_waits_for_its_bus_can_be_told_not_to(running):
    running.ask(Action.DISCONNECT, target=RACK)
    running.until(lambda: state_of(running) is RackSequenceState.DISCONNECTED)
    running.field.resting_v[3] += 12.0
    running.ask(Action.CONNECT, target=RACK)
    running.run(3)
    assert running.ask(Action.DISCONNECT, target=RACK).accepted
    running.run(2)
    assert state_of(running) is RackSequenceState.DISCONNECTED
    running.field.resting_v[3] -= 12.0
    running.run(5)
    assert running.field.contactor[3] == ContactorState.OPEN


def test_a_rack_that_something_else_keeps_from_connecting_is_given_up_in_time(running):
    running.ask(Action.DISCONNECT, target=RACK)
    running.until(lambda: state_of(running) is RackSequenceState.DISCONNECTED)
    running.ask(Action.CONNECT, target=RACK)
    running.protection.rack_connect_missing[3] = 1
    running.state.racks.sequence[3] = RackSequenceState.WAITING_FOR_VOLTAGE
    running.state.racks.wanted[3] = Wanted.CONNECTED
    running.state.racks.entered_ns[3] = running.now_ns
    running.run(3)
    assert not running.result.conditions["rack.voltage_apart"][3], "that is not its cause"
    running.until(
        lambda: state_of(running) is RackSequenceState.DISCONNECTED, running.plant.control.start_timeout_s + 5
    )
    assert running.result.conditions["rack.connect_failed"][3]


def test_on_a_dead_bus_only_racks_of_like_voltage_are_put_in_parallel(rig):
    rig.field.resting_v[:12] = [790.0] * 10 + [770.0, 810.0]
    rig.until(lambda: rig.field.contactor[0] == ContactorState.CLOSED)
    rig.run(5)
    assert rig.field.contactor[:12].tolist() == [ContactorState.CLOSED] * 10 + [ContactorState.OPEN] * 2


def test_a_locked_out_rack_is_disconnected_and_stays_so_until_every_holder_has_gone(running):
    forged = running.ask(Action.LOCK_OUT, "works\nraised Plant", RACK, user="anne")
    assert forged.refusal is Refusal.OUT_OF_RANGE
    assert "one line" in forged.text
    assert running.ask(Action.LOCK_OUT, "works on module 4", RACK, user="anne").accepted
    running.until(lambda: running.field.contactor[3] == ContactorState.OPEN)
    assert running.ask(Action.LOCK_OUT, "measures", RACK, user="bert").accepted
    assert running.result.racks.operating_state[3] == OperatingState.OUT_OF_SERVICE
    refused = running.ask(Action.CONNECT, target=RACK)
    assert refused.refusal is Refusal.WRONG_STATE
    assert "anne" in refused.text
    assert "bert" in refused.text
    assert running.ask(Action.REMOVE_LOCK_OUT, target=RACK, user="carl").refusal is Refusal.WRONG_STATE
    assert running.ask(Action.REMOVE_LOCK_OUT, target=RACK, user="anne").accepted
    assert running.ask(Action.CONNECT, target=RACK).refusal is Refusal.WRONG_STATE
    assert running.ask(Action.REMOVE_LOCK_OUT, target=RACK, user="bert").accepted
    assert running.ask(Action.CONNECT, target=RACK).accepted
    running.until(lambda: state_of(running) is RackSequenceState.CONNECTED)


def test_a_rack_is_not_connected_while_protection_does_not_permit(running):
    running.ask(Action.DISCONNECT, target=RACK)
    running.until(lambda: state_of(running) is RackSequenceState.DISCONNECTED)
    running.protection.rack_connect_missing[3] = Missing.NO_TRIP
    refused = running.ask(Action.CONNECT, target=RACK)
    assert "a trip is not reset" in refused.text
    running.protection.rack_connect_missing[3] = 0
    assert running.ask(Action.CONNECT, target=RACK).accepted


def test_a_rack_that_opens_by_itself_is_told_and_not_called_back(running):
    running.field.contactor[3] = ContactorState.OPEN
    running.run(3)
    assert running.result.conditions["rack.opened_by_itself"][3]
    assert state_of(running) is RackSequenceState.DISCONNECTED
    assert running.state.racks.wanted[3] == Wanted.LEAVE


def test_a_rack_with_lost_data_is_only_disconnected_when_asked_and_at_zero_power(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.field.silent.add(("rack", 3))
    running.run(20)
    assert running.field.contactor[3] == ContactorState.CLOSED
    running.ask(Action.DISCONNECT, target=RACK)
    running.run(3)
    assert running.field.pcs_w[0] == 0.0
    assert running.field.contactor[3] == ContactorState.OPEN


def test_open_contactors_with_current_count_as_connected(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(2)
    running.field.contactor[3] = ContactorState.OPEN
    running.field.welded.add(3)
    running.run(3)
    assert running.result.conditions["rack.open_with_current"][3]
    running.field.limit_a[1, 3] = 0.0
    running.run(2)
    assert running.field.pcs_w[0] == 0.0, "its limits still bound the bus"


def tripped_and_welded(running):
    """Rack 3 trips at 1 MW, its BMS reports its contactors open, and current goes on through them."""
    running.setpoint(1e6, timeout_s=600.0)
    running.run(2)
    running.protection.rack_trip[3] = running.protection.rack_disconnect[3] = True
    running.field.contactor[3] = ContactorState.OPEN
    running.field.welded.add(3)
    return running


def test_a_tripped_rack_that_is_welded_stops_its_converter_until_it_is_reset(running):
    tripped_and_welded(running)
    powers_w = [abs(running.scan() and running.field.pcs_w[0]) for _ in range(40)]
    assert max(powers_w[12:]) == 0.0, "it does not swing"
    assert running.result.conditions["rack.disconnect_failed"][3]
    assert running.field.pcs_state.tolist() == [PcsState.OFF, PcsState.RUNNING]
    assert running.field.pcs_w[1] > 9e5
    running.protection.rack_trip[3] = running.protection.rack_disconnect[3] = False
    running.run(5)
    assert running.result.conditions["rack.disconnect_failed"][3], "it is latched"
    assert running.field.pcs_state[0] == PcsState.OFF
    running.field.welded.clear()
    running.ask(Action.RESET_TRIPS)
    running.run(2)
    assert not running.result.conditions["rack.disconnect_failed"][3]
    running.ask(Action.START)
    running.until(lambda: running.field.pcs_w[0] > 4e5)


def test_a_stuck_rack_is_not_released_while_current_flows_through_it(running):
    tripped_and_welded(running)
    running.until(lambda: running.result.conditions["rack.disconnect_failed"][3])
    running.field.stuck_w[0] = 3e5
    running.run(1)
    running.ask(Action.RESET_TRIPS)
    running.run(1)
    assert running.result.conditions["rack.disconnect_failed"][3]


def test_a_current_that_was_sampled_before_the_contactors_opened_is_no_weld(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(2)
    running.field.contactor[3] = ContactorState.OPEN
    running.field.welded.add(3)
    running.scan(dt_s=0.5)
    running.field.welded.clear()
    running.run(300, dt_s=0.5)
    assert not running.result.conditions["rack.open_with_current"][3]


def test_an_out_of_service_rack_does_not_hold_up_the_others(demo_plant, make_rig_on):
    rig = make_rig_on(rack_out_of_service=5)
    rig.field.silent.add(("rack", 5))
    rig.start().setpoint(1e6)
    rig.run(2)
    assert rig.result.plant.racks_connected == 23
    assert rig.result.plant.active_power_w == pytest.approx(1e6, rel=0.02)
    assert rig.result.racks.operating_state[5] == OperatingState.OUT_OF_SERVICE


def test_a_bank_that_takes_only_requests_as_a_whole_is_connected_and_left_as_a_whole(make_rig_on):
    rig = make_rig_on(without=("bank_bms", "rack.connect_request"))
    rig.field.banks_obey = True
    rig.start()
    assert np.all(rig.field.contactor[:12] == ContactorState.CLOSED)
    assert rig.state.outputs["bank.connect_request"].issue[0] >= 1
    assert not rig.state.outputs["rack.connect_request"].issue[:12].any()
    rig.setpoint(1e6, timeout_s=600.0)
    rig.ask(Action.DISCONNECT, target=RACK)
    rig.until(lambda: bool(np.all(rig.field.contactor[:12] == ContactorState.OPEN)))
    assert rig.field.pcs_w[0] == 0.0
    assert rig.field.pcs_w[1] > 9e5


def test_a_bank_that_connects_only_as_a_whole_stays_open_with_a_rack_that_is_locked_out(make_rig_on):
    rig = make_rig_on(without=("bank_bms", "rack.connect_request"))
    rig.field.banks_obey = True
    assert rig.ask(Action.LOCK_OUT, target=RACK, value="insulation").accepted
    rig.start()
    rig.run(5)
    assert np.all(rig.field.contactor[:12] == ContactorState.OPEN)
    assert np.all(rig.field.contactor[12:] == ContactorState.CLOSED)
    neighbour = rig.ask(
        Action.CONNECT, target="Plant.Block01.Rack02" if RACK.endswith("01") else "Plant.Block01.Rack01"
    )
    assert not neighbour.accepted
    assert "its bank connects only as a whole, and another of its racks must stay open" in neighbour.text


def test_a_start_is_refused_where_every_rack_is_barred_or_held_open_by_its_bank(make_rig_on):
    rig = make_rig_on(without=("bank_bms", "rack.connect_request"))
    rig.state.plant.auto_start_done = True
    for rack in (RACK, *(f"Plant.Block02.Rack{number:02}" for number in range(1, 13))):
        assert rig.ask(Action.LOCK_OUT, target=rack, value="insulation").accepted
    refused = rig.ask(Action.START)
    assert not refused.accepted
    assert refused.text == (
        "no rack is available: its bank connects only as a whole, and another of its racks must stay open"
    )
    rig.field.contactor[:12] = ContactorState.CLOSED
    rig.field.contactor[3] = ContactorState.OPEN
    rig.scan()
    assert rig.ask(Action.START).accepted, "what is connected may carry power"


def test_a_start_is_refused_where_every_rack_is_tripped_by_its_bms(rig):
    rig.state.plant.auto_start_done = True
    rig.field.tripped[:] = True
    rig.run(3)
    assert rig.ask(Action.START).text == "no rack is available"
