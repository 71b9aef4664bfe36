"""What is written to devices: requests of the output image, set-points that are refreshed, and heartbeats.

Rules. Each new issue of a request is written once and checked by its echo; a set-point is also read back. A refusal or
a wrong read-back is FAILED and stays so: whether to ask again is control's decision. Refreshing and heartbeats are
food for the other side's watchdog, so they go out only when a scan has succeeded since the last time. Persistent
registers are written for a new issue only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from controller.field_io.tcp_connection import TcpConnection
from controller.image.outputs import OutputImage, Requests, WriteState
from controller.modbus.errors import EncodeError, ExceptionReply
from controller.modbus.field_codec import encode_write
from controller.modbus.pdu import FunctionCode, Request, read
from controller.modbus.poll_groups import DeviceGroup
from controller.modbus.register_map import WireField, is_repeated
from controller.plant.clock import Clock
from controller.plant.device_types import WriteKind
from controller.plant.model import Device, Plant
from controller.plant.signals import SignalForm

NEVER_NS = 2**62
DEFAULT_HEARTBEAT_S = 1.0


@dataclass(slots=True)
class ScanFeed:
    """How many scans have been complete and successful: the only thing that lets a watchdog be fed."""

    count: int = 0


class WriteItem(Protocol):
    """Something that a link may have to write."""

    unit: int
    next_ns: int

    def is_due(self, now_ns: int) -> bool:
        """Whether it must be written now."""

    async def carry_out(self, connection: TcpConnection, timeout_s: float, clock: Clock) -> None:
        """Write it; raises FieldError if there was no sound answer."""

    def failed(self, reason: str, now_ns: int) -> None:
        """Note that there was none."""


@dataclass(slots=True)
class RequestItem:
    """One command signal of one equipment on one device."""

    unit: int
    requests: Requests
    index: int
    field: WireField
    position: int
    feed: ScanFeed
    refresh_ns: int  # 0: never
    written_issue: int = 0
    fed_count: int = 0
    next_ns: int = NEVER_NS
    last_error: str = ""

    def is_due(self, now_ns: int) -> bool:
        """A new issue is due at once, a refresh in its rhythm and only after a new scan."""
        issue = int(self.requests.issue[self.index])
        if issue != self.written_issue:
            return issue != 0
        return now_ns >= self.next_ns and self.feed.count != self.fed_count

    async def carry_out(self, connection: TcpConnection, timeout_s: float, clock: Clock) -> None:
        """Write the newest issue and check it."""
        issue, value = int(self.requests.issue[self.index]), float(self.requests.value[self.index])
        self.written_issue, self.fed_count = issue, self.feed.count
        self.next_ns = clock.mono_ns() + self.refresh_ns if self.refresh_ns else NEVER_NS
        try:
            request = encode_write(self.field, value, self.position)
        except EncodeError as error:
            self._report(issue, str(error))
            return
        (answer,) = await connection.exchange([(self.unit, request)], timeout_s)
        if isinstance(answer, ExceptionReply):
            self._report(issue, str(answer))
            return
        self._report(issue, await self._read_back(connection, timeout_s, request))

    def failed(self, reason: str, now_ns: int) -> None:
        """No sound answer: the write may or may not have been carried out."""
        del now_ns
        self._report(self.written_issue, reason)

    async def _read_back(self, connection: TcpConnection, timeout_s: float, request: Request) -> str:
        """Return what is wrong with what the device now holds; requests that clear themselves are not read back."""
        if self.field.signal.form is not SignalForm.QUANTITY:
            return ""
        words = len(request.data) // 2
        check = read(FunctionCode.READ_HOLDING_REGISTERS, request.address, words)
        (held,) = await connection.exchange([(self.unit, check)], timeout_s)
        if isinstance(held, ExceptionReply) or held == request.data:
            return ""  # a write-only register can't be read back; its echo has to do
        return f"holds {held.hex(' ')} after {request.data.hex(' ')} was written"

    def _report(self, issue: int, error: str) -> None:
        """A newer issue that came meanwhile keeps its own state."""
        self.last_error = error
        if issue == int(self.requests.issue[self.index]):
            self.requests.state[self.index] = WriteState.FAILED if error else WriteState.CONFIRMED


@dataclass(slots=True)
class HeartbeatItem:
    """A counter that a device watches."""

    unit: int
    field: WireField
    position: int
    period_ns: int
    feed: ScanFeed
    withheld: list[bool]  # by equipment, shared with control's orders
    equipment: int
    counter: int = 0
    fed_count: int = 0
    next_ns: int = 0
    last_error: str = ""

    def is_due(self, now_ns: int) -> bool:
        """In its rhythm, after a new scan, unless it is withheld."""
        return now_ns >= self.next_ns and self.feed.count != self.fed_count and not self.withheld[self.equipment]

    async def carry_out(self, connection: TcpConnection, timeout_s: float, clock: Clock) -> None:
        """Write the next count."""
        now_ns = clock.mono_ns()
        self.next_ns = max(self.next_ns + self.period_ns, now_ns + self.period_ns // 2)
        self.fed_count = self.feed.count
        self.counter += 1
        request = encode_write(self.field, self.counter, self.position)
        (answer,) = await connection.exchange([(self.unit, request)], timeout_s)
        self.last_error = str(answer) if isinstance(answer, ExceptionReply) else ""

    def failed(self, reason: str, now_ns: int) -> None:
        """Go on in the normal rhythm."""
        self.last_error = reason
        self.next_ns = now_ns + self.period_ns


def write_items(
    plant: Plant, groups: tuple[DeviceGroup, ...], outputs: OutputImage, feed: ScanFeed, withheld: list[bool]
) -> Iterator[tuple[int, WriteItem]]:
    """Yield (link, item) for everything the plant's devices let us write; marks what no device serves.

    `withheld` has one entry per converter; heartbeats of other devices are never withheld.
    """
    served: set[tuple[str, int]] = set()
    never = [False]
    for group in groups:
        for device in (plant.devices[d] for d in group.devices):
            for field, position, equipment in _commands(device, group):
                name = field.signal.name
                served.add((name, equipment))
                if "heartbeat" in name:
                    period_ns = round((device.type.heartbeat_period_s or DEFAULT_HEARTBEAT_S) * 1e9)
                    is_pcs = name.startswith("pcs.")
                    yield device.link, HeartbeatItem(
                        device.unit, field, position, period_ns, feed, withheld if is_pcs else never,
                        equipment if is_pcs else 0,
                    )  # fmt: skip
                else:
                    refresh_ns = _refresh_ns(field)
                    yield (
                        device.link,
                        RequestItem(device.unit, outputs[name], equipment, field, position, feed, refresh_ns),
                    )
    for name, requests in outputs.requests.items():
        for index in range(len(requests.state)):
            if (name, index) not in served:
                requests.state[index] = WriteState.NOT_SERVED


def _refresh_ns(field: WireField) -> int:
    volatile = field.point.writable is WriteKind.VOLATILE
    return round(field.point.refresh_s * 1e9) if volatile and field.point.refresh_s else 0


def _commands(device: Device, group: DeviceGroup) -> Iterator[tuple[WireField, int, int]]:
    """Yield (field, position in the map's instances, equipment) of a device's command signals."""
    register_map = group.register_map
    for field in register_map.fields.values():
        if not field.signal.command:
            continue
        for binding in device.bindings:
            if binding.owner is not field.signal.owner:
                continue
            repeated = is_repeated(device.type, field.signal)
            position = register_map.instances.index(binding.instance) if repeated else 0
            yield field, position, binding.equipment
