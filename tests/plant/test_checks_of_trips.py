# ruff: noqa: E501 - one case a line reads as a table
"""Trips that look at the wrong time, in normal use, too late or for ever: one slip each, and what a sane site may say."""

from __future__ import annotations

import pytest

BASE = "base: lfp-utility@1\n"
V = "signal: rack.voltage, reset_class: local"


def rows(changed, text: str, owner: str = "rack"):
    return changed(BASE, f"{BASE}{owner}:\n  {text}\n", file="protections.yaml")


@pytest.mark.parametrize(
    ("row", "start"),
    [
        ("cell_voltage_high: {when: at_rest, rest_current: 14 A}", "cell_voltage_high is looked at only while a rack is at rest"),
        ("cell_voltage_high: {when: discharging}", "cell_voltage_high is looked at only while a rack is discharging"),
        ("cell_voltage_low: {when: charging}", "cell_voltage_low is looked at only while a rack is charging"),
        ("cell_temperature_high: {when: disconnected}\n  cell_temperature_high_charging: {when: disconnected}", "cell_temperature_high is looked at only while a rack is disconnected"),
        ("charge_current_high: {when: discharging}", "charge_current_high is looked at only while a rack is discharging"),
        ("cell_voltage_spread: {rest_current: 0 A}", "cell_voltage_spread is looked at while a rack is at rest, but not below which current"),
        ("cell_voltage_high: {reset_class: auto}", "cell_voltage_high would reset itself"),
        ("cell_temperature_high: {reset_class: auto}", "cell_temperature_high would reset itself"),
        (f"x: {{{V}, direction: high, trip: {{limit: 700 V, action: zero_bus}}, delay: 1 s, reset: 690 V}}", "x: trip (700 V) lies inside what lfp280 may have in normal use, 672 to 876 V"),
        (f"x: {{{V}, direction: low, trip: {{limit: 860 V, action: zero_bus}}, delay: 1 s, reset: 870 V}}", "x: trip (860 V) lies inside what lfp280 may have in normal use, 672 to 876 V"),
        (f"x: {{{V}, direction: low, alarm: {{limit: 870 V, action: inhibit_both}}, delay: 1 s, reset: 875 V}}", "x: alarm (870 V) lies inside what lfp280 may have"),
        ("cell_temperature_high: {warning: 10 degC, alarm: 12 degC, trip: 15 degC, reset: 8 degC}", "cell_temperature_high: trip (15 degC) lies inside"),
        ("charge_current_high: {trip: 300 % of rated}", "charge_current_high: trip (300 % of rated, 420 A) is too high"),
        ("discharge_current_high: {trip: 300 % of rated}", "discharge_current_high: trip (300 % of rated for 10 s) never acts: current_far_too_high trips at 400 A"),
        ("cell_temperature_high: {when: charging}", "cell_temperature_high is looked at only while a rack is charging"),
        ("cell_temperature_high: {when: discharging}", "cell_temperature_high is looked at only while a rack is discharging, and what it watches happens while it is at rest"),
        ("current_while_open: {trip: 51 A}", "current_while_open: trip (51 A) comes too late: open contactors carry nothing"),
        ("cell_temperature_rise: {trip: 61 K/min}", "cell_temperature_rise: trip (61 K/min) comes too late"),
        ("cell_voltage_high: {alarm: {limit: 3.55 V, action: inhibit_discharge}}", "cell_voltage_high: alarm (inhibit_discharge) lets charging go on"),
        ("cell_voltage_low: {trip: {limit: 2.70 V, action: inhibit_charge}}", "cell_voltage_low: trip (inhibit_charge) lets discharging go on"),
        (f"x: {{{V}, direction: high, trip: {{limit: 876 V, action: inhibit_discharge}}, delay: 1 s, reset: 860 V}}", "x: trip (inhibit_discharge) lets charging go on"),
        ("charge_current_high: {alarm: {limit: 105 % of rated, action: inhibit_discharge}}", "charge_current_high: alarm (inhibit_discharge) lets charging go on"),
        ("discharge_current_high: {trip: {limit: 110 % of rated, action: inhibit_charge}}", "discharge_current_high: trip (inhibit_charge) lets discharging go on"),
        ("current_far_too_high: {trip: {limit: 200 % of rated, action: inhibit_charge}}", "current_far_too_high: trip (inhibit_charge) lets discharging go on"),
        ("cell_temperature_low_charging: {trip: {limit: 0 degC, action: inhibit_discharge}}", "cell_temperature_low_charging: trip (inhibit_discharge) lets charging go on"),
        ("cell_temperature_high: {alarm: {limit: 50 degC, action: inhibit_discharge}}", "cell_temperature_high: alarm (inhibit_discharge) lets charging go on"),
        ("cell_temperature_rise: {trip: {limit: 10 K/min, action: inhibit_charge}}", "cell_temperature_rise: trip (inhibit_charge) lets discharging go on"),
        ("current_far_too_high: {trip: {limit: 200 % of rated, delay: 11 s}}", "current_far_too_high trips only after 11 s"),
        ("discharge_current_high: {trip: {limit: 110 % of rated, delay: 61 s}}", "discharge_current_high trips only after 61 s"),
        ("cell_temperature_high: {trip: {limit: 55 degC, delay: 2 min}}", "cell_temperature_high trips only after 120 s"),
        (f"x: {{{V}, direction: high, trip: {{limit: 876 V, action: zero_bus, delay: 10 min}}, reset: 860 V}}", "x trips only after 600 s"),
        ("discharge_current_high: {warning: 60 A, alarm: 70 A, trip: 90 A, reset: 50 A}", "discharge_current_high: trip (90 A) lies below what lfp280 carries"),
    ],
)  # fmt: skip
def test_a_trip_that_cannot_do_its_work_is_refused(changed, row, start):
    result = rows(changed, row)
    assert [m for m in result.errors if m.message.startswith(start)] != [], result.text()


