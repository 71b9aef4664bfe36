"""What a reset asks of BMSs: also of one that reports a fault of its contactors, and nothing that could open a rack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.control.commands import Action
from controller.plant.signals import ConnectRequest, ContactorState, RestartKind
from tests.control.conftest import Rig

RACK, ELSEWHERE = 3, 13


@pytest.fixture
def in_fault(running: Rig) -> Rig:
    """Return a rig one rack of which has opened with a fault."""
    running.field.contactor[RACK] = ContactorState.FAULT
    running.run(5.0)
    return running


def _asked(rig: Rig, name: str) -> dict[int, float]:
    """Return what has been asked newly, by equipment."""
    line = rig.state.outputs[name]
    return {int(i): float(line.value[i]) for i in np.flatnonzero(line.issue)}


def _forget(rig: Rig) -> None:
    for line in rig.state.outputs.requests.values():
        line.issue[:] = 0


def _share_with_bank(rig: Rig) -> None:
    """Let the racks of the first block be reached through their bank alone."""
    relations = rig.state.relations
    shared = rig.arrays.rack_block == 0
    rig.state.relations = replace(
        relations,
        rack_bank=np.where(shared, 0, relations.rack_bank),
        rack_request_served=~shared,
        rack_shares_request=shared,
        rack_reset_served=~shared,
    )


@pytest.mark.parametrize("target", ["Plant", "rack"])
def test_a_faulty_rack_is_reset_and_its_connect_request_withdrawn(in_fault: Rig, target: str) -> None:
    _forget(in_fault)
    whole = target == "Plant"
    action = Action.RESET_TRIPS if whole else Action.RESET_TRIP
    assert in_fault.ask(action, target="Plant" if whole else in_fault.plant.racks[RACK].tag).accepted
    assert _asked(in_fault, "rack.connect_request") == {RACK: ConnectRequest.DISCONNECT}
    assert in_fault.state.outputs["rack.reset_request"].issue[RACK] > 0
    assert set(_asked(in_fault, "rack.reset_request")) == {RACK}


def test_a_reset_of_another_rack_leaves_it_alone(in_fault: Rig) -> None:
    _forget(in_fault)
    assert in_fault.ask(Action.RESET_TRIP, target=in_fault.plant.racks[ELSEWHERE].tag).accepted
    assert _asked(in_fault, "rack.connect_request") == {}
    assert _asked(in_fault, "rack.reset_request") == {}


@pytest.mark.parametrize("current_a", [50.0, -50.0, np.nan])
def test_nothing_is_withdrawn_while_current_may_flow(in_fault: Rig, current_a: float) -> None:
    image = in_fault.field.image["rack.current"]
    read = in_fault.field.read

    def read_with_current(now_ns: int) -> None:
        read(now_ns)
        image.value[RACK] = current_a

    in_fault.field.read = read_with_current  # type: ignore[method-assign] # a contactor that is welded
    _forget(in_fault)
    in_fault.ask(Action.RESET_TRIPS)
    assert RACK not in _asked(in_fault, "rack.connect_request")


@pytest.mark.parametrize("all_open", [False, True])
def test_a_request_shared_with_a_bank_is_withdrawn_only_where_nothing_is_closed(in_fault: Rig, all_open: bool) -> None:
    _share_with_bank(in_fault)
    if all_open:
        of_bank = in_fault.arrays.rack_block == 0
        in_fault.field.contactor[of_bank] = ContactorState.FAULT
        in_fault.scan()
    _forget(in_fault)
    in_fault.ask(Action.RESET_TRIPS)
    asked = _asked(in_fault, "bank.connect_request")
    assert asked == ({0: ConnectRequest.DISCONNECT} if all_open else {})
    assert _asked(in_fault, "bank.reset_request") == {0: RestartKind.RESET}
