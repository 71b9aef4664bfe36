"""What is read and written before a device may be used: is it the device, and is it set up as its file says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.modbus.errors import DeviceMapError
from controller.modbus.pdu import Request, read, write_words
from controller.modbus.register_map import READ_FUNCTIONS, ChainElements, RegisterMap
from controller.modbus.registers import WIRE, RegisterType, encode_command, numbers, register_type, text, text_registers
from controller.plant.device_types import DeviceType, RegisterTable, SetupWrite, SunSpecPlace


@dataclass(frozen=True, slots=True)
class IdentityCheck:
    """The registers that say which kind of device this is, and what they must read."""

    request: Request
    kind: RegisterType
    expected: bytes

    def matches(self, data: bytes) -> bool:
        """Whether the answer to `request` is the device that the file means; texts without blanks around them."""
        return self.found(data) == self.found(self.expected)

    def found(self, data: bytes) -> str:
        """Return in words what the device says it is."""
        return text(data) if not self.kind.dtype else str(numbers(np.frombuffer(data, WIRE), self.kind)[0])


@dataclass(frozen=True, slots=True)
class SetupCheck:
    """A register that must hold a value: read it, compare with `write.data`, write it where it differs, read again."""

    read: Request
    write: Request


def identity_check(device_type: DeviceType) -> IdentityCheck | None:
    """Return how to tell that a device is of this type; None if the file does not say (SunSpec devices: model 1).

    Raises DeviceMapError if the register can't read what the file expects.
    """
    identity = device_type.identity
    if identity is None:
        return None
    kind = register_type(identity.register_type)
    try:
        expected = _expected(identity.equals, kind)
    except ValueError as error:
        raise DeviceMapError(f"{device_type.name}, identity '{identity.equals}': {error}") from error
    request = read(READ_FUNCTIONS[identity.place.table], identity.place.address, kind.words)
    return IdentityCheck(request, kind, expected)


def _expected(equals: str, kind: RegisterType) -> bytes:
    """Return a text, or a number that may be written as 0x1234, as registers."""
    return encode_command(int(equals, 0), kind) if kind.dtype else text_registers(equals, kind.words)


def setup_checks(register_map: RegisterMap) -> tuple[SetupCheck, ...]:
    """Return what must stand in a device's registers before commands have an effect, in the order of its file."""
    return tuple(_setup(register_map, write) for write in register_map.device_type.setup)


def _setup(register_map: RegisterMap, setup: SetupWrite) -> SetupCheck:
    place, name = setup.place, register_map.device_type.name
    if isinstance(place, SunSpecPlace):
        served = ChainElements(register_map.chain).of(place)
        if not served:
            raise DeviceMapError(f"{name}: the device serves no {place.model}.{place.point} to be set up")
        address, kind = served[0].address, served[0].field.point.kind
    else:
        address, kind = place.address, register_type(setup.register_type)
        if place.table is not RegisterTable.HOLDING or kind.words != 1:
            raise DeviceMapError(f"{name}: only single holding registers are set up, not {place.table} {address}")
    request = write_words(address, encode_command(setup.value, kind))
    return SetupCheck(read(READ_FUNCTIONS[RegisterTable.HOLDING], address, kind.words), request)
