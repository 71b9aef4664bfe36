"""The interface document: the point list as rows for CSV, JSON and Markdown, one row a point or command.

Addresses stand in both notations (zero-based and Modicon), with the NodeId; nothing here is typed twice, it is all
derived from the point list and the flat map.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.points.addresses import FlatMap, Place, WireType
from controller.points.party_map import PartyPoint
from controller.points.point_list import Method, Point, PointList, PointType

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
    "word_order",
    "sign",
    "deadband",
    "party",
    "mbpoll",
    "codes",
)
"""The contract's columns first; behind them what a person wants beside an address."""
Row = dict[str, str | int | float | None]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the Modbus face listens, for the ready `mbpoll` lines."""

    host: str = "127.0.0.1"
    port: int = 502


NOWHERE = Endpoint()


def rows(
    listed: PointList, places: FlatMap, endpoint: Endpoint = NOWHERE, codes: Mapping[str, str] | None = None
) -> Iterator[Row]:
    """Yield one row a point, then one a method; `codes` says of each quantity what its numbers mean."""
    for point in listed.points:
        place = places.points.get(point.tag)
        meaning: Row = {"codes": (codes or {}).get(point.quantity, "") if point.type is PointType.CODE else ""}
        yield _point_row(point) | _place_row(place, endpoint, writable=bool(point.action)) | meaning
    for method in listed.methods:
        yield _method_row(method) | _place_row(places.methods.get(method.tag), endpoint, writable=True)


def party_rows(party: str, points: Sequence[PartyPoint], endpoint: Endpoint = NOWHERE) -> Iterator[Row]:
    """Yield one row a point of a list that a party brought; scale and sign are its own."""
    for row in points:
        target, place = row.target, row.place
        ours = _point_row(target) if isinstance(target, Point) else _method_row(target)
        ends = sorted((_theirs(ours["minimum"], row), _theirs(ours["maximum"], row)), key=lambda v: v or 0.0)
        yield (
            ours
            | _place_row(place, endpoint, writable=place.writable)
            | {
                "description": row.description,
                "unit": row.unit,
                "access": "RW"
                if place.writable and isinstance(target, Point)
                else ours["access"]
                if place.writable
                else "R",
                "scale": row.scale,
                "sign": row.sign,
                "deadband": row.deadband,
                "minimum": ends[0],
                "maximum": ends[1],
                "party": party,
            }
        )


def _theirs(value: str | float | None, row: PartyPoint) -> float | None:
    """Return a value of ours in the unit that the party sees (not yet turned or scaled)."""
    if not isinstance(value, (int, float)):
        return None
    return _rounded(float(value) * row.place.factor * row.scale * row.sign)


def _rounded(value: float) -> float:
    """Return a number without the dust of its last bits."""
    return float(f"{value:.12g}")


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


_PAIR = 2


def mbpoll_line(place: Place, host: str, port: int) -> str:
    """Return the ready `mbpoll` command that reads this point (`-0`: addresses from zero)."""
    kind = {WireType.F32: "4:float", WireType.U32: "4:int", WireType.I32: "4:int"}
    shown = {1: "4", 2: kind.get(place.type), 4: "4:hex"}[place.type.words]  # it knows no number of 64 bits
    order = " -B" if place.type.words == _PAIR and not place.low_first else ""
    count = 4 if place.type.words > _PAIR else 1
    return f"mbpoll -m tcp -p {port} -a {place.unit} -0 -r {place.address} -c {count} -t {shown}{order} -1 {host}"


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
        "minimum": _rounded(point.range_low) if point.action or point.unit else None,
        "maximum": _rounded(point.range_high) if point.action or point.unit else None,
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


def _place_row(place: Place | None, endpoint: Endpoint, *, writable: bool) -> Row:
    besides: Row = {"sign": 1, "deadband": None, "party": "", "codes": ""}
    if place is None:
        columns = (
            "modbus_unit",
            "modbus_function",
            "modbus_address",
            "modbus_type",
            "words",
            "modicon",
            "word_order",
            "mbpoll",
        )
        return dict.fromkeys(columns) | besides
    return besides | {
        "modbus_unit": place.unit,
        "modbus_function": "3/6/16" if writable else "3",
        "modbus_address": place.address,
        "modbus_type": place.type.value,
        "words": place.type.words,
        "modicon": place.modicon,
        "word_order": ("low_first" if place.low_first else "high_first") if place.type.words > 1 else "",
        "mbpoll": mbpoll_line(place, endpoint.host, endpoint.port),
    }


def _cell(value: str | float | None) -> str:
    return "" if value is None else str(value).replace("|", "\\|")
