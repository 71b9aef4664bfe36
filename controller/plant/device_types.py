"""A device type: what a kind of device serves and how it wants to be spoken to, as its device file states it.

Data only; read from `device/v1` YAML by the site loader, compiled to registers by `controller.modbus.register_map`.
Addresses are zero-based wire addresses. In a device with a `repeat`, the points of the repeated equipment state the
address of the first instance; instance k adds `k * stride`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from controller.plant.signals import Signal


class DeviceKind(StrEnum):
    """What a device is to the plant."""

    BANK_BMS = "bank_bms"
    RACK_BMS = "rack_bms"
    PCS = "pcs"
    METER = "meter"
    DIGITAL_IO = "digital_io"


BMS_KINDS = frozenset({DeviceKind.BANK_BMS, DeviceKind.RACK_BMS})


class RegisterTable(StrEnum):
    """The four Modbus tables."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"


class WordOrder(StrEnum):
    """Order of the 16-bit words of a wider value."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class WriteKind(StrEnum):
    """How a writable register may be used: persistent ones wear out and are written on change only."""

    VOLATILE = "volatile"
    PERSISTENT = "persistent"


class TimeoutAction(StrEnum):
    """What the device itself does when we fall silent."""

    ZERO = "zero"
    HOLD = "hold"
    STOP = "stop"
    TRIP = "trip"
    OPEN = "open"
    NONE = "none"


class ContactorControl(StrEnum):
    """Who sequences a rack's contactors; we only ever request."""

    BANK_MANAGED = "bank_managed"
    RACK_MANAGED = "rack_managed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """Where the map was read: document, pages, who checked it and when."""

    document: str
    pages: str
    checked_by: str = ""
    checked_on: str = ""


@dataclass(frozen=True, slots=True)
class PollBlock:
    """A polling class of the device (`fast`, `slow`): how often its points are read.

    `phase_spread` is true where the reads of many devices may be spread over the period (always, but for tests).
    """

    name: str
    period_s: float


@dataclass(frozen=True, slots=True)
class SunSpecPlace:
    """A point of a SunSpec model: found by discovery, so it has no address here.

    `group` is the repeating group the point stands in ("" = fixed part); for repeated equipment the instance index
    selects the group instance.
    """

    model: int
    point: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class RegisterPlace:
    """A register address: table, first zero-based address, distance in registers between array elements.

    `repeat_stride`: registers from one repeated block to the next, where this point's are not those of the device's
    `repeat` (0): cells in a block of their own behind all racks' summaries.
    """

    table: RegisterTable
    address: int
    stride: int = 0  # 0: elements stand side by side
    repeat_stride: int = 0


@dataclass(frozen=True, slots=True)
class DevicePoint:
    """One signal as this device serves it.

    wire value -> base value:  value = sign * ((raw * scale + offset) * unit_factor + unit_offset)

    register_type: u16 i16 u32 i32 u64 i64 f32 f64 string<N> bool bits16 bits32 enum16 enum32 acc32 acc64 (SunSpec
    points: taken from the model). count: elements of an array point (cells), 1 for a scalar. missing: raw values that
    mean "no value". codes: raw -> canonical code (CODE signals), raw bit -> canonical bit (BITS signals), raw -> 0/1
    (BOOL signals). commands: canonical code -> raw, for writable codes. valid_min/max: base units, outside is bad
    quality. writable: none if read only.
    """

    signal: Signal
    place: RegisterPlace | SunSpecPlace
    register_type: str
    poll_block: str  # "" for write-only points
    count: int = 1
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    unit_factor: float = 1.0
    unit_offset: float = 0.0
    sign: int = 1
    words: WordOrder = WordOrder.HIGH_FIRST
    missing: tuple[int, ...] = ()
    codes: tuple[tuple[int, int], ...] = ()
    commands: tuple[tuple[int, int], ...] = ()
    valid_min: float | None = None
    valid_max: float | None = None
    writable: WriteKind | None = None
    refresh_s: float | None = None  # cyclic rewrite of a volatile command; None: on change only

    @property
    def step(self) -> float:
        """How far apart two neighbouring values are, in base units; 0 where the device or a float says."""
        if not self.register_type or self.register_type.startswith(("f", "string")):
            return 0.0
        return abs(self.scale * self.unit_factor)


@dataclass(frozen=True, slots=True)
class Repeat:
    """One device, many equipments of a kind: how often the block repeats and how far apart its registers are.

    `count` is the most the device can serve; a site says how many it has.
    """

    equipment: str  # "rack"
    count: int
    stride: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A register that must read a given text before the device is spoken to as this type."""

    place: RegisterPlace
    register_type: str
    equals: str


@dataclass(frozen=True, slots=True)
class SetupWrite:
    """A register that must hold a raw value before commands have an effect: an enable, a mode."""

    place: RegisterPlace | SunSpecPlace
    register_type: str
    value: int


@dataclass(frozen=True, slots=True)
class CommunicationTimeout:
    """The device's own watchdog on us: how long it waits, what it then does, how long that takes."""

    after_s: float
    then: TimeoutAction
    ramp_s: float = 0.0


@dataclass(frozen=True, slots=True)
class DeviceType:
    """A device file, parsed. `sunspec_models` is the chain it is expected to serve (also what the simulator serves)."""

    name: str
    kind: DeviceKind
    maker: str
    source: SourceDocument | None
    points: tuple[DevicePoint, ...]
    poll_blocks: tuple[PollBlock, ...]
    repeat: Repeat | None = None
    sunspec_models: tuple[int, ...] = ()
    identity: Identity | None = None
    max_read_registers: int = 125
    max_read_bits: int = 2000
    max_gap_registers: int = 0  # registers that a merged read may bridge
    forbidden: tuple[tuple[RegisterTable, int, int], ...] = ()  # (table, first, last) that must never be read
    pipeline: int = 1  # requests the device accepts in flight
    gap_s: float = 0.0  # silence it wants between requests
    response_s: float = 0.02  # typical time to answer, for the load computed before start
    timeout_s: float = 0.5
    refresh_s: float | None = None  # how old its registers may be when read (its own scan); None: nobody knows
    contactor_control: ContactorControl = ContactorControl.NONE
    communication_timeout: CommunicationTimeout | None = None
    heartbeat_period_s: float | None = None
    file: str = ""
    notes: tuple[str, ...] = field(default=())
    setup: tuple[SetupWrite, ...] = ()  # written where they read differently, before the device is armed

    def block(self, name: str) -> PollBlock:
        """Return the polling class of that name; KeyError if the file has none."""
        for poll_block in self.poll_blocks:
            if poll_block.name == name:
                return poll_block
        raise KeyError(name)

    def point(self, signal_name: str) -> DevicePoint | None:
        """Return the point that binds this signal, or None if the device does not serve it."""
        return next((p for p in self.points if p.signal.name == signal_name), None)
