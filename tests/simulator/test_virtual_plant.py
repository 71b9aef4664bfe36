from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.plant.model import UnloadsContactors
from controller.plant.signals import SIGNALS, PcsState
from controller.simulator.grid import packaged_profile
from controller.simulator.requests import REQUESTS


def test_every_signal_is_read_or_asked_for(bench):
    for signal in SIGNALS.values():
        if signal.command:
            assert signal.name in REQUESTS
        else:
            assert np.isfinite(bench.read(signal.name).astype(float)).all()


def test_the_poi_sees_what_converters_make_less_losses(running):
    running.produce(1e6, 1e5)
    virtual = running.virtual
    lost_w = 2e6 - virtual.poi_w
    assert 0.0 < lost_w < 0.03 * 2e6
    assert running.read("meter.active_power")[0] == pytest.approx(virtual.poi_w)
    assert running.read("meter.reactive_power")[0] == pytest.approx(2e5)
    assert running.read("meter.active_power")[1] < 0.0  # auxiliaries draw
    running.run(10)
    assert running.read("meter.energy_out")[0] > 0.0
    assert running.read("meter.energy_in")[1] > 0.0


@settings(max_examples=5, deadline=None)
@given(powers=st.lists(st.floats(-1.2e6, 1.2e6), min_size=1, max_size=6))
def test_energy_is_conserved_between_cells_and_converters(make_bench, powers):
    bench = make_bench()
    bench.connect()
    virtual = bench.virtual
    for power_w in powers:
        bench.produce(power_w)
        for _ in range(5):
            virtual.step(1.0)
            of_racks_w = virtual.rack_current_a * virtual.bus_voltage_v[virtual._rack_bus]
            for converter in virtual.converters:
                mine = virtual._rack_bus == converter.rating.bus
                assert of_racks_w[mine].sum() == pytest.approx(converter.dc_power_w, abs=1.0)
                assert converter.dc_power_w == pytest.approx(converter.active_power_w + converter.loss_w(), abs=1.0)


def test_the_same_seed_gives_the_same_plant_and_another_another(demo, bench):
    same, other = type(bench)(demo), type(bench)(demo, seed=99)
    for each in (bench, same, other):
        each.connect()
        each.produce(1e6)
        each.run(20)
    for signal in ("rack.current", "cell.voltage", "meter.active_power"):
        first = bench.read(signal)
        assert (first == same.read(signal)).all()
    assert (bench.read("cell.voltage") != other.read("cell.voltage")).any()


def test_circulating_currents_even_out_unequal_racks(bench):
    bench.virtual.cells.set_soc(0, 0.9)
    bench.virtual.cells.set_soc(1, 0.85)
    bench.connect()
    currents = bench.virtual.rack_current_a[:12]
    assert abs(currents.sum()) < 1e-6
    assert np.abs(currents).max() > 1.0


def test_tripped_racks_leave_a_hardwired_converter_without_its_permission(bench):
    plant = bench.plant
    buses = tuple(dataclasses.replace(b, unloads_contactors=UnloadsContactors.HARDWIRED) for b in plant.buses)
    wired = type(bench)(dataclasses.replace(plant, buses=buses))
    wired.connect()
    wired.produce(1e6)
    for rack in range(12):
        wired.virtual.cells.faults.pinned_v[rack, 0] = 3.8
    wired.run(4)
    states = [PcsState(s) for s in wired.read("pcs.state").astype(int)]
    assert states == [PcsState.FAULT, PcsState.RUNNING]


def test_the_packaged_day_scales_to_the_nominal_frequency(demo, bench):
    assert demo.simulation.grid_profile == "us60hz_day"
    bench.run(100)
    assert 59.9 < bench.read("pcs.frequency")[0] < 60.1
    assert bench.read("pcs.frequency")[0] != 60.0
    at_50 = packaged_profile("us60hz_day", 50.0).at(43200.0)
    assert 49.9 < at_50["frequency_hz"] < 50.1
    with pytest.raises(KeyError, match="us60hz_day"):
        packaged_profile("mars", 60.0)


def test_what_the_grid_is_told_wins(bench):
    bench.virtual.grid.told |= {"frequency_hz": 59.5, "load_mw": 3.0, "pv_mw": 1.0}
    bench.run(1)
    assert bench.read("meter.frequency")[0] == 59.5
    assert bench.read("meter.active_power")[0] == pytest.approx(-2e6, rel=0.02)


@pytest.mark.parametrize("dt_s", [0.05, 0.25, 1.0, 2.0, 10.0])
def test_an_hour_comes_out_the_same_whatever_the_step(demo, bench, dt_s):
    bench.connect()
    bench.produce(0.8e6)
    before = bench.virtual.cells.soc_ratio.copy()
    bench.run(120, dt_s)
    drawn = (before - bench.virtual.cells.soc_ratio).mean()
    assert drawn == pytest.approx(120 / 3600 * 2 * 0.8e6 / 0.985 / (24 * 795 * 280), rel=0.02)
