"""The register lists that parties brought to a site: found through the site file, read against the site's points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from posixpath import normpath

from controller.plant.messages import Message, error, warning
from controller.plant.messages import Place as At
from controller.plant.model import PartyMap, Plant
from controller.plant.site_loader import LoadResult, site_file
from controller.points.party_map import PartyPoint, read_party_map
from controller.points.point_list import PointList, point_list


def party_points(plant: Plant, site: Path, listed: PointList) -> dict[int, tuple[PartyPoint, ...]]:
    """Return the rows of each party's list by the unit that serves it.

    Raises ValueError with every message if a list can't be served; `validate` and control's start say so before.
    """
    found: dict[int, tuple[PartyPoint, ...]] = {}
    for party in maps_of(plant):
        text = (site_file(site).parent / party.file).read_text(encoding="utf-8-sig")
        rows, messages = read_party_map(text, party.file, listed, party.unit)
        if messages:
            raise ValueError("\n".join(f"{m.place}: {m.message}" for m in messages))
        found[party.unit] = rows
    return found


def maps_of(plant: Plant) -> tuple[PartyMap, ...]:
    """Return the lists that a site serves."""
    return plant.faces.modbus.maps if plant.faces.modbus is not None else ()


def party_messages(result: LoadResult) -> list[Message]:
    """Return what is wrong with the lists of a site that was loaded."""
    maps = maps_of(result.plant) if result.plant is not None else ()
    if result.plant is None or not maps:
        return []
    listed, messages, units = point_list(result.plant), list[Message](), dict[int, str]()
    for position, party in enumerate(maps):
        text = result.documents[normpath(party.file)].data.decode("utf-8-sig")
        rows, wrong = read_party_map(text, party.file, listed, party.unit)
        messages += [*wrong, *_turned(rows, text, party.file), *_nobody_may_write(rows, party, position, result)]
        messages += [*_limits_turned(rows, text, party.file), *_far_off(rows, text, party.file)]
        if party.unit in units:
            message = f"unit {party.unit} serves {units[party.unit]} already"
            messages.append(error(At(party.file), message, f"a unit of its own for {party.party}"))
        units[party.unit] = party.party
    return messages


def _nobody_may_write(
    rows: Sequence[PartyPoint], party: PartyMap, position: int, result: LoadResult
) -> Iterator[Message]:
    """What a list says can be written has somebody who may."""
    written = [row.target.tag for row in rows if row.place.writable]
    if written and not party.writers and result.sources is not None:
        more = f" and {len(written) - 1} more" if len(written) > 1 else ""
        message = f"{party.file} lets {party.party} write {written[0]}{more}, but nobody may: it has no writers"
        at = result.sources.document.place_of(("scada", "modbus", "maps", position, "party"))
        yield warning(
            at, message, "writers: [10.50.0.4], the addresses of its masters", "or 'writable: no' in the list"
        )


def _turned(rows: Sequence[PartyPoint], text: str, file: str) -> Iterator[Message]:
    """A party that sees a power turned round means its set-point so, too: where only one says so, it is asked."""
    by_tag = {row.target.tag: row for row in rows}
    for tag, measured in by_tag.items():
        commanded = by_tag.get(f"{tag}Setpoint")
        if commanded is not None and commanded.sign != measured.sign:
            message = f"{commanded.target.tag} has sign {commanded.sign}, but {tag} {measured.sign}: the plant would"
            message += " answer the wrong way as this party sees it"
            at, also = (At(file, _line_of(text, each)) for each in (commanded.target.tag, tag))
            yield warning(at, message, f"sign {measured.sign} for both", "ask the party; both are theirs", [also])


def _limits_turned(rows: Sequence[PartyPoint], text: str, file: str) -> Iterator[Message]:
    """A limit of the export is a size: whoever turns it round writes 2 MW as -2 MW, and 2 MW is refused."""
    for row in rows:
        if row.sign < 0 and row.target.tag in _LIMITS:
            message = (
                f"{row.target.tag} is a size and has no direction, but is turned round: its party would write -2 MW"
            )
            message += " to allow 2 MW"
            yield warning(At(file, _line_of(text, row.target.tag)), message, "sign 1", "ask the party; both are theirs")


_LIMITS = ("Plant.ExportLimit", "Plant.ImportLimit")


def _far_off(rows: Sequence[PartyPoint], text: str, file: str) -> Iterator[Message]:
    """One register at 40001 among others from 0 on is a Modicon number, which on the wire is another one."""
    low = [row for row in rows if row.place.address < _FIRST_MODICON]
    for row in rows if 2 * len(low) > len(rows) else ():
        address = row.place.address
        modicon = next((first for first in (40_001, 30_001) if first <= address < first + 9_999), None)
        if modicon is not None:
            message = f"{row.target.tag} stands at {address}, far from the others: it looks like a Modicon number"
            yield warning(
                At(file, _line_of(text, row.target.tag)), message, f"{address - modicon}, as it goes over the wire"
            )


_FIRST_MODICON = 10_000


def _line_of(text: str, tag: str) -> int:
    """Return the line that a tag has a cell of."""
    cell = re.compile(rf"(^|[,;\s\"]){re.escape(tag)}($|[,;\s\"])")
    return next((k for k, line in enumerate(text.splitlines(), 1) if cell.search(line)), 1)
