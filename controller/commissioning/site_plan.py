"""A new site worked out from a few answers: how many racks, which currents, which voltages; so that ratings add up.

Rules: installed energy = (sold energy + transformer losses) / (SOC window x efficiency); containers are as many as hold
the racks and keep a converter at 3 MW or less; a converter makes its share of the power plus 3 %; its DC window covers
that of its racks, its AC voltage is the highest usual one that its lowest DC voltage can make. What can't be is refused
with the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.plant.cell_types import CellType, scaled
from controller.plant.checks.batteries import nearest_index, nominal_voltage_v
from controller.plant.device_types import DeviceKind, DeviceType
from controller.plant.figures import counted, quantity

SOC_MIN, SOC_MAX, EFFICIENCY = 0.05, 0.95, 0.98
TRANSFORMER_LOSSES = 0.012  # of the energy sold: 0.1 % always and 1 % at rated power, of converters 3 % larger
LARGEST_PCS_W, RACKS_PER_CONTAINER, PCS_RESERVE = 3.0e6, 24, 1.03
SERIES = 384
RACK_AH, SMALL_CELL_AH = 280.0, 50.0
AC_VOLTAGES_V = (200, 230, 400, 480, 550, 600, 630, 690, 800, 900)
BASES = {"lfp": "lfp-utility@1", "nmc": "nmc-utility@1", "nca": "nmc-utility@1", "lto": "lto-utility@1"}


class PlanError(ValueError):
    """Answers that make no plant: what is wrong, what is expected."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of a site before it is planned. 0 or "": to be worked out."""

    site_id: str
    name: str
    power_w: float
    energy_wh: float
    voltage_v: float = 33e3
    frequency_hz: float = 50.0
    timezone: str = "UTC"
    containers: int = 0
    racks: int = 0  # per container
    cell: str = "generic_280_lfp"
    series: int = 0
    rack_type: str = "generic-rack-bms"
    pcs_type: str = "generic-pcs"
    meter_type: str = "generic-meter"
    network: str = "10.20"


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What the answers come to."""

    answers: Answers
    containers: int
    racks: int  # per container
    series: int
    parallel: int
    modules: int
    rack_energy_wh: float
    resistance_ohm: float
    capacity_ah: float
    window_min_v: float  # per cell
    window_max_v: float
    charge_a: float
    discharge_a: float
    pcs_power_w: float
    dc_min_v: float
    dc_max_v: float
    dc_current_a: float
    ac_voltage_v: float
    base: str
    bank: bool


def site_plan(answers: Answers, cell: CellType, rack_type: DeviceType) -> SitePlan:
    """Return the plan of a site.

    Raises:
        PlanError: the answers contradict each other, or no such plant can be.
    """
    if not (answers.power_w > 0 and answers.energy_wh > 0):
        raise PlanError("power and energy must be more than 0; expected such as --power 20MW --energy 40MWh")
    if answers.voltage_v < 1000:
        raise PlanError(
            f"{answers.voltage_v:g} V at the POI; expected 1 kV or more (converters get a transformer each)"
        )
    series, parallel = _series(answers, rack_type), _parallel(cell)
    cell_of_rack = scaled(cell, cell.capacity_ah * parallel)  # so many side by side count as one
    capacity_ah, limits = cell_of_rack.capacity_ah, cell_of_rack.limits
    rack_energy_wh = capacity_ah * series * nominal_voltage_v(cell)
    needed_wh = answers.energy_wh * (1 + TRANSFORMER_LOSSES) / ((SOC_MAX - SOC_MIN) * EFFICIENCY)
    total = math.ceil(needed_wh / rack_energy_wh)
    containers, racks = _layout(answers, total, rack_type)
    if containers * racks < total:
        raise PlanError(
            f"{counted(containers, 'container')} of {counted(racks, 'rack')}:"
            f" {quantity(containers * racks * rack_energy_wh, 'Wh')} installed;"
            f" {quantity(answers.energy_wh, 'Wh')} sold need {quantity(needed_wh, 'Wh')} installed:"
            f" expected {counted(total, 'rack')} or more"
        )
    window_min_v = round(limits.voltage_min_v + 0.26 * (limits.voltage_max_v - limits.voltage_min_v), 2)
    pcs_power_w = math.ceil(answers.power_w * PCS_RESERVE / containers / 10e3) * 10e3
    lowest_v, highest_v = window_min_v * series, limits.voltage_max_v * series
    needed_a = pcs_power_w / EFFICIENCY / lowest_v / racks
    if needed_a > limits.discharge_current_max_a:
        raise PlanError(
            f"each rack would have to give {needed_a:.0f} A, its cells bear {limits.discharge_current_max_a:g} A:"
            f" expected less power, or {math.ceil(total * needed_a / limits.discharge_current_max_a)} racks or more"
        )
    discharge_a = min(limits.discharge_current_max_a, max(0.5 * capacity_ah, math.ceil(needed_a / 10) * 10.0))
    dc_min_v = math.floor(0.97 * lowest_v)
    return SitePlan(
        answers=answers, containers=containers, racks=racks, series=series, parallel=parallel,
        modules=_modules(series), rack_energy_wh=rack_energy_wh, capacity_ah=capacity_ah,
        resistance_ohm=_resistance_ohm(cell_of_rack, series, parallel), window_min_v=window_min_v,
        window_max_v=limits.voltage_max_v, charge_a=min(limits.charge_current_max_a, discharge_a),
        discharge_a=discharge_a, pcs_power_w=pcs_power_w, dc_min_v=dc_min_v, dc_max_v=math.ceil(1.03 * highest_v),
        dc_current_a=math.ceil(1.02 * pcs_power_w / EFFICIENCY / lowest_v / 10) * 10.0,
        ac_voltage_v=_ac_voltage(dc_min_v), base=_base(cell), bank=rack_type.kind is DeviceKind.BANK_BMS,
    )  # fmt: skip


def _series(answers: Answers, rack_type: DeviceType) -> int:
    cells = rack_type.point("cell.voltage")
    most = cells.count if cells is not None and not rack_type.sunspec_models else 0
    series = answers.series or (min(SERIES, most) if most else SERIES)
    if most and series > most:
        raise PlanError(
            f"{rack_type.name} shows {counted(most, 'cell')}; expected --series of {most} or less, not {series}"
        )
    return series


def _parallel(cell: CellType) -> int:
    """Return how many small cells stand side by side, so that a rack of them is as large as racks are."""
    return max(1, round(RACK_AH / cell.capacity_ah)) if cell.capacity_ah < SMALL_CELL_AH else 1


def _resistance_ohm(cell: CellType, series: int, parallel: int) -> float:
    """Return a rack's resistance: 0.25 mohm a large cell of 280 Ah; of small cells what their file says, and joints."""
    if parallel == 1:
        return series * 0.25e-3 * RACK_AH / cell.capacity_ah
    impedance = cell.impedance
    row, column = nearest_index(impedance.temperature_degc, 25.0), nearest_index(impedance.soc_ratio, 0.5)
    return 1.2 * series * impedance.series_ohm[row][column]


