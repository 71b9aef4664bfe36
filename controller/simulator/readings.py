"""What the devices of the virtual plant measure: signal by signal, in base units and our signs.

Scalars of all equipment lie in one flat vector, so that a device's registers are filled by one gather; cells and
sensors are arrays of their own. Each sensor has its own error, drawn once; noise is a drawn table that rolls on a row
each reading, as good as new draws and much cheaper. Data faults of the menu act here, on single values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.plant.signals import SIGNALS, ContactorState, Owner
from controller.simulator.virtual_plant import VirtualPlant

FloatArray = NDArray[np.float64]

CURRENT_GAIN, CURRENT_OFFSET_A, CURRENT_NOISE_A = 0.002, 0.03, 0.02
VOLTAGE_NOISE_V, CELL_NOISE_V, TEMPERATURE_ERROR_K, SOC_ERROR = 0.05, 0.0004, 0.3, 0.005
"""1-sigma errors of what BMSs measure."""
HEALTH_RATIO, INSULATION_OHM = 0.985, 2.0e6
NOISE_ROWS = 61
COUNTER_MODULUS = 65535.0
SCALAR_OWNERS = (Owner.RACK, Owner.BANK, Owner.PCS, Owner.METER, Owner.INTERLOCK)

_PCS_SIGNALS = tuple(s.name for s in SIGNALS.values() if s.owner is Owner.PCS and not s.command)
_METER_SIGNALS = tuple(s.name for s in SIGNALS.values() if s.owner is Owner.METER and not s.command)

Change = Callable[[FloatArray], FloatArray]


@dataclass(slots=True)
class ValueFaults:
    """What the fault menu does to single values: by signal and equipment, in the order they were asked for."""

    changes: dict[tuple[str, int], list[Change]] = field(default_factory=dict)

    def of(self, owners: tuple[Owner, ...]) -> list[tuple[str, int, list[Change]]]:
        """Return the changes of some owners' signals."""
        return [(s, e, c) for (s, e), c in self.changes.items() if SIGNALS[s].owner in owners]


