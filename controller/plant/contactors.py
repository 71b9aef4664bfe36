"""Which racks can be asked to open: by a register of their own, or by their bank's.

Rule: a rack can be asked where its device, or its bank's, has a connect request that can say `disconnect`. The plant
stops the converters of a rack that can't: a disconnection that does not come ends so anyway.
"""

from __future__ import annotations

from controller.plant.device_types import DevicePoint, DeviceType
from controller.plant.model import Plant
from controller.plant.signals import ConnectRequest, Owner

REQUESTS = ("rack.connect_request", "bank.connect_request")


def can_be_opened(plant: Plant) -> tuple[bool, ...]:
    """Return for each rack whether anybody can be asked to open it."""
    opens = {
        (binding.owner, binding.equipment)
        for device in plant.devices
        for binding in device.bindings
        if takes(device.type.point(f"{binding.owner}.connect_request"), ConnectRequest.DISCONNECT)
    }
    return tuple((Owner.RACK, rack.index) in opens or (Owner.BANK, rack.bank) in opens for rack in plant.racks)


def takes(point: DevicePoint | None, request: ConnectRequest) -> bool:
    """Tell whether a register can carry a request."""
    return point is not None and request in dict(point.commands)


def requests_of(device_type: DeviceType) -> tuple[DevicePoint, ...]:
    """Return the registers of a device by which it is asked to connect and disconnect."""
    return tuple(point for name in REQUESTS if (point := device_type.point(name)) is not None)
