from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.simulator.racks import RackCells

RACKS = 4


@pytest.fixture
def racks(demo):
    return demo.racks[:RACKS]


def cells_of(racks, soc_ratio=0.5, seed=1):
    return RackCells(racks, np.random.default_rng(seed), soc_ratio, 0.25)


def booked(cells):
    cells.refresh()
    return cells.soc


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.floats(-200.0, 200.0), st.sampled_from([0.05, 0.25, 1.0, 10.0])), max_size=40))
def test_charge_of_every_cell_is_the_integral_of_its_racks_current(demo, steps):
    cells = cells_of(demo.racks[:RACKS])
    before = cells.soc.copy()
    share = np.array([1.0, 0.5, 0.0, -1.0])
    for current_a, dt_s in steps:
        cells.advance(current_a * share, dt_s)
    moved_as = sum(current_a * dt_s for current_a, dt_s in steps) * share
    np.testing.assert_allclose((before - booked(cells)) * cells.capacity_as, np.tile(moved_as[:, None], 240), atol=1e-3)


def test_voltage_shows_hysteresis_after_charge_and_discharge(racks):
    rested = {}
    for sign in (1.0, -1.0):
        cells = cells_of(racks)
        for current_a in (sign * 140.0, -sign * 140.0):
            for _ in range(720):
                cells.advance(np.full(RACKS, current_a), 1.0)
        for _ in range(1800):
            cells.advance(np.zeros(RACKS), 10.0)
        rested[sign] = cells.voltage_v.mean()
    assert rested[1.0] - rested[-1.0] > 0.004  # charged last rests above discharged last, at the same charge


def test_resistance_drop_matches_the_stated_rack_resistance(racks):
    cells = cells_of(racks)
    at_rest_v = cells.terminal_v(np.zeros(RACKS))
    drop_v = at_rest_v - cells.terminal_v(np.full(RACKS, 100.0))
    np.testing.assert_allclose(drop_v / 100.0, racks[0].battery.resistance_ohm, rtol=0.1)


def test_current_heats_and_rest_cools(racks):
    cells = cells_of(racks)
    start = cells.temperature_degc.mean()
    for _ in range(360):
        cells.advance(np.full(RACKS, 140.0) * np.array([1, 1, 1, 0]), 10.0)
    warm = cells.temperature_degc.mean(axis=1)
    assert warm[0] > start + 0.5
    assert abs(warm[3] - start) < 0.2
    for _ in range(1440):
        cells.advance(np.zeros(RACKS), 10.0)
    assert cells.temperature_degc.mean(axis=1)[0] < warm[0] - 0.5


def test_leak_drains_one_cell_only(racks):
    cells = cells_of(racks)
    cells.faults.leak_ohm[1, 17] = 30.0
    before = cells.soc.copy()
    for _ in range(360):
        cells.advance(np.zeros(RACKS), 10.0)
    lost_as = (before - booked(cells)) * cells.capacity_as
    assert lost_as[1, 17] == pytest.approx(3600.0 * cells.voltage_v[1, 17] / 30.0, rel=0.02)
    lost_as[1, 17] = 0.0
    assert not lost_as.any()


def test_loose_joint_drops_with_current(racks):
    cells = cells_of(racks)
    cells.advance(np.full(RACKS, 100.0), 1.0)
    healthy_v = cells.voltage_v[0, 17]
    cells.faults.joint_ohm[0, 17] = 0.5e-3
    cells.refresh()
    assert healthy_v - cells.voltage_v[0, 17] == pytest.approx(0.05, abs=2e-3)


def test_pinned_cell_is_believed_and_comes_back(racks):
    cells = cells_of(racks)
    cells.faults.pinned_v[2, 5] = 3.72
    cells.faults.pinned_degc[2, 6] = 62.0
    cells.refresh()
    assert cells.highest_v[2] == pytest.approx(3.72)
    assert cells.hottest_degc[2] == 62.0
    cells.faults.pinned_v.clear()
    cells.faults.pinned_degc.clear()
    cells.refresh()
    assert cells.highest_v[2] < 3.5
    assert cells.hottest_degc[2] < 35.0


def test_racks_of_different_length_keep_their_padding_out_of_everything(racks):
    short = dataclasses.replace(racks[1].battery, cells_in_series=100, temperatures=20)
    mixed = (racks[0], dataclasses.replace(racks[1], battery=short), *racks[2:])
    cells = cells_of(mixed)
    assert cells.emf_v[1] == pytest.approx(cells.voltage_v[1, :100].sum(), rel=1e-5)
    assert 300.0 < cells.emf_v[1] < 360.0
    assert cells.lowest_v[1] == pytest.approx(cells.voltage_v[1, :100].min())
    cells.set_soc(1, 0.2)
    assert cells.soc_ratio[1] == pytest.approx(0.2, abs=1e-6)


def test_overcharge_and_deep_discharge_show_in_the_voltage(racks):
    cells = cells_of(racks, soc_ratio=0.99)
    for _ in range(60):
        cells.advance(np.full(RACKS, -140.0), 10.0)
    assert cells.highest_v.min() > 3.8
    empty = cells_of(racks, soc_ratio=0.01)
    for _ in range(60):
        empty.advance(np.full(RACKS, 140.0), 10.0)
    assert empty.lowest_v.max() < 2.4
