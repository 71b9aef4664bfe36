"""What stands where in a row of registers: polling classes, instances of the repeated block, wide values."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from controller.modbus.pdu import BIT_READS
from controller.modbus.register_image import RegisterImage
from controller.modbus.register_map import WireField, is_repeated
from controller.simulator.device_memory import word_places

NOBODY = -1
REMEMBERED_READS = 4096

Marks = dict[bool, NDArray[np.int16]]
"""A mark for every word (False) and every bit (True) of a row."""


class RegisterLayout:
    """Looks up places of a row; the same for all devices of an image."""

    def __init__(self, memory: RegisterImage) -> None:
        """Mark every place with its polling class and its instance."""
        self._memory = memory
        self._blocks = tuple(b.name for b in memory.map.device_type.poll_blocks)
        self._block_at, self._position_at = _marks(memory), _marks(memory)
        self.wide_values: list[NDArray[np.intp]] = []
        """The words of every value of more than one word."""
        heartbeats: list[NDArray[np.intp]] = [np.zeros(0, np.intp)]
        for field in memory.map.fields.values():
            self._mark(field)
            if not field.is_bits and field.words > 1:
                self.wide_values += list(word_places(memory, field))
            if not field.is_bits and field.signal.name.endswith("heartbeat"):
                heartbeats.append(memory.columns[field.signal.name])
        self.heartbeats = np.concatenate(heartbeats)
        self.blocks_at = lru_cache(REMEMBERED_READS)(self._find_blocks)
        self.positions_at = lru_cache(REMEMBERED_READS)(self._find_positions)

    def words_of(self, position: int | None) -> NDArray[np.intp]:
        """Return the words of one instance of the repeated block, or those of the whole row."""
        marks = self._position_at[False]
        return np.arange(len(marks)) if position is None else np.flatnonzero(marks == position)

    def _mark(self, field: WireField) -> None:
        memory, is_bits = self._memory, field.is_bits
        columns = memory.columns[field.signal.name]
        if field.point.poll_block and not field.signal.command:
            self._block_at[is_bits][columns] = self._blocks.index(field.point.poll_block)
        if is_repeated(memory.map.device_type, field.signal):
            positions = np.arange(len(field.addresses)).repeat(columns.size // max(len(field.addresses), 1))
            self._position_at[is_bits][columns] = positions

    def _find_blocks(self, function: int, place: int, count: int) -> tuple[str, ...]:
        """Return the polling classes that the places of a read belong to."""
        found = np.unique(self._block_at[function in BIT_READS][place : place + count])
        return tuple(self._blocks[number] for number in found.tolist() if number != NOBODY)

    def _find_positions(self, function: int, address: int, count: int) -> frozenset[int]:
        """Return the positions of the instances whose registers these addresses are, as this function reads them."""
        place = self._memory.position(function, address, count)
        if place is None:
            return frozenset()
        found = np.unique(self._position_at[function in BIT_READS][place : place + count])
        return frozenset(found.tolist()) - {NOBODY}


def _marks(memory: RegisterImage) -> Marks:
    sizes = {True: memory.bits.shape[1], False: memory.words.shape[1]}
    return {is_bits: np.full(size, NOBODY, np.int16) for is_bits, size in sizes.items()}
