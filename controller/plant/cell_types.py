"""Cell types: what a kind of cell is, in frozen tables (`cell_loader` reads them from `cell/v1` files).

The library's files ship in `controller/library/cells/`; a site may bring its own. Estimation and the simulator use the
same tables: open-circuit voltage after charging and after discharging (their half difference is the hysteresis), a
series resistance with RC pairs of fixed time constants over temperature and SOC, heat, limits, and the sensor errors
that set every bound. SOC = charge left / present full capacity (C/20, 25 degC).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Row = tuple[float, ...]
Table = tuple[Row, ...]
"""[temperature][SOC]"""

BOUND_TO_SIGMA = 1.0 / math.sqrt(3.0)
"""A bound means "anywhere within +-x": the standard deviation of a uniform distribution (GUM, type B)."""


@dataclass(frozen=True, slots=True)
class OpenCircuitVoltage:
    """Open-circuit voltage [temperature][SOC] on the charge and on the discharge branch (C/30 or slower).

    `entropy_v_per_k` is dOCV/dT over the same SOC grid (reversible heat). `hysteresis_per_soc`: how fast the state
    between the branches follows the SOC, 1/ratio: after moving 1/x it has gone 63 % of the way.
    """

    temperature_degc: Row
    soc_ratio: Row
    charge_v: Table
    discharge_v: Table
    entropy_v_per_k: Row
    hysteresis_per_soc: float


@dataclass(frozen=True, slots=True)
class Impedance:
    """Series resistance and RC pairs [temperature][SOC]; `pair_ohm[k]` belongs to `pair_time_constant_s[k]`.

    `error_v` is the RMS error of this model against a profile that was not fitted, per bin: it sets how far a voltage
    is believed. `error_soc_ratio`: over how much SOC that error stays the same.
    """

    temperature_degc: Row
    soc_ratio: Row
    series_ohm: Table
    pair_time_constant_s: Row
    pair_ohm: tuple[Table, ...]
    error_v: Table
    error_soc_ratio: float


@dataclass(frozen=True, slots=True)
class CellLimits:
    """Limits of the cell's maker."""

    voltage_min_v: float
    voltage_max_v: float
    charge_current_max_a: float
    discharge_current_max_a: float
    charge_temperature_min_degc: float
    charge_temperature_max_degc: float
    discharge_temperature_min_degc: float
    discharge_temperature_max_degc: float


@dataclass(frozen=True, slots=True)
class Heat:
    """Two-node thermal model: a core that makes heat, a surface that is measured, the air around."""

    core_j_per_k: float
    surface_j_per_k: float
    core_to_surface_k_per_w: float
    surface_to_ambient_k_per_w: float


@dataclass(frozen=True, slots=True)
class Anchors:
    """What ties SOC to the truth: a full charge that tapered off, a low knee; between them a rest says nothing."""

    full_voltage_v: float
    full_taper_a: float
    full_sigma_ratio: float
    low_voltage_v: float
    forbidden_low_ratio: float
    forbidden_high_ratio: float


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """1-sigma errors of the measurements; gain is relative (0.01, not 1.01), a step is the last digit's worth."""

    current_gain_ratio: float
    current_offset_a: float
    current_noise_a: float
    voltage_bias_v: float
    voltage_noise_v: float
    voltage_step_v: float
    temperature_bias_k: float


@dataclass(frozen=True, slots=True)
class AgeingPrior:
    """What is believed of ageing before own data: fade per square root of years, per full cycle, and its 1-sigma.

    `capacity_sigma_ratio` is how far a new cell's capacity may be from its nameplate, `resistance_sigma_ratio` the
    same for its resistance.
    """

    calendar_fade_ratio_per_sqrt_year: float
    cycle_fade_ratio: float
    fade_sigma_ratio: float
    capacity_sigma_ratio: float
    resistance_sigma_ratio: float
    end_of_life_ratio: float


@dataclass(frozen=True, slots=True)
class CellType:
    """A kind of cell. `verified` is false where no measurement of this very cell stands behind the numbers."""

    name: str
    chemistry: str
    verified: bool
    origin: str
    fit_report: str
    capacity_ah: float
    coulombic_efficiency_ratio: float
    self_discharge_ratio_per_month: float
    limits: CellLimits
    ocv: OpenCircuitVoltage
    impedance: Impedance
    heat: Heat
    anchors: Anchors
    sensors: SensorSpec
    ageing: AgeingPrior


Part = TypeVar("Part", CellLimits, Anchors, SensorSpec)


def scaled(cell: CellType, capacity_ah: float) -> CellType:
    """Return the cell type as a cell of another size: the same voltages at the same C rates.

    Currents and heat capacities grow with the capacity, resistances shrink with it.
    """
    grow = capacity_ah / cell.capacity_ah
    return replace(
        cell,
        capacity_ah=capacity_ah,
        limits=_scaled_fields(cell.limits, grow, ("charge_current_max_a", "discharge_current_max_a")),
        impedance=replace(
            cell.impedance,
            series_ohm=_scaled_table(cell.impedance.series_ohm, 1.0 / grow),
            pair_ohm=tuple(_scaled_table(table, 1.0 / grow) for table in cell.impedance.pair_ohm),
        ),
        heat=Heat(
            cell.heat.core_j_per_k * grow,
            cell.heat.surface_j_per_k * grow,
            cell.heat.core_to_surface_k_per_w / grow,
            cell.heat.surface_to_ambient_k_per_w / grow,
        ),
        anchors=_scaled_fields(cell.anchors, grow, ("full_taper_a",)),
        sensors=_scaled_fields(cell.sensors, grow, ("current_offset_a", "current_noise_a")),
    )


def _scaled_fields(part: Part, factor: float, names: Sequence[str]) -> Part:
    return replace(part, **{name: getattr(part, name) * factor for name in names})


def _scaled_table(table: Table, factor: float) -> Table:
    return tuple(tuple(value * factor for value in row) for row in table)
