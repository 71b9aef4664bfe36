"""The addresses that a site has promised: `maps/frozen.csv` beside its site file."""

from __future__ import annotations

from pathlib import Path

from controller.plant.site_loader import site_file
from controller.points.addresses import FrozenMapError, Place, read_frozen

FREEZE_ANEW = "remove maps/frozen.csv, then bess points freeze SITE"
"""How a promise is taken back: by a person who removes the file that holds it, never by the verb alone."""


def frozen_file(site: Path) -> Path:
    """Return where a site's frozen map lies."""
    return site_file(site).parent / "maps" / "frozen.csv"


def frozen_map(site: Path) -> dict[str, Place] | None:
    """Return the frozen places, None if nothing is frozen; FrozenMapError with the file's name and line."""
    path = frozen_file(site)
    if not path.exists():
        return None
    try:
        return read_frozen(path.read_text(encoding="utf-8"))
    except FrozenMapError as error:
        raise FrozenMapError(f"{path}: {error}") from error
