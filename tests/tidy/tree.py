"""The tree as the house rules see it: tracked files only, each module parsed once."""

from __future__ import annotations

import ast
import contextlib
import subprocess
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CONTROLLER = REPOSITORY / "controller"


@cache
def tracked_files() -> tuple[Path, ...]:
    """List the files git knows, relative to the root; those just deleted are left out."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    return tuple(Path(name) for name in listing.stdout.split("\0") if name and (REPOSITORY / name).is_file())


def modules(*folders: str) -> list[Path]:
    """List the Python modules of top-level folders."""
    return [path for path in tracked_files() if path.suffix == ".py" and path.parts[0] in folders]


def packages() -> list[str]:
    """List the rooms: the packages right below `controller/`."""
    return sorted({path.parts[1] for path in modules("controller") if len(path.parts) > 2})


@cache
def text(path: Path) -> str:
    """Read one tracked file."""
    return (REPOSITORY / path).read_text(encoding="utf-8", errors="replace")


@cache
def parsed(path: Path) -> ast.Module:
    """Parse one module, again where CPython 3.11 miscounts its own recursion (gh-106905)."""
    with contextlib.suppress(SystemError):
        return ast.parse(text(path), filename=str(path))
    return ast.parse(text(path), filename=str(path))
