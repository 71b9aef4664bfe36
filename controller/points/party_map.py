"""A register list that a party brought itself (`maps/utility.csv`): read with positions, checked against our points.

Columns, in any order: `tag`, `address` (zero-based), `type` (uint16, int16, uint32, int32, uint64, float32, float64);
and where they differ from the default `scale` (1), `sign` (1; -1 turns it round), `unit` (ours), `deadband` (0, in that
unit), `writable` (no), `words` (high_first), `description`. Register = sign x value in that unit / scale, rounded for
integers. The deadband is for the interface document and for faces that report by exception; Modbus is polled.

Bad quality reads as the type's sentinel: NaN, 0x8000 and 0x80000000 of signed integers, all ones of unsigned ones.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from controller.plant.figures import quantity
from controller.plant.messages import Message, did_you_mean, error, nearest, one_of
from controller.plant.messages import Place as At
from controller.plant.units import UNITS, Unit
from controller.points.addresses import Place, WireType
from controller.points.point_list import Method, Point, PointList, PointType

REQUIRED = ("tag", "address", "type")
COLUMNS = (*REQUIRED, "scale", "sign", "unit", "deadband", "writable", "words", "description")
LAST_ADDRESS = 65_535
STEPS_NEEDED = 20
"""Into how many steps a number's range must at least be parted by the register that shows it."""
MOST_OF_SPAN = 0.1
_COARSEST = {"Hz": 0.1}
_OUR_UNITS = {"MVAr": "Mvar"}
_YES, _NO = {"yes", "y", "rw", "w", "true", "1"}, {"", "no", "n", "r", "ro", "false", "0"}


@dataclass(frozen=True, slots=True)
class PartyPoint:
    """One row: our point or command, where and how the party sees it, and what the row says besides."""

    target: Point | Method
    place: Place
    unit: str
    scale: float
    sign: int
    deadband: float
    description: str


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    at: At


Row = Mapping[str, _Cell]


def read_party_map(text: str, file: str, listed: PointList, unit: int) -> tuple[tuple[PartyPoint, ...], list[Message]]:
    """Return the rows of a party's list as its unit serves them, and what is wrong with them.

    Args:
        text: the file's text; columns parted by commas or semicolons.
        file: what messages call it.
        listed: our points.
        unit: the Modbus unit that serves it.
    """
    reader = _Reader(file, {**listed.by_tag(), **{m.tag: m for m in listed.methods}}, unit)
    found = tuple(point for row in reader.rows(text) if (point := reader.point(row)) is not None)
    reader.overlaps(found)
    return found, reader.messages


