"""The latch: what arrived is what the image says, what is invalid is bad, what is old is lost; never zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.image.image import Image
from controller.image.latch import Latch
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.modbus.poll_groups import PollGroup, poll_groups
from controller.plant.model import Plant
from controller.simulator.fake_field import FakeField

S = 1_000_000_000


@pytest.fixture
def groups(demo_plant: Plant) -> tuple[PollGroup, ...]:
    return poll_groups(demo_plant)


@pytest.fixture
def image(demo_plant: Plant) -> Image:
    return Image(plant_layout(demo_plant))


def _filled(plant: Plant, groups: tuple[PollGroup, ...], now_ns: int = S) -> FakeField:
    field = FakeField(plant, groups, seed=1, start_ns=now_ns)
    field.latest(now_ns)
    return field


def _group(groups: tuple[PollGroup, ...], device: str, block: str) -> PollGroup:
    return next(g for g in groups if g.raw.device_type.name == device and g.raw.block == block)


def test_before_anything_arrived_nothing_is_good(
    demo_plant: Plant, groups: tuple[PollGroup, ...], image: Image
) -> None:
    Latch(demo_plant, groups, image).take(S)

    assert (image["rack.voltage"].quality == Quality.NEVER_READ).all()
    assert np.isnan(image["rack.voltage"].value).all()


def test_what_no_device_serves_is_absent(demo_plant: Plant) -> None:
    meters = {d.index for d in demo_plant.devices if d.name == "AUX"}
    plant = replace(demo_plant, devices=tuple(d for d in demo_plant.devices if d.index not in meters))
    image = Image(plant_layout(plant))
    Latch(plant, (), image)
    auxiliary = next(m.index for m in plant.meters if m.name == "AUX")

    assert image["meter.active_power"].quality[auxiliary] == Quality.ABSENT
    assert image["meter.active_power"].quality[auxiliary - 1] == Quality.NEVER_READ


def test_what_arrived_is_what_the_image_says(demo_plant: Plant, groups: tuple[PollGroup, ...], image: Image) -> None:
    latch = Latch(demo_plant, groups, image)
    field = _filled(demo_plant, groups)
    changed = latch.take(S)
    true_v = field.devices.virtual.cells.voltage_v.reshape(24, -1)[:, :240].sum(axis=1)

    assert changed
    assert (image["rack.voltage"].quality == Quality.GOOD).all()
    assert image["rack.voltage"].value == pytest.approx(true_v, abs=1.0)
    assert (image["rack.voltage"].time_ns == S).all()


@pytest.mark.parametrize("block", ["fast", "slow"])
def test_a_device_that_says_no_fails_all_its_values(
    demo_plant: Plant, groups: tuple[PollGroup, ...], image: Image, block: str
) -> None:
    latch = Latch(demo_plant, groups, image)
    _filled(demo_plant, groups)
    latch.take(S)
    group = _group(groups, "generic-rack-bms", block)
    group.raw.fail(3, 2 * S)
    latch.take(2 * S)
    rack = next(b.equipment for b in demo_plant.devices[group.raw.devices[3]].bindings)
    name = "rack.voltage" if block == "fast" else "cell.voltage"

    assert (np.atleast_1d(image[name].quality[rack])[:1] == Quality.DEVICE_FAILURE).all()
    assert (np.atleast_1d(image[name].quality[rack - 1])[:1] <= Quality.UNCERTAIN).all()


def test_a_value_that_stays_away_grows_uncertain_then_lost_but_is_kept(
    demo_plant: Plant, groups: tuple[PollGroup, ...], image: Image
) -> None:
    latch = Latch(demo_plant, groups, image)
    _filled(demo_plant, groups)
    latch.take(S)
    before = image["rack.current"].value.copy()
    latch.take(S + 2 * S)
    assert (image["rack.current"].quality == Quality.UNCERTAIN).all()
    latch.take(S + 4 * S)

    assert (image["rack.current"].quality == Quality.NO_COMMUNICATION).all()
    assert (image["rack.current"].value == before).all()
    latch.take(S + 30 * S)
    assert (image["cell.voltage"].quality[:, :240] == Quality.NO_COMMUNICATION).all()


def test_the_same_bytes_again_are_news_again(demo_plant: Plant, groups: tuple[PollGroup, ...], image: Image) -> None:
    """A quality that age had taken away comes back with a new sample, though not a bit of it differs."""
    latch = Latch(demo_plant, groups, image)
    _filled(demo_plant, groups)
    latch.take(S)
    latch.take(10 * S)
    assert (image["meter.active_power"].quality == Quality.NO_COMMUNICATION).all()
    raw = _group(groups, "generic-meter", "fast").raw
    for row in range(len(raw.devices)):
        raw.store(row, raw.data[row].tobytes(), 10 * S)
    latch.take(10 * S)

    assert (image["meter.active_power"].quality == Quality.GOOD).all()
    assert (image["meter.active_power"].time_ns == 10 * S).all()


def test_one_row_alone_changes_one_equipment_alone(
    demo_plant: Plant, groups: tuple[PollGroup, ...], image: Image
) -> None:
    latch = Latch(demo_plant, groups, image)
    _filled(demo_plant, groups)
    latch.take(S)
    raw = _group(groups, "generic-rack-bms", "fast").raw
    raw.store(5, raw.data[5].tobytes(), 2 * S)
    latch.take(2 * S)
    rack = next(b.equipment for b in demo_plant.devices[raw.devices[5]].bindings)

    assert np.flatnonzero(image["rack.voltage"].time_ns == 2 * S).tolist() == [rack]
