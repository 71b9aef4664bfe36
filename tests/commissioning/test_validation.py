# ruff: noqa: E501 - one case a line reads as a table
"""What `bess validate` adds to the loader's own checks: rows that protection would refuse at its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.commissioning.validation import validate_site
from controller.plant.demo_site import write_demo_site

BASE = "schema: protections/v1\nbase: lfp-utility@1\n"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{signal: rack.voltage, take: spread, direction: high, warning: 5 V, delay: 1 s, reset: 4 V}", "x: 'spread'"),
        (
            "{signal: rack.soc, take: age, direction: high, trip: {limit: 60 s, action: disconnect_rack}, delay: 0 s, reset: 1 s}",
            "x: lost data alone never opens a contactor",
        ),
    ],
)
def test_a_row_that_protection_would_refuse_is_refused_before(tmp_path, row, said):
    site = write_demo_site(tmp_path)
    (tmp_path / "protections.yaml").write_text(f"{BASE}rack:\n  x: {row}\n", encoding="utf-8")
    found = [m for m in validate_site(site).errors if m.message.startswith(said)]
    assert [(m.place.file, m.place.line) for m in found] == [("protections.yaml", 4)], validate_site(site).result.text()
    assert found[0].expected


def test_the_demo_has_nothing_to_be_told(tmp_path):
    assert validate_site(write_demo_site(tmp_path)).result.messages == ()


@pytest.mark.parametrize(
    ("of_power", "of_set_point", "warned"), [("-1", "", True), ("", "-1", True), ("-1", "-1", False), ("", "1", False)]
)
def test_a_party_sees_power_and_set_point_turned_alike(tmp_path, of_power, of_set_point, warned):
    site = write_demo_site(tmp_path)
    text = (tmp_path / "site.yaml").read_text(encoding="utf-8")
    listed = "    maps: [{party: utility, file: utility.csv, unit: 100}]\n"
    old = "    listen: tcp://127.0.0.1:5020\n"
    assert old in text
    (tmp_path / "site.yaml").write_text(text.replace(old, old + listed), encoding="utf-8")
    rows = f"tag,address,type,sign\nPlant.ActivePower,0,float32,{of_power}\nPlant.ActivePowerSetpoint,2,float32,{of_set_point}\n"
    (tmp_path / "utility.csv").write_text(rows, encoding="utf-8")
    found = [m for m in validate_site(site).warnings if m.message.startswith("Plant.ActivePowerSetpoint has sign")]
    assert [(m.place.file, m.place.line, m.see_also[0].line) for m in found] == [("utility.csv", 3, 2)] * warned
    assert validate_site(site).errors == ()


def with_map(folder: Path, more: str) -> Path:
    site = write_demo_site(folder)
    old = "    listen: tcp://127.0.0.1:5020\n"
    listed = f"    maps: [{{party: utility, file: utility.csv, unit: 100{more}}}]\n"
    site.write_text(site.read_text(encoding="utf-8").replace(old, old + listed), encoding="utf-8")
    return site


@pytest.mark.parametrize(
    ("writable", "more", "warned"), [("yes", "", True), ("no", "", False), ("yes", ", writers: [10.50.0.4]", False)]
)
def test_a_list_that_is_written_to_has_writers(tmp_path, writable, more, warned):
    site = with_map(tmp_path, more)
    rows = (
        f"tag,address,type,writable\nPlant.ActivePower,0,float32,no\nPlant.ActivePowerSetpoint,2,float32,{writable}\n"
    )
    (tmp_path / "utility.csv").write_text(rows, encoding="utf-8")
    said = "utility.csv lets utility write Plant.ActivePowerSetpoint, but nobody may: it has no writers"
    assert [m.message for m in validate_site(site).warnings] == [said] * warned


def test_a_decimal_comma_and_a_misspelt_column_of_a_list_are_told_once(tmp_path):
    site = with_map(tmp_path, "")
    rows = "tag,address,type,scale,unit\nPlant.Frequency,3,uint16,0,001,Hz\nPlant.SoC,4,uint16,0.1,%\n"
    (tmp_path / "utility.csv").write_text(rows, encoding="utf-8")
    (comma,) = validate_site(site).errors
    assert (comma.place.line, comma.place.col) == (2, 26)
    assert comma.message == "scale has a comma in its number ('0,001'), and commas part the columns"
    assert "write a point (0.001)" in comma.hint
    (tmp_path / "utility.csv").write_text("tag,adress,type\nPlant.SoC,4,float32\n", encoding="utf-8")
    assert [m.message for m in validate_site(site).errors] == ["unknown column 'adress'"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Plant.ExportLimit,40001,float32,", "Plant.ExportLimit stands at 40001, far from the others"),
        ("Plant.ExportLimit,6,float32,-1", "Plant.ExportLimit is a size and has no direction, but is turned round"),
        ("Plant.ExportLimit,6,float32,", ""),
    ],
)
def test_a_row_of_a_list_that_is_hardly_meant_is_told_at_its_line(tmp_path, row, said):
    site = with_map(tmp_path, "")
    rows = f"tag,address,type,sign\nPlant.ActivePower,0,float32,\nPlant.SoC,2,float32,\n{row}\n"
    (tmp_path / "utility.csv").write_text(rows, encoding="utf-8")
    warned = validate_site(site).warnings
    assert [(m.place.line, m.message[: len(said)]) for m in warned] == [(4, said)] * bool(said)


def test_a_schedule_that_no_site_of_the_folder_uses_is_told(tmp_path):
    site = write_demo_site(tmp_path)
    (tmp_path / "schedule.yaml").write_text("schema: schedule/v1\nschedule: []\n", encoding="utf-8")
    (tmp_path / "old.yaml").write_text("schema: protections/v1\nbase: lfp-utility@1\n", encoding="utf-8")
    (tmp_path / "notes.yaml").write_bytes(b"\xff\xfe not ours")
    assert [m.message for m in validate_site(site).warnings] == [
        "old.yaml is a protection file, and no site of this folder uses it",
        "schedule.yaml is a schedule, and no site of this folder uses it",
    ]
    twin = "schema: site/v1\nextends: site.yaml\nuse: [protections.yaml, schedule.yaml, old.yaml]\n"
    (tmp_path / "twin.yaml").write_text(twin, encoding="utf-8")
    assert validate_site(site).result.messages == ()


def test_a_site_file_by_another_name_is_suggested(tmp_path):
    write_demo_site(tmp_path).rename(tmp_path / "site.yml")
    (missing,) = validate_site(tmp_path).errors
    assert missing.hint == "rename 'site.yml' to 'site.yaml'"
