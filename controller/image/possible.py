"""What can be measured at all: beyond it a reading is a slip of words, scale or wiring, and no measurement.

Rule: a power, a current or a voltage far beyond what its equipment is built for is impossible, and bad data. A register
map belongs to no site and so knows no such range: wrong words or a wrong scale would read as good. The margins are wide
(a converter's overload, a grid's over-voltage and the current of a fault stay inside), because a value that is refused
trips nothing. Words in the wrong order make some readings impossible and others small and believable. So an impossible
power takes belief from all powers, voltages, currents and frequencies of its device, and a value is believed again once
its readings have been possible for three seconds. An impossible voltage or current speaks for itself alone: what a site
file says of them may be about another side of a transformer.

A meter of auxiliaries sees those that stand behind it and what a warm day or a start makes of them; one of the wrong
scale would be followed by the converters, because the controller makes up for what auxiliaries take.

A frequency is close to the grid's, or exactly zero where there is no voltage. A meter that shows another one, in the
block of its powers, is read at the wrong place or in the wrong order, and its powers are no measurements either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.image.masks import anywhere
from controller.plant.model import Meter, Pcs, Plant

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
T = TypeVar("T")

POWER_RATIO = 2.0
"""Converters bear 1.1 to 1.5 of their rating for seconds."""
AC_VOLTAGE_RATIO = 2.0
"""Temporary over-voltages of earth faults and load rejection stay below 1.8 (IEC 60071-1)."""
DC_VOLTAGE_RATIO = 1.5
DC_CURRENT_RATIO = 2.0
AUXILIARY_RATIO = 3.0
"""Sites state the auxiliaries' power at rest; cooling and the start of motors are more, averaged over a second."""
FAULT_CURRENT_RATIO = 20.0
"""A meter sees what the grid feeds into a fault behind it."""
FREQUENCY_RATIO = 0.25
"""Of the nominal frequency, to both sides: no grid and no generator runs there."""
IMPEACH = frozenset(
    {
        "meter.active_power",
        "meter.reactive_power",
        "meter.apparent_power",
        "meter.frequency",
        "pcs.active_power",
        "pcs.reactive_power",
    }
)
DOUBTED_NS = 3_000_000_000


class Possibility:
    """Judges some readings [n] by their possible magnitudes; remembers when each is to be believed again.

    `ranges` [(least but zero, most), n]; `device` [n] tells which readings come from one device, `impeaches` [n] which
    take belief from all of them.
    """

    def __init__(self, ranges: FloatArray, device: IntArray, impeaches: BoolArray) -> None:
        """Nothing was impossible yet."""
        (self._least, self._most), self._device, self._impeaches = ranges, device, impeaches
        self._believed_from_ns: IntArray = np.zeros(len(self._most), np.int64)

    def judge(self, values: FloatArray, outside: BoolArray, time_ns: IntArray) -> BoolArray:
        """Return which readings of these times are to be believed; `outside`: of the range that their map states."""
        size = np.abs(values)
        impossible = outside | (size > self._most) | ((size < self._least) & (size > 0.0))
        if anywhere(impossible):
            doubted = impossible | np.isin(self._device, self._device[impossible & self._impeaches])
            self._believed_from_ns[doubted] = time_ns[doubted] + DOUBTED_NS
        believed: BoolArray = time_ns >= self._believed_from_ns
        return believed


def largest_possible(plant: Plant) -> dict[str, FloatArray]:
    """Return by signal the largest magnitude that can be measured, over its equipment; infinite where none is known."""
    return {
        "meter.active_power": _each(plant.meters, lambda m: _through(plant, m)),
        "meter.reactive_power": _each(plant.meters, lambda m: _through(plant, m)),
        "meter.apparent_power": _each(plant.meters, lambda m: _through(plant, m)),
        "meter.frequency": _each(plant.meters, lambda _: (1.0 + FREQUENCY_RATIO) * plant.poi.frequency_hz),
        "meter.voltage": _each(plant.meters, lambda m: AC_VOLTAGE_RATIO * m.voltage_v),
        "meter.current": _each(
            plant.meters, lambda m: FAULT_CURRENT_RATIO * _through(plant, m) / (math.sqrt(3.0) * m.voltage_v)
        ),
        "pcs.active_power": _each(plant.pcs, lambda p: POWER_RATIO * _rated_va(p)),
        "pcs.reactive_power": _each(plant.pcs, lambda p: POWER_RATIO * _rated_va(p)),
        "pcs.ac_voltage": _each(plant.pcs, lambda p: AC_VOLTAGE_RATIO * p.ac_voltage_v),
        "pcs.dc_voltage": _each(plant.pcs, lambda p: DC_VOLTAGE_RATIO * p.dc_voltage_max_v),
        "pcs.dc_current": _each(plant.pcs, lambda p: DC_CURRENT_RATIO * p.dc_current_max_a),
    }


def smallest_possible(plant: Plant) -> dict[str, FloatArray]:
    """Return by signal the smallest magnitude that can be measured but zero, where it is not zero itself."""
    frequency_hz = (1.0 - FREQUENCY_RATIO) * plant.poi.frequency_hz
    return {"meter.frequency": _each(plant.meters, lambda _: frequency_hz)}


def _each(equipment: Iterable[T], most: Callable[[T], float]) -> FloatArray:
    """Return it for each; a rating that is not stated (0) bounds nothing."""
    return np.array([most(e) or math.inf for e in equipment], np.float64)


def _through(plant: Plant, meter: Meter) -> float:
    """Return the largest power that a meter can see: twice what the POI is built for, or what its auxiliaries take."""
    poi = plant.poi
    if not meter.is_at_poi:
        return AUXILIARY_RATIO * sum(a.power_w for a in plant.auxiliaries if a.meter == meter.index) or math.inf
    return POWER_RATIO * max(poi.power_w, poi.apparent_va, poi.export_limit_w, poi.import_limit_w)


def _rated_va(pcs: Pcs) -> float:
    return max(pcs.power_w, pcs.apparent_va)
