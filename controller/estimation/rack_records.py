"""Records of racks as bytes, kept by rack name: they outlive a change of the plant around them.

A record is a frozen dataclass of arrays, [rack] or [row, rack], of finite numbers of at least zero.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

Record = TypeVar("Record")


def to_bytes(record: object, racks: Sequence[str], version: int) -> bytes:
    """Return the record of the named racks as bytes: a line of JSON, then one table."""
    rows = _rows(record)
    head = {"format": version, "racks": list(racks), "rows": [len(row) for row in rows]}
    buffer = io.BytesIO()
    buffer.write(json.dumps(head).encode() + b"\n")
    np.lib.format.write_array(buffer, np.concatenate(rows), allow_pickle=False)
    return buffer.getvalue()


def from_bytes(data: bytes, racks: Sequence[str], fresh: Record, version: int) -> tuple[Record, list[int]]:
    """Return the record of these racks and which of them were found; a rack without a saved one is as in `fresh`.

    ValueError, in words, if the bytes can't be used.
    """
    buffer = io.BytesIO(data)
    rows = [len(row) for row in _rows(fresh)]
    try:
        head = json.loads(buffer.readline())
        saved = {name: k for k, name in enumerate(head["racks"])}
        table = np.lib.format.read_array(buffer, allow_pickle=False)
        sound = head["format"] == version and head["rows"] == rows and table.shape == (sum(rows), len(saved))
    except (ValueError, TypeError, KeyError, EOFError) as error:
        raise ValueError(f"not readable: {error}") from error
    if not sound or not (np.isfinite(table).all() and (table >= 0.0).all()):
        raise ValueError(f"expected format {version} and numbers of at least zero")
    known = [k for k, name in enumerate(racks) if name in saved]
    mine = np.concatenate(_rows(fresh)).copy()
    mine[:, known] = table[:, [saved[racks[k]] for k in known]]
    parts = np.split(mine, np.cumsum(rows)[:-1])
    names = [field.name for field in fields(fresh)]  # type: ignore[arg-type]  # only dataclasses come here
    found = {n: part if np.ndim(getattr(fresh, n)) > 1 else part[0] for n, part in zip(names, parts, strict=True)}
    return type(fresh)(**found), known


def _rows(record: Any) -> list[np.ndarray[Any, np.dtype[np.float64]]]:  # noqa: ANN401  # any frozen dataclass of arrays
    return [np.atleast_2d(getattr(record, field.name)) for field in fields(record)]
