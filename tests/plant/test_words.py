"""What people type by mistake is told in words that mend it, at the place where it was typed."""

from __future__ import annotations

import re

import pytest

from controller import __version__
from controller.plant.demo_site import demo_site_files
from controller.plant.site_files import LIBRARY

PROTECTIONS = "base: lfp-utility@1"


def told(result) -> tuple[str, int, str, str, str]:
    assert len(result.messages) == 1, result.text()
    message = result.messages[0]
    return message.place.file, message.place.line, message.message, message.expected, message.hint


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("efficiency: 98 %", "efficiency: 98", "pcs.efficiency has no unit", "write the unit: 98 %"),
        ("efficiency: 98 %", "efficiency: 0.98", "pcs.efficiency has no unit", "write the unit: 98 %"),
        (
            "efficiency: 98 %",
            "efficiency: 0.98 %",
            "pcs.efficiency can't be meant so: it reads as 0.98 %",
            "did you mean '98 %'?",
        ),
        (
            "power: 2.4 MW, apparent",
            "power: 2,4 MW, apparent",
            "site.rating.power has a comma in its number ('2,4 MW')",
            "write a point, not a comma: '2.4 MW'",
        ),
        (
            "ramp: 2.4 MW/s\n",
            "ramp: 2,4 MW/s\n",
            "pcs.ramp is not a number with a unit ('2,4 MW/s')",
            "write a point, not a comma: '2.4 MW/s'",
        ),
    ],
)
def test_a_number_in_another_form_is_told_with_the_right_one(changed, old, new, message, hint) -> None:
    assert told(changed(old, new))[2::2] == (message, hint)


def test_a_number_that_can_not_be_meant_is_told_as_it_was_read(changed) -> None:
    (found,) = changed("ac_voltage: 400 V", "ac_voltage: 400 kV").errors
    assert found.message == "pcs.ac_voltage can't be meant so: it reads as 400 kV"


def test_a_protection_file_that_nobody_uses_is_named(changed) -> None:
    (found,) = changed("  - protections.yaml\n", "  []\n").errors
    assert found.hint == "'protections.yaml' is one: add it under 'use'"


def test_a_misspelt_type_is_told_at_its_name_alone(changed) -> None:
    own = (
        (LIBRARY / "devices" / "generic-rack-bms.yaml")
        .read_text()
        .replace("device: generic-rack-bms", "device: oursbms")
    )
    site = demo_site_files()["site.yaml"].replace("use:\n", "use:\n  - ours.yaml\n")
    result = changed(site_yaml=site.replace("type: generic-rack-bms", "type: oursmbs"), ours_yaml=own)
    assert [(m.message, m.hint) for m in result.messages] == [
        ("no device type 'oursmbs'", "did you mean 'oursbms'?")
    ], result.text()


def test_a_key_that_begins_with_a_digit_is_no_comma(changed) -> None:
    result = changed("rating: {power: 2.4 MW,", "rating: {power: 2.4 MW, 4 MW: 3 MW,")

    assert [m.message for m in result.messages] == ["unknown key '4 MW' in site.rating"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("site.yaml", "schema: site/v1", "schema: site/v2"), ("protections.yaml", "protections/v1", "protections/v12")],
)
def test_a_file_of_a_later_program_says_which_version_this_one_knows(changed, file, old, new) -> None:
    place, _, message, expected, hint = told(changed(old, new, file=file))

    assert (place, message) == (file, f"schema is '{new.removeprefix('schema: ')}', from a later bess than this one")
    assert expected == f"{old.removeprefix('schema: ')}: this is bess {__version__}, and the newest form that it knows"
    assert hint == "update bess"


def test_an_empty_window_is_told_where_it_is_written_and_nowhere_else(changed) -> None:
    schedule = """schedule:
  - {name: night, from: "23:00", to: "05:00", do: {mode: charge_to, soc: 90 %, power: -500 kW}}

simulation:"""
    result = changed("soc: {min: 5 %, max: 95 %}", "soc: {min: 95 %, max: 5 %}")
    assert told(result)[2] == "controls.limits.soc.min is not below limits.soc.max"

    text = (result.documents["site.yaml"]).data.decode().replace("simulation:", schedule)
    assert told(changed(site_yaml=text))[2] == "controls.limits.soc.min is not below limits.soc.max"


def test_a_bank_file_without_repeat_is_told_what_it_lacks(changed) -> None:
    library = (LIBRARY / "devices" / "generic-bank-bms.yaml").read_text(encoding="utf-8")
    bank = re.sub(r"(?m)^repeat:.*\n(?:  .*\n)*", "", library).replace("device: generic-bank-bms", "device: my-bank")
    changed("use:\n  - protections.yaml", "use:\n  - protections.yaml\n  - bank.yaml", bank_yaml=bank)
    site = changed().documents["site.yaml"].data.decode()
    site = site.replace("- protections.yaml", "- protections.yaml\n  - bank.yaml")
    result = changed(site_yaml=site.replace("type: generic-bank-bms", "type: my-bank"), bank_yaml=bank)

    _, _, message, expected, _ = told(result)
    assert message == "BANK01 serves 12 racks, but my-bank shows no rack: its file has no 'repeat'"
    assert "repeat: {rack: {count: 12, stride: ...}}" in expected


@pytest.mark.parametrize(
    ("row", "message", "expected"),
    [
        (
            "rack: {brand_new_thing: {trip: 3 V, delay: 1 s, reset: 2 V}}",
            "the new row brand_new_thing has no 'signal'",
            "a key 'signal' that says what is compared, such as 'signal: rack.voltage'",
        ),
        (
            "rack: {cell_voltage_hihg: {trip: 3.6 V}}",
            "no protection named 'cell_voltage_hihg'",
            "",
        ),
        (
            "interlock: {tripped: {direction: high}}",
            "tripped would always trip: 'no' is its limit, and its direction is high",
            "direction: low where 'no' is the danger",
        ),
        (
            "rack: {bms_says: {signal: rack.tripped, direction: low, alarm: yes, delay: 0 s}}",
            "bms_says would always alarm: 'yes' is its limit, and its direction is low",
            "direction: high where 'yes' is the danger",
        ),
    ],
)
def test_a_row_that_can_not_be_is_told_what_is_wrong_with_it(changed, row, message, expected) -> None:
    result = changed(PROTECTIONS, f"{PROTECTIONS}\n{row}", file="protections.yaml")

    assert told(result)[2:4] == (message, expected)
