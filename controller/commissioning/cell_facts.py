"""A cell type as facts: all numbers of its file in the words of the file, each of a table with its place there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from controller.plant.cell_types import CellType, Impedance, OpenCircuitVoltage
from controller.plant.figures import number, quantity

PREFIX = "cell."
"""Begins the key of each fact of a cell."""

PROVENANCE = (f"{PREFIX}verified", f"{PREFIX}origin", f"{PREFIX}fit_report")
"""What tells where the numbers come from: worth telling, but no check depends on it."""

_UNITS = {
    "v_per_k": "V/K", "j_per_k": "J/K", "k_per_w": "K/W", "ratio_per_month": "% a month",
    "ratio_per_sqrt_year": "% a root of a year", "ratio": "%", "degc": "degC", "ah": "Ah", "ohm": "ohm", "v": "V",
    "a": "A", "s": "s", "k": "K",
}  # fmt: skip
_DIGITS = 6


def cell_facts(cell: CellType) -> Iterator[tuple[str, str]]:
    """Yield the facts of a cell type: `cell.limits.voltage_max`, `cell.ocv.charge at 25 degC and 50 %`."""
    for field in dataclasses.fields(cell):
        value = getattr(cell, field.name)
        if dataclasses.is_dataclass(value):
            for inner in dataclasses.fields(value):
                key, unit = _key(inner.name)
                for where, found in _entries(value, getattr(value, inner.name)):
                    yield f"{PREFIX}{field.name}.{key}{where}", _text(found, unit)
        elif field.name != "name":
            key, unit = _key(field.name)
            yield f"{PREFIX}{key}", _text(value, unit)


def is_of_a_table(key: str) -> bool:
    """Return whether a fact is one value of a cell's table, of which there are hundreds."""
    return key.startswith(PREFIX) and " at " in key


def _key(name: str) -> tuple[str, str]:
    """Return a field's key and unit: `voltage_max_v` -> voltage_max, V."""
    unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")
    return (name.removesuffix(f"_{unit}"), _UNITS[unit]) if unit else (name, "")


def _entries(part: Any, value: Any) -> Iterator[tuple[str, object]]:  # noqa: ANN401 - any section of a cell file
    """Yield the entries of a table over temperature and SOC with where they stand; all else as it is."""
    if not isinstance(part, OpenCircuitVoltage | Impedance) or not isinstance(value, tuple):
        yield "", value
    elif value and isinstance(value[0], tuple) and isinstance(value[0][0], tuple):
        for number_of_pair, table in enumerate(value, start=1):
            yield from ((f" {number_of_pair}{where}", found) for where, found in _entries(part, table))
    elif value and isinstance(value[0], tuple):
        for degc, row in zip(part.temperature_degc, value, strict=True):
            yield from ((f" at {number(degc)} degC and {soc}", found) for soc, found in _over_soc(part, row))
    elif isinstance(part, OpenCircuitVoltage) and value is part.entropy_v_per_k:
        yield from ((f" at {soc}", found) for soc, found in _over_soc(part, value))
    else:
        yield "", value


def _over_soc(part: OpenCircuitVoltage | Impedance, row: Sequence[object]) -> Iterator[tuple[str, object]]:
    for soc_ratio, found in zip(part.soc_ratio, row, strict=True):
        yield f"{number(100 * soc_ratio)} %", found


def _text(value: object, unit: str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(_text(each, unit) for each in value)
    if not isinstance(value, int | float):
        return str(value)
    return f"{number(100 * value, _DIGITS)} {unit}" if unit.startswith("%") else quantity(value, unit, _DIGITS)
