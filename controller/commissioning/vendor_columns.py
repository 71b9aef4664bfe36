"""Which column of a maker's point list is what: the headings of the field, in the languages they come in.

A heading is folded to lower case without punctuation before it is looked up; what stands in brackets behind it
(`Address (hex)`, `Register [1-based]`) is kept as a remark. A column that nothing here knows is not lost: its cells go
into the comment of their row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from controller.commissioning.tables import Cell, Sheet
from controller.commissioning.vendor_notes import is_remark, repetition_of

HEADINGS: dict[str, tuple[str, ...]] = {
    "signal": ("signal", "our signal"),
    "name": ("name", "point name", "signal name", "parameter", "parameter name", "tag", "variable", "data name", "item",
             "register name", "point", "data point", "bezeichnung", "nom", "nombre", "variable eng unit", "measurand",
             "messwert", "measurement"),
    "description": ("description", "desc", "explanation", "definition", "meaning", "beschreibung", "content",
                    "details"),
    "address": ("address", "addr", "register", "reg", "register address", "modbus address", "start address", "modicon",
                "modicon address", "register number", "start register", "modbus register", "register no", "reg no",
                "reg addr", "reg address", "register addr", "reg number", "address no", "address dec", "dec address",
                "pdu address", "protocol address", "adresse", "direccion", "plc address", "hex address", "address hex",
                "start reg", "registeradresse", "register adresse", "start adresse", "physical address"),
    "table": ("fc", "function", "function code", "read function", "register type", "area", "table", "object type",
              "modbus function", "fcode", "read fc", "funktion", "object"),
    "type": ("type", "data type", "format", "datatype", "data format", "datentyp", "register format", "var type"),
    "length": ("length", "size", "words", "number of registers", "no of registers", "registers", "register count",
               "len", "register length", "quantity", "word count", "num registers", "nr of registers", "lange"),
    "order": ("word order", "byte order", "endianness", "endian", "order"),
    "scale": ("scale", "factor", "multiplier", "resolution", "scale factor", "scaling", "faktor", "coefficient",
              "precision", "conversion factor", "lsb", "ratio", "res", "auflosung", "skalierung"),
    "gain": ("gain", "divisor", "divide by", "denominator"),
    "exponent": ("sf", "exponent", "scale exponent", "decimals", "decimal places"),
    "offset": ("offset", "value offset", "bias"),
    "unit": ("unit", "units", "einheit", "uom", "engineering unit", "eu"),
    "access": ("access", "rw", "r w", "read write", "zugriff", "rights", "attribute", "permission", "mode",
               "direction"),
    "values": ("values", "enum", "enumeration", "bit definition", "bits", "states", "data definition", "encoding",
               "value description", "enum values", "options", "coding"),
    "minimum": ("min", "minimum", "lower limit", "low"),
    "maximum": ("max", "maximum", "upper limit", "high"),
    "range": ("range", "value range", "valid range"),
    "missing": ("missing", "invalid", "invalid value", "nan", "na value", "not available"),
    "sign": ("sign", "sign convention"),
    "count": ("count", "elements", "array", "array size", "number of elements"),
}  # fmt: skip
ROLE_OF = {heading: role for role, headings in HEADINGS.items() for heading in headings}
ENOUGH = 3
"""Known headings that make a row the header of a table."""
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its role ("" = unknown), its heading as written, the remark in brackets."""

    role: str
    heading: Cell
    remark: str


@dataclass(frozen=True)
class VendorTable:
    """A point list: its columns and its rows; `asides`: texts above the header and between the rows.

    `titles`: under which title each row stands, "" if under none.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    asides: tuple[str, ...]
    titles: tuple[str, ...]

    @cached_property
    def _columns_of(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for position, column in enumerate(self.columns):
            found.setdefault(column.role, []).append(position)
        return found

    def cell(self, row: int, role: str) -> Cell:
        """Return the first filled cell of a role in a row; an empty one at the right place if there is none."""
        cells, nearest = self.rows[row], None
        for position in self._columns_of.get(role, ()):
            if position < len(cells):
                if cells[position].text:
                    return cells[position]
                nearest = nearest or cells[position]
        return nearest or Cell("", cells[0].ref)

    def column(self, role: str) -> Column | None:
        """Return the first column of a role."""
        return next((c for c in self.columns if c.role == role), None)

    def surplus(self, row: int) -> Cell | None:
        """Return a row's first filled cell under no heading at all: a text with the file's own delimiter was parted."""
        cells = self.rows[row]
        return next((cell for cell in cells[len(self.columns) :] if cell.text), None)

    def unknown(self, row: int) -> Iterator[tuple[Column, Cell]]:
        """Yield what stands in columns that are not used: unknown ones, and second ones of a role."""
        seen: set[str] = set()
        for column, cell in zip(self.columns, self.rows[row], strict=False):
            used = bool(column.role) and column.role not in seen
            if cell.text and not used:
                yield column, cell
            if cell.text:
                seen.add(column.role)


def vendor_tables(sheets: Sequence[Sheet]) -> tuple[list[VendorTable], list[str]]:
    """Return the point lists of a file's sheets, and the names of sheets that hold none."""
    tables, without = [], []
    for sheet in sheets:
        found = _table(sheet, sheet.name if len(sheets) > 1 else "")
        if found is None:
            if any(c.text for row in sheet.rows for c in row):
                without.append(sheet.name)
        else:
            tables.append(found)
    return tables, without


