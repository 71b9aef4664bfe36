"""Which equipment a protection row is about: all of its owner's, or what its `only` names.

Rule: `only` lists battery types for a row of racks, kinds of chain for a row of interlocks. Rows of other equipment
have none.
"""

from __future__ import annotations

from controller.plant.model import InterlockKind, Plant
from controller.plant.protection_rows import ProtectionRow
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
