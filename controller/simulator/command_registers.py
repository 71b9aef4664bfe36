"""Writes to a simulated device: registers decoded back to commands, and carried out on the virtual plant.

Rule: every register written must be a command's; a value that the device file gives no meaning is refused (exception
3), and so is everything while the fault menu makes the converter refuse (4). What was accepted reads back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.modbus.device_setup import setup_checks
from controller.modbus.errors import ExceptionCode
from controller.modbus.pdu import FunctionCode
from controller.modbus.register_image import RegisterImage
from controller.modbus.register_map import WireField
from controller.modbus.registers import Words
from controller.plant.model import Device
from controller.plant.signals import Owner, SignalForm
from controller.simulator.block_encoder import equipment_of
from controller.simulator.device_memory import word_places
from controller.simulator.requests import REQUESTS
from controller.simulator.virtual_plant import VirtualPlant


@dataclass(frozen=True, slots=True, eq=False)
class CommandPlace:
    """One instance of a command signal: where its words (or its bit) stand, and whose it is on each device."""

    field: WireField
    position: int
    places: NDArray[np.intp]
    factor_place: int | None
    equipment: tuple[int, ...]  # by row


class CommandRegisters:
    """All command registers of a group of devices."""

    def __init__(self, memory: RegisterImage, devices: Sequence[Device], virtual: VirtualPlant) -> None:
        """Find every command and whose it is."""
        self._memory, self._virtual = memory, virtual
        self.all: list[CommandPlace] = []
        self._words: dict[int, CommandPlace] = {}
        self._bits: dict[int, CommandPlace] = {}
        self._settings = _settings(memory)
        self._has_heartbeat = "pcs.controller_heartbeat" in memory.map.fields
        for field in memory.map.fields.values():
            if field.signal.command:
                self._add(field, devices)

    def _add(self, field: WireField, devices: Sequence[Device]) -> None:
        memory, name = self._memory, field.signal.name
        whose = [equipment_of(d, field.signal.owner, memory.map.instances) for d in devices]
        places = memory.columns[name][:, None] if field.is_bits else word_places(memory, field)
        factors = memory.factor_columns.get(name)
        for position, mine in enumerate(places):
            factor = None if factors is None else int(factors[position])
            command = CommandPlace(field, position, mine, factor, tuple(row[position] for row in whose))
            self.all.append(command)
            (self._bits if field.is_bits else self._words).update(dict.fromkeys(mine.tolist(), command))

    def write_words(self, row: int, address: int, data: Words) -> ExceptionCode | None:
        """Write holding registers; return the exception if the device refuses."""
        place = self._memory.position(FunctionCode.READ_HOLDING_REGISTERS, address, len(data))
        commands = self._touched(self._words, place, len(data))
        if place is None or commands is None:
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        words = self._memory.words[row]
        before = words[place : place + len(data)].copy()
        words[place : place + len(data)] = data
        refusal = self._carry_out(row, [(c, self._value(row, c)) for c in commands])
        if refusal is not None:
            words[place : place + len(data)] = before
        return refusal

    def write_bits(self, row: int, address: int, bits: NDArray[np.uint8]) -> ExceptionCode | None:
        """Write coils; return the exception if the device refuses."""
        place = self._memory.position(FunctionCode.READ_COILS, address, len(bits))
        commands = self._touched(self._bits, place, len(bits))
        if place is None or commands is None:
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        values = [(c, _meaning(c.field, int(bits[c.places[0] - place]))) for c in commands]
        refusal = self._carry_out(row, values)
        if refusal is None:
            self._memory.bits[row, place : place + len(bits)] = bits
        return refusal

    def _touched(self, known: dict[int, CommandPlace], place: int | None, count: int) -> list[CommandPlace] | None:
        """Return the commands that these places belong to, or None if one belongs to none."""
        if place is None:
            return None
        found = dict.fromkeys(known.get(at) for at in range(place, place + count) if at not in self._settings)
        commands = [command for command in found if command is not None]
        return commands if len(commands) == len(found) else None

    def _carry_out(self, row: int, values: list[tuple[CommandPlace, float | None]]) -> ExceptionCode | None:
        if any(value is None for _, value in values):
            return ExceptionCode.ILLEGAL_DATA_VALUE
        if any(self._is_refusing(c.field.signal.owner, c.equipment[row]) for c, _ in values):
            return ExceptionCode.SERVER_DEVICE_FAILURE
        for command, value in values:
            equipment = command.equipment[row]
            if equipment >= 0 and value is not None:
                REQUESTS[command.field.signal.name](self._virtual, equipment, value)
                self._note_life(command.field.signal.owner, equipment)
        return None

    def _note_life(self, owner: Owner, equipment: int) -> None:
        """A converter without a heartbeat register takes any write as a sign of life."""
        if owner is Owner.PCS and not self._has_heartbeat:
            self._virtual.converters[equipment].heard()

    def _is_refusing(self, owner: Owner, equipment: int) -> bool:
        return owner is Owner.PCS and equipment >= 0 and self._virtual.converters[equipment].faults.refuses

    def _value(self, row: int, command: CommandPlace) -> float | None:
        """Return what a command's registers say: base units, canonical code or count; None if they say nothing."""
        field, words = command.field, self._memory.words[row]
        bits = 0
        for place in command.places.tolist():
            bits = bits << 16 | int(words[place])
        if bits in field.patterns:
            return None
        size = 16 * field.words
        if field.kind.is_float:
            number = float(np.frombuffer(bits.to_bytes(size // 8), field.kind.dtype)[0])
        else:
            number = bits - (1 << size) if field.kind.dtype[1] == "i" and bits >> size - 1 else bits
        factor = 0 if command.factor_place is None else int(words[command.factor_place].astype(np.int16))
        return _meaning(field, number, factor)


def _settings(memory: RegisterImage) -> frozenset[int]:
    """Return the places of registers that are only set up: they take what is written and do nothing."""
    return frozenset(
        place + n
        for check in setup_checks(memory.map)
        if (place := memory.position(check.read.function, check.read.address, check.read.count)) is not None
        for n in range(check.read.count)
    )


def _meaning(field: WireField, number: float, factor: int = 0) -> float | None:
    """Return the value of a raw number; None if the device file gives it none."""
    point = field.point
    if not math.isfinite(number):
        return None
    if point.commands:
        return {raw: float(code) for code, raw in point.commands}.get(int(number))
    if field.signal.form is not SignalForm.QUANTITY:
        return float(number) if field.signal.codes is None or number in list(field.signal.codes) else None
    scaling = field.scaling
    value = (number * 10.0**factor * float(scaling.numerator) + float(scaling.addend)) / float(scaling.denominator)
    low = -np.inf if point.valid_min is None else point.valid_min
    high = np.inf if point.valid_max is None else point.valid_max
    return value if low <= value <= high else None
