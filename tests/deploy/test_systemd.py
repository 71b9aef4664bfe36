"""The service files are linted, not run: nothing here starts a service manager."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess

import pytest

from tests.conftest import REPOSITORY

SYSTEMD = REPOSITORY / "systemd"
UNIT = SYSTEMD / "bess@.service"
MOST_EXPOSED = 2.0

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: install the package systemd"
)


def _settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / name).read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@needs_systemd_analyze
def test_the_unit_is_well_formed(tmp_path):
    program = tmp_path / "bess"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/bess/bin/bess", str(program)), encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd_analyze
def test_the_unit_is_little_exposed(record_property):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    exposure = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)

    assert exposure, done.stdout
    record_property("exposure", exposure[1])
    assert float(exposure[1]) <= MOST_EXPOSED


def test_the_control_process_may_feed_the_watchdog():
    unit = _settings(UNIT.name)

    assert (unit["Type"], unit["NotifyAccess"], unit["WatchdogSec"]) == (["notify"], ["all"], ["5"])


def test_the_unit_grants_low_ports_and_nothing_else():
    unit = _settings(UNIT.name)

    assert unit["AmbientCapabilities"] == unit["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]


def test_the_machine_s_boot_id_stays_readable():
    """The snapshot file carries it; `ProcSubset=pid` would hide /proc/sys."""
    assert "ProcSubset" not in _settings(UNIT.name)


@pytest.mark.parametrize("name", ["opcua-users.conf", "serial-line.conf"])
def test_a_drop_in_holds_one_service_section(name):
    drop_in = configparser.ConfigParser(strict=False, interpolation=None)
    drop_in.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their capitals
    drop_in.read_string((SYSTEMD / name).read_text(encoding="utf-8"))

    assert drop_in.sections() == ["Service"]
