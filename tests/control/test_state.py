"""What survives a restart: limits, latches and lock-outs; never a set-point."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import Action
from controller.control.sequences.plant import PlantState
from controller.control.state import SITE_HOLDER, LockOut, control_state, from_bytes, to_bytes
from controller.image.plant_arrays import plant_arrays
from controller.plant.model import OutOfService
from controller.plant.signals import ContactorState, PcsState

RACK = "Plant.Block01.Rack04"


def test_a_fast_stop_stays_latched_over_a_restart_and_stops_what_still_runs(running):
    running.ask(Action.FAST_STOP)
    running.restart()
    running.field.pcs_state[:] = PcsState.RUNNING
    running.run(5)
    assert running.field.pcs_state.tolist() == [PcsState.OFF] * 2
    assert running.state.plant.sequence is PlantState.OFF
    assert "opcua:anne" in running.ask(Action.START).text


def test_lock_outs_and_their_reasons_survive(running):
    running.ask(Action.LOCK_OUT, "Modul prüfen", RACK, user="anne")
    running.ask(Action.LOCK_OUT, "measures", RACK, user="bert")
    again = control_state(running.plant, running.arrays)
    from_bytes(again, running.plant, to_bytes(running.state, running.plant), 0)
    assert again.lock_outs == {3: (LockOut("anne", "Modul prüfen"), LockOut("bert", "measures"))}


def test_a_restart_never_resumes_power(running):
    running.setpoint(1e6, timeout_s=600.0)
    running.run(3)
    running.restart()
    running.run(20)
    assert running.field.contactor[0] == ContactorState.CLOSED
    assert running.field.pcs_state.tolist() == [PcsState.RUNNING] * 2
    assert not running.field.pcs_w.any()


def test_the_site_files_lock_out_is_not_stored_and_not_removable(demo_plant, make_rig_on):
    out = OutOfService("cable cut", "site", "", lock_out=True)
    racks = tuple(replace(r, out_of_service=out if r.index == 3 else None) for r in demo_plant.racks)
    plant = replace(demo_plant, racks=racks)
    state = control_state(plant, plant_arrays(plant))
    assert state.lock_outs == {3: (LockOut(SITE_HOLDER, "cable cut"),)}
    again = control_state(plant, plant_arrays(plant))
    from_bytes(again, plant, to_bytes(state, plant), 0)
    assert again.lock_outs == state.lock_outs


def test_racks_that_the_site_no_longer_has_are_told(running):
    running.ask(Action.LOCK_OUT, "x", RACK)
    saved = to_bytes(running.state, running.plant).replace(b"B01-R04", b"B99-R99")
    assert from_bytes(control_state(running.plant, running.arrays), running.plant, saved, 0) == ("B99-R99",)


@given(st.binary(max_size=200))
def test_bytes_that_are_not_ours_are_a_value_error(demo_plant_holder, data):
    plant, arrays = demo_plant_holder()
    with pytest.raises(ValueError, match=r"."):
        from_bytes(control_state(plant, arrays), plant, data, 0)


@pytest.fixture(scope="module")
def demo_plant_holder(demo_plant):
    """Return a function, whose name is shorter than a plant."""
    arrays = plant_arrays(demo_plant)
    return lambda: (demo_plant, arrays)


def test_an_unknown_format_is_refused(running):
    saved = to_bytes(running.state, running.plant).replace(b'"format": 1', b'"format": 7')
    with pytest.raises(ValueError, match="format 7"):
        from_bytes(running.state, running.plant, saved, 0)
