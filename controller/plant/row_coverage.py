"""Which equipment a protection row is about: all of its owner's, or what its `only` names.

Rule: `only` lists battery types for a row of racks, kinds of chain for a row of interlocks. Rows of other equipment
have none. A row watches what a BMS trip watches if it compares the same value on the same side, whatever its name.
"""

from __future__ import annotations

from controller.plant.model import BmsTrip, InterlockKind, Plant
from controller.plant.protection_rows import Direction, ProtectionRow, Qualifier, Reduction
from controller.plant.signals import Owner


def kinds_of(plant: Plant, owner: Owner) -> tuple[str, ...]:
    """Return the kind of each equipment of an owner, as `only` names it."""
    match owner:
        case Owner.RACK:
            return tuple(rack.battery.name for rack in plant.racks)
        case Owner.INTERLOCK:
            return tuple(interlock.kind.value for interlock in plant.interlocks)
        case Owner.BANK:
            return ("",) * len(plant.banks)
        case Owner.PCS:
            return ("",) * len(plant.pcs)
        case _:
            return ("",) * len(plant.meters)


def known_kinds(plant: Plant, owner: Owner) -> tuple[str, ...]:
    """Return what `only` may name in a row of this owner."""
    if owner is Owner.INTERLOCK:
        return tuple(kind.value for kind in InterlockKind)
    return tuple(dict.fromkeys(kinds_of(plant, owner))) if owner is Owner.RACK else ()


def is_about(row: ProtectionRow, kind: str) -> bool:
    """Whether a row is about equipment of a kind."""
    return not row.only or kind in row.only


def covered(plant: Plant, row: ProtectionRow) -> tuple[bool, ...]:
    """Return which equipment of its owner a row is about, by index."""
    return tuple(is_about(row, kind) for kind in kinds_of(plant, row.owner))


def watches_as(row: ProtectionRow, trip: BmsTrip) -> bool:
    """Whether a row compares what one of the BMS's own trips compares: the same value on the same side.

    A row that is looked at in one state only (while charging) has no counterpart, unless the state is part of it.
    """
    signals, direction, reductions = _WATCHED[trip.row]
    same = row.owner is Owner.RACK and row.signal in signals and row.direction is direction
    always = row.qualifier in {Qualifier.ALWAYS, Qualifier.CONNECTED} or row.name == trip.row
    return same and row.reduction in reductions and always


_HIGHEST, _LOWEST = frozenset({Reduction.HIGHEST, Reduction.NONE}), frozenset({Reduction.LOWEST, Reduction.NONE})
_WATCHED = {
    "cell_voltage_high": ({"cell.voltage", "rack.cell_voltage_max"}, Direction.HIGH, _HIGHEST),
    "cell_voltage_low": ({"cell.voltage", "rack.cell_voltage_min"}, Direction.LOW, _LOWEST),
    "cell_temperature_high": ({"cell.temperature", "rack.cell_temperature_max"}, Direction.HIGH, _HIGHEST),
    "cell_temperature_low": ({"cell.temperature", "rack.cell_temperature_min"}, Direction.LOW, _LOWEST),
    "charge_current_high": ({"rack.current"}, Direction.HIGH, {Reduction.CHARGE, Reduction.MAGNITUDE}),
    "discharge_current_high": ({"rack.current"}, Direction.HIGH, {Reduction.DISCHARGE, Reduction.MAGNITUDE}),
}
