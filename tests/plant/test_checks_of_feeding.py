"""What feeds the rows: a device file that shows too little of a rack is told where its points stand."""

from __future__ import annotations

import re

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.messages import Severity
from controller.plant.site_files import LIBRARY

DEVICES = LIBRARY / "devices"


def without(changed, base: str, *signals: str, rows: str = ""):
    """Load the demo with a device file of its own that lacks some points of the library's."""
    text = (DEVICES / f"{base}.yaml").read_text(encoding="utf-8").replace(f"device: {base}", "device: ours")
    for signal in signals:
        assert f"\n  {signal}:" in text
        text = re.sub(rf"\n  {re.escape(signal)}:.*", "", text)
    site = demo_site_files()["site.yaml"].replace(f"type: {base}", "type: ours")
    protections = demo_site_files()["protections.yaml"] + rows
    return changed(
        site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=text, protections_yaml=protections
    )


@pytest.mark.parametrize(
    ("base", "signals", "lost"),
    [
        ("generic-rack-bms", ("rack.current",), "rack.current: charge_current_high, discharge_current_high"),
        (
            "generic-rack-bms",
            ("cell.temperature", "rack.cell_temperature_max"),
            "cell.temperature or rack.cell_temperature_max: cell_temperature_high_charging, cell_temperature_high",
        ),
        ("generic-pcs", ("pcs.active_power",), "pcs.active_power: power_beyond_command, data_age watch nothing"),
    ],
)
def test_what_a_preset_trips_on_is_measured(changed, base, signals, lost):
    result = without(changed, base, *signals)
    told = [m for m in result.errors if f"ours has no {lost}" in m.message]
    assert len(told) == 1, result.text()
    assert told[0].place.file == "ours.yaml"
    assert result.documents["ours.yaml"].lines[told[0].place.line - 1] == "points:"
    assert told[0].expected == f"a point {lost.partition(':')[0]}"


def test_who_gives_a_trip_up_says_why(changed):
    rows = ("charge_current_high", "discharge_current_high", "current_far_too_high", "current_while_open")
    off = "".join(f"  - {{row: {row}, reason: the string has a fuse and a relay}}\n" for row in rows)
    assert without(changed, "generic-rack-bms", "rack.current", rows=f"off:\n{off}").errors == ()
    some = without(changed, "generic-rack-bms", "rack.current", rows=f"off: [{rows[0]}]\n")
    assert [m.message for m in some.errors] == [f"{rows[0]} trips, and is switched off without a reason"]


def test_what_only_warns_or_compares_may_be_missing(changed):
    result = without(changed, "generic-rack-bms", "cell.voltage", "rack.insulation_resistance")
    told = [m for m in result.messages if "watch nothing" in m.message]
    assert [(m.severity, m.message) for m in told] == [
        (
            Severity.WARNING,
            "ours has no cell.voltage, rack.insulation_resistance: cell_voltage_spread, insulation_low watch nothing",
        )
    ], result.text()
    assert told[0].hint.endswith(
        'off: [{row: cell_voltage_spread, reason: "..."}, insulation_low] in the protection file'
    )


def test_a_type_of_the_library_is_told_where_the_site_names_it(changed):
    result = changed("type: generic-rack-bms", "type: sunspec-rack")
    told = [m for m in result.messages if "sunspec-rack has no rack.insulation_resistance" in m.message]
    assert [m.place.file for m in told] == ["site.yaml"], result.text()
