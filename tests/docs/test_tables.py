"""The tables of the guides are those that the code has, and say what a running plant means."""

from __future__ import annotations

import csv
import io

import pytest

from controller.commissioning.point_map import render
from controller.control.sequences.states import OperatingState
from controller.plant.demo_site import write_demo_site
from controller.plant.signal_tables import signal_table
from controller.plant.site_loader import load_site_or_raise
from controller.points.catalogue import POINTS
from controller.points.point_list import PointType, point_list
from controller.scada.code_words import FIXED, code_table, words_of
from controller.simulator.faults.commands import MENU, menu_table, parse_fault
from tests.conftest import REPOSITORY

PLACES = {
    "codes": ("integrators.md", code_table),
    "faults": ("commissioning.md", menu_table),
    "signals": ("add-your-device.md", signal_table),
}


@pytest.mark.parametrize("kind", PLACES)
def test_the_table_is_what_the_code_has(kind):
    guide, table = PLACES[kind]
    text = (REPOSITORY / "docs" / guide).read_text(encoding="utf-8")

    assert f"<!-- table: {kind} -->\n{table()}" in text, f"renew it: bess schema {kind}"


def test_every_code_point_has_its_words(demo_plant):
    codes = {p.quantity for p in point_list(demo_plant).points if p.type is PointType.CODE}

    assert set(words_of(demo_plant)) == codes
    assert {t.quantity for templates in POINTS.values() for t in templates} >= set(FIXED)
    assert FIXED["rack.operating_state"][OperatingState.TRIPPED] == "tripped"


def test_every_usage_of_the_menu_can_be_read():
    for kind in MENU.values():
        usage = kind.usage.split("|")[0].replace(" T", " B01-R03").replace("POINT", "Current")
        assert parse_fault(usage).kind is kind


def test_the_point_list_says_what_codes_mean(tmp_path):
    site = write_demo_site(tmp_path)
    plant = load_site_or_raise(site)
    table = {
        row["tag"]: row["codes"] for row in csv.DictReader(io.StringIO(render(plant, site, "csv", ",", None).text))
    }

    assert table["Plant.State"].startswith("0 unknown; 1 off;")
    assert table["Plant.ActivePower"] == ""
    assert f"1 {plant.protection[0].name};" in table["Plant.Block01.Rack01.TripCause"]
