"""A rack whose lowest cell lies above its highest is read at the wrong place, and not believed in anything."""

from __future__ import annotations

import numpy as np
import pytest

from controller.image.contradictions import Contradictions
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.possible import DOUBTED_NS
from controller.image.quality import Quality
from controller.plant.model import Plant

S = 10**9


@pytest.fixture
def image(demo_plant: Plant) -> Image:
    """Return an image in which every rack was read well at 1 s."""
    image = Image(plant_layout(demo_plant))
    for name, value in {
        "rack.voltage": 790.0,
        "rack.current": 400.0,
        "rack.cell_voltage_max": 3.31,
        "rack.cell_voltage_min": 3.29,
        "rack.cell_temperature_max": 26.0,
        "rack.cell_temperature_min": 22.0,
        "cell.voltage": 3.3,
    }.items():
        read(image, name, value, S)
    return image


def read(image: Image, name: str, value: float, time_ns: int, rack: int | slice = slice(None)) -> None:
    values = image[name]
    values.value[rack], values.quality[rack], values.time_ns[rack] = value, Quality.GOOD, time_ns


def failed(image: Image, name: str) -> list[int]:
    quality = image[name].quality
    return np.flatnonzero((quality == Quality.DEVICE_FAILURE).reshape(len(quality), -1).any(axis=1)).tolist()


@pytest.mark.parametrize(("name", "lowest"), [("rack.cell_voltage", 3.37), ("rack.cell_temperature", 28.5)])
def test_a_rack_that_contradicts_itself_is_believed_in_nothing_until_it_has_agreed_for_a_while(image, name, lowest):
    found = Contradictions(image)
    assert not found.take(S)
    for extreme in ("_min", "_max"):
        read(image, name + extreme, image[name + extreme].value[2], 2 * S, rack=2)
    read(image, f"{name}_min", lowest, 2 * S, rack=2)
    read(image, "rack.current", 2000.0, 2 * S, rack=2)
    assert found.take(2 * S)
    for told in ("rack.current", "rack.voltage", f"{name}_max", "cell.voltage"):
        assert failed(image, told) == [2]
    assert image["rack.current"].time_ns[[1, 2]].tolist() == [S, S], "it ages from when it was believed last"

    read(image, f"{name}_min", image[f"{name}_max"].value[2] - 1e-3, 3 * S, rack=2)
    read(image, f"{name}_max", image[f"{name}_max"].value[2], 3 * S, rack=2)
    assert found.take(2 * S + DOUBTED_NS - 1)
    read(image, "rack.current", 400.0, 6 * S, rack=2)
    assert not found.take(2 * S + DOUBTED_NS)
    assert failed(image, "rack.current") == []


@pytest.mark.parametrize(
    ("lowest_v", "time_ns", "quality"),
    [(3.35, 2 * S, Quality.GOOD), (9.0, 3 * S, Quality.GOOD), (9.0, 2 * S, Quality.DEVICE_FAILURE)],
    ids=["a step of the BMS", "another sample", "no value"],
)
def test_what_is_no_contradiction_takes_no_belief(image, lowest_v, time_ns, quality):
    found = Contradictions(image)
    read(image, "rack.cell_voltage_max", 3.31, 2 * S, rack=2)
    read(image, "rack.cell_voltage_min", lowest_v, time_ns, rack=2)
    image["rack.cell_voltage_min"].quality[2] = quality
    assert not found.take(3 * S)
    assert failed(image, "rack.current") == []
