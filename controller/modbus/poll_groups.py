"""The plan of polling: which devices share a group of raw blocks, and what is read of each.

Rule: devices of one type that show the same instances through the same chain of models are one group for each polling
class; their rows follow the order of the plant's devices. Computed once, before anything is started; a SunSpec device
is planned by the chain that its type is expected to serve until its own has been found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from controller.modbus.raw_blocks import RawBlocks, RawGroup
from controller.modbus.read_plan import plan_reads
from controller.modbus.register_map import RegisterMap, compile_map
from controller.modbus.sunspec_chain import Chain
from controller.plant.device_types import DeviceType
from controller.plant.model import Device, Plant


class DeviceGroup(NamedTuple):
    """Devices (indices into `Plant.devices`) that one register map fits."""

    register_map: RegisterMap
    devices: tuple[int, ...]


class PollGroup(NamedTuple):
    """A group of raw blocks and the map that explains its registers."""

    raw: RawGroup
    register_map: RegisterMap


def device_groups(plant: Plant, chains: Mapping[int, Chain] | None = None) -> tuple[DeviceGroup, ...]:
    """Return the devices by register map, in the order of the first device of each.

    `chains`: of the SunSpec devices whose chain has been found, by device index.

    Raises DeviceMapError or SunSpecError where a type can't be compiled.
    """
    members: dict[tuple[int, tuple[int, ...], Chain | None], list[Device]] = {}
    for device in plant.devices:
        key = (id(device.type), instances_of(device), (chains or {}).get(device.index))
        members.setdefault(key, []).append(device)
    return tuple(
        DeviceGroup(compile_map(devices[0].type, chain, instances), tuple(d.index for d in devices))
        for (_, instances, chain), devices in members.items()
    )


def poll_groups(plant: Plant, chains: Mapping[int, Chain] | None = None) -> tuple[PollGroup, ...]:
    """Return the groups of raw blocks of a plant, each with its map; raises as `device_groups`."""
    return tuple(
        PollGroup(RawGroup(group.register_map.device_type, block.name, spans, group.devices), group.register_map)
        for group in device_groups(plant, chains)
        for block in group.register_map.device_type.poll_blocks
        if (spans := plan_reads(group.register_map, block.name))
    )


def plan_groups(plant: Plant, chains: Mapping[int, Chain] | None = None) -> RawBlocks:
    """Return the groups of raw blocks of a plant, in the order of the polling plan; raises as `device_groups`."""
    return tuple(group.raw for group in poll_groups(plant, chains))


def instances_of(device: Device) -> tuple[int, ...]:
    """Return which of its repeated blocks a device shows; one that does not repeat shows block 0."""
    shown = {b.instance for b in device.bindings if _repeats(device.type, b.owner.value)}
    return tuple(sorted(shown)) or (0,)


def _repeats(device_type: DeviceType, owner: str) -> bool:
    return device_type.repeat is not None and device_type.repeat.equipment == owner
