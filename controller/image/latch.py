"""The latch: raw register blocks -> measured quantities, all devices at once; and age -> quality.

Rule: a row of raw bytes that has arrived since the last scan is decoded and replaces value, quality and time of
everything it holds; an invalid value, or one that is impossible for what is installed (`possible`), is DEVICE_FAILURE,
a device that answered "no" fails all its values, and so does a rack that contradicts itself (`contradictions`). What
failed keeps the time of its last valid sample, so that it grows old and is told as what is lost is. What a device says
that stands still is as old as its last sign of life (`liveness`). Then every quality is made worse by age. Stale never
reads as good, and nothing ever becomes zero because it is missing. What no device serves is ABSENT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.image.contradictions import Contradictions
from controller.image.data_periods import NEVER_NS, Ages, DataPeriods, binding_owner, data_periods, flat_ages
from controller.image.image import Image
from controller.image.liveness import Liveness
from controller.image.masks import anywhere, everywhere
from controller.image.possible import IMPEACH, Possibility, largest_possible, smallest_possible
from controller.image.quality import Quality, judge
from controller.image.quantities import QUANTITIES, Section
from controller.modbus.poll_groups import PollGroup
from controller.modbus.raw_blocks import RawGroup, RowState
from controller.modbus.register_map import RegisterMap, WireField, is_repeated
from controller.modbus.row_decoder import RowDecoder
from controller.modbus.scalar_decoder import Part, ScalarDecoder
from controller.plant.model import Device, Plant

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
NOBODY = -1
CHOICES_KEPT = 64
"""Polls of several periods meet in some dozens of patterns; what disturbed devices add is worked out anew."""
_ALL = slice(None)
_GOOD_ROW = np.uint8(RowState.GOOD)
_QUALITY_OF_VALID = np.array([Quality.DEVICE_FAILURE, Quality.GOOD], np.uint8)


class Latch:
    """Takes raw blocks into an image. Owns nothing but what it has already taken."""

    def __init__(self, plant: Plant, groups: Sequence[PollGroup], image: Image) -> None:
        """Prepare every group and mark what nobody serves."""
        periods = data_periods(plant)
        self._image = image
        self._scalars = _ScalarLatch(plant, groups, image)
        self._cells = [_CellLatch(plant, group, fields, image) for group in groups if (fields := _cell_fields(group))]
        self._contradictions = Contradictions(image)
        self._liveness = Liveness(plant, image, periods)
        self._ages = flat_ages(periods, image.layout)
        self._cell_ages = {name: ages for name, ages in periods.items() if QUANTITIES[name].per_cell}
        self._cells_due_ns = 0  # no cell grows older than it may be before this time
        _mark_absent(image, periods)

    def take(self, now_ns: int) -> bool:
        """Take what has arrived and judge all ages; return whether cell values changed."""
        self._scalars.take()
        cells_changed = False
        for cells in self._cells:
            cells_changed |= cells.take()
        cells_changed |= self._contradictions.take(now_ns)
        self._liveness.take(cells_changed=cells_changed)
        quality = self._image.measured_quality
        ages = self._ages
        aged = judge(quality, self._image.measured_time_ns, now_ns, ages.uncertain_after_ns, ages.bad_after_ns)
        if aged is not quality:
            quality[:] = aged
        if cells_changed or now_ns > self._cells_due_ns:
            cells_changed |= self._age_cells(now_ns)
        return cells_changed

    def _age_cells(self, now_ns: int) -> bool:
        """Make cells worse by age; return whether any was."""
        self._cells_due_ns = min((self._first_due_ns(name) for name in self._cell_ages), default=NEVER_NS)
        changed = False
        for name, ages in self._cell_ages.items():
            values = self._image[name]
            late = np.flatnonzero((now_ns - values.time_ns > ages.uncertain_after_ns) & (values.time_ns > 0))
            if late.size:
                before = values.quality[late]
                values.quality[late] = _rows(ages, late).quality_now(before, values.time_ns[late], now_ns)
                changed |= bool((values.quality[late] != before).any())
        return changed

    def _first_due_ns(self, name: str) -> int:
        """Return when the first rack's cells will be older than they may be; NEVER_NS before there are any."""
        time_ns = self._image[name].time_ns
        due_ns = time_ns + self._cell_ages[name].uncertain_after_ns
        return int(due_ns.min(initial=NEVER_NS, where=time_ns > 0))


