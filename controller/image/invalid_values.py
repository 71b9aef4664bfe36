"""Devices some of whose values are none any more: sentinels, and readings that are impossible for what is installed.

Rule: a value that was usable once and has failed since, while others of its device are read well, for five seconds. Its
device is told until all have been values again for ten seconds. A value that never was one (a register that a device
leaves empty) is nothing to tell, and a device all of whose values fail is told by its link.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.data_periods import binding_owner
from controller.image.image import Image
from controller.image.quality import Quality, usable
from controller.image.quantities import QUANTITIES
from controller.plant.model import Plant

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

LOOK_EACH_NS = 1_000_000_000
TOLD_AFTER_NS, OVER_AFTER_NS = 5_000_000_000, 10_000_000_000
_FAILED = np.uint8(Quality.DEVICE_FAILURE)


class InvalidValues:
    """Follows the qualities of an image; `told` [device]: some of its values are none."""

    def __init__(self, plant: Plant, image: Image) -> None:
        """Nothing read yet."""
        self._quality = image.measured_quality
        self._places, self._device = _served(plant, image)
        devices = len(plant.devices)
        self._was_usable: BoolArray = np.zeros(len(self._places), np.bool_)
        self._well_ns: IntArray = np.zeros(devices, np.int64)  # when all of its values were values
        self._unwell_ns: IntArray = np.zeros(devices, np.int64)  # when one was not
        self._looked_ns = 0
        self.told: BoolArray = np.zeros(devices, np.bool_)

    def look(self, now_ns: int) -> BoolArray:
        """Return which devices are told, looked at anew once a second."""
        if now_ns - self._looked_ns < LOOK_EACH_NS:
            return self.told
        self._looked_ns = now_ns
        quality = self._quality[self._places]
        well, failed = usable(quality), quality == _FAILED
        self._was_usable |= well
        unwell = self._any(failed & self._was_usable) & self._any(well)
        self._unwell_ns[unwell] = now_ns
        self._well_ns[~unwell] = now_ns
        begins = now_ns - self._well_ns >= TOLD_AFTER_NS
        told = begins | (self.told & (now_ns - self._unwell_ns < OVER_AFTER_NS))
        if not np.array_equal(told, self.told):
            self.told = told
        return self.told

    def _any(self, mask: BoolArray) -> BoolArray:
        return np.bincount(self._device[mask], minlength=len(self.told)) > 0


def _served(plant: Plant, image: Image) -> tuple[IntArray, IntArray]:
    """Return the places of all polled scalars among the measured qualities, and the device of each."""
    start = image.layout.measured_region("quality").start
    found = [
        (image.layout.offsets[f"{point.signal.name}.quality"] - start + binding.equipment, device.index)
        for device in plant.devices
        for point in device.type.points
        if point.poll_block and point.signal.name in QUANTITIES and not QUANTITIES[point.signal.name].per_cell
        for binding in device.bindings
        if binding.owner is binding_owner(point.signal.owner)
    ]
    places, devices = np.array(found, np.int64).reshape(-1, 2).T
    return places, devices
