"""Devices that answer but stand still: what they say is as old as their last sign of life.

Rule: where a map serves a heartbeat of a rack, bank or converter, it must move at least every three of its data
periods, and every 3 s where it is read faster (such counters count seconds). A rack under load must also show the noise
that every measurement has: voltage, current and extreme cell voltages that stay the same to the last digit for ten
periods are frozen, whatever its heartbeat does, unless a cell has moved from the last sample of all cells to this one;
without such samples it takes 30 s at least, because one coarse voltage may stand for a while.

Under load is a rack that shows current, and one that says it is connected to a bus which others show to be loaded: the
racks beside it, or the converters by their power. A rack that froze at rest would otherwise pass for one at rest. What
was found frozen stays so, also at rest, until one of its values or cells moves: the power that its loss takes from the
bus must not be what brings it back.

Converters and meters at the POI are judged by what others show of their power (`witnesses`).

One that stood longer, in samples that did arrive, takes belief from everything its equipment says, a bank's heartbeat
from all of its racks: the sample times go back to the last move, so that age judges them (`quality`) and whatever
follows from lost data follows. It ends with the next move.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from controller.image.data_periods import NEVER_NS, DataPeriods
from controller.image.image import Image
from controller.image.masks import anywhere
from controller.image.quality import usable
from controller.image.quantities import QUANTITIES
from controller.image.witnesses import StillConverters, StillMeters
from controller.plant.model import Plant
from controller.plant.signals import ContactorState, Owner

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

STAND_STILL_PERIODS = 3
STAND_STILL_S = 3.0
FROZEN_PERIODS = 10
CELLS_MISSED_PERIODS = 3
"""After so many of their periods without a sample, cells do not speak for their rack any more."""
FROZEN_WITHOUT_CELLS_S = 30.0
_OPEN, _CLOSED = int(ContactorState.OPEN), int(ContactorState.CLOSED)
_KINDS = (Owner.RACK, Owner.BANK, Owner.PCS, Owner.METER)
UNDER_LOAD_RATIO = 0.05
"""Of the rated discharge current: below it a coarse sensor may well stand still."""


class Liveness:
    """The signs of life of a plant's devices, and what they vouch for."""

    def __init__(self, plant: Plant, image: Image, periods: DataPeriods) -> None:
        """Nothing seen yet."""
        own = (_Heartbeats(image, periods, owner) for owner in (Owner.RACK, Owner.BANK, Owner.PCS))
        self._heartbeats = [h for h in own if h.served.any()]
        self._racks = _RackValues(plant, image, periods)
        self._carriers = (StillConverters(plant, image, periods), StillMeters(plant, image, periods))
        self._rack_bank = np.array([rack.bank for rack in plant.racks], np.int64)
        self._times = {owner: list(_times_of(image, owner)) for owner in _KINDS}

    def take(self, *, cells_changed: bool) -> None:
        """Follow the signs of life, and set back the sample times of whatever stands still."""
        if self._racks.follow(cells_changed=cells_changed):
            self._set_back(Owner.RACK, self._racks.stands, self._racks.moved_ns)
        for beats in self._heartbeats:
            if beats.follow():
                self._set_back(beats.owner, beats.stands, beats.moved_ns)
                if beats.owner is Owner.BANK:
                    bank = self._rack_bank
                    self._set_back(Owner.RACK, (bank >= 0) & beats.stands[bank], beats.moved_ns[bank])
        for carriers in self._carriers:
            if carriers.follow():
                self._set_back(carriers.owner, carriers.stands, carriers.moved_ns)
            carriers.leave()
        self._racks.leave()

    def _set_back(self, owner: Owner, stands: BoolArray, moved_ns: IntArray) -> None:
        for times in self._times[owner]:
            np.minimum(times, moved_ns, out=times, where=stands)


