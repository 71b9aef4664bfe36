"""A device file's keys (`schema: device/v1`). What each means stands in `docs/site-language.md`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from controller.plant.device_types import ContactorControl, DeviceKind, TimeoutAction, WordOrder, WriteKind
from controller.plant.schema.types import (
    Count,
    Identifier,
    ListOfWords,
    Number,
    Section,
    Time,
    Whole,
    Words,
    choice,
    one_or_list,
    schema_is,
    within,
)


class AddressBase(StrEnum):
    """How a manual counts registers; we keep what goes on the wire."""

    ZERO_BASED = "zero_based"
    ONE_BASED = "one_based"


class SignConvention(StrEnum):
    """Which direction the device counts as positive."""

    DISCHARGE_POSITIVE = "discharge_positive"
    CHARGE_POSITIVE = "charge_positive"
    EXPORT_POSITIVE = "export_positive"
    IMPORT_POSITIVE = "import_positive"
    INJECTED_POSITIVE = "injected_positive"
    ABSORBED_POSITIVE = "absorbed_positive"


class SourceSection(Section):
    """Where the map was read."""

    document: Words
    """Name and revision."""
    pages: Words
    """Where the map stands in it."""
    checked_by: Words | None = None
    """Who compared map and document."""
    checked_on: Words | None = None
    """When."""


class IdentifySection(Section):
    """A register that must read this text before the device is spoken to as this type."""

    at: Words
    """Register of the text."""
    as_: Words = Field(alias="as")
    """Its type, such as string8."""
    equals: Words
    """The text that must be read before the device is spoken to as this type."""


class SetupSection(Section):
    """A raw value that a register must hold before commands have an effect."""

    at: Words
    """Register or SunSpec point."""
    as_: Words | None = Field(alias="as", default=None)
    """Its type; SunSpec knows its own."""
    value: Whole
    """Raw value that it must hold before commands have an effect."""


class TimeoutSection(Section):
    """The device's own watchdog on us, and what it then does."""

    after: Annotated[Time, within("10 ms", "1 d")]
    """Silence of ours after which it acts."""
    then: Annotated[TimeoutAction, choice(TimeoutAction)]
    """What it does."""
    ramp: Annotated[Time, within("0 s", "1 h")] = 0.0
    """How long it takes to do it."""


class RepeatSection(Section):
    """How often the block of an equipment repeats, and how far apart."""

    count: Annotated[Count, within("1", "65535")]
    """How many blocks there are."""
    stride: Annotated[Count, within("1", "65535")] = 1
    """Registers from one block to the next."""


class BlockSection(Section):
    """A polling class."""

    every: Annotated[Time, within("10 ms", "1 d")]
    """Poll period."""


class PointSection(Section):
    """A signal in a register."""

    at: Words
    """Input, holding, discrete or coil and the address, or 'sunspec 804.A'."""
    as_: Words | None = Field(alias="as", default=None)
    """Register type: u16 i16 u32 i32 u64 i64 f32 f64 enum16 enum32 bits16 bits32 acc32 acc64 bool stringN."""
    block: Identifier | None = None
    """Polling class; how often it is read."""
    count: Annotated[Count, within("1", "10000")] = 1
    """Elements of an array, at most."""
    stride: Annotated[Count, within("1", "65535")] | None = None
    """Registers from one element to the next; left out: no gap."""
    repeat_stride: Annotated[Count, within("1", "65535")] | None = None
    """Registers from one rack to the next, where they are not those of `repeat`."""
    scale: Number = 1.0
    """Factor from raw value to unit."""
    offset: Number = 0.0
    """Added after scale, in unit."""
    unit: Words | None = None
    """What the register counts in."""
    sign: Annotated[SignConvention, choice(SignConvention)] | None = None
    """Which way the device counts."""
    words: Annotated[WordOrder, choice(WordOrder)] | None = None
    """Word order, where it differs from the file's."""
    missing: Annotated[list[Whole], one_or_list(Whole)] = Field(default=[])
    """Raw values that mean no value."""
    values: dict[str, Words] = Field(default={})
    """Raw value (or bit): what it means."""
    range: ListOfWords | None = None
    """Outside it a value is bad."""
    writable: Annotated[WriteKind, choice(WriteKind)] | None = None
    """A command; persistent where each write wears."""
    every: Annotated[Time, within("10 ms", "1 h")] | None = None
    """Rewritten cyclically."""


class DeviceFile(Section):
    """A whole device file."""

    schema_: Annotated[str, schema_is("device/v1")] = Field(alias="schema")
    """What kind of file this is, and in which version."""
    extends: Words | None = None
    """A device of the library, or a file of the folder, that this one lays itself over."""
    without: ListOfWords = Field(default=[])
    """Inherited keys that this device does without, such as points.rack.soc."""
    device: Identifier
    """Name of the type."""
    kind: Annotated[DeviceKind, choice(DeviceKind)]
    """What it is."""
    maker: Words
    """For people."""
    source: SourceSection | None = None
    """Where the map was read."""
    notes: ListOfWords = Field(default=[])
    """For people."""
    address: Annotated[AddressBase, choice(AddressBase)] | None = None
    """How the document counts registers."""
    sunspec: list[Count] = Field(default=[])
    """Models that it has, found by discovery."""
    words: Annotated[WordOrder, choice(WordOrder)] = WordOrder.HIGH_FIRST
    """Which 16-bit word of a long value comes first."""
    max_read: Annotated[Count, within("1", "125")] = 125
    """Registers a request."""
    max_read_bits: Annotated[Count, within("1", "2000")] = 2000
    """Coils or inputs a request."""
    max_gap: Annotated[Whole, within("0", "124")] = 0
    """Unused registers that a read may run over."""
    forbidden: ListOfWords = Field(default=[])
    """Ranges that must never be read, such as input 60..99."""
    pipeline: Annotated[Count, within("1", "64")] = 1
    """Requests it takes before it has answered."""
    gap: Annotated[Time, within("0 s", "10 s")] = 0.0
    """Silence it needs between requests."""
    response: Annotated[Time, within("10 us", "10 s")] = 0.02
    """Typical time to answer, for the load computed before start."""
    timeout: Annotated[Time, within("1 ms", "60 s")] = 0.5
    """How long an answer may take."""
    refresh: Annotated[Time, within("0 s", "10 min")] | None = None
    """How old a register may be when it is read; not stated is unknown, not zero."""
    identify: IdentifySection | None = None
    """How one knows that this device is meant."""
    control: Annotated[ContactorControl, choice(ContactorControl)] = ContactorControl.NONE
    """Who sequences contactors."""
    communication_timeout: TimeoutSection | None = None
    """What it does when we fall silent."""
    heartbeat: Annotated[Time, within("10 ms", "1 h")] | None = None
    """Period of our sign of life."""
    setup: list[SetupSection] = Field(default=[])
    """Registers that are set before commands."""
    repeat: dict[str, RepeatSection] = Field(default={})
    """One device, many racks: how often its block repeats."""
    blocks: dict[str, BlockSection]
    """Polling classes by name."""
    points: dict[str, PointSection]
    """Signals by name."""
