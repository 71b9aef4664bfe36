"""Modbus addresses of the flat point map: derived once, frozen by a site, never moved.

Rule (unit 2, base 0, high word first): 0-1 map version (u32), 2 controller heartbeat (u16), 3 SCADA heartbeat (u16,
written), 4 active power set-point (f32), 6 reactive power set-point (f32), 8.. plant commands (u16, write 1, read 0);
all other scalar points from 100 in tag order: numbers f32, those that grow for a lifetime f64, codes and booleans u16,
counts u32; arrays and texts have no registers. When a unit's value area is full the next unit (3 to 9) goes on; where
all are full, points of racks have no register, for all racks alike, from the end of the catalogue. The quality of the
unit's n-th point stands in register 50000 + n // 4, four bits each, first point in the highest bits.

A frozen map wins over derivation: frozen points keep their place and type for ever (lifetime counters of older maps
their f32), new points are put behind the last one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

from controller.plant.signals import Owner
from controller.points.point_list import Method, Point, PointList, PointType
from controller.points.ranges import LIFETIME_COUNTERS

FIRST_UNIT, LAST_UNIT = 2, 9
FIRST_ADDRESS, QUALITY_ADDRESS = 100, 50_000
QUALITIES_PER_REGISTER = 4
_LONGEST = 4
"""Registers of the longest value."""


class WireType(StrEnum):
    """Register types of the flat map."""

    U16 = "uint16"
    U32 = "uint32"
    F32 = "float32"
    F64 = "float64"
    U64 = "uint64"
    I16 = "int16"
    I32 = "int32"

    @property
    def words(self) -> int:
        """Registers taken."""
        return {"16": 1, "32": 2, "64": 4}[self.value[-2:]]

    @property
    def span(self) -> tuple[int, int] | None:
        """Lowest and highest number, without the one that means "no value"; None of a floating-point type.

        64 bits end where a double no longer tells neighbours apart.
        """
        return {WireType.U16: (0, 2**16 - 2), WireType.U32: (0, 2**32 - 2), WireType.I16: (1 - 2**15, 2**15 - 1),
                WireType.U64: (0, 2**53),
                WireType.I32: (1 - 2**31, 2**31 - 1)}.get(self)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point stands: unit, zero-based address, type, and its rank in the unit's quality block.

    Lists that a party brought differ in more: register = face value x `factor`, the order of words, and whether it may
    be written there at all.
    """

    unit: int
    address: int
    type: WireType
    rank: int  # -1: no quality
    factor: float = 1.0
    low_first: bool = False
    writable: bool = True

    @property
    def quality_address(self) -> int:
        """Register that holds this point's quality."""
        return QUALITY_ADDRESS + self.rank // QUALITIES_PER_REGISTER

    @property
    def quality_shift(self) -> int:
        """Bits to shift the quality right."""
        return 4 * (QUALITIES_PER_REGISTER - 1 - self.rank % QUALITIES_PER_REGISTER)

    @property
    def modicon(self) -> int:
        """The six-digit Modicon number of a holding register."""
        return 400_001 + self.address


class FrozenMapError(ValueError):
    """A frozen map can't be read, or no longer fits the plant; the text says where and how to mend it."""


_HEADER = {
    "Plant.MapVersion": (0, WireType.U32),
    "Plant.Heartbeat": (2, WireType.U16),
    "Plant.ScadaHeartbeat": (3, WireType.U16),
    "Plant.ActivePowerSetpoint": (4, WireType.F32),
    "Plant.ReactivePowerSetpoint": (6, WireType.F32),
}
_COMMANDS = {"Plant.Start": 8, "Plant.Stop": 9, "Plant.FastStop": 10, "Plant.ResetTrips": 11}
_WIRE_TYPES = {
    PointType.NUMBER: WireType.F32,
    PointType.CODE: WireType.U16,
    PointType.BOOL: WireType.U16,
    PointType.COUNT: WireType.U32,
}


@dataclass(frozen=True, slots=True)
class FlatMap:
    """Places of points and methods by tag, and the version that masters compare."""

    points: Mapping[str, Place]
    methods: Mapping[str, Place]
    version: int
    left_out: tuple[str, ...] = ()  # names of rack points for which the units have no room


def flat_map(listed: PointList, frozen: Mapping[str, Place] | None = None) -> FlatMap:
    """Return where every scalar point stands.

    Raises FrozenMapError when a frozen point no longer exists with its type, or the units are full.
    """
    scalars = {p.tag: p for p in listed.points if p.type in _WIRE_TYPES}
    places = dict(frozen or {})
    _check_frozen(places, scalars)
    cursor = _Cursor.behind(places.values())
    new = [point for tag, point in scalars.items() if tag not in places]
    left_out = _left_out(new, cursor.room)
    for tag in sorted(p.tag for p in new if p.owner is not Owner.RACK or p.name not in left_out):
        header = _HEADER.get(tag)
        places[tag] = cursor.header(*header) if header else cursor.take(_wire_type(scalars[tag]))
    methods = {m.tag: _command_place(m) for m in listed.methods if m.tag in _COMMANDS}
    return FlatMap(places, methods, map_version(places), left_out)


