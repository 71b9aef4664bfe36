"""What a converter says that can't be is never followed, and never makes it come and go."""

from __future__ import annotations

import pytest

from controller.control.commands import Action
from controller.image.quality import WORST_USABLE, Quality
from tests.scenarios.conftest import MW, PlantRig


@pytest.mark.parametrize("fault", ["swap_words PCS01", "scale PCS01 ActivePower 10", "sentinel PCS01 ActivePower"])
def test_a_power_that_can_not_be_stops_its_converter_and_the_other_carries_on(running: PlantRig, fault: str) -> None:
    """At rest zero is read right in any scale and word order: it must not come back by itself, again and again."""
    running.hold(1.0 * MW, 10.0)
    first, second = running.local.fake.devices.virtual.converters
    running.fault(fault)
    running.hold(1.0 * MW, 4.0)
    assert running.quality("Plant.Block01.PCS01.ActivePower") is Quality.DEVICE_FAILURE
    assert "PCS01 data_age" in running.alarms()
    assert running.number("Plant.ActivePower") == pytest.approx(1.0, abs=0.03), "the whole plant does not swing"
    running.hold(1.0 * MW, 8.0)
    for _ in range(120):
        running.hold(1.0 * MW, 0.5)
        assert first.active_power_w == pytest.approx(0.0, abs=20e3)
        assert second.active_power_w == pytest.approx(1.02 * MW, abs=0.1 * MW)
    assert "PCS01 pcs_left_out" in running.alarms(), "it waits for a person"
    running.fault("clear PCS01")
    running.hold(1.0 * MW, 5.0)
    running.do(Action.START)
    running.hold(1.0 * MW, 30.0)
    assert first.active_power_w == pytest.approx(0.51 * MW, abs=0.05 * MW)
    assert running.alarms() == set()


@pytest.mark.parametrize(("name", "scale"), [("ReactivePower", 100), ("DcVoltage", 3), ("DcCurrent", 10)])
def test_what_a_converter_can_not_have_is_bad(running: PlantRig, name: str, scale: int) -> None:
    running.local.command(Action.SET_REACTIVE_POWER, value=0.3 * MW)
    running.hold(1.0 * MW, 8.0)
    running.local.command(Action.SET_REACTIVE_POWER, value=0.3 * MW)
    assert running.quality(f"Plant.Block01.PCS01.{name}") <= WORST_USABLE
    running.fault(f"scale PCS01 {name} {scale}")
    running.hold(1.0 * MW, 1.5)
    assert running.quality(f"Plant.Block01.PCS01.{name}") is Quality.DEVICE_FAILURE


def test_one_impossible_reading_among_good_ones_stops_nothing(running: PlantRig) -> None:
    running.hold(1.0 * MW, 8.0)
    running.fault("scale PCS01 ActivePower 10 for 0.6s")
    running.hold(1.0 * MW, 1.5)
    assert running.quality("Plant.Block01.PCS01.ActivePower") is Quality.DEVICE_FAILURE
    running.hold(1.0 * MW, 30.0)
    assert running.quality("Plant.Block01.PCS01.ActivePower") is Quality.GOOD
    assert running.value("Plant.Block01.PCS01.State") == 3
    assert running.number("Plant.Block01.PCS01.ActivePower") == pytest.approx(510.0, abs=60.0)
