"""What a device says that can't be so is told, once, names what it is about, and goes with its cause."""

from __future__ import annotations

import math

import pytest

from tests.scenarios.conftest import MW, PlantRig


@pytest.mark.parametrize(
    ("fault", "alarm"),
    [
        ("scale PCS01 ActivePower 0.1", "PCS01 pcs_reading_wrong"),
        ("scale GRID Frequency 10", "GRID device_values_invalid"),
        ("scale PCS01 DcVoltage 10", "PCS01 device_values_invalid"),
        ("scale PCS01 DcVoltage 0.1", "PCS01 pcs_voltage_wrong"),
        ("sentinel B02-R03 SoC", "B02-R03 device_values_invalid"),
        ("offset B02-R03 Voltage 30V", "B02-R03 rack_voltage_wrong"),
        ("offset B01-R03 Voltage -30V", "B01-R03 rack_voltage_wrong"),
        ("shift B02-R03 1", "B02-R03 protection_data_lost"),
        ("frequency 57Hz", "Demo plant grid_frequency_outside"),
        ("voltage 0.7pu", "Demo plant grid_voltage_outside"),
    ],
)
def test_a_reading_that_cannot_be_is_told_and_does_not_come_and_go(running: PlantRig, fault: str, alarm: str) -> None:
    running.hold(1.2 * MW, 10.0)
    assert running.alarms() == set()
    running.fault(fault)
    running.hold(1.2 * MW, 18.0)
    for power_mw in (0.4, 1.2):
        for _ in range(20):
            assert alarm in running.alarms()
            running.hold(power_mw * MW, 0.5)
    running.fault("clear")
    running.hold(1.2 * MW, 30.0)
    assert alarm not in running.alarms()


@pytest.mark.parametrize(("fault", "told"), [("shift B02-R03 1", 2), ("shift BANK01 1", 14)])
def test_registers_that_have_slipped_trip_no_rack(running: PlantRig, fault: str, told: int) -> None:
    """Voltage read as a current of 800 A tripped each of them, and a bank raised 69 alarms."""
    running.hold(0.6 * MW, 10.0)
    running.fault(fault)
    seen: set[str] = set()
    for _ in range(80):
        running.hold(0.6 * MW, 0.5)
        seen |= running.alarms()
    assert len(seen) <= told
    assert all(running.value(f"Plant.Block{b:02}.Rack{r:02}.Tripped") is not True for b in (1, 2) for r in range(1, 13))
    running.fault("clear")
    running.hold(0.6 * MW, 40.0)
    assert running.alarms() == set()
    assert running.number("Plant.ActivePower") == pytest.approx(0.6, abs=0.02)


def test_a_converter_that_allows_nothing_itself_is_told(running: PlantRig) -> None:
    running.hold(1.0 * MW, 10.0)
    running.fault("limit PCS01 0kW")
    running.hold(1.0 * MW, 29.0)
    assert running.alarms() == set()
    running.hold(1.0 * MW, 5.0)
    assert running.alarms() == {"PCS01 pcs_left_out"}
    assert running.number("Plant.ActivePower") == pytest.approx(1.0, abs=0.02), "the other one gives it"
    running.fault("clear")
    running.hold(1.0 * MW, 10.0)
    assert running.alarms() == set()


def test_a_wrong_reading_of_a_converter_moves_no_power(running: PlantRig) -> None:
    """It was taken for one that limits itself: the other one took over what it gave all the same."""
    running.hold(1.2 * MW, 10.0)
    first, second = running.local.fake.devices.virtual.converters
    running.fault("scale PCS01 ActivePower 0.1")
    for _ in range(60):
        running.hold(1.2 * MW, 0.5)
        assert math.isclose(first.active_power_w, second.active_power_w, rel_tol=0.1)
        assert running.number("Plant.ActivePower") == pytest.approx(1.2, abs=0.03)
    assert running.alarms() == {"PCS01 pcs_reading_wrong"}


def test_the_grids_figure_stands_with_the_alarm(running: PlantRig) -> None:
    running.fault("frequency 57Hz")
    running.run(3.0)
    assert running.alarm_value("Demo plant grid_frequency_outside") == pytest.approx(57.0, abs=0.1)
