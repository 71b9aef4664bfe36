"""The flat point map's units: all scalar points as registers, built from a snapshot in a few vector operations.

Rules. Only what the map lists has an address: a range that touches any other register is exception 2. A range may
begin or end in the middle of a two-register value. In a list that a party brought, a read may run over registers that
the list leaves out, as masters do who read blocks: they read 0xFFFF; one that meets nothing of the list is exception 2.
Bad quality reads NaN (integers: all ones), never the last value;
age is judged at each read. The quality block follows: four bits a point, in the order of the points, ABSENT behind
the last one. A counter shown in one register counts modulo 65,535, so that it never reads as bad.

Writing: a value is written whole or not at all, and a write that touches a register nobody may write does nothing. A
float32 stands for the shortest decimal that reads as it (2.4, not 2.4000000954), so that a limit itself is in range.
Commands take 1; 0 asks for nothing; they read 0.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.commands import Action
from controller.image.data_periods import NEVER_NS, DataPeriods
from controller.image.layout import Layout
from controller.image.quality import WORST_USABLE, Quality, judge
from controller.image.quantities import QUANTITIES, Section
from controller.link.plant_view import Snapshot
from controller.modbus.errors import ExceptionCode
from controller.modbus.pdu import READ_REGISTERS_MAX
from controller.points.addresses import QUALITIES_PER_REGISTER, QUALITY_ADDRESS, FlatMap, Place, WireType
from controller.points.party_map import PartyPoint
from controller.points.point_list import Method, Point, PointList, PointType
from controller.scada.modbus.requests import Order, Plan

BAD_U16, BAD_U32 = 0xFFFF, 0xFFFF_FFFF
BRIDGED = READ_REGISTERS_MAX - 2
"""The widest hole in a party's list that a single read can run over: both of its ends are registers of the list."""
_WIRE_DTYPES = {
    WireType.U16: ">u2", WireType.U32: ">u4", WireType.U64: ">u8", WireType.I16: ">i2", WireType.I32: ">i4",
    WireType.F32: ">f4", WireType.F64: ">f8",
}  # fmt: skip
_BAD = {
    WireType.U16: BAD_U16,
    WireType.U32: BAD_U32,
    WireType.U64: -1,
    WireType.I16: -0x8000,
    WireType.I32: -0x8000_0000,
}
"""What reads where there is no value: SunSpec's "not implemented", as a signed number (-1: all ones)."""
_MAP_VERSION = "Plant.MapVersion"

Indices = NDArray[np.int64]


class Run(NamedTuple):
    """A run of registers without a hole: first address, number, and where it lies in the unit's image."""

    first: int
    size: int
    position: int


@dataclass(frozen=True, slots=True)
class _Column:
    """The points of one stored and one register type. `at`: elements of the image; `rank`: rows of the unit."""

    stored: str
    wire: WireType
    low_first: bool
    at: Indices
    rank: Indices
    position: Indices
    factor: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Judging:
    """Where each point's quality and time are in the image, and at what age it turns uncertain and bad; [points]."""

    quality_at: Indices
    time_at: Indices
    uncertain_after_ns: NDArray[np.int64]
    bad_after_ns: NDArray[np.int64]


def flat_units(listed: PointList, places: FlatMap, layout: Layout, periods: DataPeriods) -> dict[int, FlatUnit]:
    """Return the units that hold points, by unit id."""
    points = listed.by_tag()
    methods = {method.tag: method for method in listed.methods}
    units: dict[int, list[tuple[Point, Place]]] = {}
    for tag, place in places.points.items():
        units.setdefault(place.unit, []).append((points[tag], place))
    commands = {tag: (methods[tag], place) for tag, place in places.methods.items()}
    return {
        unit: FlatUnit(shown, [c for c in commands.values() if c[1].unit == unit], places.version, layout, periods)
        for unit, shown in sorted(units.items())
    }


def party_unit(rows: Sequence[PartyPoint], version: int, layout: Layout, periods: DataPeriods) -> FlatUnit:
    """Return the unit that serves a party's own list; `version` is the map version that it may show."""
    shown = [(row.target, row.place) for row in rows if isinstance(row.target, Point)]
    commands = [(row.target, row.place) for row in rows if isinstance(row.target, Method)]
    return FlatUnit(shown, commands, version, layout, periods, bridged=BRIDGED)