class _Reader:
    def __init__(self, file: str, targets: Mapping[str, Point | Method], unit: int) -> None:
        self.file, self.targets, self.unit = file, targets, unit
        self.messages: list[Message] = []
        self.places: dict[int, At] = {}

    def _wrong(self, at: At, message: str, expected: str = "", hint: str = "") -> None:
        self.messages.append(error(at, message, expected, hint))

    def rows(self, text: str) -> Iterator[Row]:
        """Yield the rows by column; complain about the header."""
        lines = text.splitlines()
        first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
        delimiter = ";" if first.count(";") > first.count(",") else ","
        header: list[str] | None = None
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            try:
                cells = _cells(self.file, number, line, delimiter)
            except csv.Error:
                expected = "each cell on one line, in quotes that close or in none, of at most 2000 characters"
                self._wrong(At(self.file, number), "the line can't be parted into cells", expected)
                continue
            if header is None:
                header = self._header(cells)
                if header is None:
                    return
                continue
            if (comma := _decimal_comma(header, cells)) is not None:
                self._wrong(*comma)
                continue
            for cell in cells[len(header) :]:
                if cell.text:
                    self._wrong(cell.at, f"'{cell.text}' stands behind the last column", "quotes around it")
            yield dict(zip(header, cells, strict=False))
        if header is None:
            self._wrong(At(self.file), "the list is empty", f"a header: {','.join(COLUMNS)}")

    def _header(self, cells: list[_Cell]) -> list[str] | None:
        names = [cell.text.casefold() for cell in cells]
        point = next((cell for cell in cells if cell.text in self.targets), None)
        if point is not None:
            self._wrong(cells[0].at, f"the header is missing: {point.text} is a point", ",".join(COLUMNS))
            return None
        for name, cell in zip(names, cells, strict=True):
            if name not in COLUMNS:
                self._wrong(cell.at, f"unknown column '{cell.text}'", one_of(COLUMNS), did_you_mean(name, COLUMNS))
            elif names.count(name) > 1:
                self._wrong(cell.at, f"column '{name}' is there twice", "each column once")
        misspelt = [near for name in names if name not in COLUMNS and (near := nearest(name, COLUMNS))]
        for name in REQUIRED:
            if name not in names and name not in misspelt:
                self._wrong(cells[0].at, f"column '{name}' is missing", f"a header with {', '.join(REQUIRED)}")
        return None if self.messages else names

    def point(self, row: Row) -> PartyPoint | None:
        """Return what a row asks for; None with messages."""
        before = len(self.messages)
        tag = row["tag"]
        target = self.targets.get(tag.text)
        if target is None:
            hint = did_you_mean(tag.text, self.targets)
            self._wrong(tag.at, f"there is no point '{tag.text}'", "a tag of `bess points`", hint)
        address, kind = self._address(row), self._type(row)
        if target is None or address is None or kind is None:
            return None
        found = self._scaled(row, target, Place(self.unit, address, kind, -1))
        if len(self.messages) > before:
            return None
        self.places[address] = row["address"].at
        return found

    def _scaled(self, row: Row, target: Point | Method, place: Place) -> PartyPoint:
        scale = self._number(row, "scale", 1.0)
        if scale <= 0:
            self._wrong(row["scale"].at, f"a scale of {scale:g}", "more than 0; turn a value round by sign -1")
            scale = 1.0
        sign = self._sign(row)
        deadband = self._number(row, "deadband", 0.0)
        if deadband < 0:
            self._wrong(row["deadband"].at, f"a deadband of {deadband:g}", "0 or more")
        before = len(self.messages)
        unit, factor = self._unit(row, target)
        known = len(self.messages) == before  # of a unit that is not, steps and spans follow wrongly
        writable = self._writable(row, target)
        low_first = self._choice(row, "words", ("high_first", "low_first")) == "low_first"
        place = replace(place, factor=sign * factor / scale, writable=writable, low_first=low_first)
        if known:
            self._fits(row, target, place)
            self._notices(row, target, deadband, factor)
        description = row["description"].text if "description" in row else ""
        return PartyPoint(target, place, unit, scale, sign, deadband, description or target.description)

    def _address(self, row: Row) -> int | None:
        cell = row.get("address")
        if cell is None or not re.fullmatch(r"[0-9]{1,6}", cell.text) or int(cell.text) > LAST_ADDRESS:
            at = cell.at if cell is not None else row["tag"].at
            text = cell.text if cell is not None else ""
            hint = f"{int(text) - 400_001} if this is a Modicon number" if re.fullmatch(r"4\d{5}", text) else ""
            self._wrong(at, f"'{text}' is no address", f"0 to {LAST_ADDRESS}, as it goes over the wire", hint)
            return None
        return int(cell.text)

    def _type(self, row: Row) -> WireType | None:
        cell = row.get("type")
        text = cell.text.casefold() if cell is not None else ""
        if text in list(WireType):
            return WireType(text)
        short = {"u16": "uint16", "i16": "int16", "u32": "uint32", "i32": "int32", "f32": "float32", "float": "float32"}
        short |= {"u64": "uint64", "f64": "float64", "double": "float64"}
        hint = f"did you mean '{short[text]}'?" if text in short else did_you_mean(text, WireType)
        self._wrong(cell.at if cell is not None else row["tag"].at, f"unknown type '{text}'", one_of(WireType), hint)
        return None

    def _number(self, row: Row, column: str, value: float) -> float:
        """Return a cell's number; `value` where it is empty."""
        cell = row.get(column)
        if cell is None or not cell.text:
            return value
        text = cell.text.replace(",", ".") if re.fullmatch(r"-?[0-9]+,[0-9]+", cell.text) else cell.text
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?", text, re.IGNORECASE):
            self._wrong(cell.at, f"{column} '{cell.text}' is no number", "such as 0.1")
            return value
        return float(text)

    def _sign(self, row: Row) -> int:
        cell = row.get("sign")
        text = cell.text if cell is not None else ""
        if text in {"", "1", "+1", "+"}:
            return 1
        if text not in {"-1", "-"}:
            assert cell is not None, "an absent cell has no text"
            self._wrong(cell.at, f"sign '{text}'", "1 or -1")
        return -1

    def _choice(self, row: Row, column: str, known: tuple[str, ...]) -> str:
        cell = row.get(column)
        if cell is None or not cell.text:
            return known[0]
        if cell.text not in known:
            self._wrong(cell.at, f"{column} can't be '{cell.text}'", one_of(known), did_you_mean(cell.text, known))
        return cell.text

    def _unit(self, row: Row, target: Point | Method) -> tuple[str, float]:
        """Return the unit that the party sees, and how many of it one of ours is."""
        ours = target.unit if isinstance(target, Point) else ""
        cell = row.get("unit")
        if cell is None or cell.text in {"", ours}:
            return ours, 1.0
        theirs, mine = UNITS.get(cell.text), UNITS.get(_OUR_UNITS.get(ours, ours))
        if theirs is None:
            self._wrong(
                cell.at, f"unknown unit '{cell.text}'", "a unit such as MW, kW, %", did_you_mean(cell.text, UNITS)
            )
            return ours, 1.0
        if mine is None or theirs.dimension is not mine.dimension or theirs.offset != mine.offset:
            self._wrong(cell.at, f"{target.tag} can't be shown in {cell.text}", _kind_of(mine, ours))
            return ours, 1.0
        return cell.text, mine.factor / theirs.factor

    def _writable(self, row: Row, target: Point | Method) -> bool:
        cell = row.get("writable")
        text = cell.text.casefold() if cell is not None else ""
        if text not in _YES | _NO:
            assert cell is not None, "an absent cell has no text"
            self._wrong(cell.at, f"writable '{cell.text}'", "yes or no")
        wanted = text in _YES
        if wanted and isinstance(target, Point) and not target.action:
            assert cell is not None, "an absent cell has no text"
            self._wrong(cell.at, f"{target.tag} can't be written", "no")
        return wanted

    def _fits(self, row: Row, target: Point | Method, place: Place) -> None:
        """Arrays and texts have no register; a number must fit its register over its whole span."""
        if isinstance(target, Method):
            if place.type is not WireType.U16 or not place.writable:
                self._wrong(row["type"].at, f"{target.tag} is a command", "uint16, writable: yes")
            return
        if target.type in {PointType.TEXT, PointType.TEXTS, PointType.NUMBERS}:
            self._wrong(row["tag"].at, f"{target.tag} is {target.type.value}: it has no register", "a single number")
            return
        if target.tag == "Plant.MapVersion" and (place.type is not WireType.U32 or place.low_first):
            self._wrong(row["type"].at, "the map version is a checksum of 32 bits", "uint32, high_first")
        span = place.type.span
        if span is None or target.type is not PointType.NUMBER:
            return
        self._fine_enough(row, target, place)
        ends = [target.range_low * place.factor, target.range_high * place.factor]
        if min(ends) < span[0] or max(ends) > span[1]:
            message = f"{target.tag} goes from {target.range_low:g} to {target.range_high:g} {target.unit}:"
            message += f" {min(ends):.0f} to {max(ends):.0f} do not fit {place.type.value}"
            self._wrong(row["type"].at, message, f"{span[0]} to {span[1]}: another type, or a larger scale")

    def _notices(self, row: Row, target: Point | Method, deadband: float, factor: float) -> None:
        """Complain about a deadband behind which most of what a value does would stay unseen."""
        if isinstance(target, Method) or target.type is not PointType.NUMBER:
            return
        most = abs(factor) * (target.range_high - target.range_low) * MOST_OF_SPAN
        if math.isfinite(most) and deadband > most:
            at = row["deadband"].at
            self._wrong(
                at, f"a deadband of {deadband:g} hides a tenth of all that {target.tag} can be", f"at most {most:g}"
            )

    def _fine_enough(self, row: Row, target: Point, place: Place) -> None:
        """Complain about whole numbers that are too far apart: 50 Hz in steps of 1 Hz tells nobody anything."""
        whole, step = target.range_high - target.range_low, abs(1.0 / place.factor)
        if step > _COARSEST.get(target.unit, whole / STEPS_NEEDED) * (1 + 1e-9):
            at = row["scale"].at if row.get("scale", row["type"]).text else row["type"].at
            message = f"{target.tag} would be read in steps of {quantity(step, target.unit)}"
            expected = f"a scale for steps of {quantity(_COARSEST.get(target.unit, whole / STEPS_NEEDED), target.unit)}"
            self._wrong(at, message, f"{expected} or finer, or float32")

    def overlaps(self, found: tuple[PartyPoint, ...]) -> None:
        """Complain about rows that share a register."""
        last: PartyPoint | None = None
        for point in sorted(found, key=lambda p: p.place.address):
            if last is not None and point.place.address < last.place.address + last.place.type.words:
                message = f"{point.target.tag} and {last.target.tag} share register {point.place.address}"
                self._wrong(self.places[point.place.address], message, "registers of its own")
            last = point


