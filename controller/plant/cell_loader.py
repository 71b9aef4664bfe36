"""A cell file (`cell/v1`) read into a `CellType`; the library's files ship in `controller/library/cells/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from itertools import pairwise

from controller.plant.cell_types import (
    BOUND_TO_SIGMA,
    AgeingPrior,
    Anchors,
    CellLimits,
    CellType,
    Heat,
    Impedance,
    OpenCircuitVoltage,
    Row,
    SensorSpec,
    Table,
)
from controller.plant.checks.cells import cell_is_possible
from controller.plant.figures import quantity
from controller.plant.messages import Message, did_you_mean, error, one_of, render, warning
from controller.plant.schema.cell import (
    AgeingSection,
    AnchorsSection,
    CellFile,
    CellLimitsSection,
    CurrentError,
    EntropyRow,
    GainError,
    HeatSection,
    ImpedanceSection,
    OcvSection,
    ResistanceTable,
    SensorsSection,
    SocAxis,
    TemperatureAxis,
    TemperatureError,
    VoltageError,
    VoltageTable,
)
from controller.plant.schema.messages import check, label_of
from controller.plant.yaml_tree import Document, Loc, read_document

CHEMISTRIES = ("lfp", "nmc", "nca", "lco", "lmo", "lto", "sodium_ion", "lead_acid", "nickel_cadmium")
"""What cells are usually made of; no rule of ours depends on it but the preset that `init` proposes."""

Spread = CurrentError | VoltageError | GainError | TemperatureError


class CellTypeError(ValueError):
    """A cell file that can't be used: where, what is wrong and what is expected."""


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
    """Return the cell type that a text describes; CellTypeError with every message if it can't be used, or be at all.

    `source` is what messages call the file.
    """
    document, messages = read_document(source, text.encode())
    if not messages:
        cell, messages = load_cell(document)
        messages = messages if cell is None else list(cell_is_possible(cell, document))
        if cell is not None and not messages:
            return cell
    raise CellTypeError(render(messages, {source: document.lines}))


def load_cell(document: Document) -> tuple[CellType | None, list[Message]]:
    """Return the cell type of a cell file, None if it can't be used; and what is to be said about it."""
    file, messages = check(document, CellFile)
    if file is None:
        return None, messages
    messages += [*_limits_in_order(document, file), *_shapes(document, file), *_spreads(document, file)]
    return (None, messages) if messages else (_cell(file), list(_known_chemistry(document, file)))


def _cell(file: CellFile) -> CellType:
    return CellType(
        name=file.name,
        chemistry=file.chemistry,
        verified=file.verified,
        origin=file.origin,
        fit_report=file.fit_report,
        capacity_ah=file.capacity,
        coulombic_efficiency_ratio=file.coulombic_efficiency,
        self_discharge_ratio_per_month=file.self_discharge_per_month,
        limits=_limits(file.limits),
        ocv=_ocv(file.ocv),
        impedance=_impedance(file.impedance),
        heat=_heat(file.heat),
        anchors=_anchors(file.anchors),
        sensors=_sensors(file.sensors),
        ageing=_ageing(file.ageing),
    )


def _limits(part: CellLimitsSection) -> CellLimits:
    return CellLimits(
        voltage_min_v=part.voltage_min,
        voltage_max_v=part.voltage_max,
        charge_current_max_a=part.charge_current_max,
        discharge_current_max_a=part.discharge_current_max,
        charge_temperature_min_degc=part.charge_temperature_min,
        charge_temperature_max_degc=part.charge_temperature_max,
        discharge_temperature_min_degc=part.discharge_temperature_min,
        discharge_temperature_max_degc=part.discharge_temperature_max,
    )


def _ocv(part: OcvSection) -> OpenCircuitVoltage:
    return OpenCircuitVoltage(
        temperature_degc=_row(part.temperature),
        soc_ratio=_row(part.soc),
        charge_v=_table(part.charge),
        discharge_v=_table(part.discharge),
        entropy_v_per_k=_row(part.entropy),
        hysteresis_per_soc=part.hysteresis_rate,
    )


