"""What the devices of the virtual plant measure: signal by signal, in base units and our signs.

Each sensor has its own error, drawn once; noise is a drawn table that rolls on a row each reading, as good as new
draws and much cheaper. A fault that pins a value pins the reading too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from controller.plant.signals import ContactorState
from controller.simulator.virtual_plant import VirtualPlant

FloatArray = NDArray[np.float64]
Reading = Callable[[], NDArray[np.generic]]

CURRENT_GAIN, CURRENT_OFFSET_A, CURRENT_NOISE_A = 0.002, 0.03, 0.02
VOLTAGE_NOISE_V, CELL_NOISE_V, TEMPERATURE_ERROR_K, SOC_ERROR = 0.05, 0.0004, 0.3, 0.005
"""1-sigma errors of what BMSs measure."""
HEALTH_RATIO, INSULATION_OHM = 0.985, 2.0e6
NOISE_ROWS = 61
COUNTER_MODULUS = 65536.0


class Readings:
    """All signals that can be read from a virtual plant."""

    def __init__(self, virtual: VirtualPlant) -> None:
        """Draw the sensors' errors from the plant's generator."""
        self._virtual, rng = virtual, virtual.rng
        racks, cells = virtual.cells.present.shape
        self._sensor_cell = _sensor_cells(virtual)
        self._gain = 1.0 + CURRENT_GAIN * rng.standard_normal((racks,))
        self._offset_a = CURRENT_OFFSET_A * rng.standard_normal((racks,))
        self._soc_error = SOC_ERROR * rng.standard_normal((racks,))
        self._temperature_error_k = TEMPERATURE_ERROR_K * rng.standard_normal(self._sensor_cell.shape)
        self._insulation_ohm = INSULATION_OHM * (1.0 + 0.1 * rng.standard_normal((racks,)))
        self._noise: FloatArray = rng.standard_normal((NOISE_ROWS, racks))
        self._cell_noise_v = CELL_NOISE_V * rng.standard_normal((NOISE_ROWS, cells))
        self._row = 0
        self._table: Mapping[str, Reading] = self._racks() | self._banks() | self._pcs() | self._meters()

    def __contains__(self, signal: str) -> bool:
        """Whether this signal is simulated."""
        return signal in self._table

    def __call__(self, signal: str) -> NDArray[np.generic]:
        """Return a signal's values by equipment ([rack, cell] for cells); KeyError if it is not simulated."""
        return self._table[signal]()

    # ------------------------------------------------------------------------------------------------- by owner
    def _racks(self) -> dict[str, Reading]:
        cells, bms = self._virtual.cells, self._virtual.bms
        return {
            "rack.voltage": self._rack_voltage,
            "rack.current": self._rack_current,
            "rack.soc": lambda: np.clip(cells.soc_ratio + self._soc_error, 0.0, 1.0),
            "rack.soh": lambda: np.full(len(self._gain), HEALTH_RATIO),
            "rack.charge_current_limit": lambda: bms.state.limit_a[0],
            "rack.discharge_current_limit": lambda: bms.state.limit_a[1],
            "rack.cell_voltage_max": lambda: cells.highest_v,
            "rack.cell_voltage_min": lambda: cells.lowest_v,
            "rack.cell_temperature_max": lambda: cells.hottest_degc,
            "rack.cell_temperature_min": lambda: cells.coldest_degc,
            "rack.insulation_resistance": lambda: self._insulation_ohm,
            "rack.contactor": lambda: bms.state.contactor,
            "rack.tripped": lambda: bms.state.tripped,
            "rack.alarms": lambda: bms.state.alarms,
            "rack.heartbeat": lambda: _count(bms.state.heartbeat),
            "cell.voltage": self._cell_voltage,
            "cell.temperature": self._cell_temperature,
            "cell.balancing": lambda: cells.balancing_a > 0.0,
        }

    def _banks(self) -> dict[str, Reading]:
        virtual = self._virtual
        return {
            "bank.state": lambda: np.array([self._bank_state(b.racks) for b in virtual.plant.banks], np.int64),
            "bank.alarms": lambda: np.array([self._bank_alarms(b.racks) for b in virtual.plant.banks], np.uint32),
            "bank.heartbeat": lambda: _count(virtual.bank_heartbeat),
        }

    def _pcs(self) -> dict[str, Reading]:
        """Scalars of each converter; its limits depend on the bus it stands on."""
        virtual = self._virtual
        return {
            "pcs.active_power": lambda: self._of_pcs("active_power_w"),
            "pcs.reactive_power": lambda: self._of_pcs("reactive_power_var"),
            "pcs.frequency": lambda: np.full(len(virtual.converters), virtual.grid.frequency_hz),
            "pcs.ac_voltage": lambda: np.array(
                [virtual.grid.voltage_pu * c.rating.ac_voltage_v for c in virtual.converters]
            ),
            "pcs.dc_voltage": lambda: np.array([virtual.bus_voltage_v[c.rating.bus] for c in virtual.converters]),
            "pcs.dc_current": lambda: self._of_pcs("dc_current_a"),
            "pcs.temperature": lambda: self._of_pcs("temperature_degc"),
            "pcs.discharge_power_limit": lambda: self._pcs_limits_w(0),
            "pcs.charge_power_limit": lambda: self._pcs_limits_w(1),
            "pcs.state": lambda: self._of_pcs("state"),
            "pcs.alarms": lambda: self._of_pcs("alarms"),
            "pcs.heartbeat": lambda: self._of_pcs("heartbeat"),
            "pcs.watchdog_timeout": lambda: self._of_pcs("watchdog_s"),
        }

    def _meters(self) -> dict[str, Reading]:
        return {
            "meter.active_power": lambda: self._of_meters("active_power_w"),
            "meter.reactive_power": lambda: self._of_meters("reactive_power_var"),
            "meter.apparent_power": lambda: self._of_meters("apparent_power_va"),
            "meter.power_factor": lambda: self._of_meters("power_factor_ratio"),
            "meter.frequency": lambda: self._of_meters("frequency_hz"),
            "meter.voltage": lambda: self._of_meters("voltage_v"),
            "meter.current": lambda: self._of_meters("current_a"),
            "meter.energy_out": lambda: self._of_meters("energy_out_wh"),
            "meter.energy_in": lambda: self._of_meters("energy_in_wh"),
            "meter.breaker": lambda: self._of_meters("breaker"),
            "interlock.healthy": lambda: self._virtual.interlock_healthy,
        }

    # ------------------------------------------------------------------------------------------------- one by one
    def _rack_voltage(self) -> FloatArray:
        return self._virtual.cells.terminal_v(self._virtual.rack_current_a) + VOLTAGE_NOISE_V * self._roll()

    def _rack_current(self) -> FloatArray:
        sensed_a = self._virtual.rack_current_a * self._gain + self._offset_a + CURRENT_NOISE_A * self._roll()
        return self._virtual.bms.believed_current(sensed_a)

    def _cell_voltage(self) -> FloatArray:
        self._roll()
        rows = (self._row + np.arange(len(self._gain))) % NOISE_ROWS
        sensed_v: FloatArray = self._virtual.cells.voltage_v + self._cell_noise_v[rows]
        return sensed_v

    def _cell_temperature(self) -> FloatArray:
        cells, sensors = self._virtual.cells, self._sensor_cell.shape[1]
        degc = np.take_along_axis(cells.temperature_degc, self._sensor_cell, axis=1) + self._temperature_error_k
        for (rack, cell), pinned_degc in cells.faults.pinned_degc.items():
            row = self._virtual.plant.racks[rack].battery
            degc[rack, min(cell * row.temperatures // row.cells_in_series, sensors - 1)] = pinned_degc
        return degc

    def _bank_state(self, racks: tuple[int, ...]) -> int:
        """Return the bank's contactors as a whole: the first of these that any rack shows, else open."""
        found = set(self._virtual.bms.state.contactor[list(racks)].tolist())
        order = (ContactorState.CLOSED, ContactorState.PRECHARGING, ContactorState.FAULT)
        return int(next((s for s in order if s in found), ContactorState.OPEN))

    def _bank_alarms(self, racks: tuple[int, ...]) -> int:
        return int(np.bitwise_or.reduce(self._virtual.bms.state.alarms[list(racks)]))

    def _pcs_limits_w(self, which: int) -> FloatArray:
        virtual = self._virtual
        return np.array(
            [c.power_limits_w(float(virtual.bus_voltage_v[c.rating.bus]))[which] for c in virtual.converters]
        )

    def _of_pcs(self, name: str) -> FloatArray:
        return np.array([getattr(c, name) for c in self._virtual.converters], np.float64)

    def _of_meters(self, name: str) -> FloatArray:
        return np.array([getattr(m, name) for m in self._virtual.meters], np.float64)

    def _roll(self) -> FloatArray:
        self._row = (self._row + 1) % NOISE_ROWS
        row: FloatArray = self._noise[self._row]
        return row


def _count(seconds: FloatArray) -> FloatArray:
    """Return a counter that advances each second, as 16 bits hold it."""
    return np.floor(seconds % COUNTER_MODULUS)


def _sensor_cells(virtual: VirtualPlant) -> NDArray[np.int64]:
    """Return the cell that each temperature sensor sits on, evenly spread; [rack, sensor]."""
    batteries = [r.battery for r in virtual.plant.racks]
    places = np.zeros((len(batteries), max((b.temperatures for b in batteries), default=0)), np.int64)
    for row, battery in zip(places, batteries, strict=True):
        number = battery.temperatures
        row[:number] = np.arange(number) * battery.cells_in_series // max(number, 1)
    return places