@pytest.mark.parametrize(
    ("owner", "row", "start"),
    [
        ("meter", "x: {signal: meter.frequency, direction: low, trip: {limit: 60 Hz, action: stop_plant}, delay: 1 s, reset: 60.1 Hz, reset_class: local}", "x: trip (60 Hz) would act at the nominal 60 Hz"),
        ("meter", "x: {signal: meter.voltage, direction: high, trip: {limit: 12 kV, action: stop_plant}, delay: 1 s, reset: 11 kV, reset_class: local}", "x: trip (12 kV) would act at the nominal 12.47 kV"),
        ("pcs", "x: {signal: pcs.ac_voltage, direction: low, trip: {limit: 400 V, action: stop_pcs}, delay: 1 s, reset: 410 V, reset_class: local}", "x: trip (400 V) would act at the nominal 400 V"),
        ("pcs", "power_beyond_command: {trip: {limit: 5 % of rated, action: inhibit_charge}}", "power_beyond_command: trip (inhibit_charge) lets discharging go on"),
        ("interlock", "tripped: {trip: {limit: no, action: zero_bus}}", "tripped: trip (zero_bus) leaves converters running"),
        ("interlock", "tripped: {trip: {limit: no, delay: 2 s}}", "tripped trips only after 2 s"),
        ("pcs", "power_beyond_command: {trip: 51 % of rated}", "power_beyond_command: trip (51 % of rated, 612 kW) comes too late: PCS01 has 1.2 MW"),
        ("interlock", "tripped: {reset_class: auto}", "tripped would reset itself: after a hard-wired chain"),
    ],
)  # fmt: skip
def test_what_stops_a_healthy_grid_or_forgets_a_chain_is_refused(changed, owner, row, start):
    result = rows(changed, row, owner)
    assert [m for m in result.errors if m.message.startswith(start)] != [], result.text()


@pytest.mark.parametrize(
    "row",
    [
        "rested: {signal: cell.voltage, take: highest, when: at_rest, rest_current: 14 A, direction: high, trip: {limit: 3.65 V, action: zero_bus}, delay: 60 s, reset: 3.5 V, reset_class: local}",
        "cell_voltage_high: {when: connected}",
        "cell_voltage_high: {trip: {limit: 3.65 V, action: inhibit_charge}}",
        "cell_voltage_low: {trip: {limit: 2.70 V, action: inhibit_discharge}}",
        "cell_temperature_high: {alarm: {limit: 50 degC, action: inhibit_charge}}",
        "current_far_too_high: {trip: 300 % of rated}",
        "current_far_too_high: {when: connected}",
        "cell_temperature_high: {when: connected}",
        "charge_current_high: {trip: 125 % of rated}",
        "current_while_open: {trip: 50 A}",
        "cell_temperature_rise: {trip: 60 K/min}",
        f"x: {{{V}, direction: low, trip: {{limit: 660 V, action: zero_bus}}, delay: 1 s, reset: 670 V}}",
        f"x: {{{V}, direction: high, trip: {{limit: 880 V, action: zero_bus}}, delay: 1 s, reset: 876 V}}",
        "x: {signal: rack.current, take: magnitude, direction: high, trip: {limit: 400 A, action: zero_bus}, delay: 5 s, reset: 200 A, reset_class: local}",
    ],
)  # fmt: skip
def test_a_trip_that_somebody_may_want_is_silent(changed, row):
    assert rows(changed, row).text() == ""


@pytest.mark.parametrize(
    ("row", "meant"),
    [("cell_voltage_high: {take: lowest}", "highest"), ("cell_voltage_low: {take: highest}", "lowest"),
     ("cell_temperature_high: {take: lowest}", "highest")],
)  # fmt: skip
def test_a_trip_looks_at_the_worst_cell(changed, row, meant):
    """That the BMS watches something else then follows from it, and is not told."""
    result = rows(changed, row)
    assert [(m.message.partition(":")[2][:17], m.expected) for m in result.messages] == [
        (" trip waits until", f"take: {meant}")
    ], result.text()


@pytest.mark.parametrize("way", ["charge", "discharge"])
def test_a_direction_that_trips_far_beyond_its_current_is_warned_of(changed, way):
    result = rows(changed, f"{way}_current_high: {{trip: 150 % of rated}}")
    assert [m.message.partition(" (")[0] for m in result.warnings] == [f"{way}_current_high: trip"]
    assert result.errors == ()


def test_a_trip_a_little_inside_the_window_is_only_warned_of(changed):
    result = rows(changed, "cell_voltage_low: {warning: 3.1 V, alarm: 3 V, trip: 2.95 V, reset: 3.2 V}")
    assert [m.message for m in result.errors] == []
    assert [m for m in result.warnings if "lies inside what lfp280 may have" in m.message] != []


def test_chains_of_doors_may_reset_themselves(changed):
    doors = "interlocks:\n  - {name: DOOR, kind: door, input: IO01.9}"
    only = "[estop, fire, transfer_trip, gas]"
    more = f"schema: protections/v1\n{BASE}interlock:\n  tripped: {{only: {only}}}\n  open_door: {{signal: interlock.healthy, only: [door], direction: low, trip: {{limit: no, delay: 0 s, action: stop_block}}, reset_class: auto}}\n"
    result = changed("interlocks:", doors, protections_yaml=more)
    assert result.text() == ""
