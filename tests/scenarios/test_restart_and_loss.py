"""What a lost module, a silent converter and a controller that dies do to a running plant, told in fake time."""

from __future__ import annotations

import pytest

from controller.control.commands import Action
from controller.control.sequences.pcs import PcsSequenceState
from controller.image.quality import Quality
from controller.plant.model import Plant
from controller.plant.signals import ConnectRequest, PcsState
from tests.scenarios.conftest import MW, STEP_S, PlantRig, rig_of


@pytest.mark.parametrize("automatic", [True, False])
def test_a_restarted_controller_adopts_the_running_plant_at_zero(demo_plant: Plant, automatic: bool) -> None:
    rig = rig_of(demo_plant, automatic=automatic)
    rig.run(5.0)
    if not automatic:
        assert rig.do(Action.START).accepted
    rig.run(25.0)
    rig.hold(0.6 * MW, 10.0)
    before = rig.alarms()
    rig.local.restart(silence_s=1.0)
    rig.local.advance(0.05)  # the first scan, before anything has been read
    assert rig.value("Plant.State") == 0
    states = set()
    for _ in range(40):
        rig.run(STEP_S)
        states.add(rig.value("Plant.State"))
        assert not rig.value("Plant.Tripped")
    assert states <= {0, 2, 3}, "neither off nor tripped"
    assert rig.value("Plant.State") == 3
    assert rig.value("Plant.RacksConnected") == 24
    assert rig.number("Plant.PcsPower") == pytest.approx(0.0, abs=0.02)
    assert rig.alarms() == before
    rig.hold(0.6 * MW, 6.0)
    assert rig.number("Plant.ActivePower") == pytest.approx(0.6, abs=0.03)


def test_a_stop_that_was_under_way_is_carried_on_by_a_restarted_controller(running: PlantRig) -> None:
    """Killed while the plant ramped down, control adopted it as running, and took set-points."""
    running.hold(2.0 * MW, 10.0)
    assert running.do(Action.STOP).accepted
    running.run(0.5)
    assert running.number("Plant.PcsPower") > 0.2
    running.local.restart(silence_s=1.0)
    running.hold(1.0 * MW, 20.0)
    assert running.value("Plant.State") == 1
    assert running.number("Plant.PcsPower") == pytest.approx(0.0, abs=0.02)
    assert running.do(Action.START).accepted
    running.hold(1.0 * MW, 20.0)
    assert running.number("Plant.ActivePower") == pytest.approx(1.0, abs=0.05)


def test_a_lost_io_module_takes_power_down_and_brings_it_back(running: PlantRig) -> None:
    running.hold(0.6 * MW, 6.0)
    running.fault("silent IO01")
    running.hold(0.6 * MW, 1.5)
    assert "ESTOP interlock_unknown" in running.alarms()
    assert running.number("Plant.ActivePower") == pytest.approx(0.6, abs=0.03), "its grace is running"
    running.hold(0.6 * MW, 8.0)
    assert running.number("Plant.PcsPower") == pytest.approx(0.0, abs=0.02)
    assert not running.value("Plant.Tripped")
    assert running.value("Plant.State") == 3
    assert "ESTOP tripped" not in running.alarms()
    running.fault("clear IO01")
    running.hold(0.6 * MW, 8.0)
    assert running.number("Plant.ActivePower") == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize(
    ("fault", "alarm"),
    [
        ("silent PCS01", "PCS01 device_lost"),
        ("exception PCS01 4", "PCS01 data_age"),
        ("sentinel PCS01 State", "PCS01 device_values_invalid"),
    ],
)
def test_a_converter_that_was_lost_is_told_and_comes_back_with_its_data(
    running: PlantRig, fault: str, alarm: str
) -> None:
    running.hold(0.6 * MW, 6.0)
    running.fault(fault)
    running.hold(0.6 * MW, 16.0)
    assert alarm in running.alarms()
    assert "PCS01 pcs_tripped_itself" not in running.alarms()
    running.fault("clear PCS01")
    running.hold(0.6 * MW, 20.0)
    assert running.number("Plant.Block01.PCS01.ActivePower") == pytest.approx(315.0, abs=60.0)
    assert running.value("Plant.Block01.PCS01.State") == 3
    assert alarm not in running.alarms()


