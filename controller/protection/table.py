"""The protection table: the site's rows compiled to flat arrays, so that all rows are judged on all equipment at once.

Rule: an *element* is one row on one equipment; M elements stand owner by owner, row by row, equipment by equipment. A
*source* is one signal that an element compares; the first M of the T sources are the rows' own signals, the others
the `also` ones. Values are turned so that higher is worse (`sign`), so every comparison is `>= limit`.

Limits are compared inclusively within one millionth: 3.55 V as a 32-bit float is a hair below 3.55.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.image.data_periods import NEVER_NS, data_periods
from controller.image.layout import owner_shapes, plant_layout
from controller.image.plant_arrays import PlantArrays, plant_arrays
from controller.plant.model import Plant
from controller.plant.protection_rows import Action, Level, ProtectionRow, Qualifier, Reduction, ResetClass
from controller.plant.row_coverage import covered
from controller.plant.signals import SIGNALS, Owner
from controller.protection.reach import Reach, reach_of
from controller.protection.result import Silence, Unseen
from controller.protection.row_checks import ProtectionError, check_row
from controller.protection.sources import Gather, Layer, Source, compile_gather, sign_of, sources_of

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

OWNERS = (Owner.RACK, Owner.BANK, Owner.PCS, Owner.METER, Owner.INTERLOCK)
LEVELS = (Level.WARNING, Level.ALARM, Level.TRIP)
TOLERANCE = 1e-6
_WATCHED_OWNERS = frozenset({Owner.RACK, Owner.BANK, Owner.PCS, Owner.INTERLOCK})
# What these need besides a fresh sample (a history, a command) may lack without a measurement being lost.
_OF_MORE_THAN_THE_SAMPLE = frozenset({Reduction.AGE, Reduction.RATE, Reduction.BEYOND_COMMAND})
_RESET_RANKS = {ResetClass.AUTO: 0, ResetClass.REMOTE: 1, ResetClass.LOCAL: 2, ResetClass.SERVICE: 3}


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row and where its elements stand; `code` is what SCADA sees as trip cause, 0 is none."""

    row: ProtectionRow
    code: int
    place: slice


@dataclass(frozen=True, slots=True)
class ProtectionTable:
    """Everything about protection that does not change. Arrays [M] per element, [T] per source, [3, M] per level.

    `armed`: a device serves at least one source. `watched`: its silence counts for the stale ladder.
    """

    plant: Plant
    arrays: PlantArrays
    rows: tuple[TableRow, ...]
    qualified: tuple[TableRow, ...]  # those looked at in one state only
    sources: tuple[Source, ...]
    layers: tuple[Layer, ...]
    gather: Gather
    reach: Reach
    owner_place: dict[Owner, slice]
    counts: dict[Owner, int]
    row_counts: dict[Owner, int]
    size: int  # M
    sign: FloatArray  # [M]
    limit: FloatArray  # [3, M], +inf: no such level
    floor: FloatArray  # [M], the least severe limit
    reset: FloatArray  # [M]
    delay_ns: IntArray  # [3, M]
    off_delay_ns: IntArray  # [M]
    action: dict[Action, BoolArray]  # [3, M]
    trip_acts: BoolArray  # [M], its trip does more than annunciate
    latches: BoolArray  # [M]
    reset_rank: IntArray  # [M]
    row_code: IntArray  # [M]
    armed: BoolArray  # [M]
    watched: BoolArray  # [M]
    served: BoolArray  # [T]
    uncertainty_ns: IntArray  # [T]
    zero_after_ns: IntArray  # [T], age at which the bus goes to zero
    bms_tells_trip: BoolArray  # [R], a device serves rack.tripped
    no_silence: Silence

    def element(self, owner: Owner, row_name: str, equipment: int) -> int:
        """Return the element of a row on an equipment; KeyError if there is no such row."""
        for table_row in self.rows:
            if (table_row.row.owner, table_row.row.name) == (owner, row_name):
                return int(table_row.place.start) + equipment
        raise KeyError(row_name)

    def elements_of(self, owner: Owner, equipment: int) -> BoolArray:
        """Return the mask [M] of all elements on one equipment: what a reset of a rack is about."""
        mask = np.zeros(self.size, np.bool_)
        place = self.owner_place[owner]
        mask[place] = np.arange(place.stop - place.start) % max(self.counts[owner], 1) == equipment
        return mask

    def locate(self, element: int) -> tuple[TableRow, int]:
        """Return the row of an element and its equipment's index."""
        table_row = next(r for r in self.rows if r.place.start <= element < r.place.stop)
        return table_row, element - table_row.place.start

    def by_equipment(self, mask: BoolArray, owner: Owner) -> BoolArray:
        """Return which equipment of an owner has any element in the mask [M]."""
        hit: BoolArray = np.logical_or.reduce(self.rows_of(mask, owner), axis=0)
        return hit

    def racks_of(self, mask: BoolArray) -> BoolArray:
        """Return the racks that elements of racks and of their banks are about [R]."""
        banks = self.by_equipment(mask, Owner.BANK)
        return self.by_equipment(mask, Owner.RACK) | self.reach.of_banks(banks)

    def worst_of(self, by_source: NDArray[Any]) -> NDArray[Any]:
        """Return the highest number [M] of each element's sources [T]."""
        worst = by_source[: self.size].copy()
        for place, elements in self.layers:
            worst[elements] = np.maximum(worst[elements], by_source[place])
        return worst

    def only(self, hits: Mapping[Owner, BoolArray]) -> dict[Owner, BoolArray]:
        """Return these hits, and none of all other owners."""
        return {owner: hits.get(owner, np.zeros(count, np.bool_)) for owner, count in self.counts.items()}

    def buses_of_chains(self, chains: BoolArray) -> BoolArray:
        """Return the buses [B] that a trip of these hard-wired chains [I] would stop."""
        elements: BoolArray = np.logical_or.reduce(self.action[Action.STOP_PLANT], axis=0) & self.armed
        stops_plant = self.by_equipment(elements, Owner.INTERLOCK)
        return self.reach.buses(self.only({Owner.INTERLOCK: chains})) | bool((chains & stops_plant).any())

    def rows_of(self, values: NDArray[Any], owner: Owner) -> NDArray[Any]:
        """Return the part of an array [M] that belongs to an owner, as [rows, equipment]."""
        return values[self.owner_place[owner]].reshape(self.row_counts[owner], self.counts[owner])


