"""Tables as people send them: CSV of any delimiter and XLSX of any number of sheets, every cell with its reference.

A cell keeps the text that its writer saw; its reference is the one a spreadsheet shows (`Sheet1!D17`; for CSV the
file's name stands for the sheet). A formula whose result is not stored would be lost, so it is refused.
"""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from controller.plant.text_coding import coding_of

DELIMITERS = ";,\t|"
BINARY = {".xlsx", ".xlsm"}
OLD_OFFICE = bytes.fromhex("d0cf11e0a1b11ae1")
"""How files of the old Office formats begin; a workbook with a password is packed in one, too."""


class TableError(ValueError):
    """A table that can't be read: names the file or the cell, what is wrong, what is expected."""


class Cell(NamedTuple):
    """What stands in a cell, and where."""

    text: str
    ref: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: rows of cells. `decimal_comma`: numbers may be written `0,1`."""

    name: str
    rows: list[list[Cell]]


@dataclass(slots=True)
class Complaints:
    """What is wrong with a table, cell by cell."""

    lines: list[str] = field(default_factory=list)

    def add(self, cell: Cell | str, message: str, expected: str = "", hint: str = "") -> None:
        """Add a complaint at a cell."""
        ref = cell.ref if isinstance(cell, Cell) else cell
        more = "".join(f"\n       = {what}: {text}" for what, text in (("expected", expected), ("hint", hint)) if text)
        self.lines.append(f"{ref}: error: {message}{more}")


def told(complaints: Complaints) -> str:
    """Return all complaints; one that is made at many cells alike is told once, with their number."""
    alike: dict[str, list[str]] = {}
    for line in complaints.lines:
        ref, _, text = line.partition(": error: ")
        alike.setdefault(text, []).append(ref)
    return "\n\n".join(_told(text, refs) for text, refs in alike.items())


def _told(text: str, refs: list[str]) -> str:
    message, _, rest = text.partition("\n")
    more = f" (and at {len(refs) - 1} more cells, to {refs[-1]})" if len(refs) > 1 else ""
    return f"{refs[0]}: error: {message}{more}" + (f"\n{rest}" if rest else "")


def read_sheets(path: Path) -> list[Sheet]:
    """Return the sheets of a CSV or XLSX file.

    Raises:
        TableError: it can't be read, or holds a formula without its result.
    """
    if not path.is_file():
        raise TableError(f"{path}: there is no such file; expected a .csv or .xlsx")
    return _read_workbook(path) if path.suffix.lower() in BINARY else [_read_csv(path)]


def column_letter(index: int) -> str:
    """Return a column's letters: 0 = A, 26 = AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def write_sheets(path: Path, sheets: Mapping[str, Iterable[Sequence[object]]]) -> None:
    """Write rows as an XLSX workbook, or (one sheet after the other) as CSV."""
    if path.suffix.lower() in BINARY:
        _write_workbook(path, sheets)
        return
    path.write_text("".join(as_csv(rows) for rows in sheets.values()), encoding="utf-8")


def as_csv(rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    """Return rows as CSV."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _read_csv(path: Path) -> Sheet:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode(coding_of(data), errors="replace")
    if "\0" in text:
        raise TableError(f"{path}: this is no text; expected CSV, or a workbook that ends in .xlsx")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise TableError(f"{path}:{endless_cell(text)}") from error
    return Sheet(path.name, _cells(path.name, rows))


def endless_cell(text: str) -> str:
    """Return at which line of a CSV that can't be read a cell begins that does not end, and how to mend it."""
    reader, line = csv.reader(io.StringIO(text, newline="")), 1
    with contextlib.suppress(csv.Error):
        for _ in reader:
            line = reader.line_num + 1
    most = csv.field_size_limit()
    return f'{line}: a cell begins here that is longer than {most:,} characters; is a quote (") never closed?'


def _delimiter(text: str) -> str:
    """Return what separates the columns: the mark that most lines have equally often, outside of quotes."""
    lines = [line for line in text.splitlines() if line.strip()][:200]

    def agreement(mark: str) -> int:
        counts = [len(row) for row in csv.reader(lines, delimiter=mark)]
        usual = max(set(counts), key=counts.count, default=1)
        return counts.count(usual) * usual if usual > 1 else 0

    return max(DELIMITERS, key=agreement)


def _cells(name: str, rows: Sequence[Sequence[object]]) -> list[list[Cell]]:
    columns = [f"{name}!{column_letter(k)}" for k in range(max(map(len, rows), default=0))]
    return [
        [Cell(_text(value), f"{column}{number}") for column, value in zip(columns, row, strict=False)]
        for number, row in enumerate(rows, start=1)
    ]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.replace("\r\n", "\n").strip()
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _read_workbook(path: Path) -> list[Sheet]:
    shown, written = _workbook(path, values=True), _workbook(path, values=False)
    sheets = []
    for name, rows in shown.items():
        cells = _cells(name, rows)
        for row, formulas in zip(cells, written[name], strict=False):
            for cell, formula in zip(row, formulas, strict=False):
                if not cell.text and isinstance(formula, str) and formula.startswith("="):
                    raise TableError(f"{cell.ref}: a formula without its result; open and save the file, or use values")
        sheets.append(Sheet(name, cells))
    return sheets


def _workbook(path: Path, *, values: bool) -> dict[str, list[tuple[Any, ...]]]:
    import openpyxl  # noqa: PLC0415 - slow to load, and only for workbooks

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=values)
        try:
            return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
        finally:
            book.close()
    except Exception as error:
        raise TableError(f"{path}: {_no_workbook(path)}; expected .xlsx, as a spreadsheet saves it, or CSV") from error


def _no_workbook(path: Path) -> str:
    """Return in the words of people why a file is no workbook."""
    with path.open("rb") as file:
        begin = file.read(8)
    if begin == OLD_OFFICE:
        return "this is a workbook of the old kind (.xls), or one with a password"
    if not zipfile.is_zipfile(path):
        return "this is no workbook, or one that was cut off"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    is_workbook = any(name.startswith("xl/") for name in names)
    return "this workbook is damaged" if is_workbook else "this is a zip archive, but no workbook is in it"


def _write_workbook(path: Path, sheets: Mapping[str, Iterable[Sequence[object]]]) -> None:
    import openpyxl  # noqa: PLC0415 - as above

    book = openpyxl.Workbook(write_only=True)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
