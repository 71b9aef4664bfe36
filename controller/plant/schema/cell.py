"""A cell file's keys (`schema: cell/v1`): what a kind of cell is, in tables over temperature and SOC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from controller.plant.messages import did_you_mean, one_of
from controller.plant.schema.types import (
    UNIT,
    Charge,
    Current,
    Flag,
    HeatCapacity,
    Identifier,
    NotNegative,
    Number,
    Positive,
    Ratio,
    Section,
    Temperature,
    TemperatureDifference,
    ThermalResistance,
    Time,
    Voltage,
    Words,
    fail,
    schema_is,
    shorthand,
    single,
    within,
)
from controller.plant.units import UNITS, Dimension


def _factor(known: dict[str, float]) -> Callable[[object], float]:
    def convert(value: object) -> float:
        text = single(value, one_of(known))
        if text not in known:
            fail(f"can't be '{text}'", one_of(known), did_you_mean(text, known))
        return known[text]

    return convert


def _unit(dimension: Dimension) -> tuple[BeforeValidator, WithJsonSchema]:
    """Return the validator of the unit of a table: how much of the base unit one is."""
    known = {u.name: u.factor for u in UNITS.values() if u.dimension is dimension and u.offset == 0.0}
    return BeforeValidator(_factor(known)), WithJsonSchema({"enum": list(known), UNIT: "unit"})


def _rate(value: object) -> float:
    """Read a number a whole SOC; it has no unit, and files of old write it as `15 1`."""
    text = single(value, "a number such as 15").removesuffix(" 1")
    if not (text.isascii() and text.replace(".", "", 1).isdigit()):
        fail(f"is not a plain number ('{text}')", "a number such as 15")
    if not 0.1 <= float(text) <= 1e4:
        fail("can't be meant so", "from 0.1 to 10000")
    return float(text)


_RATE = WithJsonSchema({"type": ["number", "string"], "pattern": r"^\d+(\.\d+)?( 1)?$", UNIT: "number"})
PerSoc = Annotated[float, BeforeValidator(_rate), _RATE]
CellVoltage = Annotated[Voltage, Positive, within("0 V", "100 V")]
CellCurrent = Annotated[Current, Positive, within("0 A", "10 kA")]
CellTemperature = Annotated[Temperature, within("-80 degC", "150 degC")]
Share = Annotated[Ratio, within("0 %", "100 %")]
Numbers = list[Number]
Rows = list[Numbers]
VoltUnit = Annotated[float, *_unit(Dimension.VOLTAGE)]
OhmUnit = Annotated[float, *_unit(Dimension.RESISTANCE)]
DegreeUnit = Annotated[float, *_unit(Dimension.TEMPERATURE)]
ShareUnit = Annotated[float, *_unit(Dimension.RATIO)]
EntropyUnit = Annotated[float, *_unit(Dimension.VOLTAGE_PER_KELVIN)]


class TemperatureAxis(Section):
    """The temperatures of a table's rows."""

    unit: DegreeUnit
    """Of the values."""
    values: Numbers
    """Rising."""


class SocAxis(Section):
    """The SOC of a table's columns."""

    unit: ShareUnit
    """Of the values."""
    values: Numbers
    """Rising, from empty to full."""


class VoltageTable(Section):
    """Voltages: a row a temperature, a column a SOC."""

    unit: VoltUnit
    """Of the values."""
    values: Rows
    """A list a temperature, in it a number a SOC."""


class ResistanceTable(Section):
    """Resistances: a row a temperature, a column a SOC."""

    unit: OhmUnit
    """Of the values."""
    values: Rows
    """A list a temperature, in it a number a SOC."""


class EntropyRow(Section):
    """How the open-circuit voltage moves with the temperature, a number a SOC."""

    unit: EntropyUnit
    """Of the values."""
    values: Numbers
    """A number a SOC."""


class CellLimitsSection(Section):
    """Limits of the cell's maker."""

    voltage_min: CellVoltage
    """Lowest voltage."""
    voltage_max: CellVoltage
    """Highest voltage."""
    charge_current_max: CellCurrent
    """Continuous, at the usual temperature."""
    discharge_current_max: CellCurrent
    """Continuous, at the usual temperature."""
    charge_temperature_min: CellTemperature
    """Colder must not be charged."""
    charge_temperature_max: CellTemperature
    """Warmer must not be charged."""
    discharge_temperature_min: CellTemperature
    """Colder must not be discharged."""
    discharge_temperature_max: CellTemperature
    """Warmer must not be discharged."""


class OcvSection(Section):
    """Open-circuit voltage, at C/30 or slower."""

    hysteresis_rate: PerSoc
    """How fast the state between the branches follows the SOC: after moving 1/rate it has gone 63 %."""
    temperature: TemperatureAxis
    """Of the rows."""
    soc: SocAxis
    """Of the columns."""
    charge: VoltageTable
    """After charging."""
    discharge: VoltageTable
    """After discharging."""
    entropy: EntropyRow
    """dOCV/dT."""


class PairSection(Section):
    """A resistance with a time constant."""

    time_constant: Annotated[Time, Positive, within("1 ms", "10 d")]
    """Of this pair, at all temperatures."""
    resistance: ResistanceTable
    """Of this pair."""


class ImpedanceSection(Section):
    """What lies between the open-circuit voltage and the terminals."""

    temperature: TemperatureAxis
    """Of the rows."""
    soc: SocAxis
    """Of the columns."""
    series: ResistanceTable
    """What answers at once."""
    pairs: list[PairSection]
    """What answers with a delay."""
    error: VoltageTable
    """RMS error of this model on data that was not fitted: how far a voltage is believed."""
    error_span: Annotated[Ratio, Positive, within("0 %", "100 %")]
    """Over how much SOC that error stays the same."""


