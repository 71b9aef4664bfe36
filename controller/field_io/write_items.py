"""What is to be written to devices, and when: requests of the output image, set-points refreshed, heartbeats.

Rules. Each new issue of a request is written once. A set-point is read back. What could not be written within three
seconds is FAILED and not written any more: an old request must not surprise a device that comes back. FAILED stays so
until the request is issued again; a set-point that is refreshed heals by itself. Refreshing and heartbeats are food
for the other side's watchdog: they go out only when a scan has succeeded since the last time. Persistent registers are
written for a new issue only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from controller.field_io.unit import Unit
from controller.image.outputs import OutputImage, Requests, WriteState
from controller.modbus.register_map import RegisterMap, WireField, is_repeated
from controller.plant.device_types import DevicePoint, WriteKind
from controller.plant.model import Device
from controller.plant.signals import SignalForm

NEVER_NS = 2**62
WRITTEN_WITHIN_NS = 3_000_000_000
DEFAULT_HEARTBEAT_S = 1.0
EARLY_RATIO = 0.95
"""How much of its period must have passed until a refresh may follow a scan: scans are not exactly even."""


@dataclass(slots=True)
class ScanFeed:
    """How many scans have been complete and successful: the only thing that lets a watchdog be fed."""

    count: int = 0


class WriteItem(Protocol):
    """Something that a link may have to write."""

    unit: Unit
    field: WireField
    position: int

    def due_ns(self) -> int:
        """Return from when on it must be written, as things stand now; NEVER_NS if nothing is to be."""

    def fed_ns(self) -> int:
        """Return from when on a successful scan makes it due; NEVER_NS if none does."""

    def expires_ns(self) -> int:
        """Return when it is too late to write it."""

    def begin(self, now_ns: int) -> float:
        """Return the value to be written now, in base units; `done` must follow."""

    def reads_back(self) -> bool:
        """Whether what the device then holds is to be read and compared."""

    def done(self, error: str) -> None:
        """Note what became of it; "" = written and verified."""


@dataclass(slots=True, eq=False)
class RequestItem:
    """One command signal of one equipment on one device."""

    unit: Unit
    field: WireField
    position: int
    requests: Requests
    index: int
    feed: ScanFeed
    refresh_ns: int  # 0: never
    asked_ns: int = 0
    written_issue: int = 0
    writing_issue: int = 0
    fed_count: int = 0
    last_ns: int = 0
    last_error: str = ""

    def asked(self, now_ns: int) -> None:
        """Note when the newest issue came."""
        self.asked_ns = now_ns

    def due_ns(self) -> int:
        """A new issue is due at once, a refresh in its rhythm and only after a new scan."""
        if int(self.requests.issue[self.index]) != self.written_issue:
            return self.asked_ns
        return self.fed_ns() if self.feed.count != self.fed_count else NEVER_NS

    def fed_ns(self) -> int:
        """What was never asked is not refreshed."""
        return self.last_ns + self.refresh_ns if self.refresh_ns and self.written_issue else NEVER_NS

    def expires_ns(self) -> int:
        """A refresh does not expire."""
        is_new = int(self.requests.issue[self.index]) != self.written_issue
        return self.asked_ns + WRITTEN_WITHIN_NS if is_new else NEVER_NS

    def begin(self, now_ns: int) -> float:
        """Take the newest issue."""
        self.writing_issue = int(self.requests.issue[self.index])
        self.fed_count, self.last_ns = self.feed.count, now_ns
        return float(self.requests.value[self.index])

    def reads_back(self) -> bool:
        """Set-points only (requests may clear themselves), and not for each refresh."""
        is_refresh = self.writing_issue == self.written_issue and not self.last_error
        return self.field.signal.form is SignalForm.QUANTITY and not is_refresh

    def done(self, error: str) -> None:
        """A newer issue that came meanwhile keeps its own state."""
        self.last_error, self.written_issue = error, self.writing_issue
        if self.writing_issue == int(self.requests.issue[self.index]):
            self.requests.state[self.index] = WriteState.FAILED if error else WriteState.CONFIRMED


@dataclass(slots=True, eq=False)
class HeartbeatItem:
    """A counter that a device watches."""

    unit: Unit
    field: WireField
    position: int
    period_ns: int
    feed: ScanFeed
    withheld: list[bool]  # by equipment, shared with control's orders
    equipment: int
    counter: int = 0
    fed_count: int = 0
    last_ns: int = 0
    last_error: str = ""

    def due_ns(self) -> int:
        """In its rhythm, after a new scan, unless it is withheld."""
        is_fed = self.feed.count != self.fed_count and not self.withheld[self.equipment]
        return self.fed_ns() if is_fed else NEVER_NS

    def fed_ns(self) -> int:
        """One period after the last."""
        return self.last_ns + self.period_ns

    def expires_ns(self) -> int:
        """It is never too late."""
        return NEVER_NS

    def begin(self, now_ns: int) -> float:
        """Count on."""
        self.fed_count, self.last_ns = self.feed.count, now_ns
        self.counter += 1
        return self.counter

    def reads_back(self) -> bool:
        """The echo says enough."""
        return False

    def done(self, error: str) -> None:
        """Go on in the normal rhythm."""
        self.last_error = error


def write_items(
    unit: Unit, outputs: OutputImage, feed: ScanFeed, withheld: list[bool]
) -> Iterator[tuple[WriteItem, str, int]]:
    """Yield (item, signal, equipment) for everything that a device's file lets us write.

    `withheld` has one entry per converter; heartbeats of other devices are never withheld.
    """
    never = [False]
    device_type = unit.device.type
    for field, position, equipment in _commands(unit.device, unit.register_map):
        name = field.signal.name
        if "heartbeat" not in name:
            requests = outputs[name]
            yield (
                RequestItem(unit, field, position, requests, equipment, feed, _refresh_ns(field.point)),
                name,
                equipment,
            )
            continue
        beat_s = device_type.heartbeat_period_s or field.point.refresh_s or DEFAULT_HEARTBEAT_S
        period_ns = round(EARLY_RATIO * 1e9 * beat_s)
        shared, place = (withheld, equipment) if name.startswith("pcs.") else (never, 0)
        yield HeartbeatItem(unit, field, position, period_ns, feed, shared, place), name, equipment


def _refresh_ns(point: DevicePoint) -> int:
    volatile = point.writable is WriteKind.VOLATILE
    return round(EARLY_RATIO * 1e9 * point.refresh_s) if volatile and point.refresh_s else 0


def _commands(device: Device, register_map: RegisterMap) -> Iterator[tuple[WireField, int, int]]:
    """Yield (field, position in the map's instances, equipment) of a device's command signals."""
    for field in register_map.fields.values():
        if not field.signal.command:
            continue
        for binding in device.bindings:
            if binding.owner is field.signal.owner:
                repeated = is_repeated(device.type, field.signal)
                position = register_map.instances.index(binding.instance) if repeated else 0
                yield field, position, binding.equipment
