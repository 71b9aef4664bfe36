"""The reaction chain and the cause-and-effect matrix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.plant.device_types import DeviceKind
from controller.plant.protection_rows import Action, Level
from controller.plant.signals import Owner
from controller.protection.explain import CONTACTOR_OPENS_S, cause_effect_matrix, is_known, total_s, worst_case_reaction


@pytest.fixture(scope="module")
def rows(demo):
    return {(row.owner, row.name): row for row in demo.protection}


def chain_of(plant, row, equipment, level=None):
    return [(delay.name, delay.seconds) for delay in worst_case_reaction(plant, row, equipment, level)]


def test_a_disconnection_is_slower_than_its_delay(demo, rows):
    row = rows[Owner.RACK, "cell_voltage_high"]
    chain = chain_of(demo, row, 13)
    names = [name for name, _ in chain]
    assert names[:3] == ["device refresh", "poll period", "answer"]
    assert names[3:6] == ["scan", "on-delay", "next scan"]
    assert names[-1] == "contactor opens"
    assert ("poll period", 5.0) in chain, "the slowest signal counts: cells are polled each 5 s"
    assert ("on-delay", 2.0) in chain
    assert chain[-1][1] == CONTACTOR_OPENS_S
    assert "converter ramps to zero" in names
    assert total_s(worst_case_reaction(demo, row, 13)) > 8.0


def test_what_nobody_states_is_not_zero(demo, rows):
    unsaid = [replace(d, type=replace(d.type, refresh_s=None)) for d in demo.devices]
    plant, row = replace(demo, devices=tuple(unsaid)), rows[Owner.RACK, "cell_voltage_high"]
    assert ("device refresh", None) in chain_of(plant, row, 13)
    assert not is_known(worst_case_reaction(plant, row, 13))
    assert is_known(worst_case_reaction(demo, row, 13))
    lines = [line for line in cause_effect_matrix(plant) if line.cause == row.name and line.owner == "rack"]
    assert all(line.reaction_s is None for line in lines)


def test_a_warning_ends_at_the_scan(demo, rows):
    names = [name for name, _ in chain_of(demo, rows[Owner.RACK, "cell_voltage_high"], 0, Level.WARNING)]
    assert names[-1] == "next scan"
    assert "write" not in names


def test_without_a_delay_no_scan_is_waited_for(demo, rows):
    names = [name for name, _ in chain_of(demo, rows[Owner.INTERLOCK, "tripped"], 0)]
    assert names.count("scan") == 1
    assert "next scan" not in names


@pytest.mark.parametrize("owner", [Owner.RACK, Owner.BANK, Owner.PCS, Owner.METER, Owner.INTERLOCK])
@pytest.mark.parametrize("action", [a for a in Action if a is not Action.ANNUNCIATE])
def test_every_action_of_every_owner_takes_a_converter_to_zero(demo, rows, owner, action):
    row = next(r for (o, _), r in rows.items() if o is owner)
    acting = replace(row, levels=(replace(row.levels[-1], action=action),))
    names = [name for name, _ in chain_of(demo, acting, 0)]
    assert "converter ramps to zero" in names
    assert ("contactor opens" in names) == (action is Action.DISCONNECT_RACK)


def test_the_slowest_converter_counts(demo, rows):
    slow = replace(demo.pcs[1], ramp_w_per_s=1000.0)
    plant = replace(demo, pcs=(demo.pcs[0], slow))
    row = rows[Owner.INTERLOCK, "tripped"]
    assert total_s(worst_case_reaction(plant, row, 0)) > 1200
    fire_in_block_1 = replace(row, levels=(replace(row.levels[0], action=Action.STOP_BLOCK),))
    assert total_s(worst_case_reaction(plant, fire_in_block_1, 1)) < 20


def test_what_a_device_does_not_serve_adds_nothing(demo, rows):
    """A second device beside the rack's own, which measures only its voltage and takes no request."""
    rack_device = next(d for d in demo.devices if (d.bindings[0].owner, d.bindings[0].equipment) == (Owner.RACK, 13))
    served = tuple(p for p in rack_device.type.points if p.signal.name == "rack.voltage")
    other = replace(rack_device, type=replace(rack_device.type, points=served))
    row = rows[Owner.RACK, "cell_voltage_high"]
    both = worst_case_reaction(replace(demo, devices=(*demo.devices, other)), row, 13)
    assert both == worst_case_reaction(demo, row, 13)


