"""A bank's list that shows one rack: its rows are the rack's, and a note says how often they repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.commissioning.point_import import Imported, Request, import_points
from controller.commissioning.vendor_notes import Repetition, is_of_racks, repetition_of
from controller.plant.device_loader import load_device
from controller.plant.device_types import DeviceType, RegisterPlace
from controller.plant.yaml_tree import read_document

NOTE = "Racks 1 to 9, each 600 registers further on"
BANK = f"""ACME container BMS, registers
Name;Address;FC;Type;Scale;Unit;R/W;Description
Bank data
BMS heartbeat;30001;04;UINT16;;;R;
Main contactor status;30002;04;UINT16;;;R;0: open, 1: closed
{NOTE}
Voltage;30101;04;UINT16;0,1;V;R;
Current;30102;04;INT16;0,1;A;R;positive = charging
Main contactor status;30103;04;UINT16;;;R;0: open, 1: precharge, 2: closed, 3: fault
Alarm word;30104;04;BITMAP16;;;R;bit 0: cell overvoltage alarm
Cell voltages;30201-30440;04;UINT16;1;mV;R;
"""


def imported(folder: Path, text: str) -> Imported:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return import_points(Request(folder / "list.csv", "acme", "bank_bms"))


def device_of(found: Imported) -> DeviceType:
    assert found.errors == ""
    document, messages = read_document("acme.yaml", found.text.encode())
    device, more = load_device(document, "")
    assert device is not None, [*messages, *more]
    return device


def places(device: DeviceType) -> dict[str, int]:
    return {p.signal.name: p.place.address for p in device.points if isinstance(p.place, RegisterPlace)}


def test_a_note_repeats_the_rows_under_it(tmp_path: Path) -> None:
    found = imported(tmp_path, BANK)
    device = device_of(found)

    assert device.repeat is not None
    assert (device.repeat.count, device.repeat.stride) == (9, 600)
    assert places(device) == {
        "bank.heartbeat": 0, "bank.state": 1, "rack.voltage": 100, "rack.current": 101, "rack.contactor": 102,
        "rack.alarms": 103, "cell.voltage": 200,
    }  # fmt: skip
    assert f"Taken from '{NOTE}': 9 racks every 600 registers" in found.summary
    assert f"Taken from '{NOTE}'" in found.text


def test_a_rack_s_contactor_is_never_the_bank_s(tmp_path: Path) -> None:
    rows = BANK.replace(NOTE, "Rack data").replace("Main contactor status;30002", "Modules fitted;30002")
    found = imported(tmp_path, rows)

    assert places(device_of(found)) == {"bank.heartbeat": 0}
    assert "(not bound as rack.contactor)" in found.summary
    assert "5 rows are of one rack; how often they repeat is not said" in found.summary
    assert "Racks 1 to 9, each 600 registers further on" in found.summary, "how to say it"


@pytest.mark.parametrize("names", [("Rack 1 voltage", "Rack 1 contactor"), ("Rack voltage", "Rack main contactor")])
def test_a_row_s_own_name_says_that_it_is_a_rack_s(names: tuple[str, str], tmp_path: Path) -> None:
    text = f"""{NOTE}
