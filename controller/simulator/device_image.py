"""A group of simulated devices as their registers: read with what was measured, written through to the plant.

Rule: a read brings the polling classes that it touches up to date, at most once per refresh of the device. A write
must hit command registers only, whole values at a time count, and a value that means nothing is refused. What the
fault menu does to registers (frozen, shifted, words swapped) is done to a copy of the row when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from controller.modbus.errors import ExceptionCode
from controller.modbus.pdu import BIT_READS, READS, FunctionCode, Request, exception_reply, reply
from controller.modbus.poll_groups import DeviceGroup
from controller.modbus.raw_blocks import ReadSpan
from controller.modbus.register_image import RegisterImage
from controller.modbus.register_map import WireField
from controller.modbus.registers import WIRE, Words
from controller.plant.model import Device
from controller.simulator.block_encoder import BlockEncoder
from controller.simulator.command_registers import CommandRegisters
from controller.simulator.device_memory import device_memory, scale_factors
from controller.simulator.readings import Readings
from controller.simulator.register_layout import RegisterLayout

BIT_WRITES = frozenset({FunctionCode.WRITE_SINGLE_COIL, FunctionCode.WRITE_MULTIPLE_COILS})
REFRESHES_PER_PERIOD = 5
"""How often a device renews its registers within the shortest period in which they are polled."""


class RegionFault(StrEnum):
    """What the fault menu does to a device's registers as such."""

    FREEZE = "freeze"
    SHIFT = "shift"
    SWAP_WORDS = "swap_words"


@dataclass(frozen=True, slots=True)
class Region:
    """A fault on some words of a row. `frozen`: what they read since it began."""

    fault: RegionFault
    words: NDArray[np.intp]
    amount: int = 0
    frozen: Words | None = None


