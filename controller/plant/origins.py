"""Where a value comes from: every value that a site's files state, by its path, with file, line, column and text.

Paths: keys of the site file (`site.poi.export_limit`, `batteries.lfp280.window.max` or `lfp280.window.max`), equipment
by name or tag with or without a key (`B01-R03`, `PCS01.rating.power`, `meters.GRID.ct`), protection rows
(`cell_voltage_high.trip`), entries of a schedule (`night refill.do.power`). An entry of a list is called by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.plant.expansion.exceptions import specificity
from controller.plant.expansion.names import Member, Names
from controller.plant.protection_loader import Drafts, DraftValue
from controller.plant.site_loader import Sources
from controller.plant.yaml_tree import Document, Items, Keys, Loc, Node, Text


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
        key_origin(sources.document, path),
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


def key_origin(document: Document, path: str) -> tuple[Origin, ...]:
    """Return where a key of a file stands: by its whole way, or by that below a group (`lfp280` of `batteries`)."""
    root = document.root
    groups = list(root.entries) if isinstance(root, Keys) else []
    for whole in (path, *(f"{group}.{path}" for group in groups)):
        loc = next(_locs(root, whole.split(".")), None)
        if loc:
            return _origin(document, loc)
    return ()


def _locs(node: Node | None, parts: list[str]) -> Iterator[Loc]:
    """Yield the ways to what the parts name; a key may hold dots itself (`rack.voltage`), a list has names for keys."""
    if not parts:
        yield ()
    for end in range(len(parts), 0, -1):
        for key, value in _called(node, ".".join(parts[:end])):
            yield from ((key, *rest) for rest in _locs(value, parts[end:]))


def _called(node: Node | None, word: str) -> Iterator[tuple[str | int, Node]]:
    """Yield the key or entry of that name: of a list its number, or the entry whose `name` it is."""
    if isinstance(node, Keys) and word in node.entries:
        yield word, node.entries[word][1]
    if isinstance(node, Items):
        for number, value in enumerate(node.values):
            if word in {str(number), _name_in(value)}:
                yield number, value


def _name_in(node: Node) -> str | None:
    found = node.entries.get("name") if isinstance(node, Keys) else None
    return found[1].value if found is not None and isinstance(found[1], Text) else None


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
    own = next(_locs(document.node_at(member.loc), rest.split(".")), None)
    in_group = _origin(document, (*member.loc, *own)) if own is not None else ()
    return (*_in_exceptions(names, document, member.name, rest), *in_group)


def _member(names: Names, path: str) -> tuple[Member[object], str] | None:
    """Return the equipment that the path begins with, by name (behind its section or not) or tag, and what follows."""
    for section, members in names.members.items():
        for member in members:
            for begin in (member.name, member.tag, f"{section}.{member.name}"):
                if path == begin or path.startswith(f"{begin}."):
                    return member, path[len(begin) + 1 :]
    return None


def _exceptions(names: Names, document: Document, name: str) -> tuple[Origin, ...]:
    """Return the exceptions that speak of an equipment."""
    patterns = _exceptions_of(names, document, name)
    return tuple(origin for pattern in patterns for origin in _origin(document, ("exceptions", pattern)))


def _exceptions_of(names: Names, document: Document, name: str) -> list[str]:
    node = document.node_at(("exceptions",))
    patterns = list(node.entries) if isinstance(node, Keys) else []
    return [p for p in patterns if any(name in index.matching(p) for index in names.index.values())]


def _in_exceptions(names: Names, document: Document, name: str, key: str) -> tuple[Origin, ...]:
    """Return where exceptions say a key of an equipment, the most specific first: it counts before the group's."""
    found: list[Origin] = []
    for pattern in sorted(_exceptions_of(names, document, name), key=specificity, reverse=True):
        loc = next(_locs(document.node_at(("exceptions", pattern)), key.split(".")), None)
        found += _origin(document, ("exceptions", pattern, *loc)) if loc is not None else ()
    return tuple(found)


def exceptions_of(sources: Sources, path: str) -> tuple[Origin, ...]:
    """Return the exceptions that speak of the equipment that a path begins with."""
    found = _member(sources.names, path)
    return () if found is None else _exceptions(sources.names, sources.document, found[0].name)


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
