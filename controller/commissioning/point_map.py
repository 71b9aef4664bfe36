"""`bess points`: the point list in several forms, and its frozen Modbus map.

A site freezes its map in `maps/frozen.csv`; from then on no point of it may move, and new ones come behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.commissioning.frozen_maps import FREEZE_ANEW, frozen_file, frozen_map
from controller.commissioning.party_maps import maps_of, party_points
from controller.commissioning.point_import import Request, export_device, import_points
from controller.commissioning.tables import TableError, write_sheets
from controller.commissioning.vendor_cells import AddressStyle, parse_type
from controller.commissioning.vendor_entries import Options
from controller.plant.figures import counted
from controller.plant.messages import Complaint, did_you_mean, one_of
from controller.plant.model import Plant
from controller.points.addresses import FlatMap, FrozenMapError, flat_map, freeze_text
from controller.points.interface_document import COLUMNS, Endpoint, Row, as_csv, as_json, as_markdown, party_rows, rows
from controller.points.nodeset import nodeset
from controller.points.point_list import PointList, point_list
from controller.scada.code_words import in_one_line, words_of

OK, NO, UNUSABLE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What to print and how to exit."""

    text: str
    code: int = OK
    is_message: bool = True  # with a code it belongs on standard error
    aside: str = ""  # what is said beside an answer, on standard error


@dataclass(frozen=True, slots=True)
class Stated:
    """What the person who imports a list says about it."""

    device: str
    kind: str
    maker: str
    addresses: str
    table: str
    words: str
    type: str = ""


def import_list(file: Path, stated: Stated, out: Path | None) -> Answer:
    """Make a device file of a point list; without `out` it is the answer, else the summary is."""
    for option, value, known in (
        ("--addresses", stated.addresses, list(AddressStyle)),
        ("--table", stated.table, ["holding", "input", "coil", "discrete"]),
        ("--words", stated.words, ["high_first", "low_first"]),
    ):
        if value and value not in known:
            hint = did_you_mean(value, known) or f"expected {one_of(known)}"
            return Answer(f"error: {option} can't be '{value}'; {hint}", UNUSABLE)
    if stated.type and isinstance(wrong := parse_type(stated.type, None), Complaint):
        return Answer(f"error: --type: {wrong.message}; expected {wrong.expected}", UNUSABLE)
    if out is not None and out.exists():
        return Answer(f"error: {out} is there already; expected a new file, nothing is overwritten", UNUSABLE)
    style = AddressStyle(stated.addresses) if stated.addresses else None
    options = Options(style, stated.table, stated.words, stated.type)
    device = stated.device or file.stem
    found = import_points(Request(file, device, stated.kind, stated.maker, options))
    if found.errors:
        return Answer(found.errors, UNUSABLE if not file.is_file() else NO)
    said = "\n\n".join(filter(None, (found.summary, found.warnings)))
    if out is None:
        return Answer(found.text, aside=said)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(found.text, encoding="utf-8")
    return Answer(f"{said}\nwrote {out}")


def export(device: str, out: Path | None) -> Answer:
    """Make a table of a device file or of a library device."""
    try:
        return Answer(export_device(device, out))
    except TableError as error:
        return Answer(f"error: {error}", UNUSABLE)


def render(plant: Plant, site: Path, form: str, delimiter: str, out: Path | None) -> Answer:
    """Return the point list as csv, json, md or nodeset; xlsx goes to a file. Parties' own lists follow ours."""
    try:
        listed, places = _places(plant, site)
        endpoint = _endpoint(plant)
        codes = {quantity: in_one_line(words) for quantity, words in words_of(plant).items()}
        table = list(rows(listed, places, endpoint, codes))
        brought = party_points(plant, site, listed)
    except ValueError as error:
        return Answer(f"error: {error}", NO)
    aside = _no_room(places.left_out)
    for party in maps_of(plant):
        table += party_rows(party.party, brought[party.unit], endpoint)
    match form:
        case "csv":
            text = as_csv(table, delimiter)
        case "json":
            text = as_json(table)
        case "md":
            text = as_markdown(table)
        case "nodeset":
            text = nodeset(listed)
        case "xlsx":
            return _workbook(table, out)
        case _:
            return Answer(f"error: unknown format '{form}'; expected csv, json, md, xlsx or nodeset", UNUSABLE)
    if out is None:
        return Answer(text, aside=aside)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    return Answer(f"wrote {counted(len(table), 'point')} to {out}", aside=aside)


def _no_room(names: Sequence[str]) -> str:
    """Return what is to be said of points that the flat map has no registers for."""
    if not names:
        return ""
    few = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
    return f"the flat Modbus map (units 2-9) has no room for {few} of the racks: OPC UA serves them"


def _endpoint(plant: Plant) -> Endpoint:
    """Return where the Modbus face is reached; on a face that listens everywhere, this machine."""
    face = plant.faces.modbus
    if face is None:
        return Endpoint()
    return Endpoint("127.0.0.1" if face.host in {"0.0.0.0", "::"} else face.host, face.port)  # noqa: S104 - compared


def freeze(plant: Plant, site: Path) -> Answer:
    """Write the map as it is; what was frozen before keeps its place."""
    try:
        _, places = _places(plant, site)
    except FrozenMapError as error:
        return Answer(f"error: {error}\n= hint: once a new map is agreed with its readers: {FREEZE_ANEW}", NO)
    path = frozen_file(site)
    path.parent.mkdir(exist_ok=True)
    path.write_text(freeze_text(places.points), encoding="utf-8")
    return Answer(f"froze {counted(len(places.points), 'point')} in {path} (map version {places.version})")


def diff(plant: Plant, site: Path) -> Answer:
    """Tell what differs from the frozen map."""
    try:
        frozen = frozen_map(site)
        if frozen is None:
            return Answer(
                f"nothing is frozen: {frozen_file(site)} is not there; freeze it with: bess points freeze {site}", NO
            )
        places = flat_map(point_list(plant), frozen)
    except FrozenMapError as error:
        return Answer(f"error: {error}", NO)
    new = [f"new: {tag} at unit {p.unit} address {p.address}" for tag, p in places.points.items() if tag not in frozen]
    return Answer("\n".join(new) or "no difference", NO if new else OK, is_message=False)


def _places(plant: Plant, site: Path) -> tuple[PointList, FlatMap]:
    listed = point_list(plant)
    return listed, flat_map(listed, frozen_map(site))


def _workbook(table: Sequence[Row], out: Path | None) -> Answer:
    if out is None:
        return Answer("error: xlsx needs a file to go to; expected --out FILE.xlsx", UNUSABLE)
    sheets: dict[str, list[list[object]]] = {}
    for row in table:
        name = str(row["party"]) or "points"
        sheets.setdefault(name, [list(COLUMNS)]).append([row[c] for c in COLUMNS])
    out = out if out.suffix == ".xlsx" else out.with_suffix(".xlsx")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_sheets(out, sheets)
    return Answer(f"wrote {counted(len(table), 'point')} to {out}")
