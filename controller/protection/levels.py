"""Levels and latches: which rows have picked up, which have let go, which have tripped.

Rule: an element rises to a level when its value has been at or beyond that level's limit for the level's delay; it
falls, whatever its level, to none when the value has been back inside the reset limit for the off-delay. So a worse
level never clears by less. A trip latches unless its reset class is `auto`. Unusable values move nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image
from controller.plant.protection_rows import Level
from controller.protection.details import Details
from controller.protection.measure import winner
from controller.protection.qualifiers import qualify
from controller.protection.state import ProtectionState
from controller.protection.table import LEVELS, ProtectionTable

BoolArray = NDArray[np.bool_]

_NONE, _TRIP = int(Level.NONE), int(Level.TRIP)
_LEVELS = np.array(LEVELS, np.uint8)[:, None]


def advance(table: ProtectionTable, state: ProtectionState, image: Image, dt_ns: int) -> None:
    """Take this scan's measurements: run the delays, raise and clear levels, latch trips."""
    near = state.worst >= table.floor
    meets, sure = qualify(table, image, near) if np.count_nonzero(near) else (near, near)
    if not any(map(np.count_nonzero, (state.level, near & meets & sure, state.on_delays.running))):
        # The usual scan: nothing is near a limit, nothing is running, nothing is raised.
        state.on_delays.was_known = state.off_delays.was_known = state.known
        return
    beyond = (state.worst >= table.limit) & meets
    held, began = state.on_delays.advance(beyond, state.known & sure, dt_ns)
    inside = (state.worst <= table.reset) & (state.level > 0)
    ended, _ = state.off_delays.advance(inside, state.known, dt_ns)
    _raise(table, state, held, began)
    state.level[ended & ~held.any(axis=0)] = _NONE


def name_cells(table: ProtectionTable, state: ProtectionState) -> None:
    """Name the cell of a level that a figure of the whole rack raised, once the rack's cells were read.

    Cells are read less often than what a BMS states of them. The worst cell is named when it is beyond the reset
    limit; evidence alone: no level and no latch follows from it.
    """
    unnamed = (state.level > _NONE) & (state.raised.cell < 0)
    if not np.count_nonzero(unnamed):
        return
    cell = np.full(table.size, -1, np.int64)
    for place, elements in ((slice(0, table.size), np.arange(table.size)), *table.layers):
        shown = (state.cell[place] >= 0) & (state.sourced[place] > table.reset[elements])
        cell[elements[shown]] = state.cell[place][shown]
    for seen, where in ((state.raised, unnamed), (state.trips, unnamed & state.latched & (state.trips.cell < 0))):
        np.copyto(seen.cell, cell, where=where)


def _raise(table: ProtectionTable, state: ProtectionState, held: BoolArray, began: BoolArray) -> None:
    rising = held & (state.level < _LEVELS)
    if not (np.count_nonzero(began) or np.count_nonzero(rising)):
        return
    source = winner(table, state)
    np.copyto(state.onset_ns, state.time_ns[source], where=began)
    risen: BoolArray = np.logical_or.reduce(rising, axis=0)
    np.copyto(state.level, (held * _LEVELS).max(axis=0), where=risen)
    seen = Details(table.size)
    seen.value = table.sign * state.worst
    seen.cell, seen.uncertainty_ns = state.cell[source], table.uncertainty_ns[source]
    seen.time_ns = state.onset_ns[np.maximum(state.level, 1) - 1, np.arange(table.size)]
    state.raised.take(seen, risen)
    tripped = risen & (state.level == _TRIP) & table.latches & ~state.latched
    state.latched |= tripped
    state.trips.take(seen, tripped)
