from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.simulator.faults.commands import MENU, FaultError, parse_fault, parse_timed_fault


@pytest.mark.parametrize("kind", MENU.values(), ids=MENU)
def test_every_fault_reads_as_its_usage_says(kind):
    usage = kind.usage.split("|")[0].replace("POINT", "Current").replace(" T", " B01-R03")
    command = parse_fault(usage)
    assert command.kind is kind
    assert len(command.arguments) == len(kind.arguments)
    assert command.duration_s is None


def test_a_duration_and_spaces_before_units_are_read():
    command = parse_fault("  cell B01-R03 17 3.72 V for 30 s ")
    assert command.target == "B01-R03"
    assert command.arguments == (17.0, "3.72V")
    assert command.duration_s == 30.0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "empty"),
        ("slient B01-R03", "did you mean 'silent'"),
        ("silent", "expected silent T"),
        ("silent B01-R03 4", "expected silent T"),
        ("late B01-R03 1.5", "no unit"),
        ("cell B01-R03 -1 3.7V", "whole number from 0"),
        ("cell B01-R03 1 3.7A", "no voltage or temperature"),
        ("contactor B01-R03 open", "stuck_open or stuck_closed"),
        ("exception B01-R03 0", "whole number from 1"),
        ("reboot B01-R03 for 3s", "can't be undone"),
        ("offset B01-R03 Current 5", "number with a unit"),
        ("scale B01-R03 Current x10", "no number"),
        ("frequency 49.5V", "a frequency is required"),
    ],
)
def test_what_is_wrong_is_said(line, says):
    with pytest.raises(FaultError, match=says):
        parse_fault(line)


def test_a_fault_file_line_begins_with_its_time():
    assert parse_timed_fault("12.5 silent B01-R03") == (12.5, "silent B01-R03")
    assert parse_timed_fault("20 clear B01-R03") == (20.0, "clear B01-R03")
    with pytest.raises(FaultError, match="expected clear"):
        parse_timed_fault("20 clear B01-R03 now")
    with pytest.raises(FaultError, match="does not begin with a time"):
        parse_timed_fault("silent B01-R03")


@given(st.text())
def test_no_line_does_anything_but_parse_or_complain(line):
    with contextlib.suppress(FaultError):
        assert parse_fault(line).kind.name in MENU
