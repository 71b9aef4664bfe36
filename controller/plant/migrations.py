"""Numbered migrations: what changed from one version of a file's schema to the next, as data.

Each change is a new name for a key or a new spelling of a single value, so that it can be made in the tree (an older
file keeps loading, with its own places) and in the text (`bess upgrade-config`), where comments and layout stay as they
are. A migration is never edited once it was released; the next version gets the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from controller.plant.messages import Message, Place, warning
from controller.plant.yaml_tree import Document, Items, Keys, Node, Text, read_document

Pattern = tuple[str, ...]
"""A way from the root; `*` stands for any key or list position."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was renamed."""

    at: Pattern
    key: str


@dataclass(frozen=True, slots=True)
class NewValue:
    """A single value that is written otherwise: `spell` returns the new YAML text, None where it may stay."""

    at: Pattern
    spell: Callable[[str], str | None]


Change = NewKey | NewValue


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of text and what replaces it."""

    place: Place
    text: str


def words(table: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return the spelling that replaces whole words."""
    return table.get


def _window(text: str) -> str | None:
    ends = re.fullmatch(r"(.+?)\s*\.\.\s*(.+)", text)
    return f"{{min: {ends[1]}, max: {ends[2]}}}" if ends else None


def _ratio(text: str) -> str | None:
    return f"{{ratio: {text}}}" if "/" in text else None


_ACTIONS = {"open_rack": "disconnect_rack", "zero_pcs": "zero_bus", "open_block": "stop_block"}
_LATCHES = {"yes-until-reset": "remote", "no": "auto"}

MIGRATIONS: Mapping[str, tuple[Change, ...]] = {
    # v0 is the draft of the language that stood in the design, before the first release.
    "site/v0": (
        NewKey(("batteries", "*", "chemistry"), "cell"),
        NewValue(("batteries", "*", "cell"), words({"lfp": "generic_280_lfp", "nca": "ncr18650pf_nca"})),
        NewValue(("batteries", "*", "window"), _window),
        NewKey(("buses", "*", "stops_pcs"), "bms_stops_pcs"),
        NewValue(("meters", "*", "ct"), _ratio),
        NewValue(("meters", "*", "vt"), _ratio),
        NewKey(("controls", "setpoint", "life"), "timeout"),
        NewKey(("controls", "setpoint", "life_max"), "timeout_max"),
    ),
    "protections/v0": (
        NewKey(("rack", "cell_temp_high"), "cell_temperature_high"),
        NewKey(("rack", "cell_temp_low"), "cell_temperature_low"),
        NewKey(("rack", "cell_spread"), "cell_voltage_spread"),
        NewKey(("*", "*", "latch"), "reset_class"),
        NewValue(("*", "*", "reset_class"), words(_LATCHES)),
        NewValue(("*", "*", "*", "action"), words(_ACTIONS)),
    ),
    "device/v0": (
        NewKey(("points", "rack.limit_charge"), "rack.charge_current_limit"),
        NewKey(("points", "rack.limit_discharge"), "rack.discharge_current_limit"),
        NewKey(("points", "cell.temp"), "cell.temperature"),
        NewKey(("points", "rack.life_sign"), "rack.controller_heartbeat"),
        NewKey(("response_time",), "response"),
    ),
}
"""The changes that lead from a version to the next, in order; a later one sees what the earlier ones made."""


def migrated(document: Document) -> tuple[Document, list[Message]]:
    """Return the document in its newest form, and a warning if it was not; places are those of the file as it is."""
    first = document.text_at(("schema",))
    root, version = document.root, first
    while version in MIGRATIONS and root is not None:
        root, _ = _changed(root, version)
        version = newer(version)
    if version == first:
        return document, []
    message = f"'{first}' is an older form of this file; it was read as {version}"
    hint = "rewrite the file with: bess upgrade-config SITE --write"
    return replace(document, root=root), [warning(document.place_of(("schema",)), message, version, hint)]


def upgraded_text(file: str, text: str) -> tuple[str, str]:
    """Return the text of a file in its newest form, all else as it was, and the version that it had ("": newest)."""
    first = ""
    while True:
        document, messages = read_document(file, text.encode())
        version = document.text_at(("schema",))
        if messages or document.root is None or version not in MIGRATIONS:
            return text, first
        first = first or version
        _, edits = _changed(document.root, version)
        text = _edited(text, edits)


def newer(version: str) -> str:
    """Return the version after this one: `site/v1` after `site/v0`."""
    kind, _, number = version.rpartition("v")
    return f"{kind}v{int(number) + 1}"


def _changed(root: Node, version: str) -> tuple[Node, list[Edit]]:
    """Return the tree after one migration, and the same as edits of the text it was read from."""
    edits: dict[Place, str] = {}
    changes = (*MIGRATIONS[version], NewValue(("schema",), words({version: newer(version)})))
    for change in changes:
        root = _apply(root, change, change.at, edits)
    return root, [Edit(place, text) for place, text in edits.items()]


def _apply(node: Node, change: Change, pattern: Pattern, edits: dict[Place, str]) -> Node:
    if not pattern:
        return _respelt(node, change, edits) if isinstance(change, NewValue) else node
    if isinstance(node, Items):
        matches = pattern[0] == "*"
        values = [_apply(v, change, pattern[1:], edits) if matches else v for v in node.values]
        return Items(node.place, values)
    if not isinstance(node, Keys):
        return node
    made = Keys(node.place)
    for name, (key, value) in node.entries.items():
        matches = pattern[0] in ("*", name)
        inner = _apply(value, change, pattern[1:], edits) if matches else value
        renamed = key
        if matches and len(pattern) == 1 and isinstance(change, NewKey) and change.key not in node.entries:
            edits[key.place] = change.key
            renamed = Text(key.place, change.key, key.quoted)
        made.entries[renamed.value] = (renamed, inner)
    return made


def _respelt(node: Node, change: NewValue, edits: dict[Place, str]) -> Node:
    new = change.spell(node.value) if isinstance(node, Text) else None
    if new is None:
        return node
    edits[node.place] = new
    document, _ = read_document("", new.encode())
    return _at(document.root, node.place) if document.root is not None else node


def _at(node: Node, place: Place) -> Node:
    """Return a tree of new text with the place of what it replaces."""
    if isinstance(node, Keys):
        entries = {
            name: (Text(place, name, quoted=False), _at(value, place)) for name, (_, value) in node.entries.items()
        }
        return Keys(place, entries)
    if isinstance(node, Items):
        return Items(place, [_at(value, place) for value in node.values])
    return Text(place, node.value, node.quoted)


def _edited(text: str, edits: list[Edit]) -> str:
    lines = text.splitlines(keepends=True)
    for edit in sorted(edits, key=lambda e: e.place, reverse=True):
        place = edit.place
        line, start = lines[place.line - 1], place.col - 1
        lines[place.line - 1] = line[:start] + edit.text + line[start + place.width :]
    return "".join(lines)
