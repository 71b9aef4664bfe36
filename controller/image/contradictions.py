"""Racks that contradict themselves: their block is read at the wrong place, and nothing in it is a measurement.

Rule: the lowest cell of a rack is never above its highest. Where one sample says so, by more than the steps in which a
BMS renews its registers, a register has slipped in or out of the map (another firmware, a wrong first address). What
stands where the current belongs would look like an overload, and its other values are no better: all are failed, age
from their last belief, and are believed again once its samples have agreed with themselves for three seconds. So it is
lost and not tripped; the ladder of lost data takes the power from its bus.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Image, Values
from controller.image.possible import DOUBTED_NS
from controller.image.quality import Quality, usable
from controller.image.quantities import QUANTITIES
from controller.plant.signals import Owner

BoolArray = NDArray[np.bool_]

APART = {"rack.cell_voltage": 0.05, "rack.cell_temperature": 2.0}
"""V and K: the extremes of a BMS may be of two of its own scans."""


class Contradictions:
    """Which racks contradict themselves, and until when they are not believed."""

    def __init__(self, image: Image) -> None:
        """Nothing seen yet."""
        self._extremes = [(image[f"{n}_min"], image[f"{n}_max"], apart) for n, apart in APART.items()]
        self._of_racks: list[Values] = [
            image[q.name]
            for q in QUANTITIES.values()
            if q.measured and q.owner in {Owner.RACK, Owner.CELL, Owner.SENSOR}
        ]
        racks = len(self._extremes[0][0].value)
        self._trusted_ns, self._doubted_ns = np.zeros((2, racks), np.int64)

    def take(self, now_ns: int) -> bool:
        """Take belief from every rack that contradicts itself; return whether any does."""
        for lowest, highest, apart in self._extremes:
            known = usable(lowest.quality) & usable(highest.quality) & (lowest.time_ns == highest.time_ns)
            self._doubted_ns[known & (lowest.value > highest.value + apart)] = now_ns + DOUBTED_NS
        doubted = now_ns < self._doubted_ns
        self._trusted_ns[~doubted] = now_ns
        racks = np.flatnonzero(doubted)
        for values in self._of_racks if racks.size else ():
            values.quality[racks] = np.maximum(values.quality[racks], np.uint8(Quality.DEVICE_FAILURE))
            values.time_ns[racks] = np.minimum(values.time_ns[racks], self._trusted_ns[racks])
        return bool(racks.size)
