"""The stale ladder: what lost measurements do to the bus of a rack or converter. They never open a contactor.

Rule: a lost value (worse than uncertain: older than three of its data periods D, or not a value) stops any increase
of its bus's power at once. When the newest usable sample is older than max(5 D, 5 s), or 30 s where the BMS itself can
stop the PCS, the bus goes to zero. Both end by themselves when the values are back. A rack that was last seen open,
and what the site file took out of service, carries nothing and does not count; it may not connect before it speaks.

A hard-wired chain (E-stop, fire) that is not read walks the same ladder for every bus that its trip would stop: a lost
I/O module or a broken bus cable is a state of its own, neither healthy nor tripped. It latches nothing and ends with
the data; a chain that is then read as open trips at once.

A row is blind when none of its signals is usable; rows that only annunciate do not count. A rack is blind too when
fewer than half of its cells give a value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.plant.signals import Owner
from controller.protection.result import Silence, Unseen
from controller.protection.state import ProtectionState
from controller.protection.table import ProtectionTable

BoolArray = NDArray[np.bool_]


def find_silence(table: ProtectionTable, state: ProtectionState, now_ns: int) -> Silence:
    """Return which equipment protection can't see."""
    blind = table.watched & ~state.known
    if not np.count_nonzero(blind) and not any(summary.incomplete for summary in state.cells.values()):
        return table.no_silence
    due_ns = table.worst_of(np.where(table.served, state.seen_ns + table.zero_after_ns, 0))
    silent = blind & (now_ns > due_ns)
    lost = silent | (blind & (table.worst_of(state.time_ns) > 0))
    half_blind, missing = _cells(table, state)
    counts = table.arrays.rack_in_service & ~state.last_seen_open
    by_rack = Unseen(*(table.racks_of(mask) for mask in (blind, lost, silent)))
    pcs, chains = (_of_owner(table, owner, blind, lost, silent) for owner in (Owner.PCS, Owner.INTERLOCK))
    seen = (by_rack.blind | half_blind, by_rack.lost | half_blind, by_rack.silent)
    return Silence(
        racks=Unseen(*(mask & counts for mask in seen)),
        pcs=Unseen(*(mask & table.arrays.pcs_in_service for mask in pcs)),
        chains=chains,
        cells_missing=missing,
    )


def _of_owner(table: ProtectionTable, owner: Owner, *masks: BoolArray) -> Unseen:
    return Unseen(*(table.by_equipment(mask, owner) for mask in masks))


def _cells(table: ProtectionTable, state: ProtectionState) -> tuple[BoolArray, BoolArray]:
    """Return (fewer than half of the cells speak, some do not), both [R], by the newest sample."""
    half_blind = np.zeros(table.counts[Owner.RACK], np.bool_)
    missing = half_blind.copy()
    for summary in state.cells.values():
        sampled = summary.valid > 0
        half_blind |= sampled & (2 * summary.valid < summary.cells)
        missing |= sampled & (summary.valid < summary.cells)
    return half_blind, missing
