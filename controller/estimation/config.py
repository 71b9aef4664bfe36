"""What the estimator is told once: racks, their cells, their sensors. One `RackSpec` a rack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import CellTables, build_tables
from controller.plant.cell_types import CellType, SensorSpec, scaled
from controller.plant.model import SocSource

Floats = NDArray[np.float64]

UPDATE_PERIOD_S = 30.0
"""Over how long voltages are averaged before they correct a rack; charge is counted at every sample."""
VISIT_PERIOD_S = 10.0
POWER_PERIOD_S = 1.0
"""How often power and energy limits are worked out anew, if the caller does not say otherwise."""
IMPOSSIBLE_CURRENT_SHARE = 3.0
"""A current beyond so many times the rack's largest allowed one is no measurement."""


@dataclass(frozen=True, slots=True)
class RackSpec:
    """One rack: its cell type (any size; scaled to `capacity_ah`), cells in series, sensors and current limits.

    `sensors` None takes the cell type's own, scaled. `connection_ohm` is what busbars and joints add per cell,
    `balancing_a` what a balancer draws from a cell while it bleeds (0: there is none). Racks of one `bus` share
    a DC bus.
    """

    cell: CellType
    capacity_ah: float
    cells_in_series: int
    charge_current_max_a: float
    discharge_current_max_a: float
    sensors: SensorSpec | None = None
    connection_ohm: float = 0.0
    temperature_sensors: int = 1
    balancing_a: float = 0.1
    bus: int = 0


@dataclass(frozen=True, slots=True)
class EstimatorConfig:
    """All racks as arrays [rack]; voltages, biases and noise are per cell."""

    cells: tuple[CellType, ...]
    cell_index: NDArray[np.intp]
    tables: CellTables
    capacity_ah: Floats
    cells_in_series: NDArray[np.intp]
    bus_racks: NDArray[np.intp]  # [bus, place], -1: none
    charge_current_max_a: Floats
    discharge_current_max_a: Floats
    connection_ohm: Floats
    balancing_a: Floats
    temperature_sensors: int
    current_gain_ratio: Floats
    current_offset_a: Floats
    current_noise_a: Floats
    voltage_bias_v: Floats
    voltage_noise_v: Floats
    temperature_bias_k: Floats
    soc_source: SocSource
    update_period_s: float
    visit_period_s: float
    power_period_s: float
    pair_time_constant_s: Floats  # [rack, pair]
    hysteresis_per_soc: Floats
    impossible_current_a: Floats
    series_at_25_ohm: Floats  # of the cell type, half full
    end_of_life_ratio: Floats

    @property
    def racks(self) -> int:
        """How many racks there are."""
        return len(self.cell_index)

    def per_cell_type(self, values: Sequence[float]) -> Floats:
        """Return a value of each cell type as an array [rack]."""
        return np.asarray(values, dtype=np.float64)[self.cell_index]


def estimator_config(
    racks: Sequence[RackSpec],
    soc_source: SocSource = SocSource.BMS,
    update_period_s: float = UPDATE_PERIOD_S,
    power_period_s: float = POWER_PERIOD_S,
) -> EstimatorConfig:
    """Return the configuration of some racks; ValueError if there are none or a number is not above zero."""
    if not racks:
        raise ValueError("estimator: expected at least one rack")
    for k, rack in enumerate(racks):
        if not (rack.capacity_ah > 0.0 and rack.cells_in_series > 0 and update_period_s > 0.0):
            raise ValueError(f"estimator: rack {k}: capacity, cells in series and period must be above zero")
    keys = [(id(rack.cell), rack.capacity_ah) for rack in racks]
    first_of = dict(reversed([*zip(keys, racks, strict=True)]))
    order = list(dict.fromkeys(keys))
    cells = tuple(scaled(first_of[key].cell, first_of[key].capacity_ah) for key in order)
    index = np.array([order.index(key) for key in keys], dtype=np.intp)
    sensors = [rack.sensors or cells[i].sensors for rack, i in zip(racks, index, strict=True)]
    tables = build_tables(cells)
    most_a = np.array([max(rack.charge_current_max_a, rack.discharge_current_max_a) for rack in racks])
    return EstimatorConfig(
        cells=cells,
        cell_index=index,
        tables=tables,
        capacity_ah=np.array([rack.capacity_ah for rack in racks]),
        cells_in_series=np.array([rack.cells_in_series for rack in racks], dtype=np.intp),
        bus_racks=_by_bus([rack.bus for rack in racks]),
        charge_current_max_a=np.array([rack.charge_current_max_a for rack in racks]),
        discharge_current_max_a=np.array([rack.discharge_current_max_a for rack in racks]),
        connection_ohm=np.array([rack.connection_ohm for rack in racks]),
        balancing_a=np.array([rack.balancing_a for rack in racks]),
        temperature_sensors=max(rack.temperature_sensors for rack in racks),
        current_gain_ratio=np.array([s.current_gain_ratio for s in sensors]),
        current_offset_a=np.array([s.current_offset_a for s in sensors]),
        current_noise_a=np.array([s.current_noise_a for s in sensors]),
        voltage_bias_v=np.array([s.voltage_bias_v for s in sensors]),
        voltage_noise_v=np.array([np.hypot(s.voltage_noise_v, s.voltage_step_v / 12**0.5) for s in sensors]),
        temperature_bias_k=np.array([s.temperature_bias_k for s in sensors]),
        soc_source=soc_source,
        update_period_s=update_period_s,
        visit_period_s=min(VISIT_PERIOD_S, update_period_s),
        power_period_s=power_period_s,
        pair_time_constant_s=tables.pair_time_constant_s[index],
        hysteresis_per_soc=tables.hysteresis_per_soc[index],
        impossible_current_a=IMPOSSIBLE_CURRENT_SHARE * most_a,
        series_at_25_ohm=np.array([series_at_25_ohm(cell) for cell in cells])[index],
        end_of_life_ratio=np.array([cell.ageing.end_of_life_ratio for cell in cells])[index],
    )


def _by_bus(bus_of_rack: Sequence[int]) -> NDArray[np.intp]:
    """Return the racks of each bus [bus, place], filled up with -1."""
    members = [[k for k, bus in enumerate(bus_of_rack) if bus == number] for number in range(max(bus_of_rack) + 1)]
    table = np.full((len(members), max(map(len, members))), -1, dtype=np.intp)
    for row, racks in zip(table, members, strict=True):
        row[: len(racks)] = racks
    return table


def series_at_25_ohm(cell: CellType) -> float:
    """Return a cell type's series resistance at 25 degC, half full."""
    part = cell.impedance
    rows = [float(np.interp(0.5, part.soc_ratio, row)) for row in part.series_ohm]
    return float(np.interp(25.0, part.temperature_degc, rows))
