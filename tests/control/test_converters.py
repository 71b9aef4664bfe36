"""Converters: armed by their own watchdog, started, supervised, and never started again by themselves."""

from __future__ import annotations

import pytest

from controller.control.commands import Action
from controller.control.limits.reasons import LimitReason
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.sequences.plant import PlantState
from controller.control.sequences.states import OperatingState
from controller.image.outputs import WriteState
from controller.plant.signals import ContactorState, PcsOperation, PcsState
from controller.protection.result import Missing


def state_of(rig, converter: int = 0) -> PcsSequenceState:
    return PcsSequenceState(rig.state.pcs.sequence[converter])


def test_a_disabled_watchdog_is_set_read_back_and_only_then_the_converter_starts(rig):
    rig.field.watchdog_s[0] = 0.0
    rig.start()
    assert rig.field.watchdog_s[0] == 5.0
    assert rig.field.pcs_state.tolist() == [PcsState.RUNNING] * 2
    assert rig.state.outputs["pcs.watchdog_timeout_setting"].issue.tolist() == [1, 0], (
        "persistent: only where it differs"
    )


def test_without_an_enabled_watchdog_a_converter_is_not_armed(rig):
    rig.field.watchdog_s[0] = 0.0
    rig.field.refuses.add("pcs.watchdog_timeout_setting")
    rig.until(lambda: state_of(rig, 1) is PcsSequenceState.RUNNING)
    assert rig.result.conditions["pcs.not_armed"].tolist() == [True, False]
    rig.start()
    assert rig.field.pcs_state.tolist() == [PcsState.OFF, PcsState.RUNNING]
    assert rig.result.conditions["pcs.start_failed"].tolist() == [True, False]


