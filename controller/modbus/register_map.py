"""A device type compiled to registers: per signal its table, the address of every element, and how it is coded.

Rule: elements are addressed `[instance, element]`. In a device with a `repeat`, instance k of the repeated equipment
stands `k * stride` registers further on; cells stand side by side or `stride` apart. SunSpec points are found through
the device's chain of models: their elements (group instances, model after model) are dealt to the instances in order,
and their "not implemented" and scale factor come from the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from controller.modbus.errors import DeviceMapError
from controller.modbus.pdu import ADDRESSES, FunctionCode
from controller.modbus.registers import RegisterType, register_type, sentinels
from controller.modbus.scaling import IDENTITY, Scaling, scaling
from controller.modbus.sunspec import load_model, repeating_groups
from controller.modbus.sunspec_chain import Chain, chain_of
from controller.modbus.sunspec_image import ModelCounts, ServedField, served_fields
from controller.plant.device_types import DevicePoint, DeviceType, RegisterPlace, RegisterTable, SunSpecPlace, WordOrder
from controller.plant.signals import Owner, Signal, SignalForm

READ_FUNCTIONS = {
    RegisterTable.COIL: FunctionCode.READ_COILS,
    RegisterTable.DISCRETE: FunctionCode.READ_DISCRETE_INPUTS,
    RegisterTable.INPUT: FunctionCode.READ_INPUT_REGISTERS,
    RegisterTable.HOLDING: FunctionCode.READ_HOLDING_REGISTERS,
}
BIT_TABLES = frozenset({RegisterTable.COIL, RegisterTable.DISCRETE})
ARRAY_OWNERS = frozenset({Owner.CELL, Owner.SENSOR})
_ROOT_OWNERS = {Owner.CELL: Owner.RACK, Owner.SENSOR: Owner.RACK}
_FLAGS = frozenset({SignalForm.CODE, SignalForm.BITS, SignalForm.BOOL})

Addresses = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WireField:
    """One signal on the wire. `addresses` and `factor_addresses` are `[instances, count]`."""

    point: DevicePoint
    table: RegisterTable
    kind: RegisterType
    order: WordOrder
    addresses: Addresses
    factor_addresses: Addresses | None  # of the SunSpec scale factors, where there are any
    scaling: Scaling
    patterns: tuple[int, ...]  # bit patterns that mean "no value"
    is_array: bool  # whether an instance has a row of elements (cells, sensors) instead of one

    @property
    def signal(self) -> Signal:
        """What the registers mean."""
        return self.point.signal

    @property
    def is_bits(self) -> bool:
        """Whether it stands in a table of bits."""
        return self.table in BIT_TABLES

    @property
    def words(self) -> int:
        """Registers (or bits) of one element."""
        return self.kind.words

    def shape(self, devices: int) -> tuple[int, ...]:
        """Return the shape of its values: `[devices, instances]`, for arrays with a third axis of elements."""
        return (devices, *self.addresses.shape) if self.is_array else (devices, len(self.addresses))


@dataclass(frozen=True, slots=True, eq=False)
class RegisterMap:
    """All signals of a device type. `instances`: which of the repeated blocks are there, in the order of the arrays."""

    device_type: DeviceType
    instances: tuple[int, ...]
    chain: Chain
    fields: dict[str, WireField]

    def block(self, name: str) -> tuple[WireField, ...]:
        """Return the signals that are read in a polling class."""
        return tuple(f for f in self.fields.values() if f.point.poll_block == name)


def compile_map(
    device_type: DeviceType, chain: Chain | None = None, instances: Sequence[int] | None = None
) -> RegisterMap:
    """Return the compiled map of a device type.

    Args:
        device_type: as the site loader gives it.
        chain: the SunSpec models found in the device; None = what a device of this type is expected to serve.
        instances: numbers of the repeated blocks that exist; None = all that the type can serve.

    Raises:
        DeviceMapError: the type can't be compiled, or the chain lacks what it needs.
        SunSpecError: a model of the chain is of another revision.
    """
    most = device_type.repeat.count if device_type.repeat else 1
    numbers = tuple(range(most)) if instances is None else tuple(instances)
    if any(not 0 <= n < most for n in numbers):
        raise DeviceMapError(f"{device_type.name} has no instances {numbers}: there are {most}")
    found = chain if chain is not None else chain_of(expected_models(device_type, numbers))
    compiler = _Compiler(device_type, numbers, ChainElements(found))
    return RegisterMap(device_type, numbers, found, {p.signal.name: compiler.field(p) for p in device_type.points})


def is_repeated(device_type: DeviceType, signal: Signal) -> bool:
    """Whether every instance of the device's repeated block has this signal."""
    owner = _ROOT_OWNERS.get(signal.owner, signal.owner)
    return device_type.repeat is not None and device_type.repeat.equipment == owner.value


