"""Where each array of the image lies in memory: one canonical table, one hash.

Every quantity has three arrays (`.value`, `.quality`, `.time_ns`). Per section lie first all values of the measured
quantities, then all their qualities, then all their times; the computed ones follow in the same way. Every array is
padded to a multiple of 64 elements, so the qualities of all measured quantities are one flat vector, their times
another with the same indices, and age is judged for all of them in one operation. The hash is the SHA-256 of the table
itself: processes that agree on it agree on every byte; a plant with other equipment has another hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controller.image.quantities import QUANTITIES, Quantity, Section
from controller.plant.model import Plant
from controller.plant.signals import Owner

PADDED_ELEMENTS = 64


@dataclass(frozen=True, slots=True)
class Field:
    """One array of the image."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    unit: str
    section: Section
    measured: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of the array, without padding."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    @property
    def alignment_bytes(self) -> int:
        """Bytes of 64 elements."""
        return PADDED_ELEMENTS * np.dtype(self.dtype).itemsize


class Layout:
    """Offsets of all fields; `extra` fields (alarm tables, counters) may follow the quantities."""

    def __init__(self, fields: Iterable[Field]) -> None:
        """Place the fields in order, each section by itself."""
        self.fields = tuple(fields)
        self._by_name = {field.name: field for field in self.fields}
        self._sizes = dict.fromkeys(Section, 0)
        self.offsets: dict[str, int] = {}
        self.measured_bytes = dict.fromkeys(Section, 0)
        for field in self.fields:
            offset = _aligned(self._sizes[field.section], field.alignment_bytes)
            self.offsets[field.name] = offset
            self._sizes[field.section] = _aligned(offset + field.size_bytes, field.alignment_bytes)
            if field.measured:
                self.measured_bytes[field.section] = self._sizes[field.section]

    def section_size(self, section: Section) -> int:
        """Bytes of one section."""
        return self._sizes[section]

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the canonical table (name, dtype, shape, unit, section)."""
        table = "\n".join(f"{f.name} {f.dtype} {f.shape} {f.unit} {f.section.value}" for f in self.fields)
        return hashlib.sha256(table.encode()).digest()

    def measured_region(self, part: str) -> slice:
        """Return where all measured arrays of a part (`quality`, `time_ns`) of the rack section lie, in elements."""
        return self._regions[part, True]

    def computed_region(self, part: str) -> slice:
        """Return the same for the computed quantities."""
        return self._regions[part, False]

    @cached_property
    def _regions(self) -> dict[tuple[str, bool], slice]:
        return {(part, m): self._region(part, measured=m) for part in ("quality", "time_ns") for m in (True, False)}

    def _region(self, part: str, *, measured: bool) -> slice:
        names = {f"{q.name}.{part}" for q in QUANTITIES.values() if q.measured is measured and not q.per_cell}
        fields = [f for f in self.fields if f.name in names]
        if not fields:
            return slice(0, 0)
        first, last, itemsize = self.offsets[fields[0].name], fields[-1], np.dtype(fields[0].dtype).itemsize
        end = self.offsets[last.name] + _aligned(last.size_bytes, last.alignment_bytes)
        return slice(first // itemsize, end // itemsize)

    def views(self, buffers: Mapping[Section, NDArray[np.uint8]]) -> dict[str, NDArray[np.generic]]:
        """Return every field as a view into the sections' buffers."""
        return {name: self.view(name, buffers) for name in self._by_name}

    def view(self, name: str, buffers: Mapping[Section, NDArray[np.uint8]]) -> NDArray[np.generic]:
        """Return one field as a view into its section's buffer; KeyError if there is no such field."""
        field = self._by_name[name]
        return np.ndarray(field.shape, field.dtype, buffers[field.section].data, self.offsets[name])

    def __contains__(self, name: str) -> bool:
        """Whether there is such a field."""
        return name in self._by_name


def plant_layout(plant: Plant, extra: Iterable[Field] = ()) -> Layout:
    """Return the layout of this plant's image: all quantities of the catalogue, then `extra` fields."""
    shapes = owner_shapes(plant)
    fields = [
        Field(f"{q.name}.{part}", *_form(q, part, shapes[q.owner]), q.section, measured)
        for measured in (True, False)
        for part in ("value", "quality", "time_ns")
        for q in QUANTITIES.values()
        if q.measured is measured
    ]
    return Layout([*fields, *extra])


def owner_shapes(plant: Plant) -> dict[Owner, tuple[int, ...]]:
    """Return the array shape per owner; cell arrays are padded to the longest rack."""
    racks = len(plant.racks)
    cells = max((r.battery.cells_in_series for r in plant.racks), default=0)
    sensors = max((r.battery.temperatures for r in plant.racks), default=0)
    return {
        Owner.RACK: (racks,),
        Owner.CELL: (racks, cells),
        Owner.SENSOR: (racks, sensors),
        Owner.BANK: (len(plant.banks),),
        Owner.PCS: (len(plant.pcs),),
        Owner.METER: (len(plant.meters),),
        Owner.INTERLOCK: (len(plant.interlocks),),
        Owner.BUS: (len(plant.buses),),
        Owner.BLOCK: (len(plant.blocks),),
        Owner.PLANT: (1,),
    }


def _form(quantity: Quantity, part: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], str]:
    match part:
        case "value":
            return quantity.dtype, shape, quantity.unit
        case "quality":
            return "u1", shape, ""
        case _:
            return "<i8", shape[:1], "ns"


def _aligned(size_bytes: int, alignment_bytes: int) -> int:
    return -(-size_bytes // alignment_bytes) * alignment_bytes
