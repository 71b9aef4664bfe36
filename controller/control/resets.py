"""Resets that go to the field: a BMS's own trip, a converter's fault. Latches of protection are its own affair.

A rack whose BMS reports a fault of its contactors (a precharge that failed, a contactor that did not follow) is reset
too, and its connect request is withdrawn, so that the next start is a new request: many BMSs stay in fault while they
are asked to connect. Withdrawn is it only where it can open nothing: without current through the rack, and for a
request that it shares with a bank, while no rack of the bank is connected.
"""

from __future__ import annotations

import numpy as np

from controller.control.desk import EVERYTHING, Forwarded
from controller.control.measurements import Measurements
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.state import ControlState
from controller.plant.signals import ConnectRequest, ContactorState, RestartKind


def ask_for_resets(state: ControlState, measured: Measurements, forwarded: Forwarded) -> None:
    """Ask those devices for a reset that say they are tripped; learned limits and timers begin anew."""
    racks = {rack for rack, _ in forwarded.resets}
    tripped = set(np.flatnonzero(measured.rack_tripped).tolist())
    faulty = measured.contactor_fresh & (measured.contactor == int(ContactorState.FAULT))
    about = set(range(len(faulty))) if EVERYTHING in racks else racks
    in_fault = set(np.flatnonzero(faulty).tolist()) & about
    _reset_racks(state, (tripped & about) | in_fault)
    _withdraw_requests(state, measured, in_fault)
    state.racks.opened.reset(slice(None) if EVERYTHING in racks else list(racks))
    if EVERYTHING not in racks:
        return
    for index, sequence in enumerate(state.pcs.sequence):
        if sequence is PcsSequenceState.TRIPPED:
            state.outputs["pcs.reset_request"].repeat(index, float(RestartKind.RESET))
    state.pcs.mismatch.forget()
    state.witness.forget()
    for flags in (state.pcs.start_failed, state.pcs.stopped_by_itself):
        flags[:] = False


def _withdraw_requests(state: ControlState, measured: Measurements, racks: set[int]) -> None:
    relations = state.relations
    without_current = np.abs(measured.rack_current_a) <= relations.rack_flowing_a  # of NaN it is not
    closed = state.racks.contactor == int(ContactorState.CLOSED)
    disconnect = float(ConnectRequest.DISCONNECT)
    for rack in (r for r in racks if without_current[r]):
        bank = int(relations.rack_bank[rack])
        if relations.rack_request_served[rack]:
            state.outputs["rack.connect_request"].repeat(rack, disconnect)
        elif relations.rack_shares_request[rack] and not np.any(closed & (relations.rack_bank == bank)):
            state.outputs["bank.connect_request"].repeat(bank, disconnect)


def _reset_racks(state: ControlState, racks: set[int]) -> None:
    relations = state.relations
    for rack in racks:
        if relations.rack_reset_served[rack]:
            state.outputs["rack.reset_request"].repeat(rack, float(RestartKind.RESET))
    for bank in {int(relations.rack_bank[r]) for r in racks if not relations.rack_reset_served[r]} - {-1}:
        state.outputs["bank.reset_request"].repeat(bank, float(RestartKind.RESET))
