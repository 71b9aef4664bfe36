"""Where a value comes from: every value that a site's files state, by its path, with file, line, column and text.

Paths: keys of the site file (`site.poi.export_limit`, `batteries.lfp280.window.max`), equipment by name or tag with
or without a key (`B01-R03`, `PCS01.rating.power`), protection rows (`cell_voltage_high.trip`).
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.plant.expansion.names import Member, Names
from controller.plant.protection_loader import Drafts, DraftValue
from controller.plant.site_loader import Sources
from controller.plant.yaml_tree import Document, Keys, Loc, Text


@dataclass(frozen=True, slots=True)
class Origin:
    """One place that a value comes from."""

    file: str
    line: int
    col: int
    text: str


def origins_of(sources: Sources, path: str) -> tuple[Origin, ...]:
    """Return where a value comes from, the place that counts first, then what it replaced; empty if nothing has it."""
    for found in (
        _equipment(sources.names, sources.document, path),
        _protection(sources.drafts, path),
        _site_key(sources.document, path),
    ):
        if found:
            return found
    return ()


def paths_of(sources: Sources) -> tuple[str, ...]:
    """Return what can be asked for: the site's keys, equipment, protection rows; for suggestions."""
    equipment = [member.name for members in sources.names.members.values() for member in members]
    rows = [name for _, name in sources.drafts]
    root = sources.document.root
    keys = list(root.entries) if isinstance(root, Keys) else []
    return (*keys, *equipment, *rows)


def _site_key(document: Document, path: str) -> tuple[Origin, ...]:
    loc: Loc = tuple(int(part) if part.isdigit() else part for part in path.split("."))
    return _origin(document, loc)


def _origin(document: Document, loc: Loc) -> tuple[Origin, ...]:
    node = document.node_at(loc)
    if node is None:
        return ()
    place = document.place_of(loc)
    text = node.value if isinstance(node, Text) else document.line_at(place).strip()
    here = Origin(place.file, place.line, place.col, text)
    below = _origin(document.base, loc) if document.base is not None and isinstance(node, Text) else ()
    return (here, *(origin for origin in below if origin != here))


def _equipment(names: Names, document: Document, path: str) -> tuple[Origin, ...]:
    found = _member(names, path)
    if found is None:
        return ()
    member, rest = found
    if not rest:
        return (*_origin(document, (*member.loc, "name")), *_exceptions(names, document, member.name))
    own: Loc = (*member.loc, *rest.split("."))
    return _origin(document, own)


def _member(names: Names, path: str) -> tuple[Member[object], str] | None:
    """Return the equipment that the path begins with, by name or tag, and the rest of the path."""
    for members in names.members.values():
        for member in members:
            for begin in (member.name, member.tag):
                if path == begin or path.startswith(f"{begin}."):
                    return member, path[len(begin) + 1 :]
    return None


def _exceptions(names: Names, document: Document, name: str) -> tuple[Origin, ...]:
    """Return the exceptions that speak of an equipment."""
    node = document.node_at(("exceptions",))
    patterns = list(node.entries) if isinstance(node, Keys) else []
    matching = [p for p in patterns if any(name in index.matching(p) for index in names.index.values())]
    return tuple(origin for pattern in matching for origin in _origin(document, ("exceptions", pattern)))


def _protection(drafts: Drafts, path: str) -> tuple[Origin, ...]:
    """Find `row`, `row.trip`, `row.trip.delay`, also behind a section, `protections.` or an equipment's name."""
    parts = path.split(".")
    for start, part in enumerate(parts):
        found = [(section, d) for (section, name), d in drafts.items() if name == part]
        draft = next(
            (d for section, d in found if start and section == parts[start - 1]), found[0][1] if found else None
        )
        if draft is not None:
            key = ".".join(parts[start + 1 :])
            value = draft.values.get(key) or draft.values.get(f"{key}.limit")
            if not key:
                return (Origin(draft.place.file, draft.place.line, draft.place.col, draft.name),)
            return _chain(value)
    return ()


def _chain(value: DraftValue | None) -> tuple[Origin, ...]:
    chain = []
    while value is not None:
        place = value.place
        chain.append(Origin(place.file, place.line, place.col, value.text or str(value.value)))
        value = value.replaces
    return tuple(chain)
