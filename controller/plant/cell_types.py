"""Cell types: what a kind of cell is, read from `cell/v1` YAML into frozen tables.

The library's files ship in `controller/library/cells/`; a site may bring its own. Estimation and the simulator use the
same tables: open-circuit voltage after charging and after discharging (their half difference is the hysteresis), a
series resistance with RC pairs of fixed time constants over temperature and SOC, heat, limits, and the sensor errors
that set every bound. SOC = charge left / present full capacity (C/20, 25 degC).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from typing import TypeVar

import yaml

Row = tuple[float, ...]
Table = tuple[Row, ...]
"""[temperature][SOC]"""

CELL_SCHEMA = "cell/v1"
_YAML_LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOUND_TO_SIGMA = 1.0 / math.sqrt(3.0)
"""A bound means "anywhere within +-x": the standard deviation of a uniform distribution (GUM, type B)."""


class CellTypeError(ValueError):
    """A cell file that can't be used: names the file, the key, what is wrong and what is expected."""


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


def packaged_cell_names() -> tuple[str, ...]:
    """Return the names of the cell types that ship with the package, sorted."""
    files = resources.files("controller").joinpath("library", "cells").iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


@lru_cache(maxsize=64)
def packaged_cell_type(name: str) -> CellType:
    """Return a cell type of the library; CellTypeError names those that exist."""
    if name not in packaged_cell_names():
        raise CellTypeError(f"cell type {name!r} is not in the library; it has {', '.join(packaged_cell_names())}")
    text = resources.files("controller").joinpath("library", "cells", f"{name}.yaml").read_text(encoding="utf-8")
    return parse_cell_type(text, f"{name}.yaml")


def parse_cell_type(text: str, source: str) -> CellType:
    """Return the cell type that a `cell/v1` YAML text describes; `source` is its file's name for messages.

    Every quantity has a unit, every key is known, every table has the shape that its axes state.
    """
    try:
        document = yaml.load(text, Loader=_YAML_LOADER)  # noqa: S506 - either is a safe loader
    except yaml.YAMLError as error:
        raise CellTypeError(f"{source}: not YAML: {error}") from error
    reader = Reader(document, source)
    if (schema := reader.text("schema")) != CELL_SCHEMA:
        raise CellTypeError(f"{source}: schema is {schema!r}, expected {CELL_SCHEMA!r}")
    cell = CellType(
        name=reader.text("name"),
        chemistry=reader.text("chemistry"),
        verified=reader.yes_no("verified"),
        origin=reader.text("origin"),
        fit_report=reader.text("fit_report"),
        capacity_ah=reader.positive("capacity", "Ah"),
        coulombic_efficiency_ratio=reader.positive("coulombic_efficiency", "ratio"),
        self_discharge_ratio_per_month=reader.quantity("self_discharge_per_month", "ratio"),
        limits=_limits(reader.part("limits")),
        ocv=_ocv(reader.part("ocv")),
        impedance=_impedance(reader.part("impedance")),
        heat=_heat(reader.part("heat")),
        anchors=_anchors(reader.part("anchors")),
        sensors=sensor_spec(reader.part("sensors")),
        ageing=_ageing(reader.part("ageing")),
    )
    reader.finish()
    return cell


def _limits(reader: Reader) -> CellLimits:
    limits = CellLimits(
        voltage_min_v=reader.positive("voltage_min", "V"),
        voltage_max_v=reader.positive("voltage_max", "V"),
        charge_current_max_a=reader.positive("charge_current_max", "A"),
        discharge_current_max_a=reader.positive("discharge_current_max", "A"),
        charge_temperature_min_degc=reader.quantity("charge_temperature_min", "degC"),
        charge_temperature_max_degc=reader.quantity("charge_temperature_max", "degC"),
        discharge_temperature_min_degc=reader.quantity("discharge_temperature_min", "degC"),
        discharge_temperature_max_degc=reader.quantity("discharge_temperature_max", "degC"),
    )
    reader.finish()
    if limits.voltage_min_v >= limits.voltage_max_v:
        raise reader.error("voltage_min", "must lie below voltage_max")
    return limits


def _ocv(reader: Reader) -> OpenCircuitVoltage:
    temperature, soc = reader.rising("temperature", "degC"), reader.soc_axis("soc")
    shape = (len(temperature), len(soc))
    ocv = OpenCircuitVoltage(
        temperature_degc=temperature,
        soc_ratio=soc,
        charge_v=reader.table("charge", "V", shape),
        discharge_v=reader.table("discharge", "V", shape),
        entropy_v_per_k=reader.row("entropy", "V/K", len(soc)),
        hysteresis_per_soc=reader.positive("hysteresis_rate", "1"),
    )
    reader.finish()
    return ocv


