"""Links to devices on real sockets: the field side at work on one end, devices that count and check on the other.

A `Device` here serves registers whose values follow from unit and address, so that a wrong one that was stored as good
is always seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files

import numpy as np

from controller.field_io.field import Field
from controller.image.outputs import OutputImage, Requests
from controller.modbus.pdu import BIT_READS, READS, Request, parse_request, reply
from controller.modbus.poll_groups import poll_groups
from controller.modbus.raw_blocks import RawGroup, RowState
from controller.modbus.registers import register_type, text_registers
from controller.plant.device_loader import load_device
from controller.plant.device_types import DeviceType
from controller.plant.model import Binding, Link, Plant, SerialAddress, TcpAddress
from controller.plant.model import Device as PlantDevice
from controller.plant.signals import Owner
from controller.plant.yaml_tree import read_document
from controller.runtime.clock import SystemClock
from controller.simulator.link_faults import Disturbance, LinkFault
from controller.simulator.modbus_server import DeviceServers, ServedUnit

TIMEOUT_S = 0.1
PATIENCE_S = 10.0
NOWHERE = TcpAddress("127.0.0.1", 1)


def library_type(name: str) -> DeviceType:
    """Return a device type that ships with the project."""
    path = files("controller").joinpath("library", "devices", f"{name}.yaml")
    document, _ = read_document(name, path.read_bytes())
    device_type, messages = load_device(document, name)
    assert device_type is not None, messages
    return device_type


@dataclass
class Device:
    """A device that serves numbers that follow from its unit and their address, and takes what is written."""

    unit: int
    type: DeviceType
    written: dict[int, int] = field(default_factory=dict)
    asked: list[Request] = field(default_factory=list)
    disturbed: list[Disturbance] = field(default_factory=list)
    holds_what_is_written: bool = True

    def __post_init__(self) -> None:
        self.identify(self.type.identity.equals if self.type.identity else "")

    def identify(self, text: str) -> None:
        """Be of another kind."""
        identity = self.type.identity
        words = register_type(identity.register_type).words if identity else 0
        registers = np.frombuffer(text_registers(text, words), ">u2")
        self.identity = {n: int(register) for n, register in enumerate(registers)}

    def disturbances(self, request: Request) -> Sequence[Disturbance]:  # noqa: ARG002 - the server's protocol
        return self.disturbed

    def answer(self, request: Request) -> bytes:
        self.asked.append(request)
        if request.function in READS:
            return reply(request, self.data(request.function, request.address, request.count))
        words = np.frombuffer(request.data, ">u2").tolist()
        if self.holds_what_is_written:
            self.written.update(enumerate(words, request.address))
        return reply(request)

    def data(self, function: int, address: int, count: int) -> bytes:
        """Return what a read gives."""
        if function in BIT_READS:
            return bytes((self.unit + address + n) & 0xFF for n in range(-(-count // 8)))
        return b"".join(self._register(function, a).to_bytes(2) for a in range(address, address + count))

    def _register(self, function: int, address: int) -> int:
        if function == 3 and address in self.written:
            return self.written[address]
        identity = self.type.identity
        if identity and function == 4 and address - identity.place.address in self.identity:
            return self.identity[address - identity.place.address]
        return (self.unit * 257 + address * 7 + function) & 0x7FFF

    @property
    def writes(self) -> list[Request]:
        """What was written, heartbeats too."""
        return [r for r in self.asked if r.function not in READS]

    def disturb(self, fault: str, value: float = 0.0) -> None:
        self.disturbed = [Disturbance(LinkFault(fault), value)]


class Rig:
    """A plant's field side and its devices, both at work."""

    def __init__(self, plant: Plant, units: Mapping[int, Mapping[int, ServedUnit]]) -> None:
        self.plant, self.units = plant, units
        self.clock, self.servers = SystemClock(), DeviceServers()
        self.groups = poll_groups(plant)
        self.outputs = OutputImage(plant)
        self.wrong: list[str] = []

    @property
    def devices(self) -> list[Device]:
        found = [self.units[d.link][d.unit] for d in self.plant.devices]
        return [d for d in found if isinstance(d, Device)]

    async def listen(self) -> None:
        """Open the devices' ports, and let the field side know where they are."""
        on_tcp = [link for link in self.plant.links if isinstance(link.address, TcpAddress)]
        await self.servers.listen(on_tcp, self.units, site_ports=False)
        self.field = Field(self.plant, self.groups, self.outputs, self.clock, self.servers.addresses)

    def scanned(self) -> None:
        """Do what a successful scan does."""
        self.field.write()
        self.field.scan_succeeded()

    def group(self, device: int, block: str) -> tuple[RawGroup, int]:
        return next(
            (g.raw, g.raw.devices.index(device))
            for g in self.groups
            if g.raw.block == block and device in g.raw.devices
        )

    def arrivals(self, device: int, block: str = "fast") -> int:
        raw, row = self.group(device, block)
        return int(raw.arrivals[row])

    def state(self, device: int, block: str = "fast") -> RowState:
        raw, row = self.group(device, block)
        return RowState(raw.state[row])

    def check_what_is_stored(self) -> None:
        """Compare every block with what its device serves, from now on and at the moment when it is stored."""
        for group in self.groups:
            group.raw.store = self._checked(group.raw, group.raw.store)  # type: ignore[method-assign] # a spy

    def _checked(self, raw: RawGroup, store: Callable[..., None]) -> Callable[..., None]:
        def checked(row: int, data: bytes, time_ns: int) -> None:
            device = self.devices[raw.devices[row]]
            expected = b"".join(device.data(s.function, s.address, s.count) for s in raw.spans)
            if bytes(data) != expected:
                self.wrong.append(f"unit {device.unit}, {raw.block}: {bytes(data).hex()} != {expected.hex()}")
            store(row, data, time_ns)

        return checked

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that must come."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def more_polls(self, device: int, count: int, block: str = "fast") -> None:
        """Wait until a device has been polled so often again."""
        before = self.arrivals(device, block)
        await self.until(lambda: self.arrivals(device, block) >= before + count)

    async def written(self, requests: Requests, index: int) -> int:
        """Wait until a request was carried out or has failed, and return its state; no watchdog is fed."""
        self.field.write()
        await self.until(lambda: requests.state[index] != 1)
        return int(requests.state[index])


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the folder changes while it is read


