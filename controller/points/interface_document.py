"""The interface document: the point list as rows for CSV, JSON and Markdown, one row a point or command.

Addresses stand in both notations (zero-based and Modicon), with the NodeId; nothing here is typed twice, it is all
derived from the point list and the flat map.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from controller.points.addresses import FlatMap, Place, WireType
from controller.points.point_list import Method, Point, PointList

COLUMNS = (
    "tag",
    "equipment",
    "description",
    "unit",
    "type",
    "access",
    "source",
    "node_id",
    "modbus_unit",
    "modbus_function",
    "modbus_address",
    "modbus_type",
    "words",
    "scale",
    "offset",
    "minimum",
    "maximum",
    "modicon",
)
Row = dict[str, str | int | float | None]


def rows(listed: PointList, places: FlatMap) -> Iterator[Row]:
    """Yield one row a point, then one a method."""
    for point in listed.points:
        yield _point_row(point) | _place_row(places.points.get(point.tag), writable=bool(point.action))
    for method in listed.methods:
        yield _method_row(method) | _place_row(places.methods.get(method.tag), writable=True)


def as_csv(table: Sequence[Row], delimiter: str = ",") -> str:
    """Return the rows as CSV with a header; missing values are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def as_json(table: Sequence[Row]) -> str:
    """Return the rows as a JSON array, one row a line."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in table) + "\n]\n"


def as_markdown(table: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    return head + "".join(f"| {' | '.join(_cell(row[c]) for c in COLUMNS)} |\n" for row in table)


def mbpoll_line(place: Place, host: str, port: int) -> str:
    """Return the ready `mbpoll` command that reads this point (`-0`: addresses from zero)."""
    kind = {WireType.F32: "4:float", WireType.U32: "4:int", WireType.U16: "4"}[place.type]
    order = " -B" if place.type.words > 1 else ""
    return f"mbpoll -m tcp -p {port} -a {place.unit} -0 -r {place.address} -c 1 -t {kind}{order} -1 {host}"


def _point_row(point: Point) -> Row:
    return {
        "tag": point.tag,
        "equipment": point.equipment,
        "description": point.description,
        "unit": point.unit,
        "type": point.type.value,
        "access": point.access,
        "source": point.source,
        "node_id": f"ns=2;s={point.tag}",
        "scale": 1.0,
        "offset": 0.0,
        "minimum": point.range_low if point.action or point.unit else None,
        "maximum": point.range_high if point.action or point.unit else None,
    }


def _method_row(method: Method) -> Row:
    return {
        "tag": method.tag,
        "equipment": method.target,
        "description": method.description,
        "unit": "",
        "type": "method",
        "access": "call",
        "source": f"command {method.action}",
        "node_id": f"ns=2;s={method.tag}",
        "scale": None,
        "offset": None,
        "minimum": None,
        "maximum": None,
    }


def _place_row(place: Place | None, *, writable: bool) -> Row:
    if place is None:
        return dict.fromkeys(
            ("modbus_unit", "modbus_function", "modbus_address", "modbus_type", "words", "modicon"), None
        )
    return {
        "modbus_unit": place.unit,
        "modbus_function": "3/6/16" if writable else "3",
        "modbus_address": place.address,
        "modbus_type": place.type.value,
        "words": place.type.words,
        "modicon": place.modicon,
    }


def _cell(value: str | float | None) -> str:
    return "" if value is None else str(value).replace("|", "\\|")
