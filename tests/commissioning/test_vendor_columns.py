"""How a maker's list is laid out: its headings, its columns, how its addresses count; what does not fit is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.commissioning.point_import import Imported, Request, import_points

LIST = """Register;Signal name;Function code;Data type;Gain;Unit;Access;Remark
30001;Rack voltage;04;U16;10;V;RO;
30002;Rack current;04;S16;10;A;RO;charge +, discharge -
30003;SOC;04;U16;10;%;RO;
30004;Alarm bits;04;BITMAP16;;;RO;"bit0 cell overvoltage alarm; bit1 cell undervoltage alarm"
40001;Contactor command;03/06;U16;;;RW;1=close,2=open
"""


def imported(folder: Path, text: str) -> Imported:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return import_points(Request(folder / "list.csv", "acme", "rack_bms"))


def test_a_text_that_the_delimiter_parts_is_refused_not_cut(tmp_path: Path) -> None:
    """Whoever reads on loses the alarm bits behind the first semicolon."""
    whole = imported(tmp_path, LIST)
    assert "values: {0: over_voltage_alarm, 1: under_voltage_alarm}" in whole.text
    parted = imported(tmp_path, LIST.replace('"', ""))
    assert parted.text == ""
    assert parted.errors.startswith("list.csv!I5: error: the row has more cells than the header")
    assert "'bit1 cell undervoltage alarm' stands behind the last, 'Remark'" in parted.errors
    assert "stands in quotes" in parted.errors


@pytest.mark.parametrize("heading", ["Reg. no.", "Reg addr", "Address No.", "Register (dec)"])
def test_headings_that_people_use_are_understood(heading: str, tmp_path: Path) -> None:
    assert imported(tmp_path, LIST.replace("Register;", f"{heading};")).errors == ""


def test_a_header_that_is_nearly_one_is_named(tmp_path: Path) -> None:
    found = imported(tmp_path, LIST.replace("Register;", "Rgstr;"))
    assert "list.csv!A1 looks like a header: Signal name, Function code" in found.errors
    assert "not 'Rgstr', 'Remark'; none says the address" in found.errors
    assert "looks like" not in imported(tmp_path, "one;two\n3;4\n").errors


def test_one_address_that_counts_otherwise_is_told_at_its_cell(tmp_path: Path) -> None:
    found = imported(tmp_path, LIST.replace("30003", "0x13"))
    assert found.errors.startswith(
        "list.csv!A4: error: '0x13' does not count as the other addresses do, such as 30001"
    ), found.errors


def test_a_command_is_no_state(tmp_path: Path) -> None:
    text = imported(tmp_path, LIST).text
    assert "rack.connect_request:" in text
    assert "values: {1: connect, 2: disconnect}" in text
    assert "rack.contactor:" not in text
    state = LIST.replace("40001;Contactor command;03/06;U16;;;RW", "30009;Contactor status;04;U16;;;RO")
    assert "rack.contactor:" in imported(tmp_path, state.replace("close,2", "closed,2")).text