def _impedance(reader: Reader) -> Impedance:
    temperature, soc = reader.rising("temperature", "degC"), reader.soc_axis("soc")
    shape = (len(temperature), len(soc))
    pairs = reader.parts("pairs")
    impedance = Impedance(
        temperature_degc=temperature,
        soc_ratio=soc,
        series_ohm=reader.table("series", "ohm", shape),
        pair_time_constant_s=tuple(pair.positive("time_constant", "s") for pair in pairs),
        pair_ohm=tuple(pair.table("resistance", "ohm", shape) for pair in pairs),
        error_v=reader.table("error", "V", shape),
        error_soc_ratio=reader.positive("error_span", "ratio"),
    )
    for pair in pairs:
        pair.finish()
    reader.finish()
    return impedance


def _heat(reader: Reader) -> Heat:
    heat = Heat(
        core_j_per_k=reader.positive("core", "J/K"),
        surface_j_per_k=reader.positive("surface", "J/K"),
        core_to_surface_k_per_w=reader.positive("core_to_surface", "K/W"),
        surface_to_ambient_k_per_w=reader.positive("surface_to_ambient", "K/W"),
    )
    reader.finish()
    return heat


def _anchors(reader: Reader) -> Anchors:
    anchors = Anchors(
        full_voltage_v=reader.positive("full_voltage", "V"),
        full_taper_a=reader.positive("full_taper", "A"),
        full_sigma_ratio=reader.positive("full_sigma", "ratio"),
        low_voltage_v=reader.positive("low_voltage", "V"),
        forbidden_low_ratio=reader.quantity("forbidden_low", "ratio"),
        forbidden_high_ratio=reader.quantity("forbidden_high", "ratio"),
    )
    reader.finish()
    return anchors


def sensor_spec(reader: Reader) -> SensorSpec:
    """Return the sensor errors that a mapping states, each `x` (1 sigma) or `{bound: x}` (within +-x)."""
    spec = SensorSpec(
        current_gain_ratio=reader.sigma("current_gain", "ratio"),
        current_offset_a=reader.sigma("current_offset", "A"),
        current_noise_a=reader.sigma("current_noise", "A"),
        voltage_bias_v=reader.sigma("voltage_bias", "V"),
        voltage_noise_v=reader.sigma("voltage_noise", "V"),
        voltage_step_v=reader.quantity("voltage_step", "V"),
        temperature_bias_k=reader.sigma("temperature_bias", "K"),
    )
    reader.finish()
    return spec


def _ageing(reader: Reader) -> AgeingPrior:
    prior = AgeingPrior(
        calendar_fade_ratio_per_sqrt_year=reader.quantity("calendar_fade_per_sqrt_year", "ratio"),
        cycle_fade_ratio=reader.quantity("fade_per_cycle", "ratio"),
        fade_sigma_ratio=reader.positive("fade_sigma", "ratio"),
        capacity_sigma_ratio=reader.positive("capacity_sigma", "ratio"),
        resistance_sigma_ratio=reader.positive("resistance_sigma", "ratio"),
        end_of_life_ratio=reader.positive("end_of_life", "ratio"),
    )
    reader.finish()
    return prior


_UNITS: dict[str, dict[str, float]] = {
    "V": {"V": 1.0, "mV": 1e-3},
    "A": {"A": 1.0, "mA": 1e-3},
    "Ah": {"Ah": 1.0, "mAh": 1e-3},
    "ohm": {"ohm": 1.0, "mohm": 1e-3, "uohm": 1e-6},
    "degC": {"degC": 1.0},
    "K": {"K": 1.0},
    "s": {"s": 1.0, "min": 60.0, "h": 3600.0},
    "ratio": {"%": 0.01, "ratio": 1.0},
    "V/K": {"V/K": 1.0, "mV/K": 1e-3},
    "J/K": {"J/K": 1.0, "kJ/K": 1e3},
    "K/W": {"K/W": 1.0},
    "1": {"1": 1.0},
}