def reset_rank(reset_class: ResetClass) -> int:
    """Return the rank: whoever may reset a class may reset the lower ones."""
    return _RESET_RANKS[reset_class]


def compile_table(plant: Plant) -> ProtectionTable:
    """Compile a plant's protection rows; ProtectionError if a row can't work."""
    shapes = owner_shapes(plant)
    counts = {owner: shapes[owner][0] for owner in OWNERS}
    rows = tuple(_placed(plant, counts))
    for table_row in rows:
        check_row(table_row.row)
    covers = np.concatenate([np.zeros(0, np.bool_), *(np.array(covered(plant, r.row), np.bool_) for r in rows)])
    _check_interlocks(rows, covers, counts[Owner.INTERLOCK])
    sources, layers = sources_of((r.row, r.place) for r in rows)
    size = rows[-1].place.stop if rows else 0
    period_ns = _periods(plant, sources, covers)
    served = period_ns < NEVER_NS
    armed = _armed(rows, sources, served, covers)
    actions = _all_actions(rows)
    limits = _filled(rows, np.inf)
    _fill_limits(rows, limits)
    return ProtectionTable(
        plant=plant,
        arrays=plant_arrays(plant),
        rows=rows,
        qualified=tuple(r for r in rows if r.row.qualifier is not Qualifier.ALWAYS),
        sources=sources,
        layers=layers,
        gather=compile_gather(sources, plant_layout(plant)),
        reach=reach_of(plant),
        owner_place=_owner_places(rows, counts),
        counts=counts,
        row_counts={owner: sum(r.row.owner is owner for r in rows) for owner in OWNERS},
        size=size,
        sign=_per_row(rows, [sign_of(r.row) for r in rows], np.float64),
        limit=limits,
        floor=limits.min(axis=0, initial=np.inf),
        reset=_per_row(rows, [_loosened(sign_of(r.row) * r.row.reset, 1) for r in rows], np.float64),
        delay_ns=_delays(rows),
        off_delay_ns=_per_row(rows, [round(r.row.off_delay_s * 1e9) for r in rows], np.int64),
        action=actions,
        trip_acts=np.any([masks[LEVELS.index(Level.TRIP)] for masks in actions.values()], axis=0),
        latches=_per_row(rows, [r.row.reset_class is not ResetClass.AUTO for r in rows], np.bool_),
        reset_rank=_per_row(rows, [reset_rank(r.row.reset_class) for r in rows], np.int64),
        row_code=_per_row(rows, [r.code for r in rows], np.int64),
        armed=armed,
        watched=armed & _per_row(rows, [_is_watched(r.row) for r in rows], np.bool_),
        served=served,
        uncertainty_ns=np.where(served, period_ns, 0),
        zero_after_ns=_zero_after(plant, sources, period_ns),
        no_silence=_no_silence(counts),
        bms_tells_trip=data_periods(plant)["rack.tripped"].period_ns < NEVER_NS,
    )


def _placed(plant: Plant, counts: dict[Owner, int]) -> Iterator[TableRow]:
    start = 0
    for owner in OWNERS:
        for index, row in enumerate(plant.protection):
            if row.owner is owner:
                yield TableRow(row, index + 1, slice(start, start + counts[owner]))
                start += counts[owner]