class _ScalarLatch:
    """All scalars of all groups: decoded together whenever a row has arrived, and put where they belong.

    A *row* is a device in a group; rows are counted through all groups that serve scalars. Elements [E] are the
    decoder's quantities, then its whole numbers: `_rows` says which row each stands in, `_flat` where it lies among
    the measured qualities.
    """

    def __init__(self, plant: Plant, groups: Sequence[PollGroup], image: Image) -> None:
        bound = {(id(part.group), part.field): (part, equipment) for part, equipment in _scalars(plant, groups)}
        serving = {group for group, _ in bound}
        self._raw = [group.raw for group in groups if id(group.raw) in serving]  # cells come often and are not ours
        self._taken = np.zeros(sum(len(raw.devices) for raw in self._raw), np.uint32)
        self._decoder = ScalarDecoder(part for part, _ in bound.values())
        parts = [*self._decoder.quantities.parts, *self._decoder.wholes.parts]
        equipment = [bound[id(part.group), part.field][1] for part in parts]
        self._rows = _joined([_first_row(self._raw, part.group) + part.rows for part in parts])
        self._flat = _joined([_quality_places(image, p, whose) for p, whose in zip(parts, equipment, strict=True)])
        self._quantities = len(self._decoder.quantities.values)
        self._targets = _targets(image, parts, equipment, self._quantities)
        self._choices: dict[bytes, _Choice] = {}
        self._rated, self._possibility = _possibility(plant, self._decoder.quantities.parts, equipment, self._rows)
        self._quality, self._time_ns = image.measured_quality, image.measured_time_ns

    def take(self) -> None:
        """Take the rows that arrived."""
        if not self._raw:
            return
        arrivals = np.concatenate([raw.arrivals for raw in self._raw])
        arrived = arrivals != self._taken
        if not anywhere(arrived):
            return
        self._taken = arrivals
        self._decoder.decode()
        good = arrived & (np.concatenate([raw.state for raw in self._raw]) == _GOOD_ROW)
        valid = np.concatenate([self._decoder.quantities.valid, self._decoder.wholes.valid])
        time_ns = np.concatenate([raw.time_ns for raw in self._raw])
        rated = self._rated
        found = self._decoder.quantities
        believed = self._possibility.judge(found.values[rated], found.outside[rated], time_ns[self._rows[rated]])
        valid[rated] &= believed
        values = found.values, self._decoder.wholes.values
        chosen = self._choice(arrived, good)
        for target in chosen.targets:
            target.array[target.places] = values[target.whole].take(target.elements)
        valid &= chosen.good
        self._quality[chosen.arrived_flat] = _QUALITY_OF_VALID.take(valid.take(chosen.arrived).view(np.uint8))
        sampled = chosen.good_flat, chosen.good_rows
        if anywhere(valid != chosen.good):
            sampled = self._flat[valid], self._rows[valid]
        self._time_ns[sampled[0]] = time_ns.take(sampled[1])

    def _choice(self, arrived: BoolArray, good: BoolArray) -> _Choice:
        """Return what to take of rows of which some have arrived and some are good; they do so in few patterns."""
        key = arrived.tobytes() + good.tobytes()
        if key not in self._choices:
            if len(self._choices) >= CHOICES_KEPT:
                self._choices.clear()
            self._choices[key] = self._chosen(np.flatnonzero(arrived[self._rows]), good[self._rows])
        return self._choices[key]

    def _chosen(self, arrived: IntArray, good: BoolArray) -> _Choice:
        targets = [target.where(good, self._quantities) for target in self._targets]
        return _Choice(targets, good, arrived, self._flat[arrived], self._flat[good], self._rows[good])


