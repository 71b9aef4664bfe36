"""What must hold before something may start: what is missing is told, in words, in every refusal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.desk import Desk
from controller.control.inputs import ProtectionOrders
from controller.control.measurements import Measurements
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.state import ControlState
from controller.image.image import Image
from controller.image.plant_arrays import PlantArrays
from controller.image.quality import Quality
from controller.plant.model import Plant
from controller.plant.signals import ContactorState
from controller.protection.result import missing_words

BoolArray = NDArray[np.bool_]

NOT_RETAINED = "the retained state can't be written, so a restart would not know of it: free its disk, then repeat"
HELD_BY_BANK = "its bank connects only as a whole, and another of its racks must stay open"


def unhealthy_chains(plant: Plant, image: Image) -> tuple[str, ...]:
    """Return, in words, which hard-wired chains are open, and of which that is not known."""
    healthy = image["interlock.healthy"]
    words = []
    for chain in plant.interlocks:
        if healthy.quality[chain.index] > Quality.UNCERTAIN:
            words.append(f"the state of interlock {chain.name} is not known")
        elif not healthy.value[chain.index]:
            words.append(f"interlock {chain.name} is not healthy")
    return tuple(words)


def missing_for_start(desk: Desk) -> tuple[str, ...]:
    """Return what stands against a start of the plant, in words."""
    arrays, state, protection = desk.arrays, desk.state, desk.protection
    missing = list(unhealthy_chains(desk.plant, desk.image))
    if not desk.retains:
        missing.append(NOT_RETAINED)
    if state.plant.fast_stop:
        missing.append(f"the fast stop by {state.plant.fast_stop} is not reset")
    if protection.plant_stop:
        missing.append("a protection's stop of the plant is in force or not reset")
    if lacking := _no_rack(arrays, state, protection.rack_trip | desk.measured.rack_tripped):
        missing.append(lacking)
    if not _any_pcs(arrays, state, protection):
        missing.append("no converter is available and communicates")
    return tuple(missing)


def _no_rack(arrays: PlantArrays, state: ControlState, tripped: BoolArray) -> str:
    """Return why no rack could carry power after a start; "" if one could."""
    if np.any(available_racks(arrays, state, tripped)):
        return ""
    held = held_by_bank(state, must_stay_open(arrays, state, tripped))
    return f"no rack is available: {HELD_BY_BANK}" if np.any(held) else "no rack is available"


def _any_pcs(arrays: PlantArrays, state: ControlState, protection: ProtectionOrders) -> bool:
    away = {PcsSequenceState.UNKNOWN, PcsSequenceState.LOST, PcsSequenceState.TRIPPED, PcsSequenceState.OUT_OF_SERVICE}
    present = np.array([s not in away for s in state.pcs.sequence], np.bool_)
    stopped = protection.pcs_stop | protection.block_stop[arrays.pcs_block]
    return bool(np.any(present & ~stopped))


def must_stay_open(arrays: PlantArrays, state: ControlState, tripped: BoolArray) -> BoolArray:
    """Return which racks [R] must stay open for their own sake: tripped, locked out, out of service."""
    return tripped | state.locked_out() | ~arrays.rack_in_service


def held_by_bank(state: ControlState, barred: BoolArray) -> BoolArray:
    """Return which other racks [R] stay open with these: their bank would connect all of them at once."""
    relations, shared = state.relations, state.relations.rack_shares_request
    held: BoolArray = shared & ~barred & np.isin(relations.rack_bank, relations.rack_bank[shared & barred])
    return held


def available_racks(arrays: PlantArrays, state: ControlState, tripped: BoolArray) -> BoolArray:
    """Return which racks [R] may carry power: connected ones, and those that a start would connect."""
    contactor, barred = state.racks.contactor, must_stay_open(arrays, state, tripped)
    comes = state.relations.rack_requestable & ~held_by_bank(state, barred)
    there = (contactor == ContactorState.CLOSED) | (comes & (contactor != ContactorState.UNKNOWN))
    available: BoolArray = there & ~barred
    return available


def missing_for_connect(
    arrays: PlantArrays, state: ControlState, measured: Measurements, protection: ProtectionOrders, rack: int
) -> tuple[str, ...]:
    """Return what stands against connecting one rack, in words."""
    missing = [f"locked out by {lock.holder} ({lock.reason})" for lock in state.lock_outs.get(rack, ())]
    missing += missing_words(int(protection.rack_connect_missing[rack]))
    barred = must_stay_open(arrays, state, protection.rack_trip | measured.rack_tripped)
    if held_by_bank(state, barred)[rack]:
        missing.append(HELD_BY_BANK)
    if not state.relations.rack_requestable[rack]:
        missing.append("its BMS takes no connect requests")
    if not measured.contactor_fresh[rack]:
        missing.append("its BMS does not communicate")
    return tuple(missing)
