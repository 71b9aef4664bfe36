"""A meter or a converter that stands still while its power moves is lost; a quiet plant may stand still."""

from __future__ import annotations

import pytest

from controller.image.quality import Quality
from tests.scenarios.conftest import MW, PlantRig


def test_a_frozen_poi_meter_is_not_followed(running: PlantRig) -> None:
    running.hold(0.2 * MW, 10.0)
    running.fault("freeze GRID")
    running.hold(0.2 * MW, 6.0)
    assert running.quality("Plant.ActivePower") is Quality.GOOD, "nothing shows that it stands"
    running.hold(1.0 * MW, 8.0)
    assert running.quality("Plant.ActivePower") is Quality.NO_COMMUNICATION
    assert running.quality("Plant.Voltage") is Quality.NO_COMMUNICATION
    running.hold(1.0 * MW, 4.0)
    assert "Demo plant poi_unknown" in running.alarms()
    before = running.number("Plant.PcsPower")
    assert before == pytest.approx(1.06, abs=0.06)
    running.hold(1.0 * MW, 20.0)
    assert running.number("Plant.PcsPower") == pytest.approx(before, abs=0.01), "the loop holds"
    running.hold(0.2 * MW, 20.0)
    assert "Demo plant poi_unknown" in running.alarms(), "the same power again is no sign of life"
    running.fault("clear GRID")
    running.hold(1.0 * MW, 20.0)
    assert running.alarms() == set()
    assert running.number("Plant.ActivePower") == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("faults", [("silent PCS01", "freeze GRID"), ("freeze GRID", "silent PCS01")])
def test_a_frozen_poi_meter_is_found_beside_a_silent_converter(running: PlantRig, faults: tuple[str, str]) -> None:
    """It showed 1.000 MW, good, while 0.016 MW flowed the other way: what a silent one gives, its racks show."""
    running.hold(1.0 * MW, 10.0)
    for fault in faults:
        running.fault(fault)
        running.hold(1.0 * MW, 2.0)
    running.hold(1.0 * MW, 10.0)
    assert running.local.fake.devices.virtual.poi_w < 1.05 * MW
    assert running.quality("Plant.ActivePower") is Quality.NO_COMMUNICATION
    running.hold(0.0, 10.0)
    assert "Demo plant poi_unknown" in running.alarms()
    running.fault("clear")
    running.hold(0.5 * MW, 30.0)
    assert running.number("Plant.ActivePower") == pytest.approx(0.5, abs=0.02)
    assert running.alarms() == set()


def test_a_converter_that_comes_and_goes_freezes_no_meter(running: PlantRig) -> None:
    running.fault("frequency 60Hz")
    running.fault("flap PCS01 3s")
    for power_mw in (0.0, 0.8, 0.8, -0.8, 0.0):
        for _ in range(60):
            running.hold(power_mw * MW, 0.25)
            assert running.quality("Plant.ActivePower") is Quality.GOOD


def test_a_frozen_converter_is_lost_once_its_racks_show_another_power(running: PlantRig) -> None:
    running.hold(0.2 * MW, 10.0)
    running.fault("freeze PCS01")
    running.hold(0.2 * MW, 6.0)
    running.hold(0.0, 12.0)
    assert running.quality("Plant.Block01.PCS01.ActivePower") is Quality.NO_COMMUNICATION
    assert running.quality("Plant.Block02.PCS02.ActivePower") is Quality.GOOD
    assert any(alarm.startswith("PCS01 ") for alarm in running.alarms())


@pytest.mark.parametrize(("before_mw", "after_mw"), [(1.0, 0.3), (-1.0, 0.5)])
def test_a_frozen_converter_moves_no_power_at_a_new_set_point(
    running: PlantRig, before_mw: float, after_mw: float
) -> None:
    """The other one made room for what it showed: -0.016 MW flowed for seconds where 0.3 MW was asked."""
    running.hold(before_mw * MW, 10.0)
    running.fault("freeze PCS02")
    running.hold(after_mw * MW, 2.0)
    for _ in range(120):
        running.hold(after_mw * MW, 0.25)
        assert running.local.fake.devices.virtual.poi_w == pytest.approx(after_mw * MW, abs=0.03 * MW)
    assert running.quality("Plant.Block02.PCS02.ActivePower") is Quality.NO_COMMUNICATION
    assert "PCS02 pcs_breaker_requested" not in running.alarms(), "nothing flows through it"


def test_a_plant_that_stands_still_is_not_frozen(running: PlantRig) -> None:
    running.fault("frequency 60Hz")
    running.run(120.0)
    for tag in ("ActivePower", "Block01.PCS01.ActivePower", "Block02.PCS02.ActivePower"):
        assert running.quality(f"Plant.{tag}") is Quality.GOOD
    for power_mw in (0.5, -1.5, 2.0, 0.0):
        running.hold(power_mw * MW, 12.0)
        assert running.alarms() == set()
