"""Who a fault command means: devices and equipment by the names of the site file (or their tags), points by theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from controller.plant.messages import did_you_mean, one_of
from controller.plant.model import Plant
from controller.plant.signals import SIGNALS, Owner
from controller.simulator.block_encoder import repeats
from controller.simulator.faults.commands import FaultError
from controller.simulator.simulated_field import SimulatedDevice, SimulatedField

POINT_ALIASES = {
    "SoC": "soc",
    "SoCBms": "soc",
    "SoH": "soh",
    "ContactorClosed": "contactor",
    "CellVoltages": "cell.voltage",
    "CellTemperatures": "cell.temperature",
}
"""Points whose signal has another name than the point written in lower case."""


@dataclass(frozen=True, slots=True)
class Target:
    """A device, or equipment with the device that serves it.

    `position`: of the equipment's block among those that the device shows; None where the device is its own.
    `owner` None: a device that serves nothing but others (a digital I/O module).
    """

    name: str
    device: SimulatedDevice
    position: int | None
    owner: Owner | None
    equipment: int


class Targets:
    """All names of a plant."""

    def __init__(self, devices: SimulatedField) -> None:
        """List devices first: a rack with a port of its own is both."""
        self._known: dict[str, Target] = {}
        names = dict(_equipment_names(devices.plant))
        for device, simulated in zip(devices.plant.devices, devices.devices, strict=True):
            own = [b for b in device.bindings if not repeats(device.type, b.owner)]
            owner, equipment = (own[0].owner, own[0].equipment) if own else (None, -1)
            self._known[device.name] = Target(device.name, simulated, None, owner, equipment)
            for binding in device.bindings:
                name, tag = names[binding.owner, binding.equipment]
                position = None
                if repeats(device.type, binding.owner):
                    position = simulated.image.register_map.instances.index(binding.instance)
                target = Target(name, simulated, position, binding.owner, binding.equipment)
                self._known.setdefault(name, target)
                self._known.setdefault(tag, target)

    def find(self, name: str) -> Target:
        """Return who is meant; FaultError if nobody is."""
        if name not in self._known:
            hint = did_you_mean(name, self._known)
            raise FaultError(f"there is no '{name}' in this plant; {hint or 'expected a device or equipment'}")
        return self._known[name]

    def of_owner(self, name: str, owner: Owner) -> Target:
        """Return who is meant, which must be equipment of this kind."""
        target = self.find(name)
        if target.owner is not owner:
            raise FaultError(f"'{name}' is no {owner.value}")
        return target


def signal_of(target: Target, point: str) -> str:
    """Return the signal that a point (`CellVoltageMin`, or `rack.cell_voltage_min`) of a target comes from."""
    if target.owner is None:
        raise FaultError(f"'{target.name}' has no points")
    if point in SIGNALS:
        return point
    name = POINT_ALIASES.get(point) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", point).lower()
    signal = name if "." in name else f"{target.owner.value}.{name}"
    if signal not in SIGNALS or SIGNALS[signal].command:
        known = [s.name.split(".")[1] for s in SIGNALS.values() if s.owner is target.owner and not s.command]
        raise FaultError(f"'{target.name}' has no point '{point}'; expected {one_of(known, 20)}")
    return signal


def _equipment_names(plant: Plant) -> Iterator[tuple[tuple[Owner, int], tuple[str, str]]]:
    yield from (((Owner.RACK, e.index), (e.name, e.tag)) for e in plant.racks)
    yield from (((Owner.BANK, e.index), (e.name, e.tag)) for e in plant.banks)
    yield from (((Owner.PCS, e.index), (e.name, e.tag)) for e in plant.pcs)
    yield from (((Owner.METER, e.index), (e.name, e.tag)) for e in plant.meters)
    yield from (((Owner.INTERLOCK, e.index), (e.name, e.tag)) for e in plant.interlocks)
