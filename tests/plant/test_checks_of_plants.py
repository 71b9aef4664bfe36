# ruff: noqa: E501 - one case a line reads as a table
"""What the plant as a whole must be: one mistake each, in the words of the message."""

from __future__ import annotations

import pytest

from controller.plant.demo_site import demo_site_files

GRID_METER = """    role: poi
    voltage: 12.47 kV
"""


def with_transformers(ct: str, vt: str = "12470/120") -> tuple[str, str]:
    return GRID_METER, f"{GRID_METER}    ct: {{ratio: {ct}}}\n    vt: {{ratio: {vt}}}\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_transformers("5/150"), "the current transformer of GRID has a secondary of 150 A"),
        (with_transformers("75/5"), "GRID has a current transformer for 75 A; the plant's 2.64 MVA at 12.47 kV are 122 A"),
        (with_transformers("2000/5"), "GRID has a current transformer for 2000 A; the plant's 2.64 MVA"),
        (with_transformers("150/5", "120/12470"), "the voltage transformer of GRID has a secondary of 12470 V"),
        (with_transformers("150/5", "33000/110"), "the voltage transformer of GRID is for 33 kV, but it measures 12.47 kV"),
        (("    voltage: 12.47 kV\n", "    voltage: 33 kV\n"), "GRID measures 33 kV at a POI of 12.47 kV"),
        (("no_load_loss: 1.6 kW\n    load_loss: 13 kW", "no_load_loss: 13 kW\n    load_loss: 1.6 kW"), "T01 loses more without a load (13 kW) than"),
        (("break: 400 A", "break: 100 A"), "the contactors of lfp280 open under 100 A at most, but carry 200 A"),
        (("type: generic-meter", "type: janitza-umg604"), "janitza-umg604: numbers seen in excerpts of the address list: compare"),
        (("type: generic-pcs", "type: abb-pqstori"), "abb-pqstori: numbers seen in excerpts of the manual: compare"),
        (("type: generic-pcs", "type: sunspec-pcs-1xx"), "sunspec-pcs-1xx does nothing when we fall silent (then: none)"),
        (("load_loss: 13 kW", "load_loss: 40 kW"), "the racks deliver 4.435 MWh, less than the plant's 4.5 MWh"),
    ],
)  # fmt: skip
def test_a_plant_that_cannot_be_is_told(changed, change, said):
    messages = [m.message for m in changed(*change).messages]
    assert [m for m in messages if m.startswith(said)] != [], messages


def test_transformers_that_fit_are_silent(changed):
    assert changed(*with_transformers("150/5")).text() == ""
    assert changed(*with_transformers("150/1", "7200/120")).text() == ""


def test_a_meter_mounted_the_other_way_round_is_turned(changed):
    plain = changed(*with_transformers("150/5")).plant
    turned = changed(GRID_METER, f"{GRID_METER}    ct: {{ratio: 150/5, positive: import}}\n").plant
    assert plain is not None
    assert turned is not None
    device = next(d.type for d in turned.devices if d.name == "GRID")
    as_it_was = next(d.type for d in plain.devices if d.name == "GRID")
    for name in ("meter.active_power", "meter.reactive_power"):
        one, other = device.point(name), as_it_was.point(name)
        assert one is not None
        assert other is not None
        assert one.sign == -other.sign
    out, into = device.point("meter.energy_out"), as_it_was.point("meter.energy_in")
    assert out is not None
    assert into is not None
    assert out.place == into.place
    other_meter = next(d.type for d in turned.devices if d.name == "AUX")
    assert other_meter.point("meter.active_power") == as_it_was.point("meter.active_power")