class _Choice(NamedTuple):
    """Values of good rows, times of what is valid in them, qualities of all that arrived."""

    targets: list[_Target]
    good: BoolArray  # [E]
    arrived: IntArray  # which elements
    arrived_flat: IntArray
    good_flat: IntArray
    good_rows: IntArray


def _possibility(
    plant: Plant, parts: Sequence[Part], equipment: Sequence[IntArray], rows: IntArray
) -> tuple[IntArray, Possibility]:
    """Return the elements whose possible magnitude follows from a rating, and who judges them."""
    most, least = largest_possible(plant), smallest_possible(plant)
    parts_of = [(part.field.signal.name, whose) for part, whose in zip(parts, equipment, strict=False)]
    rated = np.flatnonzero(np.concatenate([*(np.full(len(w), n in most) for n, w in parts_of), np.zeros(0)]))
    known = [(name, whose) for name, whose in parts_of if name in most]
    least_of = np.concatenate([*(least[n][w] if n in least else np.zeros(len(w)) for n, w in known), np.zeros(0)])
    most_of = np.concatenate([*(most[name][whose] for name, whose in known), np.zeros(0)])
    impeaches = np.concatenate([*(np.full(len(w), n in IMPEACH) for n, w in known), np.zeros(0, np.bool_)])
    return rated, Possibility(np.stack([least_of, most_of]), rows[rated], impeaches)


class _Target(NamedTuple):
    """Elements of one stored type: their places in the rack section, seen as an array of that type."""

    array: NDArray[Any]
    places: IntArray
    whole: bool  # among the whole numbers, not the quantities
    elements: IntArray

    def where(self, good: BoolArray, quantities: int) -> _Target:
        """Return the target of those elements only that are good [E]."""
        mine = good[self.elements + quantities * self.whole]
        return self._replace(places=self.places[mine], elements=self.elements[mine])


def _targets(image: Image, parts: Sequence[Part], equipment: Sequence[IntArray], quantities: int) -> list[_Target]:
    """Return where all elements go, by the type in which the image stores them."""
    ends = np.cumsum([0, *map(len, equipment)]).tolist()
    found: dict[str, list[tuple[IntArray, IntArray]]] = {}
    for part, whose, start in zip(parts, equipment, ends, strict=False):
        name = part.field.signal.name
        dtype = QUANTITIES[name].dtype
        places = image.layout.offsets[f"{name}.value"] // np.dtype(dtype).itemsize + whose
        found.setdefault(dtype, []).append((places, np.arange(start, start + len(whose))))
    section = image.buffers[Section.RACKS]
    targets = []
    for dtype, runs in found.items():
        elements = np.concatenate([numbers for _, numbers in runs])
        whole = bool(elements[0] >= quantities)
        places = np.concatenate([place for place, _ in runs])
        targets.append(_Target(section.view(dtype), places, whole, elements - quantities * whole))
    return targets


def _scalars(plant: Plant, groups: Sequence[PollGroup]) -> Iterator[tuple[Part, IntArray]]:
    """Yield every scalar field of every group with whose values it holds; elements that are nobody's are left out."""
    for group in groups:
        devices = [plant.devices[d] for d in group.raw.devices]
        for field in group.register_map.block(group.raw.block):
            if field.signal.name in QUANTITIES and not field.is_array:
                equipment = _equipment(devices, group.register_map, field)
                rows, instances = np.nonzero(equipment != NOBODY)
                yield Part(group.raw, field, rows, instances), equipment[rows, instances]


def _first_row(groups: Sequence[RawGroup], group: RawGroup) -> int:
    """Return how many rows stand before a group's."""
    return sum(len(before.devices) for before in groups[: groups.index(group)])


