"""What must hold whatever happens: told to a plant that random hands disturb for a while."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import STOPS, Action, Command
from controller.control.limits.reasons import LimitReason
from controller.control.power import resting_reason
from controller.control.sequences.plant import PlantState
from controller.plant.signals import ContactorState, PcsState

DISTURBANCES: dict[str, Callable[[Any, int], object]] = {
    "trip": lambda rig, i: rig.protection.rack_trip.__setitem__(i, True),
    "disconnect": lambda rig, i: rig.protection.rack_disconnect.__setitem__(i, True),
    "inhibit charge": lambda rig, i: rig.protection.inhibit_charge.__setitem__(i, True),
    "zero bus": lambda rig, i: rig.protection.bus_zero.__setitem__(i % 2, True),
    "release bus": lambda rig, _: rig.protection.bus_zero.fill(False),
    "stop pcs": lambda rig, i: rig.protection.pcs_stop.__setitem__(i % 2, True),
    "release pcs": lambda rig, _: rig.protection.pcs_stop.fill(False),
    "silent rack": lambda rig, i: rig.field.silent.add(("rack", i)),
    "silent pcs": lambda rig, i: rig.field.silent.add(("pcs", i % 2)),
    "silent meter": lambda rig, _: rig.field.silent.add(("meter", 0)),
    "all speak": lambda rig, _: rig.field.silent.clear(),
    "low limit": lambda rig, i: rig.field.limit_a.__setitem__((slice(None), i), 5.0 * i),
    "opens": lambda rig, i: rig.field.contactor.__setitem__(i, ContactorState.OPEN),
    "deaf": lambda rig, i: rig.field.deaf.add(i),
    "empty": lambda rig, i: rig.field.soc.__setitem__(i, 0.051),
    "ceiling": lambda rig, i: rig.field.ceiling_w.__setitem__(i % 2, 5e4 * i),
    "pcs off": lambda rig, i: rig.field.pcs_state.__setitem__(i % 2, PcsState.OFF),
    "pcs fault": lambda rig, i: rig.field.pcs_state.__setitem__(i % 2, PcsState.FAULT),
    "no watchdog": lambda rig, i: rig.field.watchdog_s.__setitem__(i % 2, 0.0),
    "refuses": lambda rig, _: rig.field.refuses.add("pcs.active_power_setpoint"),
    "obeys": lambda rig, _: rig.field.refuses.clear(),
}
COMMANDS: dict[str, Callable[[Any, float], Command]] = {
    "setpoint": lambda rig, x: rig.command(Action.SET_ACTIVE_POWER, 2.4e6 * x),
    "reactive": lambda rig, x: rig.command(Action.SET_REACTIVE_POWER, 2.64e6 * x),
    "export": lambda rig, x: rig.command(Action.SET_EXPORT_LIMIT, 2.4e6 * abs(x)),
    "import": lambda rig, x: rig.command(Action.SET_IMPORT_LIMIT, 2.4e6 * abs(x)),
    "start": lambda rig, _: rig.command(Action.START),
    "stop": lambda rig, _: rig.command(Action.STOP),
    "fast stop": lambda rig, _: rig.command(Action.FAST_STOP),
    "reset": lambda rig, _: rig.command(Action.RESET_TRIPS),
    "connect": lambda rig, _: rig.command(Action.CONNECT, target="Plant.Block01.Rack04"),
    "leave": lambda rig, _: rig.command(Action.DISCONNECT, target="Plant.Block02.Rack07"),
}
STEP = st.one_of(
    st.tuples(st.sampled_from(sorted(COMMANDS)), st.floats(-1.0, 1.0)),
    st.tuples(st.sampled_from(sorted(DISTURBANCES)), st.integers(0, 23)),
)


@given(steps=st.lists(st.tuples(STEP, st.integers(1, 6)), max_size=25))
def test_the_invariants_hold_whatever_happens(new_running, steps):
    rig = new_running()
    for (what, amount), scans in steps:
        if what in DISTURBANCES:
            DISTURBANCES[what](rig, amount)
            commands: list[Command] = []
        else:
            commands = [COMMANDS[what](rig, amount)]
        for _ in range(scans):
            result = rig.scan(*commands)
            check(rig, result, commands)
            commands = []


def check(rig, result, commands) -> None:
    replies = {r.id: r for r in result.replies}
    assert all(replies[c.id].accepted for c in commands if c.action in STOPS)
    plant, pcs = result.plant, result.pcs
    p, q = pcs.active_power_command_w, pcs.reactive_power_command_var
    discharge_w, charge_w = pcs.discharge_power_allowed_w, pcs.charge_power_allowed_w
    assert np.all(np.isfinite(p))
    assert np.all(np.isfinite(q))
    # never beyond what a converter may, and so never beyond what the racks behind it may
    assert np.all(p <= discharge_w * (1 + 1e-9) + 1e-6)
    assert np.all(-p <= charge_w * (1 + 1e-9) + 1e-6)
    buses = result.buses
    assert np.all(p * (p > 0) <= buses.discharge_power_allowed_w + 1e-6)
    assert np.all(-p * (p < 0) <= buses.charge_power_allowed_w / 0.98 + 1e-6)
    # never beyond the limits at the POI, and Q within every circle
    assert -plant.import_limit_w <= plant.active_power_in_effect_w <= plant.export_limit_w
    in_effect_va = math.hypot(plant.active_power_in_effect_w, plant.reactive_power_in_effect_var)
    assert in_effect_va <= rig.plant.poi.apparent_va * (1 + 1e-9)
    assert np.all(np.hypot(p, q) <= rig.arrays.pcs_apparent_va * (1 + 1e-9))
    # protection has the last word
    for index, stopped in enumerate(rig.protection.pcs_stop | rig.protection.bus_zero):
        assert not stopped or p[index] == 0.0
    for rack in np.flatnonzero(rig.protection.rack_trip & (rig.field.contactor == ContactorState.CLOSED)):
        assert ("rack", int(rack)) in rig.field.silent or p[rack // 12] == 0.0
    # every cut has its reason, and without one what is asked is in effect
    clips = result.active_clips
    assert all(c.reason is not LimitReason.NONE for c in clips)
    if not clips:
        assert plant.active_power_in_effect_w == plant.active_power_accepted_w
    binding = clips or result.reactive_clips
    assert plant.limit_reason == (binding[-1].reason if binding else resting_reason(rig.state))
    # the sum is met wherever it can be, with room for what flows without us
    if not (rig.protection.pcs_stop.any() or rig.protection.bus_zero.any() or rig.state.plant.fast_stop):
        assumed_w = np.array(result.uncontrolled.assumed_w or [(math.nan, math.nan)] * len(p))
        heard = np.isnan(assumed_w[:, 0])
        possible_w = max(-charge_w[heard].sum(), min(discharge_w[heard].sum(), result.controlled_w))
        assert p[heard].sum() == pytest.approx(possible_w, abs=1.0)
        assert np.all(np.abs(p[~heard]) <= np.abs(assumed_w[~heard]).max(axis=1, initial=0.0) + 1e-6)
    if rig.state.plant.sequence not in {PlantState.RUNNING, PlantState.RAMPING_DOWN}:
        assert not p.any()
    # what is written is what is commanded
    line = rig.state.outputs["pcs.active_power_setpoint"]
    assert np.all(np.abs(line.value - p) <= 1.3e2)
    assert np.all((p != 0.0) | (line.value == 0.0))


@pytest.fixture(scope="module")
def new_running(make_any_rig):
    """Return a maker of running rigs."""
    return lambda: make_any_rig().start()