ENTRY = 'schedule: [{name: a, from: "01:00", to: "05:00", do: {mode: charge_to, soc: 90 %, power: -2 MW}}'


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (', {name: b, from: "04:00", to: "06:00", do: {mode: idle}}]', "'b' and 'a' both hold on Monday at 04:00"),
        (', {name: b, from: "02:30", to: "03:00", do: {mode: idle}}]', "'b' and 'a' both hold on Monday at 02:30"),
        (', {name: b, from: "22:00", to: "02:00", do: {mode: idle}}]', "'b' and 'a' both hold on Tuesday at 01:00"),
        (', {name: a, from: "06:00", to: "07:00", do: {mode: idle}}]', "two entries are called 'a'"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: power}}]', "'b' has no 'power' to power with"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: power, power: 3 MW}}]', "'b' asks for 3 MW, the POI's export"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: power, power: 2 MW, reactive: 2 Mvar}}]', "'b' asks for 2 MW and 2 Mvar, 2.83 MVA of 2.64 MVA"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: power, power: 2 W}}]', "'b' asks for 2 W of 2.4 MW: nothing that the meter"),
        (', {name: b, from: "06:00", to: "23:00", do: {mode: power, power: 2 MW}}]', "'b' asks for 34 MWh, the operating"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: idle, power: 2 MW}}]', "'power' has no meaning with mode 'idle'"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: charge_to, soc: 90 %, power: 1 MW}}]', "'b' would charge_to with 1"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: charge_to, soc: 90 %, power: -1 MW}}]', "'b' reaches 2"),
        (', {name: b, from: "06:00", to: "07:00", do: {mode: charge_to, soc: 99 %, power: -2 MW}}]', "'b' leads to 99%, outside"),
        (', {name: b, from: "06:00", to: "06:00", do: {mode: idle}}]', "'b' ends when it begins"),
        (', {name: b, from: "06:00", to: "25:00", do: {mode: idle}}]', "schedule.to is not a time of day ('25:00')"),
        (', {name: b, days: mon-fry, from: "06:00", to: "07:00", do: {mode: idle}}]', "schedule.days can't be 'mon-fry'"),
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_told(changed, entry, said):
    result = changed("controls:\n", f"{ENTRY}{entry}\ncontrols:\n")
    assert [m.message for m in result.messages if m.message.startswith(said)] != [], result.text()


def test_times_in_the_hour_that_is_skipped_or_comes_twice_are_told(changed):
    text = 'schedule: [{name: a, from: "02:15", to: "02:45", do: {mode: idle}}]\ncontrols:\n'
    said = [m.message for m in changed("controls:\n", text).messages]
    assert "'a' does not take place on 2026-03-08: the clock skips it" in said
    text = 'schedule: [{name: a, from: "01:30", to: "05:00", do: {mode: idle}}]\ncontrols:\n'
    said = [m.message for m in changed("controls:\n", text).messages]
    assert said == ["from of 'a' comes twice on 2026-11-01; the first time counts"]


def test_a_schedule_stands_in_one_place(changed):
    more = {
        "schedule_yaml": 'schema: schedule/v1\nschedule: [{name: a, from: "01:00", to: "02:00", do: {mode: idle}}]\n'
    }
    use = ("  - protections.yaml\n", "  - protections.yaml\n  - schedule.yaml\n")
    alone = changed(*use, **more)
    assert alone.plant is not None
    assert [entry.name for entry in alone.plant.schedule] == ["a"]


def test_a_party_brings_its_list(changed):
    maps = "    maps: [{party: utility, file: maps/utility.csv, unit: 100}]\n"
    told = changed("    listen: tcp://127.0.0.1:5020\n", f"    listen: tcp://127.0.0.1:5020\n{maps}")
    assert [m.message for m in told.errors] == ["there is no file 'maps/utility.csv'"]
    result = changed(
        "    listen: tcp://127.0.0.1:5020\n",
        f"    listen: tcp://127.0.0.1:5020\n{maps}",
        **{"maps__utility.csv": "a,b\n"},
    )
    assert result.plant is not None
    assert result.plant.faces.modbus is not None
    assert [m.file for m in result.plant.faces.modbus.maps] == ["maps/utility.csv"]
    assert result.sealed()["maps/utility.csv"] == b"a,b\n"


def test_a_map_that_somebody_has_compared_is_silent(changed):
    own = """schema: device/v1
extends: janitza-umg604
device: our-meter
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
"""
    site = demo_site_files()["site.yaml"].replace("type: generic-meter", "type: our-meter")
    site = site.replace("use:\n", "use:\n  - devices/our.yaml\n")
    assert "numbers seen in excerpts" not in changed(site_yaml=site, devices__our_yaml=own).text()
    untried = own.replace("checked_by: k.laine, checked_on: 2026-10-02", "checked_by: document only")
    assert "our-meter: numbers seen in excerpts" in changed(site_yaml=site, devices__our_yaml=untried).text()


def test_a_power_that_no_energy_belongs_to_is_told_there(changed):
    result = changed("rating: {power: 2.4 MW", "rating: {power: 2.4 kW")
    assert [m for m in result.errors if "last 1880 h: no battery is so slow" in m.message], result.text()
