"""The register lists that parties brought to a site: found through the site file, read against the site's points."""

from __future__ import annotations

from pathlib import Path
from posixpath import normpath

from controller.plant.messages import Message, error
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
    for party in maps:
        text = result.documents[normpath(party.file)].data.decode("utf-8-sig")
        messages += read_party_map(text, party.file, listed, party.unit)[1]
        if party.unit in units:
            message = f"unit {party.unit} serves {units[party.unit]} already"
            messages.append(error(At(party.file), message, f"a unit of its own for {party.party}"))
        units[party.unit] = party.party
    return messages
