"""`extends`: a file that says only what differs from another one.

The two trees are laid over each other: groups of keys key by key, all else (single values, lists) whole; the extending
file wins. Every node keeps its place, so that a message or `explain` points at the file that says it. What the
extending file does without stands in `without`, as ways to keys: `points.rack.soc`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controller.plant.messages import Message, did_you_mean, error, one_of
from controller.plant.site_files import SiteFiles, library_names
from controller.plant.yaml_tree import Document, Items, Keys, Node, Text

DEEPEST = 5
"""A file that extends a file that extends ...: more than so many can't be followed by a reader."""


class Extender:
    """Lays files over those that they extend; complains where one is missing, outside, or extends itself."""

    def __init__(self, files: SiteFiles) -> None:
        self.files = files
        self.messages: list[Message] = []

    def whole(self, document: Document, library: str = "", below: tuple[str, ...] = ()) -> Document:
        """Return the document with what it inherits; its tree is None after an error in a file below it.

        `library` is the kind of library files (`devices`) that may be extended by name.
        """
        named = document.node_at(("extends",))
        if not isinstance(named, Text) or document.base is not None or self.files.has_error(document):
            return document
        base = self.base_of(named, document.text_at(("schema",)), (*below, document.file), library)
        base = None if base is None else self.whole(base, library, (*below, document.file))
        merged = None if base is None or base.root is None else self._laid_over(document, base)
        whole = replace(document, root=merged, base=base)
        self.files.documents[document.file] = whole
        return whole

    def path_of(self, text: str, library: str) -> Path:
        """Return what a text names: a file of the site's folder, or a library file by its name."""
        if library and not text.endswith(".yaml") and "/" not in text:
            return self.files.library_path(library, text)
        return self.files.located(text)

    def base_of(self, named: Text, schema: str, below: tuple[str, ...], library: str = "") -> Document | None:
        """Return the file that another one extends, as it stands there, or None after a complaint at its name."""
        if not named.value.isprintable():
            self.messages.append(error(named.place, "a file's name has a character that can't be seen"))
            return None
        path = self.path_of(named.value, library)
        name = self.files.name_of(path)
        wrong = self._refused(path, name, named, below)
        base = None if wrong else self.files.read(path)
        if base is None:
            self.messages.append(wrong or self._missing(named, library))
            return None
        if self.files.has_error(base):
            return None
        its = base.text_at(("schema",))
        if schema != its:
            message = f"'{named.value}' has the schema '{its}'"
            self.messages.append(error(named.place, message, f"a file with 'schema: {schema}'"))
            return None
        return base

    def _refused(self, path: Path, name: str, named: Text, below: tuple[str, ...]) -> Message | None:
        if name in below:
            way = " > ".join((*below[below.index(name) :], name))
            return error(named.place, f"this file would extend itself: {way}", "files that end somewhere")
        if len(below) > DEEPEST:
            return error(named.place, f"more than {DEEPEST} files extend each other", "fewer files")
        if name == str(path):
            message = f"'{named.value}' is outside the site's folder"
            return error(named.place, message, "a file beside or below the site file")
        return None

    def _missing(self, named: Text, library: str) -> Message:
        here = [p.relative_to(self.files.folder).as_posix() for p in self.files.folder.rglob("*.yaml")]
        known = [*library_names(library), *here] if library else here
        hint = did_you_mean(named.value, known)
        return error(named.place, f"there is no file '{named.value}' to extend", "" if hint else one_of(known), hint)

    def _laid_over(self, document: Document, base: Document) -> Node | None:
        root, below = document.root, base.root
        without = document.node_at(("without",))
        names = without.values if isinstance(without, Items) else [without]
        for name in names:
            if isinstance(name, Text):
                below = self._removed(below, name)
        return _merged(root, below) if root is not None and below is not None else root

    def _removed(self, root: Node | None, name: Text) -> Node | None:
        found, known = _without(root, name.value.split("."))
        if found is None:
            hint = did_you_mean(name.value, known)
            message = f"'{name.value}' is not inherited"
            self.messages.append(error(name.place, message, "" if hint else "a key of the extended file", hint))
            return root
        return found


def _merged(over: Node, under: Node) -> Node:
    if not (isinstance(over, Keys) and isinstance(under, Keys)):
        return over
    merged = Keys(over.place, dict(under.entries))
    for name, (key, value) in over.entries.items():
        inherited = under.entries.get(name)
        merged.entries[name] = (key, value if inherited is None else _merged(value, inherited[1]))
    return merged


def _without(node: Node | None, parts: list[str]) -> tuple[Node | None, list[str]]:
    """Return the tree without the key that `parts` lead to (a key may have dots itself); None and near ways if none."""
    if not isinstance(node, Keys):
        return None, []
    known: list[str] = list(node.entries)
    for length in range(len(parts), 0, -1):
        name, rest = ".".join(parts[:length]), parts[length:]
        if name not in node.entries:
            continue
        entries = dict(node.entries)
        key, value = entries.pop(name)
        if rest:
            inner, ways = _without(value, rest)
            if inner is None:
                return None, [f"{name}.{way}" for way in ways]
            entries[name] = (key, inner)
        return Keys(node.place, entries), []
    return None, known
