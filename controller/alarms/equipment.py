"""The plant's equipment list: one number for everything that an alarm or an event can be about.

Rule: equipment is numbered axis by axis in the order of `Axis`, within an axis by its index in the plant model. Event
records carry this number; readers turn it back into the name that people use.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import accumulate

from controller.plant.model import Link, Plant
from controller.plant.signals import Owner

LINK_NAMES_DEVICES = 3


class Axis(StrEnum):
    """A kind of thing that alarms are counted over. The order is the order of the equipment list."""

    PLANT = "plant"
    BLOCK = "block"
    BUS = "bus"
    BANK = "bank"
    RACK = "rack"
    PCS = "pcs"
    METER = "meter"
    INTERLOCK = "interlock"
    DEVICE = "device"
    LINK = "link"
    FACE = "face"


AXIS_OF_OWNER = {
    Owner.BANK: Axis.BANK,
    Owner.RACK: Axis.RACK,
    Owner.PCS: Axis.PCS,
    Owner.METER: Axis.METER,
    Owner.INTERLOCK: Axis.INTERLOCK,
}
"""The axis of each owner that a protection row may have."""


class EquipmentList:
    """Names and tags of all equipment, by axis and by number."""

    def __init__(self, plant: Plant) -> None:
        """Number everything that is installed."""
        self.names: dict[Axis, tuple[str, ...]] = _names(plant)
        starts = accumulate((len(names) for names in self.names.values()), initial=0)
        self.starts: dict[Axis, int] = dict(zip(Axis, starts, strict=False))
        self._flat = tuple((axis, name) for axis, names in self.names.items() for name in names)

    def number(self, axis: Axis, index: int) -> int:
        """Return the number of the axis's equipment `index`."""
        return self.starts[axis] + index

    def name(self, number: int) -> str:
        """Return the name people use; a number that is not in the list is shown as such."""
        return self._flat[number][1] if 0 <= number < len(self._flat) else f"equipment {number}"

    def find(self, axis: Axis, name: str) -> int | None:
        """Return the index within its axis of a name, None if there is no such equipment."""
        names = self.names[axis]
        return names.index(name) if name in names else None

    def __len__(self) -> int:
        """Count everything."""
        return len(self._flat)


def _link_names(plant: Plant) -> tuple[str, ...]:
    """A connection is called by the devices behind it and its address: `B01-R01 and 11 more at 10.0.1.5:502`."""
    behind: dict[int, list[str]] = {link.index: [] for link in plant.links}
    for device in plant.devices:
        behind[device.link].append(device.name)
    return tuple(_link_name(link, behind[link.index]) for link in plant.links)


def _link_name(link: Link, behind: list[str]) -> str:
    shown = ", ".join(behind[:LINK_NAMES_DEVICES])
    more = f" and {len(behind) - LINK_NAMES_DEVICES} more" if len(behind) > LINK_NAMES_DEVICES else ""
    return f"{shown}{more} at {link.address}" if behind else str(link.address)


def _names(plant: Plant) -> dict[Axis, tuple[str, ...]]:
    faces = {"opcua": plant.faces.opcua, "modbus": plant.faces.modbus}
    return {
        Axis.PLANT: (plant.name,),
        Axis.BLOCK: tuple(b.name for b in plant.blocks),
        Axis.BUS: tuple(b.name for b in plant.buses),
        Axis.BANK: tuple(b.name for b in plant.banks),
        Axis.RACK: tuple(r.name for r in plant.racks),
        Axis.PCS: tuple(p.name for p in plant.pcs),
        Axis.METER: tuple(m.name for m in plant.meters),
        Axis.INTERLOCK: tuple(i.name for i in plant.interlocks),
        Axis.DEVICE: tuple(d.name for d in plant.devices),
        Axis.LINK: _link_names(plant),
        Axis.FACE: tuple(name for name, settings in faces.items() if settings is not None),
    }
