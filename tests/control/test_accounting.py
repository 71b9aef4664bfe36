"""Totals: by energy, inside the SOC window, at the POI, and for how long."""

from __future__ import annotations

import math

import pytest

from controller.control.commands import Action
from controller.control.sequences.plant import PlantState
from controller.image.quality import Quality
from controller.plant.signals import ContactorState

RACK_WH = 215e3


def test_soc_of_connected_and_of_installed_energy(running):
    running.field.soc[:12] = 0.8
    running.run(6)
    assert running.result.plant.soc_ratio == pytest.approx(0.65)
    assert running.result.blocks.soc_ratio == pytest.approx([0.8, 0.5])
    running.field.contactor[:12] = ContactorState.OPEN
    running.run(6)
    assert running.result.plant.soc_ratio == pytest.approx(0.5)
    assert running.result.plant.soc_installed_ratio == pytest.approx(0.65)
    assert running.result.plant.racks_connected == 12
    assert running.result.plant.racks_available == 24
    assert math.isnan(running.result.blocks.soc_ratio[0])
    assert running.result.blocks.racks_connected.tolist() == [0, 12]


def test_energy_is_that_inside_the_window_after_losses(running):
    running.run(6)
    plant = running.result.plant
    assert plant.energy_to_discharge_wh == pytest.approx(24 * RACK_WH * 0.45 * 0.98)
    assert plant.energy_to_charge_wh == pytest.approx(24 * RACK_WH * 0.45 / 0.98)


def test_sustained_power_is_what_the_energy_lasts_for(running):
    running.field.soc[:] = 0.25
    running.run(6)
    plant = running.result.plant
    energy_wh = 24 * RACK_WH * 0.2 * 0.98
    assert plant.discharge_power_available_w == pytest.approx(2.37e6, rel=0.01)
    assert plant.discharge_power_sustained_15min_w == pytest.approx(2.4e6)
    assert plant.discharge_power_sustained_60min_w == pytest.approx(energy_wh, rel=0.01)
    assert plant.charge_power_sustained_60min_w == pytest.approx(24 * 140 * 790.0 / 0.98, rel=0.12)


def test_power_is_no_more_than_the_weakest_estimated_rack_bears_for_its_size(running):
    running.field.possible_w = 50e3
    running.run(6)
    plant = running.result.plant
    assert plant.discharge_power_sustained_15min_w == pytest.approx(24 * 50e3 * 0.98, rel=0.01)
    assert plant.discharge_power_available_w == pytest.approx(24 * 50e3 * 0.98, rel=0.01)
    running.estimate_quality = Quality.UNCERTAIN
    running.run(6)
    assert running.result.plant.discharge_power_available_w > 24 * 60e3


def test_nothing_is_available_above_the_limits_at_the_poi(running):
    running.ask(Action.SET_EXPORT_LIMIT, 3e5)
    running.run(6)
    assert running.result.plant.discharge_power_available_w == 3e5
    assert running.result.plant.discharge_power_sustained_15min_w == 3e5


def test_a_plant_that_is_off_has_nothing_available(make_rig):
    rig = make_rig(auto_start=False)
    rig.run(6)
    assert rig.state.plant.sequence is PlantState.OFF
    assert rig.result.plant.discharge_power_available_w == 0.0


def test_measured_energy_and_power_of_the_poi_are_the_meters(running):
    running.setpoint(1e6)
    running.run(3)
    plant = running.result.plant
    assert (plant.energy_out_wh, plant.energy_in_wh) == (1e9, 2e9)
    assert plant.apparent_power_va == pytest.approx(plant.active_power_w, rel=0.01)
    assert plant.power_factor_ratio == pytest.approx(1.0)
    assert plant.frequency_hz == 60.0
    assert plant.voltage_v == 12470.0
    assert plant.pcs_power_w == pytest.approx(running.field.pcs_w.sum(), rel=0.01)
    assert running.result.blocks.active_power_w.sum() == pytest.approx(plant.pcs_power_w)
    assert running.result.racks.power_w.sum() == pytest.approx(plant.pcs_power_w, rel=0.02)
