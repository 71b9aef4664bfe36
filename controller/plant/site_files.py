"""The files that a site is made of: read once, remembered for messages and for sealing."""

from __future__ import annotations

from pathlib import Path

from controller.plant.messages import Message, Severity
from controller.plant.migrations import migrated
from controller.plant.yaml_tree import MAX_BYTES, Document, read_document

LIBRARY = Path(__file__).parent.parent / "library"
"""Device files, cell types, protection presets and the demo site that ship with the package."""


class SiteFiles:
    """Reads files; each gets the name that messages call it by: relative to the site's folder, or `library/...`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents: dict[str, Document] = {}
        self.paths: dict[str, Path] = {}
        self.messages: list[Message] = []

    def library_path(self, kind: str, name: str) -> Path:
        """Return where a library file is: in the site's own `library/` (a sealed site has one), else in the package."""
        own = self.folder / "library" / kind / f"{name}.yaml"
        return own if own.is_file() else LIBRARY / kind / f"{name}.yaml"

    def located(self, text: str) -> Path:
        """Return the path that a text of a file names, links followed as far as they lead anywhere."""
        return followed(self.folder / text)

    def why_unread(self, text: str, path: Path) -> str:
        """Return in words why a file that was named can't be read."""
        try:
            if (self.folder / text).is_symlink() and not path.exists():
                return f"'{text}' is a link that leads to itself, or to nothing"
            if not path.is_relative_to(self.folder):
                return f"'{text}' is outside the site's folder"
            if path.is_dir():
                return f"'{text}' is a folder"
            if path.is_file():
                large = path.stat().st_size > MAX_BYTES
                return f"'{text}' has more than {MAX_BYTES} bytes" if large else f"'{text}' can't be read"
            if path.exists():
                return f"'{text}' is no regular file"
        except (OSError, ValueError):
            return f"'{text}' can't be read"
        return f"there is no file '{text}'"

    def name_of(self, path: Path) -> str:
        """Return what messages call the file."""
        for folder, prefix in ((self.folder, ""), (LIBRARY, "library/")):
            if path.is_relative_to(folder):
                return prefix + path.relative_to(folder).as_posix()
        return str(path)

    def read(self, path: Path) -> Document | None:
        """Return the file's document in its newest form, None if there is no such file; YAML errors are collected."""
        name = self.name_of(path)
        if name not in self.documents:
            data = _bytes_of(path)
            if data is None:
                return None
            document, messages = read_document(name, data)
            self.documents[name], older = migrated(document)
            self.paths[name] = path
            self.messages += [*messages, *older]
        return self.documents[name]

    def read_lines(self, path: Path) -> Document | None:
        """Return a file that is no YAML (a register list) as its lines, None if it can't be read as text."""
        name = self.name_of(path)
        if name not in self.documents:
            data = _bytes_of(path)
            if data is None or len(data) > MAX_BYTES:
                return None
            lines = data.decode("utf-8-sig", errors="replace").splitlines()
            self.documents[name] = Document(name, data, tuple(lines), None)
            self.paths[name] = path
        return self.documents[name]

    def has_error(self, document: Document) -> bool:
        """Tell whether the file could not be read as YAML."""
        errors = (m for m in self.messages if m.severity is Severity.ERROR)
        return document.root is None or any(m.place.file == document.file for m in errors)


def followed(path: Path) -> Path:
    """Return a path with its links followed; as it is where they go in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path.absolute()


def _bytes_of(path: Path) -> bytes | None:
    """Return the bytes of a regular file, no more than show that it is too long; None if it can't be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError):
        return None


def library_names(kind: str) -> list[str]:
    """Return the names of the library's files of a kind: `devices`, `protections`, `cells`."""
    return sorted(path.stem for path in (LIBRARY / kind).glob("*.yaml"))
