# ruff: noqa: E501 - one case a line reads as a table
"""What a register can show, how often it is read and what a trip does with it: one slip each."""

from __future__ import annotations

import re

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.site_files import LIBRARY

OWN = """schema: device/v1
extends: %s
device: ours
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
"""
RACK = "generic-rack-bms"


def with_device(changed, text: str, base: str = RACK, old: str = "", new: str = ""):
    site = demo_site_files()["site.yaml"].replace(f"type: {base}", "type: ours").replace(old, new)
    return changed(site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=OWN % base + text)


def device_text(base: str) -> str:
    """Return a device file of the library under a name of one's own."""
    text = (LIBRARY / "devices" / f"{base}.yaml").read_text(encoding="utf-8")
    return text.replace(f"device: {base}", "device: ours")


def with_own(changed, text: str, base: str):
    site = demo_site_files()["site.yaml"].replace(f"type: {base}", "type: ours")
    return changed(site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=text)


def said(result, start: str) -> bool:
    return any(m.message.startswith(start) for m in result.errors)


@pytest.mark.parametrize(
    ("point", "start"),
    [
        ("rack.voltage: {scale: 0}", "rack.voltage has scale 0"),
        ("rack.voltage: {scale: 1, unit: mV}", "rack.voltage of ours can only show 0 to 65.53 V, but lfp280 reaches 672 to 876 V"),
        ("rack.voltage: {range: [0 V, 600 V]}", "rack.voltage of ours can only show 0 to 600 V, but lfp280 reaches"),
        ("rack.voltage: {missing: 0xFFFFFFFF}", "rack.voltage can never read 0xffffffff: u16 has 16 bits"),
        ("rack.voltage: {words: low_first}", "rack.voltage is u16, one register: it has no word order"),
        ("rack.current: {as: u16}", "rack.current of ours can only show 0 to 6554 A"),
        ("rack.soc: {scale: 0.001}", "rack.soc can only show 0 to 65.53 %"),
        ("rack.soc: {range: [0 %, 90 %]}", "rack.soc can only show 0 to 90 %"),
        ("cell.temperature: {count: 50}", "ours shows 50 temperatures, but lfp280 has 60 sensors"),
        ("cell.voltage: {range: [0.5 V, 3.7 V]}\n  cell.temperature: {range: [-40 degC, 50 degC]}", "cell_temperature_high trips at 55 degC, but ours can only show"),
    ],
)  # fmt: skip
def test_a_register_that_cannot_show_the_rack_is_refused(changed, point, start):
    result = with_device(changed, f"points:\n  {point}\n")
    assert said(result, start), result.text()
    assert with_device(changed, "").text() == ""


def test_a_plant_that_runs_on_the_bms_soc_is_told_where_none_is_stated(changed):
    result = with_device(changed, "without: [points.rack.soc]\n")
    assert [m.message for m in result.warnings if "states no SOC of B02-R01" in m.message] != [], result.text()


@pytest.mark.parametrize(
    ("old", "new", "start"),
    [
        ("scan: 250 ms", "scan: 10 s", "a scan each 10 s writes too seldom for PCS01, which gives up after 5 s"),
        ("setpoint: {timeout: 10 s", "setpoint: {timeout: 500 ms", "setpoint.timeout (0.5 s) is over within three scans"),
        ("resistance: 60 mohm", "resistance: 9.6 ohm", "lfp280 is said to have 9.6 ohm; its cells alone have about 60 mohm"),
        ("resistance: 60 mohm", "resistance: 96 uohm", "lfp280 is said to have 96 uohm"),
        ("current: 2 kA", "current: 200 A", "PCS01 needs 1822 A for full power at 672 V"),
        ("current: 2 kA", "current: 20 kA", "PCS01 is said to bear 20000 A DC"),
        ("    voltage: 12.47 kV\n", "    voltage: 12.47 kV\n    ct: {ratio: 2000/5}\n", "GRID has a current transformer for 2000 A"),
    ],
)  # fmt: skip
def test_a_number_a_factor_off_is_refused(changed, old, new, start):
    result = changed(old, new)
    assert said(result, start), result.text()


def test_what_a_trip_rests_on_is_not_read_each_ten_minutes(changed):
    block = with_device(changed, "blocks: {slow: {every: 10 min}}\n")
    assert said(block, "B02-R01 is asked for cell.voltage each 600 s only"), block.text()
    assert block.errors[0].place.file == "ours.yaml"
    site = changed("controls:\n", "exceptions:\n  B02-R03: {poll: {slow: 10 min}}\ncontrols:\n")
    assert said(site, "B02-R03 is asked for cell.voltage each 600 s only"), site.text()


