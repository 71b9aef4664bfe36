"""YAML read into a tree with places, every scalar as text.

YAML's own conversions (17:00 -> 1020, no -> false, 010 -> 8), silent duplicate keys, anchors and tags are what makes
configuration files bite. Here a scalar stays what the human wrote, and the rest is an error with a place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from controller.plant.messages import Message, Place, error
from controller.plant.text_coding import no_utf8
from controller.plant.yaml_syntax import syntax_error

MAX_DEPTH = 40
MAX_BYTES = 1_000_000
MAX_VALUE = 2_000
"""The longest single value in characters: longer ones are no configuration, and cost more the longer they are."""

Loc = tuple[str | int, ...]
"""A way from the root of a file to a value: keys and list positions."""

_PARSER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Text:
    """A scalar as written. `quoted` tells whether it stood in quotes or a block."""

    place: Place
    value: str
    quoted: bool


@dataclass(slots=True)
class Items:
    """A list."""

    place: Place
    values: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Keys:
    """A mapping: key -> (the key itself, its value)."""

    place: Place
    entries: dict[str, tuple[Text, Node]] = field(default_factory=dict)


Node = Text | Items | Keys
Plain = str | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its name for messages, its bytes and lines, its tree (None if it could not be read).

    `base` is the file that it extends: the tree then holds nodes of both, each with its own place.
    """

    file: str
    data: bytes
    lines: tuple[str, ...]
    root: Node | None
    base: Document | None = None

    def line_at(self, place: Place) -> str:
        """Return the source line of a place in this file or in one that it extends."""
        if place.file != self.file and self.base is not None:
            return self.base.line_at(place)
        return self.lines[place.line - 1] if place.line <= len(self.lines) else ""

    def place_of(self, loc: Loc, *, key: bool = False) -> Place:
        """Return where the value at `loc` stands (`key`: where its key stands), or its nearest existing parent."""
        node = self.root
        place = node.place if node is not None else Place(self.file)
        for step, part in enumerate(loc):
            found = _child(node, part)
            if found is None:
                return place
            wants_key = isinstance(found[1], Keys | Items) or (key and step == len(loc) - 1)
            node = found[1]
            place = found[0].place if wants_key and found[0] is not None else node.place
        return place

    def node_at(self, loc: Loc) -> Node | None:
        """Return the node at `loc`, or None."""
        node = self.root
        for part in loc:
            found = _child(node, part)
            if found is None:
                return None
            node = found[1]
        return node

    def text_at(self, loc: Loc) -> str:
        """Return the scalar at `loc` as written, "" if there is none."""
        node = self.node_at(loc)
        return node.value if isinstance(node, Text) else ""


def _child(node: Node | None, part: str | int) -> tuple[Text | None, Node] | None:
    if isinstance(node, Keys) and isinstance(part, str):
        return node.entries.get(part)
    if isinstance(node, Items) and isinstance(part, int) and part < len(node.values):
        return None, node.values[part]
    return None


def plain(node: Node | None) -> Plain:
    """Return the tree without its places: dicts, lists and texts."""
    if isinstance(node, Keys):
        return {name: plain(value) for name, (_, value) in node.entries.items()}
    if isinstance(node, Items):
        return [plain(value) for value in node.values]
    return node.value if node is not None else {}


def walk(node: Node | None, loc: Loc = ()) -> Iterator[tuple[Loc, Node]]:
    """Yield every node with its way from the root, parents first."""
    if node is None:
        return
    yield loc, node
    if isinstance(node, Keys):
        for name, (_, value) in node.entries.items():
            yield from walk(value, (*loc, name))
    elif isinstance(node, Items):
        for position, value in enumerate(node.values):
            yield from walk(value, (*loc, position))


def read_document(file: str, data: bytes) -> tuple[Document, list[Message]]:
    """Return the file's tree and what is wrong with it as YAML; the tree is None after a syntax error."""
    document, messages = _read(file, data)
    return document, list(messages)


