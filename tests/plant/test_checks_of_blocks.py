"""Racks and converters that stand on another block's bus or address, and plans of addresses that only look so."""

from __future__ import annotations

import pytest

from controller.plant.demo_site import demo_site_files

BUSES = """buses:
  - {name: "DC{block:01..01}", racks: "%s", pcs: %s, bms_stops_pcs: hardwired, current_max: 2 kA}
  - {name: "DC{block:02..02}", racks: "%s", pcs: %s, bms_stops_pcs: hardwired, current_max: 2 kA}

"""


def with_buses(changed, *on_buses: str):
    text = demo_site_files()["site.yaml"]
    start, end = text.index("buses:\n"), text.index("pcs:\n  - name")
    return changed(site_yaml=text[:start] + BUSES % on_buses + text[end:])


@pytest.mark.parametrize(
    ("on_buses", "start"),
    [
        (("B01-R*", "PCS02", "B02-R*", "PCS01"), "PCS02 of block B02 is on DC01 of block B01"),
        (("B02-R*", "PCS01", "B01-R*", "PCS02"), "B02-R01 of block B02 is on DC01 of block B01"),
        (("B*-R0*", "PCS01", "B*-R1*", "PCS02"), "B02-R01 of block B02 is on DC01 of block B01"),
    ],
)
def test_what_is_on_another_blocks_bus_is_warned_of(changed, on_buses, start):
    result = with_buses(changed, *on_buses)
    assert result.errors == ()
    assert [m for m in result.warnings if m.message.startswith(start)] != [], result.text()


def test_each_on_its_own_bus_is_silent(changed):
    assert with_buses(changed, "B01-R*", "PCS01", "B02-R*", "PCS02").text() == ""


def networked(changed, pcs: str, racks: str = "10.0.{block}"):
    """Load the demo with its racks and converters in networks of this plan."""
    text, converters = demo_site_files()["site.yaml"], 0
    lines = text.splitlines()
    section = ""
    for number, line in enumerate(lines):
        section = line if line and line[0].isalpha() else section
        if line.strip().startswith("connect:") and section in ("racks:", "banks:", "pcs:"):
            plan = pcs if section == "pcs:" else racks
            own = ".{block+20}" if section == "pcs:" else ".{block+100}"
            lines[number] = line.replace("127.0.0.1", plan.replace("*", section[:-1]) if "*" in plan else plan + own)
            converters += section == "pcs:"
    assert converters
    return changed(site_yaml="\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("pcs", "racks", "told"),
    [
        ("10.0.{block+1}", "10.0.{block}", ["PCS01 of block B01 is at 10.0.2.*, where the racks of block B02 are"]),
        ("10.0.{block}", "10.0.{block}", []),
        (
            "*.b{block+1}.site.example",
            "*.b{block}.site.example",
            ["PCS01 of block B01 is at *.b2.site.example, where the racks of block B02 are"],
        ),
        ("*.b{block}.site.example", "*.b{block}.site.example", []),
        ("*-b{block+1}", "*-b{block}", []),
        ("10.0.1", "10.0.{block}", []),
        ("10.0.{block+1}", "10.0.1", []),
        ("10.1.{block}", "10.0.{block}", []),
    ],
)
def test_a_converter_at_another_blocks_address_is_warned_of(changed, pcs, racks, told):
    result = networked(changed, pcs, racks)
    assert result.errors == ()
    found = [m.message.partition(":")[0] for m in result.warnings if "another block's converter" in m.message]
    assert found == told
