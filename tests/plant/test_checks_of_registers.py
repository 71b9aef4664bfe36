# ruff: noqa: E501 - one case a line reads as a table
"""Steps too coarse, values thrown away as missing, codes that tell nothing, registers that wear out: one slip each."""

from __future__ import annotations

import pytest

from controller.plant.demo_site import demo_site_files

OWN = """schema: device/v1
extends: %s
device: ours
source: {document: the list itself, pages: all, checked_by: k.laine, checked_on: 2026-10-02}
"""
BASES = {"rack": "generic-rack-bms", "cell": "generic-rack-bms", "pcs": "generic-pcs", "meter": "generic-meter"}


def with_points(changed, text: str, more: str = ""):
    """Return the demo with one of its device files changed in some points."""
    base = BASES[text.partition(".")[0]]
    site = demo_site_files()["site.yaml"].replace(f"type: {base}", "type: ours")
    device = OWN % base + "points:\n" + "".join(f"  {line}\n" for line in text.split("; ")) + more
    return changed(site_yaml=site.replace("use:\n", "use:\n  - ours.yaml\n"), ours_yaml=device)


def said(messages, start: str) -> bool:
    return any(m.message.startswith(start) for m in messages)


REFUSED = [
    ("cell.voltage: {unit: V}", "cell.voltage is read in steps of 1 V: too coarse"),
    (
        "cell.voltage: {scale: 40}",
        "cell.voltage of ours is read in steps of 40 mV, but lfp280 works from 2.8 to 3.65 V",
    ),
    ("cell.voltage: {scale: 1e308}", "cell.voltage has scale 1e308: that can't be meant"),
    ("rack.voltage: {scale: 10}", "rack.voltage of ours is read in steps of 10 V"),
    ("rack.current: {scale: 10}", "rack.current of ours is read in steps of 10 A"),
    ("rack.soc: {scale: 10}", "rack.soc is read in steps of 10 %"),
    ("rack.insulation_resistance: {unit: Mohm}", "rack.insulation_resistance is read in steps of 1 Mohm"),
    (
        "rack.insulation_resistance: {unit: ohm}",
        "insulation_low alarms at 500 kohm, but ours can only show rack.insulation_resistance from 0 to 65.53 kohm",
    ),
    ("rack.charge_current_limit: {scale: -0.1}", "rack.charge_current_limit has a negative scale"),
    ("cell.temperature: {offset: -400}", "cell.temperature has an offset of -400 degC: no temperature is so low"),
    ("pcs.frequency: {scale: 1}", "pcs.frequency is read in steps of 1 Hz"),
    ("meter.frequency: {as: u16, scale: 1}", "meter.frequency is read in steps of 1 Hz"),
    (
        "meter.active_power: {as: i16, unit: MW}",
        "meter.active_power of ours is read in steps of 1 MW, but GRID works from -2.4 to 2.4 MW",
    ),
    (
        "pcs.active_power_setpoint: {unit: kW, scale: 100}",
        "pcs.active_power_setpoint of ours is read in steps of 100 kW",
    ),
    (
        "rack.cell_temperature_max: {range: [-40 degC, 50 degC]}",
        "cell_temperature_high trips at 55 degC, but ours can only show rack.cell_temperature_max",
    ),
    (
        "rack.current: {range: [-200 A, 200 A]}",
        "discharge_current_high trips at 220 A, but ours can only show rack.current from -200 to 200",
    ),
    (
        "rack.current: {scale: 0.01}",
        "current_far_too_high trips at 400 A, but ours can only show rack.current from -327.7 to 327.7 A",
    ),
    (
        "cell.voltage: {missing: 3300}",
        "cell.voltage: missing 3300 is 3.3 V, a value that it has in operation, and lfp280 reaches it",
    ),
    ("cell.temperature: {missing: 0}", "cell.temperature: missing 0 is 0 degC, a value that it has in operation"),
    ("rack.current: {missing: 0}", "rack.current: missing 0 is 0 A"),
    ("rack.voltage: {missing: 8000}", "rack.voltage: missing 8000 is 800 V"),
    ("pcs.frequency: {missing: 5000}", "pcs.frequency: missing 5000 is 50 Hz"),
    ("meter.active_power: {missing: 0}", "meter.active_power: missing 0 is 0 W"),
    ("rack.contactor: {missing: 2}", "rack.contactor: 2 is both a value with a meaning and one that means no value"),
    (
        "rack.connect_request: {values: {0: none, 1: connect, 70000: disconnect}}",
        "rack.connect_request: 70000 does not fit in u16, so it can never be written",
    ),
    (
        "rack.alarms: {as: bits16, at: input 40, values: {3: over_voltage_alarm, 26: other_alarm}}",
        "rack.alarms: there is no bit 26 in bits16",
    ),
    ("rack.tripped: {values: {0: no, 1: no}}", "every value of rack.tripped means 'no'"),
    ("rack.reset_request: {values: {0x1: none}}", "rack.reset_request: 1 has two meanings"),
    (
        "rack.controller_heartbeat: {writable: persistent}",
        "rack.controller_heartbeat is persistent and written each 1 s: memory that bears 1,000,000 writes is worn out after 0.032 years (12 days)",
    ),
    ("rack.voltage: {every: 1 s}", "rack.voltage is read, never written"),
]