def _layout(answers: Answers, total: int, rack_type: DeviceType) -> tuple[int, int]:
    most = rack_type.repeat.count if rack_type.repeat is not None else RACKS_PER_CONTAINER
    containers = answers.containers or max(
        1,
        math.ceil(answers.power_w * PCS_RESERVE / LARGEST_PCS_W),
        math.ceil(total / (answers.racks or min(most, RACKS_PER_CONTAINER))),
    )
    racks = answers.racks or math.ceil(total / containers)
    if containers > 250:
        raise PlanError(f"{containers} containers; expected 250 or less, or more racks in each (--racks)")
    if rack_type.repeat is not None and racks > most:
        raise PlanError(
            f"{rack_type.name} serves {counted(most, 'rack')}; expected --racks of {most} or less, not {racks}"
        )
    if racks > 150:
        raise PlanError(f"{racks} racks in a container; expected 150 or less, or more containers (--containers)")
    return containers, racks


def _modules(series: int) -> int:
    """Return the number of modules: of 8 to 32 cells each, as many cells in a module as divide evenly."""
    for cells in (16, 24, 12, 20, 26, 32, 15, 18, 14, 10, 8):
        if series % cells == 0:
            return series // cells
    return 1


def _ac_voltage(dc_min_v: float) -> float:
    possible = [v for v in AC_VOLTAGES_V if math.sqrt(2) * v <= dc_min_v]
    if not possible:
        raise PlanError(
            f"the racks fall to {dc_min_v:.0f} V DC, too little for a converter; expected more cells in series"
        )
    return possible[-1]


def _base(cell: CellType) -> str:
    base = BASES.get(cell.chemistry)
    if base is None:
        raise PlanError(f"there is no protection preset for chemistry '{cell.chemistry}'; expected {', '.join(BASES)}")
    return base
