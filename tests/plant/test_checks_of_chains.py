"""Chains that are missing in a block, called after another kind, or healthy when their wire is broken."""

from __future__ import annotations

import pytest

from controller.plant.demo_site import demo_site_files

FIRES = '{name: "FIRE{block:01..02}", kind: fire, input: "IO01.{block+1}"}'
ESTOP = "  - {name: ESTOP, kind: estop, input: IO01.1}\n"
OWN = """schema: device/v1
extends: generic-digital-io
device: ours
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
points:
  interlock.healthy: {values: {0: %s, 1: %s}}
"""


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        (FIRES, FIRES.replace("01..02", "01..01"), "block B02 has no chain of kind fire, though other blocks do"),
        (ESTOP, "", "no chain of kind estop is read, though others are"),
        ("kind: estop", "kind: fire", "ESTOP is called estop, but its kind is fire"),
        ("kind: fire", "kind: gas", "FIRE01 is called fire, but its kind is gas"),
    ],
)
def test_a_chain_that_is_missing_or_misnamed_is_warned_of(changed, old, new, start):
    result = changed(old, new)
    assert result.errors == ()
    assert [m for m in result.warnings if m.message.startswith(start)] != [], result.text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (FIRES, "{name: FIRE, kind: fire, input: IO01.2}"),
        (FIRES, "{name: SMOKE, kind: fire, input: IO01.2}"),
        ("name: ESTOP", "name: MAIN-CHAIN"),
    ],
)
def test_a_chain_of_the_whole_plant_and_a_free_name_are_silent(changed, old, new):
    assert changed(old, new).text() == ""


@pytest.mark.parametrize(("of_0", "of_1", "told"), [("yes", "no", True), ("no", "yes", False)])
def test_a_broken_wire_reads_as_tripped(changed, of_0, of_1, told):
    site = demo_site_files()["site.yaml"].replace("type: generic-digital-io", "type: ours")
    result = changed(site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=OWN % (of_0, of_1))
    start = "ours reads 0 of interlock.healthy as yes: with a broken wire"
    assert [m.message.startswith(start) for m in result.warnings] == [True] * told