class Readings:
    """All signals that can be read from a virtual plant, brought up to date when its time has moved."""

    def __init__(self, virtual: VirtualPlant) -> None:
        """Draw the sensors' errors from the plant's generator."""
        self.virtual, self.faults = virtual, ValueFaults()
        self._sizes = _sizes(virtual)
        self._place: dict[str, slice] = {}
        self._changed: dict[Owner, dict[int, float]] = {}  # by place, what stood there before a fault changed it
        for signal in SIGNALS.values():
            if not signal.command and signal.owner in SCALAR_OWNERS:
                start = max((s.stop for s in self._place.values()), default=0)
                self._place[signal.name] = slice(start, start + self._sizes[signal.owner])
        self.missing = max((s.stop for s in self._place.values()), default=0)
        """The place in `flat` that never has a value."""
        self.flat: FloatArray = np.full(self.missing + 1, np.nan)
        self._taken: dict[Owner, float] = {}
        self._take = dict(
            zip(SCALAR_OWNERS, (self._racks, self._banks, self._pcs, self._meters, self._chains), strict=True)
        )
        banks = virtual.plant.banks
        self._bank_racks = np.array([r for bank in banks for r in bank.racks], np.int64)
        self._bank_starts = np.cumsum([0, *(len(bank.racks) for bank in banks)])[:-1]
        self._pcs_places = self._places(_PCS_SIGNALS, len(virtual.converters))
        self._meter_places = self._places(_METER_SIGNALS, len(virtual.meters))
        self._arrays: dict[str, tuple[float, FloatArray]] = {}
        self._sensor_cell = _sensor_cells(virtual)
        self._draw_errors()

    def _places(self, signals: tuple[str, ...], count: int) -> NDArray[np.intp]:
        """Return where the signals of each equipment lie in `flat`, [equipment, signal]."""
        return np.array([[self.place(name, k) for name in signals] for k in range(count)], np.intp)

    def _draw_errors(self) -> None:
        rng, (racks, cells) = self.virtual.rng, self.virtual.cells.present.shape
        self._gain = 1.0 + CURRENT_GAIN * rng.standard_normal((racks,))
        self._offset_a = CURRENT_OFFSET_A * rng.standard_normal((racks,))
        self._soc_error = SOC_ERROR * rng.standard_normal((racks,))
        self._temperature_error_k = TEMPERATURE_ERROR_K * rng.standard_normal(self._sensor_cell.shape)
        self._noise: FloatArray = rng.standard_normal((NOISE_ROWS, racks))
        self._cell_noise_v = CELL_NOISE_V * rng.standard_normal((NOISE_ROWS, cells))
        self._row = 0
        self._row_of("rack.soh").fill(HEALTH_RATIO)
        self._row_of("rack.insulation_resistance")[:] = INSULATION_OHM * (1.0 + 0.1 * rng.standard_normal((racks,)))

    # --------------------------------------------------------------------------------------------------- asking
    def __call__(self, signal: str) -> FloatArray:
        """Return a signal's values now: by equipment, or [rack, cell]; KeyError if it is not simulated."""
        owner = SIGNALS[signal].owner
        if owner not in SCALAR_OWNERS:
            return self.array(signal)
        self.refresh(owner)
        return self._row_of(signal).copy()

    def place(self, signal: str, equipment: int) -> int:
        """Return where in `flat` a scalar lies; -1 as equipment is the place without a value."""
        return self._place[signal].start + equipment if equipment >= 0 else self.missing

    def refresh(self, owner: Owner) -> None:
        """Bring an owner's part of `flat` up to date."""
        if self._taken.get(owner) == self.virtual.time_s:
            return
        self._taken[owner] = self.virtual.time_s
        for place, value in self._changed.pop(owner, {}).items():
            self.flat[place] = value  # what never moves is put only once
        self._take[owner]()
        if self.faults.changes:
            for signal, equipment, changes in self.faults.of((owner,)):
                at = slice(self.place(signal, equipment), self.place(signal, equipment) + 1)
                self._changed.setdefault(owner, {})[at.start] = float(self.flat[at.start])
                for change in changes:
                    self.flat[at] = change(self.flat[at])

    def array(self, signal: str) -> FloatArray:
        """Return a signal of cells or sensors, [rack, element]; not to be changed."""
        taken_s, values = self._arrays.get(signal, (np.nan, self.flat))
        if taken_s == self.virtual.time_s:
            return values
        values = self._ARRAYS[signal](self)
        self._arrays[signal] = self.virtual.time_s, values
        for name, rack, changes in self.faults.of((Owner.CELL, Owner.SENSOR)):
            if name == signal:
                for change in changes:
                    values[rack] = change(values[rack])
        return values

    def forget(self) -> None:
        """Read everything anew at the next asking, although no time has passed: a fault came or went."""
        self._taken.clear()
        self._arrays.clear()

    # -------------------------------------------------------------------------------------------------- by owner
    def _racks(self) -> None:
        virtual, put = self.virtual, self._put
        cells, state = virtual.cells, virtual.bms.state
        sensed_a = virtual.rack_current_a * self._gain + self._offset_a + CURRENT_NOISE_A * self._roll()
        put("rack.voltage", cells.terminal_v(virtual.rack_current_a) + VOLTAGE_NOISE_V * self._roll())
        put("rack.current", virtual.bms.believed_current(sensed_a))
        put("rack.soc", np.minimum(np.maximum(cells.soc_ratio + self._soc_error, 0.0), 1.0))
        put("rack.charge_current_limit", state.limit_a[0])
        put("rack.discharge_current_limit", state.limit_a[1])
        put("rack.cell_voltage_max", cells.highest_v)
        put("rack.cell_voltage_min", cells.lowest_v)
        put("rack.cell_temperature_max", cells.hottest_degc)
        put("rack.cell_temperature_min", cells.coldest_degc)
        put("rack.contactor", state.contactor)
        put("rack.tripped", state.tripped)
        put("rack.alarms", state.alarms)
        put("rack.heartbeat", _count(state.heartbeat))

    def _banks(self) -> None:
        state = self.virtual.bms.state
        if self._bank_racks.size:
            rank = _RANK_OF_CONTACTOR[state.contactor[self._bank_racks]]
            self._put("bank.state", _CONTACTOR_OF_RANK[np.maximum.reduceat(rank, self._bank_starts)])
            self._put("bank.alarms", np.bitwise_or.reduceat(state.alarms[self._bank_racks], self._bank_starts))
        self._put("bank.heartbeat", _count(self.virtual.bank_heartbeat))

    def _pcs(self) -> None:
        virtual = self.virtual
        for converter, places in zip(virtual.converters, self._pcs_places, strict=True):
            dc_v = float(virtual.bus_voltage_v[converter.rating.bus])
            values = converter.readings(dc_v, virtual.grid.frequency_hz, virtual.grid.voltage_pu)
            self.flat[places] = [values[name] for name in _PCS_SIGNALS]

    def _meters(self) -> None:
        for meter, places in zip(self.virtual.meters, self._meter_places, strict=True):
            values = meter.readings()
            self.flat[places] = [values[name] for name in _METER_SIGNALS]

    def _chains(self) -> None:
        self._put("interlock.healthy", self.virtual.interlock_healthy)

    # -------------------------------------------------------------------------------------------- cells, sensors
    def _cell_voltage(self) -> FloatArray:
        self._roll()
        rows = (self._row + np.arange(len(self._gain))) % NOISE_ROWS
        sensed_v: FloatArray = self.virtual.cells.voltage_v + self._cell_noise_v[rows]
        return sensed_v

    def _cell_temperature(self) -> FloatArray:
        cells, sensors = self.virtual.cells, self._sensor_cell.shape[1]
        degc = np.take_along_axis(cells.temperature_degc, self._sensor_cell, axis=1) + self._temperature_error_k
        for (rack, cell), pinned_degc in cells.faults.pinned_degc.items():
            battery = self.virtual.plant.racks[rack].battery
            degc[rack, min(cell * battery.temperatures // battery.cells_in_series, sensors - 1)] = pinned_degc
        return degc

    def _cell_balancing(self) -> FloatArray:
        return (self.virtual.cells.balancing_a > 0.0).astype(np.float64)

    _ARRAYS = {  # noqa: RUF012 - never changed
        "cell.voltage": _cell_voltage,
        "cell.temperature": _cell_temperature,
        "cell.balancing": _cell_balancing,
    }

    # --------------------------------------------------------------------------------------------------- helpers
    def _row_of(self, signal: str) -> FloatArray:
        return self.flat[self._place[signal]]

    def _put(self, signal: str, values: NDArray[np.generic]) -> None:
        self.flat[self._place[signal]] = values

    def _roll(self) -> FloatArray:
        self._row = (self._row + 1) % NOISE_ROWS
        row: FloatArray = self._noise[self._row]
        return row


def _count(seconds: FloatArray) -> FloatArray:
    """Return counters that advance each second, as 16 bits hold them."""
    return np.floor(seconds % COUNTER_MODULUS)


_CONTACTOR_OF_RANK = np.array(
    [ContactorState.OPEN, ContactorState.FAULT, ContactorState.PRECHARGING, ContactorState.CLOSED], np.int64
)
_RANK_OF_CONTACTOR = np.array([0, 0, 2, 3, 1], np.int64)
"""A bank's contactors as a whole: closed if any rack is, else precharging, else in fault, else open."""


def _sizes(virtual: VirtualPlant) -> dict[Owner, int]:
    plant = virtual.plant
    counts = map(len, (plant.racks, plant.banks, plant.pcs, plant.meters, plant.interlocks))
    return dict(zip(SCALAR_OWNERS, counts, strict=True))


def _sensor_cells(virtual: VirtualPlant) -> NDArray[np.int64]:
    """Return the cell that each temperature sensor sits on, evenly spread; [rack, sensor]."""
    batteries = [r.battery for r in virtual.plant.racks]
    places = np.zeros((len(batteries), max((b.temperatures for b in batteries), default=0)), np.int64)
    for row, battery in zip(places, batteries, strict=True):
        number = battery.temperatures
        row[:number] = np.arange(number) * battery.cells_in_series // max(number, 1)
    return places
