"""Mistakes in the relations, ratings and connections of a site: what is said of each, and what is only odd."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.plant.demo_site import demo_site_files
from controller.plant.site_files import LIBRARY

SITES = Path(__file__).resolve().parents[2] / "site_configs"


@pytest.mark.parametrize(
    ("connect", "message"),
    [
        ("tcp://10.20.{block}.{rack}", "'tcp://10.20.2.1' has no port"),
        ("tcp://10.20.2.300:502?unit=1", "'10.20.2.300' is no IP address"),
        ("tcp://10.20.2.1:99999?unit=1", "there is no port 99999"),
        ("tcp://10.20.2.1:502", "the connection has no unit number"),
        ("tcp://10.20.2.1:502?unit=256", "there is no unit 256"),
        ("tcp://10.20.2.1:502?unti=1", "unknown word 'unti' in the connection"),
        ("http://10.20.2.1", "'http://10.20.2.1' is no connection"),
        ("serial:///dev/ttyS0?baud=fast&unit={rack}", "'serial:///dev/ttyS0?baud=fast&unit=1' has line settings"),
        ("serial:///dev/ttyS0?unit=248", "there is no unit 248"),
    ],
)
def test_connections_that_can_not_be(changed, connect, message):
    result = changed('"tcp://127.0.0.1:{block*100+rack+20000}?unit=1"', f'"{connect}"')
    assert [m.message for m in result.errors if m.message.startswith(message)]
    assert len({m.place for m in result.errors}) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: GRID", "name: PCS01", "'PCS01' is the name of two equipments"),
        ('"PCS{block:01..02}"', '"PCS{block:01..03}"', "PCS03 is on no DC bus"),
        ('transformer: "T{block}"', 'transformer: "T{block+1}"', "no 'T03' among the transformers"),
        ("input: IO01.1}", "input: IO01}", "'IO01' is no input of a device"),
        ("input: IO01.1}", "input: IO02.1}", "no 'IO02' among the digital_io"),
        ("input: IO01.1}", "input: IO01.999}", "IO01 has no input 999"),
        ("input: IO01.1}", "input: IO01.2}", "FIRE01 and ESTOP are both wired to input 2 of IO01"),
        ("role: auxiliary", "role: poi", "GRID and AUX both have the role 'poi'"),
        ("    poll: 1 s", "    poll: {quick: 1 s}", "generic-meter has no block 'quick'"),
        ("    role: poi\n", "    role: poi\n    ct: {ratio: 600:5}\n", "'600:5' is no ratio"),
        ('    racks: "B{block}-R*"\n    pcs', '    racks: "*"\n    pcs', "B01-R01 is on DC02 and on DC01"),
        ("cell: generic_280_lfp", "cell: generic_280_lpf", "no cell type 'generic_280_lpf'"),
        ("grid: us60hz_day", "grid: us60hz_dya", "no grid profile 'us60hz_dya'"),
        ("  - protections.yaml\n", "  - ../protections.yaml\n", "'../protections.yaml' is outside the site's folder"),
        ("opc.tcp://127.0.0.1:4840", "tcp://127.0.0.1:4840", "'tcp://127.0.0.1:4840' is no place to listen"),
        ("security: [None]", "security: [Basic256]", "scada.opcua.security can't be 'Basic256'"),
        ("timezone: America/Chicago", "timezone: America/Chigaco", "site.timezone is no known time zone"),
        ("{min: 5 %, max: 95 %}", "{min: 95 %, max: 5 %}", "controls.limits.soc.min is not below limits.soc.max"),
        ("modules: 15", "modules: 17", "240 cells can't be spread evenly over 17 modules"),
        ("window: {min: 2.80 V, max: 3.65 V}", "window: {min: 2.80 V, max: 3.80 V}", "window.max (3.8 V) is above"),
        ("window: {min: 2.80 V, max: 3.65 V}", "window: {min: 2.30 V, max: 3.65 V}", "window.min (2.3 V) is below"),
        (
            "window: {min: 2.80 V, max: 3.65 V}",
            "window: {min: 3.65 V, max: 2.80 V}",
            "window.min (3.65 V) is not below",
        ),
        ("charge: 140 A", "charge: 300 A", "charge current (300 A) is above what"),
        (
            "cell_voltage_high: {limit: 3.65 V",
            "cell_voltage_high: {limit: 36.5 V",
            "bms_trips.cell_voltage_high (36.5 V)",
        ),
        ("cell_voltage_high: {limit", "cel_voltage_high: {limit", "no BMS trip named 'cel_voltage_high'"),
        (
            "cell_voltage_high: {limit: 3.65 V",
            "cell_voltage_high: {limit: 3.65 A",
            "bms_trips.cell_voltage_high is a current",
        ),
        ("ac_voltage: 400 V", "ac_voltage: 480 V", "PCS01 can't make 480 V AC from 600 V DC"),
        ("secondary: 400 V", "secondary: 480 V", "PCS01 makes 400 V, T01 has 480 V on its side"),
        ("apparent: 1.32 MVA", "apparent: 1.1 MVA", "rating.apparent of PCS01 is below its rating.power"),
        ("load_loss: 13 kW", "load_loss: 130 kW", "load_loss of T01 is 9.3 % of its rating"),
        ("power: 12 kW", "power: 2 MW", "HVAC01 takes 2 MW of the plant's 2.4 MW"),
        (
            "fallback: {power: 0 MW",
            "fallback: {power: 5 MW",
            "controls.setpoint.fallback.power (5 MW) is more than the POI allows",
        ),
        ("listen: tcp://127.0.0.1:5020", "listen: tcp://127.0.0.1:4840", "both faces listen on port 4840"),
        (
            "    voltage: 12.47 kV\n  - name: AUX",
            "    voltage: 33 kV\n  - name: AUX",
            "GRID measures 33 kV at a POI of 12.47",
        ),
    ],
)
def test_relations_and_ratings_that_can_not_be(changed, old, new, message):
    result = changed(old, new)
    assert [m for m in result.errors if m.message.startswith(message)], result.text()
    assert result.plant is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("current: 2 kA", "current: 1 kA", "PCS01 needs 1822 A for full power at 672 V"),
        ("discharge: 200 A", "discharge: 140 A", "the racks of DC01 carry 1.13 MW, its PCS have 1.2 MW"),
        ("primary: 12.47 kV", "primary: 33 kV", "T01 has 33 kV towards a POI of 12.47 kV"),
        ("energy: 4.5 MWh", "energy: 1 MWh", "the racks deliver 4.542 MWh, far more than the plant's 1 MWh"),
        ("    role: poi\n", "    role: feeder\n", "no meter has the role 'poi'"),
        (
            "limits: {ramp: 2.4 MW/s",
            "limits: {ramp: 24 MW/s",
            "controls.limits.ramp is 24 MW/s, but the PCS ramp at 4.8 MW/s",
        ),
        ("export_limit: 2.4 MW", "export_limit: 24 MW", "export_limit is 24 MW, but the PCS add up to 2.4 MW"),
        ("    anonymous: yes\n", "", "nobody can log in to OPC UA"),
        ("tcp://127.0.0.1:5020", "tcp://0.0.0.0:5020", "nobody may write by Modbus"),
        (
            "cell_voltage_high: {limit: 3.65 V",
            "cell_voltage_high: {limit: 3.45 V",
            "cell_voltage_high: warning (3.50 V)",
        ),
        (
            "limit: 55 degC, delay: 1 s",
            "limit: 60 degC, delay: 5 s",
            "the BMS of lfp280 trips cell_temperature_high only at 60 degC, beyond the 55 degC",
        ),
        (
            "transformers:\n",
            "transformers:\n  - {name: T9, apparent: 1 MVA, primary: 12.47 kV, secondary: 400 V}\n",
            "no PCS is on T9",
        ),
    ],
)
def test_what_is_odd_is_a_warning(changed, old, new, message):
    result = changed(old, new)
    assert result.errors == ()
    assert result.plant is not None
    assert [m for m in result.warnings if m.message.startswith(message)], result.text()


GRID = (SITES / "grid_20mw_40mwh" / "site.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('racks: "B{block}-R*"\n\nbuses', 'racks: "*"\n\nbuses', "B01-R01 is on BANK02 and on BANK01"),
        ('"BANK{block:01..06}"', '"BANK{block:01..01}"', "B02-R01 is served by no device"),
        (
            '"BANK{block:01..06}"\n    type: generic-bank-bms\n    connect: "tcp://10.20.{block}.10:502?unit=1"',
            '"BANK"\n    type: generic-bank-bms\n    connect: "tcp://10.20.0.10:502?unit=1"',
            "'{block}' is not an axis of this group",
        ),
        (
            "    battery: bank416\n",
            "    battery: bank416\n    poll: 1 s\n",
            "B01-R01 is served by a bank, so 'poll' has",
        ),
        ("B08-R13: {state", "B01-R01: {poll: 2 s}\n  B08-R13: {state", "B01-R01 is served by a bank: its poll"),
        ("volt_var: off", "volt_vra: off", "no grid function named 'volt_vra'"),
        ("volt_var: off", "volt_var: pcs", "controls says volt_var acts in the PCS, but no PCS has it armed"),
        ("writers: [10.10.0.11", "writers: [10.10.0.300", "'10.10.0.300' is no IP address"),
        ("dc: {min: 1050 V, max: 1500 V", "dc: {min: 1500 V, max: 1050 V", "dc.min of PCS01 is not below its dc.max"),
        (
            "series: 416, parallel: 1, modules: 26",
            "series: 448, parallel: 1, modules: 28",
            "generic-bank-bms shows 416",
        ),
        ("apparent: 22 MVA", "apparent: 19 MVA", "rating.apparent is below rating.power"),
        ("apparent: 22 MVA", "apparent: 25 MVA", "the PCS add up to 22 MVA"),
        ('"B{block:01..06}-R{rack:01..24}"', '"B{block:01..06}-R{rack:01..48}"', "BANK01 serves 48 racks, but"),
        ("buses:\n", "buses:\n  - {name: DC99, racks: [], pcs: [], bms_stops_pcs: can}\n", "DC99 has no racks"),
        (
            "uncertain_periods: 1.5",
            "uncertain_periods: 4",
            "controls.stale.uncertain_periods is not below stale.bad_periods",
        ),
        ("use:\n", "use: &files\n", "'&files' is a YAML anchor"),
        ("name: Harbour Storage Park", "name:", "site.name is empty"),
        ("sign: discharge_positive", "sign: charge_positive", "site.sign can't be 'charge_positive'"),
        ("until: 2035-12-15", "until: 15.12.2035", "exceptions.B08-R13.until is not a date"),
        ("seed: 20", "seed: 2.5", "simulation.seed is not a whole number"),
        ("shared: no", "shared: never", "controls.owner.shared is neither yes nor no"),
        ("bad_periods: 3", "bad_periods: 3 s", "controls.stale.bad_periods is not a plain number"),
        ("series: 416", "series: 0", "batteries.bank416.cells.series must be more than zero"),
        ("id: harbour", "id: the harbour", "site.id can't be a name"),
    ],
)
def test_mistakes_in_the_large_site(changed, old, new, message):
    assert GRID.count(old) >= 1
    rows = (SITES / "grid_20mw_40mwh" / "protections.yaml").read_text()
    result = changed(demo_site_files()["site.yaml"], GRID.replace(old, new, 1), protections_yaml=rows)
    assert [m for m in result.errors if m.message.startswith(message)], result.text()
    assert result.plant is None


def test_batteries_of_several_sizes_make_rated_currents_doubtful(changed):
    other = GRID.replace("discharge: 140 A, break", "discharge: 130 A, break", 1)
    rows = (SITES / "grid_20mw_40mwh" / "protections.yaml").read_text()
    result = changed(demo_site_files()["site.yaml"], other, protections_yaml=rows)
    assert result.errors == ()
    assert "discharge_current_high: 110 % of rated is 143 A for every rack, although the batteries differ" in {
        m.message for m in result.warnings
    }


def test_an_unused_battery_is_a_warning(changed):
    text = demo_site_files()["site.yaml"]
    battery = text[text.index("  lfp280:") : text.index("\nracks:")]
    result = changed(battery, battery + battery.replace("lfp280", "spare", 1))
    assert [m.message for m in result.messages] == ["no rack is of battery 'spare'"]


def test_a_trip_on_a_measurement_that_can_not_be_doubted_is_a_warning(changed):
    device = (LIBRARY / "devices" / "generic-rack-bms.yaml").read_text()
    careless = device.replace(", missing: 0x8000, sign: discharge_positive", ", sign: discharge_positive", 1)
    result = changed(
        "  - protections.yaml\n",
        "  - protections.yaml\n  - devices/rack.yaml\n",
        devices__rack_yaml=careless,
    )
    assert [m.message for m in result.messages] == ["generic-rack-bms gives rack.current neither 'range' nor 'missing'"]
    assert result.messages[0].place.file == "devices/rack.yaml"


def test_unquoted_times_are_a_warning(changed):
    result = changed("  name: Demo plant", "  name: 17:00")
    assert [m.message for m in result.messages] == ["name: 17:00 is not quoted"]
    assert "1020" in result.messages[0].hint
