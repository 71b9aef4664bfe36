"""Straight lines from "all allowed" to "nothing allowed", per quantity and direction, made from the site's rows.

Rule: between a protection row's warning and alarm limit the current falls from all to nothing, so that control has
eased off before protection must inhibit. At the edges of the SOC window it falls over the last `SOC_TAPER_RATIO`.
factor = clip(value * slope + intercept, 0, 1); no row: slope 0, intercept 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.plant.protection_rows import Action, Direction, Level, ProtectionRow, Qualifier, Reduction

FloatArray = NDArray[np.float64]

SOC_TAPER_RATIO = 0.01
SOC, VOLTAGE, TEMPERATURE_HIGH, TEMPERATURE_LOW = range(4)
_CHARGE, _DISCHARGE = 0, 1

_KINDS = {
    ("cell.voltage", Direction.HIGH): VOLTAGE,
    ("rack.cell_voltage_max", Direction.HIGH): VOLTAGE,
    ("cell.voltage", Direction.LOW): VOLTAGE,
    ("rack.cell_voltage_min", Direction.LOW): VOLTAGE,
    ("cell.temperature", Direction.HIGH): TEMPERATURE_HIGH,
    ("rack.cell_temperature_max", Direction.HIGH): TEMPERATURE_HIGH,
    ("cell.temperature", Direction.LOW): TEMPERATURE_LOW,
    ("rack.cell_temperature_min", Direction.LOW): TEMPERATURE_LOW,
}
_REDUCTIONS = frozenset({Reduction.NONE, Reduction.HIGHEST, Reduction.LOWEST})


@dataclass(frozen=True, slots=True)
class Derating:
    """Lines [kind, direction, 1]; kinds: SOC, cell voltage (highest for charge, lowest for discharge), hot, cold."""

    slope: FloatArray
    intercept: FloatArray


def derating_lines(rows: Iterable[ProtectionRow], soc_min_ratio: float, soc_max_ratio: float) -> Derating:
    """Return the lines of a site; of several rows of one kind the one that reaches nothing first counts."""
    slope, intercept = np.zeros((4, 2, 1)), np.ones((4, 2, 1))
    _draw(slope, intercept, (SOC, _CHARGE), soc_max_ratio - SOC_TAPER_RATIO, soc_max_ratio)
    _draw(slope, intercept, (SOC, _DISCHARGE), soc_min_ratio + SOC_TAPER_RATIO, soc_min_ratio)
    zero_at: dict[tuple[int, int], float] = {}
    for row in rows:
        kind = _KINDS.get((row.signal, row.direction))
        limits = {g.level: g.limit for g in row.levels}
        if kind is None or row.reduction not in _REDUCTIONS or not {Level.WARNING, Level.ALARM} <= limits.keys():
            continue
        for direction in _directions(row):
            place, nothing = (kind, direction), limits[Level.ALARM]
            if place not in zero_at or _is_tighter(row.direction, nothing, zero_at[place]):
                zero_at[place] = nothing
                _draw(slope, intercept, place, limits[Level.WARNING], nothing)
    return Derating(slope, intercept)


def _draw(slope: FloatArray, intercept: FloatArray, place: tuple[int, int], all_at: float, nothing_at: float) -> None:
    slope[place] = 1.0 / (all_at - nothing_at)
    intercept[place] = -nothing_at / (all_at - nothing_at)


def _is_tighter(direction: Direction, limit: float, than: float) -> bool:
    return limit < than if direction is Direction.HIGH else limit > than


def _directions(row: ProtectionRow) -> tuple[int, ...]:
    """Which directions a row eases: what its alarm inhibits, else its qualifier, else its kind."""
    action = next(g.action for g in row.levels if g.level is Level.ALARM)
    if action is Action.INHIBIT_CHARGE or row.qualifier is Qualifier.CHARGING:
        return (_CHARGE,)
    if action is Action.INHIBIT_DISCHARGE or row.qualifier is Qualifier.DISCHARGING:
        return (_DISCHARGE,)
    if _KINDS[row.signal, row.direction] == VOLTAGE:
        return (_CHARGE,) if row.direction is Direction.HIGH else (_DISCHARGE,)
    return (_CHARGE, _DISCHARGE)
