"""The state folder: what survives a run lies there, for the controller's user alone.

Rule: who could write into it could undo a lock-out or a trip, or put a file there that a process then believes. So it
is made with mode 0700, and where it can't be made or written the reason is told with the remedy.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_HINTS = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free space within the user's quota",
    errno.EROFS: "its disk is mounted read-only: mount it writable",
    errno.ENOTDIR: "a file stands where a folder belongs: move it away",
    errno.EEXIST: "a file stands where a folder belongs: move it away",
}
_OTHERS_WRITE = 0o022


def make_state_folder(folder: Path) -> None:
    """Make the folder for its user alone, if it is not there; OSError says what is wrong and how to mend it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise state_folder_error(folder, error) from error


def in_words(error: OSError) -> str:
    """Return an error of the system as a sentence: the file, what is wrong, what helps. Our own are one already."""
    if error.errno is None or not error.strerror:
        return str(error)
    hint = _HINTS.get(error.errno, "")
    return ": ".join(str(part) for part in (error.filename, error.strerror) if part) + (f"; {hint}" if hint else "")


def state_folder_error(folder: Path, error: OSError) -> OSError:
    """Return what is wrong with a state folder, in words."""
    hint = _HINTS.get(error.errno or 0, f"give it to user {os.geteuid()}, or name another with --state DIR")
    words = (error.strerror or str(error)).lower()
    return OSError(f"{folder}: the state folder can't be written: {words}; expected a folder to write in; {hint}")


def is_ours_alone(path: Path) -> bool:
    """Whether a file, and the folder it lies in, belong to this user and can be written by nobody else."""
    try:
        found = [os.lstat(path), path.parent.stat()]
    except OSError:
        return False
    return all(status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE for status in found)
