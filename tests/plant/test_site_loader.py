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
