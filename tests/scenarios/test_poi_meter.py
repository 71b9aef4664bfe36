"""What the POI meter says is checked, and what the site takes beside the plant is made up for."""

from __future__ import annotations

import pytest

from controller.control.limits.poi import Limit
from controller.control.limits.reasons import LimitReason
from controller.image.quality import WORST_USABLE
from controller.plant.model import Plant
from tests.scenarios.conftest import MW, PlantRig, rig_of


@pytest.mark.parametrize(("load", "power_mw"), [("1 MW", 0.8), ("0.5 MW", -0.4)])
def test_a_load_of_the_site_is_made_up_for(running: PlantRig, load: str, power_mw: float) -> None:
    running.hold(power_mw * MW, 5.0)
    running.fault(f"load {load}".replace(" MW", "MW"))
    running.hold(power_mw * MW, 40.0)
    assert running.number("Plant.ActivePower") == pytest.approx(power_mw, abs=0.03)
    assert running.value("Plant.LimitReason") == LimitReason.NONE
    assert running.alarms() == set()


def test_a_load_beyond_what_the_site_allows_is_the_reason_and_then_an_alarm(demo_plant: Plant) -> None:
    rig = rig_of(demo_plant, poi_trim_ratio=0.3)
    rig.run(30.0)
    rig.fault("load 0.85MW")
    rig.hold(0.8 * MW, 20.0)
    assert rig.number("Plant.ActivePower") < 0.75
    assert rig.value("Plant.LimitReason") == LimitReason.POI_TRIM
    rig.hold(0.8 * MW, 40.0)
    assert any(alarm.endswith(" poi_missed") for alarm in rig.alarms())
    rig.fault("load 0MW")
    rig.hold(0.8 * MW, 40.0)
    assert rig.alarms() == set()
    assert rig.number("Plant.ActivePower") == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    "fault", ["swap_words GRID", "scale GRID ActivePower 10", "sentinel GRID ActivePower", "silent GRID"]
)
def test_a_power_at_the_poi_that_is_not_known_freezes_the_loop_and_is_told(running: PlantRig, fault: str) -> None:
    running.hold(0.68 * MW, 10.0)
    before = running.number("Plant.PcsPower")
    running.fault(fault)
    running.hold(0.68 * MW, 10.0)
    assert running.quality("Plant.ActivePower") > WORST_USABLE
    assert running.number("Plant.PcsPower") == pytest.approx(before, abs=0.01)
    assert "Demo plant poi_unknown" in running.alarms()
    assert running.value("Plant.LimitReason") == LimitReason.POI_UNKNOWN
    running.hold(-0.5 * MW, 10.0)
    assert running.number("Plant.PcsPower") == pytest.approx(-0.5 + before - 0.68, abs=0.02), "followed without it"
    running.fault("clear GRID")
    running.hold(0.68 * MW, 15.0)
    assert running.alarms() == set()
    assert running.value("Plant.LimitReason") == LimitReason.NONE
    assert running.number("Plant.ActivePower") == pytest.approx(0.68, abs=0.02)


def test_words_in_the_wrong_order_never_look_like_a_voltage(running: PlantRig) -> None:
    """By chance half of such readings are nearly zero, and believable by themselves."""
    running.hold(0.68 * MW, 10.0)
    running.fault("swap_words GRID")
    running.hold(0.68 * MW, 4.0)
    for _ in range(40):
        running.hold(0.68 * MW, 0.5)
        assert running.quality("Plant.Voltage") > WORST_USABLE


def test_what_the_trim_made_up_for_may_be_gone_while_the_meter_says_nothing(demo_plant: Plant) -> None:
    """A load made the converters give more than the POI may export; it goes while the meter is lost."""
    rig = rig_of(demo_plant)
    rig.run(30.0)
    rig.local.state.control.export_limits.set("test", Limit(0.5 * MW))
    rig.fault("load 0.8MW")
    rig.hold(0.45 * MW, 30.0)
    assert rig.number("Plant.PcsPower") == pytest.approx(1.27, abs=0.05)
    rig.fault("silent GRID")
    rig.hold(0.45 * MW, 10.0)
    assert rig.number("Plant.PcsPower") == pytest.approx(0.52, abs=0.05), "no more than the limit and the losses"


def test_a_reactive_power_that_is_not_known_is_told_too(running: PlantRig) -> None:
    running.fault("sentinel GRID ReactivePower")
    running.hold(0.68 * MW, 10.0)
    assert "Demo plant poi_unknown" in running.alarms()
    assert running.number("Plant.ActivePower") == pytest.approx(0.68, abs=0.02)


def test_a_meter_that_does_not_fit_the_converters_freezes_the_loop_and_is_told(running: PlantRig) -> None:
    running.hold(0.4 * MW, 10.0)
    before = running.number("Plant.PcsPower")
    running.fault("scale GRID ActivePower 6")
    running.hold(0.4 * MW, 10.0)
    assert any(alarm.endswith(" poi_apart") for alarm in running.alarms())
    assert running.number("Plant.PcsPower") == pytest.approx(before, abs=0.1)