@contextlib.asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    """Run a rig; nothing may be left of it: no wrong value, no task, no open file."""
    loop = asyncio.get_running_loop()
    broken: list[object] = []
    loop.set_exception_handler(lambda _, context: broken.append(context))
    files_before = _open_files()
    await rig.listen()
    try:
        async with asyncio.TaskGroup() as group:
            working = group.create_task(rig.field.run())
            yield rig
            working.cancel()
    finally:
        await rig.servers.close()
        await asyncio.sleep(0.02)
    assert rig.wrong == []
    assert broken == [], broken
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert _open_files() <= files_before


@contextlib.asynccontextmanager
async def serial_link_of(rig: Rig, link: int) -> AsyncIterator[None]:
    """Put a link's units behind a serial line instead of a port, until the end."""

    def answer(unit: int, pdu: bytes) -> bytes:
        request = parse_request(pdu)
        assert isinstance(request, Request)
        return rtu_frame(unit, rig.units[link][unit].answer(request))

    async with serial_line(answer) as address:
        links = [replace(one, address=address) if one.index == link else one for one in rig.plant.links]
        rig.plant = replace(rig.plant, links=tuple(links))
        yield


RtuAnswer = Callable[[int, bytes], bytes]
"""Unit and PDU of a request -> the bytes that come back."""


@contextlib.asynccontextmanager
async def serial_line(answer: RtuAnswer, delay_s: float = 0.0) -> AsyncIterator[SerialAddress]:
    """Open a pseudo-terminal whose other end answers every frame."""
    loop = asyncio.get_running_loop()
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    answering: list[asyncio.TimerHandle] = []

    def heard() -> None:
        data = os.read(ours, 512)
        assert rtu_frame(data[0], data[1:-2]) == data
        answering.append(loop.call_later(delay_s, os.write, ours, answer(data[0], data[1:-2])))

    loop.add_reader(ours, heard)
    try:
        yield SerialAddress(os.ttyname(theirs), 115_200, "N", 1)
    finally:
        for timer in answering:
            timer.cancel()
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Return a frame of a serial line."""
    body = bytes((unit,)) + pdu
    return body + _checksum(body).to_bytes(2, "little")


def _checksum(data: bytes) -> int:
    """Modbus over Serial Line V1.02, section 6.2.2."""
    checksum = 0xFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ (0xA001 if checksum & 1 else 0)
    return checksum


Member = tuple[DeviceType, int, Owner]
"""Device type, link, whose values it serves."""


def make_plant(demo: Plant, members: Sequence[Member], period_s: float = 0.05, **link: float) -> Plant:
    """Return the demo plant with other devices: the n-th of an owner belongs to its n-th; units count from 1."""
    seen: dict[Owner, int] = {}
    units: dict[int, int] = {}
    devices = []
    for index, (device_type, at, owner) in enumerate(members):
        equipment = seen[owner] = seen.get(owner, -1) + 1
        unit = units[at] = units.get(at, 0) + 1
        periods = tuple((block.name, period_s) for block in device_type.poll_blocks)
        bindings = (Binding(owner, equipment),)
        devices.append(PlantDevice(index, f"{owner}{equipment}", device_type, at, unit, bindings, periods))
    settings = {"in_flight": 1, "gap_s": 0.0, "timeout_s": TIMEOUT_S} | link
    links = tuple(Link(n, NOWHERE, **settings) for n in range(1 + max(at for _, at, _ in members)))  # type: ignore[arg-type] # numbers
    return replace(demo, devices=tuple(devices), links=links)


def served_by(plant: Plant) -> dict[int, dict[int, ServedUnit]]:
    """Return a `Device` for every device of a plant."""
    units: dict[int, dict[int, ServedUnit]] = {link.index: {} for link in plant.links}
    for device in plant.devices:
        units[device.link][device.unit] = Device(device.unit, device.type)
    return units
