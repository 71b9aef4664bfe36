"""Latched trips across a restart."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.plant.protection_rows import Level
from controller.plant.signals import Owner
from controller.protection.protect import protect
from controller.protection.retained import from_bytes, to_bytes
from controller.protection.table import compile_table

RACK = 2


@pytest.fixture
def tripped(bench):
    """Return a bench with one tripped rack and one open interlock."""
    bench.set("cell.voltage", 3.72, RACK, cell=17)
    bench.set("interlock.healthy", 0, 0)
    bench.set("interlock.healthy", 0, 1)
    bench.steps(3)
    return bench


def test_a_latch_waits_for_its_reset_across_a_restart(tripped):
    state, lost = from_bytes(tripped.table, to_bytes(tripped.table, tripped.state))
    assert lost == ()
    assert (state.latched == tripped.state.latched).all()
    element = tripped.element("cell_voltage_high", RACK)
    assert (state.trips.value[element], state.trips.cell[element]) == (tripped.state.trips.value[element], 17)
    assert state.trips.value[tripped.element("tripped", 1, Owner.INTERLOCK)] == 0.0
    tripped.state = state
    assert tripped.reset() == 0, "nothing is measured yet"
    tripped.set("cell.voltage", 3.3, RACK)
    tripped.set("interlock.healthy", 1)
    assert tripped.step().rack_disconnect[RACK]
    assert tripped.reset() == 3


def test_retained_trips_come_before_all_new_ones_in_their_order(tripped):
    tripped.set("cell.voltage", 3.8, 5, cell=0)
    tripped.steps(3)
    older, newer = tripped.element("cell_voltage_high", RACK), tripped.element("cell_voltage_high", 5)
    state, _ = from_bytes(tripped.table, to_bytes(tripped.table, tripped.state))
    assert state.trips.time_ns[older] < state.trips.time_ns[newer] < 0


def test_a_changed_plant_keeps_what_still_belongs_to_it(tripped, demo):
    data = to_bytes(tripped.table, tripped.state)
    renamed = tuple(replace(r, name="NEW") if r.index == RACK else r for r in demo.racks)
    state, lost = from_bytes(compile_table(replace(tripped.plant, racks=renamed)), data)
    assert state.latched.sum() == 2
    assert lost == ("the trip cell_voltage_high of B01-R03 is not kept: the site has no rack of that name any more",)
    other_row = replace(tripped.plant.protection[0], name="cell_voltage_very_high")
    rows = (other_row, *tripped.plant.protection[1:])
    _, lost = from_bytes(compile_table(replace(tripped.plant, protection=rows)), data)
    assert lost == ("the trip cell_voltage_high of B01-R03 is not kept: the site has no such protection row any more",)


@pytest.mark.parametrize(
    "data", [b"not json", b"[]", b'{"trips": [1]}', b'{"trips": [{"time_ns": 1}]}', b'{"trips": 1}', b"\xff"]
)
def test_what_cannot_be_read_is_reported(bench, data):
    state, lost = from_bytes(bench.table, data)
    assert not state.latched.any()
    assert "could not be read back" in lost[0]


def test_nothing_retained_is_nothing_lost(bench):
    state, lost = from_bytes(bench.table, b"")
    assert not state.latched.any()
    assert lost == ()


@pytest.fixture(scope="module")
def demo_table(demo):
    return compile_table(demo)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_json_crashes_a_start(demo_table, content):
    table = demo_table
    for data in (content, {"trips": content}, {"trips": [content]}):
        state, _ = from_bytes(table, json.dumps(data).encode())
        assert not state.latched.any()


def test_a_restart_with_a_trip_names_its_cause(tripped):
    state, _ = from_bytes(tripped.table, to_bytes(tripped.table, tripped.state))
    result = protect(tripped.table, state, tripped.image, tripped.now_ns, 1.0)
    assert result.rack_trip_cause[RACK] == 1
    assert result.level[tripped.element("cell_voltage_high", RACK)] < Level.TRIP
