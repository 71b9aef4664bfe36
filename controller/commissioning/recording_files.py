"""Recordings on disk: csv or parquet tables read by column, mapped and flipped to the names of the interface."""

from __future__ import annotations

import csv
import importlib
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.commissioning.tables import endless_cell

Floats = NDArray[np.float64]

CELL_PREFIX = "cell_voltage_v_"
SENSOR_PREFIX = "cell_temperature_degc_"
NAMES = ("time_s", "current_a", "voltage_v", "temperature_degc", "charge_ah")
SECOND = np.timedelta64(1, "s")
CSV_DIGITS, CSV_TIME_DIGITS = 9, 13
"""Times since 1970 need more digits than measurements."""


class FileError(ValueError):
    """A file that can't be read or lacks a column; names the file, what is wrong and what is expected."""


class Columns(dict[str, Floats]):
    """Columns of numbers by name; `others` says what stands in each column that holds none."""

    def __init__(self, numbers: Mapping[str, Floats], others: Mapping[str, str]) -> None:
        """Take columns as they are."""
        super().__init__(numbers)
        self.others = dict(others)


def read_columns(path: Path) -> Columns:
    """Return the columns of a csv or parquet file; an empty or unreadable number is NaN.

    Times as ISO 8601 or as timestamps become seconds since 1970; those without an offset count as UTC.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if path.suffix == ".csv":
        return _read_csv(path)
    raise FileError(f"{path}: expected a file that ends in .csv or .parquet")


def _read_parquet(path: Path) -> Columns:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise FileError(f"{path}: parquet needs the extra 'tools' (pip install bess-controller[tools])") from error
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: not readable as parquet: {error}") from error
    return _sorted_out({name: _of_parquet(table[name]) for name in table.column_names})


def _sorted_out(columns: Mapping[str, Floats | str]) -> Columns:
    """Return the columns of numbers apart from the others, of which a word says what they hold."""
    numbers = {name: values for name, values in columns.items() if not isinstance(values, str)}
    return Columns(numbers, {name: held for name, held in columns.items() if isinstance(held, str)})


def _of_parquet(column: Any) -> Floats | str:  # noqa: ANN401 - pyarrow is not typed
    """Return a column's numbers, or what it holds instead of any."""
    values = column.to_numpy()
    match values.dtype.kind:
        case "f" | "i" | "u":
            return np.asarray(values, dtype=np.float64)
        case "M":
            return np.asarray((values - np.datetime64(0, "s")) / SECOND, dtype=np.float64)
        case "m":
            return np.asarray(values / SECOND, dtype=np.float64)
    known = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in known):
        return _of_texts(["" if value is None else str(value) for value in values])
    if all(isinstance(value, Decimal) for value in known):
        return np.array([np.nan if value is None else float(value) for value in values])
    return f"values of the type {column.type}"


def _read_csv(path: Path) -> Columns:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: this is no text in UTF-8; expected csv, or a file that ends in .parquet") from error
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or 'can not be read'}") from error
    delimiter = _delimiter(text.partition("\n")[0])
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise FileError(f"{path}:{endless_cell(text)}") from error
    if len(rows) < 2:
        raise FileError(f"{path}: expected a header line and rows")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise FileError(f"{path}:{number}: expected {len(names)} fields, got {len(row)}")
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise FileError(f"{path}:1: two columns have the name {twice[0]!r}; expected each name once")
    _turn_commas(rows, path)
    return _sorted_out({name: _of_texts([row[k] for row in rows[1:]]) for k, name in enumerate(names)})


def _of_texts(texts: Sequence[str]) -> Floats | str:
    """Return a column's numbers or its times in s since 1970; an example where it holds neither."""
    numbers = np.array([_number(text) for text in texts])
    held = [text.strip() for text in texts if text.strip()]
    if not held or not np.isnan(numbers).all() or {text.lower() for text in held} <= NO_NUMBERS:
        return numbers
    try:
        return np.array([_instant_s(text) if text.strip() else np.nan for text in texts])
    except ValueError:
        return f"text such as {held[0]!r}"


NO_NUMBERS = {"nan", "na", "n/a", "null", "none", "-", "--"}
"""What is written for a value that is missing."""


def _instant_s(text: str) -> float:
    at = datetime.fromisoformat(text.strip())
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _delimiter(header: str) -> str:
    """Return what separates the columns: a semicolon or a tab where the header has one, else a comma."""
    return next((mark for mark in ";\t" if mark in header), ",")


_COMMA, _POINT = (re.compile(rf"\s*[+-]?\d*{mark}\d+(?:[eE][+-]?\d+)?\s*") for mark in (",", r"\."))


