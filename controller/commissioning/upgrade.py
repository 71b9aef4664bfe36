"""`bess upgrade-config`: a site's files rewritten in the newest form; comments, order and layout stay as they are."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from controller.plant.messages import render
from controller.plant.migrations import upgraded_text
from controller.plant.site_loader import load_site, site_file


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One file that has an older form: its version, its text as it is and as it would be."""

    file: str
    path: Path
    version: str
    old: str
    new: str

    def diff(self) -> str:
        """Return what would change."""
        lines = difflib.unified_diff(self.old.splitlines(), self.new.splitlines(), self.file, self.file, lineterm="")
        return "\n".join(lines)


def upgrades(site: Path) -> tuple[Upgrade, ...]:
    """Return the files of a site, of all that it reads, that have an older form."""
    folder = site_file(site).parent
    found = []
    for name, document in sorted(load_site(site).documents.items()):
        if name.startswith("library/") or document.root is None:
            continue
        old = document.data.decode("utf-8-sig")
        new, version = upgraded_text(name, old)
        if version:
            found.append(Upgrade(name, folder / name, version, old, new))
    return tuple(found)


def unread(site: Path) -> str:
    """Return what is to be said of files whose form can't be told: no YAML, or a schema that is not known."""
    result = load_site(site)
    documents = result.documents
    found = [
        message
        for message in result.errors
        if (document := documents.get(message.place.file)) is not None
        and (document.root is None or message.place == document.place_of(("schema",)))
    ]
    return render(found, {name: document.lines for name, document in documents.items()}) if found else ""


def write(upgrade: Upgrade) -> Path:
    """Write the new form aside and put it in place in one step; return where the old one is kept.

    Raises:
        OSError: No right, no space; the file is then as it was.
    """
    backup = _unused(upgrade.path.with_name(f"{upgrade.path.name}.{upgrade.version.rpartition('/')[2]}"))
    mode = upgrade.path.stat().st_mode & 0o777
    aside = upgrade.path.with_name(f".{upgrade.path.name}.new")
    backup.write_bytes(upgrade.path.read_bytes())
    aside.write_bytes(upgrade.new.encode())
    aside.chmod(mode)
    with aside.open("rb") as written:
        os.fsync(written.fileno())
    aside.replace(upgrade.path)
    return backup


def _unused(path: Path) -> Path:
    candidates = (path.with_name(f"{path.name}.{k}") if k else path for k in range(1000))
    return next(candidate for candidate in candidates if not candidate.exists())
