"""Protection told as steps in fake time."""

from __future__ import annotations

import numpy as np
import pytest

from controller.image.quality import Quality
from controller.plant.protection_rows import Level, ResetClass
from controller.plant.signals import ContactorState, Owner
from controller.protection.protect import published, trips_that_stay, why_not_reset
from controller.protection.result import Missing, missing_words

R03, R04 = 2, 3


def test_a_healthy_plant_is_free(bench):
    result = bench.step()
    assert not result.level.any()
    assert not result.rack_disconnect.any()
    assert not result.bus_no_increase.any()
    assert not result.plant_stop
    assert not result.rack_connect_missing.any()
    assert not result.pcs_start_missing.any()
    assert bench.step() is result, "nothing changed, so nothing is made anew"


def test_delays_run_on_between_samples(bench):
    bench.set("cell.voltage", 3.72, R03, cell=17)
    bench.set("rack.voltage", 780.0)
    bench.scan(1.0)
    bench.set("cell.voltage", 3.72, R03, cell=17)
    bench.now_ns += 1
    assert not bench.step(0.0).rack_disconnect.any()
    assert not bench.scan(1.9).rack_disconnect.any()
    assert bench.scan(0.1).rack_disconnect[R03]


def test_a_cell_climbs_through_warning_and_alarm_to_a_trip(bench):
    element = bench.element("cell_voltage_high", R03)
    bench.set("cell.voltage", 3.52, R03, cell=17)
    assert bench.step().level[element] == Level.NONE
    assert bench.step().level[element] == Level.WARNING
    bench.set("cell.voltage", 3.56, R03, cell=17)
    bench.step()
    result = bench.step()
    assert result.level[element] == Level.ALARM
    assert np.flatnonzero(result.inhibit_charge).tolist() == [R03]
    assert not result.inhibit_discharge.any()
    bench.set("cell.voltage", 3.72, R03, cell=17)
    seen_at_ns = bench.now_ns + 10**9
    bench.step()
    assert not bench.step().rack_disconnect.any()
    result = bench.step()
    assert np.flatnonzero(result.rack_disconnect).tolist() == [R03]
    assert np.flatnonzero(result.rack_trip).tolist() == [R03]
    trips = result.trips
    assert (trips.cell[element], trips.value[element]) == (17, pytest.approx(3.72))
    assert trips.time_ns[element] == seen_at_ns, "the first sample beyond the limit, not the scan that tripped"
    assert trips.uncertainty_ns[element] == bench.periods["cell.voltage"].period_ns[R03]


def test_the_trip_stays_until_a_permitted_reset_after_the_cause_is_gone(bench):
    element = bench.element("cell_voltage_high", R03)
    bench.set("cell.voltage", 3.72, R03, cell=17)
    assert bench.steps(3).rack_trip_latched[R03]
    assert bench.reset() == 0
    assert why_not_reset(bench.table, bench.state, element, ResetClass.LOCAL).endswith("the cause is not gone")
    bench.set("cell.voltage", 3.45, R03, cell=17)
    assert bench.steps(10).level[element] == Level.TRIP, "inside the limits, but not inside the reset limit"
    bench.set("cell.voltage", 3.39, R03, cell=17)
    assert bench.steps(3).level[element] == Level.TRIP, "the off-delay is running"
    result = bench.step()
    assert result.level[element] == Level.NONE
    assert result.rack_disconnect[R03], "latched"
    assert bench.reset(ResetClass.AUTO) == 0
    assert "only a reset of class remote" in why_not_reset(bench.table, bench.state, element, ResetClass.AUTO)
    bench.spoil("cell.voltage", R03)
    bench.step()
    assert bench.reset(ResetClass.REMOTE) == 0
    assert why_not_reset(bench.table, bench.state, element, ResetClass.REMOTE).endswith("its measurement is lost")
    bench.set("cell.voltage", 3.3, R03)
    bench.step()
    assert bench.reset(ResetClass.REMOTE, bench.table.elements_of(Owner.RACK, R04)) == 0
    assert why_not_reset(bench.table, bench.state, element, ResetClass.REMOTE) == ""
    assert bench.reset(ResetClass.REMOTE, bench.table.elements_of(Owner.RACK, R03)) == 1
    assert not bench.step().rack_disconnect.any()


