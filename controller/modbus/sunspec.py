"""SunSpec models: what points a model has, and where each lies once its repeating groups have a number.

The definitions are the SunSpec Alliance's own files, as the package `pysunspec2` ships them: read when first asked for,
never copied. Offsets count registers from the model's ID register (ID = 0, L = 1, data from 2).

Rule for repeating groups: their number is named by a count point (`NStr`), or follows from the model's length L. A
length that does not agree with the definition means another revision, whose points may lie elsewhere: it is refused,
but for model 1 and its like without their last pad.

Source: SunSpec Device Information Model Specification V1.1; models of github.com/sunspec/models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from controller.modbus.errors import SunSpecError
from controller.modbus.registers import RegisterType, register_type

HEADER_REGISTERS = 2
"""ID and L, which L does not count."""

_KINDS = {
    "uint16": "u16", "int16": "i16", "uint32": "u32", "int32": "i32", "uint64": "u64", "int64": "i64",
    "float32": "f32", "float64": "f64", "bitfield16": "bits16", "bitfield32": "bits32",
}  # fmt: skip
"""SunSpec's names of types that have another name here."""


@dataclass(frozen=True, slots=True)
class ModelPoint:
    """One point of a model. `offset` counts from the start of its group."""

    name: str
    offset: int
    kind: RegisterType
    units: str
    scale_factor: str | int | None  # name of the point that holds it, or the factor itself
    mandatory: bool
    writable: bool
    symbols: tuple[tuple[str, int], ...]
    value: int | None  # of points that never change (ID)


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """Points, then groups. `count`: None = once, the name of a count point, or 0 = follows from L."""

    name: str
    points: tuple[ModelPoint, ...]
    groups: tuple[ModelGroup, ...]
    count: int | str | None
    synced: bool  # must be written in one request

    @property
    def count_name(self) -> str:
        """The name under which the number of this group is given: its count point's, else its own."""
        return self.count if isinstance(self.count, str) else self.name


@dataclass(frozen=True, slots=True)
class Model:
    """A model's definition."""

    id: int
    group: ModelGroup

    def point(self, path: str) -> ModelPoint:
        """Return the point of a path such as `W` or `string.StrA`; SunSpecError if there is none."""
        *names, last = path.split(".")
        group: ModelGroup | None = self.group
        for name in names:
            group = next((g for g in group.groups if g.name == name), None) if group else None
        found = next((p for p in group.points if p.name == last), None) if group else None
        if found is None:
            raise SunSpecError(f"model {self.id} has no point {path}")
        return found


@dataclass(frozen=True, slots=True)
class Field:
    """A point where it lies in a model. `index`: which instance of each repeating group around it, from 0."""

    path: str
    index: tuple[int, ...]
    offset: int
    point: ModelPoint
    scale_factor_offset: int | None


@dataclass(frozen=True, slots=True)
class Layout:
    """All fields of a model in register order; `length` is its L."""

    model: Model
    length: int
    fields: tuple[Field, ...]


# --------------------------------------------------------------------------------------------------------- definitions


@cache
def load_model(model_id: int) -> Model:
    """Return a model's definition; SunSpecError if the SunSpec Alliance has none of that number."""
    file = files("sunspec2").joinpath("models", "json", f"model_{model_id:d}.json")
    if not file.is_file():
        raise SunSpecError(f"there is no definition of SunSpec model {model_id}")
    return Model(model_id, _group(json.loads(file.read_text("utf-8"))["group"]))


def _group(definition: Mapping[str, Any]) -> ModelGroup:
    return ModelGroup(
        name=definition["name"],
        points=tuple(_points(definition["points"])),
        groups=tuple(_group(g) for g in definition.get("groups", ())),
        count=definition.get("count"),
        synced=definition["type"] == "sync",
    )


