# ruff: noqa: E501 - one case a line reads as a table
"""One mistake that half of the site contradicts is told once, where it was made; errors stand before warnings."""

from __future__ import annotations

import pytest

from controller.plant.messages import Place, error, in_order, render, warning
from controller.plant.site_files import LIBRARY

PROTECTIONS = "protections.yaml"
BASE = "base: lfp-utility@1\n"


@pytest.mark.parametrize(
    ("old", "new", "message", "expected"),
    [
        ("capacity: 280 Ah", "capacity: 280 mAh", "the capacity of lfp280, 0.28 Ah, does not fit the rest", "about 270 Ah"),
        ("max: 3.65 V}", "max: 4.20 V}", "window.max (4.2 V) is above what cell generic_280_lfp bears", "at most 3.65 V"),
        ("min: 2.80 V,", "min: 2.20 V,", "window.min (2.2 V) is below what cell generic_280_lfp bears", "at least 2.5 V"),
        ("power: 1.2 MW, app", "power: 12 MW, app", "PCS01 is said to have 12 MW, but its 1.32 MVA", "about 1.3 MW"),
        ("power: 1.2 MW, app", "power: 120 kW, app", "PCS01 is said to have 120 kW, but its 1.32 MVA", "about 1.3 MW"),
        ("charge_current_high: {limit: 160 A", "charge_current_high: {limit: 120 A", "bms_trips.charge_current_high (120 A) is far from", "from 140 to 700 A"),
        ("watchdog: 5 s", "watchdog: 500 ms", "PCS01 gives up after 0.5 s", "a time-out of at least"),
    ],
)  # fmt: skip
def test_a_number_that_the_rest_contradicts_is_told_alone(changed, old, new, message, expected):
    result = changed(old, new)
    assert [m.message[: len(message)] for m in result.messages] == [message], result.text()
    assert result.messages[0].expected.startswith(expected)
    assert "may follow from it" in result.messages[0].hint


@pytest.mark.parametrize(
    ("rows", "message", "expected"),
    [
        ("rack:\n  cell_voltage_high: {only: [lfp281]}\n", "cell_voltage_high: there is no 'lfp281'", "one of lfp280"),
        ("rack:\n  cell_voltage_low: {direction: high}\n", "cell_voltage_low is dangerous on the high side, but its limits fall", "direction: low"),
        ("rack:\n  cell_voltage_spread: {direction: low}\n", "cell_voltage_spread is dangerous on the low side, but its limits rise", "direction: high"),
    ],
)  # fmt: skip
def test_a_slip_in_a_row_is_told_alone(changed, rows, message, expected):
    result = changed(BASE, BASE + rows, file=PROTECTIONS)
    assert [m.message[: len(message)] for m in result.errors] == [message], result.text()
    assert result.errors[0].expected == expected


def test_a_device_file_of_another_kind_is_told_at_its_kind(changed):
    text = (LIBRARY / "devices" / "generic-rack-bms.yaml").read_text(encoding="utf-8")
    text = text.replace("device: generic-rack-bms", "device: ours").replace("kind: rack_bms", "kind: meter")
    result = changed("use:\n", "use:\n  - ours.yaml\n", ours_yaml=text)
    told = [m for m in result.errors if m.place.file == "ours.yaml"]
    assert [(m.message, m.expected) for m in told] == [
        ("a meter has none of these points: they are of a rack", "kind: bank_bms, rack_bms")
    ]


def test_warnings_never_push_an_error_out_of_sight():
    first, second = warning(Place("a.yaml", 1), "careful"), error(Place("b.yaml", 1), "wrong")
    assert in_order([first, second]) == (second, first)
    assert render(in_order([first, second]), {}, at_most=1).startswith("b.yaml:1:1: error: wrong")
