"""A unit: a device as its link knows it, and where its registers are found.

Rule: what was found out by asking (who it is, where its SunSpec models begin, its scale factors, that it is set up)
holds for one connection only; another connection may lead to another device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from controller.field_io.breaker import Breaker
from controller.modbus.device_setup import IdentityCheck, SetupCheck, identity_check, setup_checks
from controller.modbus.errors import RequestError
from controller.modbus.pdu import READS, Request, read, write_words
from controller.modbus.register_map import RegisterMap, WireField
from controller.plant.model import Device


class ModelShift(NamedTuple):
    """Registers `start` to `end` (exclusive) of a map are found `by` registers further on."""

    start: int
    end: int
    by: int


Shifts = tuple[ModelShift, ...]
"""Where a device's models really are; () = where its map says."""


@dataclass(slots=True, eq=False)
class Unit:
    """One device behind a link. `wrong` says what does not fit ("" = nothing known to)."""

    device: Device
    register_map: RegisterMap
    breaker: Breaker
    identity: IdentityCheck | None
    setup: tuple[SetupCheck, ...]
    identified: bool = False
    is_set_up: bool = False
    confirm_ns: int = 0  # when it is asked again who it is
    wrong: str = ""
    asked_again_ns: int = 0  # a wrong device is not asked before
    not_set_up: str = ""
    set_up_again_ns: int = 0
    shifts: Shifts = ()
    refused_ns: dict[str, int] = field(default_factory=dict)  # signals whose last write was not taken: when that was
    nameplate: bytes = b""  # of a SunSpec device, as first found
    scale_factors: dict[int, int] = field(default_factory=dict)

    def new_connection(self) -> None:
        """Forget what held for the last one."""
        self.identified = self.is_set_up = False
        self.asked_again_ns = self.set_up_again_ns = 0
        self.scale_factors.clear()

    def moved(self, request: Request) -> Request:
        """Return a request at the addresses where this device has the registers.

        Raises RequestError if it reaches over models that do not stand side by side here.
        """
        by = self.moved_by(request.address)
        if by != self.moved_by(request.address + request.count - 1):
            raise RequestError(f"registers from {request.address} on do not stand side by side in this device")
        if by == 0:
            return request
        if request.function in READS:
            return read(request.function, request.address + by, request.count)
        return write_words(request.address + by, request.data)

    def moved_by(self, address: int) -> int:
        """Return how many registers further on a register of the map is found."""
        return next((shift.by for shift in self.shifts if shift.start <= address < shift.end), 0)

    def scale_factor(self, of: WireField, position: int) -> int | None:
        """Return what a command field's scale factor reads; None if it has none, or none that is known."""
        if of.factor_addresses is None:
            return None
        return self.scale_factors.get(int(of.factor_addresses[position, 0]))


def make_unit(device: Device, register_map: RegisterMap, rest_ns: int) -> Unit:
    """Return a unit that has not been asked yet; DeviceMapError if its file states what can't be checked."""
    device_type = register_map.device_type
    return Unit(device, register_map, Breaker(rest_ns), identity_check(device_type), setup_checks(register_map))


def scale_factor_addresses(register_map: RegisterMap) -> Sequence[int]:
    """Return the registers that commands take their scale factors from."""
    commands = (f for f in register_map.fields.values() if f.signal.command and f.factor_addresses is not None)
    return sorted({int(a) for f in commands if f.factor_addresses is not None for a in f.factor_addresses[:, 0]})