class Reader:
    """A mapping of the file with its place: hands out checked values in base units, rejects unknown keys."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, Mapping):
            raise CellTypeError(f"{place}: expected keys with values, got {type(value).__name__}")
        self._values: Mapping[object, object] = value
        self._place = place
        self._used: set[object] = set()

    def error(self, key: str, text: str) -> CellTypeError:
        """Return an error that names the place of a key."""
        return CellTypeError(f"{self._place}: {key}: {text}")

    def finish(self) -> None:
        """Reject keys that were never asked for."""
        if unknown := [str(key) for key in self._values if key not in self._used]:
            raise CellTypeError(
                f"{self._place}: unknown key {', '.join(unknown)}; known here: {sorted(map(str, self._used))}"
            )

    def value(self, key: str) -> object:
        """Return the raw value of a key that must exist."""
        self._used.add(key)
        if key not in self._values:
            raise self.error(key, "missing")
        return self._values[key]

    def text(self, key: str) -> str:
        """Return a text."""
        value = self.value(key)
        if not isinstance(value, str):
            raise self.error(key, f"expected a text, got {value!r}")
        return value

    def yes_no(self, key: str) -> bool:
        """Return true or false."""
        value = self.value(key)
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, got {value!r}")
        return value

    def part(self, key: str) -> Reader:
        """Return the mapping below a key."""
        return Reader(self.value(key), f"{self._place}: {key}")

    def parts(self, key: str) -> list[Reader]:
        """Return the mappings of a list below a key."""
        value = self.value(key)
        if not isinstance(value, list):
            raise self.error(key, "expected a list")
        return [Reader(item, f"{self._place}: {key}[{k}]") for k, item in enumerate(value)]

    def quantity(self, key: str, dimension: str) -> float:
        """Return a quantity such as `3.65 V` in base units."""
        return self._quantity(key, self.value(key), dimension)

    def positive(self, key: str, dimension: str) -> float:
        """Return a quantity above zero."""
        value = self.quantity(key, dimension)
        if not value > 0.0:
            raise self.error(key, f"expected a value above zero, got {value:g}")
        return value

    def sigma(self, key: str, dimension: str) -> float:
        """Return a standard deviation: a quantity, or `{bound: quantity}` for "anywhere within"."""
        value = self.value(key)
        if isinstance(value, Mapping):
            bound = Reader(value, f"{self._place}: {key}")
            sigma = bound.quantity("bound", dimension) * BOUND_TO_SIGMA
            bound.finish()
            return sigma
        return self._quantity(key, value, dimension)

    def row(self, key: str, dimension: str, length: int | None = None) -> Row:
        """Return a list of numbers `{unit: mV, values: [..]}` in base units."""
        factor, values = self._unit_and_values(key, dimension)
        row = self._numbers(key, values, factor)
        if length is not None and len(row) != length:
            raise self.error(key, f"expected {length} values, got {len(row)}")
        return row

    def rising(self, key: str, dimension: str) -> Row:
        """Return a list whose values rise."""
        row = self.row(key, dimension)
        if not row or any(b <= a for a, b in pairwise(row)):
            raise self.error(key, "expected rising values")
        return row

    def soc_axis(self, key: str) -> Row:
        """Return a rising SOC axis from 0 to 100 %."""
        row = self.rising(key, "ratio")
        if len(row) < 2 or abs(row[0]) > 1e-9 or abs(row[-1] - 1.0) > 1e-9:
            raise self.error(key, "expected a SOC axis from 0 to 100 %")
        return row

    def table(self, key: str, dimension: str, shape: tuple[int, int]) -> Table:
        """Return rows of numbers, one row a temperature, one column a SOC."""
        factor, values = self._unit_and_values(key, dimension)
        if not isinstance(values, list) or len(values) != shape[0]:
            raise self.error(key, f"expected {shape[0]} rows (one a temperature)")
        table = tuple(self._numbers(key, row, factor) for row in values)
        if any(len(row) != shape[1] for row in table):
            raise self.error(key, f"expected {shape[1]} values in every row (one a SOC)")
        return table

    def _unit_and_values(self, key: str, dimension: str) -> tuple[float, object]:
        reader = self.part(key)
        unit, values = reader.text("unit"), reader.value("values")
        reader.finish()
        return self._factor(key, unit, dimension), values

    def _numbers(self, key: str, values: object, factor: float) -> Row:
        if not isinstance(values, list):
            raise self.error(key, f"expected a list of numbers, got {values!r}")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise self.error(key, f"expected numbers, got {value!r}")
        return tuple(float(value) * factor for value in values)

    def _quantity(self, key: str, value: object, dimension: str) -> float:
        if not isinstance(value, str):
            raise self.error(key, f"expected a value with a unit such as '1 {self._example(dimension)}', got {value!r}")
        number, _, unit = value.strip().partition(" ")
        try:
            amount = float(number)
        except ValueError:
            raise self.error(key, f"expected a number before the unit, got {value!r}") from None
        if not math.isfinite(amount):
            raise self.error(key, f"expected a finite number, got {value!r}")
        return amount * self._factor(key, unit.strip() or "1", dimension)

    def _factor(self, key: str, unit: str, dimension: str) -> float:
        factors = _UNITS[dimension]
        if unit not in factors:
            raise self.error(key, f"unit {unit!r} does not fit; expected {' or '.join(factors)}")
        return factors[unit]

    @staticmethod
    def _example(dimension: str) -> str:
        return next(iter(_UNITS[dimension]))
