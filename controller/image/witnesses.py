"""Converters and POI meters whose numbers stand still while others show that their power moves.

Rule: a quiet plant may stand still, to the last digit of a coarse meter, for as long as it likes. But once others have
shown for six periods of a device, at least 3 s, that the power through it is another than when it last moved, by a
twentieth of its rating (a tenth of all converters, where several share a bus) and by three steps of its own register,
it should have moved too. If none of its numbers has, it is frozen, whatever its heartbeat does, and stays so until one
moves. The others are: of a meter at the POI all converters, and the racks of those that are silent; of a converter the
racks of its bus, and the other converters there. What they showed at its last move is taken once their samples had time
to follow; of a converter anew where one of them comes or goes. A meter behind an open breaker or without voltage is not
judged: the plant may run an island.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from controller.image.data_periods import NEVER_NS, DataPeriods
from controller.image.image import Image
from controller.image.masks import anywhere
from controller.image.matrix import matrix_of
from controller.image.quality import usable
from controller.plant.model import Plant
from controller.plant.signals import BreakerState, Owner

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

FROZEN_PERIODS = 6
FROZEN_S = 3.0
MOVED_RATIO = 0.05
SHARED_MOVED_RATIO = 0.10
"""Of a bus with several: efficiencies and current sensors leave 4 % between racks and the other converters."""
STEPS_MOVED = 3
FOLLOW_PERIODS = 3
FOLLOW_S = 2.0
"""Delay and averaging of a measurement, beside its period."""
DEAD_GRID_RATIO = 0.1
_CLOSED = int(BreakerState.CLOSED)
_NUMBERS = {
    Owner.PCS: (
        "active_power",
        "reactive_power",
        "frequency",
        "ac_voltage",
        "dc_voltage",
        "dc_current",
        "temperature",
        "discharge_power_limit",
        "charge_power_limit",
    ),
    Owner.METER: (
        "active_power",
        "reactive_power",
        "apparent_power",
        "power_factor",
        "frequency",
        "voltage",
        "current",
        "energy_out",
        "energy_in",
    ),
}


class _Still(ABC):
    """Equipment of one kind [n] that carries power: when each last moved, and which stand though their power moved."""

    owner: Owner

    def __init__(self, plant: Plant, image: Image, periods: DataPeriods, moved_w: FloatArray, witness_ns: int) -> None:
        """`moved_w` [n]: so much must have changed; `witness_ns`: the longest period of what the witnesses show."""
        name = f"{self.owner.value}.active_power"
        own_ns = np.minimum(periods[name].period_ns, NEVER_NS // 16)
        self._values = matrix_of(image, [f"{self.owner.value}.{n}" for n in _NUMBERS[self.owner]]).value.view(np.int64)
        self._last = self._values.copy()  # as whole numbers: what is missing (NaN) is equal to itself
        self._time_ns = image[name].time_ns
        self._left_ns = self._time_ns.copy()
        self._moved_w = np.maximum(moved_w, STEPS_MOVED * _steps_w(plant, self.owner, len(moved_w)))
        self._served: BoolArray = periods[name].period_ns < NEVER_NS
        self._longest_ns = np.maximum(FROZEN_PERIODS * own_ns, round(FROZEN_S * 1e9))
        self._follow_ns = FOLLOW_PERIODS * witness_ns + round(FOLLOW_S * 1e9)
        self._shown_w = np.zeros(len(moved_w))  # what others showed when it last moved
        self._agreed_ns: IntArray = np.zeros(len(moved_w), np.int64)
        self.moved_ns: IntArray = np.zeros(len(moved_w), np.int64)
        self.stands: BoolArray = np.zeros(len(moved_w), np.bool_)
        self._any = False

    @abstractmethod
    def _witness(self) -> tuple[FloatArray, BoolArray]:
        """Return what others show of each one's power [n], and where it can be compared with what they showed."""

    def follow(self) -> bool:
        """Take new samples; return whether any stands."""
        arrived = self._time_ns != self._left_ns
        if not anywhere(arrived):
            return self._any
        shown_w, comparable = self._witness()
        moved = (self._values != self._last).any(axis=0) | (self.moved_ns == 0)
        self._last[:] = self._values
        np.maximum(self.moved_ns, self._time_ns, out=self.moved_ns, where=moved & arrived)
        follows = ~comparable | (self._time_ns - self.moved_ns <= self._follow_ns)
        np.copyto(self._shown_w, shown_w, where=follows)
        agrees = follows | (np.abs(shown_w - self._shown_w) <= self._moved_w)
        np.copyto(self._agreed_ns, self._time_ns, where=agrees & arrived)
        self.stands |= self._served & arrived & (self._time_ns - self._agreed_ns > self._longest_ns)
        self.stands &= ~moved
        self._any = anywhere(self.stands)
        return self._any

    def leave(self) -> None:
        """Remember the times as they were left: another one is a new sample."""
        self._left_ns[:] = self._time_ns


