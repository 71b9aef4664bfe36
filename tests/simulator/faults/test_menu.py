"""Every command of the menu once, in fake time: it does what it says, and it can be undone."""

from __future__ import annotations

import numpy as np
import pytest

from controller.plant.signals import BmsAlarm, ContactorState, Owner, PcsState
from controller.simulator.faults.commands import MENU, FaultError
from controller.simulator.faults.menu import FaultMenu, read_fault_file
from controller.simulator.faults.targets import Targets, signal_of
from controller.simulator.requests import REQUESTS, hear_all
from controller.simulator.simulated_field import SimulatedField


class Field:
    """Simulated devices that are connected and running, and their fault menu."""

    def __init__(self, plant):
        self.devices = SimulatedField(plant)
        self.virtual, self.read = self.devices.virtual, self.devices.readings
        self.menu = FaultMenu(self.devices)
        for rack in plant.racks:
            REQUESTS["rack.connect_request"](self.virtual, rack.index, 1)
        self.run(5)
        for pcs in plant.pcs:
            REQUESTS["pcs.operation"](self.virtual, pcs.index, 1)
            REQUESTS["pcs.active_power_setpoint"](self.virtual, pcs.index, 1e6)
        self.run(6)

    def run(self, seconds, dt_s=1.0, *, heartbeat=False):
        for count in range(round(seconds / dt_s)):
            self.virtual.step(dt_s)
            self.menu.advance()
            if heartbeat:
                hear_all(self.virtual, count)

    def do(self, line):
        assert self.menu.execute(line) == "ok", line


@pytest.fixture
def field(demo):
    return Field(demo)


def test_every_kind_of_the_menu_is_tried_here_or_with_sockets():
    tried = set(EFFECTS) | {"soc", "reboot", "identity", "watchdog", "freeze", "shift", "swap_words"}
    of_links = {kind.name for kind in MENU.values() if kind.group == "link"}
    assert tried | of_links == set(MENU)


def closed(field, rack):
    return field.read("rack.contactor")[rack] == ContactorState.CLOSED


