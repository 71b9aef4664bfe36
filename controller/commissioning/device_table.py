"""A device file as a table and back, without loss: what an engineer edits in a spreadsheet is what the file says.

Form: rows whose first cell begins with `#` are the head of the file (`#maker,ACME`, `#blocks.fast.every,1 s`), then a
header line, then one row a point. The columns are the file's own keys; `values` are written `0=open; 1=closed`, lists
with semicolons, a range `0 V .. 900 V`. `modicon` is for people: if it is filled in it must agree with `at`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from controller.commissioning.tables import Cell, Complaints, Sheet
from controller.plant.messages import did_you_mean, one_of
from controller.plant.yaml_tree import Document, Keys, Plain

KEYS = ("at", "as", "block", "count", "stride", "repeat_stride", "scale", "offset", "unit", "sign", "words", "missing",
        "values", "range", "writable", "every")  # fmt: skip
COLUMNS = ("signal", *KEYS, "modicon", "comment")
TEXT_LISTS = ("notes", "forbidden", "sunspec", "setup")
FIRST_MODICON = {"coil": 1, "discrete": 100_001, "input": 300_001, "holding": 400_001}
_RANGE, _ITEM = " .. ", "; "


def device_rows(tree: Mapping[str, Plain], comments: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the rows of a device file's tree: head, header, points."""
    for key, value in tree.items():
        if key != "points":
            yield from ([f"#{path}", text] for path, text in _flat(key, value))
    yield list(COLUMNS)
    points = tree.get("points", {})
    assert isinstance(points, dict), "a device's points are keys"
    first = 1 if tree.get("address") == "one_based" else 0
    for signal, point in points.items():
        assert isinstance(point, dict), "a point's keys"
        cells = {key: _cell(key, value) for key, value in point.items()}
        place = {"signal": signal, "comment": comments.get(signal, ""), "modicon": _modicon(cells["at"], first)}
        yield [{**cells, **place}.get(column, "") for column in COLUMNS]


def is_device_table(sheets: Sequence[Sheet]) -> bool:
    """Whether this is a table in our own form: it says its schema, or has a header with `signal` and `at`."""
    rows = [row for sheet in sheets for row in sheet.rows if row]
    return any(row[0].text == "#schema" or {"signal", "at"} <= {c.text for c in row} for row in rows)


def device_tree(sheets: Sequence[Sheet], complaints: Complaints) -> tuple[dict[str, Plain], dict[str, str]]:
    """Return the tree and the points' comments of a table in our own form; complaints name the cells."""
    tree: dict[str, Plain] = {}
    points: dict[str, Plain] = {}
    comments: dict[str, str] = {}
    header: list[str] | None = None
    for row in (row for sheet in sheets for row in sheet.rows if any(c.text for c in row)):
        if row[0].text.startswith("#"):
            _put_setting(tree, row, complaints)
        elif header is None or {"signal", "at"} <= {c.text for c in row}:
            header = _header(row, complaints)
            if "signal" not in header:
                complaints.add(row[0], "column 'signal' is missing", one_of(COLUMNS, 20))
                break
        else:
            _put_point(dict(zip(header, row, strict=False)), row[len(header) :], points, comments, complaints)
    first = 1 if tree.get("address") == "one_based" else 0
    for row in (row for sheet in sheets for row in sheet.rows):
        _check_modicon(row, header or [], first, complaints)
    return {key: _listed(value, key) for key, value in tree.items()} | {"points": points}, comments


def comments_of(document: Document) -> dict[str, str]:
    """Return what a device file says behind its points (`# ...` at the end of a point's first or last line)."""
    node = document.node_at(("points",))
    names = list(node.entries) if isinstance(node, Keys) else []
    lines = [document.place_of(("points", name), key=True).line for name in names]
    found = {}
    for name, line in zip(names, lines, strict=True):
        matched = _COMMENT.search(_QUOTED.sub(lambda m: "x" * len(m[0]), document.lines[line - 1]))
        if matched:
            found[name] = document.lines[line - 1][matched.start(1) :].strip()
    return found


_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_COMMENT = re.compile(r"\s#\s*(.*)$")


# -------------------------------------------------------------------------------------------------------------- writing


def _flat(path: str, value: Plain) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from _flat(f"{path}.{number}", inner)
    else:
        yield path, value


def _cell(key: str, value: Plain) -> str:
    if isinstance(value, dict):
        return _ITEM.join(f"{raw}={name}" for raw, name in value.items())
    if isinstance(value, list):
        return (_RANGE if key == "range" else _ITEM).join(str(v) for v in value)
    return value


