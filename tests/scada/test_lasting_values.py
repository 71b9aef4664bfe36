"""What takes long to be known, at both faces: no number while it is not earned, an interval once it is."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from controller.alarms.table import alarm_fields
from controller.estimation.remaining_life import follow_life, initial_life
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.plant.model import Plant
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.runtime.local_plant import LocalPlant, local_plant
from tests.scada.modbus.parts import NOW_NS, FakePlant, raw_client, snapshot_of
from tests.scada.modbus.test_face import served as served_modbus
from tests.scada.opcua.parts import all_read, client_of, name_of, served

LIFE = ("RemainingLifeLow", "RemainingLifeHigh")
GAIN = ("CurrentGainErrorLow", "CurrentGainError", "CurrentGainErrorHigh")
RACK = "Plant.Block01.Rack03"


@pytest.fixture(scope="module")
def run(demo_plant: Plant) -> LocalPlant:
    """Return a plant that has run for a minute."""
    local = local_plant(demo_plant, seed=1, scan_period_s=1.0)
    for _ in range(70):
        local.advance(1.0)
    return local


def _aged(local: LocalPlant) -> LocalPlant:
    """Let two years of monthly readings have been taken: two percent a year, on every rack."""
    racks = len(local.plant.racks)
    history, sigma = initial_life(racks), np.full(racks, 0.008)
    for month in range(25):
        pairs = np.full(racks, 20 * month + 20, dtype=np.int64)
        history = follow_life(history, np.full(racks, 0.98 - 0.02 * month / 12.0), sigma, pairs, 30.5 * 86400.0)
    estimator = local.state.estimator
    estimator.life = history
    for _ in range(12):
        local.advance(1.0)
    return local


def _shown(local: LocalPlant) -> FakePlant:
    image = Image(plant_layout(local.plant, alarm_fields(local.plant)))
    image.copy_from(local.state.image)
    image.computed_time_ns[:] = NOW_NS()
    return FakePlant(snapshot_of(image))


async def _opcua(local: LocalPlant, names: tuple[str, ...]) -> list[tuple[str, float | None]]:
    view = _shown(local)
    async with served(local.plant, view, None) as face, client_of(face) as client:
        values = await all_read(client, *(f"{RACK}.{name}" for name in names))
    return [(name_of(value.StatusCode), value.Value.Value) for value in values]


async def _modbus(local: LocalPlant, names: tuple[str, ...]) -> list[float]:
    places = flat_map(point_list(local.plant)).points
    at = [places[f"{RACK}.{name}"] for name in names]
    async with served_modbus(local.plant, _shown(local)) as face, raw_client(("127.0.0.1", face.port)) as client:
        return [struct.unpack(">f", await client.read(place.unit, place.address, 2))[0] for place in at]


async def test_a_remaining_life_that_is_not_earned_has_no_value(run: LocalPlant) -> None:
    assert [status for status, _ in await _opcua(run, LIFE)] == ["BadWaitingForInitialData"] * 2
    assert np.isnan(await _modbus(run, LIFE)).all()


async def test_a_gain_error_is_shown_with_its_bounds(run: LocalPlant) -> None:
    shown = await _opcua(run, GAIN)
    low, error, high = (value for _, value in shown)
    assert [status for status, _ in shown] == ["Good"] * 3
    assert low is not None
    assert error is not None
    assert high is not None
    assert -3.5 < low < error < high < 3.5  # a minute at no power tells next to nothing
    assert high - low > 4.0
    assert await _modbus(run, GAIN) == pytest.approx([low, error, high], rel=1e-5)


async def test_an_earned_remaining_life_is_an_interval_of_days(demo_plant: Plant) -> None:
    local = local_plant(demo_plant, seed=1, scan_period_s=1.0)
    for _ in range(70):
        local.advance(1.0)
    shown = await _opcua(_aged(local), LIFE)
    low, high = (value for _, value in shown)
    assert [status for status, _ in shown] == ["Good"] * 2
    assert low is not None
    assert high is not None
    assert 365.0 < low < high
    assert await _modbus(local, LIFE) == pytest.approx([low, high], rel=1e-5)
    local.restart()
    for _ in range(30):
        local.advance(1.0)
    again = [float(local.state.image[f"rack.remaining_life_{end}"].value[2]) for end in ("low", "high")]
    assert again == pytest.approx([low, high], rel=0.01)
