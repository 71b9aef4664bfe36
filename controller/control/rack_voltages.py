"""Does a rack's voltage fit its cells? It is the sum of their voltages, so their mean lies between the extremes.

Rule: rack voltage per cell in series, beside the lowest and highest cell voltage that the BMS shows, each with 1.5 %
for sensors, fuses and bars; outside for fifteen seconds is a finding, and inside for fifteen ends it. Cells are often
read more rarely than the rack's voltage, and a step of the current comes to one before the other. What is not known or
not served is not judged. Neither value is believed less for it: which of the two is wrong a person must find out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.measurements import CELL_VOLTAGE_MAX, CELL_VOLTAGE_MIN, VOLTAGE, Measurements
from controller.image.masks import anywhere

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

LOOK_EACH_NS = 1_000_000_000
TOLERANCE_RATIO = 0.015
APART_AFTER_S = 15.0


class RackVoltages:
    """Memory of the comparison; `apart` [R]. Owned by control's state."""

    def __init__(self, cells_in_series: NDArray[np.int64]) -> None:
        """Nothing seen yet."""
        self._series = np.maximum(cells_in_series, 1).astype(np.float64)
        self._seen_s: FloatArray = np.zeros(len(cells_in_series))  # for so long it was otherwise than is told
        self._looked_ns = 0
        self.apart: BoolArray = np.zeros(len(cells_in_series), np.bool_)

    def look(self, measured: Measurements, now_ns: int) -> None:
        """Compare again, if it is time to."""
        passed_ns = now_ns - self._looked_ns
        if passed_ns < LOOK_EACH_NS:
            return
        self._looked_ns = now_ns
        rack = measured.rack
        mean_v = rack[VOLTAGE] / self._series
        above = mean_v > rack[CELL_VOLTAGE_MAX] * (1.0 + TOLERANCE_RATIO)
        below = mean_v < rack[CELL_VOLTAGE_MIN] * (1.0 - TOLERANCE_RATIO)
        known = ~np.isnan(mean_v + rack[CELL_VOLTAGE_MAX] + rack[CELL_VOLTAGE_MIN])
        otherwise = known & ((above | below) != self.apart)
        self._seen_s[otherwise] += min(passed_ns, 2 * LOOK_EACH_NS) * 1e-9
        self._seen_s[~otherwise] = 0.0
        turned = self._seen_s >= APART_AFTER_S
        if anywhere(turned):
            self.apart, self._seen_s = self.apart ^ turned, np.where(turned, 0.0, self._seen_s)
