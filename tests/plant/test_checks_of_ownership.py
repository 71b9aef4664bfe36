# ruff: noqa: E501 - one case a line reads as a table
"""Contactors that nobody can open, heartbeats without a register, limits that nobody reads, rights for everybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.plant.contactors import can_be_opened
from controller.plant.demo_site import demo_site_files
from controller.plant.messages import Severity
from controller.plant.site_loader import load_site

TWINS = Path(__file__).resolve().parents[2] / "site_configs" / "coast_twins"
OWN = """schema: device/v1
extends: %s
device: ours
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
"""


def with_device(changed, text: str, base: str = "generic-rack-bms"):
    site = demo_site_files()["site.yaml"].replace(f"type: {base}", "type: ours")
    return changed(site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=OWN % base + text + "\n")


@pytest.mark.parametrize(
    ("base", "text", "severity", "start"),
    [
        ("generic-rack-bms", "without: [points.rack.connect_request]", "error", "ours says that it takes requests (control: rack_managed), but has no register"),
        ("generic-bank-bms", "without: [points.rack.connect_request, points.bank.connect_request]", "error", "ours says that it takes requests (control: bank_managed)"),
        ("generic-rack-bms", "points:\n  rack.connect_request: {values: {2: none}}", "error", "ours says that it takes requests (control: rack_managed), but rack.connect_request can't say"),
        ("generic-rack-bms", "without: [points.rack.contactor]", "error", "ours never tells whether a rack's contactors are closed"),
        ("generic-rack-bms", "control: none\nwithout: [points.rack.contactor]", "warning", "ours never tells whether a rack's contactors are closed"),
        ("generic-rack-bms", "control: none\nwithout: [points.rack.connect_request]", "warning", "cell_voltage_high disconnects racks, but B02-R01 can't be asked"),
        ("generic-rack-bms", "control: bank_managed", "error", "ours is a rack_bms, which stands alone"),
        ("generic-rack-bms", "without: [points.rack.controller_heartbeat]", "error", "ours expects a heartbeat each 1 s, but has no register"),
        ("generic-pcs", "without: [points.pcs.controller_heartbeat]", "error", "ours expects a heartbeat each 500 ms, but has no register"),
        ("generic-meter", "heartbeat: 1 s", "error", "ours expects a heartbeat each 1 s, but has no register"),
        ("generic-rack-bms", "without: [heartbeat, points.rack.controller_heartbeat.every]", "error", "ours has a register for our heartbeat, but does not say how often"),
        ("generic-rack-bms", "heartbeat: 2 s", "error", "ours expects a heartbeat each 2 s, and its register is written each 1 s"),
        ("generic-rack-bms", "without: [points.rack.charge_current_limit]", "warning", "ours does not show rack.charge_current_limit:"),
        ("generic-bank-bms", "without: [points.rack.charge_current_limit, points.rack.discharge_current_limit]", "warning", "ours does not show rack.charge_current_limit or rack.discharge_current_limit:"),
        ("generic-rack-bms", "identify: {at: input 90, as: string4, equals: X}\nforbidden: [input 93..99]", "error", "identify stands in the forbidden range input 93..99"),
    ],
)  # fmt: skip
def test_a_device_that_nobody_can_rule_is_told_in_its_own_file(changed, base, text, severity, start):
    result = with_device(changed, text, base)
    found = [m for m in result.messages if m.message.startswith(start)]
    assert [m.severity for m in found] == [Severity(severity)], result.text()
    assert found[0].place.file == "ours.yaml"
    assert found[0].expected


@pytest.mark.parametrize(
    ("base", "text"),
    [
        ("generic-bank-bms", "control: rack_managed"),
        ("generic-bank-bms", "without: [points.rack.connect_request]"),
        ("generic-rack-bms", "control: none"),
        ("generic-rack-bms", "heartbeat: 2 s\npoints:\n  rack.controller_heartbeat: {every: 2 s}"),
        ("generic-rack-bms", "without: [heartbeat, points.rack.controller_heartbeat]"),
        ("generic-rack-bms", "without: [heartbeat]"),
    ],
)
def test_what_devices_may_be_is_silent(changed, base, text):
    assert with_device(changed, text, base).text() == ""


def test_whom_one_can_ask_to_open(changed):
    fixed = with_device(changed, "control: none\nwithout: [points.rack.connect_request]").plant
    whole = with_device(changed, "without: [points.rack.connect_request]", "generic-bank-bms").plant
    assert fixed is not None
    assert whole is not None
    assert can_be_opened(fixed) == (True,) * 12 + (False,) * 12
    assert can_be_opened(whole) == (True,) * 24, "by their bank"


@pytest.mark.parametrize(
    ("writers", "severities"),
    [
        ("0.0.0.0/0", ["error"]),
        ("'::/0'", ["error"]),
        ("10.0.0.0/7", ["error"]),
        ("10.0.0.0/8", ["warning"]),
        ("10.10.0.0/16", []),
        ("'fd00:1:2:3::/64'", []),
        ("10.10.0.300", ["error"]),
        ("[10.10.0.11, 0.0.0.0/0]", ["error"]),
    ],
)
def test_the_right_to_write_is_given_to_few(changed, writers, severities):
    result = changed("tcp://127.0.0.1:5020", f"tcp://127.0.0.1:5020\n    writers: {writers}")
    assert [m.severity.value for m in result.messages] == severities, result.text()


def test_the_right_to_write_to_a_partys_list_is_given_to_few(tmp_path):
    for path in TWINS.rglob("*.*"):
        (tmp_path / path.relative_to(TWINS)).parent.mkdir(exist_ok=True)
        text = path.read_text(encoding="utf-8").replace("writers: [10.50.0.4]", "writers: [0.0.0.0/0, anybody]")
        (tmp_path / path.relative_to(TWINS)).write_text(text, encoding="utf-8")
    said = [m.message for m in load_site(tmp_path).errors]
    assert said == ["'0.0.0.0/0' lets everybody write set-points and stops", "'anybody' is no IP address"]
