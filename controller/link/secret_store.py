"""Secrets by name: a site file says `{secret: NAME}`, the value lies where only its owner may read it.

Looked for in this order: the service's credentials (`$CREDENTIALS_DIRECTORY/NAME`, systemd's `LoadCredential=`), a file
of the state folder (`secrets/NAME`, readable by its owner only), the environment (`BESS_SECRET_NAME`, capitals and
underscores). Values are never printed, logged or sealed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.link.state_folder import make_state_folder

_OTHERS = 0o077


class SecretError(ValueError):
    """A secret can't be stored or read; the text says which, why and what to do, never its value."""


@dataclass(frozen=True, slots=True)
class FoundSecret:
    """Where a secret is: a file, or a variable of the environment."""

    name: str
    path: Path | None
    variable: str = ""

    def value(self) -> str:
        """Return what it holds; OSError or UnicodeDecodeError where it can't be read."""
        return self.path.read_text(encoding="utf-8") if self.path is not None else os.environ.get(self.variable, "")

    def __str__(self) -> str:
        """Return the place, for people."""
        return str(self.path) if self.path is not None else f"${self.variable}"


def variable_of(name: str) -> str:
    """Return the environment variable that may hold a secret."""
    return "BESS_SECRET_" + re.sub(r"\W", "_", name).upper()


def find_secret(name: str, state: Path, environment: Mapping[str, str] = os.environ) -> FoundSecret | None:
    """Return where a secret is, None if it is nowhere. SecretError for a name that leads elsewhere."""
    _require_plain(name)
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    for folder in ([Path(credentials)] if credentials else []) + [state / "secrets"]:
        if (folder / name).is_file():
            return FoundSecret(name, folder / name)
    variable = variable_of(name)
    return FoundSecret(name, None, variable) if environment.get(variable) else None


def readable_by_others(found: FoundSecret) -> bool:
    """Tell whether a secret's file may be read by anybody but its owner."""
    return found.path is not None and bool(found.path.stat().st_mode & _OTHERS)


def store_secret(name: str, value: str, state: Path) -> Path:
    """Store a secret in the state folder, mode 0600 in a folder of mode 0700; written aside, put in place in one step.

    Raises:
        SecretError: An empty value, or a name that is no plain word.
        OSError: No right, no space.
    """
    _require_plain(name)
    if not value.strip():
        raise SecretError(f"the value of '{name}' is empty; nothing was stored")
    folder = state / "secrets"
    make_state_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    aside = folder / f".{name}.new"
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
    return aside.replace(folder / name)


def _require_plain(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise SecretError(f"'{name}' can't be the name of a secret; letters, digits, - and _ expected")
