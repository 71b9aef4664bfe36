"""`bess secret set`: a value, or a user of a file of users, stored where only the service may read it."""

from __future__ import annotations

from pathlib import Path

from controller.link.secret_store import SecretError, store_secret
from controller.plant.figures import counted
from controller.plant.messages import did_you_mean
from controller.plant.site_loader import load_site, site_file
from controller.plant.yaml_tree import Text, walk
from controller.scada.opcua.users import UserRecord, UsersError, parse_users, user_record

SHORTEST_PASSWORD = 8
"""Characters; NIST SP 800-63B, 5.1.1.1."""


def not_asked_for(name: str, site: Path) -> str:
    """Return why a secret of this name would never be read by the site, "" if it is asked for or there is no site."""
    sources = load_site(site).sources if site_file(site).is_file() else None
    if sources is None:
        return ""
    asked = [n.value for loc, n in walk(sources.document.root) if loc[-1:] == ("secret",) and isinstance(n, Text)]
    if name in asked:
        return ""
    known = f"it asks for {', '.join(asked)}" if asked else "it asks for none"
    hint = did_you_mean(name, asked)
    return f"{site}: no secret '{name}' is asked for; {hint or known}; nothing was stored"


def holds_users(name: str, site: Path) -> bool:
    """Return whether a site reads its users from a secret of this name."""
    sources = load_site(site).sources if site_file(site).is_file() else None
    found = walk(sources.document.root) if sources is not None else ()
    return any(loc[-2:] == ("users", "secret") and isinstance(n, Text) and n.value == name for loc, n in found)


def set_value(name: str, value: str, state: Path, *, users: bool = False) -> Path:
    """Store a secret's value and return its file; `users`: the site reads its users from it.

    Raises:
        SecretError: The secret holds users, and the value is no list of them.
    """
    path = state / "secrets" / name
    held = users or (path.is_file() and users_of(path.read_text(encoding="utf-8")))
    if held and not users_of(value):
        raise SecretError(f"'{name}' holds users, and this is no list of users; add one with --user NAME")
    return store_secret(name, value, state)


def users_of(text: str) -> dict[str, UserRecord]:
    """Return the users that a secret's text lists, none where it is something else."""
    try:
        return parse_users(text)
    except UsersError:
        return {}


def set_user(name: str, user: str, role: str, password: str, state: Path) -> Path:
    """Add a user to a secret that holds users, or give a user another role or password; return its file.

    Raises:
        SecretError: The file holds something else, or the user can't be written to it.
    """
    path = state / "secrets" / name
    try:
        users = parse_users(path.read_text(encoding="utf-8")) if path.is_file() else {}
        users[user] = _record(user, role, password)
    except UsersError as wrong:
        raise SecretError(f"{path}: {wrong}") from wrong
    return store_secret(name, "".join(f"{record.line()}\n" for record in users.values()), state)


def _record(user: str, role: str, password: str) -> UserRecord:
    """Return the record as the file will give it back: what can't be read again is refused now."""
    if len(password) < SHORTEST_PASSWORD:
        size = f"has {counted(len(password), 'character')}" if password else "is empty"
        expected = f"expected {SHORTEST_PASSWORD} or more"
        raise SecretError(f"the password of '{user}' {size}; {expected}; nothing was stored")
    line = user_record(user, role, password).line()
    return parse_users(line)[user] if user.strip() == user and ":" not in user else _refuse(user)


def _refuse(user: str) -> UserRecord:
    raise SecretError(f"'{user}' can't be a user's name; letters and digits expected")
