"""A device file's keys (`schema: device/v1`). What each means stands in `docs/site-language.md`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from controller.plant.device_types import ContactorControl, DeviceKind, TimeoutAction, WordOrder, WriteKind
from controller.plant.schema_types import (
    Count,
    Identifier,
    ListOfWords,
    Number,
    Section,
    Time,
    Whole,
    Words,
    as_list,
    choice,
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
    pages: Words
    checked_by: Words | None = None
    checked_on: Words | None = None


class IdentifySection(Section):
    """A register that must read this text before the device is spoken to as this type."""

    at: Words
    as_: Words = Field(alias="as")
    equals: Words


class SetupSection(Section):
    """A raw value that a register must hold before commands have an effect."""

    at: Words
    as_: Words | None = Field(alias="as", default=None)
    value: Whole


class TimeoutSection(Section):
    """The device's own watchdog on us, and what it then does."""

    after: Annotated[Time, within("10 ms", "1 d")]
    then: Annotated[TimeoutAction, choice(TimeoutAction)]
    ramp: Annotated[Time, within("0 s", "1 h")] = 0.0


class RepeatSection(Section):
    """How often the block of an equipment repeats, and how far apart."""

    count: Annotated[Count, within("1", "65535")]
    stride: Annotated[Count, within("1", "65535")] = 1


class BlockSection(Section):
    """A polling class."""

    every: Annotated[Time, within("10 ms", "1 d")]


class PointSection(Section):
    """A signal in a register."""

    at: Words
    as_: Words | None = Field(alias="as", default=None)
    block: Identifier | None = None
    count: Annotated[Count, within("1", "10000")] = 1
    stride: Annotated[Count, within("1", "65535")] | None = None
    scale: Number = 1.0
    offset: Number = 0.0
    unit: Words | None = None
    sign: Annotated[SignConvention, choice(SignConvention)] | None = None
    words: Annotated[WordOrder, choice(WordOrder)] | None = None
    missing: Annotated[list[Whole], BeforeValidator(as_list)] = Field(default=[])
    values: dict[str, Words] = Field(default={})
    range: ListOfWords | None = None
    writable: Annotated[WriteKind, choice(WriteKind)] | None = None
    every: Annotated[Time, within("10 ms", "1 h")] | None = None


class DeviceFile(Section):
    """A whole device file."""

    schema_: Annotated[str, schema_is("device/v1")] = Field(alias="schema")
    device: Identifier
    kind: Annotated[DeviceKind, choice(DeviceKind)]
    maker: Words
    source: SourceSection | None = None
    notes: ListOfWords = Field(default=[])
    address: Annotated[AddressBase, choice(AddressBase)] | None = None
    sunspec: list[Count] = Field(default=[])
    words: Annotated[WordOrder, choice(WordOrder)] = WordOrder.HIGH_FIRST
    max_read: Annotated[Count, within("1", "125")] = 125
    max_read_bits: Annotated[Count, within("1", "2000")] = 2000
    max_gap: Annotated[Whole, within("0", "124")] = 0
    forbidden: ListOfWords = Field(default=[])
    pipeline: Annotated[Count, within("1", "64")] = 1
    gap: Annotated[Time, within("0 s", "10 s")] = 0.0
    response: Annotated[Time, within("10 us", "10 s")] = 0.02
    timeout: Annotated[Time, within("1 ms", "60 s")] = 0.5
    refresh: Annotated[Time, within("0 s", "10 min")] = 0.0
    identify: IdentifySection | None = None
    control: Annotated[ContactorControl, choice(ContactorControl)] = ContactorControl.NONE
    communication_timeout: TimeoutSection | None = None
    heartbeat: Annotated[Time, within("10 ms", "1 h")] | None = None
    setup: list[SetupSection] = Field(default=[])
    repeat: dict[str, RepeatSection] = Field(default={})
    blocks: dict[str, BlockSection]
    points: dict[str, PointSection]