def _kind_of(unit: Unit | None, ours: str) -> str:
    return f"a unit of {unit.dimension}, such as {ours}" if unit is not None else "no unit"


def _decimal_comma(header: list[str], cells: list[_Cell]) -> tuple[At, str, str, str] | None:
    """Return what is wrong with a line that a number's comma has parted into one cell too many."""
    if len(cells) <= len(header):
        return None
    for column, (one, other) in zip(header, pairwise(cells), strict=False):
        if column in {"scale", "deadband"} and re.fullmatch(r"-?[0-9]+", one.text) and other.text.isdecimal():
            text = f"{one.text},{other.text}"
            hint = f"write a point ({one.text}.{other.text}), or part the columns by semicolons"
            message = f"{column} has a comma in its number ('{text}'), and commas part the columns"
            return replace(one.at, width=len(text)), message, "a number such as 0.1", hint
    return None


def _cells(file: str, number: int, line: str, delimiter: str) -> list[_Cell]:
    """Return a line's cells with the columns of characters at which they stand."""
    cells, col = [], 1
    for text in next(csv.reader(io.StringIO(line), delimiter=delimiter, strict=True)):
        quoted = line[col - 1 : col] == '"'
        width = len(text) + (2 + text.count('"') if quoted else 0)
        stripped = text.strip()
        lead = 0 if quoted else len(text) - len(text.lstrip())
        cells.append(_Cell(stripped, At(file, number, col + lead, max(1, len(stripped)))))
        col += width + 1
    return cells
