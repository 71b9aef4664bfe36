from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.plant.demo_site import demo_site_files, racks_per_block, write_demo_site
from controller.plant.device_types import ContactorControl, TimeoutAction
from controller.plant.model import (
    Binding,
    GridFunctionPlace,
    InterlockKind,
    MeterRole,
    SerialAddress,
    TcpAddress,
    UnloadsContactors,
)
from controller.plant.signals import Owner
from controller.plant.site_files import LIBRARY
from controller.plant.site_loader import SiteError, load_site, load_site_or_raise

REPOSITORY = Path(__file__).resolve().parents[2]
SITES = REPOSITORY / "site_configs"


@pytest.fixture(scope="module")
def demo():
    return load_site_or_raise(SITES / "demo")


@pytest.fixture(scope="module")
def grid():
    return load_site_or_raise(SITES / "grid_20mw_40mwh" / "site.yaml")


@pytest.mark.parametrize("site", ["coast_twins", "coast_twins/south.yaml", "demo", "grid_20mw_40mwh"])
def test_every_example_site_loads_without_a_word(site):
    assert load_site(SITES / site).text() == ""


def test_no_example_site_is_forgotten():
    assert sorted(path.parent.name for path in SITES.rglob("site.yaml")) == ["coast_twins", "demo", "grid_20mw_40mwh"]


def test_the_packaged_demo_is_the_readers_demo():
    packaged = {p.name: p.read_bytes() for p in (LIBRARY / "sites" / "demo").iterdir()}
    assert packaged == {p.name: p.read_bytes() for p in (SITES / "demo").iterdir()}


def test_racks_stand_in_order_of_blocks_with_tags_of_their_axes(demo):
    assert [rack.index for rack in demo.racks] == list(range(24))
    assert (demo.racks[2].name, demo.racks[2].tag) == ("B01-R03", "Plant.Block01.Rack03")
    assert (demo.racks[23].name, demo.racks[23].tag) == ("B02-R12", "Plant.Block02.Rack12")
    assert [block.name for block in demo.blocks] == ["B01", "B02"]
    assert [block.tag for block in demo.blocks] == ["Plant.Block01", "Plant.Block02"]
    assert [demo.racks[i].block for i in (0, 11, 12, 23)] == [0, 0, 1, 1]


def test_other_equipment_keeps_its_name_under_its_block_or_the_plant(demo):
    assert [pcs.tag for pcs in demo.pcs] == ["Plant.Block01.PCS01", "Plant.Block02.PCS02"]
    assert demo.banks[0].tag == "Plant.Block01.BANK01"
    assert [meter.tag for meter in demo.meters] == ["Plant.GRID", "Plant.AUX"]
    assert [lock.tag for lock in demo.interlocks][:2] == ["Plant.ESTOP", "Plant.Block01.FIRE01"]
    assert demo.interlocks[0].block == -1


def test_relations_are_indices(demo):
    assert demo.buses[1].racks == tuple(range(12, 24))
    assert demo.buses[1].pcs == (1,)
    assert demo.racks[12].bus == 1
    assert demo.pcs[1].bus == 1
    assert demo.pcs[1].transformer == 1
    assert demo.banks[0].racks == tuple(range(12))
    assert [demo.racks[i].bank for i in (0, 11, 12)] == [0, 0, -1]
    assert demo.auxiliaries[0].meter == 1
    assert demo.poi.meter == 0


def test_devices_show_their_racks(demo):
    devices = {device.name: device for device in demo.devices}
    assert devices["BANK01"].bindings[:2] == (Binding(Owner.BANK, 0), Binding(Owner.RACK, 0, 0))
    assert devices["BANK01"].bindings[12] == Binding(Owner.RACK, 11, 11)
    assert devices["B02-R03"].bindings == (Binding(Owner.RACK, 14),)
    assert devices["IO01"].bindings[2] == Binding(Owner.INTERLOCK, 2, 2)
    assert [demo.racks[i].contactor_control for i in (0, 12)] == [
        ContactorControl.BANK_MANAGED, ContactorControl.RACK_MANAGED,
    ]  # fmt: skip


def test_devices_of_one_kind_share_one_type_fitted_to_their_racks(demo):
    racks = [device.type for device in demo.devices if device.name.startswith("B02-")]
    assert all(device_type is racks[0] for device_type in racks)
    cells, temperatures = racks[0].point("cell.voltage"), racks[0].point("cell.temperature")
    assert cells is not None
    assert temperatures is not None
    assert (cells.count, temperatures.count) == (240, 60)


def test_links_carry_the_most_careful_device_behind_them(demo):
    links = {str(link.address): link for link in demo.links}
    bank = links["127.0.0.1:17001"]
    assert (bank.in_flight, bank.gap_s, bank.timeout_s) == (4, 0.0, 0.5)
    assert len(demo.links) == len({link.address for link in demo.links})
    assert bank.address == TcpAddress("127.0.0.1", 17001)


