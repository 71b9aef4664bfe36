"""The run directory: one private folder on tmpfs per running site, where its processes meet.

It is `$RUNTIME_DIRECTORY` (a service), else `$XDG_RUNTIME_DIR/bess/<site>`, else `/dev/shm/bess-<uid>/<site>`. A
simulated run adds a hash of its state folder, so that many may run beside each other and beside the real one.
On tmpfs because the snapshot is written at every scan and must die with the machine's memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MODE = 0o750
_HELD = "held"
_SOCKET_PATH_MAX_BYTES = 107  # sun_path of Linux, without its final zero


class RunDirectoryError(Exception):
    """The run directory cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Where things lie in it."""

    folder: Path

    @property
    def snapshot(self) -> Path:
        """The snapshot file."""
        return self.folder / "snapshot"

    @property
    def processes(self) -> Path:
        """What the supervisor says of its children."""
        return self.folder / "processes.json"

    @property
    def links(self) -> Path:
        """What control says of its links."""
        return self.folder / "links.json"

    @property
    def addresses(self) -> Path:
        """Where a simulated plant's links really are."""
        return self.folder / "addresses.json"

    @property
    def retained(self) -> Path:
        """The spare copy of what was decided: it outlives control, and belongs to this run alone."""
        return self.folder / "retained"

    @property
    def command_socket(self) -> Path:
        """Control's command socket."""
        return self.folder / "command.sock"


def locate(
    site_id: str, environment: Mapping[str, str], user_id: int, *, simulated_state: Path | None = None
) -> RunDirectory:
    """Return where the run directory of a site is, without touching it; `simulated_state` for a simulated run."""
    suffix = f"-{hashlib.sha256(os.fsencode(simulated_state)).hexdigest()[:8]}" if simulated_state else ""
    if service := environment.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        return RunDirectory(Path(service) / f"simulated{suffix}" if suffix else Path(service))
    session = environment.get("XDG_RUNTIME_DIR")
    parent = Path(session) / "bess" if session else Path(f"/dev/shm/bess-{user_id}")  # noqa: S108 - owner is checked
    return RunDirectory(parent / f"{site_id}{suffix}")


def present(environment: Mapping[str, str], user_id: int) -> list[RunDirectory]:
    """Return the run directories that are there, running or not: this user's, and as far as readable the services'."""
    session, service = environment.get("XDG_RUNTIME_DIR"), environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    parents = [Path(session) / "bess"] if session else []
    parents += [Path(f"/dev/shm/bess-{user_id}"), Path("/run/bess")]  # noqa: S108 - looked at only
    found = [Path(service)] if service else []
    for parent in parents:
        with contextlib.suppress(OSError):
            found += sorted(parent.iterdir())
    return [RunDirectory(folder) for folder in found if (folder / "snapshot").exists()]


def hold(run: RunDirectory) -> int:
    """Hold the directory: as long as the returned descriptor is open (or its process lives), nobody removes it.

    Raises:
        RunDirectoryError: Somebody else holds it, or it can't be used.
    """
    with _parent_to_ourselves(run):
        prepare(run)
        return _lock(run)


def discard(run: RunDirectory) -> None:
    """Remove a run directory unless somebody holds it."""
    with contextlib.suppress(RunDirectoryError, OSError), _parent_to_ourselves(run):
        held = _lock(run)
        shutil.rmtree(run.folder, ignore_errors=True)
        os.close(held)


def sweep(run: RunDirectory) -> None:
    """Remove what runs of this user have left beside this one, whatever ended them: a killed one can't itself.

    Never one that somebody holds or whose processes still live, of another user, or in a folder that others may read,
    as `/run` is.
    """
    if not _is_private(run.folder.parent):
        return
    for folder in run.folder.parent.iterdir():
        beside = RunDirectory(folder)
        if folder != run.folder and _is_private(folder) and (folder / _HELD).exists() and not pids_alive(beside):
            discard(beside)


def pids_alive(run: RunDirectory) -> dict[str, int]:
    """Return the processes that live of those that the supervisor told of, itself included, by role."""
    try:
        told = json.loads(run.processes.read_text(encoding="utf-8"))
        pids = {str(role): int(process["pid"]) for role, process in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {role: pid for role, pid in pids.items() if _lives(pid)}


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for yet does not."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:  # gone, or going while it is read
        return False
    return told.rpartition(")")[2].split()[0] != "Z"


def _lock(run: RunDirectory) -> int:
    descriptor = os.open(run.folder / _HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RunDirectoryError(f"{run.folder}: another run holds it; stop that one") from None
    return descriptor


@contextmanager
def _parent_to_ourselves(run: RunDirectory) -> Iterator[None]:
    """Keep other starts and sweeps out for a moment; where others may read, nothing is swept, and none may block us."""
    if not _is_private(run.folder.parent):
        yield
        return
    descriptor = os.open(run.folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_private(folder: Path) -> bool:
    """Whether it is a folder (no link) of this user into which nobody else can look."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & stat.S_IRWXO


def prepare(run: RunDirectory) -> None:
    """Make the folder ours alone (mode 0750), with its missing parents.

    Raises:
        RunDirectoryError: Not on tmpfs, somebody else's, or too long a path for a socket.
    """
    if len(os.fsencode(run.command_socket)) > _SOCKET_PATH_MAX_BYTES:
        raise RunDirectoryError(
            f"{run.command_socket}: a socket's path has at most {_SOCKET_PATH_MAX_BYTES} bytes; shorten the site's id "
            "or set RUNTIME_DIRECTORY to a shorter path on tmpfs"
        )
    existing = next(folder for folder in (run.folder, *run.folder.parents) if folder.exists())
    kind = filesystem_type(existing)
    if kind != "tmpfs":
        raise RunDirectoryError(
            f"{run.folder}: lies on {kind or 'an unknown file system'}, tmpfs expected; set RUNTIME_DIRECTORY to a "
            "folder on tmpfs (under /run or /dev/shm)"
        )
    for folder in reversed((run.folder, *run.folder.parents)):
        if not folder.exists():
            folder.mkdir(_MODE)
    _require_private(run.folder.parent, owners={0, os.geteuid()})
    _require_private(run.folder, owners={os.geteuid()})
    run.folder.chmod(_MODE)


def write_whole(path: Path, text: str) -> None:
    """Write a file aside and put it in its place, so that nobody reads half of it; OSError where there is no room."""
    aside = path.with_suffix(".new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def filesystem_type(path: Path) -> str | None:
    """Return the type of the file system that holds `path` (`tmpfs`, `ext4`), None if the kernel does not say."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split(" ")[2] == number:
            return source.split(" ")[0]
    return None


def _require_private(folder: Path, owners: set[int]) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise RunDirectoryError(f"{folder}: is not a folder (a link counts as none); remove it")
    if status.st_uid not in owners:
        raise RunDirectoryError(f"{folder}: belongs to user {status.st_uid}, expected {os.geteuid()}; remove it")