ROW = "rack:\n  ours: {signal: rack.voltage, direction: high, trip: {limit: 900 V, delay: 2 s, action: zero_bus}, reset: 850 V, reset_class: local}\n"
CHAIN = "interlock:\n  fire: {signal: interlock.healthy, only: [fire], direction: low, trip: {limit: no, delay: 0 s, action: stop_plant}, reset_class: local}\n"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (ROW.replace("delay: 2 s", "delay: 1 h"), "ours trips only after 3600 s"),
        (ROW.replace("zero_bus", "annunciate"), "ours: a trip that only annunciates takes nothing to safety"),
        (ROW.replace(", action: zero_bus", ""), "ours: a trip that only annunciates takes nothing to safety"),
        ("off: [cell_voltage_high]\n", "cell_voltage_high trips, and is switched off without a reason"),
        ("off: [data_age]\n", "data_age acts (rack: inhibit_both, pcs: stop_pcs), and is switched off without a reason"),
        ("off: [temperature_high, power_beyond_command]\n", "power_beyond_command trips, and is switched off without a reason"),
        (CHAIN.replace("stop_plant", "stop_block"), "chains of kind fire stand in two rows, tripped and fire: stop_plant and stop_block"),
        (CHAIN.replace("direction: low", "direction: high").replace("limit: no", "limit: yes"), "chains of kind fire stand in two rows, tripped and fire, one of which trips while they are healthy"),
    ],
)  # fmt: skip
def test_a_row_that_protects_nothing_is_refused(changed, text, start):
    result = changed("base: lfp-utility@1\n", f"base: lfp-utility@1\n{text}", file="protections.yaml")
    assert said(result, start), result.text()


@pytest.mark.parametrize("old", ["window: {min: 2.80 V, max: 3.65 V}", "dc: {min: 600 V, max: 920 V"])
def test_of_exchanged_ends_the_cause_alone_is_told(changed, old):
    low, high = re.findall(r"[\d.]+ V", old)
    result = changed(old, old.replace(low, "X").replace(high, low).replace("X", high))

    assert len(result.errors) == 1, result.text()
    assert "is not below" in result.errors[0].message


def test_a_row_of_ours_that_watches_nothing_is_told(changed):
    chains = """interlocks:
  - {name: ESTOP, kind: estop, input: IO01.1}
  - {name: "FIRE{block:01..02}", kind: fire, input: "IO01.{block+1}"}
"""
    rows = f"schema: protections/v1\nbase: lfp-utility@1\n{CHAIN}  tripped: {{only: [estop]}}\n"
    with_chains = changed(protections_yaml=rows)
    without = changed(chains, "", protections_yaml=rows)

    told = "row fire watches nothing: the site has no interlock of kind fire"
    assert "watches nothing" not in with_chains.text()
    assert told in [m.message for m in without.warnings], without.text()
    assert not any("watches nothing" in m.message for m in changed(chains, "").warnings), "a preset may be about more"


@pytest.mark.parametrize(
    ("left_out", "start"),
    [(" direction: high,", "ours does not say on which side it is dangerous"), (", reset_class: local", "ours trips, but does not say who")],
)  # fmt: skip
def test_what_is_taken_for_granted_is_said(changed, left_out, start):
    text = ROW.replace(left_out, "")
    result = changed("base: lfp-utility@1\n", f"base: lfp-utility@1\n{text}", file="protections.yaml")
    assert [m.message for m in result.warnings if m.message.startswith(start)] != [], result.text()


@pytest.mark.parametrize(
    "text",
    [ROW, CHAIN, "off: [insulation_low]\n", 'off: [{row: cell_voltage_dead, reason: "the BMS does it"}]\n'],
)
def test_rows_that_say_what_they_do_are_silent(changed, text):
    result = changed("base: lfp-utility@1\n", f"base: lfp-utility@1\n{text}", file="protections.yaml")
    assert result.text() == ""