def test_a_lost_sample_neither_fires_nor_hides_a_running_trip(bench):
    bench.set("cell.voltage", 3.72, R03, cell=17)
    bench.steps(2)
    bench.spoil("cell.voltage", R03)
    assert not bench.steps(60).rack_disconnect.any()
    bench.set("cell.voltage", 3.72, R03, cell=17)
    assert not bench.step().rack_disconnect.any(), "the interval in which it was lost does not count"
    assert bench.step().rack_disconnect[R03], "one second before the loss, one after"


def test_silence_of_a_rack_walks_the_ladder_and_opens_nothing(bench):
    bench.silence(Owner.RACK, R03)
    assert not bench.steps(15).bus_no_increase.any(), "cells are polled each 5 s: lost after 15 s"
    result = bench.step()
    assert result.bus_no_increase.tolist() == [True, False]
    assert not result.bus_zero.any()
    assert result.rack_connect_missing[R03] == Missing.MEASUREMENTS | Missing.NO_BMS_TRIP
    assert not bench.steps(9).bus_zero.any(), "5 D is 25 s"
    result = bench.step()
    assert result.bus_zero.tolist() == [True, False]
    assert result.pcs_start_missing.tolist() == [Missing.BUS_RELEASED, 0]
    assert not bench.steps(200).rack_disconnect.any()
    bench.frozen.clear()
    bench.image["cell.voltage"].quality[:] = Quality.GOOD
    assert not bench.step().bus_no_increase.any()


def test_a_rack_last_seen_open_does_not_hold_its_bus(bench):
    bench.set("rack.contactor", ContactorState.OPEN, R03)
    bench.step()
    bench.silence(Owner.RACK, R03)
    result = bench.steps(100)
    assert not result.bus_no_increase.any()
    assert result.rack_connect_missing[R03] == Missing.MEASUREMENTS | Missing.NO_BMS_TRIP


def test_half_a_rack_of_silent_cells_stops_the_increase(bench):
    bench.image["cell.voltage"].quality[R03, :10] = Quality.DEVICE_FAILURE
    result = bench.step()
    assert result.silence.cells_missing[R03]
    assert not result.bus_no_increase.any()
    bench.image["cell.voltage"].quality[R03, :121] = Quality.DEVICE_FAILURE
    assert bench.step().bus_no_increase[0]


ESTOP, FIRE01 = 0, 1


def test_an_open_interlock_stops_its_block_and_latches_for_a_local_reset(bench):
    bench.set("interlock.healthy", 0, FIRE01)
    result = bench.step()
    assert result.block_stop.tolist() == result.pcs_stop.tolist() == [True, False]
    assert not result.plant_stop
    assert not result.rack_disconnect.any()
    assert result.rack_connect_missing[0] == result.pcs_start_missing[0] == Missing.STOP_RELEASED
    bench.set("interlock.healthy", 1)
    assert bench.step().block_stop[0], "latched"
    assert bench.reset(ResetClass.REMOTE) == 0
    assert bench.reset(ResetClass.LOCAL) == 1
    assert not bench.step().block_stop.any()


def test_an_interlock_of_the_plant_stops_all_of_it(bench):
    bench.set("interlock.healthy", 0, ESTOP)
    result = bench.step()
    assert result.plant_stop
    assert result.pcs_stop.all()
    assert result.block_stop.all()


def test_a_lost_io_module_is_no_trip_and_walks_the_ladder_down_and_up(bench):
    """0.6 s without data under load were an E-stop and a fire once: a lost module is a state of its own."""
    for chain in range(len(bench.plant.interlocks)):
        bench.silence(Owner.INTERLOCK, chain)
    assert not bench.steps(3, 0.2).bus_no_increase.any(), "3 D of 0.2 s"
    result = bench.step(0.2)
    assert result.bus_no_increase.all()
    assert not result.bus_zero.any()
    assert result.silence.chains.lost.all()
    assert (result.pcs_start_missing == Missing.CHAINS_KNOWN).all()
    assert (result.rack_connect_missing == Missing.CHAINS_KNOWN).all()
    assert not bench.steps(21, 0.2).bus_zero.any(), "5 D are less than the floor of 5 s"
    result = bench.step(0.2)
    assert result.bus_zero.all()
    assert not result.bus_silent.any(), "no rack and no converter is silent"
    assert not result.plant_stop
    assert not result.pcs_stop.any()
    assert not bench.steps(50).latched.any()
    bench.frozen.clear()
    bench.set("interlock.healthy", 1)
    result = bench.step()
    assert not result.bus_no_increase.any(), "it comes back with the data"
    assert not result.silence.chains.lost.any()


