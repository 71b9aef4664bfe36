"""Nothing that was computed is better than what it was computed from, as a face shows it."""

from __future__ import annotations

import pytest

from controller.control.report.result import PLANT_QUANTITIES, PlantResult
from controller.image.quality import WORST_USABLE, Quality
from controller.image.quantities import COMPUTED
from controller.plant.model import Plant
from tests.scenarios.conftest import MW, PlantRig, rig_of

OF_THE_RACK = ("ContactorClosed", "State", "Voltage", "Power")


def test_what_rests_on_a_silent_bank_is_not_good(running: PlantRig) -> None:
    running.hold(0.5 * MW, 6.0)
    running.fault("silent BANK01")
    running.hold(0.5 * MW, 25.0)
    for name in OF_THE_RACK:
        assert running.quality(f"Plant.Block01.Rack01.{name}") > WORST_USABLE, name
        assert running.quality(f"Plant.Block02.Rack01.{name}") <= WORST_USABLE, name
    for tag in ("Block01.RacksConnected", "Block01.SoC"):
        assert running.quality(f"Plant.{tag}") > WORST_USABLE, tag
    for tag in ("RacksConnected", "RacksAvailable", "SoC", "SoCInstalled", "EnergyToDischarge", "EnergyToCharge"):
        assert running.quality(f"Plant.{tag}") is Quality.UNCERTAIN, tag
    assert running.quality("Plant.Block02.RacksConnected") is Quality.GOOD


def test_what_the_meter_tells_is_lost_with_it(running: PlantRig) -> None:
    running.fault("silent GRID")
    running.run(5.0)
    for name in ("ActivePower", "ReactivePower", "ApparentPower", "PowerFactor", "Frequency", "Voltage"):
        assert running.quality(f"Plant.{name}") is Quality.NO_COMMUNICATION, name
    assert running.quality("Plant.PcsPower") is Quality.GOOD


def test_before_anything_was_read_nothing_measured_is_good(demo_plant: Plant) -> None:
    rig = rig_of(demo_plant)
    rig.run(20.0)
    rig.local.restart()
    rig.local.advance(0.05)
    for tag in ("RacksConnected", "RacksAvailable", "SoC", "PcsPower", "ActivePower", "Block02.Rack01.ContactorClosed"):
        assert rig.quality(f"Plant.{tag}") is Quality.NEVER_READ, tag
    assert rig.quality("Plant.RacksInstalled") is Quality.GOOD
    assert rig.quality("Plant.Block01.PCS01.ActivePowerCommand") is Quality.GOOD


@pytest.mark.parametrize(
    "fault", ["silent PCS01", "freeze B02-R05", "silent IO01", "exception AUX 4", "silent B02-R05"]
)
def test_an_uncertain_plant_is_never_a_good_sum(running: PlantRig, fault: str) -> None:
    """What a fault of one device does to the totals that need it."""
    needs = {
        "silent PCS01": ("PcsPower", Quality.NO_COMMUNICATION),
        "freeze B02-R05": ("RacksConnected", Quality.UNCERTAIN),
        "silent IO01": ("Tripped", Quality.UNCERTAIN),
        "exception AUX 4": ("AuxPower", Quality.UNCERTAIN),
        "silent B02-R05": ("RacksConnected", Quality.UNCERTAIN),
    }
    running.hold(0.8 * MW, 5.0)
    running.fault(fault)
    running.hold(0.8 * MW, 20.0)
    name, quality = needs[fault]
    assert running.quality(f"Plant.{name}") is quality


def test_every_computed_value_of_equipment_says_what_it_rests_on(running: PlantRig) -> None:
    """A quantity that is published by nobody keeps NEVER_READ: none is good by default."""
    image = running.local.state.image
    unsaid = {q.name for q in COMPUTED if q.owner != "plant" and (image[q.name].quality == Quality.NEVER_READ).all()}
    not_yet = {"rack.anchor_age", "rack.remaining_life_low", "rack.remaining_life_high"}
    assert unsaid <= not_yet, "no anchor has been seen yet, and no remaining life been earned"
    assert len(PLANT_QUANTITIES) == len(PlantResult._fields)
