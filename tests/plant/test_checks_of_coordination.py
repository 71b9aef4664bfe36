"""If we die, a converter is at zero before a BMS opens: what holds is never there, and the slower ramp counts."""

from __future__ import annotations

import pytest

from controller.commissioning.watchdogs import coordination_lines, watchdog_json, watchdog_text
from controller.plant.coordination import at_zero_s, ramp_to_zero_s
from controller.plant.demo_site import demo_site_files
from controller.plant.device_types import CommunicationTimeout, TimeoutAction
from controller.plant.messages import Severity
from controller.plant.site_loader import LoadResult

OWN = """schema: device/v1
extends: generic-pcs
device: our-pcs
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
"""
HOLDS = "communication_timeout: {after: 4 s, then: hold}\n"


def with_pcs(changed, text: str) -> LoadResult:
    site = demo_site_files()["site.yaml"].replace("type: generic-pcs", "type: our-pcs")
    result: LoadResult = changed(site_yaml=site.replace("use:\n", "use:\n  - our.yaml\n"), our_yaml=OWN + text)
    return result


def test_a_converter_that_holds_its_power_is_an_error_where_a_bms_opens(changed):
    result = with_pcs(changed, HOLDS)
    (found,) = [m for m in result.errors if "never at zero" in m.message]
    assert found.message.startswith("if we die, PCS01 holds its power and is never at zero, but ")
    assert found.message.endswith(" opens its contactors after 30 s: under load")
    assert (found.place.file, found.place.line) == ("our.yaml", 5)
    assert "then: zero" in found.hint
    assert found.see_also[0].file == "site.yaml"


@pytest.mark.parametrize("then", ["zero", "stop", "trip"])
def test_a_converter_that_ends_by_itself_is_silent(changed, then):
    assert with_pcs(changed, HOLDS.replace("hold", then)).text() == ""


def test_the_table_says_never_of_what_does_nothing(changed):
    """Nothing is started that does nothing: `validate` warns, and the table does not call it safe."""
    result = with_pcs(changed, HOLDS.replace("hold", "none"))
    assert result.plant is not None
    assert result.errors == ()
    assert [m.message for m in result.warnings if "never starts it" in m.message]
    lines = coordination_lines(result.plant)
    assert lines
    assert {(line.at_zero_s, line.in_time) for line in lines} == {(None, False)}
    text = watchdog_text(result.plant)
    assert "none in" not in text
    assert [line.split()[-1] for line in text.splitlines() if "never" in line] == ["NO"] * len(lines)
    assert "'at_zero_s': None" in str(watchdog_json(result.plant)["coordination"])


def test_the_ramp_of_the_site_counts_where_it_is_the_slower(changed):
    result = changed("    ramp: 2.4 MW/s\n", "    ramp: 40 kW/s\n")
    (found,) = result.errors
    assert found.message.startswith(
        "if we die, PCS01 is at zero after 37 s, but BANK01 opens its contactors after 30 s"
    )
    assert found.message.endswith("its ramp from full power to zero takes 30 s")
    assert found.expected.startswith("at least 52.17 kW/s, or a BMS that waits for at least 37 s")
    assert result.documents["site.yaml"].data.decode().splitlines()[found.place.line - 1].strip() == "ramp: 40 kW/s"


def test_a_converter_that_holds_where_no_bms_opens_is_a_warning(changed):
    site = demo_site_files()["site.yaml"].replace("type: generic-pcs", "type: our-pcs")
    for kind in ("bank", "rack"):
        site = site.replace(f"type: generic-{kind}-bms", f"type: our-{kind}")
    site = site.replace("use:\n", "use:\n  - our.yaml\n  - bank.yaml\n  - rack.yaml\n")
    quiet = "communication_timeout: {after: 30 s, then: none}\n"
    bank, rack = (
        OWN.replace("generic-pcs", f"generic-{k}-bms").replace("our-pcs", f"our-{k}") + quiet for k in ("bank", "rack")
    )
    result = changed(site_yaml=site, our_yaml=OWN + HOLDS, bank_yaml=bank, rack_yaml=rack)
    found = [m for m in result.messages if "holds its power and is never at zero: nobody stops it" in m.message]
    assert [m.severity for m in found] == [Severity.WARNING]
    assert found[0].place.file == "our.yaml"


def test_the_slower_ramp_counts_and_a_trip_needs_none(changed):
    pcs = changed().plant.pcs[0]
    own_s = pcs.power_w / pcs.ramp_w_per_s

    def ramp_s(then: TimeoutAction, ramp_s: float) -> float:
        return ramp_to_zero_s(pcs, CommunicationTimeout(5.0, then, ramp_s))

    assert ramp_s(TimeoutAction.ZERO, own_s + 3) == own_s + 3
    assert ramp_s(TimeoutAction.ZERO, 0.0) == ramp_s(TimeoutAction.STOP, own_s / 2) == own_s
    assert ramp_s(TimeoutAction.TRIP, 0.0) == 0.0
    assert at_zero_s(pcs, None) == float("inf")
