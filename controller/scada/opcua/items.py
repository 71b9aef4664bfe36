"""One monitored item on a plant node: which changes its client is told.

Rules (OPC 10000-4, 7.22). A changed status is reported always, a changed value if it left the deadband around what was
last reported (one element of an array is enough), a new sample time only to who asked for that. A full queue loses its
oldest value, and the newest then says so.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from asyncua import ua
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # what is decoded; `ua` exports a subclass of it

from controller.points.point_list import Point, PointType
from controller.scada.opcua.value_types import status

EVERY_CHANGE = DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValue)
_OVERFLOW = 0x480
_NUMBERS = {PointType.NUMBER, PointType.NUMBERS, PointType.CODE, PointType.COUNT}

Queue = list[ua.MonitoredItemNotification]


@dataclass(slots=True, eq=False)
class PlantItem:
    """The item. `point` None: an attribute that never changes."""

    point: Point | None
    client_handle: int
    mode: ua.MonitoringMode
    queue_size: int
    filter: DataChangeFilter
    queue: Callable[[], Queue]
    reported: ua.DataValue | None = None

    @property
    def wants_times(self) -> bool:
        """Whether a new sample time alone is news."""
        return bool(self.filter.Trigger == ua.DataChangeTrigger.StatusValueTimestamp)

    def offer(self, value: ua.DataValue) -> None:
        """Report the value if it is news to this client."""
        if self.mode != ua.MonitoringMode.Reporting or not self._is_news(value):
            return
        self.reported = value
        queue = self.queue()
        if len(queue) >= self.queue_size:
            queue.pop(0)
            value = _overflowed(value) if self.queue_size > 1 else value
        queue.append(ua.MonitoredItemNotification(cast("ua.UInt32", self.client_handle), value))

    def _is_news(self, value: ua.DataValue) -> bool:
        old = self.reported
        if old is None or old.StatusCode != value.StatusCode:
            return True
        if self.wants_times and old.SourceTimestamp != value.SourceTimestamp:
            return True
        if self.filter.Trigger == ua.DataChangeTrigger.Status or old.Value == value.Value:
            return False
        return _has_left(self._band(), old.Value, value.Value)

    def _band(self) -> float:
        size = float(self.filter.DeadbandValue)
        match self.filter.DeadbandType:
            case ua.DeadbandType.Absolute:
                return size
            case ua.DeadbandType.Percent if self.point is not None:
                return size / 100.0 * (self.point.range_high - self.point.range_low)
            case _:
                return 0.0


def filter_of(parameters: ua.MonitoringParameters) -> Any:
    """Return the filter that is asked for; without one, every change."""
    wanted: Any = parameters.Filter
    is_empty = isinstance(wanted, ua.ExtensionObject) and wanted.TypeId.is_null()
    return EVERY_CHANGE if wanted is None or is_empty else wanted


def filter_problem(wanted: Any, point: Point | None) -> int:
    """Return the status code that says why a filter can't be used; Good if it can."""
    if not isinstance(wanted, DataChangeFilter):
        return ua.StatusCodes.BadMonitoredItemFilterUnsupported
    if wanted.DeadbandType == ua.DeadbandType.None_:
        return ua.StatusCodes.Good
    if point is None or point.type not in _NUMBERS:
        return ua.StatusCodes.BadFilterNotAllowed
    highest = 100.0 if wanted.DeadbandType == ua.DeadbandType.Percent else math.inf
    if not 0.0 <= wanted.DeadbandValue <= highest or (highest == 100.0 and not point.unit):
        return ua.StatusCodes.BadDeadbandFilterInvalid
    return ua.StatusCodes.Good


def _has_left(band: float, old: ua.Variant | None, new: ua.Variant | None) -> bool:
    if band <= 0.0 or old is None or new is None:
        return True
    was, now = (value.Value if value.is_array else [value.Value] for value in (old, new))
    return any(_is_apart(before, after, band) for before, after in zip(was, now, strict=True))


def _is_apart(before: float, after: float, band: float) -> bool:
    if math.isnan(before) or math.isnan(after):
        return math.isnan(before) != math.isnan(after)
    return abs(after - before) > band


def _overflowed(value: ua.DataValue) -> ua.DataValue:
    assert value.StatusCode is not None, "values of ours always have one"
    return dataclasses.replace(value, StatusCode=status(value.StatusCode.value | _OVERFLOW))