class _Heartbeats:
    """The heartbeats of one kind of equipment [n]: when each last moved, and which stand."""

    def __init__(self, image: Image, periods: DataPeriods, owner: Owner) -> None:
        self.owner, name = owner, f"{owner.value}.heartbeat"
        period_ns = np.minimum(periods[name].period_ns, NEVER_NS // 8)
        self._now = image[name]
        self.served: BoolArray = periods[name].period_ns < NEVER_NS
        self._longest_ns = np.maximum(STAND_STILL_PERIODS * period_ns, round(STAND_STILL_S * 1e9))
        self._value = self._now.value.copy()
        self._seen_ns: IntArray = np.zeros_like(period_ns)
        self.moved_ns: IntArray = np.zeros_like(period_ns)
        self.stands: BoolArray = np.zeros(len(period_ns), np.bool_)
        self._any = False

    def follow(self) -> bool:
        """Take new samples; return whether any stands."""
        value, quality, time_ns = self._now
        if time_ns.tobytes() == self._seen_ns.tobytes():
            return self._any
        self._seen_ns[:] = time_ns
        moved = usable(quality) & ((value != self._value) | (self.moved_ns == 0))
        self._value[moved], self.moved_ns[moved] = value[moved], time_ns[moved]
        self.stands = (self.moved_ns > 0) & (time_ns - self.moved_ns > self._longest_ns)
        self._any = anywhere(self.stands)
        return self._any


class _Load:
    """Which racks are under load [R], by what they and the others on their bus show."""

    def __init__(self, plant: Plant, image: Image) -> None:
        rated_a = np.array([rack.battery.discharge_current_max_a for rack in plant.racks], np.float64)
        self._least_a = UNDER_LOAD_RATIO * rated_a
        self._current_a, self._voltage_v = image["rack.current"].value, image["rack.voltage"].value
        self._contactor, self._bank_state = image["rack.contactor"].value, image["bank.state"].value
        self._power = image["pcs.active_power"]
        self._bus = np.array([rack.bus for rack in plant.racks], np.int64)
        self._pcs_bus = np.array([pcs.bus for pcs in plant.pcs], np.int64)
        self._banked: IntArray = np.flatnonzero([rack.bank >= 0 for rack in plant.racks])
        self._bank = np.array([plant.racks[rack].bank for rack in self._banked], np.int64)
        self._buses = len(plant.buses)

    def look(self) -> BoolArray:
        """Return which racks are under load now."""
        own: BoolArray = np.abs(self._current_a) > self._least_a
        connected: BoolArray = self._contactor == _CLOSED
        connected[self._banked] &= self._bank_state[self._bank] != _OPEN
        if not anywhere(connected):
            return own
        loaded: BoolArray = np.bincount(self._bus[own], minlength=self._buses) > 0
        result: BoolArray = own | (connected & (loaded[self._bus] | (self._share_a(connected) > self._least_a)))
        return result

    def _share_a(self, connected: BoolArray) -> NDArray[np.float64]:
        """Return what each rack carries [R] if the connected ones share their bus's converters' power alike."""
        power_w = np.where(usable(self._power.quality), np.abs(self._power.value), 0.0)
        of_bus_w = np.bincount(self._pcs_bus, weights=power_w, minlength=self._buses)
        racks = np.bincount(self._bus[connected], minlength=self._buses)
        each_w = of_bus_w / np.maximum(racks, 1)
        share_a: NDArray[np.float64] = each_w[self._bus] / np.where(self._voltage_v > 0.0, self._voltage_v, np.inf)
        return share_a


class _RackValues:
    """The measurements of racks under load [R]: when each rack's last moved, and which stand."""

    def __init__(self, plant: Plant, image: Image, periods: DataPeriods) -> None:
        names = ("rack.voltage", "rack.current", "rack.cell_voltage_max", "rack.cell_voltage_min")
        # As whole numbers: what is missing (NaN) is equal to itself.
        self._values = [image[name].value.view(np.int64) for name in names]
        self._load = _Load(plant, image)
        self._last = [value.copy() for value in self._values]
        self._time_ns, self._cells = image["rack.current"].time_ns, image["cell.voltage"]
        self._left_ns, self._cells_left_ns = self._time_ns.copy(), self._cells.time_ns.copy()
        self._cell_values = self._cells.value.view(np.int32)
        self._last_cells = self._cell_values.copy()
        self._longest_ns = _frozen_after_ns(periods)
        self._cells_missed_ns = CELLS_MISSED_PERIODS * np.minimum(periods["cell.voltage"].period_ns, NEVER_NS // 8)
        self._cells_stand: BoolArray = periods["cell.voltage"].period_ns >= NEVER_NS
        self.moved_ns: IntArray = np.zeros(len(plant.racks), np.int64)
        self.stands: BoolArray = np.zeros(len(plant.racks), np.bool_)
        self._any = False

    def follow(self, *, cells_changed: bool) -> bool:
        """Take new samples; return whether any stands."""
        arrived = self._time_ns != self._left_ns
        if not (cells_changed or anywhere(arrived)):
            return self._any
        moved = ~(self._load.look() | self.stands)
        for value, last in zip(self._values, self._last, strict=True):
            moved |= value != last
            last[:] = value
        if cells_changed:
            self._compare_cells()
        moved |= self.moved_ns == 0
        np.maximum(self.moved_ns, self._time_ns, out=self.moved_ns, where=moved & arrived)
        stands = self._time_ns - self.moved_ns > self._longest_ns
        stands &= self._cells_stand | (self._time_ns - self._cells.time_ns > self._cells_missed_ns)
        np.copyto(self.stands, stands, where=arrived)
        self.stands[moved] = False
        self._any = anywhere(self.stands)
        return self._any

    def leave(self) -> None:
        """Remember the times as they were left: another one is a new sample."""
        self._left_ns[:] = self._time_ns
        self._cells_left_ns[:] = self._cells.time_ns

    def _compare_cells(self) -> None:
        rows = np.flatnonzero(self._cells.time_ns != self._cells_left_ns)
        self._cells_stand[rows] = (self._cell_values[rows] == self._last_cells[rows]).all(axis=1)
        self._last_cells[rows] = self._cell_values[rows]


def _frozen_after_ns(periods: DataPeriods) -> IntArray:
    """Return how long each rack's values may stand [R]; NEVER_NS where its current is not served."""
    own_ns, cells_ns = periods["rack.current"].period_ns, periods["cell.voltage"].period_ns
    coarse_ns = np.where(cells_ns >= NEVER_NS, round(FROZEN_WITHOUT_CELLS_S * 1e9), 0)
    longest_ns = np.maximum(FROZEN_PERIODS * np.minimum(own_ns, NEVER_NS // 16), coarse_ns)
    return np.where(own_ns < NEVER_NS, longest_ns, NEVER_NS)


def _times_of(image: Image, owner: Owner) -> Iterator[IntArray]:
    """Yield the sample times of everything that an equipment says, but its heartbeat's own."""
    owners = {Owner.RACK, Owner.CELL, Owner.SENSOR} if owner is Owner.RACK else {owner}
    for quantity in QUANTITIES.values():
        if quantity.measured and quantity.owner in owners and not quantity.name.endswith(".heartbeat"):
            yield image[quantity.name].time_ns