class HeatSection(Section):
    """A core that makes heat, a surface that is measured, the air around."""

    core: Annotated[HeatCapacity, Positive, within("0.01 J/K", "10000 kJ/K")]
    """Heat capacity of the core."""
    surface: Annotated[HeatCapacity, Positive, within("0.01 J/K", "10000 kJ/K")]
    """Heat capacity of the surface."""
    core_to_surface: Annotated[ThermalResistance, Positive, within("0.0001 K/W", "1000 K/W")]
    """From core to surface."""
    surface_to_ambient: Annotated[ThermalResistance, Positive, within("0.0001 K/W", "1000 K/W")]
    """From surface to the air."""


class AnchorsSection(Section):
    """What ties the SOC to the truth."""

    full_voltage: CellVoltage
    """A full charge reaches this voltage."""
    full_taper: CellCurrent
    """A full charge tapers off to this current."""
    full_sigma: Annotated[Ratio, Positive, within("0 %", "100 %")]
    """1-sigma of the SOC then."""
    low_voltage: CellVoltage
    """The knee above empty."""
    forbidden_low: Share
    """From this SOC on a rest voltage says nothing."""
    forbidden_high: Share
    """Up to this SOC."""


class CurrentError(Section):
    """An error of a current, either way."""

    sigma: Annotated[Current, NotNegative, within("0 A", "1 kA")] | None = None
    """Standard deviation; may stand alone."""
    bound: Annotated[Current, NotNegative, within("0 A", "1 kA")] | None = None
    """Anywhere within +- this."""


class VoltageError(Section):
    """An error of a voltage, either way."""

    sigma: Annotated[Voltage, NotNegative, within("0 V", "10 V")] | None = None
    """Standard deviation; may stand alone."""
    bound: Annotated[Voltage, NotNegative, within("0 V", "10 V")] | None = None
    """Anywhere within +- this."""


class GainError(Section):
    """A relative error, either way."""

    sigma: Share | None = None
    """Standard deviation; may stand alone."""
    bound: Share | None = None
    """Anywhere within +- this."""


class TemperatureError(Section):
    """An error of a temperature, either way."""

    sigma: Annotated[TemperatureDifference, NotNegative, within("0 K", "50 K")] | None = None
    """Standard deviation; may stand alone."""
    bound: Annotated[TemperatureDifference, NotNegative, within("0 K", "50 K")] | None = None
    """Anywhere within +- this."""


CurrentSpread = Annotated[CurrentError, shorthand("sigma", CurrentError, Current)]
VoltageSpread = Annotated[VoltageError, shorthand("sigma", VoltageError, Voltage)]
GainSpread = Annotated[GainError, shorthand("sigma", GainError, Ratio)]
TemperatureSpread = Annotated[TemperatureError, shorthand("sigma", TemperatureError, TemperatureDifference)]


class SensorsSection(Section):
    """1-sigma errors of the measurements, or `{bound: ...}`."""

    current_gain: GainSpread
    """Relative: 1 %, not 101 %."""
    current_offset: CurrentSpread
    """Of the zero."""
    current_noise: CurrentSpread
    """From sample to sample."""
    voltage_bias: VoltageSpread
    """Of a cell's voltage."""
    voltage_noise: VoltageSpread
    """From sample to sample."""
    voltage_step: Annotated[Voltage, NotNegative, within("0 V", "10 V")]
    """The last digit's worth."""
    temperature_bias: TemperatureSpread
    """Of a cell's temperature."""


class AgeingSection(Section):
    """What is believed of ageing before there is data of one's own."""

    calendar_fade_per_sqrt_year: Share
    """Capacity lost in the first year, growing with the square root of time."""
    fade_per_cycle: Share
    """Capacity lost in a full cycle."""
    fade_sigma: Annotated[Share, Positive]
    """1-sigma of both, relative."""
    capacity_sigma: Annotated[Share, Positive]
    """How far a new cell's capacity may be from its nameplate."""
    resistance_sigma: Annotated[Share, Positive]
    """How far a new cell's resistance may be from the table."""
    end_of_life: Annotated[Share, Positive]
    """Of the nameplate capacity."""


class CellFile(Section):
    """A whole cell file."""

    schema_: Annotated[str, schema_is("cell/v1")] = Field(alias="schema")
    """What kind of file this is, and in which version."""
    name: Identifier
    """By which batteries name it."""
    chemistry: Identifier
    """Such as lfp, nmc, nca, lto, lead_acid."""
    verified: Flag
    """Whether measurements of this very cell stand behind the numbers."""
    origin: Words
    """Where the numbers come from."""
    fit_report: Words
    """How well they fit, and on what data."""
    capacity: Annotated[Charge, Positive, within("0.01 Ah", "20 kAh")]
    """Nameplate."""
    coulombic_efficiency: Annotated[Ratio, Positive, within("50 %", "100 %")]
    """Charge that comes back of what was put in."""
    self_discharge_per_month: Share
    """Of a full cell."""
    limits: CellLimitsSection
    """Of the cell's maker."""
    ocv: OcvSection
    """Open-circuit voltage."""
    impedance: ImpedanceSection
    """Resistances."""
    heat: HeatSection
    """Thermal model."""
    anchors: AnchorsSection
    """What ties the SOC to the truth."""
    sensors: SensorsSection
    """Errors of the measurements; a site states its own."""
    ageing: AgeingSection
    """Before own data."""