def _modicon(at: str, first: int) -> str:
    table, _, number = at.partition(" ")
    return str(FIRST_MODICON[table] + int(number) - first) if table in FIRST_MODICON and number.isdigit() else ""


# -------------------------------------------------------------------------------------------------------------- reading


def _header(row: Iterable[Cell], complaints: Complaints) -> list[str]:
    names = []
    for cell in row:
        if cell.text and cell.text not in COLUMNS:
            hint = did_you_mean(cell.text, COLUMNS)
            complaints.add(cell, f"unknown column '{cell.text}'", "" if hint else one_of(COLUMNS, 20), hint)
        if cell.text and cell.text in names:
            complaints.add(cell, f"column '{cell.text}' is there twice", "each column once")
        names.append(cell.text)
    return names


def _put_setting(tree: dict[str, Plain], row: Sequence[Cell], complaints: Complaints) -> None:
    parts = row[0].text[1:].strip().split(".")
    value = row[1] if len(row) > 1 else Cell("", row[0].ref)
    for cell in row[2:]:
        if cell.text:
            complaints.add(cell, f"'{cell.text}' stands behind the value of {row[0].text}", "one value", "quote it")
    branch: dict[str, Plain] = tree
    for part in parts[:-1]:
        inner = branch.setdefault(part, {})
        if not isinstance(inner, dict):
            complaints.add(row[0], f"{row[0].text} lies below a key that has a value", "a key of its own")
            return
        branch = inner
    if parts[-1] in branch:
        complaints.add(row[0], f"{row[0].text} is written twice", "each key once")
    branch[parts[-1]] = value.text


def _listed(value: Plain, key: str) -> Plain:
    """Return what was numbered 1, 2, ... as a list again."""
    if isinstance(value, dict) and key in TEXT_LISTS:
        return [_listed(value[k], "") for k in sorted(value, key=lambda k: int(k) if k.isdigit() else 0)]
    return {k: _listed(v, "") for k, v in value.items()} if isinstance(value, dict) else value


def _put_point(
    cells: Mapping[str, Cell],
    behind: Sequence[Cell],
    points: dict[str, Plain],
    comments: dict[str, str],
    complaints: Complaints,
) -> None:
    for cell in (*behind, *(c for name, c in cells.items() if not name)):
        if cell.text:
            complaints.add(cell, f"'{cell.text}' stands in a column without a name", one_of(COLUMNS, 20))
    signal = cells.get("signal", behind[0] if behind else Cell("", "the last row"))
    if not signal.text:
        complaints.add(signal, "the row has no signal", "a signal such as rack.voltage")
        return
    if signal.text in points:
        complaints.add(signal, f"{signal.text} is written twice", "each signal once")
    points[signal.text] = {key: _value(key, cells[key], complaints) for key in KEYS if key in cells and cells[key].text}
    if "comment" in cells and cells["comment"].text:
        comments[signal.text] = " ".join(cells["comment"].text.split())


def _value(key: str, cell: Cell, complaints: Complaints) -> Plain:
    if key == "values":
        return _pairs(cell, complaints)
    if key == "range":
        ends = [part.strip() for part in re.split(r"\s*\.\.\s*", cell.text)]
        if len(ends) != 2:
            complaints.add(cell, f"'{cell.text}' is no range", "such as 0 V .. 900 V")
        return list(ends)
    if key == "missing":
        items: list[Plain] = [part.strip() for part in cell.text.split(";") if part.strip()]
        return items if len(items) > 1 else items[0]
    if key in {"scale", "offset"} and re.fullmatch(r"[+-]?\d+,\d+", cell.text):
        return cell.text.replace(",", ".")  # as spreadsheets write it where decimals have a comma
    return cell.text


def _pairs(cell: Cell, complaints: Complaints) -> Plain:
    pairs: dict[str, Plain] = {}
    for part in filter(None, (p.strip() for p in cell.text.split(";"))):
        raw, mark, name = (text.strip() for text in part.partition("="))
        if not mark or not name:
            complaints.add(cell, f"'{part}' is no value with its meaning", "such as 0=open; 1=closed")
        elif raw in pairs:
            complaints.add(cell, f"value {raw} has two meanings", "each value once")
        else:
            pairs[raw] = name
    return pairs


def _check_modicon(row: Sequence[Cell], header: Sequence[str], first: int, complaints: Complaints) -> None:
    cells = dict(zip(header, row, strict=False))
    modicon, at = cells.get("modicon"), cells.get("at")
    if modicon is None or at is None or not modicon.text or modicon.text == "modicon" or row[0].text.startswith("#"):
        return
    expected = _modicon(at.text, first)
    if modicon.text != expected:
        complaints.add(modicon, f"Modicon {modicon.text} is not {at.text}", expected or "nothing for a SunSpec point")