EFFECTS = {
    "sentinel": ("sentinel B01-R03 Current", lambda f: np.isnan(f.read("rack.current")[2])),
    "offset": ("offset B01-R03 Voltage 50V", lambda f: f.read("rack.voltage")[2] - f.read("rack.voltage")[3] > 40),
    "sign": ("sign B01-R03 Current", lambda f: f.read("rack.current")[2] < -50),
    "scale": ("scale B01-R03 SoC 10", lambda f: f.read("rack.soc")[2] > 3),
    "cell": ("cell B01-R03 17 3.72V", lambda f: f.read("cell.voltage")[2, 17] == pytest.approx(3.72, abs=0.005)),
    "leak": ("leak B01-R03 17 1ohm", lambda f: f.virtual.cells.faults.leak_ohm == {(2, 17): 1.0}),
    "joint": ("joint B01-R03 17 5mohm", lambda f: f.virtual.cells.voltage_v[2].argmin() == 17),
    "contactor": ("contactor B01-R03 stuck_open", lambda f: abs(f.virtual.rack_current_a[2]) == 0.0),
    "precharge": ("precharge B01-R03 fail", lambda f: f.virtual.bms.faults.precharge_fails[2]),
    "current": ("current B01-R03 5A", lambda f: f.read("rack.current")[2] == 5.0),
    "refuse": ("refuse PCS01", lambda f: f.virtual.converters[0].faults.refuses),
    "ignore": ("ignore PCS01", lambda f: f.virtual.converters[0].faults.ignores),
    "limit": ("limit PCS01 500kW", lambda f: f.read("pcs.active_power")[0] == 5e5),
    "frequency": ("frequency 59.5Hz", lambda f: f.read("meter.frequency")[0] == 59.5),
    "voltage": ("voltage 1.02pu", lambda f: f.read("pcs.ac_voltage")[0] == pytest.approx(408.0)),
    "load": ("load 3MW", lambda f: f.read("meter.active_power")[0] < -9e5),
    "pv": ("pv 1MW", lambda f: f.read("meter.active_power")[0] > 2.5e6),
    "interlock": ("interlock ESTOP open", lambda f: f.read("interlock.healthy").tolist() == [0.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_a_fault_does_what_it_says_and_goes_when_its_time_is_over(field, name):
    command, shows = EFFECTS[name]
    field.run(2)
    assert not shows(field)
    field.do(f"{command} for 4s")
    assert field.menu.texts() == [f"{command} for 4s"]
    field.run(2)
    assert shows(field)
    field.run(4)
    assert field.menu.texts() == []
    if name != "contactor":  # a contactor that failed stays in fault until it is reset
        assert not shows(field)


def test_stuck_closed_and_other_variants(field):
    field.do("contactor B01-R03 stuck_closed")
    field.do("cell Plant.Block01.Rack04 17 62degC")
    REQUESTS["rack.connect_request"](field.virtual, 2, 2)
    field.run(5)
    assert not closed(field, 2)
    assert field.virtual.rack_current_a[2] > 10.0
    assert field.read("rack.tripped")[3]
    assert field.read("cell.temperature")[3].max() == 62.0
    field.do("clear")
    field.run(2)
    assert field.virtual.rack_current_a[2] == 0.0


def test_a_leak_drains_its_cell(field):
    REQUESTS["rack.connect_request"](field.virtual, 2, 2)
    field.do("leak B01-R03 17 1ohm")
    field.run(5)
    before = field.virtual.cells.soc[2, 16:18].copy()
    field.run(600, 10.0)
    field.virtual.cells.refresh()
    lost = before - field.virtual.cells.soc[2, 16:18]
    assert lost[1] - lost[0] == pytest.approx(600 * 3.28 / 1.0 / 3600 / 280, rel=0.1)


def test_soc_is_set_and_stays(field):
    field.do("soc B01-R03 20%")
    assert field.read("rack.soc")[2] == pytest.approx(0.2, abs=0.02)
    field.do("clear")
    assert field.read("rack.soc")[2] == pytest.approx(0.2, abs=0.02)
    assert field.menu.execute("soc B01-R03 120%").startswith("error:")


def test_watchdog_off_ships_disabled_and_stays_so(field):
    hear_all(field.virtual, 1)
    field.do("watchdog PCS01 off")
    REQUESTS["pcs.watchdog_timeout_setting"](field.virtual, 0, 4.0)
    assert field.read("pcs.watchdog_timeout").tolist() == [0.0, 5.0]
    field.run(10)
    assert field.read("pcs.active_power").tolist() == [1e6, 0.0]
    field.do("clear PCS01")
    field.run(1)
    assert field.read("pcs.watchdog_timeout")[0] == 5.0


def test_reboot_is_silent_for_a_while_and_starts_from_nothing(field):
    rack = next(d for d in field.devices.devices if d.name == "B02-R01")
    field.do("reboot B02-R01")
    field.do("reboot PCS02")
    field.do("reboot BANK01")
    field.do("reboot B01-R02")
    assert not rack.answers
    assert np.isnan(field.read("rack.voltage")[1])
    field.run(6)
    assert rack.answers
    assert field.menu.texts() == []
    assert not closed(field, 12)
    assert not closed(field, 1)
    assert closed(field, 0)  # the bank's own reboot leaves the racks alone
    assert field.read("pcs.state").tolist() == [PcsState.RUNNING, PcsState.OFF]
    assert field.read("rack.voltage")[1] > 700.0


def test_identity_changes_and_comes_back(field):
    rack = next(d for d in field.devices.devices if d.name == "B02-R01")
    before = rack.image.memory.words[rack.row].copy()
    field.do("identity B02-R01 SPARE-9 for 2s")
    assert (rack.image.memory.words[rack.row] != before).any()
    field.run(3)
    assert (rack.image.memory.words[rack.row][:4] == before[:4]).all()


@pytest.mark.parametrize("command", ["freeze B01-R03", "shift B01-R03 1", "swap_words B02-R01"])
def test_register_faults_come_and_go(field, command):
    field.do(f"{command} for 2s")
    images = [image for image in field.devices.images if image.regions]
    assert len(images) == 1
    field.run(3)
    assert not any(image.regions for image in field.devices.images)


def test_all_faults_of_the_links_come_and_go(field):
    for kind in (k for k in MENU.values() if k.group == "link"):
        for target in ("B02-R03", "B01-R03", "IO01", "ESTOP"):
            usage = kind.usage.replace(" T", f" {target}")
            field.do(f"{usage} for 3s")
    field.run(5, 0.5)
    assert field.menu.texts() == []
    for device in field.devices.devices:
        assert device.disturbed == []
        assert not any(device.cut_off.values())
    assert not field.read.faults.changes


def test_a_flap_that_ends_while_it_is_away_leaves_nothing(field):
    field.do("flap B01-R03 1s for 1.5s")
    field.run(1.2, 0.1)
    assert not np.isnan(field.read("rack.voltage")[2])  # away just now
    field.run(2, 0.1)
    assert field.menu.texts() == []
    assert not field.read.faults.changes


def test_the_same_fault_again_replaces_the_first(field):
    field.do("cell B01-R03 17 3.5V for 100s")
    field.do("cell B01-R03 17 3.4V")
    field.do("cell B01-R03 17 40degC")
    field.do("limit PCS01 500kW")
    field.do("limit PCS01 400kW")
    assert field.menu.texts() == ["cell B01-R03 17 3.4V", "cell B01-R03 17 40degC", "limit PCS01 400kW"]
    field.do("clear PCS01")
    assert field.virtual.converters[0].faults.limit_w == np.inf
    field.do("clear cell")
    assert field.menu.execute("list") == "ok"
    assert not field.virtual.cells.faults.pinned_v


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("silent B03-R03", "there is no 'B03-R03' in this plant; did you mean"),
        ("cell PCS01 1 3.7V", "'PCS01' is no rack"),
        ("cell B01-R03 240 3.7V", "has no cell 240; expected 0 to 239"),
        ("refuse B01-R03", "is no pcs"),
        ("sentinel B01-R03 Colour", "has no point 'Colour'"),
        ("sentinel IO01 Current", "'IO01' has no points"),
        ("interlock GRID open", "is no interlock"),
        ("clear B01-R03", "no fault stands on 'B01-R03'"),
    ],
)
def test_an_error_says_what_is_wrong_and_changes_nothing(field, line, says):
    answer = field.menu.execute(line)
    assert answer.startswith("error: ")
    assert says in answer
    assert field.menu.texts() == []


def test_points_are_known_by_their_tags_last_part(demo):
    targets = Targets(SimulatedField(demo))
    rack = targets.find("B01-R03")
    assert (rack.position, rack.owner, rack.equipment) == (2, Owner.RACK, 2)
    names = {
        "SoCBms": "rack.soc",
        "CellVoltageMin": "rack.cell_voltage_min",
        "CellVoltages": "cell.voltage",
        "ContactorClosed": "rack.contactor",
        "rack.current": "rack.current",
    }
    for point, signal in names.items():
        assert signal_of(rack, point) == signal
    assert signal_of(targets.find("PCS01"), "DcVoltage") == "pcs.dc_voltage"
    assert signal_of(targets.find("GRID"), "ActivePower") == "meter.active_power"
    assert targets.find("Plant.Block02.Rack01").position is None


def test_a_fault_on_cells_acts_on_all_of_a_rack(field):
    field.do("offset B01-R03 CellVoltages 100mV")
    assert field.read("cell.voltage")[2].mean() - field.read("cell.voltage")[3].mean() == pytest.approx(0.1, abs=0.01)


def test_a_fault_file_is_played_at_its_times(field, tmp_path):
    now = field.virtual.time_s
    file = tmp_path / "faults.txt"
    file.write_text(f"# a comment\n\n{now + 2} silent B01-R03\n{now + 4:.1f} clear\n")
    field.menu.plan(read_fault_file(file))
    field.run(1)
    assert field.menu.texts() == []
    field.run(1)
    assert field.menu.texts() == ["silent B01-R03"]
    assert field.read("rack.alarms")[2] == 1 << BmsAlarm.COMMUNICATION_ERROR
    field.run(2)
    assert field.menu.texts() == []


@pytest.mark.parametrize("text", ["silent B01-R03", "1 slient B01-R03"])
def test_a_wrong_fault_file_is_refused_with_its_line(tmp_path, text):
    file = tmp_path / "faults.txt"
    file.write_text(f"\n{text}\n")
    with pytest.raises(FaultError, match=r"faults\.txt:2: "):
        read_fault_file(file)


def test_a_fault_file_about_nobody_is_refused(field):
    with pytest.raises(FaultError, match="there is no"):
        field.menu.plan([(1.0, "silent B09-R09")])