def test_a_chain_that_comes_back_open_trips(bench):
    bench.spoil("interlock.healthy", ESTOP, Quality.NO_COMMUNICATION)
    assert not bench.step().plant_stop
    bench.set("interlock.healthy", 0, ESTOP)
    result = bench.step()
    assert result.plant_stop
    assert np.flatnonzero(result.latched).tolist() == [bench.element("tripped", ESTOP, Owner.INTERLOCK)]


def test_a_trip_stays_while_its_chain_is_unknown(bench):
    bench.set("interlock.healthy", 0, ESTOP)
    bench.step()
    bench.spoil("interlock.healthy", ESTOP, Quality.NO_COMMUNICATION)
    assert bench.step().plant_stop
    assert bench.reset(ResetClass.SERVICE) == 0


def test_an_unknown_chain_of_a_block_holds_that_block_alone(bench):
    bench.spoil("interlock.healthy", FIRE01, Quality.NO_COMMUNICATION)
    assert bench.step().bus_no_increase.tolist() == [True, False]


def test_before_its_first_sample_a_chain_holds_everything_back_and_is_no_alarm(make_bench):
    bench = make_bench()
    bench.spoil("interlock.healthy", ..., Quality.NEVER_READ)
    bench.image["interlock.healthy"].time_ns[:] = 0
    result = bench.scan()
    assert not result.plant_stop
    assert result.bus_no_increase.all()
    assert not result.silence.chains.lost.any()
    bench.image["interlock.healthy"].quality[:] = Quality.GOOD
    assert not bench.step().bus_no_increase.any()


def test_a_chain_that_never_speaks_is_told_after_the_grace(make_bench):
    bench = make_bench()
    bench.spoil("interlock.healthy", ESTOP, Quality.NEVER_READ)
    bench.image["interlock.healthy"].time_ns[:] = 0
    bench.scan()
    bench.now_ns += 6 * 10**9
    result = bench.scan()
    assert result.silence.chains.lost[ESTOP]
    assert result.bus_zero.all()


def test_the_bms_may_trip_a_rack_by_itself(bench):
    bench.set("rack.tripped", 1, R03)
    result = bench.step()
    assert result.rack_any_trip[R03]
    assert not result.rack_trip_latched.any()
    assert missing_words(int(result.rack_connect_missing[R03])) == ("its BMS has tripped or does not say",)
    bench.spoil("rack.tripped", R03, Quality.NO_COMMUNICATION)
    result = bench.step()
    assert result.rack_connect_missing[R03] & Missing.NO_BMS_TRIP
    shown = {name: (values, quality) for name, values, quality in published(result)}
    assert np.broadcast_to(shown["rack.any_trip"][1], 24)[R03] == Quality.NO_COMMUNICATION
    bench.set("cell.voltage", 3.72, R03, cell=0)
    result = bench.steps(3)
    shown = {name: (values, quality) for name, values, quality in published(result)}
    assert shown["rack.any_trip"][0][R03]
    assert np.broadcast_to(shown["rack.any_trip"][1], 24)[R03] == Quality.GOOD
    assert shown["rack.trip_cause"][0][R03] == 1
    assert shown["rack.trip_latched"][0].sum() == 1


def test_what_a_reset_would_leave_is_told_with_its_equipment_and_reason(bench):
    assert trips_that_stay(bench.table, bench.state, ResetClass.LOCAL) == ()
    bench.set("cell.voltage", 3.7, 2)
    bench.set("cell.voltage", 3.7, 5)
    bench.steps(4)
    names = [bench.plant.racks[rack].name for rack in (2, 5)]
    whys = tuple(f"{name} cell_voltage_high: the cause is not gone" for name in names)
    assert trips_that_stay(bench.table, bench.state, ResetClass.LOCAL) == whys
    of_one = bench.table.elements_of(Owner.RACK, 5)
    assert trips_that_stay(bench.table, bench.state, ResetClass.LOCAL, of_one) == whys[1:]