class FlatUnit:
    """One unit of the flat map, or of a list that a party brought."""

    def __init__(
        self,
        shown: list[tuple[Point, Place]],
        commands: list[tuple[Method, Place]],
        version: int,
        layout: Layout,
        periods: DataPeriods,
        *,
        bridged: int = 0,
    ) -> None:
        """Work out where everything comes from; `version` is shown in the map version's registers.

        A read may run over holes of at most `bridged` registers.
        """
        self._listed = _listed(shown, commands)
        self._runs = _runs(self._listed, bridged)
        self._writable = _writable(shown, commands)
        self._version = next((place for point, place in shown if point.tag == _MAP_VERSION), None)
        self._template = self._empty(version)
        live = [(point, place) for point, place in shown if point.tag != _MAP_VERSION]
        self._columns = tuple(_columns(live, layout, self._position))
        self._judging = _judging(live, layout, periods)
        self._ranks = np.array([place.rank for _, place in live], np.int64)
        self._snapshot: Snapshot | None = None
        self._valid_until_ns = 0
        self._image = b""

    def read(self, snapshot: Snapshot, now_ns: int, address: int, count: int) -> bytes | ExceptionCode:
        """Return registers as they are now; exception 2 where there are none."""
        for run in self._runs:
            start = address - run.first
            if start >= 0 and start + count <= run.size and self._meets(address, count):
                first = 2 * (run.position + start)
                return self._current(snapshot, now_ns)[first : first + 2 * count]
        return ExceptionCode.ILLEGAL_DATA_ADDRESS

    def _meets(self, address: int, count: int) -> bool:
        return any(at in self._listed for at in range(address, address + count))

    def write(self, _snapshot: Snapshot, _now_ns: int, address: int, data: bytes) -> Plan | ExceptionCode:
        """Return what the registers ask for: exception 2 if one can't be written, 3 if a value can't be meant."""
        end = address + len(data) // 2
        if any(at not in self._writable for at in range(address, end)):
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        orders: list[Order] = []
        at = address
        while at < end:
            first, target, place = self._writable[at]
            words = data[2 * (at - address) : 2 * (at - address + place.type.words)]
            if at != first or len(words) < 2 * place.type.words:
                return ExceptionCode.ILLEGAL_DATA_VALUE
            asked = _command(target, words) if isinstance(target, Method) else _set_point(target, place, words)
            if asked is None:
                return ExceptionCode.ILLEGAL_DATA_VALUE
            orders.extend(asked)
            at += place.type.words
        return Plan(tuple(orders))

    def _current(self, snapshot: Snapshot, now_ns: int) -> bytes:
        if snapshot is not self._snapshot or now_ns > self._valid_until_ns:
            self._image, self._valid_until_ns = self._built(snapshot, now_ns)
            self._snapshot = snapshot
        return self._image

    def _built(self, snapshot: Snapshot, now_ns: int) -> tuple[bytes, int]:
        """Return the unit's registers, and until when no point changes its quality by age."""
        racks = snapshot.image.buffers[Section.RACKS]
        judging = self._judging
        time_ns = racks.view("<i8")[judging.time_at]
        quality = judge(racks[judging.quality_at], time_ns, now_ns, judging.uncertain_after_ns, judging.bad_after_ns)
        registers = self._template.copy()
        for column in self._columns:
            _fill(registers, column, racks, quality[column.rank] <= WORST_USABLE)
        self._put_qualities(registers, quality)
        return registers.tobytes(), _next_change_ns(time_ns, now_ns, judging)

    def _put_qualities(self, registers: NDArray[Any], quality: NDArray[np.uint8]) -> None:
        ranked = self._ranks >= 0
        if not ranked.any():
            return
        size = int(self._ranks.max()) // QUALITIES_PER_REGISTER + 1
        nibbles = np.full(size * QUALITIES_PER_REGISTER, Quality.ABSENT, np.uint16)
        nibbles[self._ranks[ranked]] = quality[ranked]
        first = self._position(QUALITY_ADDRESS)
        packed = nibbles.reshape(-1, QUALITIES_PER_REGISTER) << np.array([12, 8, 4, 0], np.uint16)
        registers[first : first + size] = packed.sum(axis=1)

    def _empty(self, version: int) -> NDArray[Any]:
        last = self._runs[-1]
        registers = np.full(last.position + last.size, BAD_U16, ">u2")
        registers[[self._position(address) for address in self._listed]] = 0
        if self._version is not None:
            position = self._position(self._version.address)
            registers[position : position + 2] = version >> 16, version & 0xFFFF
        return registers

    def _position(self, address: int) -> int:
        """Return where an address lies in the unit's image."""
        run = next(run for run in self._runs if run.first <= address < run.first + run.size)
        return run.position + address - run.first


# ------------------------------------------------------------------------------------------------------------ addresses


def _listed(shown: list[tuple[Point, Place]], commands: list[tuple[Method, Place]]) -> frozenset[int]:
    """Return every register that holds something."""
    places = [place for _, place in shown] + [place for _, place in commands]
    values = {place.address + word for place in places for word in range(place.type.words)}
    return frozenset(values | {place.quality_address for place in places if place.rank >= 0})


def _runs(listed: Collection[int], bridged: int) -> tuple[Run, ...]:
    """Return the stretches that can be read in one go: registers with holes of at most `bridged` between them."""
    runs: list[Run] = []
    for address in sorted(listed):
        last = runs[-1] if runs else Run(-1, 0, 0)
        if runs and address - (last.first + last.size) <= bridged:
            runs[-1] = last._replace(size=address - last.first + 1)
        else:
            runs.append(Run(address, 1, last.position + last.size))
    return tuple(runs)


def _writable(
    shown: list[tuple[Point, Place]], commands: list[tuple[Method, Place]]
) -> Mapping[int, tuple[int, Point | Method, Place]]:
    """Return, for every register that may be written, the first register of its point or command."""
    targets: Iterable[tuple[Point | Method, Place]] = [
        *((p, place) for p, place in shown if p.action and place.writable),
        *commands,
    ]
    return {
        place.address + word: (place.address, target, place)
        for target, place in targets
        for word in range(place.type.words)
    }