def _impedance(part: ImpedanceSection) -> Impedance:
    return Impedance(
        temperature_degc=_row(part.temperature),
        soc_ratio=_row(part.soc),
        series_ohm=_table(part.series),
        pair_time_constant_s=tuple(pair.time_constant for pair in part.pairs),
        pair_ohm=tuple(_table(pair.resistance) for pair in part.pairs),
        error_v=_table(part.error),
        error_soc_ratio=part.error_span,
    )


def _heat(part: HeatSection) -> Heat:
    return Heat(
        core_j_per_k=part.core,
        surface_j_per_k=part.surface,
        core_to_surface_k_per_w=part.core_to_surface,
        surface_to_ambient_k_per_w=part.surface_to_ambient,
    )


def _anchors(part: AnchorsSection) -> Anchors:
    return Anchors(
        full_voltage_v=part.full_voltage,
        full_taper_a=part.full_taper,
        full_sigma_ratio=part.full_sigma,
        low_voltage_v=part.low_voltage,
        forbidden_low_ratio=part.forbidden_low,
        forbidden_high_ratio=part.forbidden_high,
    )


def _sensors(part: SensorsSection) -> SensorSpec:
    return SensorSpec(
        current_gain_ratio=_sigma(part.current_gain),
        current_offset_a=_sigma(part.current_offset),
        current_noise_a=_sigma(part.current_noise),
        voltage_bias_v=_sigma(part.voltage_bias),
        voltage_noise_v=_sigma(part.voltage_noise),
        voltage_step_v=part.voltage_step,
        temperature_bias_k=_sigma(part.temperature_bias),
    )


def _ageing(part: AgeingSection) -> AgeingPrior:
    return AgeingPrior(
        calendar_fade_ratio_per_sqrt_year=part.calendar_fade_per_sqrt_year,
        cycle_fade_ratio=part.fade_per_cycle,
        fade_sigma_ratio=part.fade_sigma,
        capacity_sigma_ratio=part.capacity_sigma,
        resistance_sigma_ratio=part.resistance_sigma,
        end_of_life_ratio=part.end_of_life,
    )


def _row(part: TemperatureAxis | SocAxis | EntropyRow) -> Row:
    return tuple(value * part.unit for value in part.values)


def _table(part: VoltageTable | ResistanceTable) -> Table:
    return tuple(tuple(value * part.unit for value in row) for row in part.values)


def _sigma(spread: Spread) -> float:
    """Return the standard deviation; of a bound that of a uniform distribution."""
    return spread.sigma if spread.sigma is not None else (spread.bound or 0.0) * BOUND_TO_SIGMA


# --------------------------------------------------------------------------------------------------- what must fit what


def _limits_in_order(document: Document, file: CellFile) -> Iterator[Message]:
    limits, anchors = file.limits, file.anchors
    ordered = (
        ("limits", "voltage_min", "voltage_max", limits.voltage_min, limits.voltage_max),
        (
            "limits",
            "charge_temperature_min",
            "charge_temperature_max",
            limits.charge_temperature_min,
            limits.charge_temperature_max,
        ),
        (
            "limits",
            "discharge_temperature_min",
            "discharge_temperature_max",
            limits.discharge_temperature_min,
            limits.discharge_temperature_max,
        ),
        ("anchors", "low_voltage", "full_voltage", anchors.low_voltage, anchors.full_voltage),
    )
    for section, low, high, low_value, high_value in ordered:
        if low_value >= high_value:
            place = document.place_of((section, low))
            less = quantity(high_value, "degC" if "temperature" in low else "V")
            yield error(place, f"{section}.{low} is not below {section}.{high}", f"less than {less}")
    if anchors.forbidden_low > anchors.forbidden_high:
        place = document.place_of(("anchors", "forbidden_low"))
        yield error(place, "anchors.forbidden_low is above anchors.forbidden_high", "at most that")


