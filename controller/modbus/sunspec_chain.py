"""The chain of SunSpec models in a device: found without sockets, or laid out for a device of our own.

Rule: two registers "SunS" at 40000, 0 or 50000, then model after model (ID, L, L registers of data), Common model 1
first, closed by ID 0xFFFF. Some devices serve no L behind the closing ID, so the ID is read before the length. A chain
that leaves the address space, has an empty model, or does not end in time is no chain.

Source: SunSpec Device Information Model Specification V1.1, sections 4.2 and 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from controller.modbus.errors import SunSpecError
from controller.modbus.sunspec import HEADER_REGISTERS, layout

BASES = (40_000, 0, 50_000)
MARKER = b"SunS"
MARKER_REGISTERS = 2
COMMON_MODEL = 1
END_MODEL = 0xFFFF
LAST_ADDRESS = 0xFFFF
MODELS_MAX = 512


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A model in a device: its number, the address of its ID register, its L."""

    model: int
    address: int
    length: int

    @property
    def end(self) -> int:
        """The address behind its last register."""
        return self.address + HEADER_REGISTERS + self.length


Chain = tuple[ModelPlace, ...]


@dataclass(frozen=True, slots=True)
class HoldingRead:
    """Holding registers to be read."""

    address: int
    count: int


class ChainWalker:
    """Says what to read next and is told what was read, until `chain` is known.

        walker = ChainWalker()
        while (wanted := walker.next_read) is not None:
            walker.feed(data)       # or walker.refuse(), if the device answered with an exception
        walker.chain

    A lost connection is nothing to tell the walker: begin again with a new one.
    """

    def __init__(self, bases: tuple[int, ...] = BASES) -> None:
        self.next_read: HoldingRead | None = HoldingRead(bases[0], MARKER_REGISTERS)
        self._bases = bases
        self._models: list[ModelPlace] = []
        self._step: Callable[[bytes], None] = self._at_marker
        self._model_id = 0

    @property
    def chain(self) -> Chain:
        """The models found, in order; complete once `next_read` is None."""
        return tuple(self._models)

    def feed(self, data: bytes) -> None:
        """Take the registers that were asked for, as wire bytes; SunSpecError if they can't belong to a chain."""
        assert self.next_read is not None, "the walk has ended"
        if len(data) != 2 * self.next_read.count:
            raise SunSpecError(f"{len(data)} bytes where {self.next_read.count} registers were asked for")
        self._step(data)

    def refuse(self) -> None:
        """Take an exception reply: the next base is tried; inside a chain it is a SunSpecError."""
        assert self.next_read is not None, "the walk has ended"
        if self._step != self._at_marker:
            raise SunSpecError(f"the chain breaks off at address {self.next_read.address}")
        self._at_marker(b"")

    def _at_marker(self, data: bytes) -> None:
        assert self.next_read is not None
        base = self.next_read.address
        if data == MARKER:
            self._ask(base + MARKER_REGISTERS, self._at_id)
            return
        following = self._bases[self._bases.index(base) + 1 :]
        if not following:
            raise SunSpecError(f"no 'SunS' at {', '.join(map(str, self._bases))}")
        self.next_read = HoldingRead(following[0], MARKER_REGISTERS)

    def _at_id(self, data: bytes) -> None:
        assert self.next_read is not None
        address, self._model_id = self.next_read.address, int.from_bytes(data)
        if not self._models and self._model_id != COMMON_MODEL:
            raise SunSpecError(f"the first model is {self._model_id} where {COMMON_MODEL} is expected")
        if self._model_id == END_MODEL:
            self.next_read = None
        elif self._model_id == 0:
            raise SunSpecError(f"model 0 at address {address}")
        elif len(self._models) >= MODELS_MAX:
            raise SunSpecError(f"more than {MODELS_MAX} models")
        else:
            self._ask(address + 1, self._at_length)

    def _at_length(self, data: bytes) -> None:
        assert self.next_read is not None
        place = ModelPlace(self._model_id, self.next_read.address - 1, int.from_bytes(data))
        if place.length == 0 or place.end > LAST_ADDRESS:
            raise SunSpecError(f"model {place.model} at {place.address} states length {place.length}")
        self._models.append(place)
        self._ask(place.end, self._at_id)

    def _ask(self, address: int, step: Callable[[bytes], None]) -> None:
        self.next_read, self._step = HoldingRead(address, 1), step


def chain_of(models: Iterable[tuple[int, Mapping[str, int]]], base: int = BASES[0]) -> Chain:
    """Return the chain of a device of our own: `(model, counts of its repeating groups)` in order.

    Raises SunSpecError if it has no place in the address space.
    """
    places: list[ModelPlace] = []
    address = base + MARKER_REGISTERS
    for model, counts in models:
        places.append(ModelPlace(model, address, layout(model, counts).length))
        address = places[-1].end
    if address + HEADER_REGISTERS - 1 > LAST_ADDRESS:
        raise SunSpecError(f"the chain ends at address {address + HEADER_REGISTERS - 1}, beyond {LAST_ADDRESS}")
    return tuple(places)
