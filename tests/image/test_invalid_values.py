"""Devices some of whose values are none any more, told late and let go late."""

from __future__ import annotations

import pytest

from controller.image.image import Image
from controller.image.invalid_values import InvalidValues
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.plant.model import Plant

S = 10**9


class Followed:
    """An image whose values are good, and what is told of it second by second."""

    def __init__(self, plant: Plant) -> None:
        self.plant, self.image, self.now_s = plant, Image(plant_layout(plant)), 1000
        self.invalid = InvalidValues(plant, self.image)

    def set(self, quality: Quality, *names: str) -> None:
        if names:
            for name in names:
                self.image[name].quality[0] = quality
        else:
            self.image.measured_quality[:] = quality

    def run(self, seconds: int) -> list[str]:
        for _ in range(seconds):
            self.now_s += 1
            self.invalid.look(self.now_s * S)
        return [device.name for device, yes in zip(self.plant.devices, self.invalid.told, strict=True) if yes]


@pytest.fixture
def followed(demo_plant: Plant) -> Followed:
    """Return one that was well."""
    it = Followed(demo_plant)
    it.set(Quality.GOOD)
    assert it.run(20) == []
    return it


def test_a_value_that_is_none_any_more_is_told_after_a_while(followed: Followed) -> None:
    followed.set(Quality.DEVICE_FAILURE, "pcs.dc_voltage")
    assert followed.run(4) == []
    assert followed.run(2) == ["PCS01"]
    followed.set(Quality.GOOD, "pcs.dc_voltage")
    assert followed.run(8) == ["PCS01"], "it does not come and go"
    followed.set(Quality.DEVICE_FAILURE, "pcs.dc_voltage")
    assert followed.run(1) == ["PCS01"]
    followed.set(Quality.GOOD, "pcs.dc_voltage")
    assert followed.run(11) == []


def test_looked_at_again_before_it_is_time_to_it_says_the_same(followed: Followed) -> None:
    before = followed.invalid.told
    assert followed.invalid.look(followed.now_s * S + 1) is before


def test_a_register_that_was_always_empty_is_nothing_to_tell(demo_plant: Plant) -> None:
    it = Followed(demo_plant)
    it.set(Quality.GOOD)
    it.set(Quality.DEVICE_FAILURE, "pcs.dc_voltage")
    assert it.run(30) == []


def test_a_device_all_of_whose_values_fail_is_told_by_its_link(followed: Followed) -> None:
    followed.set(Quality.DEVICE_FAILURE)
    assert followed.run(30) == []


def test_lost_values_are_not_invalid(followed: Followed) -> None:
    followed.set(Quality.NO_COMMUNICATION, "pcs.dc_voltage")
    assert followed.run(30) == []