def test_a_converter_whose_watchdog_goes_off_while_it_runs_goes_to_zero_and_is_armed_again(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(2)
    running.field.refuses.add("pcs.watchdog_timeout_setting")
    running.field.watchdog_s[0] = 0.0
    running.scan()
    assert running.field.pcs_w[0] == 0.0
    assert running.field.pcs_w[1] > 9e5
    running.field.refuses.clear()
    running.until(lambda: state_of(running) is PcsSequenceState.RUNNING)
    running.run(2)
    assert running.field.pcs_w[0] > 4e5


def test_a_converter_that_does_not_start_is_given_up_and_the_others_run(rig):
    rig.field.refuses_start.add(0)
    rig.until(lambda: rig.state.plant.sequence is PlantState.RUNNING, 180.0)
    assert rig.result.conditions["pcs.start_failed"].tolist() == [True, False]
    assert rig.result.conditions["plant.start_incomplete"].all()
    rig.field.refuses_start.clear()
    assert rig.ask(Action.START).accepted
    rig.until(lambda: state_of(rig) is PcsSequenceState.RUNNING)


def test_a_converter_that_stops_by_itself_is_told_and_not_started_again(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.field.pcs_state[0] = PcsState.OFF
    running.run(10)
    assert running.result.conditions["pcs.stopped_by_itself"].tolist() == [True, False]
    assert running.field.pcs_state[0] == PcsState.OFF
    assert running.field.pcs_w[1] > 9e5


def test_a_fault_trips_the_converter_until_it_is_reset_and_started(running):
    running.field.pcs_state[0] = PcsState.FAULT
    running.run(2)
    assert running.result.pcs.operating_state[0] == OperatingState.TRIPPED
    assert running.result.plant.tripped
    assert running.ask(Action.RESET_TRIPS).accepted
    running.run(3)
    assert running.result.pcs.operating_state[0] == OperatingState.OFF
    assert running.ask(Action.START).accepted
    running.until(lambda: state_of(running) is PcsSequenceState.RUNNING)


def test_lost_data_of_a_converter_holds_back_then_gives_it_up_and_takes_it_back_armed(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(2)
    running.field.silent.add(("pcs", 0))
    running.setpoint(2e6, timeout_s=600.0)
    running.run(2)
    assert running.result.pcs.active_power_command_w[0] == pytest.approx(5.16e5, rel=0.02), "no increase"
    running.run(5)
    assert state_of(running) is PcsSequenceState.LOST
    assert running.result.pcs.active_power_command_w[0] == 0.0
    assert running.result.pcs.active_power_command_w[1] == pytest.approx(1.2e6)
    running.field.silent.clear()
    running.until(lambda: state_of(running) is PcsSequenceState.RUNNING)


@pytest.mark.parametrize("stays", [True, False])
def test_protections_stop_is_zero_at_once_and_ends_the_wish_if_a_person_must_reset_it(running, stays):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(2)
    running.protection.pcs_stop[0] = True
    running.protection.pcs_stop_stays[0] = stays
    running.scan()
    assert running.field.pcs_w[0] == 0.0
    assert running.field.pcs_state[0] == PcsState.OFF
    running.protection.pcs_stop[0] = running.protection.pcs_stop_stays[0] = False
    running.run(5)
    assert running.field.pcs_state[0] == (PcsState.OFF if stays else PcsState.RUNNING)
    running.run(40)
    assert running.result.conditions["pcs.left_out"].tolist() == [stays, False]
    running.ask(Action.START)
    running.run(5)
    assert running.field.pcs_state[0] == PcsState.RUNNING


def test_a_blocks_stop_stops_its_converters_and_no_others(running):
    running.protection.block_stop[1] = True
    running.run(2)
    assert running.field.pcs_state.tolist() == [PcsState.RUNNING, PcsState.OFF]


def test_a_converter_that_does_not_stop_is_asked_again_and_its_heartbeat_withheld(running):
    running.field.obeys_requests = False
    running.ask(Action.FAST_STOP)
    before = int(running.state.outputs["pcs.operation"].issue[0])
    running.run(12)
    assert running.result.conditions["pcs.stop_failed"].all()
    assert running.result.withhold_heartbeat.all()
    assert running.state.outputs["pcs.operation"].issue[0] > before
    assert running.state.outputs["pcs.operation"].value[0] == PcsOperation.STOP


def test_a_failed_write_is_repeated_once_then_the_converter_is_not_used_until_it_takes_commands(running):
    running.field.refuses.add("pcs.active_power_setpoint")
    running.setpoint(1e6, timeout_s=600.0)
    running.scan()
    line = running.state.outputs["pcs.active_power_setpoint"]
    assert line.state[0] == WriteState.FAILED
    running.run(3)
    assert running.result.conditions["pcs.write_failed"].all()
    assert running.result.plant.active_power_in_effect_w == 0.0
    assert running.result.plant.limit_reason == LimitReason.PCS_WRITE_FAILED
    running.field.refuses.clear()
    running.run(5)
    assert running.result.plant.active_power_in_effect_w == 1e6


def test_a_converter_started_by_somebody_else_is_held_at_zero_and_told(make_rig):
    rig = make_rig(auto_start=False)
    rig.run(5)
    rig.field.pcs_state[0] = PcsState.RUNNING
    rig.run(2)
    assert rig.result.conditions["pcs.runs_unasked"].tolist() == [True, False]
    assert rig.result.pcs.active_power_command_w[0] == 0.0


def test_protections_permissive_holds_back_the_start_until_it_comes(rig):
    rig.protection.pcs_start_missing[0] = Missing.MEASUREMENTS
    rig.until(lambda: state_of(rig, 1) is PcsSequenceState.RUNNING)
    assert state_of(rig) is PcsSequenceState.OFF
    rig.protection.pcs_start_missing[0] = 0
    rig.until(lambda: state_of(rig) is PcsSequenceState.RUNNING)


def test_a_restarted_controller_adopts_the_running_plant_at_zero_power(rig):
    rig.field.contactor[:] = ContactorState.CLOSED
    rig.field.pcs_state[:] = PcsState.RUNNING
    rig.field.pcs_w[:] = 5e5
    rig.scan()
    assert rig.state.outputs["pcs.active_power_setpoint"].issue.tolist() == [1, 1]
    assert not rig.field.pcs_w.any()
    rig.start()
    assert rig.field.pcs_state.tolist() == [PcsState.RUNNING] * 2
    assert not rig.state.outputs["pcs.operation"].issue.any(), "neither stopped nor started"
    assert not rig.state.outputs["rack.connect_request"].issue.any()
    assert rig.setpoint(1e6).accepted
    rig.run(2)
    assert rig.result.plant.active_power_w == pytest.approx(1e6, rel=0.02)


def test_a_converter_in_standby_leaves_the_plant_in_standby(running):
    running.field.pcs_state[:] = PcsState.STANDBY
    running.run(2)
    assert running.result.plant.operating_state == OperatingState.STANDBY
    running.field.pcs_state[:] = PcsState.RUNNING
    running.run(2)
    assert running.result.plant.operating_state == OperatingState.RUNNING