# --------------------------------------------------------------------------------------------------------------- values


def _columns(live: list[tuple[Point, Place]], layout: Layout, position: Any) -> Iterator[_Column]:  # noqa: ANN401
    kinds = [(QUANTITIES[point.quantity].dtype, place.type, place.low_first) for point, place in live]
    for stored, wire, low_first in sorted(set(kinds)):
        rows = [(rank, *live[rank]) for rank, kind in enumerate(kinds) if kind == (stored, wire, low_first)]
        yield _Column(
            stored=stored,
            wire=wire,
            low_first=low_first,
            at=_elements(layout, [point for _, point, _ in rows], "value", stored),
            rank=np.array([rank for rank, _, _ in rows], np.int64),
            position=np.array([position(place.address) for _, _, place in rows], np.int64),
            factor=np.array([point.factor * place.factor for _, point, place in rows], np.float64),
        )


def _judging(live: list[tuple[Point, Place]], layout: Layout, periods: DataPeriods) -> _Judging:
    points = [point for point, _ in live]
    ages = [
        (periods[p.quantity].uncertain_after_ns[p.index], periods[p.quantity].bad_after_ns[p.index])
        if p.quantity in periods
        else (NEVER_NS, NEVER_NS)
        for p in points
    ]
    limits = np.array(ages, np.int64).reshape(-1, 2)
    return _Judging(
        quality_at=_elements(layout, points, "quality", "u1"),
        time_at=_elements(layout, points, "time_ns", "<i8"),
        uncertain_after_ns=limits[:, 0].copy(),
        bad_after_ns=limits[:, 1].copy(),
    )


def _elements(layout: Layout, points: list[Point], part: str, dtype: str) -> Indices:
    """Return where the points' values lie, counted in elements of the rack section seen as `dtype`."""
    size = np.dtype(dtype).itemsize
    return np.array([layout.offsets[f"{p.quantity}.{part}"] // size + p.index for p in points], np.int64)


def _fill(registers: NDArray[Any], column: _Column, racks: NDArray[np.uint8], good: NDArray[np.bool_]) -> None:
    wire = _wire(racks.view(column.stored)[column.at], column, good)
    words = wire.view(">u2").reshape(len(wire), -1)
    words = words[:, ::-1] if column.low_first else words
    for word in range(words.shape[1]):
        registers[column.position + word] = words[:, word]


def _wire(values: NDArray[Any], column: _Column, good: NDArray[np.bool_]) -> NDArray[Any]:
    match column.wire:
        case WireType.F32 | WireType.F64:
            with np.errstate(over="ignore"):
                floats = (values * column.factor).astype(_WIRE_DTYPES[column.wire])
            floats[~(good & np.isfinite(floats))] = np.nan
            return floats
        case WireType.U16 if column.stored == "<u4":
            return np.where(good, values % BAD_U16, BAD_U16).astype(">u2")
        case wire:
            span = wire.span
            assert span is not None, "only floating-point types have none"
            usable = good & np.isfinite(values)
            whole = np.rint(np.where(usable, values, 0) * column.factor)
            usable &= (whole >= span[0]) & (whole <= span[1])
            return np.where(usable, whole, _BAD[wire]).astype(np.int64).astype(_WIRE_DTYPES[wire])


def _next_change_ns(time_ns: NDArray[np.int64], now_ns: int, judging: _Judging) -> int:
    """Return when the next value turns uncertain or bad."""
    turns = np.concatenate((time_ns + judging.uncertain_after_ns, time_ns + judging.bad_after_ns))
    return int(turns[turns >= now_ns].min(initial=NEVER_NS))


# --------------------------------------------------------------------------------------------------------------- writes


def shortest(value: np.float32) -> float:
    """Return the shortest decimal that reads as this float32."""
    return float(str(value))


def base_value(point: Point, value: float) -> float | None:
    """Return a written value in base units; None if it is no number or out of the point's range.

    The micro-unit that dividing by a factor such as 1e-6 adds is rounded away.
    """
    if not math.isfinite(value) or not point.range_low <= value <= point.range_high:
        return None
    return round(value / point.factor, 6)


def _set_point(point: Point, place: Place, words: bytes) -> list[Order] | None:
    if place.low_first:
        words = np.frombuffer(words, ">u2")[::-1].tobytes()
    number = np.frombuffer(words, _WIRE_DTYPES[place.type])[0]
    written = shortest(number) if place.type is WireType.F32 else float(number)
    value = base_value(point, written if place.factor == 1.0 else round(written / place.factor, 9))
    if value is None:
        return None
    target = point.tag.rpartition(".")[0]
    return [Order(Action(point.action), target, value if point.type is PointType.NUMBER else int(value))]


def _command(method: Method, words: bytes) -> list[Order] | None:
    match int.from_bytes(words):
        case 0:
            return []
        case 1:
            return [Order(Action(method.action), method.target)]
        case _:
            return None
