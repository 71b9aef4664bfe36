# ruff: noqa: E501 - one case a line reads as a table
"""Ramps, buses, contactors, plates, serial lines and addresses: what can't be meant, and what a sane site says."""

from __future__ import annotations

import math
import re

import pytest

from controller.plant.expansion.devices import parse_connect
from controller.plant.messages import Complaint, Severity
from controller.plant.model import TcpAddress
from controller.plant.ratios import read_plate

BUS = "bms_stops_pcs: controller_only"
METER = "    role: poi\n    voltage: 12.47 kV\n"
BANK = '    racks: "B{block}-R*"\n\nbuses'
BANK_TCP = "tcp://127.0.0.1:{block+17000}?unit=1"


def serial(baud: int) -> str:
    return f"serial:///dev/ttyS0?baud={baud}&parity=even&stop=1&unit=1"


@pytest.mark.parametrize(
    ("old", "new", "severity", "start"),
    [
        ("    ramp: 2.4 MW/s\n", "    ramp: 200 W/s\n", "error", "PCS01 ramps at 200 W/s: from full power to zero it would take 6000 s"),
        ("    ramp: 2.4 MW/s\n", "    ramp: 10 kW/s\n", "error", "PCS01 ramps at 10 kW/s: from full power to zero it would take 120 s, and if we die its BMS opens after 30 s"),
        ("    ramp: 2.4 MW/s\n", "    ramp: 60 kW/s\n", "warning", "PCS01 takes 20 s to zero by its ramp, and 1 s after its time-out"),
        (BUS, f"{BUS}\n    current_max: 200 A", "error", "DC01 bears 200 A, but PCS01 at full power takes 1822 A at 672 V"),
        (BUS, f"{BUS}\n    current_max: 1.5 kA", "warning", "DC01 bears 1500 A"),
        (BUS, f"{BUS}\n    current_max: 20 kA", "error", "DC01 is said to bear 20000 A; PCS01 carries 2000 A"),
        ("frequency: 60 Hz", "frequency: 55 Hz", "error", "no grid has a nominal frequency of 55 Hz"),
        ("frequency: 60 Hz", "frequency: 50 Hz", "warning", "the grid at America/Chicago runs at 60 Hz, this POI at 50 Hz"),
        ("America/Chicago", "Europe/Berlin", "warning", "the grid at Europe/Berlin runs at 50 Hz, this POI at 60 Hz"),
        ('    transformer: "T{block}"\n', "", "error", "PCS01 has no transformer and makes 400 V, but the POI has 12.47 kV"),
        ("apparent: 1.4 MVA", "apparent: 14 MVA", "warning", "T01 has 14 MVA, far more than its PCS, 1.32 MVA"),
        ("apparent: 1.4 MVA", "apparent: 990 MVA", "error", "T01 has 990 MVA, far more than its PCS, 1.32 MVA"),
        ("voltage: 12.47 kV, freq", "voltage: 24.7 kV, freq", "error", "the POI is said to have 24.7 kV, but GRID measures 12.47 kV"),
        (METER, METER + "    vt: {ratio: 12470:sqrt3/120}\n", "error", "the voltage transformer of GRID has the root of three on one side"),
        (METER, METER + "    vt: {ratio: 20000:sqrt3/100:sqrt3}\n", "error", "the voltage transformer of GRID is for 11.55 kV, but it measures 12.47 kV"),
        (METER, METER + "    vt: {ratio: 13300/120}\n", "warning", "the voltage transformer of GRID is for 13.3 kV, but it measures 12.47 kV"),
        (METER, METER.replace("12.47 kV", "400 V"), "warning", "GRID measures 400 V, on the converters' side of T01"),
        (METER, METER.replace("12.47 kV", "33 kV"), "error", "GRID measures 33 kV at a POI of 12.47 kV"),
        (METER, METER.replace("poi", "poi\n    poll: 1 s").replace("12.47 kV", "13.2 kV"), "error", "GRID measures 13.2 kV at a POI of 12.47 kV"),
        ("    role: auxiliary\n    voltage: 400 V\n", "    role: revenue\n    voltage: 400 V\n", "warning", "AUX measures 400 V, on the converters' side of T01"),
        (BANK, "    gateway: {in_flight: 200000}\n" + BANK, "error", "banks.gateway.in_flight can't be meant so"),
        (BANK, "    gateway: {in_flight: 40}\n" + BANK, "error", "40 requests at once for BANK01, which takes 4"),
        (BANK, "    gateway: {in_flight: 6}\n" + BANK, "warning", "6 requests at once for BANK01, which takes 4"),
        (BANK_TCP, serial(9600), "error", "/dev/ttyS0 would be 274 % busy: 21.6 requests/s x 127 ms on a line of 9600 baud"),
        (f'"{BANK_TCP}"\n', f'"{serial(115200)}"\n    gateway: {{in_flight: 2}}\n', "error", "2 requests at once on a serial line"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_once(changed, old, new, severity, start):
    result = changed(old, new)
    found = [m for m in result.messages if m.message.startswith(start)]
    assert [m.severity for m in found] == [Severity(severity)], result.text()
    assert found[0].expected
    about = [m for m in result.messages if m.place == found[0].place]
    assert len(about) == 1, result.text()


def test_contactors_that_open_under_little_are_told(changed, tmp_path):
    result = changed(BUS, "bms_stops_pcs: can", protections_yaml="schema: protections/v1\nbase: lfp-utility@1\n")
    assert result.text() == ""
    site = (tmp_path / "site.yaml").read_text(encoding="utf-8").replace("break: 400 A", "break: 30 A")
    said = [m.message for m in changed(site_yaml=site).warnings]
    assert [m for m in said if m.startswith("the contactors of lfp280 open under 30 A at most, but carry 200 A")] != []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (METER, METER + "    vt: {ratio: 12470:sqrt3/120:sqrt3}\n"),
        (METER, METER + "    vt: {ratio: 7200/120}\n"),
        ('"tcp://127.0.0.1:15000?unit=1"', '"tcp://[fd00:10:20::5]:502?unit=1"'),
        ('"tcp://127.0.0.1:15000?unit=1"', '"tcp://[fe80::5%eth0]:502?unit=1"'),
        ("tcp://127.0.0.1:5020", 'tcp://[::1]:5020\n    writers: ["fd00:1:2::/64"]'),
        (BUS, f"{BUS}\n    current_max: 2.5 kA"),
        ("America/Chicago", "Asia/Tokyo"),
        (BANK, "    gateway: {in_flight: 4}\n" + BANK),
        (BANK_TCP, serial(57600)),
        ("tcp://127.0.0.1:15002?unit=1", serial(9600)),
    ],
)
def test_what_a_sane_site_says_is_silent(changed, old, new):
    assert changed(old, new).text() == ""


def test_the_baud_rate_that_is_named_bears_the_load(changed):
    told = changed(BANK_TCP, serial(9600)).errors[0].hint
    (baud,) = re.findall(r"baud=(\d+)", told)
    assert changed(BANK_TCP, serial(int(baud))).text() == ""


def test_no_line_bears_what_its_devices_can_not_answer(changed):
    result = changed(f'"{BANK_TCP}"\n', f'"{serial(9600)}"\n    gateway: {{gap: 200 ms}}\n')
    assert "baud=" not in result.errors[0].hint


@pytest.mark.parametrize(
    ("text", "primary", "secondary", "alike"),
    [
        ("600/5", 600, 5, True),
        ("20000:sqrt3/100:sqrt3", 20000 / math.sqrt(3), 100 / math.sqrt(3), True),
        ("20000:√3 / 100:√3", 20000 / math.sqrt(3), 100 / math.sqrt(3), True),
        ("20000/sqrt(3)/100/sqrt(3)", 20000 / math.sqrt(3), 100 / math.sqrt(3), True),
        ("20000/100:sqrt3", 20000, 100 / math.sqrt(3), False),
    ],
)
def test_plates_are_read_as_they_are_written(text, primary, secondary, alike):
    plate = read_plate(text)
    assert plate is not None
    assert (plate.primary, plate.secondary, plate.alike) == (primary, secondary, alike)
    assert plate.to_earth == (primary not in (600, 20000))
    assert plate.ratio == primary / secondary


@pytest.mark.parametrize("text", ["", "600", "600/0", "0/5", "600:5", "sqrt3/5", "20000:sqrt2/100", "600/5/1"])
def test_what_is_no_plate_is_refused(text):
    assert read_plate(text) is None


def test_an_ipv6_address_is_shown_in_brackets():
    parsed = parse_connect("tcp://[fd00::5]:502?unit=1")
    assert parsed == (TcpAddress("fd00::5", 502), 1)
    assert str(TcpAddress("fd00::5", 502)) == "[fd00::5]:502"
    for wrong, hint in (("tcp://fd00::5:502?unit=1", "brackets"), ("tcp://[fd00::5]?unit=1", "write [fd00::5]:502")):
        complaint = parse_connect(wrong)
        assert isinstance(complaint, Complaint)
        assert hint in complaint.hint
    assert isinstance(parse_connect("tcp://[fd00::zz]:502?unit=1"), Complaint)