def expected_models(device_type: DeviceType, instances: Sequence[int] | None = None) -> ModelCounts:
    """Return the models that a device of this type serves, with as many group instances as its points need.

    A model that several instances need outside of its groups stands there once for each.
    """
    most = device_type.repeat.count if device_type.repeat else 1
    instance_count = most if instances is None else max(instances, default=0) + 1
    return [
        (model, counts)
        for model in dict.fromkeys(device_type.sunspec_models)
        for counts in _copies(device_type, model, instance_count)
    ]


def _copies(device_type: DeviceType, model: int, instance_count: int) -> list[dict[str, int]]:
    needed: dict[str, int] = {}
    for point in device_type.points:
        place = point.place
        if isinstance(place, SunSpecPlace) and place.model == model:
            elements = point.count * (instance_count if is_repeated(device_type, point.signal) else 1)
            needed[place.group] = max(elements, needed.get(place.group, 1))
    copies = max(device_type.sunspec_models.count(model), needed.pop("", 1))
    groups = repeating_groups(load_model(model).group)
    return [{g.count_name: ceil(needed.get(g.name, 1) / copies) for g in groups}] * copies


class ChainElements:
    """Where the points of a chain's models lie, by model and path; models are laid out when first asked for."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._models: dict[int, dict[str, list[ServedField]]] = {}

    def of(self, place: SunSpecPlace) -> list[ServedField]:
        """Return all instances of a point, in the order of the chain."""
        if place.model not in self._models:
            paths: dict[str, list[ServedField]] = {}
            for served in served_fields(tuple(p for p in self._chain if p.model == place.model)):
                paths.setdefault(served.field.path, []).append(served)
            self._models[place.model] = paths
        path = f"{place.group}.{place.point}" if place.group else place.point
        return self._models[place.model].get(path, [])


@dataclass(frozen=True, slots=True)
class _Compiler:
    device_type: DeviceType
    instances: tuple[int, ...]
    elements: ChainElements

    def field(self, point: DevicePoint) -> WireField:
        """Return one point's field; DeviceMapError names the point."""
        try:
            place = point.place
            found = self._sunspec(point, place) if isinstance(place, SunSpecPlace) else self._plain(point, place)
            _check(found)
        except ValueError as error:
            raise DeviceMapError(f"{self.device_type.name}, {point.signal.name}: {error}") from error
        return found

    def _plain(self, point: DevicePoint, place: RegisterPlace) -> WireField:
        try:
            kind = register_type(point.register_type)
        except KeyError:
            raise DeviceMapError(f"there is no register type '{point.register_type}'") from None
        elements = np.arange(point.count, dtype=np.int64) * (place.stride or kind.words)
        stride = place.repeat_stride or (self.device_type.repeat.stride if self.device_type.repeat else 0)
        starts = np.array(self._instances(point), np.int64) * stride + place.address
        patterns = () if place.table in BIT_TABLES else sentinels(kind, point.missing)
        addresses = starts[:, None] + elements
        return WireField(
            point, place.table, kind, point.words, addresses, None, _scaling(point), patterns, _is_array(point)
        )

    def _sunspec(self, point: DevicePoint, place: SunSpecPlace) -> WireField:
        served = self.elements.of(place)
        instances = self._instances(point)
        needed = (max(instances, default=-1) + 1) * point.count
        if not served or len(served) < needed:
            raise DeviceMapError(f"the device serves {len(served)} of {place.model}.{place.point}, {needed} are needed")
        picked = [[served[i * point.count + n] for n in range(point.count)] for i in instances]
        first = served[0].field.point
        shape = (len(instances), point.count)
        fixed = first.scale_factor if isinstance(first.scale_factor, int) else 0
        return WireField(
            point=point,
            table=RegisterTable.HOLDING,
            kind=first.kind,
            order=WordOrder.HIGH_FIRST,
            addresses=np.array([[f.address for f in row] for row in picked], np.int64).reshape(shape),
            factor_addresses=_factor_addresses(picked, shape),
            scaling=_scaling(point).shifted(np.array(fixed)) if fixed else _scaling(point),
            patterns=sentinels(first.kind, point.missing, sunspec=True),
            is_array=_is_array(point),
        )

    def _instances(self, point: DevicePoint) -> tuple[int, ...]:
        return self.instances if is_repeated(self.device_type, point.signal) else (0,)


