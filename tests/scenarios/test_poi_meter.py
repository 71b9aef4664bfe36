"""What the POI meter says is checked, and what the site takes beside the plant is made up for."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("fault", ["swap_words GRID", "scale GRID ActivePower 10"])
def test_an_impossible_power_at_the_poi_is_bad_and_freezes_the_loop(running: PlantRig, fault: str) -> None:
    running.hold(0.68 * MW, 10.0)
    before = running.number("Plant.PcsPower")
    running.fault(fault)
    running.hold(0.68 * MW, 10.0)
    assert running.quality("Plant.ActivePower") > WORST_USABLE
    assert running.number("Plant.PcsPower") == pytest.approx(before, abs=0.01)


def test_a_meter_that_does_not_fit_the_converters_freezes_the_loop_and_is_told(running: PlantRig) -> None:
    running.hold(0.4 * MW, 10.0)
    before = running.number("Plant.PcsPower")
    running.fault("scale GRID ActivePower 6")
    running.hold(0.4 * MW, 10.0)
    assert any(alarm.endswith(" poi_apart") for alarm in running.alarms())
    assert running.number("Plant.PcsPower") == pytest.approx(before, abs=0.1)
