"""Our rows are graded against the BMS's own trips: by what they watch, on either side, in any unit."""

from __future__ import annotations

import datetime as dt

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.site_loader import load_site

SITE, ROWS = demo_site_files()["site.yaml"], demo_site_files()["protections.yaml"]
ROW = """  ours:
    signal: %s
    take: %s
    direction: %s
    trip: {limit: %s, delay: %s, action: disconnect_rack}
    reset: %s
    reset_class: local
"""


def warnings(changed, row: str = "", *, old: str = "", new: str = "") -> list[str]:
    assert old in SITE
    rows = ROWS + ("" if "\nrack:" in ROWS or not row else "rack:\n") + row
    result = changed(site_yaml=SITE.replace(old, new, 1) if old else SITE, protections_yaml=rows)
    assert result.errors == (), result.text()
    return [m.message for m in result.warnings]


def before(name: str, text: str) -> str:
    return f"{name}: trip ({text}) comes before the BMS of lfp280 trips itself"


@pytest.mark.parametrize(
    ("signal", "take", "direction", "limit", "reset"),
    [
        ("cell.voltage", "highest", "high", "3600 mV", "3.3 V"),
        ("rack.cell_voltage_max", "none", "high", "3.6 V", "3.3 V"),
        ("cell.voltage", "lowest", "low", "2750 mV", "3.2 V"),
        ("rack.cell_voltage_min", "none", "low", "2.75 V", "3.2 V"),
        ("cell.temperature", "highest", "high", "122 degF", "40 degC"),
        ("cell.temperature", "lowest", "low", "-10 degC", "0 degC"),
        ("rack.current", "charge", "high", "0.15 kA", "100 A"),
        ("rack.current", "discharge", "high", "210 A", "100 A"),
    ],
)
def test_a_row_of_any_name_is_graded_by_what_it_watches(changed, signal, take, direction, limit, reset):
    assert warnings(changed, ROW % (signal, take, direction, limit, "0 s", reset)) == [before("ours", limit)]


def test_what_drifts_is_not_made_later_by_a_delay(changed):
    """A cell may stay between our limit and the BMS's for hours; a current jumps over both."""
    hotter = ROW % ("cell.temperature", "highest", "high", "54 degC", "30 s", "40 degC")
    colder = ROW % ("cell.temperature", "lowest", "low", "-15 degC", "30 s", "0 degC")

    assert warnings(changed, hotter) == [before("ours", "54 degC")]
    assert warnings(changed, colder) == [before("ours", "-15 degC")]
    assert warnings(changed, ROW % ("rack.current", "charge", "high", "150 A", "30 s", "100 A")) == []
    assert warnings(changed) == []


@pytest.mark.parametrize(
    ("stated", "beyond"),
    [
        ("cell_voltage_high: {limit: 3.65 V", "3.7 V"),
        ("cell_voltage_low: {limit: 2.70 V", "2.4 V"),
        ("cell_temperature_high: {limit: 55 degC", "60 degC"),
        ("cell_temperature_low: {limit: -20 degC", "-25 degC"),
        ("charge_current_high: {limit: 160 A", "360 A"),
        ("discharge_current_high: {limit: 220 A", "360 A"),
    ],
)
def test_a_bms_that_trips_beyond_the_cell_is_no_measure_for_our_rows(changed, stated, beyond):
    name, _, limit = stated.partition(": {limit: ")
    told = warnings(changed, old=stated, new=stated.replace(limit, beyond))
    assert [message.partition(", beyond")[0] for message in told] == [
        f"the BMS of lfp280 trips {name} only at {beyond}"
    ]


def test_what_a_bms_really_does_is_accepted_with_a_reason_until_a_day(changed, tmp_path):
    """Whoever can't set a BMS says so; after the day the site is not silent about it."""
    accepted = "{limit: 3.70 V, accepted: {reason: fixed in its firmware, by: k.laine, until: 2027-03-31}"
    assert warnings(changed, old="{limit: 3.65 V", new=accepted) == []
    assert load_site(tmp_path, today=dt.date(2027, 3, 31)).messages == ()
    (late,) = load_site(tmp_path, today=dt.date(2027, 4, 1)).messages
    assert late.message == "what k.laine accepted of bms_trips.cell_voltage_high has expired"
    endless = changed(site_yaml=SITE.replace("{limit: 3.65 V", accepted.replace(", until: 2027-03-31", ""), 1))
    assert "'until' is missing" in endless.text()


def test_one_limit_in_two_units_is_one_limit(changed):
    row = ROW % ("cell.temperature", "highest", "high", "131 degF", "%s", "40 degC")

    assert warnings(changed, row % "2 s") == [], "55 degC, and later"
    assert warnings(changed, row % "1 s") == [before("ours", "131 degF")]
    stated = {"old": "charge_current_high: {limit: 160 A", "new": "charge_current_high: {limit: 147 A"}
    assert "charge_current_high: alarm (105 % of rated) comes only after the BMS of lfp280 has tripped" in warnings(
        changed, **stated
    )


def test_what_watches_something_else_is_not_compared(changed):
    assert warnings(changed, ROW % ("cell.voltage", "spread", "high", "1.2 V", "0 s", "0.1 V")) == []
    charging = ROW % ("cell.temperature", "highest", "high", "50 degC", "0 s", "40 degC")
    assert warnings(changed, f"{charging}    when: charging\n") == [], "another limit than the BMS's at rest"


def test_a_trip_of_the_bms_that_nobody_backs_up_is_told(changed):
    result = changed(protections_yaml=ROWS + "off: [{row: cell_temperature_high, reason: its BMS does it}]\n")

    assert [m.message for m in result.messages] == [
        "the BMS of lfp280 trips itself by cell_temperature_high, but no row of ours watches the same"
    ]
