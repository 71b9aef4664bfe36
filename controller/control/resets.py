"""Resets that go to the field: a BMS's own trip, a converter's fault. Latches of protection are its own affair."""

from __future__ import annotations

import numpy as np

from controller.control.measurements import Measurements
from controller.control.replies import EVERYTHING, Forwarded
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.state import ControlState
from controller.plant.signals import RestartKind


def ask_for_resets(state: ControlState, measured: Measurements, forwarded: Forwarded) -> None:
    """Ask those devices for a reset that say they are tripped; learned limits and timers begin anew."""
    racks = {rack for rack, _ in forwarded.resets}
    tripped = set(np.flatnonzero(measured.rack_tripped).tolist())
    _reset_racks(state, tripped if EVERYTHING in racks else tripped & racks)
    state.racks.welded[slice(None) if EVERYTHING in racks else list(racks)] = False
    if EVERYTHING not in racks:
        return
    for index, sequence in enumerate(state.pcs.sequence):
        if sequence is PcsSequenceState.TRIPPED:
            state.outputs["pcs.reset_request"].repeat(index, float(RestartKind.RESET))
    state.pcs.mismatch.forget()
    for flags in (state.pcs.start_failed, state.pcs.stopped_by_itself):
        flags[:] = False


def _reset_racks(state: ControlState, racks: set[int]) -> None:
    relations = state.relations
    for rack in racks:
        if relations.rack_reset_served[rack]:
            state.outputs["rack.reset_request"].repeat(rack, float(RestartKind.RESET))
    for bank in {int(relations.rack_bank[r]) for r in racks if not relations.rack_reset_served[r]} - {-1}:
        state.outputs["bank.reset_request"].repeat(bank, float(RestartKind.RESET))