Name;Address;FC;Type;Scale;Unit;Description
Number of racks;30001;04;UINT16;;;
{names[0]};30101;04;UINT16;0.1;V;
{names[1]};30102;04;UINT16;;;0: open, 1: closed
"""
    found = imported(tmp_path, text)

    assert places(device_of(found)) == {"rack.voltage": 100, "rack.contactor": 101}
    assert "Number of racks" in found.summary


def test_rows_of_each_rack_under_a_title_of_its_own_are_one_block(tmp_path: Path) -> None:
    blocks = "".join(
        f"Rack {rack}\nVoltage;{30101 + step};04;UINT16;0.1;V\nCurrent;{30102 + step};04;INT16;0.1;A\n"
        for rack, step in ((1, 0), (2, 600), (3, 1200))
    )
    device = device_of(imported(tmp_path, f"Name;Address;FC;Type;Scale;Unit\n{blocks}"))

    assert device.repeat is not None
    assert (device.repeat.count, device.repeat.stride) == (3, 600)
    assert places(device) == {"rack.voltage": 100, "rack.current": 101}


def test_two_notes_that_differ_are_both_named_and_neither_is_taken(tmp_path: Path) -> None:
    found = imported(tmp_path, f"{BANK}12 racks with a stride of 500\n")

    assert found.text == ""
    assert "error: the list says two things of its racks" in found.errors
    assert "9 racks every 600 registers" in found.errors
    assert "12 racks every 500 registers" in found.errors


def test_rows_that_contradict_the_note_are_named_with_both(tmp_path: Path) -> None:
    text = f"""{NOTE}
Name;Address;FC;Type;Scale;Unit
Rack 1 voltage;30101;04;UINT16;0.1;V
Rack 2 voltage;30601;04;UINT16;0.1;V
"""
    wrong, right = imported(tmp_path, text), imported(tmp_path, text.replace("30601", "30701"))

    assert "the rows show 2 racks every 500 registers, a note says 9 racks every 600 registers" in wrong.errors
    device = device_of(right)
    assert device.repeat is not None
    assert (device.repeat.count, device.repeat.stride) == (9, 600)


def test_a_note_that_the_file_s_commas_have_parted_is_read(tmp_path: Path) -> None:
    text = f"Name,Address,FC,Type,Scale,Unit\n{NOTE}\nVoltage,30101,04,UINT16,0.1,V\n"

    assert device_of(imported(tmp_path, text)).repeat is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NOTE, Repetition(9, 600)),
        ("Rack 1..12: +800 each", Repetition(12, 800)),
        ("40 racks, offset 800", Repetition(40, 800)),
        ("Cluster 1-16, interval of 0100 registers", Repetition(16, 100)),
        ("String 1 to string 24, every 50 words", Repetition(24, 50)),
        ("Racks 1 to 9", None),
        ("each 600 registers further on", None),
        ("Rack 1 to 1, each 600 registers", None),
        ("Racks 1 to 9, 600 registers each, stride 700", None),
        ("Racks 1 to 9, stride 0", None),
        ("Rack voltage", None),
    ],
)
def test_a_note_says_both_numbers_or_nothing(text: str, expected: Repetition | None) -> None:
    assert repetition_of(text) == expected


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("Rack voltage", "", True), ("Rack1Voltage", "", True), ("rack_01_soc", "", True),
        ("Voltage", "Rack data", True),
        ("Voltage", NOTE, True), ("Voltage", "", False), ("Bank voltage", "Rack data", False),
        ("Number of racks", "", False), ("Racks connected", "", False), ("Voltage", "Sum of all racks", False),
        ("Tracking state", "", False),
    ],
)  # fmt: skip
def test_whose_a_row_is(name: str, title: str, *, expected: bool) -> None:
    assert is_of_racks(name, title) is expected


ONE_RACK = """Name;Address;FC;Type;Scale;Unit;Description
Rack voltage;30017;04;UINT16;0.1;V;%s
State of charge;30019;04;UINT16;0.1;%%;%s
"""


def test_a_repeat_that_stands_only_behind_its_rows_is_read(tmp_path: Path) -> None:
    text = ONE_RACK % ("rack n: +600 (n = 1 to 8)", "rack n: +600 (n = 1 to 8)")
    device = device_of(imported(tmp_path, text))
    assert device.repeat is not None
    assert (device.repeat.count, device.repeat.stride) == (8, 600)


def test_a_repeat_that_says_only_how_far_is_asked_how_many(tmp_path: Path) -> None:
    found = imported(tmp_path, ONE_RACK % ("rack n: +600", "rack n: +600"))
    assert "says how far apart racks stand, not how many there are" in found.errors
    assert "a row 'Racks 1 to 9, each 600 registers further on'" in found.errors
