"""Whole arrays compared: whoever listens knows what a read would say, and is told of nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.link.plant_view import STALE_AFTER_NS, Snapshot
from controller.points.point_list import Point, point_list
from controller.runtime.clock import FakeClock
from controller.scada.opcua.sampling import Sampler
from controller.scada.opcua.values import Moment
from controller.scada.readings import PointReader
from tests.scada.modbus.parts import filled_image, snapshot_of
from tests.scada.opcua.parts import name_of

TAGS = (
    "Plant.ActivePower",
    "Plant.LimitReasonText",
    "Plant.ActiveAlarms",
    "Plant.Block01.Rack01.Current",
    "Plant.Block01.Rack02.Current",
    "Plant.Block01.Rack01.ContactorClosed",
    "Plant.Block01.Rack01.CellVoltages",
    "Plant.Block02.Rack12.CellVoltages",
)


@dataclass(eq=False)
class Ear:
    """A listener that keeps what it was offered."""

    wants_times: bool = False
    offered: list[ua.DataValue] = field(default_factory=list)

    def offer(self, value: ua.DataValue) -> None:
        self.offered.append(value)


class Bench:
    """A sampler over an image by hand."""

    def __init__(self, plant: Any) -> None:
        self.clock = FakeClock()
        self.points = {p.tag: p for p in point_list(plant).points}
        self.image = filled_image(plant, plant_layout(plant), self.clock.mono_ns())
        self.periods = data_periods(plant)
        self.sampler = Sampler(self.periods)
        self.snapshot = snapshot_of(self.image, self.clock.mono_ns())

    def moment(self) -> Moment:
        return Moment(self.snapshot, PointReader(self.periods), self.clock)

    def publish(self) -> None:
        image = Image(self.image.layout)
        image.copy_from(self.image)
        self.snapshot = snapshot_of(image, self.clock.mono_ns())

    def listen(self, *tags: str, wants_times: bool = False) -> list[tuple[Point, Ear]]:
        ears = [(self.points[tag], Ear(wants_times)) for tag in tags]
        for point, ear in ears:
            self.sampler.watch(point, ear)
        return ears

    def sample(self) -> int:
        """Offer what has changed and return how many points that were."""
        count = 0
        for value, listeners in self.sampler.changes(self.moment()):
            count += 1
            for listener in listeners:
                listener.offer(value)
        return count


@pytest.fixture
def bench(demo_plant):
    return Bench(demo_plant)


def same(one: ua.DataValue, other: ua.DataValue) -> bool:
    """Whether two values say the same, NaN being NaN."""
    first, second = (value.Value.Value if value.Value else None for value in (one, other))
    if isinstance(first, list) and isinstance(second, list):
        return one.StatusCode == other.StatusCode and bool(np.array_equal(first, second, equal_nan=True))
    return (one.StatusCode, first) == (other.StatusCode, second)


quality = st.sampled_from([Quality.GOOD, Quality.SUBSTITUTED, Quality.DEVICE_FAILURE, Quality.NEVER_READ])
changes = st.tuples(st.sampled_from(TAGS), st.integers(0, 3), quality)
passes = st.tuples(st.lists(changes, max_size=4), st.sampled_from([0.0, 0.1, 0.6, 2.0]), st.booleans())


@given(st.lists(passes, max_size=6))
def test_who_listens_knows_what_a_read_would_say(demo_plant, steps):
    bench = Bench(demo_plant)
    ears = bench.listen(*TAGS)
    for changed, pause_s, publishes in [([], 0.0, True), *steps]:
        for tag, value, quality_now in changed:
            point = bench.points[tag]
            values = bench.image[point.quantity]
            values.value[point.index], values.quality[point.index] = value, quality_now
            values.time_ns[point.index] = bench.clock.mono_ns()
        if publishes:
            bench.publish()
        bench.clock.advance(pause_s)
        bench.sample()

        for point, ear in ears:
            assert same(ear.offered[-1], bench.moment().read(point)), point.tag


def test_what_stands_still_is_told_once(bench):
    bench.listen(*TAGS)

    assert [bench.sample() for _ in range(3)] == [len(TAGS), 0, 0]


def test_only_what_changed_is_told(bench):
    ears = bench.listen("Plant.Block01.Rack01.Current", "Plant.Block01.Rack02.Current")
    bench.sample()
    bench.image["rack.current"].value[1] = 7.0
    bench.publish()

    assert bench.sample() == 1
    assert [len(ear.offered) for _, ear in ears] == [1, 2]


def test_nan_that_stays_is_no_change(bench):
    bench.image["rack.current"].value[0] = np.nan
    bench.publish()
    bench.listen("Plant.Block01.Rack01.Current")

    assert [bench.sample(), bench.sample()] == [1, 0]


def test_one_cell_is_enough(bench):
    ears = bench.listen("Plant.Block01.Rack01.CellVoltages", "Plant.Block02.Rack12.CellVoltages")
    bench.sample()
    bench.image["cell.voltage"].quality[0, 200] = Quality.DEVICE_FAILURE
    bench.publish()

    assert bench.sample() == 1
    assert [len(ear.offered) for _, ear in ears] == [2, 1]


def test_a_new_sample_time_is_news_only_to_who_asked(bench):
    (timed,) = bench.listen("Plant.Block01.Rack01.Current", wants_times=True)
    (other,) = bench.listen("Plant.Block01.Rack02.Current")
    bench.sample()
    bench.image["rack.current"].time_ns[:] += 1_000
    bench.publish()
    bench.sample()

    assert (len(timed[1].offered), len(other[1].offered)) == (2, 1)


def test_silence_is_told_by_its_age_alone(bench):
    ears = bench.listen(*TAGS)
    bench.sample()
    bench.clock.advance(STALE_AFTER_NS * 1e-9 + 0.001)

    assert bench.sample() == len(TAGS)
    assert {name_of(ear.offered[-1].StatusCode) for _, ear in ears} == {"BadNoCommunication"}


def test_a_control_that_never_published_keeps_everybody_waiting(bench, demo_plant):
    bench.snapshot = Snapshot.none(plant_layout(demo_plant))
    ears = bench.listen(*TAGS)
    bench.sample()

    assert {name_of(ear.offered[-1].StatusCode) for _, ear in ears} == {"BadWaitingForInitialData"}


def test_who_stops_listening_is_told_no_more(bench):
    (point, first), (_, second) = bench.listen("Plant.ActivePower", "Plant.ActivePower")
    bench.sample()
    bench.sampler.unwatch(point, first)
    bench.image["plant.active_power"].value[0] = 5e6
    bench.publish()
    bench.sample()
    bench.sampler.unwatch(point, second)

    assert (len(first.offered), len(second.offered)) == (1, 2)
    assert bench.sample() == 0


def test_listening_may_change_between_two_values(bench):
    ears = bench.listen("Plant.Block01.Rack01.Current", "Plant.Block01.Rack02.Current")
    passing = bench.sampler.changes(bench.moment())
    next(passing)
    bench.sampler.unwatch(*ears[1])
    bench.listen("Plant.Frequency")

    assert list(passing) == []
    assert bench.sample() == 2


def test_snapshots_of_the_future_are_no_better_than_old_ones(bench):
    ears = bench.listen("Plant.ActivePower")
    bench.snapshot = replace(bench.snapshot, published_mono_ns=bench.clock.mono_ns() + 2 * STALE_AFTER_NS)
    bench.sample()

    assert name_of(ears[0][1].offered[-1].StatusCode) == "BadNoCommunication"
