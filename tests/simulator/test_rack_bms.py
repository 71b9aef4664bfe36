from __future__ import annotations

import numpy as np
import pytest

from controller.plant.device_types import CommunicationTimeout, TimeoutAction
from controller.plant.signals import BmsAlarm, ContactorState
from controller.simulator.rack_bms import silence_rule

CLOSED, OPEN, FAULT = ContactorState.CLOSED, ContactorState.OPEN, ContactorState.FAULT


def contactors(bench):
    return bench.read("rack.contactor").tolist()


def has(bench, rack, alarm):
    return bool(int(bench.read("rack.alarms")[rack]) >> alarm & 1)


def test_racks_precharge_before_they_close(bench):
    bench.ask("rack.connect_request", 3, 1)
    bench.run(0.5, 0.1)
    assert contactors(bench)[3] == ContactorState.PRECHARGING
    assert not bench.virtual.bms.conducting.any()
    bench.run(2.0, 0.1)
    assert contactors(bench)[3] == CLOSED
    assert contactors(bench).count(CLOSED) == 1


def test_a_bank_request_reaches_its_racks_and_its_state_says_so(bench):
    bench.ask("bank.connect_request", 0, 1)
    bench.run(4)
    assert contactors(bench) == [CLOSED] * 12 + [OPEN] * 12
    assert bench.read("bank.state").tolist() == [CLOSED]
    bench.ask("bank.connect_request", 0, 2)
    bench.run(4)
    assert set(contactors(bench)) == {OPEN}


@pytest.mark.parametrize(
    ("voltage_v", "alarm"), [(3.72, BmsAlarm.OVER_VOLTAGE_ALARM), (2.5, BmsAlarm.UNDER_VOLTAGE_ALARM)]
)
def test_a_cell_beyond_its_limits_trips_its_rack_and_no_other(running, voltage_v, alarm):
    running.virtual.cells.faults.pinned_v[2, 17] = voltage_v
    running.run(4)
    assert running.read("rack.tripped").tolist() == [rack == 2 for rack in range(24)]
    assert contactors(running)[2] == OPEN
    assert has(running, 2, alarm)
    assert running.virtual.rack_current_a[2] == 0.0


def test_a_trip_stays_until_reset_and_returns_while_its_cause_lasts(running):
    pinned = running.virtual.cells.faults.pinned_v
    pinned[2, 17] = 3.72
    running.run(4)
    running.ask("rack.reset_request", 2, 1)
    running.run(4)
    assert running.read("rack.tripped")[2]
    pinned.clear()
    running.run(30)
    assert running.read("rack.tripped")[2]
    running.ask("rack.connect_request", 2, 1)
    running.run(4)
    assert contactors(running)[2] == OPEN
    running.ask("rack.reset_request", 2, 1)
    running.run(2)
    assert contactors(running)[2] == OPEN
    running.ask("rack.connect_request", 2, 1)
    running.run(4)
    assert contactors(running)[2] == CLOSED


def test_a_hot_cell_trips_and_takes_the_limits_away_first(running):
    running.virtual.cells.faults.pinned_degc[5, 3] = 50.0
    running.virtual.cells.refresh()
    running.run(1)
    limits = running.read("rack.discharge_current_limit")
    assert limits[5] < limits[4]
    assert has(running, 5, BmsAlarm.OVER_TEMPERATURE_WARNING)
    running.virtual.cells.faults.pinned_degc[5, 3] = 62.0
    running.virtual.cells.refresh()
    running.run(4)
    assert running.read("rack.tripped")[5]
    assert running.read("rack.charge_current_limit")[5] == 0.0


def test_overcurrent_trips_after_its_delay(running):
    running.virtual.bms.faults.current_a[7] = 230.0
    running.run(3)
    assert not running.read("rack.tripped")[7]
    running.run(4)
    assert running.read("rack.tripped")[7]


def test_charge_limit_tapers_towards_full(demo, bench):
    bench.virtual.cells.set_soc(0, 0.999)
    bench.virtual.cells.faults.pinned_v[1, 0] = 3.60
    bench.run(2)
    limits = bench.read("rack.charge_current_limit")
    assert limits[1] == pytest.approx(demo.racks[1].battery.charge_current_max_a / 2, rel=0.02)
    assert limits[2] == demo.racks[2].battery.charge_current_max_a


def test_a_rack_far_from_its_bus_voltage_waits_open(running):
    running.ask("rack.connect_request", 4, 2)
    running.run(5)
    running.virtual.cells.set_soc(4, 0.05)
    running.ask("rack.connect_request", 4, 1)
    running.run(5)
    assert contactors(running)[4] == OPEN
    assert has(running, 4, BmsAlarm.VOLTAGE_IMBALANCE_WARNING)


def test_a_failing_precharge_ends_in_fault(bench):
    bench.virtual.bms.faults.precharge_fails[6] = True
    bench.connect()
    bench.run(3)
    assert contactors(bench)[6] == FAULT
    assert has(bench, 6, BmsAlarm.CONTACTOR_ERROR)


def test_a_contactor_stuck_open_carries_nothing(running):
    running.virtual.bms.faults.stuck_open[6] = True
    running.run(2)
    assert contactors(running)[6] == FAULT
    assert running.virtual.rack_current_a[6] == 0.0


def test_a_welded_contactor_carries_although_it_reads_open(running):
    running.virtual.bms.faults.stuck_closed[6] = True
    running.ask("rack.connect_request", 6, 2)
    running.run(5)
    running.virtual.converters[0].ask_power(active_w=5e5)
    running.run(5)
    assert contactors(running)[6] == OPEN
    assert running.virtual.rack_current_a[6] > 10.0


def test_cells_bleed_near_full(bench):
    cells = bench.virtual.cells
    cells.set_soc(0, 1.0)
    cells.soc[0, 5] = 1.03
    cells.refresh()
    bench.run(30)
    balancing = bench.read("cell.balancing")
    assert balancing[0, 5]
    assert not balancing[1:].any()
    assert 0.03 <= cells.balancing_a[0, 5] <= 0.1


@pytest.mark.parametrize("then", TimeoutAction)
def test_silence_is_answered_as_the_device_file_states(running, then):
    bms = running.virtual.bms
    bms.silence = silence_rule([CommunicationTimeout(5.0, then)] * 12 + [None] * 12)
    running.run(10)
    assert set(contactors(running)) == {CLOSED}  # nobody ever fed a heartbeat: not armed
    for count in range(3):
        running.ask("bank.controller_heartbeat", 0, count)
        running.run(4)
    assert set(contactors(running)) == {CLOSED}
    running.run(8)
    opened = then in {TimeoutAction.OPEN, TimeoutAction.TRIP}
    assert contactors(running) == [OPEN if opened else CLOSED] * 12 + [CLOSED] * 12
    assert running.read("rack.tripped").any() == (then is TimeoutAction.TRIP)
    zeroed = then in {TimeoutAction.ZERO, TimeoutAction.STOP, TimeoutAction.TRIP}
    assert (running.read("rack.discharge_current_limit")[:12] == 0.0).all() == zeroed
    assert (running.read("rack.discharge_current_limit")[12:] > 0.0).all()


def test_a_rebooted_bms_starts_from_nothing(running):
    running.virtual.bms.restart(3)
    running.run(1)
    assert contactors(running)[3] == OPEN
    assert running.read("rack.heartbeat")[3] <= 1
    assert np.isfinite(running.read("rack.current")).all()