def _points(definitions: list[Mapping[str, Any]]) -> Iterator[ModelPoint]:
    offset = 0
    for definition in definitions:
        kind = _kind(definition)
        yield ModelPoint(
            name=definition["name"],
            offset=offset,
            kind=kind,
            units=definition.get("units", ""),
            scale_factor=definition.get("sf"),
            mandatory=definition.get("mandatory") == "M",
            writable=definition.get("access") == "RW",
            symbols=tuple((s["name"], s["value"]) for s in definition.get("symbols", ())),
            value=definition.get("value"),
        )
        offset += kind.words


def _kind(definition: Mapping[str, Any]) -> RegisterType:
    name = definition["type"]
    return register_type(f"string{definition['size']}" if name == "string" else _KINDS.get(name, name))


# -------------------------------------------------------------------------------------------------------------- layout


def layout(model_id: int, counts: Mapping[str, int] | None = None, length: int | None = None) -> Layout:
    """Return where every point of a model lies.

    Args:
        model_id: number of the model.
        counts: how often each repeating group stands there, by the name of its count point (else of the group).
        length: the L that a device states; gives the one count that `counts` lacks, and is checked.

    Raises:
        SunSpecError: a count is lacking, or the length is not what the definition gives.
    """
    model = load_model(model_id)
    known = dict(counts or {})
    if length is not None:
        known = _with_derived_count(model, known, length)
    fields: list[Field] = []
    end = _place(_Placing(model_id, known, fields), model.group, "", (), 0, {})
    found = end - HEADER_REGISTERS
    if length is not None and length == found - 1 and fields[-1].point.kind.name == "pad":
        return Layout(model, length, tuple(fields[:-1]))
    if length is not None and length != found:
        raise SunSpecError(f"model {model_id} states length {length} where its definition gives {found}")
    return Layout(model, found, tuple(fields))


@dataclass(frozen=True, slots=True)
class _Placing:
    model_id: int
    counts: Mapping[str, int]
    fields: list[Field]


def _place(
    placing: _Placing, group: ModelGroup, prefix: str, index: tuple[int, ...], start: int, factors: Mapping[str, int]
) -> int:
    """Append the fields of one instance of a group; return the offset behind it.

    `factors`: where the scale factors of the groups around it lie; a group's own come first.
    """
    factors = {**factors, **{p.name: start + p.offset for p in group.points if p.kind.name == "sunssf"}}
    for point in group.points:
        factor = factors.get(point.scale_factor) if isinstance(point.scale_factor, str) else None
        placing.fields.append(Field(prefix + point.name, index, start + point.offset, point, factor))
    end = start + sum(point.kind.words for point in group.points)
    for inner in group.groups:
        path = f"{prefix}{inner.name}."
        if inner.count is None:
            end = _place(placing, inner, path, index, end, factors)
        else:
            for k in range(_count(placing, inner)):
                end = _place(placing, inner, path, (*index, k), end, factors)
    return end


def _count(placing: _Placing, group: ModelGroup) -> int:
    if group.count_name not in placing.counts:
        raise SunSpecError(f"model {placing.model_id} needs the count {group.count_name}")
    return placing.counts[group.count_name]


def repeating_groups(group: ModelGroup) -> Iterator[ModelGroup]:
    """Yield every group inside that repeats."""
    for inner in group.groups:
        if inner.count is not None:
            yield inner
        yield from repeating_groups(inner)


def _with_derived_count(model: Model, counts: Mapping[str, int], length: int) -> dict[str, int]:
    """Return the counts with the one that lacks, from the length: what is left over after the fixed part."""
    lacking = {g.count_name for g in repeating_groups(model.group)} - set(counts)
    if len(lacking) != 1:
        return dict(counts)
    name = lacking.pop()
    fixed, with_one = (layout(model.id, {**counts, name: n}).length for n in (0, 1))
    number, rest = divmod(length - fixed, with_one - fixed) if with_one > fixed else (0, 0)
    if number < 0 or rest:
        raise SunSpecError(f"model {model.id} states length {length}, which is not {fixed} + n * {with_one - fixed}")
    return {**counts, name: number}
