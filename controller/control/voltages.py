"""Does a rack's voltage fit its cells, and a converter's DC voltage its racks?

Rule: a rack's voltage is the sum of its cells', so their mean lies between the extremes. Rack voltage per cell in
series is held beside the lowest and highest cell voltage that the BMS shows, each with 1.5 % for sensors, fuses and
bars. A running converter stands on the bus of its racks, so its DC voltage is theirs, but for 5 %. Outside for fifteen
seconds is a finding, and inside for fifteen ends it: cells are often read more rarely than the rack's voltage, and a
step of the current comes to one before the other. What is not known or not served is not judged. No value is believed
less for it: which of the two is wrong a person must find out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.measurements import CELL_VOLTAGE_MAX, CELL_VOLTAGE_MIN, VOLTAGE, Measurements
from controller.image.masks import anywhere
from controller.plant.signals import PcsState

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

LOOK_EACH_NS = 1_000_000_000
TOLERANCE_RATIO, BUS_TOLERANCE_RATIO = 0.015, 0.05
APART_AFTER_S = 15.0


class Voltages:
    """Memory of both comparisons. Owned by control's state."""

    def __init__(self, cells_in_series: NDArray[np.int64], pcs_bus: NDArray[np.int64]) -> None:
        """Nothing seen yet."""
        self._series = np.maximum(cells_in_series, 1).astype(np.float64)
        self._pcs_bus = pcs_bus
        self._racks, self._pcs = _Told(len(cells_in_series)), _Told(len(pcs_bus))
        self._looked_ns = 0

    @property
    def racks_apart(self) -> BoolArray:
        """Whose voltage does not fit its cells [R]."""
        return self._racks.told

    @property
    def pcs_apart(self) -> BoolArray:
        """Whose DC voltage does not fit its bus [P]."""
        return self._pcs.told

    def look(self, measured: Measurements, bus_v: FloatArray, now_ns: int) -> None:
        """Compare again, if it is time to. `bus_v` [B]: by the racks, NaN not known."""
        passed_ns = now_ns - self._looked_ns
        if passed_ns < LOOK_EACH_NS:
            return
        self._looked_ns = now_ns
        passed_s = min(passed_ns, 2 * LOOK_EACH_NS) * 1e-9
        self._look_at_racks(measured, passed_s)
        self._look_at_converters(measured, bus_v[self._pcs_bus], passed_s)

    def _look_at_racks(self, measured: Measurements, passed_s: float) -> None:
        rack = measured.rack
        mean_v = rack[VOLTAGE] / self._series
        above = mean_v > rack[CELL_VOLTAGE_MAX] * (1.0 + TOLERANCE_RATIO)
        below = mean_v < rack[CELL_VOLTAGE_MIN] * (1.0 - TOLERANCE_RATIO)
        known = ~np.isnan(mean_v + rack[CELL_VOLTAGE_MAX] + rack[CELL_VOLTAGE_MIN])
        self._racks.count(above | below, known, passed_s)

    def _look_at_converters(self, measured: Measurements, bus_v: FloatArray, passed_s: float) -> None:
        shown_v = measured.pcs_dc_voltage_v
        known = ~np.isnan(shown_v + bus_v) & measured.pcs_state_fresh & (measured.pcs_state == PcsState.RUNNING)
        self._pcs.count(np.abs(shown_v - bus_v) > BUS_TOLERANCE_RATIO * bus_v, known, passed_s)


class _Told:
    """What is told of some equipment [n]: what has been so for long, until it has been otherwise for as long."""

    def __init__(self, count: int) -> None:
        self.told: BoolArray = np.zeros(count, np.bool_)
        self._otherwise_s: FloatArray = np.zeros(count)  # for so long it was otherwise than is told

    def count(self, apart: BoolArray, known: BoolArray, passed_s: float) -> None:
        """Take a look of `passed_s`; what is not known counts as what is told."""
        otherwise = known & (apart != self.told)
        self._otherwise_s[otherwise] += passed_s
        self._otherwise_s[~otherwise] = 0.0
        turned = self._otherwise_s >= APART_AFTER_S
        if anywhere(turned):
            self.told, self._otherwise_s = self.told ^ turned, np.where(turned, 0.0, self._otherwise_s)
