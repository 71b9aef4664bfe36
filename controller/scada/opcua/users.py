"""Who may log in to the OPC UA face: names, roles and scrypt hashes from a secret file that is never in the site file.

One user a line, `name:role:scrypt:n:r:p:salt:hash` (salt and hash in hex), `#` starts a comment. Where the secret lies
is told by `link/secret_store.py`; a file is read again when it changes. A password is hashed outside the loop, one at a
time; who was let in once is recognised afterwards by a keyed digest, so that a master that reconnects costs nothing.
scrypt: RFC 7914.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from asyncua.crypto.permission_rules import User, UserRole

from controller.control.rights import RIGHTS
from controller.link.secret_store import find_secret
from controller.plant.model import OpcUaFace

_COST = (2**14, 8, 1)  # 16 MB and some 50 ms a guess
_MEMORY_MAX = 64 << 20
_OTHERS = 0o077
_ANONYMOUS_ROLE = "engineer"  # on loopback only, so who asks sits at the controller: that is local


class UsersError(ValueError):
    """The secret file can't be used; the text says where, what is wrong and what is expected."""


@dataclass
class PlantUser(User):
    """Who is logged in. The library's own role is `User` for all; ours decides."""

    rights: str = "viewer"


def role_of(user: User) -> str:
    """Return a user's role in the plant; nobody of ours has none."""
    return user.rights if isinstance(user, PlantUser) else ""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One line of the file."""

    name: str
    role: str
    cost: tuple[int, int, int]
    salt: bytes
    hash: bytes

    def matches(self, password: str) -> bool:
        """Whether this is the password; slow on purpose."""
        return hmac.compare_digest(self.hash, _scrypt(password, self.salt, self.cost, len(self.hash)))

    def line(self) -> str:
        """Return it as a line of the file."""
        cost = ":".join(str(number) for number in self.cost)
        return f"{self.name}:{self.role}:scrypt:{cost}:{self.salt.hex()}:{self.hash.hex()}"


def user_record(name: str, role: str, password: str) -> UserRecord:
    """Return a new user's record with a salt of its own."""
    salt = secrets.token_bytes(16)
    return UserRecord(name, role, _COST, salt, _scrypt(password, salt, _COST, 32))


def parse_users(text: str) -> dict[str, UserRecord]:
    """Return the users of a file's text by name; raises UsersError."""
    users: dict[str, UserRecord] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        record = _parse_line(line.strip(), number)
        if record.name in users:
            raise UsersError(f"line {number}: user {record.name!r} twice; give each user one line")
        users[record.name] = record
    return users


def _parse_line(line: str, number: int) -> UserRecord:
    parts = line.split(":")
    if len(parts) != 8 or parts[2] != "scrypt":
        raise UsersError(f"line {number}: name:role:scrypt:n:r:p:salt:hash expected, {len(parts)} parts found")
    name, role, _, *cost, salt, digest = parts
    if role not in RIGHTS:
        raise UsersError(f"line {number}: role {role!r} of {name!r}; one of {', '.join(RIGHTS)} expected")
    try:
        n, r, p = (int(part) for part in cost)
        record = UserRecord(name, role, (n, r, p), bytes.fromhex(salt), bytes.fromhex(digest))
        _scrypt("", record.salt, record.cost, 16)
    except ValueError as error:
        raise UsersError(f"line {number}: scrypt of {name!r}: {error}; numbers and hex expected") from error
    if len(record.hash) < 16:
        raise UsersError(f"line {number}: hash of {name!r} has {len(record.hash)} bytes; at least 16 expected")
    return record


def _scrypt(password: str, salt: bytes, cost: tuple[int, int, int], length: int) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_MAX, dklen=length)


def read_users(path: Path) -> dict[str, UserRecord]:
    """Return the users of a secret file; raises UsersError, also when others may read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsersError(f"{path}: {error}; a readable file of users expected") from error
    if mode & _OTHERS:
        raise UsersError(f"{path}: others may read it (mode {mode & 0o777:04o}); chmod 0400 {path}")
    try:
        return parse_users(text)
    except UsersError as error:
        raise UsersError(f"{path}: {error}") from error


@dataclass(slots=True)
class Users:
    """The library's user manager: who may come in. `path` None: those of `text`, which does not change."""

    path: Path | None
    anonymous: bool
    pause_s: float
    text: str = ""
    _records: dict[str, UserRecord] = field(default_factory=dict)
    _read_at: tuple[int, int, int] = (0, 0, 0)
    _verified: dict[str, tuple[UserRecord, bytes]] = field(default_factory=dict)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    def load(self) -> None:
        """Read the file if it is another than last time; raises UsersError."""
        if self.path is None:
            self._records = self._records or parse_users(self.text)
            return
        try:
            found = self.path.stat()
        except OSError as error:
            raise UsersError(f"{self.path}: {error}; a file of users expected") from error
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._read_at:
            self._records = read_users(self.path)
            self._read_at = seen

    async def verify(self, name: str, password: str) -> None:
        """Find out whether the password is right, so that `get_user` knows; a wrong one costs the asker time."""
        try:
            self.load()
        except UsersError:
            self._records.clear()
            self._read_at = (0, 0, 0)
        if self._knows(name, password):
            return
        record = self._records.get(name, _NOBODY)
        async with self._one_at_a_time:
            right = await asyncio.to_thread(record.matches, password)
        if right and record is not _NOBODY:
            self._verified[name] = (record, self._digest(password))
        else:
            await asyncio.sleep(self.pause_s)

    def get_user(
        self, iserver: object, username: str | None = None, password: str | None = None, certificate: object = None
    ) -> User | None:
        """Return the user of a login that `verify` has seen; None: not let in."""
        del iserver, certificate
        if username is None:
            return PlantUser(UserRole.User, "anonymous", _ANONYMOUS_ROLE) if self.anonymous else None
        if password is None or not self._knows(username, password):
            return None
        return PlantUser(UserRole.User, username, self._records[username].role)

    def _knows(self, name: str, password: str) -> bool:
        record, digest = self._verified.get(name, (None, b""))
        return record is not None and record == self._records.get(name) and digest == self._digest(password)

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(), "sha256")


def users_of(face: OpcUaFace, state: Path | None, pause_s: float) -> Users:
    """Return who may come in; a secret that is not there yet is looked for in the state folder."""
    if not face.users_secret or state is None:
        return Users(None, face.anonymous, pause_s)
    found = find_secret(face.users_secret, state)
    if found is not None and found.path is None:
        return Users(None, face.anonymous, pause_s, os.environ[found.variable])
    return Users(found.path if found else state / "secrets" / face.users_secret, face.anonymous, pause_s)


_NOBODY = UserRecord("", "viewer", _COST, bytes(16), bytes(32))
"""Compared with where there is no such user, so that the answer takes as long."""
