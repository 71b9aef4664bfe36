"""What estimation is fed: values that can be used, marked as what they are; balancing bits only where they are told."""

from __future__ import annotations

import numpy as np

from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.plant_arrays import plant_arrays
from controller.image.quality import Quality
from controller.plant.model import Plant
from controller.runtime.local_plant import local_plant
from controller.runtime.rack_samples import RackSampler


def sampler_of(image: Image, plant: Plant) -> RackSampler:
    return RackSampler(image, plant_arrays(plant).pcs_bus, len(plant.buses))


def test_without_balancing_bits_nothing_is_told(demo_plant: Plant) -> None:
    sample = sampler_of(Image(plant_layout(demo_plant)), demo_plant).sample(cells_changed=True)

    assert sample.balancing is None
    assert not sample.tells_balancing.any()


def test_bits_count_where_they_can_be_used_and_nowhere_else(demo_plant: Plant) -> None:
    image = Image(plant_layout(demo_plant))
    bits = image["cell.balancing"]
    bits.value[:2, 7], bits.quality[0] = 1, Quality.GOOD
    sample = sampler_of(image, demo_plant).sample(cells_changed=True)

    assert sample.balancing is not None
    assert np.argwhere(sample.balancing).tolist() == [[0, 7]]
    assert np.flatnonzero(sample.tells_balancing).tolist() == [0]


def test_the_bits_of_the_bms_reach_the_estimator_in_a_scan(demo_plant: Plant) -> None:
    local = local_plant(demo_plant, seed=1, scan_period_s=1.0)
    for _ in range(25):
        local.advance(1.0)
    image = local.state.image
    sample = local.state.sampler.sample(cells_changed=True)

    assert sample.balancing is not None
    assert sample.tells_balancing.all()
    assert np.array_equal(sample.balancing, image["cell.balancing"].value != 0)


def test_a_bus_s_current_is_known_only_where_all_its_converters_tell(demo_plant: Plant) -> None:
    image = Image(plant_layout(demo_plant))
    current = image["pcs.dc_current"]
    current.value[:], current.quality[:] = (40.0, 50.0), (Quality.GOOD, Quality.NO_COMMUNICATION)
    bus_a = sampler_of(image, demo_plant).sample(cells_changed=True).bus_current_a

    assert bus_a is not None
    assert bus_a[demo_plant.pcs[0].bus] == 40.0
    assert np.isnan(bus_a[demo_plant.pcs[1].bus])
