from __future__ import annotations

import os
import signal
import socket
import uuid

import pytest

from controller.link.control_lock import AlreadyControlledError, ControlLock


def test_second_instance_is_refused_with_the_pid_of_the_first(tmp_path) -> None:
    with ControlLock(tmp_path / "state", None):
        for _ in range(2):
            with pytest.raises(AlreadyControlledError, match=f"already controlled by pid {os.getpid()}"):
                ControlLock(tmp_path / "state", None)
    ControlLock(tmp_path / "state", None).close()


def test_real_devices_hold_across_state_folders(tmp_path) -> None:
    site = f"test-{uuid.uuid4()}"
    with ControlLock(tmp_path / "a", site):
        with pytest.raises(AlreadyControlledError, match=f"already controlled by pid {os.getpid()}"):
            ControlLock(tmp_path / "b", site)
        ControlLock(tmp_path / "b", None).close()  # what was taken was given back; simulated runs go beside
    ControlLock(tmp_path / "b", site).close()


def test_lock_dies_with_its_process(tmp_path) -> None:
    ready, ready_end = os.pipe()
    site = f"test-{uuid.uuid4()}"
    pid = os.fork()
    if pid == 0:
        with ControlLock(tmp_path, site):
            os.write(ready_end, b"x")
            signal.pause()
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    os.close(ready_end)
    try:
        with pytest.raises(AlreadyControlledError) as refused:
            ControlLock(tmp_path, site)
        assert refused.value.pid == pid
        with pytest.raises(AlreadyControlledError) as refused_by_name:
            ControlLock(tmp_path / "other", site)
        assert refused_by_name.value.pid == pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    ControlLock(tmp_path, site).close()


def test_holder_without_a_pid_is_still_a_holder(tmp_path) -> None:
    site = f"test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(b"\0bess/" + site.encode())  # does not listen: nobody to ask
        with pytest.raises(AlreadyControlledError, match="another process"):
            ControlLock(tmp_path, site)