def _turn_commas(rows: list[list[str]], path: Path) -> None:
    """Turn decimal commas into points, as spreadsheets write them beside semicolons; refuse a file that has both."""
    first: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        for k, text in enumerate(row):
            mark = "," if _COMMA.fullmatch(text) else "." if _POINT.fullmatch(text) else ""
            if mark and first.setdefault(mark, f"{number}: '{text.strip()}'") and len(first) > 1:
                raise FileError(
                    f"{path}:{first[',']} has a decimal comma and {first['.']} a point; expected one of them"
                )
            if mark == ",":
                row[k] = text.replace(",", ".")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def mapped(columns: Columns, mapping: str, path: Path) -> Columns:
    """Return the columns under the interface's names after `time_s=t_s,current_a=-I_A`: renamed, flipped by a minus."""
    out = Columns(columns, columns.others)
    taken = {name: name for name in columns}
    for pair in filter(None, (part.strip() for part in mapping.split(","))):
        name, equals, source = (text.strip() for text in pair.partition("="))
        flipped = source.startswith("-")
        source = source.removeprefix("-")
        if not equals or not _is_known(name):
            known = ", ".join((*NAMES, f"{CELL_PREFIX}000", f"{SENSOR_PREFIX}000"))
            raise FileError(f"--columns {pair!r}: expected NAME=COLUMN, NAME one of {known}")
        taken[name] = source
        if source in columns:
            out[name] = -columns[source] if flipped else columns[source]
        elif source in columns.others:
            out.pop(name, None)
            out.others[name] = columns.others[source]
        else:
            raise FileError(f"{path}: column {source!r} of the mapping {pair!r} is not there; it has {_names(columns)}")
    _check_used_once(taken, path)
    return out


def _check_used_once(source_of: Mapping[str, str], path: Path) -> None:
    """Refuse a column that would be two quantities."""
    quantity_of: dict[str, str] = {}
    for name, source in source_of.items():
        if not _is_known(name):
            continue
        quantity = name.removeprefix("cell_").rstrip("0123456789_")
        if quantity_of.setdefault(source, quantity) != quantity:
            raise FileError(f"{path}: column {source!r} is taken for {quantity_of[source]} and for {quantity}")


def _is_known(name: str) -> bool:
    return name in NAMES or any(
        name.startswith(prefix) and name[len(prefix) :].isdigit() for prefix in (CELL_PREFIX, SENSOR_PREFIX)
    )


def _names(columns: Columns) -> list[str]:
    return sorted([*columns, *columns.others])


def column(columns: Columns, name: str, path: Path) -> Floats:
    """Return a column that must be there and hold numbers."""
    if name in columns:
        return columns[name]
    if name not in columns.others:
        raise FileError(f"{path}: column {name!r} is missing; it has {_names(columns)}; map others with --columns")
    expected = "s, or times as 2026-03-29T01:00:00Z" if name == "time_s" else "numbers"
    raise FileError(f"{path}: column {name!r} holds {columns.others[name]}; expected {expected}")


def numbered(columns: Columns, prefix: str, path: Path) -> Floats | None:
    """Return the columns prefix000, prefix001 ... as [row, number]; None where there is none, FileError at a hole."""
    found = {
        int(name[len(prefix) :]): name
        for name in _names(columns)
        if name.startswith(prefix) and name[len(prefix) :].isdigit()
    }
    names = [found[number] for number in sorted(found)]
    if (hole := next((k for k in range(len(found)) if k not in found), None)) is not None:
        raise FileError(
            f"{path}: {prefix}{hole:03d} is missing; number them from 000 on without a hole (empty: no value)"
        )
    return np.stack([column(columns, name, path) for name in names], axis=1) if names else None


def write_columns(path: Path, columns: dict[str, Floats | list[str]]) -> None:
    """Write columns to csv or parquet, as the file's name says."""
    if path.suffix == ".parquet":
        try:
            arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise FileError(f"{path}: parquet needs the extra 'tools'") from error
        parquet.write_table(arrow.table(columns), path, compression="zstd")
        return
    if path.suffix != ".csv":
        raise FileError(f"{path}: expected a file that ends in .csv or .parquet")
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines)
        writer.writerow(columns)
        writer.writerows(zip(*(_texts(name, values) for name, values in columns.items()), strict=True))


def _texts(name: str, values: Floats | list[str]) -> list[str]:
    if isinstance(values, list):
        return values
    digits = CSV_TIME_DIGITS if name == "time_s" else CSV_DIGITS
    return [f"{value:.{digits}g}" if np.isfinite(value) else ("" if np.isnan(value) else "inf") for value in values]