@pytest.mark.parametrize(
    ("base", "point", "start"),
    [
        ("generic-pcs", "pcs.active_power_setpoint: {as: u32}", "pcs.active_power_setpoint of ours can only be asked for 0 to 4.295 GW, but PCS01 reaches -1.2 to 1.2 MW"),
        ("generic-pcs", "pcs.active_power_setpoint: {as: i16}", "pcs.active_power_setpoint of ours can only be asked for -32.77 to 32.77 kW, but PCS01"),
        ("generic-pcs", "pcs.active_power_setpoint: {as: i16, scale: 0.01, unit: kW}", "pcs.active_power_setpoint of ours can only be asked for -327.7 to 327.7 kW"),
        ("generic-pcs", "pcs.active_power: {range: [-250 kW, 250 kW]}", "pcs.active_power of ours can only show -250 to 250 kW, but PCS01"),
        ("generic-pcs", "pcs.reactive_power_setpoint: {as: u32}", "pcs.reactive_power_setpoint of ours can only be asked for 0 to 4.295 Gvar"),
        ("generic-pcs", "pcs.charge_power_limit: {as: u16, missing: 0xFFFF}", "pcs.charge_power_limit of ours can only show 0 to 65.53 kW"),
        ("generic-pcs", "pcs.dc_current: {as: u16}", "pcs.dc_current of ours can only show 0 to 65540 A"),
        ("generic-pcs", "pcs.dc_current: {scale: 0.01}", "pcs.dc_current of ours can only show -327.7 to 327.7 A"),
        ("generic-pcs", "pcs.dc_voltage: {scale: 0.01}", "pcs.dc_voltage of ours can only show 0 to 655.4 V"),
        ("generic-pcs", "pcs.frequency: {range: [49 Hz, 51 Hz]}", "pcs.frequency of ours can only show 49 to 51 Hz, but PCS01 reaches 57 to 61.8 Hz"),
        ("generic-meter", "meter.active_power: {as: i16, unit: W}", "meter.active_power of ours can only show -32.77 to 32.77 kW, but GRID reaches -2.4 to 2.4 MW"),
        ("generic-meter", "meter.active_power: {as: u32, unit: W}", "meter.active_power of ours can only show 0 to 4.295 GW, but GRID"),
        ("generic-meter", "meter.voltage: {as: u16, scale: 0.1}", "meter.voltage of ours can only show 0 to 6.553 kV, but GRID reaches"),
        ("generic-meter", "meter.frequency: {range: [49 Hz, 51 Hz]}", "meter.frequency of ours can only show 49 to 51 Hz"),
    ],
)  # fmt: skip
def test_a_register_that_cannot_hold_what_the_grid_side_reaches_is_refused(changed, base, point, start):
    result = with_device(changed, f"points:\n  {point}\n", base=base)
    assert said(result, start), result.text()


@pytest.mark.parametrize(("base", "point"), [
    ("generic-pcs", "pcs.active_power_setpoint: {as: i16, unit: kW}"),
    ("generic-pcs", "pcs.active_power: {range: [-1.2 MW, 1.2 MW]}"),
    ("generic-meter", "meter.active_power: {as: i32, unit: W}"),
])  # fmt: skip
def test_a_register_that_holds_just_what_is_reached_is_silent(changed, base, point):
    assert with_device(changed, f"points:\n  {point}\n", base=base).text() == ""


@pytest.mark.parametrize(
    ("text", "severity", "start"),
    [
        ("without: [points.pcs.active_power_setpoint]", "errors", "PCS01 can't be asked for power: ours has no pcs.active_power_setpoint"),
        ("without: [points.pcs.state]", "errors", "PCS01 is never seen to run: ours has no pcs.state"),
        ("without: [points.pcs.operation]", "warnings", "PCS01 can't be started or stopped: ours has no pcs.operation"),
    ],
)  # fmt: skip
def test_a_converter_that_cannot_be_run_is_told(changed, text, severity, start):
    result = with_device(changed, f"{text}\n", base="generic-pcs")
    told = [m for m in getattr(result, severity) if m.message.startswith(start)]
    assert [m.place.file for m in told] == ["ours.yaml"], result.text()


@pytest.mark.parametrize(
    ("old", "new", "severity", "start"),
    [
        (" 3: running,", "", "errors", "pcs.state has no value for 'running'"),
        (" 1: start,", "", "errors", "pcs.operation has no value for 'start'"),
        ("{0: stop, 1: start,", "{1: start,", "warnings", "PCS01 can't be stopped by a command: pcs.operation of ours has no 'stop'"),
    ],
)  # fmt: skip
def test_a_state_or_a_request_that_a_converter_needs_is_asked_for(changed, old, new, severity, start):
    text = device_text("generic-pcs")
    assert old in text
    result = with_own(changed, text.replace(old, new), "generic-pcs")
    told = [m for m in getattr(result, severity) if m.message.startswith(start)]
    assert [m.place.file for m in told] == ["ours.yaml"], result.text()
