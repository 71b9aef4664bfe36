# ruff: noqa: E501 - one case a line reads as a table
"""What `bess validate` adds to the loader's own checks: rows that protection would refuse at its start."""

from __future__ import annotations

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
