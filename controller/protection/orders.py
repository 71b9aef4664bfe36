"""From levels and latches to orders: which racks, buses, converters and blocks must do what, and what may start.

Rule: every level that is in force does what its row says; a latched trip stays in force until it is reset. What
silence does (the stale ladder) ends by itself with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image
from controller.image.quality import Quality, usable
from controller.plant.protection_rows import Action, Level
from controller.plant.signals import Owner
from controller.protection.reach import Hits
from controller.protection.result import Missing, ProtectionResult, Silence
from controller.protection.state import ProtectionState
from controller.protection.table import OWNERS, ProtectionTable

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def give_orders(table: ProtectionTable, state: ProtectionState, silence: Silence, image: Image) -> ProtectionResult:
    """Return the orders that follow from levels, latches and silence."""
    reach, arrays = table.reach, table.arrays
    hits = _hits(table, state, np.ones(table.size, np.bool_))
    silent = reach.buses(table.only({Owner.RACK: silence.racks.silent, Owner.PCS: silence.pcs.silent}))
    blind = reach.buses(table.only({Owner.RACK: silence.racks.blind, Owner.PCS: silence.pcs.blind}))
    chains_unknown = table.buses_of_chains(silence.chains.blind)
    by_row, chain_silent = reach.buses(hits[Action.ZERO_BUS]), table.buses_of_chains(silence.chains.silent)
    zero = by_row | silent | chain_silent
    plant_stop, block_stop, pcs_stop = _stops(table, hits)
    both = reach.racks(hits[Action.INHIBIT_BOTH])
    rack_trip, cause = _rack_trips(table, state)
    latched = table.racks_of(state.latched)
    bms_trip, bms_unknown = _bms_trips(table, image)
    lost = table.watched & ~state.known
    return ProtectionResult(
        level=state.level.copy(),
        latched=state.latched.copy(),
        onset_ns=state.onset_ns.copy(),
        raised=state.raised.copy(),
        trips=state.trips.copy(),
        rack_trip=rack_trip,
        rack_disconnect=reach.racks(hits[Action.DISCONNECT_RACK]),
        inhibit_charge=reach.racks(hits[Action.INHIBIT_CHARGE]) | both,
        inhibit_discharge=reach.racks(hits[Action.INHIBIT_DISCHARGE]) | both,
        bus_zero=zero,
        bus_zero_data=silent & ~by_row,
        bus_zero_chain=chain_silent & ~silent & ~by_row,
        bus_no_increase=zero | blind | chains_unknown,
        bus_silent=silent,
        pcs_stop=pcs_stop,
        pcs_stop_stays=_stops(table, _hits(table, state, table.latches))[2],
        block_stop=block_stop,
        plant_stop=plant_stop,
        rack_trip_latched=latched,
        rack_any_trip=latched | bms_trip,
        rack_any_trip_quality=_any_trip_quality(table, image, latched),
        rack_trip_cause=cause,
        rack_connect_missing=_bits(
            (Missing.IN_SERVICE, ~arrays.rack_in_service),
            (Missing.NO_TRIP, rack_trip),
            (Missing.NO_BMS_TRIP, bms_trip | bms_unknown),
            (Missing.MEASUREMENTS, table.racks_of(lost)),
            (Missing.STOP_RELEASED, block_stop[reach.rack_block]),
            (Missing.CHAINS_KNOWN, chains_unknown[reach.rack_bus]),
        ),
        pcs_start_missing=_bits(
            (Missing.IN_SERVICE, ~arrays.pcs_in_service),
            (Missing.MEASUREMENTS, table.by_equipment(lost, Owner.PCS)),
            (Missing.STOP_RELEASED, pcs_stop),
            (Missing.BUS_RELEASED, zero[reach.pcs_bus]),
            (Missing.CHAINS_KNOWN, chains_unknown[reach.pcs_bus]),
        ),
        silence=silence,
    )


def _stops(table: ProtectionTable, hits: Mapping[Action, Hits]) -> tuple[bool, BoolArray, BoolArray]:
    """Return which stops these hits order: of the plant, of blocks [K], of converters [P]."""
    reach = table.reach
    plant = any(h.any() for h in hits[Action.STOP_PLANT].values()) or reach.is_plant_wide(hits[Action.STOP_BLOCK])
    blocks = reach.block_stops(hits[Action.STOP_BLOCK]) | plant
    return plant, blocks, reach.pcs(hits[Action.STOP_PCS]) | blocks[reach.pcs_block]


def _hits(table: ProtectionTable, state: ProtectionState, rows: BoolArray) -> dict[Action, Hits]:
    """Return what the elements of these rows [M] order, by action."""
    level = state.level
    in_force = np.stack([level >= Level.WARNING, level >= Level.ALARM, (level >= Level.TRIP) | state.latched])
    hits: dict[Action, Hits] = {}
    for action, acts in table.action.items():
        ordered = np.logical_or.reduce(in_force & acts, axis=0) & rows
        hits[action] = {owner: table.by_equipment(ordered, owner) for owner in OWNERS}
    return hits


def _rack_trips(table: ProtectionTable, state: ProtectionState) -> tuple[BoolArray, IntArray]:
    """Return which racks a trip that acts is in force on, and the code of the row that was first to latch."""
    acting = (state.latched | (state.level == Level.TRIP)) & table.trip_acts
    cause = np.zeros(table.counts[Owner.RACK], np.int64)
    if state.latched.any():
        time_ns = np.where(state.latched, state.trips.time_ns, np.iinfo(np.int64).max)
        for owner, spread in ((Owner.BANK, table.reach.rack_bank), (Owner.RACK, np.arange(len(cause)))):
            latched = table.rows_of(state.latched, owner)
            if latched.any():
                first = table.rows_of(time_ns, owner).argmin(axis=0)
                codes = table.rows_of(table.row_code, owner)[first, np.arange(table.counts[owner])]
                codes = np.append(np.where(latched.any(axis=0), codes, 0), 0)[spread]
                cause = np.where(codes > 0, codes, cause)
    return table.racks_of(acting), cause


def _bms_trips(table: ProtectionTable, image: Image) -> tuple[BoolArray, BoolArray]:
    """Return (the BMS says tripped, it should say and does not), both [R]."""
    values = image["rack.tripped"]
    known = usable(values.quality)
    return table.bms_tells_trip & known & (values.value != 0), table.bms_tells_trip & ~known


def _any_trip_quality(table: ProtectionTable, image: Image, latched: BoolArray) -> NDArray[np.uint8]:
    """Our own latch is certain; "not tripped" is as certain as the BMS's word."""
    certain = latched | ~table.bms_tells_trip
    return np.where(certain, np.uint8(Quality.GOOD), image["rack.tripped"].quality)


def _bits(*missing: tuple[Missing, BoolArray]) -> IntArray:
    bits = np.zeros(len(missing[0][1]), np.int64)
    for bit, absent in missing:
        bits |= np.where(absent, int(bit), 0)
    return bits