def _known_chemistry(document: Document, file: CellFile) -> Iterator[Message]:
    """A chemistry of one's own may be meant; more often it is misspelt."""
    if file.chemistry not in CHEMISTRIES:
        hint = did_you_mean(file.chemistry, CHEMISTRIES)
        place = document.place_of(("chemistry",))
        yield warning(place, f"'{file.chemistry}' is no chemistry that we know", one_of(CHEMISTRIES), hint)


def _shapes(document: Document, file: CellFile) -> Iterator[Message]:
    """Axes rise, SOC goes from empty to full, tables have a row a temperature and a number a SOC."""
    for name, part in (("ocv", file.ocv), ("impedance", file.impedance)):
        yield from _rises(document, (name, "temperature", "values"), part.temperature.values)
        yield from _soc_axis(document, (name, "soc", "values"), part.soc)
        rows, columns = len(part.temperature.values), len(part.soc.values)
        for loc, table in _tables(name, part):
            yield from _shape(document, loc, table.values, rows, columns)
        if isinstance(part, OcvSection):
            yield from _length(document, (name, "entropy", "values"), part.entropy.values, columns)


def _tables(name: str, part: OcvSection | ImpedanceSection) -> Iterator[tuple[Loc, VoltageTable | ResistanceTable]]:
    if isinstance(part, OcvSection):
        yield (name, "charge", "values"), part.charge
        yield (name, "discharge", "values"), part.discharge
        return
    yield (name, "series", "values"), part.series
    yield (name, "error", "values"), part.error
    for position, pair in enumerate(part.pairs):
        yield (name, "pairs", position, "resistance", "values"), pair.resistance


def _soc_axis(document: Document, loc: Loc, axis: SocAxis) -> Iterator[Message]:
    yield from _rises(document, loc, axis.values)
    ends = [value * axis.unit for value in (axis.values[0], axis.values[-1])] if axis.values else []
    for position, end, wanted in zip((0, len(axis.values) - 1), ends, (0.0, 1.0), strict=False):
        if abs(end - wanted) > 1e-9:
            place = document.place_of((*loc, position))
            yield error(
                place, f"{label_of(loc)} {'ends' if position else 'begins'} at {100 * end:g} %", f"{100 * wanted:g} %"
            )


def _rises(document: Document, loc: Loc, values: Sequence[float]) -> Iterator[Message]:
    if len(values) < 2:
        yield error(document.place_of(loc), f"{label_of(loc)} has {len(values)} values", "two or more, rising")
    for position, (before, value) in enumerate(pairwise(values), start=1):
        if value <= before:
            message = f"{value:g} comes after {before:g} in {label_of(loc)}"
            yield error(document.place_of((*loc, position)), message, "rising values")
            return


def _shape(
    document: Document, loc: Loc, table: Sequence[Sequence[object]], rows: int, columns: int
) -> Iterator[Message]:
    if len(table) != rows:
        message = f"{label_of(loc)} has {len(table)} rows"
        yield error(document.place_of(loc), message, f"{rows}, one a temperature")
        return
    for position, row in enumerate(table):
        yield from _length(document, (*loc, position), row, columns)


def _length(document: Document, loc: Loc, row: Sequence[object], columns: int) -> Iterator[Message]:
    if len(row) != columns:
        yield error(document.place_of(loc), f"{len(row)} numbers in {label_of(loc)}", f"{columns}, one a SOC")


def _spreads(document: Document, file: CellFile) -> Iterator[Message]:
    for name in type(file.sensors).model_fields:
        spread = getattr(file.sensors, name)
        if isinstance(spread, Spread) and (spread.sigma is None) == (spread.bound is None):
            place = document.place_of(("sensors", name))
            yield error(place, f"sensors.{name} needs one error", "a 1-sigma value, or {bound: ...}")
