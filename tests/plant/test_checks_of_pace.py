# ruff: noqa: E501 - one case a line reads as a table
"""Time-outs, refreshes, polls, starts and scans that can't be meant, and those that a sane site may have."""

from __future__ import annotations

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.messages import Severity
from controller.plant.site_loader import load_site

OWN = """schema: device/v1
extends: generic-rack-bms
device: ours
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
"""
BANK = '    racks: "B{block}-R*"\n\nbuses'
STALE = "  start: {timeout"


@pytest.mark.parametrize(
    ("old", "new", "severity", "start"),
    [
        ("    role: poi\n", "    role: poi\n    poll: 59 s\n", "error", "GRID is asked for meter.active_power each 59 s only"),
        ("    role: poi\n", "    role: poi\n    poll: 10 min\n", "error", "GRID is asked for meter.active_power each 600 s only"),
        ("    role: poi\n", "    role: poi\n    poll: 5 s\n", "warning", "GRID is asked for meter.active_power each 5 s only"),
        ("    watchdog: 5 s\n", "    watchdog: 60 s\n    poll: 30 s\n", "error", "PCS01 is asked for pcs.state each 30 s only"),
        ("type: generic-digital-io\n", "type: generic-digital-io\n    poll: 1 min\n", "error", "IO01 is asked for interlock.healthy each 60 s only"),
        ("    role: auxiliary\n    voltage: 400 V\n    poll: 1 s\n", "    role: auxiliary\n    voltage: 400 V\n    poll: 1 h\n", "warning", "AUX is asked for meter.active_power each 3600 s only, but data_age calls data too old after 2 s"),
        (BANK, "    poll: {fast: 1 min}\n" + BANK, "error", "BANK01 is asked for rack.current each 60 s only, but current_far_too_high trips after 0.3 s"),
        (BANK, "    poll: {fast: 5 s}\n" + BANK, "warning", "BANK01 is asked for rack.current each 5 s only"),
        (STALE, "  stale: {zero_min: 1 h}\n" + STALE, "error", "stale.zero_min: a converter would run on for 1 h"),
        (STALE, "  stale: {zero_min: 30 s}\n" + STALE, "warning", "stale.zero_min: a converter would run on for 30 s"),
        (STALE, "  stale: {zero_periods: 100}\n" + STALE, "error", "stale.zero_periods: a converter would run on for 100"),
        (STALE, "  stale: {zero_periods: 15}\n" + STALE, "warning", "stale.zero_periods: a converter would run on for 15"),
        (STALE, "  stale: {zero_where_bms_stops_pcs: 20 min}\n" + STALE, "error", "stale.zero_where_bms_stops_pcs: a converter"),
        ("start: {timeout: 60 s", "start: {timeout: 1 s", "error", "a start is given 1 s"),
        (BANK, "    gateway: {timeout: 2 ms}\n" + BANK, "error", "BANK01 is given 2 ms to answer and typically takes 6 ms: every"),
        (BANK, "    gateway: {timeout: 8 ms}\n" + BANK, "warning", "BANK01 is given 8 ms to answer and typically takes 6 ms: a slow"),
        (BANK, "    gateway: {timeout: 8 s}\n" + BANK, "warning", "one lost answer keeps 127.0.0.1:17001 waiting for 8 s"),
        (BANK, "    gateway: {timeout: 30 s}\n" + BANK, "error", "one lost answer keeps 127.0.0.1:17001 waiting for 30 s, and BANK01 gives up"),
        ("    role: auxiliary\n", "    role: auxiliary\n    gateway: {timeout: 30 s}\n", "error", "one lost answer keeps 127.0.0.1:15001 waiting for 30 s: nothing"),
    ],
)  # fmt: skip
def test_what_would_be_too_late_is_told(changed, old, new, severity, start):
    result = changed(old, new)
    found = [m for m in result.messages if m.message.startswith(start)]
    assert [m.severity for m in found] == [Severity(severity)], result.text()
    assert found[0].place.file == "site.yaml"
    assert found[0].expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    role: poi\n", "    role: poi\n    poll: 2 s\n"),
        ("    role: auxiliary\n    voltage: 400 V\n    poll: 1 s\n", "    role: auxiliary\n    voltage: 400 V\n    poll: 2 s\n"),
        (STALE, "  stale: {zero_min: 15 s, zero_periods: 10, zero_where_bms_stops_pcs: 90 s}\n" + STALE),
        ("start: {timeout: 60 s", "start: {timeout: 10 s"),
        ("scan: 250 ms", "scan: 20 ms"),
        (BANK, "    gateway: {timeout: 4 s}\n" + BANK),
    ],
)  # fmt: skip
def test_what_a_slow_site_may_say_is_silent(changed, old, new):
    assert changed(old, new).text() == ""


