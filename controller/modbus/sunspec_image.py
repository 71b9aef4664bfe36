"""The registers of a SunSpec chain, written point by point: what the SCADA face and the simulator serve.

Rule: every point that was given no value reads as its type's "not implemented", pads as 0x8000; IDs, lengths and the
counts of repeating groups are there from the start. Scale factors are put first and stay: a value is rounded to its
scale factor, and what does not fit reads as "not implemented", never as its nearest neighbour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from controller.modbus.errors import EncodeError, SunSpecError
from controller.modbus.registers import (
    WIRE,
    Decoded,
    RegisterType,
    Words,
    decode,
    encode,
    sentinels,
    text_registers,
    with_scale_factors,
)
from controller.modbus.scaling import IDENTITY, Scaling
from controller.modbus.sunspec import Field, layout
from controller.modbus.sunspec_chain import BASES, END_MODEL, MARKER, Chain, chain_of

_END = END_MODEL.to_bytes(2) + bytes(2)

ModelCounts = Iterable[tuple[int, Mapping[str, int]]]
"""Models in order, each with the counts of its repeating groups."""


@dataclass(frozen=True, slots=True)
class ServedField:
    """A field at its address. `occurrence`: which of several models of that number, from 0."""

    model: int
    occurrence: int
    address: int
    field: Field

    @property
    def end(self) -> int:
        """The address behind its last register."""
        return self.address + self.field.point.kind.words

    @property
    def factor_address(self) -> int | None:
        """The address of its scale factor, if a register holds one."""
        offset = self.field.scale_factor_offset
        return None if offset is None else self.address - self.field.offset + offset


@dataclass(frozen=True, slots=True)
class _Slot:
    """All instances of one path: which words they are, and how they are coded."""

    words: NDArray[np.intp]  # [instances * kind.words]
    kind: RegisterType
    patterns: tuple[int, ...]
    factor_words: NDArray[np.intp] | None  # [instances]
    scaling: Scaling  # without what `factor_words` hold


class SunSpecImage:
    """One device's chain as registers; word 0 of `words` stands at address `base`."""

    def __init__(self, models: ModelCounts, base: int = BASES[0]) -> None:
        """Lay out the models behind "SunS" at `base`, with nothing implemented yet."""
        wanted = [(model, dict(counts)) for model, counts in models]
        self.base = base
        self.chain: Chain = chain_of(wanted, base)
        self.fields = tuple(served_fields(self.chain, [counts for _, counts in wanted]))
        contents = zip(self.chain, wanted, strict=True)
        data = b"".join(_initial(place.length, *model) for place, model in contents)
        self.words: Words = np.frombuffer(MARKER + data + _END, WIRE).copy()
        self._slots = _slots(self.fields, base)
        self._by_address = {a: f for f in self.fields for a in range(f.address, f.end)}

    def put(self, model: int, path: str, values: ArrayLike, occurrence: int = 0) -> None:
        """Write all instances of a point, in the model's units (W, V, C, ...) with its scale factor.

        Args:
            model: number of the model.
            path: `W`, or `string.StrA` for a point in a repeating group.
            values: one number, or one per group instance; NaN = not implemented. Codes and bits as whole numbers.
            occurrence: which model of that number, where the chain has several.

        Raises:
            EncodeError: the point's scale factor was not put before.
            SunSpecError: there is no such point.
        """
        slot = self._slot(model, path, occurrence)
        scaling, usable = self._scaling(slot)
        if not usable:
            raise EncodeError(f"{model}.{path} has no scale factor yet")
        every = np.broadcast_to(np.asarray(values), slot.words.size // slot.kind.words)
        self.words[slot.words] = encode(every, slot.kind, scaling, slot.patterns)

    def put_text(self, model: int, path: str, content: str | Sequence[str], occurrence: int = 0) -> None:
        """Write a text point: one text for all group instances, or one each; EncodeError if one is too long."""
        slot = self._slot(model, path, occurrence)
        words = slot.kind.words
        contents = [content] * (slot.words.size // words) if isinstance(content, str) else content
        self.words[slot.words] = np.frombuffer(b"".join(text_registers(c, words) for c in contents), WIRE)

    def get(self, model: int, path: str, occurrence: int = 0) -> Decoded:
        """Return all instances of a point in the model's units, as a reader would decode them."""
        slot = self._slot(model, path, occurrence)
        scaling, usable = self._scaling(slot)
        patterns = slot.patterns
        values, valid = decode(self.words[slot.words], slot.kind, scaling, patterns)
        return Decoded(values, valid) if usable else Decoded(np.full_like(values, np.nan), np.zeros_like(valid))

    def read(self, address: int, count: int) -> bytes | None:
        """Return registers as wire bytes, or None if some of them are outside of the chain."""
        start = address - self.base
        return self.words[start : start + count].tobytes() if 0 <= start <= self.words.size - count else None

    def store(self, address: int, data: bytes) -> None:
        """Write registers as they came; for fields that `fields_in` named."""
        start = address - self.base
        self.words[start : start + len(data) // 2] = np.frombuffer(data, WIRE)

    def fields_in(self, address: int, count: int) -> tuple[ServedField, ...] | None:
        """Return the fields that these registers are, or None if one is cut or a register belongs to none."""
        found = dict.fromkeys(self._by_address.get(a) for a in range(address, address + count))
        fields = tuple(f for f in found if f is not None and address <= f.address and f.end <= address + count)
        return fields if len(fields) == len(found) else None

    def _slot(self, model: int, path: str, occurrence: int) -> _Slot:
        try:
            return self._slots[model, occurrence, path]
        except KeyError:
            raise SunSpecError(f"no point {model}.{path} (occurrence {occurrence}) is served") from None

    def _scaling(self, slot: _Slot) -> tuple[Scaling, bool]:
        if slot.factor_words is None:
            return slot.scaling, True
        scaling, usable = with_scale_factors(slot.scaling, self.words[slot.factor_words])
        return scaling, bool(usable.all())


def served_fields(chain: Chain, counts: Iterable[Mapping[str, int]] | None = None) -> Iterator[ServedField]:
    """Yield every field of a chain at its address, in register order.

    `counts`: of the repeating groups, per model; models with at most one repeating group need none.
    """
    seen: Counter[int] = Counter()
    for place, known in zip(chain, counts or ({} for _ in chain), strict=True):
        for field in layout(place.model, known, place.length).fields:
            yield ServedField(place.model, seen[place.model], place.address + field.offset, field)
        seen[place.model] += 1


def _initial(length: int, model: int, counts: Mapping[str, int]) -> bytes:
    """Return a model's registers with nothing implemented but its head and its counts."""
    known = {"ID": model, "L": length, **counts}
    fields = layout(model, counts).fields
    return b"".join(
        known[f.path].to_bytes(2 * f.point.kind.words) if f.path in known else f.point.kind.not_implemented
        for f in fields
    )


def _slots(fields: Iterable[ServedField], base: int) -> dict[tuple[int, int, str], _Slot]:
    gathered: dict[tuple[int, int, str], list[ServedField]] = {}
    for served in fields:
        gathered.setdefault((served.model, served.occurrence, served.field.path), []).append(served)
    return {key: _slot_of(instances, base) for key, instances in gathered.items()}


def _slot_of(instances: list[ServedField], base: int) -> _Slot:
    point = instances[0].field.point
    words = [a - base for f in instances for a in range(f.address, f.end)]
    factors = [f.factor_address - base for f in instances if f.factor_address is not None]
    fixed = point.scale_factor if isinstance(point.scale_factor, int) else 0
    return _Slot(
        words=np.array(words, np.intp),
        kind=point.kind,
        patterns=sentinels(point.kind, sunspec=True),
        factor_words=np.array(factors, np.intp) if factors else None,
        scaling=IDENTITY.shifted(np.array(fixed)) if fixed else IDENTITY,
    )