def test_the_matrix_has_every_level_of_every_row_and_the_ladder(demo):
    lines = cause_effect_matrix(demo)
    levels = sum(len(row.levels) for row in demo.protection)
    assert len(lines) == levels + 4
    trip = next(line for line in lines if (line.cause, line.level) == ("cell_voltage_high", "trip"))
    assert (trip.limit, trip.effect, trip.reset_class) == (">= 3.65 V", "disconnect_rack", "remote")
    assert trip.equipments == 24
    open_rack = next(line for line in lines if (line.cause, line.level) == ("current_while_open", "trip"))
    assert open_rack.limit == ">= 5.0 A when disconnected"
    assert [line.limit for line in lines if line.cause == "tripped"] == ["no"]
    ladder = [line for line in lines if line.cause == "measurements lost"]
    assert {line.effect for line in ladder} == {"bus_no_increase", "zero_bus"}
    assert all(line.reaction_s is None for line in ladder)


def test_an_age_is_a_time_itself(demo, rows):
    row = rows[Owner.METER, "data_age"]
    chain = worst_case_reaction(demo, row, 0)
    assert [(delay.name, delay.seconds) for delay in chain] == [("age of the value", 2.0), ("scan", 0.25)]


def test_a_row_over_nothing_has_no_reaction(demo, rows):
    plant = replace(demo, banks=(), protection=(rows[Owner.BANK, "data_age"],))
    assert cause_effect_matrix(plant)[0].reaction_s == 0.0


def without_request(demo, kind, *names):
    def cut(device):
        points = tuple(point for point in device.type.points if point.signal.name not in names)
        return replace(device, type=replace(device.type, points=points)) if device.type.kind is kind else device

    return replace(demo, devices=tuple(cut(device) for device in demo.devices))


def trips_of(plant, name="cell_voltage_high"):
    return [line for line in cause_effect_matrix(plant) if (line.cause, line.level) == (name, "trip")]


def test_the_matrix_says_what_really_happens_to_racks_that_nobody_can_open(demo, rows):
    fixed = without_request(demo, DeviceKind.RACK_BMS, "rack.connect_request")
    asked, stopped = trips_of(fixed)
    assert [(line.effect, line.equipments) for line in (asked, stopped)] == [("disconnect_rack", 12), ("stop_pcs", 12)]
    assert stopped.reaction_s < asked.reaction_s
    names = [name for name, _ in chain_of(fixed, rows[Owner.RACK, "cell_voltage_high"], 13)]
    assert names[-1] == "converter ramps to zero"


def test_a_bank_that_opens_as_a_whole_disconnects_its_racks(demo, rows):
    whole = without_request(demo, DeviceKind.BANK_BMS, "rack.connect_request")
    assert [(line.effect, line.equipments) for line in trips_of(whole)] == [("disconnect_rack", 24)]
    names = [name for name, _ in chain_of(whole, rows[Owner.RACK, "cell_voltage_high"], 0)]
    assert names[-3:] == ["write", "device refresh", "contactor opens"]
    neither = without_request(demo, DeviceKind.BANK_BMS, "rack.connect_request", "bank.connect_request")
    assert [line.effect for line in trips_of(neither)] == ["stop_pcs", "disconnect_rack"]


def test_a_row_of_banks_disconnects_all_of_a_banks_racks(demo, rows):
    row = replace(rows[Owner.RACK, "cell_voltage_high"], owner=Owner.BANK, signal="bank.heartbeat", also=())
    for plant, effect in (
        (demo, "disconnect_rack"),
        (without_request(demo, DeviceKind.BANK_BMS, "rack.connect_request", "bank.connect_request"), "stop_pcs"),
    ):
        lines = trips_of(replace(plant, protection=(row,)))
        assert [(line.effect, line.equipments) for line in lines] == [(effect, 1)]
