"""Exactly one controller a site: a file lock in the state folder, and a name in the kernel for real devices.

The lock belongs to the state folder; the abstract Unix socket `bess/<site id>` also holds across users and `--state`
(within one network namespace). Both vanish with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.link.state_folder import make_state_folder, state_folder_error

_UCRED = struct.Struct("3i")
_WAITING_MAX = 64


class AlreadyControlledError(Exception):
    """Another process controls this site; `bess run` exits 2."""

    def __init__(self, pid: int | None) -> None:
        who = f"pid {pid}" if pid else "another process"
        super().__init__(
            f"already controlled by {who}: a site has exactly one controller; `bess status` shows it; end"
            " that `bess run` (Ctrl-C, or `systemctl stop` for a service) before you start another"
        )
        self.pid = pid


class ControlLock:
    """The right to control a site, held from its making to its closing (or the process's end)."""

    def __init__(self, state_folder: Path, real_site_id: str | None) -> None:
        """Take the lock at once or raise AlreadyControlledError; `real_site_id` None for a simulated run."""
        make_state_folder(state_folder)
        self._file = _locked(state_folder / "control.lock")
        self._name: socket.socket | None = None
        try:
            self._name = _named(f"bess/{real_site_id}") if real_site_id is not None else None
        except AlreadyControlledError:
            self.close()
            raise

    def close(self) -> None:
        """Give it up. The lock file stays: unlinking it would let two processes lock two files."""
        if self._name is not None:
            self._name.close()
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(path: Path) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise state_folder_error(path.parent, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 32, 0).strip()
        os.close(file)
        raise AlreadyControlledError(int(holder) if holder.isdigit() else None) from None
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
    except OSError as error:
        os.close(file)
        raise state_folder_error(path.parent, error) from error
    return file


def _named(name: str) -> socket.socket:
    address = b"\0" + name.encode()
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind(address)
        holder.listen(_WAITING_MAX)  # so that a second instance can connect and ask the kernel who we are
    except OSError:
        holder.close()
        raise AlreadyControlledError(_pid_behind(address)) from None
    return holder


def _pid_behind(address: bytes) -> int | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.setblocking(False)
        try:
            asker.connect(address)
        except OSError:
            return None
        credentials = asker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return int(_UCRED.unpack(credentials)[0])