def _left_out(new: Sequence[Point], room: int) -> tuple[str, ...]:
    """Return which rack points do not fit into so many registers: whole names, the last of the catalogue first.

    A map that holds the first racks and not the last would be no map of the plant.
    """
    words: dict[str, int] = {}
    for point in (p for p in new if p.owner is Owner.RACK):
        words[point.name] = words.get(point.name, 0) + _wire_type(point).words
    lacking = sum(_wire_type(point).words for point in new) - room
    names = list(words)
    while lacking > 0 and names:
        lacking -= words[names.pop()]
    return tuple(words)[len(names) :]


def map_version(places: Mapping[str, Place]) -> int:
    """Return the map's version: a checksum over every tag, place and type, never 0."""
    text = "\n".join(f"{tag} {p.unit} {p.address} {p.type.value}" for tag, p in sorted(places.items()))
    return crc32(text.encode()) or 1


def freeze_text(places: Mapping[str, Place]) -> str:
    """Return the frozen map as CSV, in address order; its last line seals it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["tag", "unit", "address", "type", "rank"])
    for tag, place in sorted(places.items(), key=lambda item: (item[1].unit, item[1].address)):
        writer.writerow([tag, place.unit, place.address, place.type.value, place.rank])
    return f"{out.getvalue()}{_SEAL}{map_version(places)}\n"


_SEAL = "# map version "
"""Begins the line that holds the checksum of all rows: an address that was moved by hand no longer agrees with it."""


def read_frozen(text: str) -> dict[str, Place]:
    """Read a frozen map; FrozenMapError names the line. Maps of before the seal are read as they are."""
    lines = text.splitlines()
    places: dict[str, Place] = {}
    taken: dict[tuple[int, int], str] = {}
    for line, row in enumerate(csv.DictReader(text for text in lines if not text.startswith("#")), start=2):
        try:
            place = Place(int(row["unit"]), int(row["address"]), WireType(row["type"]), int(row["rank"]))
            tag = row["tag"]
        except (KeyError, ValueError, TypeError) as error:
            message = f"line {line}: this is no row of a frozen map; expected such as Plant.SoC,2,130,float32,16"
            raise FrozenMapError(message) from error
        if tag in places:
            message = f"line {line}: {tag} is written twice"
            raise FrozenMapError(message)
        for register in range(place.address, place.address + place.type.words):
            other = taken.setdefault((place.unit, register), tag)
            if other != tag:
                message = f"line {line}: {tag} stands on register {register} of unit {place.unit}, which is {other}'s"
                raise FrozenMapError(message)
        places[tag] = place
    _check_seal(lines, places)
    return places


def _check_seal(lines: list[str], places: Mapping[str, Place]) -> None:
    for number, line in enumerate(lines, start=1):
        if line.startswith(_SEAL) and line.removeprefix(_SEAL).strip() != str(map_version(places)):
            message = f"line {number}: a frozen address was moved: the rows make map version {map_version(places)},"
            raise FrozenMapError(
                f"{message} frozen was {line.removeprefix(_SEAL).strip()}; give a new point a new address"
            )


def _check_frozen(places: Mapping[str, Place], scalars: Mapping[str, Point]) -> None:
    for tag, place in places.items():
        if tag not in scalars:
            message = f"{tag} is frozen at unit {place.unit} address {place.address} but no longer exists"
            raise FrozenMapError(message)
        if tag not in _HEADER and place.type not in {_wire_type(scalars[tag]), _WIRE_TYPES[scalars[tag].type]}:
            message = f"{tag} is frozen as {place.type.value}, but is now {_wire_type(scalars[tag]).value}"
            raise FrozenMapError(message)


def _wire_type(point: Point) -> WireType:
    return WireType.F64 if point.quantity in LIFETIME_COUNTERS else _WIRE_TYPES[point.type]


def _command_place(method: Method) -> Place:
    return Place(FIRST_UNIT, _COMMANDS[method.tag], WireType.U16, -1)


@dataclass(slots=True)
class _Cursor:
    unit: int
    address: int
    rank: int

    @classmethod
    def behind(cls, places: Iterable[Place]) -> _Cursor:
        last = max(places, key=lambda p: (p.unit, p.address), default=None)
        if last is None or last.address < FIRST_ADDRESS:
            return cls(FIRST_UNIT, FIRST_ADDRESS, 0)
        return cls(last.unit, last.address + last.type.words, last.rank + 1)

    @property
    def room(self) -> int:
        """Registers that are certainly left: a value that does not fit behind a unit's last one goes to the next."""
        whole = QUALITY_ADDRESS - FIRST_ADDRESS - (_LONGEST - 1)
        return max(0, QUALITY_ADDRESS - self.address - (_LONGEST - 1)) + whole * (LAST_UNIT - self.unit)

    def header(self, address: int, wire_type: WireType) -> Place:
        return Place(FIRST_UNIT, address, wire_type, -1)

    def take(self, wire_type: WireType) -> Place:
        if self.address + wire_type.words > QUALITY_ADDRESS:
            self.unit, self.address, self.rank = self.unit + 1, FIRST_ADDRESS, 0
        if self.unit > LAST_UNIT:
            message = f"the flat map is full: units {FIRST_UNIT} to {LAST_UNIT} hold no more points"
            raise FrozenMapError(message)
        place = Place(self.unit, self.address, wire_type, self.rank)
        self.address += wire_type.words
        self.rank += 1
        return place
