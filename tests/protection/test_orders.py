"""How far an order reaches, row owner by row owner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.plant.model import OutOfService
from controller.plant.protection_rows import Action, Direction, Level, Reduction
from controller.plant.signals import Owner
from controller.protection.result import MISSING_WORDS, Missing, missing_words

BLOCK_1, BLOCK_2 = list(range(12)), list(range(12, 24))
SIGNALS = {
    Owner.RACK: ("rack.voltage", 15),
    Owner.BANK: ("bank.alarms", 0),
    Owner.PCS: ("pcs.temperature", 1),
    Owner.METER: ("meter.active_power", 0),
}
ORDERS = {
    Action.INHIBIT_CHARGE: "inhibit_charge",
    Action.INHIBIT_DISCHARGE: "inhibit_discharge",
    Action.INHIBIT_BOTH: "inhibit_charge",
    Action.DISCONNECT_RACK: "rack_disconnect",
    Action.ZERO_BUS: "bus_zero",
    Action.STOP_PCS: "pcs_stop",
    Action.STOP_BLOCK: "block_stop",
}
REACHED = {
    (Owner.RACK, "rack"): [15],
    (Owner.BANK, "rack"): BLOCK_1,
    (Owner.PCS, "rack"): BLOCK_2,
    (Owner.METER, "rack"): BLOCK_1 + BLOCK_2,
    (Owner.RACK, "other"): [1],
    (Owner.BANK, "other"): [0],
    (Owner.PCS, "other"): [1],
    (Owner.METER, "other"): [0, 1],
}


def tripped(make_bench, make_row, owner, action):
    """Return the result of a trip of this owner's equipment with this action."""
    signal, equipment = SIGNALS[owner]
    row = make_row("x", signal, (Level.TRIP, 1000.0, 0.0, action), owner=owner, reduction=Reduction.NONE, reset=900.0)
    bench = make_bench(row)
    bench.set("bank.alarms", 0)
    bench.step()
    bench.set(signal, 2000.0, equipment)
    return bench.step()


@pytest.mark.parametrize("owner", [Owner.RACK, Owner.BANK, Owner.PCS, Owner.METER])
@pytest.mark.parametrize("action", ORDERS)
def test_an_order_reaches_what_hangs_on_it_and_no_neighbour(make_bench, make_row, owner, action):
    result = tripped(make_bench, make_row, owner, action)
    reached = np.flatnonzero(getattr(result, ORDERS[action])).tolist()
    assert reached == REACHED[owner, "rack" if "inhibit" in action or "rack" in action else "other"]
    assert result.plant_stop == (owner is Owner.METER and action is Action.STOP_BLOCK)


@pytest.mark.parametrize("owner", [Owner.RACK, Owner.BANK, Owner.PCS, Owner.METER])
def test_any_equipment_may_stop_the_plant(make_bench, make_row, owner):
    result = tripped(make_bench, make_row, owner, Action.STOP_PLANT)
    assert result.plant_stop
    assert result.block_stop.all()
    assert result.pcs_stop.all()


def test_inhibit_both_is_both(make_bench, make_row):
    result = tripped(make_bench, make_row, Owner.RACK, Action.INHIBIT_BOTH)
    assert (result.inhibit_charge == result.inhibit_discharge).all()


def test_a_trip_that_only_annunciates_orders_nothing(make_bench, make_row):
    result = tripped(make_bench, make_row, Owner.RACK, Action.ANNUNCIATE)
    assert result.rack_trip_latched[15]
    assert not result.rack_trip.any()


@pytest.mark.parametrize(("owner", "racks"), [(Owner.RACK, [15]), (Owner.BANK, BLOCK_1)])
def test_the_cause_of_a_rack_trip_is_its_row(make_bench, make_row, owner, racks):
    result = tripped(make_bench, make_row, owner, Action.DISCONNECT_RACK)
    assert np.flatnonzero(result.rack_trip_cause).tolist() == racks
    assert set(result.rack_trip_cause[racks].tolist()) == {1}
    assert (result.rack_connect_missing[racks] & Missing.NO_TRIP).all()


def test_the_first_trip_names_the_cause(make_bench, make_row):
    limits = (Level.TRIP, 1000.0, 0.0, Action.DISCONNECT_RACK)
    rows = [
        make_row(name, signal, limits, reset=900.0) for name, signal in (("a", "rack.voltage"), ("b", "rack.current"))
    ]
    bench = make_bench(*rows)
    bench.set("rack.current", 2000.0, 3)
    assert bench.step().rack_trip_cause[3] == 2
    bench.set("rack.voltage", 2000.0, 3)
    assert bench.step().rack_trip_cause[3] == 2, "what follows is not the cause"


def test_what_is_out_of_service_may_not_start_and_is_not_missed(make_bench, demo):
    out = OutOfService("module 4", "k.laine", "")
    racks = tuple(replace(r, out_of_service=out) if r.index == 3 else r for r in demo.racks)
    pcs = tuple(replace(p, out_of_service=out) if p.index == 1 else p for p in demo.pcs)
    bench = make_bench(*demo.protection[:-1], racks=racks, pcs=pcs)
    bench.step()
    bench.silence(Owner.RACK, 3)
    bench.silence(Owner.PCS, 1)
    result = bench.steps(90)
    assert result.rack_connect_missing[3] & Missing.IN_SERVICE
    assert result.pcs_start_missing[1] & Missing.IN_SERVICE
    assert not result.bus_no_increase[0]
    assert not result.silence.pcs.blind.any()


def test_silence_of_a_converter_holds_its_bus(make_bench, make_row):
    limits = (Level.TRIP, 100.0, 0.0, Action.STOP_PCS)
    bench = make_bench(make_row("x", "pcs.temperature", limits, owner=Owner.PCS, reset=90.0))
    bench.step()
    bench.silence(Owner.PCS, 1)
    result = bench.steps(4)
    assert result.bus_no_increase.tolist() == [False, True]
    assert bench.steps(60).bus_zero.tolist() == [False, True]


def test_a_lost_warning_holds_nothing(make_bench, make_row):
    """One insulation monitor of a section is active; that the others give no value is no lost protection."""
    limits = (Level.WARNING, 5e5, 0.0, Action.ANNUNCIATE)
    bench = make_bench(make_row("x", "rack.insulation_resistance", limits, direction=Direction.LOW, reset=1e6))
    bench.spoil("rack.insulation_resistance")
    result = bench.steps(60)
    assert not result.bus_no_increase.any()
    assert not result.rack_connect_missing.any()


def test_every_missing_permissive_has_words():
    assert set(MISSING_WORDS) == set(Missing)
    assert len(missing_words(sum(Missing))) == len(Missing)
    assert missing_words(0) == ()