def test_a_converter_that_still_stops_when_the_plant_starts_is_started_too(running: PlantRig) -> None:
    """Found stopping after a restart: it was never asked again, and the plant ran on the other one."""
    converters = running.local.fake.devices.virtual.converters
    running.local.state.control.pcs.sequence[1] = PcsSequenceState.STOPPING
    running.local.state.control.pcs.wanted[1] = False
    running.do(Action.START)
    running.run(40.0)
    assert [c.state for c in converters] == [PcsState.RUNNING, PcsState.RUNNING]


def test_racks_that_are_read_only_after_the_start_are_connected_all_the_same(demo_plant: Plant) -> None:
    """A start by itself came before every rack had been read, and left those out for good."""
    rig = rig_of(demo_plant)
    for rack in range(4, 9):
        rig.fault(f"silent B02-R{rack:02d}")
    rig.run(20.0)
    for rack in range(4, 9):
        rig.fault(f"clear B02-R{rack:02d}")
    rig.run(70.0)
    assert rig.value("Plant.State") == 3
    assert rig.value("Plant.RacksConnected") == 24
    assert not any("left_out" in alarm for alarm in rig.alarms())


def test_a_rack_that_stands_open_unasked_is_told(running: PlantRig) -> None:
    running.local.fake.devices.virtual.bms.request([16], ConnectRequest.DISCONNECT)
    running.run(5.0)
    assert "B02-R05 rack_opened_by_itself" in running.alarms()
    running.run(40.0)
    assert running.alarms() == {"B02-R05 rack_opened_by_itself"}, "that it stands open is no second alarm"
    running.do(Action.CONNECT, "Plant.Block02.Rack05")
    running.run(20.0)
    assert running.value("Plant.RacksConnected") == 24
    assert not any(alarm.startswith("B02-R05") for alarm in running.alarms())


@pytest.mark.parametrize("whole", [True, False])
def test_a_rack_whose_bms_reports_a_fault_comes_back_by_reset_and_start(running: PlantRig, whole: bool) -> None:
    """Its BMS stays in fault until it is reset: no command of ours asked for that, and the rack stayed out for good."""
    rack = "Plant.Block01.Rack03"
    running.fault("contactor B01-R03 stuck_open")
    running.run(5.0)
    running.fault("clear")
    running.do(Action.START)
    running.run(20.0)
    assert "B01-R03 rack_does_not_connect" in running.alarms(), "a start alone is no reset"
    assert running.do(*((Action.RESET_TRIPS,) if whole else (Action.RESET_TRIP, rack))).accepted
    assert running.do(*((Action.START,) if whole else (Action.CONNECT, rack))).accepted
    running.run(10.0)
    assert running.value("Plant.RacksConnected") == 24
    assert running.alarms() == set()


def test_a_rack_that_was_disconnected_on_purpose_is_not_told(running: PlantRig) -> None:
    running.do(Action.DISCONNECT, "Plant.Block02.Rack05")
    running.run(60.0)
    assert running.value("Plant.RacksConnected") == 23
    assert not any(alarm.startswith("B02-R05") for alarm in running.alarms())


