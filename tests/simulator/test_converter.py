from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plant.device_types import CommunicationTimeout, TimeoutAction
from controller.plant.signals import PcsOperation, PcsState
from controller.simulator.converter import Converter, Fault, Surroundings

BUS_V = 800.0


def around(dc_voltage_v=BUS_V, frequency_hz=60.0, ac_voltage_pu=1.0):
    return Surroundings(dc_voltage_v, frequency_hz, 60.0, ac_voltage_pu)


@pytest.fixture
def converter(demo):
    pcs = Converter(demo.pcs[0], CommunicationTimeout(5.0, TimeoutAction.ZERO))
    pcs.operate(PcsOperation.START, BUS_V)
    step(pcs, 4.0)
    assert pcs.state is PcsState.RUNNING
    return pcs


def step(pcs, seconds, surroundings=None, dt_s=0.1):
    for _ in range(round(seconds / dt_s)):
        pcs.step(surroundings or around(), dt_s)


def test_it_follows_its_set_point_after_dead_time_at_its_ramp(converter, demo):
    converter.ask_power(active_w=1.2e6)
    step(converter, 0.1)
    assert converter.active_power_w == 0.0
    step(converter, 0.2)
    assert converter.active_power_w == pytest.approx(0.2 * demo.pcs[0].ramp_w_per_s)
    step(converter, 2.0)
    assert converter.active_power_w == 1.2e6
    assert converter.state is PcsState.RUNNING


def test_a_set_point_before_the_start_acts_when_it_runs(demo):
    pcs = Converter(demo.pcs[0], None)
    pcs.ask_power(active_w=1e5)
    pcs.operate(PcsOperation.START, BUS_V)
    step(pcs, 5.0)
    assert pcs.active_power_w == 1e5


@given(active_w=st.floats(-3e6, 3e6), reactive_var=st.floats(-3e6, 3e6), dc_v=st.floats(590.0, 930.0))
def test_it_never_leaves_its_ratings_nor_makes_energy(demo, active_w, reactive_var, dc_v):
    pcs = Converter(demo.pcs[0], None)
    pcs.operate(PcsOperation.START, BUS_V)
    step(pcs, 4.0)
    pcs.ask_power(active_w, reactive_var)
    for _ in range(30):
        wanted_w = pcs.step(around(dc_v), 0.1)
        pcs.settle(1.0, dc_v)
        assert abs(pcs.active_power_w) <= demo.pcs[0].power_w
        assert pcs.active_power_w**2 + pcs.reactive_power_var**2 <= demo.pcs[0].apparent_va ** 2 * 1.0001
        assert wanted_w >= pcs.active_power_w
        assert wanted_w - pcs.active_power_w <= 0.05 * demo.pcs[0].power_w


def test_loss_at_rated_power_is_what_the_efficiency_states(converter, demo):
    converter.ask_power(active_w=1.2e6)
    step(converter, 2.0)
    assert converter.loss_w() == pytest.approx((1 - demo.pcs[0].efficiency_ratio) * 1.2e6)


def test_it_throttles_at_the_edge_of_its_dc_window(converter, demo):
    converter.ask_power(active_w=1.2e6)
    step(converter, 2.0, around(demo.pcs[0].dc_voltage_min_v * 1.005))
    assert converter.state is PcsState.THROTTLED
    assert converter.active_power_w == pytest.approx(0.6e6)


@pytest.mark.parametrize(
    ("surroundings", "alarm"),
    [
        (around(dc_voltage_v=0.0), Fault.DC_UNDERVOLTAGE),
        (around(dc_voltage_v=990.0), Fault.DC_OVERVOLTAGE),
        (around(frequency_hz=49.5), Fault.GRID_FREQUENCY),
        (around(ac_voltage_pu=0.3), Fault.GRID_VOLTAGE),
    ],
)
def test_it_trips_outside_its_windows_and_is_reset(converter, surroundings, alarm):
    converter.ask_power(active_w=1e6)
    step(converter, 1.0, surroundings)
    assert (converter.state, converter.alarms, converter.active_power_w) == (PcsState.FAULT, alarm, 0.0)
    converter.operate(PcsOperation.START, BUS_V)
    step(converter, 4.0)
    assert converter.state is PcsState.FAULT
    converter.reset()
    converter.operate(PcsOperation.START, BUS_V)
    step(converter, 4.0)
    assert (converter.state, converter.active_power_w) == (PcsState.RUNNING, 0.0)


def test_it_does_not_start_on_a_dead_bus(demo):
    pcs = Converter(demo.pcs[0], None)
    pcs.operate(PcsOperation.START, 0.0)
    step(pcs, 4.0)
    assert pcs.state is PcsState.OFF


def test_stop_and_standby_ramp_down_first(converter):
    converter.ask_power(active_w=1.2e6)
    step(converter, 2.0)
    converter.operate(PcsOperation.ENTER_STANDBY, BUS_V)
    step(converter, 0.1)
    assert converter.state == PcsState.SHUTTING_DOWN
    assert converter.active_power_w > 0.0
    step(converter, 2.0)
    assert converter.state == PcsState.STANDBY
    converter.operate(PcsOperation.EXIT_STANDBY, BUS_V)
    step(converter, 4.0)
    assert converter.state == PcsState.RUNNING
    converter.operate(PcsOperation.STOP, BUS_V)
    step(converter, 1.0)
    assert converter.state == PcsState.OFF


@pytest.mark.parametrize(
    ("then", "state"),
    [
        (TimeoutAction.ZERO, PcsState.RUNNING),
        (TimeoutAction.STOP, PcsState.OFF),
        (TimeoutAction.TRIP, PcsState.FAULT),
        (TimeoutAction.HOLD, PcsState.RUNNING),
    ],
)
def test_its_watchdog_does_what_the_device_file_states(converter, then, state):
    converter.timeout = CommunicationTimeout(5.0, then)
    converter.ask_power(active_w=1e6)
    step(converter, 10.0)
    assert converter.active_power_w == 1e6  # no heartbeat yet: not armed
    for count in range(4):
        converter.hear(count)
        step(converter, 3.0)
    assert converter.active_power_w == 1e6
    step(converter, 4.0)
    assert converter.state is state
    assert (converter.active_power_w == 1e6) == (then is TimeoutAction.HOLD)


def test_a_watchdog_set_to_zero_is_off(converter):
    converter.set_watchdog(0.0)
    converter.hear(1)
    converter.ask_power(active_w=1e6)
    step(converter, 10.0)
    assert converter.active_power_w == 1e6


def test_ignoring_and_limiting(converter):
    converter.faults.limit_w = 5e5
    converter.ask_power(active_w=1e6)
    step(converter, 2.0)
    assert (converter.active_power_w, converter.state) == (5e5, PcsState.THROTTLED)
    converter.faults.ignores = True
    converter.ask_power(active_w=0.0)
    converter.operate(PcsOperation.STOP, BUS_V)
    step(converter, 2.0)
    assert converter.active_power_w == 5e5
    converter.restart()
    step(converter, 1.0)
    assert (converter.state, converter.active_power_w, converter.heartbeat) == (PcsState.OFF, 0.0, 1)