def likeliest_header(sheets: Sequence[Sheet]) -> str:
    """Return what is said of the row that is most like a header though no list begins there, "" if none is like one."""
    rows = [tuple(_column(cell) for cell in row if cell.text) for sheet in sheets for row in sheet.rows]
    row = max(rows, key=lambda columns: len({c.role for c in columns if c.role}), default=())
    known = [c.heading.text for c in row if c.role]
    if len(known) < ENOUGH - 1:
        return ""
    unknown = [f"'{c.heading.text}'" for c in row if not c.role]
    lacks = "" if any(c.role == "address" for c in row) else "; none says the address"
    rest = f", not {', '.join(unknown[:SHOWN])}" if unknown else ""
    return f"{row[0].heading.ref} looks like a header: {', '.join(known[:SHOWN])} are understood{rest}{lacks}"


def _table(sheet: Sheet, title: str) -> VendorTable | None:
    for number, row in enumerate(sheet.rows):
        columns = _as_its_cells_say(tuple(_column(cell) for cell in row), sheet.rows[number + 1 :])
        roles = {c.role for c in columns if c.role}
        if len(roles) >= ENOUGH and "address" in roles:
            above = [c.text for other in sheet.rows[:number] for c in other if c.text]
            return _filled(columns, sheet.rows[number + 1 :], above, title)
    return None


def _as_its_cells_say(columns: tuple[Column, ...], below: Sequence[Sequence[Cell]]) -> tuple[Column, ...]:
    """Return the columns, headings of two meanings read by what stands below them.

    `Quantity` is a number of registers or what is measured; `Offset` is an address where no other column is one.
    """
    roles = {column.role for column in columns}
    changed = list(columns)
    for position, column in enumerate(columns):
        heading = _folded(column.heading.text)
        cells = [row[position].text for row in below if position < len(row) and row[position].text]
        if heading == "quantity" and cells and not any(text[:1].isdigit() for text in cells) and "name" not in roles:
            changed[position] = Column("name", column.heading, column.remark)
        if heading == "offset" and "address" not in roles and cells and all(text.isdecimal() for text in cells):
            changed[position] = Column("address", column.heading, column.remark)
    return tuple(changed)


def _filled(columns: tuple[Column, ...], below: Sequence[Sequence[Cell]], above: list[str], title: str) -> VendorTable:
    rows, titles, asides = [], [], above
    for row in below:
        filled = [c for c in row if c.text]
        if _is_aside(filled):
            asides.append(", ".join(c.text for c in filled))
            title = title if is_remark(asides[-1]) else asides[-1]
        elif filled:
            rows.append(tuple(row))
            titles.append(title)
    return VendorTable(columns, tuple(rows), tuple(asides), tuple(titles))


def _is_aside(filled: list[Cell]) -> bool:
    """Whether a row is a text and no point: one cell alone, or a note that the file's commas have parted."""
    if len(filled) == 1 and not any(c.isdigit() for c in filled[0].text[:3]):
        return True
    return 1 <= len(filled) < ENOUGH and repetition_of(", ".join(c.text for c in filled)) is not None


def _column(cell: Cell) -> Column:
    matched = re.fullmatch(r"(.*?)\s*[\(\[](.*)[\)\]]\s*", cell.text, re.DOTALL)
    base, remark = (matched[1], matched[2]) if matched and matched[1].strip() else (cell.text, "")
    folded = _folded(base)
    role = ROLE_OF.get(folded) or ROLE_OF.get(_folded(cell.text)) or ""
    return Column(role, cell, f"{remark} {folded}".strip().lower())


def _folded(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.casefold().replace("ä", "a").replace("é", "e")).split())
