"""`bess library`: what ships with the program, listed and printed: the nearest file is copied and changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.plant.messages import did_you_mean, one_of
from controller.plant.site_files import LIBRARY, library_names
from controller.plant.yaml_tree import Document, read_document

KINDS = ("devices", "cells", "protections", "scenarios")


class LibraryError(ValueError):
    """There is no such file, or it can't be written where it was asked for."""


@dataclass(frozen=True, slots=True)
class LibraryFile:
    """One file of the library."""

    kind: str
    name: str
    path: Path
    what: str

    def as_json(self) -> dict[str, str]:
        """Return it for machines."""
        return {"kind": self.kind, "name": self.name, "what": self.what, "file": str(self.path)}


def library_files(kind: str = "") -> tuple[LibraryFile, ...]:
    """Return the library's files, or those of a kind; LibraryError if there is no such kind."""
    if kind and kind not in KINDS:
        raise LibraryError(
            f"no kind '{kind}' in the library; {did_you_mean(kind, KINDS) or f'expected {one_of(KINDS)}'}"
        )
    return tuple(file for each in KINDS if kind in {"", each} for file in _of_kind(each))


def library_file(words: tuple[str, ...]) -> LibraryFile:
    """Return the file that `KIND NAME`, or a name alone, means; LibraryError with the nearest name if none does."""
    *kind, name = words
    name = name.removesuffix(".yaml")
    files = library_files(kind[0] if kind else "")
    found = next((file for file in files if file.name == name), None)
    if found is None:
        names = [file.name for file in files]
        where = f"the library's {kind[0]}" if kind else "the library"
        hint = did_you_mean(name, [*names, *(() if kind else KINDS)]) or f"expected {one_of(names, 40)}"
        raise LibraryError(f"no '{name}' in {where}; {hint}")
    return found


def copied(file: LibraryFile, out: Path) -> Path:
    """Write a file's text to a new file (or into a folder) and return where; nothing is overwritten."""
    path = out / file.path.name if out.is_dir() else out
    if path.exists():
        raise LibraryError(f"{path} is there already; expected a new file, nothing is overwritten")
    if not path.resolve().parent.is_dir():
        raise LibraryError(f"{path.resolve().parent}: there is no such folder")
    path.write_bytes(file.path.read_bytes())
    return path


def as_text(files: tuple[LibraryFile, ...]) -> str:
    """Return the list for people: a line a file, under its kind."""
    width = max(len(file.name) for file in files)
    lines: list[str] = []
    for kind in dict.fromkeys(file.kind for file in files):
        lines += [f"{kind}:", *(f"  {file.name:{width}}  {file.what}" for file in files if file.kind == kind)]
    return "\n".join(lines)


def _of_kind(kind: str) -> Iterator[LibraryFile]:
    for name in library_names(kind):
        path = LIBRARY / kind / f"{name}.yaml"
        document, _ = read_document(path.name, path.read_bytes())
        yield LibraryFile(kind, name, path, _what(kind, document))


def _what(kind: str, document: Document) -> str:
    if kind == "devices":
        return f"{document.text_at(('kind',))} of {document.text_at(('maker',))}"
    if kind == "cells":
        return f"{document.text_at(('chemistry',))}, {document.text_at(('capacity',))}"
    begin = " ".join(line.lstrip("# ") for line in document.lines[:3] if line.startswith("#"))
    return re.split(r"(?<=[a-z0-9)])[.;]\s", begin)[0].rstrip(".")
