"""Racks in parallel: the bus carries what its weakest rack may, and opening one never pushes a neighbour over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.limits.buses import BusLimits, bus_limits, connections_of
from controller.control.limits.racks import RackLimits
from controller.control.limits.reasons import LimitReason
from controller.control.measurements import Measurements
from controller.control.relations import relations_of
from controller.image.plant_arrays import plant_arrays

RACKS = 24


def measured(current_a, voltage_v=None) -> Measurements:
    rack = np.zeros((10, RACKS))
    rack[0], rack[1] = 800.0 if voltage_v is None else voltage_v, current_a
    nothing = np.zeros(0)
    usable = not np.isnan(rack).any()
    return Measurements(rack, usable, *([nothing] * 15))  # type: ignore[arg-type] # buses read racks only


def carry(allowed_a) -> RackLimits:
    allowed = np.broadcast_to(np.asarray(allowed_a, float), (2, RACKS)).copy()
    return RackLimits(allowed, np.full((2, RACKS), 11, np.int32), np.zeros(RACKS), None, None)


@pytest.fixture(scope="module")
def limits(demo_plant) -> Callable[..., BusLimits]:
    """Return what the demo's two buses of twelve alike racks may carry."""
    arrays = plant_arrays(demo_plant)
    relations = relations_of(demo_plant, arrays)

    def limits_of(current_a, allowed_a, on_bus=None, unloading=None, voltage_v=None):
        on_bus = np.ones(RACKS, np.bool_) if on_bus is None else on_bus
        unloading = np.zeros(RACKS, np.bool_) if unloading is None else unloading
        connections = connections_of(relations, arrays, on_bus, unloading)
        return bus_limits(relations, arrays, measured(current_a, voltage_v), carry(allowed_a), connections)

    return limits_of


def test_the_weakest_rack_bounds_the_bus(limits):
    allowed = np.full(RACKS, 140.0)
    allowed[3] = 70.0
    found = limits(np.zeros(RACKS), allowed)
    assert found.power_w[0] == pytest.approx([70.0 * 12 * 800.0, 140.0 * 12 * 800.0])
    assert found.reason[0, 0] == 11


def test_measured_shares_count_once_enough_current_flows(limits):
    current = np.full(RACKS, 80.0)
    current[0] = 160.0  # carries twice the share of the others
    found = limits(current, 200.0)
    total = 80.0 * 11 + 160.0
    assert found.power_w[1, 0] == pytest.approx(200.0 / (160.0 / total) * 800.0)
    assert found.power_w[1, 1] == pytest.approx(200.0 * 12 * 800.0)


def test_below_the_floor_the_resistances_decide(limits):
    current = np.zeros(RACKS)
    current[0] = 15.0
    found = limits(current, 200.0)
    assert found.power_w[1, 0] == pytest.approx(200.0 * 12 * 800.0)


def test_an_unknown_current_leaves_the_resistances(limits):
    current = np.full(RACKS, 100.0)
    current[0] = np.nan
    found = limits(current, 200.0)
    assert found.power_w[1] == pytest.approx(200.0 * 12 * 800.0)


def test_circulating_current_is_what_flows_in_circles(limits):
    current = np.zeros(RACKS)
    current[0], current[1] = 40.0, -40.0
    assert limits(current, 200.0).circulating_a == pytest.approx([40.0, 0.0])


def test_no_rack_is_no_power(limits):
    on_bus = np.zeros(RACKS, np.bool_)
    on_bus[12:] = True
    found = limits(np.zeros(RACKS), 200.0, on_bus)
    assert found.power_w[:, 0].tolist() == [0.0, 0.0]
    assert found.reason[0, 0] == LimitReason.NO_RACK_CONNECTED
    assert np.isnan(found.voltage_v[0])


def test_no_known_voltage_is_no_power(limits):
    voltage = np.full(RACKS, 800.0)
    voltage[:12] = np.nan
    found = limits(np.zeros(RACKS), 200.0, voltage_v=voltage)
    assert found.power_w[:, 0].tolist() == [0.0, 0.0]
    assert found.power_w[1, 1] > 0.0


def test_a_leaving_rack_bounds_the_bus_to_what_the_others_may_then_carry(limits):
    unloading = np.zeros(RACKS, np.bool_)
    unloading[3] = True
    found = limits(np.zeros(RACKS), 200.0, unloading=unloading)
    assert found.power_w[1, 0] == pytest.approx(200.0 * 11 * 800.0)


def test_the_last_rack_leaves_at_zero(limits):
    on_bus = np.zeros(RACKS, np.bool_)
    on_bus[3] = True
    found = limits(np.zeros(RACKS), 200.0, on_bus, on_bus)
    assert found.power_w[1, 0] == 0.0
    assert found.reason[1, 0] == LimitReason.RACK_UNLOADING


@given(
    st.lists(st.floats(0.0, 200.0), min_size=RACKS, max_size=RACKS),
    st.lists(st.booleans(), min_size=RACKS, max_size=RACKS),
    st.lists(st.floats(-250.0, 250.0), min_size=RACKS, max_size=RACKS),
    st.integers(0, RACKS - 1),
)
def test_no_rack_is_pushed_over_its_limit_neither_now_nor_when_one_leaves(limits, allowed, on_bus, current, leaver):
    """With shares by resistance (all alike here): power / voltage / racks left never exceeds any rack's limit."""
    on_bus, allowed_a = np.array(on_bus), np.array(allowed)
    unloading = np.zeros(RACKS, np.bool_)
    unloading[leaver] = on_bus[leaver]
    found = limits(np.zeros(RACKS), allowed_a, on_bus, unloading)
    for bus in (0, 1):
        staying = [r for r in range(12 * bus, 12 * bus + 12) if on_bus[r] and not unloading[r]]
        for rack in staying:
            assert found.power_w[1, bus] / 800.0 / len(staying) <= allowed_a[rack] * (1 + 1e-9)
    flowing = limits(np.array(current), allowed_a, on_bus)
    assert np.all(flowing.power_w >= 0.0)
    assert np.all(np.isfinite(flowing.power_w))
