"""Racks as SunSpec shows them: what each string and each module measures, NaN where it is not known.

Cells and sensors are numbered from 1 through equal modules. A rack's own extremes are its BMS's; where the BMS states
none they are taken from its cells.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from controller.plant.model import BatteryType, Plant
from controller.scada.modbus.judged import Judged

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Extremes:
    """Highest, lowest and mean over the last axis, and where (from 1) the extremes are."""

    high: Numbers
    high_at: Numbers
    low: Numbers
    low_at: Numbers
    mean: Numbers

    @classmethod
    def of(cls, values: Numbers) -> Self:
        """Return the extremes of `[..., n]` values, NaN left out; NaN where nothing is known."""
        if not values.shape[-1]:
            values = np.full((*values.shape[:-1], 1), np.nan)
        known = ~np.isnan(values)
        count = known.sum(axis=-1)
        with np.errstate(invalid="ignore"):
            mean = np.where(known, values, 0.0).sum(axis=-1) / np.where(count, count, np.nan)
        lower, upper = np.where(known, values, -np.inf), np.where(known, values, np.inf)
        return cls(*_at(values, lower.argmax(axis=-1)), *_at(values, upper.argmin(axis=-1)), mean)

    def with_modules(self, modules: Extremes) -> Extremes:
        """Return a rack's stated extremes, or its modules' where it states none; positions and mean from modules."""
        return Extremes(
            np.where(np.isnan(self.high), modules.high, self.high),
            modules.high_at,
            np.where(np.isnan(self.low), modules.low, self.low),
            modules.low_at,
            modules.mean,
        )


def _at(values: Numbers, index: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    found = np.take_along_axis(values, index[..., None], axis=-1)[..., 0]
    return found, np.where(np.isnan(found), np.nan, index + 1.0)


@dataclass(frozen=True, slots=True)
class Modules:
    """Every module of the racks, [racks, modules]; NaN behind the last one of a rack that has fewer."""

    cells: Numbers
    voltage_v: Extremes
    temperature_degc: Extremes


@dataclass(frozen=True, slots=True)
class Racks:
    """The racks of a bank, [racks]."""

    modules: Modules
    module_count: Numbers
    in_service: NDArray[np.bool_]
    voltage_v: Numbers
    current_a: Numbers
    power_w: Numbers
    soc_percent: Numbers
    soh_percent: Numbers
    cell_voltage_v: Extremes
    temperature_degc: Extremes
    closed: Numbers  # 1 yes, 0 no
    tripped: Numbers
    locked_out: Numbers
    alarms: Numbers
    balancing: Numbers  # cells
    charge_limit_a: Numbers
    discharge_limit_a: Numbers

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Whether a rack that should be there says nothing."""
        return self.in_service & np.isnan(self.voltage_v)


def racks_of(judged: Judged, plant: Plant, rows: NDArray[np.int64]) -> Racks:
    """Return the racks of these rows as they are now."""
    batteries = [plant.racks[row].battery for row in rows.tolist()]
    modules = _modules(judged, rows, batteries)
    stated = _stated(judged, rows, "cell_voltage"), _stated(judged, rows, "cell_temperature")
    balancing = judged.numbers("cell.balancing", rows)
    known = ~np.isnan(balancing)
    return Racks(
        modules=modules,
        module_count=np.array([b.modules for b in batteries], np.float64),
        in_service=np.array([plant.racks[row].out_of_service is None for row in rows.tolist()], np.bool_),
        voltage_v=judged.numbers("rack.voltage", rows),
        current_a=judged.numbers("rack.current", rows),
        power_w=judged.numbers("rack.power", rows),
        soc_percent=100.0 * judged.numbers("rack.soc_estimate", rows),
        soh_percent=100.0 * judged.numbers("rack.soh_estimate", rows),
        cell_voltage_v=stated[0].with_modules(_over_modules(modules.voltage_v, modules.cells)),
        temperature_degc=stated[1].with_modules(_over_modules(modules.temperature_degc, modules.cells)),
        closed=judged.numbers("rack.contactor_closed", rows),
        tripped=judged.numbers("rack.any_trip", rows),
        locked_out=judged.numbers("rack.locked_out", rows),
        alarms=judged.numbers("rack.alarms", rows),
        balancing=np.where(known.any(axis=1), np.where(known, balancing, 0.0).sum(axis=1), np.nan),
        charge_limit_a=judged.numbers("rack.charge_current_limit", rows),
        discharge_limit_a=judged.numbers("rack.discharge_current_limit", rows),
    )


def _stated(judged: Judged, rows: NDArray[np.int64], name: str) -> Extremes:
    unknown = np.full(len(rows), np.nan)
    high, low = (judged.numbers(f"rack.{name}_{end}", rows) for end in ("max", "min"))
    return Extremes(high, unknown, low, unknown, unknown)


def _over_modules(modules: Extremes, cells: Numbers) -> Extremes:
    """Return the extremes of racks from those of their modules; modules have equally many cells."""
    high, low = Extremes.of(modules.high), Extremes.of(modules.low)
    mean = Extremes.of(np.where(np.isnan(cells), np.nan, modules.mean)).mean
    return Extremes(high.high, high.high_at, low.low, low.low_at, mean)


def _modules(judged: Judged, rows: NDArray[np.int64], batteries: list[BatteryType]) -> Modules:
    """Split every rack's cells and sensors into its modules, kind of battery by kind of battery."""
    voltages, temperatures = judged.numbers("cell.voltage", rows), judged.numbers("cell.temperature", rows)
    shape = (len(rows), max((b.modules for b in batteries), default=0))
    cells = np.full(shape, np.nan)
    voltage_v, temperature_degc = _unknown(shape), _unknown(shape)
    for battery in dict.fromkeys((b.cells_in_series, b.temperatures, b.modules) for b in batteries):
        series, sensors, modules = battery
        same = [i for i, b in enumerate(batteries) if (b.cells_in_series, b.temperatures, b.modules) == battery]
        cells[same, :modules] = series // modules
        _put(voltage_v, same, _split(voltages[same], series, modules))
        _put(temperature_degc, same, _split(temperatures[same], sensors, modules))
    return Modules(cells, voltage_v, temperature_degc)


def _split(values: Numbers, count: int, modules: int) -> Extremes:
    """Return the extremes of each module; unknown where the values are not spread evenly over the modules."""
    if count < modules or count % modules:
        return _unknown((len(values), modules))
    return Extremes.of(values[:, :count].reshape(len(values), modules, -1))


def _unknown(shape: tuple[int, ...]) -> Extremes:
    return Extremes(*(np.full(shape, np.nan) for _ in fields(Extremes)))


def _put(whole: Extremes, rows: list[int], part: Extremes) -> None:
    for field in fields(Extremes):
        values = getattr(part, field.name)
        getattr(whole, field.name)[rows, : values.shape[1]] = values