class StillMeters(_Still):
    """The meters at the POI, by what all converters give; by its racks what a bus gives whose converters are silent.

    What they show is followed step by step, so that a converter that comes or goes in between is no step.
    """

    owner = Owner.METER

    def __init__(self, plant: Plant, image: Image, periods: DataPeriods) -> None:
        """Nothing seen yet."""
        moved_w = np.full(len(plant.meters), MOVED_RATIO * plant.poi.power_w)
        super().__init__(plant, image, periods, moved_w, periods["pcs.active_power"].longest_ns)
        self._served &= np.array([m.is_at_poi for m in plant.meters], np.bool_)
        self._dead_v = DEAD_GRID_RATIO * np.array([m.voltage_v for m in plant.meters], np.float64)
        self._voltage, self._breaker = image["meter.voltage"], image["meter.breaker"]
        self._given = _Given(plant, image)
        self._pcs_w, self._racks_w = self._given.look()
        self._sum_w = 0.0

    def _witness(self) -> tuple[FloatArray, BoolArray]:
        pcs_w, racks_w = self._given.look()
        bus = self._given
        stepped_w = bus.of_pcs(pcs_w - self._pcs_w)  # NaN where one of its converters is not heard, or was not
        by_racks_w = bus.of_racks(np.nan_to_num(racks_w - self._racks_w))
        self._sum_w += float(np.where(np.isnan(stepped_w), by_racks_w, stepped_w).sum())
        self._pcs_w, self._racks_w = pcs_w, racks_w
        dead = usable(self._voltage.quality) & (self._voltage.value < self._dead_v)
        apart = usable(self._breaker.quality) & (self._breaker.value != _CLOSED)
        return np.full(len(dead), self._sum_w), ~dead & ~apart


class _Given:
    """What converters and racks show that they give; NaN where that is not known."""

    def __init__(self, plant: Plant, image: Image) -> None:
        self.pcs_bus = np.array([p.bus for p in plant.pcs], np.int64)
        self.rack_bus = np.array([r.bus for r in plant.racks], np.int64)
        self._buses = len(plant.buses)
        self._power, self._voltage, self._current = (
            image[name] for name in ("pcs.active_power", "rack.voltage", "rack.current")
        )

    def look(self) -> tuple[FloatArray, FloatArray]:
        """Return the powers of all converters [P] and racks [R] now."""
        racks_heard = usable(self._voltage.quality) & usable(self._current.quality)
        pcs_w = np.where(usable(self._power.quality), self._power.value, np.nan)
        return pcs_w, np.where(racks_heard, self._voltage.value * self._current.value, np.nan)

    def of_pcs(self, each: FloatArray | BoolArray) -> FloatArray:
        """Return the sums of something of converters by bus [B]."""
        return self._by(self.pcs_bus, each)

    def of_racks(self, each: FloatArray | BoolArray) -> FloatArray:
        """Return the sums of something of racks by bus [B]."""
        return self._by(self.rack_bus, each)

    def _by(self, bus: IntArray, each: FloatArray | BoolArray) -> FloatArray:
        return np.bincount(bus, weights=each, minlength=self._buses).astype(np.float64, copy=False)


class StillConverters(_Still):
    """The converters, by what the racks of their bus give beside the other converters there."""

    owner = Owner.PCS

    def __init__(self, plant: Plant, image: Image, periods: DataPeriods) -> None:
        """Nothing seen yet."""
        self._given = given = _Given(plant, image)
        of_bus_w = given.of_pcs(np.array([p.power_w for p in plant.pcs], np.float64))
        shared = given.of_pcs(np.ones(len(plant.pcs))) > 1.0
        moved_w: FloatArray = (np.where(shared, SHARED_MOVED_RATIO, MOVED_RATIO) * of_bus_w)[given.pcs_bus]
        witness_ns = max(periods[name].longest_ns for name in ("rack.current", "rack.voltage", "pcs.active_power"))
        super().__init__(plant, image, periods, moved_w, witness_ns)
        self._heard, self._racks_heard = (np.isfinite(each_w) for each_w in given.look())

    def _witness(self) -> tuple[FloatArray, BoolArray]:
        given, (pcs_w, racks_w) = self._given, self._given.look()
        heard, racks_heard = np.isfinite(pcs_w), np.isfinite(racks_w)
        changed = given.of_pcs(heard != self._heard) + given.of_racks(racks_heard != self._racks_heard)
        self._heard, self._racks_heard = heard, racks_heard
        of_pcs_w = np.nan_to_num(pcs_w)
        others_w = given.of_pcs(of_pcs_w)[given.pcs_bus] - of_pcs_w
        return given.of_racks(np.nan_to_num(racks_w))[given.pcs_bus] - others_w, changed[given.pcs_bus] == 0.0


def _steps_w(plant: Plant, owner: Owner, count: int) -> FloatArray:
    """Return the step of each one's register of active power; 0 for floating point and where the device says it."""
    steps_w = np.zeros(count)
    for device in plant.devices:
        point = device.type.point(f"{owner.value}.active_power")
        if point is None:
            continue
        for binding in device.bindings:
            if binding.owner is owner:
                steps_w[binding.equipment] = point.step
    return steps_w
