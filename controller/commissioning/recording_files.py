"""Recordings on disk: csv or parquet tables read by column, mapped and flipped to the names of the interface."""

from __future__ import annotations

import csv
import importlib
import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.commissioning.tables import endless_cell

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

CELL_PREFIX = "cell_voltage_v_"
SENSOR_PREFIX = "cell_temperature_degc_"


class FileError(ValueError):
    """A file that can't be read or lacks a column; names the file, what is wrong and what is expected."""


def read_columns(path: Path) -> Columns:
    """Return the numeric columns of a csv or parquet file; an empty or unreadable number is NaN."""
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
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return {name: values.astype(np.float64) for name, values in columns.items() if values.dtype.kind in "fiub"}


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
    if delimiter != ",":
        _turn_commas(rows, path)
    return {name: np.array([_number(row[k]) for row in rows[1:]]) for k, name in enumerate(names)}


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
    out = dict(columns)
    for pair in filter(None, (part.strip() for part in mapping.split(","))):
        name, _, source = (text.strip() for text in pair.partition("="))
        flipped = source.startswith("-")
        source = source.removeprefix("-")
        if not name or source not in columns:
            raise FileError(f"{path}: column {source!r} of the mapping {pair!r} is not there; it has {sorted(columns)}")
        out[name] = -columns[source] if flipped else columns[source]
    return out


def column(columns: Columns, name: str, path: Path) -> Floats:
    """Return a column that must be there."""
    if name not in columns:
        raise FileError(f"{path}: column {name!r} is missing; it has {sorted(columns)}; map others with --columns")
    return columns[name]


def numbered(columns: Columns, prefix: str) -> Floats | None:
    """Return the columns prefix000, prefix001 ... as [row, number]; None where there is none."""
    names = sorted(name for name in columns if name.startswith(prefix) and name[len(prefix) :].isdigit())
    return np.stack([columns[name] for name in names], axis=1) if names else None


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
        writer.writerows(zip(*(_texts(values) for values in columns.values()), strict=True))


def _texts(values: Floats | list[str]) -> list[str]:
    if isinstance(values, list):
        return values
    return [f"{value:.9g}" if np.isfinite(value) else ("" if np.isnan(value) else "inf") for value in values]