def test_numbers_arrive_in_base_units(demo):
    battery, pcs = demo.racks[0].battery, demo.pcs[0]
    assert (battery.voltage_min_v, battery.voltage_max_v) == (pytest.approx(672.0), pytest.approx(876.0))
    assert battery.temperatures == 60
    assert battery.bms_trips[0].limit == pytest.approx(3.65)
    assert (pcs.power_w, pcs.ramp_w_per_s, pcs.efficiency_ratio) == (1.2e6, 2.4e6, pytest.approx(0.98))
    assert demo.buses[0].unloads_contactors is UnloadsContactors.CONTROLLER_ONLY
    assert demo.control.setpoint_timeout_s == 10.0
    assert demo.control.setpoint_timeout_max_s == 3600.0
    assert demo.control.shared_owner
    assert demo.faces.opcua is not None
    assert demo.faces.opcua.policies == ("None",)


def test_the_demo_is_run_as_the_contract_says(demo):
    assert demo.control.ramp_w_per_s == demo.poi.power_w  # full rating in 1 s
    assert demo.control.fallback_w == 0.0
    assert demo.faces.opcua is not None
    assert demo.faces.modbus is not None
    assert (demo.faces.opcua.host, demo.faces.opcua.port, demo.faces.opcua.anonymous) == ("127.0.0.1", 4840, True)
    assert (demo.faces.modbus.host, demo.faces.modbus.port) == ("127.0.0.1", 5020)
    assert demo.control.auto_start


def test_the_large_site_is_what_it_says(grid):
    assert (len(grid.racks), len(grid.pcs), len(grid.blocks)) == (240, 10, 10)
    assert {rack.battery.cells_in_series for rack in grid.racks} == {384, 416}
    assert {rack.contactor_control for rack in grid.racks} == {
        ContactorControl.BANK_MANAGED, ContactorControl.RACK_MANAGED,
    }  # fmt: skip
    assert min(rack.battery.voltage_min_v for rack in grid.racks) > 1000
    assert max(rack.battery.voltage_max_v for rack in grid.racks) <= 1500
    assert {meter.role for meter in grid.meters} == {
        MeterRole.POI_CONTROL, MeterRole.POI_REVENUE, MeterRole.AUXILIARY,
    }  # fmt: skip
    assert {lock.kind for lock in grid.interlocks} == {
        InterlockKind.ESTOP, InterlockKind.TRANSFER_TRIP, InterlockKind.FIRE, InterlockKind.GAS,
    }  # fmt: skip
    assert grid.meters[0].ct_ratio == 80.0
    assert grid.meters[0].vt_ratio == 300.0
    assert dict(grid.control.grid_functions)["volt_var"] is GridFunctionPlace.OFF


def test_exceptions_reach_their_equipment(grid):
    rack = next(rack for rack in grid.racks if rack.name == "B08-R13")
    assert rack.out_of_service is not None
    assert (rack.out_of_service.by, rack.out_of_service.until) == ("k.laine", "2035-12-15")
    assert not rack.out_of_service.lock_out
    periods = {device.name: device.period_s("fast") for device in grid.devices}
    assert (periods["B10-R01"], periods["B09-R01"], periods["REVENUE"]) == (2.0, 1.0, 1.0)


def test_cells_of_another_size_keep_their_c_rates(grid, demo):
    small, large = grid.racks[0].battery.cell, demo.racks[0].battery.cell
    assert small.capacity_ah == 140.0
    assert small.limits.charge_current_max_a == pytest.approx(large.limits.charge_current_max_a / 2)
    assert small.impedance.series_ohm[0][0] == pytest.approx(large.impedance.series_ohm[0][0] * 2)


def test_the_site_may_change_the_watchdog_of_its_converters(changed):
    plant = changed("watchdog: 5 s", "watchdog: 8 s").plant
    assert plant is not None
    timeouts = {d.name: d.type.communication_timeout for d in plant.devices}
    assert timeouts["PCS01"] is not None
    assert (timeouts["PCS01"].after_s, timeouts["PCS01"].then) == (8.0, TimeoutAction.ZERO)
    assert timeouts["BANK01"] is not None
    assert timeouts["BANK01"].after_s == 30.0


def test_an_exception_past_its_date_is_a_warning(tmp_path):
    site = write_demo_site(tmp_path)
    lines = "exceptions:\n  B01-R01: {state: %s, reason: r, by: b, until: 2026-01-31}\n"
    text = site.read_text()
    site.write_text(text + lines % "out_of_service")
    assert load_site(site, today=dt.date(2026, 1, 31)).messages == ()
    late = load_site(site, today=dt.date(2026, 2, 1))
    assert late.plant is not None
    assert [m.message for m in late.warnings] == ["exception 'B01-R01' has expired"]
    site.write_text(text + lines % "locked_out")
    overdue = load_site(site, today=dt.date(2026, 2, 1))
    assert "is overdue" in overdue.warnings[0].message
    assert overdue.plant is not None
    assert overdue.plant.racks[0].out_of_service is not None
    assert overdue.plant.racks[0].out_of_service.lock_out


