"""The point list of a plant: every point and method with tag, unit, access and place in the image, derived once.

Order: plant, then block by block (its own points, converters, racks), then equipment without a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controller.image.quantities import QUANTITIES
from controller.plant.model import Plant, Rack
from controller.plant.signals import Owner
from controller.points.catalogue import FACE_FACTORS, METHODS, POINTS, MethodTemplate, PointTemplate
from controller.points.ranges import span


class PointType(StrEnum):
    """How a point's value is shown."""

    NUMBER = "number"
    NUMBERS = "numbers"  # one array a rack
    CODE = "code"
    COUNT = "count"
    BOOL = "bool"
    TEXT = "text"
    TEXTS = "texts"  # one array


@dataclass(frozen=True, slots=True)
class Point:
    """One point. `index` is the equipment's row in the arrays of its owner; face value = base value * factor."""

    tag: str
    equipment: str
    owner: Owner
    index: int
    name: str
    description: str
    quantity: str
    unit: str
    factor: float
    type: PointType
    action: str  # "" = read only
    range_low: float  # face units; of a writable point what may be written
    range_high: float
    length: int = 1  # of an array point

    @property
    def access(self) -> str:
        """`R` or `RW`."""
        return "RW" if self.action else "R"

    @property
    def source(self) -> str:
        """Where the value comes from, in words."""
        kind = "measured" if QUANTITIES[self.quantity].measured else "computed"
        return f"{kind} {self.quantity}"


@dataclass(frozen=True, slots=True)
class Method:
    """One method, called on a piece of equipment."""

    tag: str
    target: str  # the equipment's tag
    owner: Owner
    index: int
    name: str
    action: str
    description: str
    argument: str  # name of its text argument, "" = none


@dataclass(frozen=True, slots=True)
class PointList:
    """All points and methods of a plant."""

    points: tuple[Point, ...]
    methods: tuple[Method, ...]

    def by_tag(self) -> Mapping[str, Point]:
        """Return points by tag."""
        return {p.tag: p for p in self.points}


class _Equipment(Protocol):
    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def tag(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _PlantItself:
    name: str
    index: int = 0
    tag: str = "Plant"


def point_list(plant: Plant) -> PointList:
    """Return the point list of a plant."""
    equipment = list(_in_order(plant))
    points = _points(plant, equipment)
    methods = (_method(owner, item, t) for owner, item in equipment for t in METHODS.get(owner, ()))
    return PointList(tuple(points), tuple(methods))


def _in_order(plant: Plant) -> Iterator[tuple[Owner, _Equipment]]:
    yield Owner.PLANT, _PlantItself(plant.name)
    for block in plant.blocks:
        yield Owner.BLOCK, block
        yield from ((Owner.PCS, p) for p in plant.pcs if p.block == block.index)
        yield from ((Owner.RACK, r) for r in plant.racks if r.block == block.index)
    yield from ((Owner.METER, m) for m in plant.meters)
    yield from ((Owner.INTERLOCK, i) for i in plant.interlocks)


def _points(plant: Plant, equipment: Iterable[tuple[Owner, _Equipment]]) -> Iterator[Point]:
    """Yield every equipment's points; racks of one battery type differ in name, tag and place alone."""
    of_battery: dict[int, tuple[Point, ...]] = {}
    for owner, item in equipment:
        if not isinstance(item, Rack):
            yield from (_point(plant, owner, item, t) for t in POINTS.get(owner, ()))
            continue
        if id(item.battery) not in of_battery:
            of_battery[id(item.battery)] = tuple(_point(plant, owner, item, t) for t in POINTS.get(owner, ()))
        yield from (_of_rack(item, point) for point in of_battery[id(item.battery)])


def _of_rack(rack: Rack, alike: Point) -> Point:
    """Return the point of another rack; written out, as `replace` takes three times as long for 100,000 points."""
    return Point(
        f"{rack.tag}.{alike.name}",
        rack.name,
        alike.owner,
        rack.index,
        alike.name,
        alike.description,
        alike.quantity,
        alike.unit,
        alike.factor,
        alike.type,
        alike.action,
        alike.range_low,
        alike.range_high,
        alike.length,
    )


def _point(plant: Plant, owner: Owner, item: _Equipment, template: PointTemplate) -> Point:
    limits = span(plant, owner, item.index, template.quantity, template.unit, template.action)
    return Point(
        tag=f"{item.tag}.{template.name}",
        equipment=item.name,
        owner=owner,
        index=item.index,
        name=template.name,
        description=template.description,
        quantity=template.quantity,
        unit=template.unit,
        factor=FACE_FACTORS[template.unit],
        type=_type_of(template),
        action=template.action,
        range_low=limits.low,
        range_high=limits.high,
        length=_length_of(plant, item.index, template.quantity),
    )


def _type_of(template: PointTemplate) -> PointType:
    quantity = QUANTITIES[template.quantity]
    if template.name.endswith("Text"):
        return PointType.TEXT
    if template.name.endswith("List"):
        return PointType.TEXTS
    if quantity.per_cell:
        return PointType.NUMBERS
    return {"<f8": PointType.NUMBER, "<i4": PointType.CODE, "<u4": PointType.COUNT, "u1": PointType.BOOL}[
        quantity.dtype
    ]


def _length_of(plant: Plant, index: int, quantity: str) -> int:
    match QUANTITIES[quantity].owner:
        case Owner.CELL:
            return plant.racks[index].battery.cells_in_series
        case Owner.SENSOR:
            return plant.racks[index].battery.temperatures
        case _:
            return 1


def _method(owner: Owner, item: _Equipment, template: MethodTemplate) -> Method:
    return Method(
        tag=f"{item.tag}.{template.name}",
        target=item.tag,
        owner=owner,
        index=item.index,
        name=template.name,
        action=template.action,
        description=template.description,
        argument=template.argument,
    )