@pytest.mark.parametrize(("device", "block", "rack"), [("B02-R05", 2, 5), ("B01-R03", 1, 3)])
def test_a_rack_whose_values_stand_still_is_as_good_as_lost(
    running: PlantRig, device: str, block: int, rack: int
) -> None:
    """Its heartbeat goes on: only the noise is missing (F38)."""
    running.hold(0.8 * MW, 6.0)
    running.fault(f"freeze {device}")
    running.hold(0.8 * MW, 20.0)
    assert running.quality(f"Plant.Block0{block}.Rack0{rack}.Current") is Quality.NO_COMMUNICATION
    assert f"{device} protection_data_lost" in running.alarms()
    running.hold(0.8 * MW, 10.0)
    assert running.number(f"Plant.Block0{block}.PCS0{block}.ActivePower") == pytest.approx(0.0, abs=20.0)
    running.fault(f"clear {device}")
    running.hold(0.8 * MW, 20.0)
    assert running.alarms() == set()
    assert running.number("Plant.ActivePower") == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("device", "block"), [("B02-R03", 2), ("B01-R03", 1)])
def test_a_rack_that_froze_at_rest_stays_lost_until_it_moves(running: PlantRig, device: str, block: int) -> None:
    """Its loss took the power away, without power it passed for one at rest, and so it came back, for ever."""
    running.fault(f"freeze {device}")
    running.run(10.0)
    seen: set[str] = set()
    running.hold(1.5 * MW, 22.0)
    assert f"{device} protection_data_lost" in running.alarms()
    for _ in range(60):
        running.hold(1.5 * MW, 1.0)
        seen |= running.alarms()
        assert running.number(f"Plant.Block0{block}.PCS0{block}.ActivePower") == pytest.approx(0.0, abs=20.0)
        assert f"{device} protection_data_lost" in running.alarms()
    assert not any("current_sign_wrong" in alarm for alarm in seen)
    running.fault(f"clear {device}")
    running.hold(1.5 * MW, 20.0)
    assert running.alarms() == set()
    assert running.number("Plant.ActivePower") == pytest.approx(1.5, abs=0.05)


def test_a_healthy_start_raises_no_alarm(demo_plant: Plant) -> None:
    rig = rig_of(demo_plant)
    rig.run(60.0)
    assert rig.value("Plant.State") == 3
    assert rig.alarms(unacknowledged=True) == set()


def test_a_rack_whose_contactors_drop_out_under_load_is_told(running: PlantRig) -> None:
    running.hold(0.6 * MW, 6.0)
    running.fault("contactor B02-R03 stuck_open")
    running.hold(0.6 * MW, 5.0)
    assert running.value("Plant.RacksConnected") == 23
    assert "B02-R03 rack_opened_by_itself" in running.alarms()
    assert running.number("Plant.ActivePower") == pytest.approx(0.6, abs=0.03), "the others carry on"


def test_a_rack_that_its_bms_opened_joins_again_once_the_bus_carries_less(running: PlantRig) -> None:
    """Its bus sags under load: it was given up after two minutes, and nothing said why."""
    running.hold(1.2 * MW, 10.0)
    running.fault("silent B02-R03")
    running.hold(1.2 * MW, 45.0)
    running.fault("clear B02-R03")
    running.hold(1.2 * MW, 10.0)
    assert running.do(Action.CONNECT, "Plant.Block02.Rack03").accepted
    running.hold(1.2 * MW, 150.0)
    assert running.value("Plant.RacksConnected") == 23
    assert "B02-R03 rack_voltage_apart" in running.alarms()
    running.hold(0.4 * MW, 20.0)
    assert running.value("Plant.RacksConnected") == 24
    assert running.alarms() == set()


def test_a_chain_that_nobody_reads_is_told_for_as_long_as_it_is_so(running: PlantRig) -> None:
    """It was hidden once its I/O module was known to be silent, and told anew for a moment when that came back."""
    running.hold(0.6 * MW, 6.0)
    running.fault("no_read IO01")
    running.hold(0.6 * MW, 2.0)
    for _ in range(20):
        running.hold(0.6 * MW, 1.0)
        assert "ESTOP interlock_unknown" in running.alarms()
    running.do(Action.ACKNOWLEDGE_ALARMS)
    running.fault("clear IO01")
    for _ in range(80):
        running.hold(0.6 * MW, 0.25)
        assert running.alarms(unacknowledged=True) == set()
    assert running.alarms() == set()