def test_the_most_specific_exception_wins(changed):
    exceptions = "exceptions:\n  'B02-*': {poll: 2 s}\n  'B02-R0*': {poll: 3 s}\n  B02-R01: {poll: 4 s}\n\nscada:\n"
    plant = changed("scada:\n", exceptions).plant
    assert plant is not None
    periods = {device.name: device.period_s("fast") for device in plant.devices}
    assert [periods[name] for name in ("B02-R01", "B02-R02", "B02-R12")] == [4.0, 3.0, 2.0]


def test_the_digest_knows_the_site_and_not_its_layout(changed, demo):
    split = changed(
        '  - name: "B{block:02..02}-R{rack:01..12}"   # one endpoint a rack\n    battery: lfp280\n',
        '  - name: "B{block:02}-R{rack:01..05}"\n    battery: lfp280\n    type: generic-rack-bms\n'
        '    connect: "tcp://127.0.0.1:{block*100+rack+20000}?unit=1"\n'
        '  - name: "B{block:02}-R{rack:06..12}"\n    battery: lfp280\n',
    ).plant
    assert split is not None
    assert split.digest == demo.digest
    other = changed("seed: 1", "seed: 2").plant
    assert other is not None
    assert other.digest != demo.digest


def test_a_sealed_site_loads_the_same(tmp_path, demo):
    result = load_site(SITES / "demo")
    for name, data in result.sealed().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    sealed = load_site_or_raise(tmp_path)
    assert sealed.digest == demo.digest
    assert all(Path(file).is_relative_to(tmp_path) for file in sealed.files)


def test_serial_lines_are_links_too(changed):
    plant = changed(
        '"tcp://127.0.0.1:{block*100+rack+20000}?unit=1"',
        '"serial:///dev/ttyS{block}?baud=38400&parity=none&stop=2&unit={rack}"\n    poll: 10 s',
    ).plant
    assert plant is not None
    assert SerialAddress("/dev/ttyS2", 38400, "N", 2) in {link.address for link in plant.links}


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


def test_a_missing_site_is_one_message(tmp_path):
    result = load_site(tmp_path / "nowhere")
    assert result.plant is None
    assert [m.message for m in result.messages] == ["there is no such file"]


def test_load_site_or_raise_shows_every_message(tmp_path):
    write_demo_site(tmp_path)
    (tmp_path / "site.yaml").write_text("schema: site/v1\n")
    with pytest.raises(SiteError, match="'site' is missing") as caught:
        load_site_or_raise(tmp_path)
    assert len(caught.value.result.errors) > 3


def test_a_site_without_a_block_axis_has_one_block(changed):
    text = demo_site_files()["site.yaml"]
    for old, new in (
        ("{block:01..02}", ""), ("{block:01..01}", ""), ('"B{block:02..02}-R{rack:01..12}"', '"R{rack:13..24}"'),
        ('"B-R{rack:01..12}"', '"R{rack:01..12}"'), ("B{block}-R*", "R*"), ("PCS{block}", "PCS"), ("T{block}", "T"),
        ("{block+17000}", "17000"), ("{block+16000}", "16000"), ("{block*100+rack+20000}", "{rack+20000}"),
        ("{block+1}", "2"), ("power: 1.2 MW, apparent: 1.32 MVA", "power: 2.4 MW, apparent: 2.64 MVA"),
        ("apparent: 1.4 MVA", "apparent: 2.8 MVA"), ("current: 2 kA", "current: 4 kA"),
    ):  # fmt: skip
        assert old in text, old
        text = text.replace(old, new)
    text = text.replace('    racks: "R*"\n\nbuses', '    racks: "R{rack:01..12}"\n\nbuses')
    result = changed(demo_site_files()["site.yaml"], text)
    assert result.text() == ""
    assert result.plant is not None
    assert [(b.name, b.tag) for b in result.plant.blocks] == [("B1", "Plant.Block1")]
    assert result.plant.racks[0].tag == "Plant.Rack01"
    assert {rack.block for rack in result.plant.racks} == {0}


@pytest.mark.parametrize(
    ("racks", "per_block"), [(2, 1), (24, 12), (48, 24), (97, 1), (100, 20), (240, 24), (2400, 24)]
)
def test_demos_of_every_size_load_without_a_word(tmp_path, racks, per_block):
    assert racks_per_block(racks) == per_block
    result = load_site(write_demo_site(tmp_path, racks))
    assert result.text() == ""
    assert result.plant is not None
    assert len(result.plant.racks) == racks
    assert len({rack.tag for rack in result.plant.racks}) == racks
    assert {rack.bank >= 0 for rack in result.plant.racks} == {True, False}


def test_a_demo_of_no_size_is_refused():
    with pytest.raises(ValueError, match="2 to 10000 racks"):
        demo_site_files(1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.data())
def test_a_damaged_site_never_raises(tmp_path, data):
    text = demo_site_files()["site.yaml"]
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.text(alphabet="ab:{}[],-&*! \n\"'|>#%0123456789.", max_size=10))
    write_demo_site(tmp_path)
    (tmp_path / "site.yaml").write_text(text[:start] + put + text[start + length :], encoding="utf-8")
    result = load_site(tmp_path)
    assert (result.plant is None) == bool(result.errors)
    assert result.text() == "" or result.messages