@pytest.mark.parametrize(("points", "start"), REFUSED)
def test_a_register_that_misleads_is_refused(changed, points, start):
    result = with_points(changed, points)
    assert said(result.errors, start), result.text()
    assert all(m.place.file == "ours.yaml" and m.place.line > 1 for m in result.errors)


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ("rack.contactor: {at: input 26, as: enum16, block: fast, values: {0: open, 3: fault}}", "rack.contactor has no value for 'closed'"),
        ("rack.contactor: {at: input 26, as: enum16, block: fast, values: {2: closed, 3: fault}}", "rack.contactor has no value for 'open'"),
        ("pcs.state: {at: input 10, as: enum16, block: fast, values: {0: off, 6: fault}}", "pcs.state has no value for 'running'"),
    ],
)  # fmt: skip
def test_a_map_without_the_states_that_matter_is_refused(changed, values, start):
    name = values.partition(":")[0]
    result = with_points(changed, values, f"without: [points.{name}]\n")
    assert said(result.errors, start), result.text()


@pytest.mark.parametrize(
    ("points", "more", "start"),
    [
        ("cell.voltage: {scale: 10}", "", "cell.voltage of ours is read in steps of 10 mV"),
        ("pcs.active_power_setpoint: {sign: charge_positive}", "", "pcs.active_power_setpoint is turned round, but pcs.active_power not"),
        ("pcs.active_power: {sign: charge_positive}", "", "pcs.active_power_setpoint is not, but pcs.active_power turned round"),
        ("pcs.reactive_power_setpoint: {sign: absorbed_positive}", "", "pcs.reactive_power_setpoint is turned round, but pcs.reactive_power not"),
        ("rack.charge_current_limit: {scale: 1}", "", "rack.charge_current_limit is read in 1 A, but rack.discharge_current_limit in 0.1 A"),
        ("rack.charge_current_limit: {scale: 10}", "", "rack.charge_current_limit is read in 10 A, but rack.discharge_current_limit in 0.1 A"),
        ("rack.cell_temperature_max: {unit: degF}", "", "rack.cell_temperature_max is read in 0.1 degF, but rack.cell_temperature_min in 0.1 degC"),
        ("pcs.active_power_setpoint: {unit: kW}", "", "pcs.active_power is read in 1 W, but pcs.active_power_setpoint in 1 kW"),
        ("pcs.watchdog_timeout_setting: {scale: 1}", "", "pcs.watchdog_timeout is read in 0.1 s, but pcs.watchdog_timeout_setting in 1 s"),
        ("rack.current: {scale: -0.1, sign: charge_positive}", "", "rack.current is turned twice, by its scale and by its sign"),
        ("rack.connect_request: {writable: volatile}", "control: none\n", "ours has rack.connect_request, which is never written"),
        ("pcs.active_power_setpoint: {at: holding 0, as: i32, unit: W, writable: persistent}", "without: [points.pcs.active_power_setpoint]\n", "pcs.active_power_setpoint is persistent"),
        ("rack.connect_request: {at: holding 0, as: u16, writable: volatile, values: {1: connect}}", "control: none\nwithout: [points.rack.connect_request]\n", "rack.connect_request has no value for 'disconnect'"),
    ],
)  # fmt: skip
def test_what_could_be_meant_is_only_warned_of(changed, points, more, start):
    result = with_points(changed, points, more)
    assert said(result.warnings, start), result.text()
    assert result.errors == ()


def test_a_setup_value_fits_its_register(changed):
    more = "setup:\n  - {at: holding 40, as: u16, value: 70000}\n"
    assert said(with_points(changed, "pcs.state: {block: fast}", more).errors, "the setup value 70000 does not fit u16")


