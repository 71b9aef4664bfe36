"""Rows of a maker's point list -> entries: where each value stands and how it is coded, repeated rows folded into one.

Rule for repeats: rows whose names differ only in a number are one entry, if their addresses advance by the same step;
a number behind `rack`, `cluster` or `string` counts racks (a repeated block), any other counts elements (cells). A row
that breaks the step is a complaint at that row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from controller.commissioning.tables import Cell, Complaints
from controller.commissioning.vendor_cells import (
    AddressStyle,
    coding_in_words,
    decimal,
    is_nothing,
    number_of,
    order_in_words,
    parse_address,
    parse_number,
    parse_order,
    parse_pairs,
    parse_table,
    parse_type,
    parse_unit_cell,
)
from controller.commissioning.vendor_columns import VendorTable
from controller.plant.device_loader import words_of
from controller.plant.messages import Complaint

T = TypeVar("T")
_RACK_NUMBER = re.compile(r"((?:rack|cluster|string|bms)[ _#-]*)(\d+)", re.IGNORECASE)
_TITLE_OF_ONE = re.compile(r"\s*((?:rack|cluster)[ _#-]*\d+)\b(?: data| block| registers| values)?\W*", re.IGNORECASE)
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")
_WRITE = re.compile(r"\b(?:write|set to)\s+(\d{1,5})\b", re.IGNORECASE)
"""A command of one value, said in words: `write 1`."""
_STYLES = (
    (r"modicon|plc", AddressStyle.MODICON),
    (r"0 ?-? ?based|zero|pdu|protocol|hex|wire", AddressStyle.ZERO_BASED),
    (r"1 ?-? ?based|one", AddressStyle.ONE_BASED),
)
"""How a heading says that its addresses count."""
MOSTLY_RATIO = 0.8
_CODED = ("unit", "scale", "gain", "exponent", "offset", "order", "type")
"""The columns that say how a value is coded."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the list does not say, said by who imports it."""

    addresses: AddressStyle | None = None
    table: str = ""
    words: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One point. `racks`, `rack_stride`: how often it repeats for racks; `count`, `stride`: its elements.

    `title`: what stands above its rows; `of_rack`: it is a rack's, however often that is.
    """

    cell: Cell  # where its name stands
    name: str
    table: str
    address: int
    type: str
    words: str = ""
    scale: str = ""
    offset: str = ""
    unit: str = ""
    low: str = ""
    high: str = ""
    missing: str = ""
    writable: bool = False
    worn: bool = False
    signal: str = ""
    sign: str = ""
    pairs: tuple[tuple[int, str], ...] = ()
    values_cell: Cell | None = None
    comment: str = ""
    count: int = 1
    stride: int = 0
    racks: int = 1
    rack_stride: int = 0
    title: str = ""
    of_rack: bool = False

    @property
    def width(self) -> int:
        """Registers of one element."""
        return words_of(self.type) or 1


def entries_of(table: VendorTable, options: Options, complaints: Complaints) -> list[Entry]:
    """Return the entries of a list, repeated rows folded."""
    style = _style(table, options, complaints)
    if table.column("type") is None and not options.type:
        heading = table.columns[0].heading
        complaints.add(heading, "the list does not say the data type of its values",
                       "a column Type, or --type float32 (uint16, int32, ...) if all have one")  # fmt: skip
        return []
    if style is None:
        return []
    reader = _Reader(table, options, style, complaints)
    entries = [entry for row in range(len(table.rows)) if (entry := reader.entry(row)) is not None]
    return _folded(_folded(entries, complaints, racks=True), complaints, racks=False)


def _style(table: VendorTable, options: Options, complaints: Complaints) -> AddressStyle | None:
    """Return how the list counts: as told, as its heading says, as its numbers show; else ask."""
    if options.addresses is not None:
        return options.addresses
    column = table.column("address")
    remark = column.remark if column else ""
    for pattern, style in _STYLES:
        if re.search(pattern, remark):
            return style
    cells = [table.cell(row, "address") for row in range(len(table.rows))]
    numbers = [c for c in cells if c.text]
    modicon = [c for c in numbers if re.match(r"[134]\d{4,5}(?!\d)", c.text)]
    if modicon and _has_registers(modicon):
        if len(modicon) == len(numbers):
            return AddressStyle.MODICON
        if len(modicon) >= MOSTLY_RATIO * len(numbers):
            odd = next(c for c in numbers if c not in modicon)
            message = f"'{odd.text}' does not count as the other addresses do, such as {modicon[0].text}"
            complaints.add(odd, message, "one way of counting in one list", "mend it, or say --addresses")
            return None
    if numbers and all(re.match(r"0x[0-9a-f]+|[0-9a-f]+h\b", c.text, re.IGNORECASE) for c in numbers):
        return AddressStyle.ZERO_BASED
    if any(number_of(c.text) == 0 for c in numbers):
        return AddressStyle.ZERO_BASED
    where = numbers[0] if numbers else (column.heading if column else "")
    complaints.add(where, "the list does not say how it counts its addresses",
                   "--addresses zero_based, one_based or modicon", "read one known register to find out")  # fmt: skip
    return None


def _has_registers(numbers: list[Cell]) -> bool:
    """Whether some of the numbers are of registers: 1xxxx alone are bits, or addresses that happen to begin so."""
    return any(cell.text[0] in "34" for cell in numbers)


_WHICH = re.compile(r"total|sum|average|avg|mean|(?:l|phase ?)?[123abc](?:[- /]?(?:n|l?[123]|[abc]))?", re.IGNORECASE)
"""A description that says only which of several values a row is: `L1`, `total`."""


class _Reader:
    """Reads one row after the other; complains at their cells."""

    def __init__(self, table: VendorTable, options: Options, style: AddressStyle, complaints: Complaints) -> None:
        self.table, self.options, self.style, self.complaints = table, options, style, complaints
        column = table.column("address")
        self.is_hex = "hex" in (column.remark if column else "")
        self._scalings: dict[tuple[str, ...], Entry] = {}
        names = [table.cell(row, "name").text for row in range(len(table.rows))]
        self._shared = {name for name, count in Counter(names).items() if count > 1}

    def entry(self, row: int) -> Entry | None:
        """Return the entry of a row, None with complaints."""
        before = len(self.complaints.lines)
        self._whole(row)
        name = self.table.cell(row, "name")
        name = name if name.text else self.table.cell(row, "description")
        if not name.text:
            self.complaints.add(name, "the row has no name", "a name or a description")
            return None
        entry = self._placed(row, name)
        if self.table.cell(row, "signal").text == "-" and entry is None:
            del self.complaints.lines[before:]  # it is left out, so it need not be read
        return entry if entry is not None and len(self.complaints.lines) == before else None

    def _whole(self, row: int) -> None:
        """Complain about a row of more cells than the header has: what was parted from a text would be lost."""
        surplus = self.table.surplus(row)
        if surplus is not None:
            heading = self.table.columns[-1].heading.text
            message = f"the row has more cells than the header; '{surplus.text}' stands behind the last, '{heading}'"
            hint = "a text that holds the file's own delimiter, such as a ';', stands in quotes"
            self.complaints.add(surplus, message, "as many cells as the header has", hint)

    def _placed(self, row: int, name: Cell) -> Entry | None:
        at = self.table.cell(row, "address")
        address = self._taken(at, parse_address(at.text, self.style, is_hex=self.is_hex))
        length_cell = self.table.cell(row, "length")
        length = number_of(length_cell.text)
        kind = self._type(row, length if length is not None else _span(address))
        table = self._table(row, address.table if address else "")
        scaled = self._scaling(row)
        if address is None or kind is None or table is None:
            return None
        span = length if length is not None else _span(address)
        count = self._count(row, span, words_of(kind), length_cell if length is not None else at)
        title, description = self.table.titles[row], self.table.cell(row, "description").text
        which = name.text in self._shared or _WHICH.fullmatch(description.strip())
        whole = f"{name.text} {description}".strip() if which else name.text
        return self._described(row, replace(scaled, cell=name, name=_named(whole, title), table=table, title=title,
                                            address=address.first, type=kind, count=count))  # fmt: skip

    def _taken(self, cell: Cell, value: T | Complaint) -> T | None:
        if isinstance(value, Complaint):
            self.complaints.add(cell, value.message, value.expected, value.hint)
            return None
        return value

    def _type(self, row: int, length: int | None) -> str | None:
        cell = self.table.cell(row, "type")
        return self._taken(cell, parse_type(cell.text or self.options.type, length))

    def _table(self, row: int, by_number: str) -> str | None:
        cell = self.table.cell(row, "table")
        by_cell = self._taken(cell, parse_table(cell.text))
        if by_cell is None:
            return None
        if by_cell and by_number and by_cell != by_number:
            self.complaints.add(
                cell, f"function {cell.text} reads {by_cell}, the address says {by_number}", "one of them"
            )
            return None
        found = by_cell or by_number or self.options.table
        if not found:
            self.complaints.add(self.table.cell(row, "address"), "it is not said which table it stands in",
                                "a column with the function code, or --table holding or input")  # fmt: skip
        return found or None

    def _count(self, row: int, span: int | None, width: int, cell: Cell) -> int:
        stated = number_of(self.table.cell(row, "count").text)
        if span is None or not width or span == width:
            return stated or 1
        if span % width or (stated is not None and stated * width != span):
            self.complaints.add(
                cell, f"{span} registers do not hold whole values of {width}", f"{width}, or a multiple"
            )
        return span // width

    def _scaling(self, row: int) -> Entry:
        """Return what rows that are coded alike say of it, worked out once."""
        coded = tuple(self.table.cell(row, role).text for role in _CODED)
        found, before = self._scalings.get(coded), len(self.complaints.lines)
        if found is None:
            found = self._scaled(row)
            if len(self.complaints.lines) == before:
                self._scalings[coded] = found
        return found

    def _scaled(self, row: int) -> Entry:
        """Return an entry that knows only its unit, scale, offset and word order."""
        unit_cell = self.table.cell(row, "unit")
        unit, scale = self._taken(unit_cell, parse_unit_cell(unit_cell.text)) or ("", Fraction(1))
        scale *= self._factor(row)
        offset = self.table.cell(row, "offset")
        shift = Fraction(0) if is_nothing(offset.text) else self._taken(offset, parse_number(offset.text))
        orders = [self.table.cell(row, role) for role in ("order", "type")]
        order = next((found for cell in orders if (found := self._taken(cell, parse_order(cell.text)))), "")
        return Entry(unit_cell, "", "", 0, "", order or self.options.words, "" if scale == 1 else decimal(scale),
                     decimal(shift) if shift else "", unit)  # fmt: skip

    def _factor(self, row: int) -> Fraction:
        factor = Fraction(1)
        for role in ("scale", "gain", "exponent"):
            cell = self.table.cell(row, role)
            if is_nothing(cell.text):
                continue
            value = self._taken(cell, parse_number(cell.text))
            if value is None:
                continue
            column = self.table.column(role)
            if role == "exponent":
                decimals = column is not None and "decimal" in column.remark
                factor *= Fraction(10) ** int(-value if decimals else value)
            elif value == 0:
                self.complaints.add(cell, "a scale of 0 would make every value 0", "such as 0.1")
            elif role == "gain" and abs(value) < 1:  # lists divide by a gain; by such a one they hardly mean to
                self.complaints.add(cell, "this gain can be read two ways", "a column scale, or a divisor such as 10")
            else:
                factor = factor / value if role == "gain" else factor * value
        return factor

    def _described(self, row: int, entry: Entry) -> Entry:
        values, access = self.table.cell(row, "values"), self.table.cell(row, "access").text.casefold()
        description = self.table.cell(row, "description")
        pairs, left = parse_pairs(values.text)
        if not values.text:
            texts = [description, *(cell for _, cell in self.table.unknown(row))]
            values = next((cell for cell in texts if parse_pairs(cell.text)[0]), description)
            pairs, left = parse_pairs(values.text)[0], ""  # what is left stands in the comment anyway
            if not pairs and (told := next((m for cell in texts if (m := _WRITE.search(cell.text))), None)):
                pairs = {int(told[1]): entry.name}
        entry = self._in_words(row, entry)
        low, high = self._limits(row)
        missing = self.table.cell(row, "missing").text
        notes = [
            description.text if description.text != entry.name else "",
            *(f"{column.heading.text}: {cell.text}" for column, cell in self.table.unknown(row)),
            f"values: {left}" if left else "",
        ]
        comment = " · ".join(" ".join(note.split()) for note in (entry.name, *notes) if note)
        everything = f"{comment} {access}".casefold()
        return replace(
            entry,
            words=entry.words if entry.width > 1 and not entry.type.startswith("string") else "",
            low=low,
            high=high,
            missing="" if is_nothing(missing) else missing,
            writable="w" in access or "write" in access or "rw" in access,
            worn=bool(re.search(r"eeprom|flash|persist|non ?volatile|\bnv\b", everything)),
            signal=self.table.cell(row, "signal").text,
            sign=self.table.cell(row, "sign").text,
            pairs=tuple(pairs.items()),
            values_cell=values,
            comment=comment,
        )

    def _in_words(self, row: int, entry: Entry) -> Entry:
        """Return the entry with what only its name or its notes say of its coding: unit, scale, which word is first."""
        notes = [cell.text for column, cell in self.table.unknown(row)]
        if not entry.words:
            order = next((found for text in notes if (found := order_in_words(text))), "")
            entry = replace(entry, words=order)
        if entry.unit or self.table.column("unit") is not None:
            return entry
        for text in (entry.name, *notes):
            unit, scale = coding_in_words(text)
            if unit:
                scale *= Fraction(entry.scale or "1")
                return replace(entry, unit=unit, scale="" if scale == 1 else decimal(scale))
        return entry

    def _limits(self, row: int) -> tuple[str, str]:
        span = self.table.cell(row, "range").text
        ends = re.fullmatch(r"\s*\[?\s*([+-]?[\d.,]+)\s*(?:\.\.+|~|–|to|/|;|\s-\s|-)\s*([+-]?[\d.,]+)\s*\]?\s*", span)
        low, high = (
            (ends[1], ends[2]) if ends else (self.table.cell(row, "minimum").text, self.table.cell(row, "maximum").text)
        )
        return low, high


def _named(name: str, title: str) -> str:
    """Return a name with the rack of the title that it stands under: `Rack 2` over `Voltage` is `Rack 2 Voltage`."""
    rack = _TITLE_OF_ONE.fullmatch(title)
    return f"{rack[1]} {name}" if rack and not _RACK_NUMBER.search(name) else name


def _span(address: object) -> int | None:
    last, first = getattr(address, "last", None), getattr(address, "first", 0)
    return None if last is None else last - first + 1


# -------------------------------------------------------------------------------------------------------------- repeats


def _folded(entries: Iterable[Entry], complaints: Complaints, *, racks: bool) -> list[Entry]:
    """Fold rows whose names differ only in a number."""
    families: dict[tuple[str, str, str], list[tuple[int, Entry]]] = {}
    for entry in entries:
        pattern = _RACK_NUMBER if racks else _LAST_NUMBER
        matched = pattern.search(entry.name)
        number = int(matched[2 if racks else 1]) if matched else -1
        stem = pattern.sub(lambda m: (m[1] if racks else "") + "#", entry.name, count=1)
        families.setdefault((stem, entry.table, entry.type), []).append((number, entry))
    return [one for members in families.values() for one in _family(members, complaints, racks=racks)]


def _family(members: list[tuple[int, Entry]], complaints: Complaints, *, racks: bool) -> list[Entry]:
    if len(members) < (2 if racks else 3) or members[0][0] < 0:
        return [entry for _, entry in members]
    first = members[0][1]
    step = members[1][1].address - first.address
    for place, (number, entry) in enumerate(members):
        expected = first.address + place * step
        if number != members[0][0] + place or entry.address != expected or step < entry.width:
            message = f"{entry.name} stands at {entry.address}; after {members[0][1].name} every {step} registers"
            complaints.add(entry.cell, message, f"{expected}, or names that do not count")
            return []
    if racks:
        return [replace(first, racks=len(members), rack_stride=step)]
    return [replace(first, count=len(members), stride=0 if step == first.width else step)]