@pytest.mark.parametrize(
    ("text", "severity", "start"),
    [
        ("refresh: 200 s", "error", "registers of ours may be 200 s old, but current_far_too_high trips after 0.3 s"),
        ("refresh: 20 s", "warning", "registers of ours may be 20 s old"),
        ("timeout: 1 ms", "error", "B02-R01 is given 1 ms to answer"),
        ("response: 2 s", "error", "B02-R01 is given 500 ms to answer and typically takes 2 s"),
    ],
)
def test_what_a_device_file_makes_too_late_is_told_there(changed, text, severity, start):
    site = demo_site_files()["site.yaml"].replace("type: generic-rack-bms", "type: ours")
    result = changed(site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=OWN + text + "\n")
    found = [m for m in result.messages if m.message.startswith(start)]
    assert [m.severity for m in found] == [Severity(severity)], result.text()


@pytest.mark.parametrize(
    ("text", "severity", "start"),
    [
        ("blocks:\n  fast: {every: 1 min}", "error", "B02-R01 is asked for rack.current each 60 s only, but current_far_too_high"),
        ("points:\n  rack.current: {block: slow}", "warning", "B02-R01 is asked for rack.current each 5 s only, but current_far_too_high"),
    ],
)  # fmt: skip
def test_a_current_is_read_as_fast_as_it_trips(changed, text, severity, start):
    site = demo_site_files()["site.yaml"].replace("type: generic-rack-bms", "type: ours")
    result = changed(site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=OWN + text + "\n")
    found = [m for m in result.messages if m.message.startswith(start)]
    assert [m.severity for m in found] == [Severity(severity)], result.text()


@pytest.mark.parametrize(("delay", "late"), [("61 s", True), ("3 min", True), ("30 s", False)])
def test_a_cell_at_its_highest_voltage_does_not_wait_for_minutes(changed, delay, late):
    rows = f"schema: protections/v1\nbase: lfp-utility@1\nrack:\n  cell_voltage_high: {{trip: {{limit: 3.65 V, delay: {delay}}}}}\n"
    result = changed(protections_yaml=rows)
    found = [m for m in result.errors if m.message.startswith("cell_voltage_high trips only after")]
    assert [m.expected for m in found] == (["a trip within 60 s"] if late else []), result.text()


def test_who_is_stopped_for_silence_is_asked_more_often(changed):
    pcs = "    ac_voltage: 400 V"
    found = [
        m for m in changed(pcs, f"    poll: {{fast: 6 s}}\n{pcs}").errors if m.message.startswith("PCS01 is asked")
    ]
    assert [m.message.partition("only: ")[2] for m in found] == ["data_age stops it when nothing is heard for 5 s"]


def test_nobody_goes_on_unseen_for_an_hour(changed):
    rows = "schema: protections/v1\nbase: lfp-utility@1\nrack:\n  data_age: {alarm: 1 h}\n"
    result = changed(protections_yaml=rows)
    assert [m.message for m in result.messages] == ["data_age: alarm (1 h) lets a rack go on unseen for 3600 s"]


def test_a_scan_of_many_cells_takes_its_time(tmp_path):
    files = demo_site_files(400)
    for scan, worst in (("10 ms", Severity.ERROR), ("20 ms", Severity.WARNING), ("50 ms", None)):
        text = files["site.yaml"].replace("scan: 250 ms", f"scan: {scan}")
        for name, content in {**files, "site.yaml": text}.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        found = [m.severity for m in load_site(tmp_path).messages if "one of 96000 cells takes about" in m.message]
        assert found == ([] if worst is None else [worst])