@lru_cache(maxsize=32)
def _read(file: str, data: bytes) -> tuple[Document, list[Message]]:
    """The trees are never changed, so the same bytes (library files, mostly) are read once."""
    if len(data) > MAX_BYTES:
        message = f"the file has more than {MAX_BYTES} bytes"
        return Document(file, b"", (), None), [error(Place(file), message, "a file that people can read")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        lines = tuple(data.decode(errors="replace").splitlines())
        return Document(file, data, lines, None), [no_utf8(file, data, wrong)]
    lines = tuple(text.splitlines())
    builder = _Builder(file)
    root: Node | None = None
    try:
        root = builder.document(iter(yaml.parse(text, Loader=_PARSER)))
    except yaml.YAMLError as wrong:
        builder.messages.append(
            wrong.message() if isinstance(wrong, _TooDeepError) else syntax_error(file, text, wrong)
        )
    root = None if builder.broken else root
    if root is None and not builder.messages:
        builder.messages.append(error(Place(file), "the file is empty", "keys such as 'schema: site/v1'"))
    return Document(file, data, lines, root), builder.messages


class _TooDeepError(yaml.YAMLError):
    def __init__(self, place: Place) -> None:
        super().__init__("too deep")
        self.place = place

    def message(self) -> Message:
        return error(self.place, f"more than {MAX_DEPTH} levels inside each other")


class _Builder:
    """Turns parser events into a tree; collects what the language forbids."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.messages: list[Message] = []
        self.broken = False  # what was forbidden leaves a hole: whatever followed from it would only confuse

    def document(self, events: Iterator[Event]) -> Node | None:
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                self.messages.append(error(self._place(event), "a second document starts here", "one document a file"))
                return root
            if isinstance(event, NodeEvent):
                root = self._node(event, events, 0)
        return root

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> Node:
        place = self._place(event)
        self._forbid(event, place)
        if depth > MAX_DEPTH:
            raise _TooDeepError(place)
        if isinstance(event, ScalarEvent):
            return Text(place, event.value, quoted=bool(event.style))
        if isinstance(event, SequenceStartEvent):
            return self._items(place, events, depth)
        if isinstance(event, MappingStartEvent):
            return self._keys(place, events, depth)
        return Text(place, "", quoted=False)  # an alias, already complained about

    def _items(self, place: Place, events: Iterator[Event], depth: int) -> Items:
        items = Items(place)
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            items.values.append(self._node(event, events, depth + 1))
        return items

    def _keys(self, place: Place, events: Iterator[Event], depth: int) -> Keys:
        keys = Keys(place)
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            name = self._node(event, events, depth + 1)
            value = self._node(next(events), events, depth + 1)
            self._add(keys, name, value)
        return keys

    def _add(self, keys: Keys, name: Node, value: Node) -> None:
        if not isinstance(name, Text):
            self.broken = True
            self.messages.append(error(name.place, "a key is not a plain word", "a key such as 'name'"))
        elif name.value in keys.entries:
            first = keys.entries[name.value][0].place
            hint = "the first one would be silently lost in plain YAML; delete one of them"
            self.messages.append(error(name.place, f"'{name.value}' is written twice", hint=hint, see_also=[first]))
        else:
            keys.entries[name.value] = (name, value)

    def _forbid(self, event: Event, place: Place) -> None:
        if isinstance(event, ScalarEvent) and len(event.value) > MAX_VALUE:
            self.broken = True
            message = f"a value of {len(event.value)} characters"
            self.messages.append(error(place, message, f"at most {MAX_VALUE} characters"))
        if isinstance(event, AliasEvent):
            self.broken = True
            self.messages.append(error(place, f"'*{event.anchor}' is a YAML alias", "the value itself", _QUOTE_STAR))
        elif isinstance(event, ScalarEvent | CollectionStartEvent):
            if event.anchor:
                self.messages.append(error(place, f"'&{event.anchor}' is a YAML anchor", "the value itself"))
            if event.tag:
                self.messages.append(error(place, f"'{event.tag}' is a YAML tag", "the value itself"))

    def _place(self, event: Event) -> Place:
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        width = end.column - start.column if end.line == start.line else 1
        return Place(self.file, start.line + 1, start.column + 1, max(1, width))


_QUOTE_STAR = "a pattern that begins with * is written in quotes"
