"""What the estimator is fed each scan: one sample per rack, as arrays, with its own source times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
AnyFloats = NDArray[np.float64] | NDArray[np.float32]
Mask = NDArray[np.bool_]
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RackSample:
    """All racks at one scan. A repeated source time means "nothing new"; invalid means "not to be computed with".

    Fast block, [rack]: `source_time_ns`, `valid`, `current_a` (+ = discharge), `voltage_v` (whole rack),
    `soc_bms_ratio` (NaN: not served), `contactor_open` (then no current can flow, and the sensor shows its offset),
    `bms_alarm_free`. Cell block: `cell_time_ns` [rack], `cell_voltage_v` and `cell_valid` [rack, cell],
    `cell_temperature_degc` and `temperature_valid` [rack, sensor], padded where racks differ.
    `balancing` [rack, cell]: the cell's bleed resistor is on; None where no BMS tells. `balancing_told` [rack]: whether
    this rack's does; None: all, if any. `bus_current_a` [bus]: what the converters of each DC bus take (+ = discharge),
    NaN where one of them does not tell; None: no bus has any.
    """

    source_time_ns: Times
    valid: Mask
    current_a: Floats
    voltage_v: Floats
    soc_bms_ratio: Floats
    contactor_open: Mask
    bms_alarm_free: Mask
    cell_time_ns: Times
    cell_voltage_v: AnyFloats
    cell_valid: Mask
    cell_temperature_degc: AnyFloats
    temperature_valid: Mask
    balancing: Mask | None = None
    balancing_told: Mask | None = None
    bus_current_a: Floats | None = None

    @property
    def tells_balancing(self) -> Mask:
        """Which racks [rack] tell what is balanced now."""
        if self.balancing is None:
            return np.zeros(len(self.valid), dtype=bool)
        return np.ones(len(self.valid), dtype=bool) if self.balancing_told is None else self.balancing_told


def cell_means(values: AnyFloats, valid: Mask) -> tuple[Floats, NDArray[np.intp]]:
    """Return the mean over valid columns and how many there were, per row; NaN where there is none."""
    if valid.all():
        mean = values.mean(axis=1, dtype=np.float64)
        if np.isfinite(mean).all():
            return mean, np.full(len(mean), values.shape[1])
    usable = valid & np.isfinite(values)
    count = usable.sum(axis=1)
    total = np.where(usable, values, 0.0).sum(axis=1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count