def _loosened(limit: float, side: int) -> float:
    return limit + side * (TOLERANCE * abs(limit) + 1e-9)


def _no_silence(counts: dict[Owner, int]) -> Silence:
    owners = (Owner.RACK, Owner.PCS, Owner.INTERLOCK)
    racks, pcs, chains = (Unseen(*[np.zeros(counts[owner], np.bool_)] * 3) for owner in owners)
    return Silence(racks, pcs, chains, racks.blind)


def _per_row(rows: tuple[TableRow, ...], value: Sequence[float], dtype: type[np.generic]) -> NDArray[Any]:
    return np.repeat(np.array(value, dtype), [r.place.stop - r.place.start for r in rows])


def _filled(rows: tuple[TableRow, ...], value: float) -> FloatArray:
    return np.full((len(LEVELS), rows[-1].place.stop if rows else 0), value)


def _fill_limits(rows: tuple[TableRow, ...], limits: FloatArray) -> None:
    for r in rows:
        for graded in r.row.levels:
            limits[LEVELS.index(graded.level), r.place] = _loosened(sign_of(r.row) * graded.limit, -1)


def _delays(rows: tuple[TableRow, ...]) -> IntArray:
    delays = _filled(rows, 0).astype(np.int64)
    for r in rows:
        for graded in r.row.levels:
            delays[LEVELS.index(graded.level), r.place] = round(graded.delay_s * 1e9)
    return delays


def _all_actions(rows: tuple[TableRow, ...]) -> dict[Action, BoolArray]:
    return {action: _actions(rows, action) for action in Action if action is not Action.ANNUNCIATE}


def _actions(rows: tuple[TableRow, ...], action: Action) -> BoolArray:
    masks = _filled(rows, 0).astype(np.bool_)
    for r in rows:
        for graded in r.row.levels:
            masks[LEVELS.index(graded.level), r.place] = graded.action is action
    return masks


def _owner_places(rows: tuple[TableRow, ...], counts: dict[Owner, int]) -> dict[Owner, slice]:
    places, start = {}, 0
    for owner in OWNERS:
        stop = start + counts[owner] * sum(r.row.owner is owner for r in rows)
        places[owner] = slice(start, stop)
        start = stop
    return places


def _check_interlocks(rows: tuple[TableRow, ...], covers: BoolArray, count: int) -> None:
    looked_at = np.zeros(count, np.bool_)
    for r in rows:
        if r.row.owner is Owner.INTERLOCK:
            looked_at |= covers[r.place]
    if not looked_at.all():
        raise ProtectionError("the plant has interlocks without a protection row: each needs one on interlock.healthy")


def _periods(plant: Plant, sources: tuple[Source, ...], covers: BoolArray) -> IntArray:
    """Return D of each source [T]; NEVER_NS where it is not served, does not exist, or its row is not about it."""
    periods, arrays = data_periods(plant), plant_arrays(plant)
    present = {Owner.CELL: arrays.cell_present.any(axis=1), Owner.SENSOR: arrays.sensor_present.any(axis=1)}
    each = [
        np.where(present.get(s.signal_owner, True) & covers[s.elements], periods[s.signal].period_ns, NEVER_NS)
        for s in sources
    ]
    return np.concatenate([*each, np.zeros(0, np.int64)])


def _armed(rows: tuple[TableRow, ...], sources: tuple[Source, ...], served: BoolArray, covers: BoolArray) -> BoolArray:
    armed = np.zeros(len(covers), np.bool_)
    for source in sources:
        armed[source.elements] |= served[source.place]
    for r in rows:
        # An interlock that nothing reads is an interlock that is not known to be healthy.
        if r.row.owner is Owner.INTERLOCK:
            armed[r.place] |= covers[r.place]
    return armed


def _is_watched(row: ProtectionRow) -> bool:
    """A row that only annunciates loses a warning with its value, not a protection."""
    acts = any(graded.action is not Action.ANNUNCIATE for graded in row.levels)
    return acts and row.owner in _WATCHED_OWNERS and row.reduction not in _OF_MORE_THAN_THE_SAMPLE


def _zero_after(plant: Plant, sources: tuple[Source, ...], period_ns: IntArray) -> IntArray:
    stale = plant.control.stale
    arrays = plant_arrays(plant)
    after = np.minimum(period_ns, NEVER_NS // 8) * stale.zero_periods
    after = np.maximum(after, stale.zero_min_s * 1e9)
    bms_stops = arrays.bus_bms_stops_pcs[arrays.rack_bus]
    for source in sources:
        if SIGNALS[source.signal].owner in {Owner.RACK, Owner.CELL, Owner.SENSOR}:
            longer = np.maximum(after[source.place], stale.zero_bms_stops_pcs_s * 1e9)
            after[source.place] = np.where(bms_stops, longer, after[source.place])
    return after.astype(np.int64)
