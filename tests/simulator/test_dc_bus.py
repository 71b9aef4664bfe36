from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from controller.simulator.dc_bus import solve_buses

RACKS = 6


@given(
    emf_v=st.lists(st.floats(600.0, 900.0), min_size=RACKS, max_size=RACKS),
    ohm=st.lists(st.floats(0.02, 0.2), min_size=RACKS, max_size=RACKS),
    closed=st.lists(st.booleans(), min_size=RACKS, max_size=RACKS),
    power_w=st.lists(st.floats(-3e5, 3e5), min_size=2, max_size=2),
)
def test_rack_currents_sum_to_the_bus_current_and_power(emf_v, ohm, closed, power_w):
    bus = np.array([0, 0, 0, 0, 1, 1])
    shut = np.array(closed)
    flow = solve_buses(np.array(emf_v), np.array(ohm), shut, bus, np.array(power_w))
    assert (flow.current_a[~shut] == 0.0).all()
    for number in (0, 1):
        mine = bus == number
        total_a = flow.current_a[mine].sum()
        if shut[mine].any():
            np.testing.assert_allclose(total_a * flow.voltage_v[number], power_w[number], rtol=1e-6, atol=0.1)
            terminal_v = np.array(emf_v)[mine] - flow.current_a[mine] * np.array(ohm)[mine]
            np.testing.assert_allclose(terminal_v[shut[mine]], flow.voltage_v[number])
        else:
            assert flow.voltage_v[number] == 0.0
            assert flow.power_w[number] == 0.0


def test_unequal_racks_exchange_current_at_zero_power():
    flow = solve_buses(
        np.array([800.0, 790.0]), np.array([0.1, 0.1]), np.array([True, True]), np.zeros(2, int), np.zeros(1)
    )
    np.testing.assert_allclose(flow.current_a, [50.0, -50.0])
    np.testing.assert_allclose(flow.voltage_v, [795.0])


def test_more_than_a_bus_can_give_is_cut():
    flow = solve_buses(np.array([800.0]), np.array([0.1]), np.array([True]), np.zeros(1, int), np.array([1e9]))
    assert flow.power_w[0] < 800.0**2 / 0.4
    assert flow.voltage_v[0] > 400.0