def _check(field: WireField) -> None:
    form, last = field.signal.form, int(field.addresses.max(initial=0)) + field.words - 1
    if not field.kind.dtype:
        raise DeviceMapError(f"'{field.kind.name}' holds no number")
    if field.is_bits and field.kind.name != "bool":
        raise DeviceMapError(f"'{field.kind.name}' in a table of bits")
    if field.point.count > 1 and not field.is_array:
        raise DeviceMapError(f"{field.point.count} elements of what has one value")
    if form is not SignalForm.QUANTITY and (field.scaling is not IDENTITY or field.factor_addresses is not None):
        raise DeviceMapError(f"a {form.value} has no scale, offset, sign or scale factor")
    if last >= ADDRESSES:
        raise DeviceMapError(f"address {last} does not exist")


def _is_array(point: DevicePoint) -> bool:
    return point.signal.owner in ARRAY_OWNERS


def _scaling(point: DevicePoint) -> Scaling:
    return scaling(point.scale, point.offset, point.unit_factor, point.unit_offset, point.sign)


def _factor_addresses(picked: list[list[ServedField]], shape: tuple[int, int]) -> Addresses | None:
    found = [f.factor_address for row in picked for f in row if f.factor_address is not None]
    return np.array(found, np.int64).reshape(shape) if found else None


# ----------------------------------------------------------------------------------------------------------- conflicts


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two signals in one register."""

    first: str
    second: str
    table: RegisterTable
    address: int


def conflicts(register_map: RegisterMap) -> tuple[Conflict, ...]:
    """Return every pair of signals whose registers overlap, each once, at the lowest common address.

    Two signals may share registers only whole and of one type: a status word that is read two ways, or a setting that
    is written as one signal and read back as another.
    """
    found: dict[tuple[str, str], Conflict] = {}
    for table in RegisterTable:
        occupied = sorted(_occupied(f for f in register_map.fields.values() if f.table is table))
        for conflict in _overlaps(table, occupied, register_map):
            found.setdefault((conflict.first, conflict.second), conflict)
    return tuple(found.values())


def _occupied(fields: Iterable[WireField]) -> Iterator[tuple[int, int, str]]:
    for field in fields:
        for address in field.addresses.ravel().tolist():
            yield address, address + field.words, field.signal.name


def _overlaps(
    table: RegisterTable, occupied: list[tuple[int, int, str]], register_map: RegisterMap
) -> Iterator[Conflict]:
    for k, (start, end, name) in enumerate(occupied):
        for other_start, other_end, other in occupied[k + 1 :]:
            if other_start >= end:
                break
            same = (start, end) == (other_start, other_end)
            if not (same and _may_share(register_map.fields[name], register_map.fields[other])):
                yield Conflict(min(name, other), max(name, other), table, other_start)


def _may_share(one: WireField, other: WireField) -> bool:
    if one is other or one.kind != other.kind:
        return False
    two_ways = one.signal.form in _FLAGS and other.signal.form in _FLAGS
    return two_ways or one.signal.command != other.signal.command
