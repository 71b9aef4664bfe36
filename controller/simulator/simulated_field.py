"""All simulated devices of a plant: the virtual plant behind them, their registers, and what disturbs their links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controller.modbus.pdu import READS, FunctionCode, Request
from controller.modbus.poll_groups import device_groups
from controller.plant.model import Plant
from controller.simulator.device_image import DeviceImage
from controller.simulator.link_faults import LOST, SPOILED, UNHEARD, Disturbance, LinkFault
from controller.simulator.readings import Readings
from controller.simulator.virtual_plant import VirtualPlant


@dataclass(slots=True)
class SimulatedDevice:
    """One device: its row in the registers of its group, and what disturbs its link.

    `disturbed`: of the device as a whole. `cut_off`: of single instances behind it (position -> what happens to writes
    to their registers); what they read is a matter of values, because the device itself goes on answering.
    """

    name: str
    image: DeviceImage
    row: int
    link: int
    timeout_s: float
    disturbed: list[Disturbance] = field(default_factory=list)
    cut_off: dict[int, list[Disturbance]] = field(default_factory=dict)

    def answer(self, request: Request) -> bytes:
        """Carry out a request and return the PDU that answers it."""
        return self.image.answer(self.row, request)

    def disturbances(self, request: Request) -> Sequence[Disturbance]:
        """Return the link faults that a request meets: the device's, and for writes those of the instances touched."""
        if not self.cut_off or request.function in READS:
            return self.disturbed
        touched = self.image.layout.positions_at(FunctionCode.READ_HOLDING_REGISTERS, request.address, request.count)
        return [*self.disturbed, *(d for position in touched for d in self.cut_off.get(position, ()))]

    @property
    def fails(self) -> bool:
        """Whether a strict client that polls it is told no."""
        return any(d.fault is LinkFault.EXCEPTION for d in self.disturbed)

    @property
    def hears(self) -> bool:
        """Whether what is written to the device as a whole is carried out."""
        return not any(d.fault in UNHEARD for d in self.disturbed)

    @property
    def answers(self) -> bool:
        """Whether a strict client that polls it gets anything that it may take."""
        return not any(d.fault in LOST | SPOILED or self._is_too_late(d) for d in self.disturbed)

    def takes(self, request: Request) -> bool:
        """Write as a strict client would; return whether it got the echo that it must have."""
        met = self.disturbances(request)
        if any(d.fault in UNHEARD for d in met):
            return False
        echo = self.answer(request)
        return echo == request.reply_head and not met

    def _is_too_late(self, disturbance: Disturbance) -> bool:
        return disturbance.fault is LinkFault.LATE and disturbance.value >= self.timeout_s


class SimulatedField:
    """A plant's devices."""

    def __init__(self, plant: Plant, seed: int | None = None) -> None:
        """Build the virtual plant and the registers of every device."""
        self.plant = plant
        self.virtual = VirtualPlant(plant, seed)
        self.readings = Readings(self.virtual)
        self.images: list[DeviceImage] = []
        found: dict[int, SimulatedDevice] = {}
        for group in device_groups(plant):
            members = [plant.devices[index] for index in group.devices]
            image = DeviceImage(group, members, self.readings)
            self.images.append(image)
            for row, device in enumerate(members):
                found[device.index] = SimulatedDevice(
                    device.name, image, row, device.link, plant.links[device.link].timeout_s
                )
        self.devices = tuple(found[index] for index in sorted(found))

    @property
    def disturbed(self) -> list[int]:
        """Which devices' links have a fault."""
        return [index for index, device in enumerate(self.devices) if device.disturbed]

    def forget(self) -> None:
        """Let a fault that came or went show at the next read."""
        self.readings.forget()
        for image in self.images:
            image.forget()