@pytest.mark.parametrize(
    "points",
    [
        "cell.voltage: {scale: 5}",
        "cell.voltage: {missing: [0, 0xFFFF]}",
        "rack.current: {scale: 1}",
        "rack.soc: {scale: 1}",
        "cell.temperature: {scale: 1, missing: 0x7FFF}",
        "rack.cell_temperature_max: {as: u16, scale: 1, offset: -40, missing: [0, 255], range: [-39 degC, 120 degC]}",
        "rack.tripped: {values: {0: yes, 1: no}}",
        "pcs.frequency: {scale: 0.1, missing: 0}",
        "pcs.watchdog_timeout_setting: {writable: persistent}",
        "meter.voltage: {missing: 0x7FC00000}",
        "meter.active_power: {missing: [-9999999, 0x7FC00000]}",
        "rack.insulation_resistance: {scale: 10}",
    ],
)
def test_a_register_as_makers_have_them_is_silent(changed, points):
    assert with_points(changed, points).text() == ""


@pytest.mark.parametrize(("count", "message"), [
    (256, "lfp280 has 240 cells in series, but ours reads 256: 16 would be nobody's"),
    (224, "ours shows 224 cells, but lfp280 has 240"),
    (240, ""),
    (416, ""),
])  # fmt: skip
def test_a_device_reads_as_many_cells_as_a_rack_has(changed, count, message):
    result = with_points(changed, f"cell.voltage: {{count: {count}}}")
    found = [m.message for m in result.messages if "224 cells" in m.message or "240 cells" in m.message]
    assert found == ([message] if message else []), result.text()
    assert all(m.place.file == "site.yaml" for m in result.messages)


@pytest.mark.parametrize(
    ("point", "start"),
    [
        ("rack.reset_request: {at: holding 0, as: u16, writable: volatile, values: {1: reset}}", "error: rack.reset_request and rack.connect_request share a register in which 1 means 'reset' and 'connect'"),
        ("pcs.reset_request: {at: holding 4, as: u16, writable: volatile, values: {1: reset}}", "error: pcs.reset_request and pcs.operation share a register in which 1 means 'reset' and 'start'"),
        ("rack.contactor: {at: holding 0, as: u16, block: fast, values: {0: open, 2: closed}}", "error: rack.contactor is read from the register of rack.connect_request, in which 0 asks for 'none'"),
        ("rack.contactor: {at: holding 0, as: u16, block: fast, values: {2: closed, 3: open}}", "error: rack.contactor is read from the register of rack.connect_request, in which 2 asks for 'disconnect'"),
        ("rack.contactor: {at: holding 0, as: u16, block: fast, values: {2: open, 1: closed}}", "warning: rack.contactor is read from the register of rack.connect_request: a device that returns"),
        ("rack.tripped: {at: input 26, as: enum16, block: fast, values: {0: no, 1: yes, 3: yes}}", "error: rack.tripped reads 1 as 'yes', where rack.contactor, in the same register, reads 'precharging'"),
    ],
)  # fmt: skip
def test_what_shares_a_register_says_one_thing(changed, point, start):
    name = point.partition(":")[0]
    result = with_points(changed, point, f"without: [points.{name}]\n")
    assert [m for m in result.messages if f"{m.severity}: {m.message}".startswith(start)] != [], result.text()


@pytest.mark.parametrize(
    "point",
    [
        "pcs.reset_request: {at: holding 4, as: u16, writable: volatile, values: {9: reset}}",
        "rack.tripped: {at: input 26, as: enum16, block: fast, values: {0: no, 1: no, 2: no, 3: yes}}",
    ],
)
def test_a_register_that_is_shared_as_makers_do_is_silent(changed, point):
    name = point.partition(":")[0]
    assert with_points(changed, point, f"without: [points.{name}]\n").text() == ""


def test_a_name_longer_than_its_register_is_refused(changed):
    identity = 'identify: {at: input 900, as: string2, equals: "K1700"}\n'
    result = with_points(changed, "rack.soc: {scale: 0.1}", identity)
    assert said(result.errors, "'K1700' can't be read from string2: that has room for 4 letters"), result.text()
    assert with_points(changed, "rack.soc: {scale: 0.1}", identity.replace("string2", "string3")).text() == ""


@pytest.mark.parametrize(("pattern", "what"), [("B*", "all 24 racks"), ("PCS*", "all 2 converters")])
def test_an_exception_that_leaves_no_plant_is_told(changed, pattern, what):
    out = "{state: out_of_service, reason: trial, by: k.laine, until: 2099-01-01}"
    result = changed("scada:\n", f"exceptions:\n  {pattern}: {out}\n\nscada:\n")
    assert said(result.warnings, what), result.text()
