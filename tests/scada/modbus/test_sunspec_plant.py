"""The plant's own models: what is known of the POI, and what a state means to a SunSpec master."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.scada.modbus.judged import Judged
from controller.scada.modbus.sunspec_plant import plant_scale_factors, plant_values
from tests.scada.modbus.parts import filled_image, snapshot_of

NOW_NS = 1_000_000_000_000


@pytest.fixture
def image(demo_plant):
    return filled_image(demo_plant, plant_layout(demo_plant), NOW_NS)


def _values(plant, image):
    return plant_values(Judged(snapshot_of(image, NOW_NS), data_periods(plant), NOW_NS), plant)


@pytest.mark.parametrize(
    ("state", "inverter", "on"),
    [(0, math.nan, math.nan), (1, 0, 0), (2, 2, 1), (3, 3, 1), (4, 7, 0), (5, 5, 1), (6, 6, 0), (7, 0, 0)],
)
def test_the_operating_state_is_an_inverters(demo_plant, image, state, inverter, on):
    image["plant.operating_state"].value[:] = state
    found = _values(demo_plant, image)
    assert [found[701, "InvSt"], found[701, "St"]] == pytest.approx([inverter, on], nan_ok=True)


@pytest.mark.parametrize(("breaker", "connected"), [(0, math.nan), (1, 0), (2, 1), (3, math.nan)])
def test_only_a_breaker_that_is_sure_says_connected(demo_plant, image, breaker, connected):
    image["meter.breaker"].value[:] = breaker
    assert _values(demo_plant, image)[701, "ConnSt"] == pytest.approx(connected, nan_ok=True)


@pytest.mark.parametrize(("tripped", "alarms", "status"), [(0, 0, 0), (0, 3, 1), (1, 3, 2)])
def test_alarms_warn_and_trips_are_errors(demo_plant, image, tripped, alarms, status):
    image["plant.tripped"].value[:] = tripped
    image["plant.active_alarms"].value[:] = alarms
    found = _values(demo_plant, image)
    assert (found[713, "Sta"], found[701, "Alrm"]) == (status, tripped << 16)


def test_the_limits_in_force_are_the_settings_and_the_contract_the_ratings(demo_plant, image):
    image["plant.import_limit"].value[:] = 1.1e6
    image["plant.export_limit"].value[:] = 1.3e6
    found = _values(demo_plant, image)
    assert (found[702, "WChaRteMax"], found[702, "WDisChaRteMax"]) == (1.1e6, 1.3e6)
    assert (found[702, "WChaRteMaxRtg"], found[702, "WMax"], found[702, "VAMax"]) == (2.4e6, 2.4e6, 2.64e6)


def test_a_plant_that_never_published_shows_its_ratings_alone(demo_plant):
    found = _values(demo_plant, Image(plant_layout(demo_plant)))
    fixed = {name for (model, name) in found if model == 702} - {"WChaRteMax", "WDisChaRteMax"}
    fixed |= {"ACType", "DERMode", "WHRtg", "AlarmReset"}
    assert {name for (_, name), value in found.items() if not np.isnan(value)} == fixed


def test_a_plant_without_a_meter_has_no_current_and_no_breaker(demo_plant, image):
    plant = replace(demo_plant, poi=replace(demo_plant.poi, meter=-1))
    found = _values(plant, image)
    assert math.isnan(found[701, "A"])
    assert math.isnan(found[701, "ConnSt"])
    assert found[701, "W"] == 1.5


@pytest.mark.parametrize("power_w", [50e3, 2.4e6, 300e6, 5e9])
def test_four_digits_of_power_whatever_the_size(demo_plant, power_w):
    watts = ("power_w", "apparent_va", "export_limit_w", "import_limit_w", "energy_wh")
    plant = replace(demo_plant, poi=replace(demo_plant.poi, **dict.fromkeys(watts, power_w)))
    factors = plant_scale_factors(plant)
    rooms = {(701, "W_SF"): 32_767, (702, "W_SF"): 65_534, (704, "WSet_SF"): 2**31, (713, "WH_SF"): 65_534}
    for name, room in rooms.items():
        assert 1_000 <= power_w / 10.0 ** factors[name] <= room
