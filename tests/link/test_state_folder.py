"""The state folder is its user's alone, and what is wrong with it is told with the remedy."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from controller.link.control_lock import ControlLock
from controller.link.secret_store import store_secret
from controller.link.state_folder import in_words, is_ours_alone, make_state_folder, state_folder_error


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_whoever_makes_it_makes_it_for_its_user_alone(tmp_path: Path) -> None:
    make_state_folder(tmp_path / "one")
    ControlLock(tmp_path / "two", None).close()
    store_secret("password", "x", tmp_path / "three")
    assert [_mode(tmp_path / name) for name in ("one", "two", "three")] == [0o700] * 3


def test_one_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir(mode=0o750)
    make_state_folder(tmp_path / "service")
    assert _mode(tmp_path / "service") == 0o750, "as systemd's StateDirectoryMode has made it"


@pytest.mark.parametrize("take", [make_state_folder, lambda folder: ControlLock(folder, None)])
def test_a_file_in_its_place_is_told(tmp_path: Path, take) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(OSError, match=r"state: the state folder can't be written: .*; a file stands where") as told:
        take(tmp_path / "state")
    assert "Errno" not in str(told.value)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space on its disk"),
        (errno.EROFS, "mount it writable"),
        (errno.EACCES, "or name another with --state DIR"),
    ],
)
def test_each_reason_has_its_remedy(tmp_path: Path, number: int, remedy: str) -> None:
    told = str(state_folder_error(tmp_path, OSError(number, "Why")))
    assert told.startswith(f"{tmp_path}: the state folder can't be written: why; expected ")
    assert told.endswith(remedy)


def test_what_others_may_write_is_not_ours_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "nodes"
    assert not is_ours_alone(file), "it is not there"
    file.touch(mode=0o600)
    assert is_ours_alone(file)
    file.chmod(0o620)
    assert not is_ours_alone(file)
    file.chmod(0o600)
    tmp_path.chmod(0o770)
    assert not is_ours_alone(file), "whoever may write the folder may put another file there"
    tmp_path.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert not is_ours_alone(link), "the mode of a link is nobody's"


def test_an_error_of_the_system_is_a_sentence(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "journal"))
    assert in_words(full) == f"{tmp_path / 'journal'}: No space left on device; free space on its disk"
    assert in_words(OSError(errno.EIO, "Input/output error")) == "Input/output error"
    assert in_words(OSError("the opcua face can't have it")) == "the opcua face can't have it"
