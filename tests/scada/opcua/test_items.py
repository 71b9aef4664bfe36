"""What one monitored item reports of the values it is offered."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
from asyncua import ua
from asyncua.ua.uaprotocol_auto import DataChangeFilter

from controller.points.point_list import Point, point_list
from controller.scada.opcua.items import EVERY_CHANGE, PlantItem, Queue
from controller.scada.opcua.value_types import data_value, date_time, status
from tests.scada.opcua.parts import name_of

GOOD, UNCERTAIN, LOST = (
    status(code)
    for code in (ua.StatusCodes.Good, ua.StatusCodes.UncertainLastUsableValue, ua.StatusCodes.BadNoCommunication)
)


@pytest.fixture
def point(demo_plant):
    return next(p for p in point_list(demo_plant).points if p.tag == "Plant.SoC")  # 0 to 100 %


class Item:
    """An item with its queue."""

    def __init__(self, point: Point | None, wanted: DataChangeFilter = EVERY_CHANGE, queue_size: int = 99) -> None:
        self.queue: Queue = []
        reporting = ua.MonitoringMode.Reporting
        self.item = PlantItem(point, 7, reporting, queue_size, wanted, lambda: self.queue)

    def offer(self, value: Any, code: ua.StatusCode = GOOD, time_ns: int = 0) -> None:
        is_array = isinstance(value, list)
        kind = ua.VariantType.Null if value is None else ua.VariantType.Float if is_array else ua.VariantType.Double
        self.item.offer(data_value(ua.Variant(value, kind, is_array=is_array), code, date_time(time_ns)))

    @property
    def told(self) -> list[Any]:
        return [one.Value.Value.Value for one in cast("Any", self.queue)]


def banded(size: float, kind: ua.DeadbandType = ua.DeadbandType.Absolute) -> DataChangeFilter:
    return DataChangeFilter(ua.DataChangeTrigger.StatusValue, cast("Any", kind), cast("Any", size))


def triggered(trigger: ua.DataChangeTrigger) -> DataChangeFilter:
    return DataChangeFilter(trigger)


def test_the_clients_handle_comes_with_each_value(point):
    item = Item(point)
    item.offer(1.0)

    assert [one.ClientHandle for one in item.queue] == [7]


def test_a_value_that_is_known_is_not_told_again(point):
    item = Item(point)
    for value in (1.0, 1.0, 2.0, 2.0, 1.0):
        item.offer(value, time_ns=1_000 * len(item.queue))

    assert item.told == [1.0, 2.0, 1.0]


def test_a_status_is_told_with_the_same_value(point):
    item = Item(point, banded(5.0))
    for code in (GOOD, UNCERTAIN, UNCERTAIN, GOOD):
        item.offer(1.0, code)
    item.offer(None, LOST)

    assert item.told == [1.0, 1.0, 1.0, None]


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        (ua.DataChangeTrigger.Status, [1.0, None]),
        (ua.DataChangeTrigger.StatusValue, [1.0, 2.0, None]),
        (ua.DataChangeTrigger.StatusValueTimestamp, [1.0, 2.0, 2.0, None]),
    ],
)
def test_each_trigger_has_its_news(point, trigger, told):
    item = Item(point, triggered(trigger))
    item.offer(1.0, time_ns=1_000)
    item.offer(2.0, time_ns=1_000)
    item.offer(2.0, time_ns=2_000)
    item.offer(None, LOST, time_ns=2_000)

    assert item.told == told


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (banded(0.5), [0.0, 0.6, 1.2]),
        (banded(0.5, ua.DeadbandType.Percent), [0.0, 0.6, 1.2]),  # of 100 %
        (banded(0.0), [0.0, 0.3, 0.5, 0.6, 1.0, 1.2]),
    ],
)
def test_a_deadband_is_around_what_was_last_told(point, wanted, told):
    item = Item(point, wanted)
    for value in (0.0, 0.3, 0.5, 0.6, 1.0, 1.2):
        item.offer(value)

    assert item.told == told


def test_one_element_of_an_array_is_enough(point):
    item = Item(point, banded(0.5))
    for value in ([0.0, 0.0], [0.4, 0.4], [0.0, 0.6], [math.nan, 0.6], [math.nan, 0.9], [0.0, 0.6]):
        item.offer(value)

    assert [repr(value) for value in item.told] == ["[0.0, 0.0]", "[0.0, 0.6]", "[nan, 0.6]", "[0.0, 0.6]"]


def test_a_full_queue_loses_the_oldest_and_the_newest_says_so(point):
    item = Item(point, queue_size=2)
    for value in (1.0, 2.0, 3.0):
        item.offer(value)

    assert item.told == [2.0, 3.0]
    codes = [one.Value.StatusCode.value for one in cast("Any", item.queue)]
    assert codes == [0, 0x480]  # good, and an overflow


def test_a_queue_of_one_holds_the_newest_and_has_no_overflow(point):
    item = Item(point, queue_size=1)
    for value in (1.0, 2.0):
        item.offer(value)

    assert item.told == [2.0]
    assert name_of(cast("Any", item.queue)[0].Value.StatusCode) == "Good"


def test_an_item_that_does_not_report_is_silent(point):
    item = Item(point)
    for mode in (ua.MonitoringMode.Disabled, ua.MonitoringMode.Sampling):
        item.item.mode = mode
        item.offer(1.0)

    assert item.told == []
