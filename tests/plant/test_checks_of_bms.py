"""What a BMS does by itself is stated or asked for; what a barred rack takes with it is told."""

from __future__ import annotations

import pytest

from controller.commissioning.watchdogs import watchdog_json, watchdog_text
from controller.plant.demo_site import demo_site_files

OWN = """schema: device/v1
extends: generic-bank-bms
device: our-bank
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
"""
STATES = """exceptions:
  %s: {state: %s, reason: door open, by: k.laine}
controls:
"""


def told(changed, device: str, exceptions: str = "controls:\n") -> list[str]:
    site = demo_site_files()["site.yaml"].replace("type: generic-bank-bms", "type: our-bank")
    site = site.replace("use:\n", "use:\n  - devices/our.yaml\n").replace("controls:\n", exceptions)
    return [m.message for m in changed(site_yaml=site, devices__our_yaml=device).messages]


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("communication_timeout", "our-bank does not say what it does when this controller is silent"),
        ("control", "our-bank does not say who closes and opens its contactors"),
        ("refresh", "our-bank does not say how old its registers may be"),
    ],
)
def test_a_bms_says_what_it_does(changed, without, said):
    assert told(changed, OWN) == []
    messages = told(changed, f"{OWN}without: [{without}]\n")
    assert len(messages) == 1, messages
    assert messages[0].startswith(said)


@pytest.mark.parametrize("state", ["locked_out", "out_of_service"])
def test_a_barred_rack_keeps_its_bank_open(changed, state):
    whole = f"{OWN}without: [points.rack.connect_request]\n"
    one = told(changed, whole, STATES % ("B01-R03", state))
    many = told(changed, whole, STATES % ("B01-R0*", state))
    alone = told(changed, whole, STATES % ("B02-R03", state))

    kept = "BANK01 connects only as a whole: all 12 racks stay open with it"
    assert f"B01-R03 must stay open, and {kept}" in one
    assert f"B01-R01 and 8 more must stay open, and {kept}" in many
    assert not [m for m in alone if "as a whole" in m], "it has an endpoint of its own"
    assert told(changed, OWN, STATES % ("B01-R03", state)) == [], "each rack is asked by itself"


def test_a_bms_that_states_no_timeout_is_no_comfort_in_the_watchdog_table(changed):
    site = demo_site_files()["site.yaml"].replace("type: generic-bank-bms", "type: our-bank")
    site = site.replace("use:\n", "use:\n  - devices/our.yaml\n")
    plant = changed(site_yaml=site, devices__our_yaml=f"{OWN}without: [communication_timeout]\n").plant
    assert "not known of our-bank: its file states no communication_timeout" in watchdog_text(plant)
    assert watchdog_json(plant)["bms_timeout_not_stated"] == ["our-bank"]