def _quality_places(image: Image, part: Part, equipment: IntArray) -> IntArray:
    offset = image.layout.offsets[f"{part.field.signal.name}.quality"] - image.layout.measured_region("quality").start
    places: IntArray = equipment + offset
    return places


def _joined(parts: list[IntArray]) -> IntArray:
    return np.concatenate([*parts, np.zeros(0, np.int64)])


def _cell_fields(group: PollGroup) -> list[WireField]:
    """Return the fields of cells and sensors that a group serves."""
    fields = group.register_map.block(group.raw.block)
    return [f for f in fields if f.is_array and f.signal.name in QUANTITIES]


class _CellLatch:
    """Cells and sensors of one group, row by row as they arrive."""

    def __init__(self, plant: Plant, group: PollGroup, fields: list[WireField], image: Image) -> None:
        self._raw, self._image = group.raw, image
        signals = {field.signal.name for field in fields}
        self._decoder = RowDecoder(group.register_map, group.raw.block, group.raw.spans, signals)
        self._taken = np.zeros(len(group.raw.devices), np.uint32)
        devices = [plant.devices[d] for d in group.raw.devices]
        self._racks = [(f.signal.name, _equipment(devices, group.register_map, f)) for f in fields]

    def take(self) -> bool:
        """Take the rows that arrived; return whether there were any."""
        changed = self._raw.arrivals != self._taken
        if not anywhere(changed):
            return False
        arrived = np.flatnonzero(changed)
        self._taken[arrived] = self._raw.arrivals[arrived]
        good = self._raw.state[arrived] == _GOOD_ROW
        if anywhere(good):
            self._store(arrived[good])
        if not everywhere(good):
            self._fail(arrived[~good])
        return True

    def _store(self, rows: IntArray) -> None:
        found, times = self._decoder.decode(self._raw.data[rows]), self._raw.time_ns[rows]
        for name, equipment in self._racks:
            values, decoded, whose = self._image[name], found[name], equipment[rows]
            count = min(decoded.values.shape[2], values.value.shape[1])
            bound: BoolArray | slice = _ALL if everywhere(whose != NOBODY) else (whose != NOBODY).ravel()
            racks = whose.ravel()[bound]
            valid = decoded.valid.reshape(whose.size, -1)[bound, :count]
            values.value[racks, :count] = decoded.values.reshape(whose.size, -1)[bound, :count]
            good = Quality.GOOD if valid.all() else _QUALITY_OF_VALID.take(valid.view(np.uint8))
            values.quality[racks, :count] = good
            values.time_ns[racks] = np.repeat(times, whose.shape[1])[bound]

    def _fail(self, rows: IntArray) -> None:
        for name, equipment in self._racks:
            values, racks = self._image[name], equipment[rows]
            racks = racks[racks != NOBODY]
            values.quality[racks] = np.maximum(values.quality[racks], Quality.DEVICE_FAILURE)


def _equipment(devices: Sequence[Device], register_map: RegisterMap, field: WireField) -> IntArray:
    """Return whose value stands in each instance of each device [device, instance]."""
    owner = binding_owner(field.signal.owner)
    repeated = is_repeated(register_map.device_type, field.signal)
    instances = register_map.instances if repeated else (0,)
    places = {instance: place for place, instance in enumerate(instances)}
    equipment = np.full((len(devices), len(instances)), NOBODY, np.int64)
    for row, device in enumerate(devices):
        for binding in device.bindings:
            if binding.owner is owner and (not repeated or binding.instance in places):
                equipment[row, places[binding.instance] if repeated else 0] = binding.equipment
    return equipment


def _mark_absent(image: Image, periods: DataPeriods) -> None:
    for name, ages in periods.items():
        image[name].quality[ages.period_ns == NEVER_NS] = Quality.ABSENT


def _rows(ages: Ages, rows: IntArray) -> Ages:
    return Ages(ages.period_ns[rows], ages.uncertain_after_ns[rows], ages.bad_after_ns[rows])
