"""Is a block all of one piece: its racks and converters on its own bus, and at its own addresses?

A fire or a stop of a block ends the power of what belongs to it. What stands on another block's bus goes on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from controller.plant.checks.context import CheckContext
from controller.plant.checks.links import place_of_device
from controller.plant.messages import Message, warning
from controller.plant.model import DcBus, Device, TcpAddress
from controller.plant.signals import Owner


def buses_are_of_one_block(context: CheckContext) -> Iterator[Message]:
    """Racks and converters stand on a bus of their own block, where that block has one."""
    with_bus = {bus.block for bus in context.plant.buses}
    for bus in context.plant.buses:
        for section, on_bus in (("racks", bus.racks), ("pcs", bus.pcs)):
            members = [context.names.members[section][index] for index in on_bus]
            strange = [m for m in members if m.block >= 0 and m.block != bus.block and m.block in with_bus]
            if strange:
                yield _of_another_block(context, bus, section, strange[0].name, strange[0].block)


def _of_another_block(context: CheckContext, bus: DcBus, section: str, name: str, block: int) -> Message:
    blocks = context.plant.blocks
    message = f"{name} of block {blocks[block].name} is on {bus.name} of block {blocks[bus.block].name}, though its own"
    message += " block has a bus: a stop of one block would leave the other half in power"
    return warning(context.place("buses", bus.index, section), message, "racks and converters of one block on its bus")


def converters_are_at_their_block(context: CheckContext) -> Iterator[Message]:
    """Where each block has a network of its own, a converter is not in that of another block's racks.

    Where blocks share networks, or most converters share one, the addresses follow another plan.
    """
    racks: dict[str, set[int]] = {}
    converters: list[tuple[Device, str, int]] = []
    for device in context.plant.devices:
        network, owners = _network(context, device), {binding.owner for binding in device.bindings}
        if network and Owner.RACK in owners:
            racks.setdefault(network, set()).update(_blocks_of_racks(context, device))
        elif network and Owner.PCS in owners:
            converters.append((device, network, context.plant.pcs[device.bindings[0].equipment].block))
    networks, blocks = {network for _, network, _ in converters}, {block for *_, block in converters}
    if any(len(found) > 1 for found in racks.values()) or 2 * len(networks) <= len(blocks):
        return
    for device, network, block in converters:
        for other in racks.get(network, set()) - {block}:
            names = context.plant.blocks
            message = f"{device.name} of block {names[block].name} is at {network}, where the racks of block"
            message += f" {names[other].name} are: it would be another block's converter"
            yield warning(place_of_device(context, device, "connect"), message, "the network of its own block")


def _network(context: CheckContext, device: Device) -> str:
    """Return what a device's address shares with its neighbours': `10.40.2.*`, or `*.b02.site.example` of its name.

    "" where nothing can be told: a name without a domain, a serial line, this machine's own addresses.
    """
    address = context.plant.links[device.link].address
    name = address.host if isinstance(address, TcpAddress) else ""
    try:
        host = ipaddress.IPv4Address(name)
    except ValueError:
        domain = name.partition(".")[2]
        return f"*.{domain}" if domain else ""
    return "" if host.is_loopback else f"{str(host).rpartition('.')[0]}.*"


def _blocks_of_racks(context: CheckContext, device: Device) -> set[int]:
    racks = context.plant.racks
    return {racks[binding.equipment].block for binding in device.bindings if binding.owner is Owner.RACK}


BLOCK_CHECKS = (buses_are_of_one_block, converters_are_at_their_block)