class DeviceImage:
    """The registers of the devices that one map fits; rows are in the order of `group.devices`."""

    def __init__(self, group: DeviceGroup, devices: Sequence[Device], readings: Readings) -> None:
        """Prepare the memory and the encoders of every polling class."""
        self.register_map, self.devices = group.register_map, tuple(devices)
        self.memory = device_memory(group.register_map, len(devices), readings.virtual.plant)
        self.regions: dict[int, list[Region]] = {}
        self.layout = RegisterLayout(self.memory)
        self.commands = CommandRegisters(self.memory, self.devices, readings.virtual)
        self._virtual = readings.virtual
        blocks = group.register_map.device_type.poll_blocks
        self.encoders = {b.name: BlockEncoder(self.memory, b.name, devices, readings) for b in blocks}
        self._refresh_s = {b.name: self._refresh_of(b.name) for b in blocks}
        self._encoded_s: dict[str, float] = {}

    def _refresh_of(self, block: str) -> float:
        shortest_s = min(d.period_s(block) for d in self.devices)
        return max(self.register_map.device_type.refresh_s or 0.0, shortest_s / REFRESHES_PER_PERIOD)

    def answer(self, row: int, request: Request) -> bytes:
        """Carry out a request on a device and return the PDU that answers it."""
        refusal = self._write(row, request) if request.function not in READS else None
        if refusal is None and request.reply_size > len(request.reply_head):
            payload = self._read(row, request)
            if isinstance(payload, bytes):
                return reply(request, payload)
            refusal = payload
        return reply(request) if refusal is None else exception_reply(request.function, refusal)

    def forget(self) -> None:
        """Bring everything up to date at the next read: a fault came or went."""
        self._encoded_s.clear()

    # ----------------------------------------------------------------------------------------------------- reading
    def _read(self, row: int, request: Request) -> bytes | ExceptionCode:
        function = request.function if request.function in READS else FunctionCode.READ_HOLDING_REGISTERS
        is_bits = function in BIT_READS
        device_type = self.register_map.device_type
        if request.count > (device_type.max_read_bits if is_bits else device_type.max_read_registers):
            return ExceptionCode.ILLEGAL_DATA_VALUE
        place = self.memory.position(function, request.address, request.count)
        if place is None:
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        for block in self.layout.blocks_at(function, place, request.count):
            self._bring_up_to_date(block)
        span = slice(place, place + request.count)
        if is_bits:
            return np.packbits(self.memory.bits[row, span], bitorder="little").tobytes()
        words = self.memory.words[row] if row not in self.regions else self._disturbed(row)
        return words[span].tobytes()

    def _bring_up_to_date(self, block: str) -> None:
        now_s = self._virtual.time_s
        encoded_s = self._encoded_s.get(block)
        if encoded_s is None or now_s - encoded_s >= self._refresh_s[block]:
            self._encoded_s[block] = now_s
            self.encoders[block].encode()

    def _disturbed(self, row: int) -> Words:
        """Return a copy of a row with its faults done to it."""
        words: Words = self.memory.words[row].copy()
        for region in self.regions[row]:
            match region.fault:
                case RegionFault.FREEZE:
                    assert region.frozen is not None
                    words[region.words] = region.frozen
                case RegionFault.SHIFT:
                    words[region.words] = np.roll(words[region.words], region.amount)
                case RegionFault.SWAP_WORDS:
                    self._swap(words, region.words)
        return words

    def _swap(self, words: Words, within: NDArray[np.intp]) -> None:
        for places in self.layout.wide_values:
            if np.isin(places[0], within):
                words[places] = words[places[::-1]]

    def gather(self, reader: RowReader) -> NDArray[np.uint8]:
        """Return what these spans read on every device, [device, byte], faults included."""
        words = self.memory.words
        if self.regions:
            words = words.copy()
            for row in self.regions:
                words[row] = self._disturbed(row)
        return reader.read(words, self.memory.bits)

    # ----------------------------------------------------------------------------------------------------- writing
    def _write(self, row: int, request: Request) -> ExceptionCode | None:
        address, data = request.address, request.data
        if request.function in BIT_WRITES:
            bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: request.count]
            return self.commands.write_bits(row, address, bits)
        if request.function is FunctionCode.READ_WRITE_MULTIPLE_REGISTERS:
            address = request.write_address
        if request.function is FunctionCode.MASK_WRITE_REGISTER:
            data = self._masked(row, address, data)
        return self.commands.write_words(row, address, np.frombuffer(data, WIRE))

    def _masked(self, row: int, address: int, masks: bytes) -> bytes:
        place = self.memory.position(FunctionCode.READ_HOLDING_REGISTERS, address, 1)
        old = 0 if place is None else int(self.memory.words[row, place])
        kept, added = int.from_bytes(masks[:2]), int.from_bytes(masks[2:])
        return ((old & kept) | (added & ~kept & 0xFFFF)).to_bytes(2)

    def scale_factor(self, field: WireField, position: int) -> int | None:
        """Return the SunSpec scale factor that a command of one instance goes with; None if it has none."""
        factors = scale_factors(self.memory, field)
        return None if factors is None else int(factors[position])

    # ------------------------------------------------------------------------------------------------------ faults
    def region(self, fault: RegionFault, row: int, position: int | None, amount: int = 0) -> Region:
        """Return a fault on the registers of one instance of the device's block, or of all of the device."""
        words = self.layout.words_of(position)
        if fault is not RegionFault.FREEZE:
            return Region(fault, words, amount)
        for block in self.encoders:
            self._bring_up_to_date(block)
        words = np.setdiff1d(words, self.layout.heartbeats)
        return Region(fault, words, frozen=self.memory.words[row, words].copy())

    def drop_region(self, row: int, region: Region) -> None:
        """Take a fault away from a device's registers."""
        self.regions[row] = [r for r in self.regions[row] if r is not region]
        if not self.regions[row]:
            del self.regions[row]


class RowReader:
    """What the reads of a polling class take out of a row: registers first, then bits, as `RawGroup` holds them."""

    def __init__(self, memory: RegisterImage, spans: Sequence[ReadSpan]) -> None:
        """Find every span's place; the spans must lie inside of what the devices serve."""
        words: list[NDArray[np.intp]] = []
        self._bits: list[tuple[slice, slice]] = []
        for span in spans:
            place = memory.position(span.function, span.address, span.count)
            assert place is not None, f"function {span.function} at {span.address}, {span.count}: not served"
            if span.function in BIT_READS:
                target = slice(span.offset_bytes, span.offset_bytes + span.size_bytes)
                self._bits.append((slice(place, place + span.count), target))
            else:
                words.append(np.arange(place, place + span.count))
        self._words = np.concatenate(words) if words else np.zeros(0, np.intp)
        self._width = max((s.offset_bytes + s.size_bytes for s in spans), default=0)

    def read(self, words: Words, bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the rows as bytes, [device, byte]."""
        registers: NDArray[np.uint8] = words.take(self._words, axis=1).view(np.uint8)
        if not self._bits:
            return registers
        rows = np.zeros((len(words), self._width), np.uint8)
        rows[:, : registers.shape[1]] = registers
        for source, target in self._bits:
            rows[:, target] = np.packbits(bits[:, source], axis=1, bitorder="little")
        return rows
