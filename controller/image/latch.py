"""The latch: raw register blocks -> measured quantities, all devices of a type at once; and age -> quality.

Rule: a row of raw bytes that has arrived since the last scan is decoded and replaces value, quality and time of
everything it holds; an invalid value is DEVICE_FAILURE, a device that answered "no" fails all its values. Then every
quality is made worse by age. Stale never reads as good, and nothing ever becomes zero because it is missing. What no
device serves is ABSENT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from controller.image.data_periods import NEVER_NS, Ages, DataPeriods, binding_owner, data_periods, flat_ages
from controller.image.image import Image
from controller.image.quality import Quality, judge
from controller.image.quantities import QUANTITIES
from controller.modbus.poll_groups import PollGroup
from controller.modbus.raw_blocks import RawGroup, RowState
from controller.modbus.register_map import RegisterMap, WireField, is_repeated
from controller.modbus.registers import Decoded
from controller.modbus.row_decoder import RowDecoder
from controller.plant.model import Device, Plant

IntArray = NDArray[np.int64]
NOBODY = -1
_QUALITY_OF_VALID = np.array([Quality.DEVICE_FAILURE, Quality.GOOD], np.uint8)


class Latch:
    """Takes raw blocks into an image. Owns nothing but what it has already taken."""

    def __init__(self, plant: Plant, groups: Sequence[PollGroup], image: Image) -> None:
        """Prepare every group and mark what nobody serves."""
        periods = data_periods(plant)
        self._image = image
        self._groups = [_GroupLatch(plant, group, image) for group in groups]
        self._ages = flat_ages(periods, image.layout)
        self._cell_ages = {name: ages for name, ages in periods.items() if QUANTITIES[name].per_cell}
        _mark_absent(image, periods)

    def take(self, now_ns: int) -> bool:
        """Take what has arrived and judge all ages; return whether cell values changed."""
        cells_changed = False
        for group in self._groups:
            cells_changed |= group.take()
        quality = self._image.measured_quality
        ages = self._ages
        aged = judge(quality, self._image.measured_time_ns, now_ns, ages.uncertain_after_ns, ages.bad_after_ns)
        if aged is not quality:
            quality[:] = aged
        return self._age_cells(now_ns) or cells_changed

    def _age_cells(self, now_ns: int) -> bool:
        changed = False
        for name, ages in self._cell_ages.items():
            values = self._image[name]
            late = np.flatnonzero((now_ns - values.time_ns > ages.uncertain_after_ns) & (values.time_ns > 0))
            if late.size:
                before = values.quality[late]
                values.quality[late] = _rows(ages, late).quality_now(before, values.time_ns[late], now_ns)
                changed |= bool((values.quality[late] != before).any())
        return changed


class _GroupLatch:
    """One group's rows: which signals they hold, and where each goes."""

    def __init__(self, plant: Plant, group: PollGroup, image: Image) -> None:
        self._raw: RawGroup = group.raw
        self._decoder = RowDecoder(group.register_map, group.raw.block, group.raw.spans)
        self._taken = np.zeros(len(group.raw.devices), np.uint32)
        devices = [plant.devices[d] for d in group.raw.devices]
        fields = [f for f in group.register_map.block(group.raw.block) if f.signal.name in QUANTITIES]
        self._arrays = [(f.signal.name, _equipment(devices, group.register_map, f)) for f in fields if f.is_array]
        self._scalars = [(f.signal.name, _equipment(devices, group.register_map, f)) for f in fields if not f.is_array]
        self._image = image
        self._flat = self._flat_places()
        self._whole = self._whole_targets()
        self._seen = self._raw.data[:0]
        self._found: Mapping[str, Decoded] | None = None

    def take(self) -> bool:
        """Take the rows that arrived; return whether cells were among them."""
        arrived = np.flatnonzero(self._raw.arrivals != self._taken)
        if not arrived.size:
            return False
        self._taken[arrived] = self._raw.arrivals[arrived]
        good = self._raw.state[arrived] == RowState.GOOD
        rows = arrived[good]
        if rows.size:
            self._store(rows)
        if not good.all():
            self._fail(arrived[~good])
        return bool(self._arrays)

    def _flat_places(self) -> IntArray:
        """Where each scalar of a row lies in the flat quality vector [device, element]; NOBODY: unbound."""
        layout = self._image.layout
        start = layout.measured_region("quality").start
        places = [
            np.where(equipment == NOBODY, NOBODY, layout.offsets[f"{name}.quality"] - start + equipment)
            for name, equipment in self._scalars
        ]
        return np.concatenate(places, axis=1) if places else np.zeros((len(self._raw.devices), 0), np.int64)

    def _whole_targets(self) -> list[tuple[str, slice | IntArray]] | None:
        """Where each scalar goes when every device has arrived; None if some instance is nobody's."""
        if not self._scalars or (self._flat == NOBODY).any():
            return None
        return [(name, _as_slice(equipment.ravel())) for name, equipment in self._scalars]

    def _store(self, rows: IntArray) -> None:
        whole = rows.size == len(self._raw.devices)
        found = self._decoded() if whole else self._decoder.decode(self._raw.data[rows])
        times = self._raw.time_ns[rows]
        if whole and self._whole is not None:
            self._store_whole(found, times)
        else:
            self._store_scalars(rows, found, times)
        for name, equipment in self._arrays:
            self._store_cells(name, equipment[rows], found[name], times)

    def _decoded(self) -> Mapping[str, Decoded]:
        """Decode all rows; the same bytes again mean the same values again."""
        if self._found is None or not np.array_equal(self._raw.data, self._seen):
            self._seen = self._raw.data.copy()
            self._found = self._decoder.decode(self._seen)
        return self._found

    def _store_whole(self, found: Mapping[str, Decoded], times: IntArray) -> None:
        """The usual case: all devices at once, nothing to be left out."""
        assert self._whole is not None
        for name, target in self._whole:
            self._image[name].value[target] = found[name].values.ravel()
        valid = np.concatenate([found[name].valid for name, _ in self._whole], axis=1)
        self._image.measured_quality[self._flat] = _QUALITY_OF_VALID[valid.view(np.uint8)]
        self._image.measured_time_ns[self._flat] = times[:, None]

    def _store_scalars(self, rows: IntArray, found: Mapping[str, Decoded], times: IntArray) -> None:
        for name, equipment in self._scalars:
            where = equipment[rows]
            bound = where != NOBODY
            self._image[name].value[where[bound]] = found[name].values[bound]
        if self._scalars:
            valid = np.concatenate([found[name].valid for name, _ in self._scalars], axis=1)
            quality = np.where(valid, np.uint8(Quality.GOOD), np.uint8(Quality.DEVICE_FAILURE))
            self._set_flat(rows, quality, times)

    def _set_flat(self, rows: IntArray, quality: NDArray[np.uint8], times: IntArray) -> None:
        places = self._flat[rows]
        bound = places != NOBODY
        self._image.measured_quality[places[bound]] = quality[bound]
        self._image.measured_time_ns[places[bound]] = np.broadcast_to(times[:, None], places.shape)[bound]

    def _store_cells(self, name: str, equipment: IntArray, found: Decoded, times: IntArray) -> None:
        values = self._image[name]
        count = min(found.values.shape[2], values.value.shape[1])
        bound = equipment != NOBODY
        racks = equipment[bound]
        values.value[racks, :count] = found.values[bound][:, :count]
        values.quality[racks, :count] = _QUALITY_OF_VALID[found.valid[bound][:, :count].view(np.uint8)]
        values.time_ns[racks] = np.broadcast_to(times[:, None], equipment.shape)[bound]

    def _fail(self, rows: IntArray) -> None:
        times = self._raw.time_ns[rows]
        failed = np.full((rows.size, self._flat.shape[1]), Quality.DEVICE_FAILURE, np.uint8)
        self._set_flat(rows, failed, times)
        for name, equipment in self._arrays:
            racks = equipment[rows]
            values = self._image[name]
            racks = racks[racks != NOBODY]
            values.quality[racks] = np.maximum(values.quality[racks], Quality.DEVICE_FAILURE)


def _as_slice(indices: IntArray) -> slice | IntArray:
    """Return indices that follow one another as a slice."""
    first = int(indices[0])
    return slice(first, first + indices.size) if (np.diff(indices) == 1).all() else indices


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
