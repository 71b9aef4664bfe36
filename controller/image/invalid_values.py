"""Devices some of whose values are none any more: sentinels, and readings that are impossible for what is installed.

Rule: a value that was usable once and has failed since, while a quarter of its equipment's are read well, for five
seconds and two of its data periods. Its device is told until all have been values again for ten seconds. A value that
never was one (a register that a device leaves empty) is nothing to tell, and equipment more of whose values fail is
told as lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.data_periods import NEVER_NS, binding_owner, data_periods, flat_ages
from controller.image.image import Image
from controller.image.masks import anywhere
from controller.image.quality import Quality, usable
from controller.image.quantities import QUANTITIES
from controller.plant.model import Plant

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

LOOK_EACH_NS = 1_000_000_000
TOLD_AFTER_NS, OVER_AFTER_NS = 5_000_000_000, 10_000_000_000
MOST_RATIO = 3
_FAILED = np.uint8(Quality.DEVICE_FAILURE)


class InvalidValues:
    """Follows the qualities of an image; `told` [device]: some of its values are none."""

    def __init__(self, plant: Plant, image: Image) -> None:
        """Nothing read yet."""
        self._quality = image.measured_quality
        self._places, self._group, self._device = _served(plant, image)
        period_ns = flat_ages(data_periods(plant), image.layout).period_ns[self._places]
        self._after_ns = np.maximum(TOLD_AFTER_NS, 2 * np.minimum(period_ns, NEVER_NS // 4))
        self._was_usable: BoolArray = np.zeros(len(self._places), np.bool_)
        self._since_ns: IntArray = np.zeros(len(self._places), np.int64)  # 0: not failing
        self._unwell_ns: IntArray = np.zeros(len(plant.devices), np.int64)  # when one of its values failed last
        self._looked_ns = 0
        self.told: BoolArray = np.zeros(len(plant.devices), np.bool_)

    def look(self, now_ns: int) -> BoolArray:
        """Return which devices are told, looked at anew once a second."""
        if now_ns - self._looked_ns < LOOK_EACH_NS:
            return self.told
        self._looked_ns = now_ns
        quality = self._quality[self._places]
        well = usable(quality)
        self._was_usable |= well
        failing = (quality == _FAILED) & self._was_usable
        if not (anywhere(failing) or anywhere(self.told)):
            self._since_ns.fill(0)
            return self.told
        failing &= (self._count(failing) < MOST_RATIO * self._count(well))[self._group]
        began_ns = np.where(self._since_ns == 0, now_ns, self._since_ns)
        self._since_ns = np.where(failing, began_ns, 0)
        self._unwell_ns[self._device[self._group[failing]]] = now_ns
        told = self.told & (now_ns - self._unwell_ns < OVER_AFTER_NS)
        told[self._device[self._group[failing & (now_ns - began_ns >= self._after_ns)]]] = True
        if anywhere(told != self.told):
            self.told = told
        return self.told

    def _count(self, mask: BoolArray) -> IntArray:
        """Return of how many places in each group it is true."""
        return np.bincount(self._group[mask], minlength=len(self._device))


def _served(plant: Plant, image: Image) -> tuple[IntArray, IntArray, IntArray]:
    """Return the places of all polled scalars among the measured qualities, the group of each, each group's device.

    A group is what one device says of one equipment.
    """
    start = image.layout.measured_region("quality").start
    bindings = [(device, binding) for device in plant.devices for binding in device.bindings]
    found = [
        (image.layout.offsets[f"{point.signal.name}.quality"] - start + binding.equipment, group)
        for group, (device, binding) in enumerate(bindings)
        for point in device.type.points
        if point.poll_block and point.signal.name in QUANTITIES and not QUANTITIES[point.signal.name].per_cell
        if binding.owner is binding_owner(point.signal.owner)
    ]
    places, groups = np.array(found, np.int64).reshape(-1, 2).T
    return places, groups, np.array([device.index for device, _ in bindings], np.int64)
