"""What a face shows of a point at this moment: value in face units, quality judged now, and when it was sampled.

Rule: quality is the worst of what the source said, the value's age, and the snapshot's age; it is judged at each read,
so a face can't show anything good once control is silent. A bad value is never shown: `Reading.value` is then None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.limits.reasons import limit_reason_text
from controller.image.data_periods import DataPeriods
from controller.image.image import Image
from controller.image.quality import WORST_USABLE, Quality
from controller.link.plant_view import Snapshot
from controller.points.point_list import Point, PointType
from controller.scada.alarm_words import AlarmWords

Value = float | int | bool | str | tuple[str, ...] | NDArray[np.float32]
ALARM_WORDS = "plant.alarm_changes"
"""The quantity behind points that are made of the alarm list: it moves whenever the list does."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One point, read. `mono_ns` is the sample time, 0 if there never was one; `value` None where quality is bad."""

    value: Value | None
    quality: Quality
    mono_ns: int


_NEVER = Reading(None, Quality.NEVER_READ, 0)


class PointReader:
    """Reads points from snapshots."""

    def __init__(self, periods: DataPeriods, alarms: AlarmWords | None = None) -> None:
        """Take how old each value may grow; without `alarms` the points made of the alarm list are absent."""
        self._periods, self._alarms = periods, alarms

    def read(self, snapshot: Snapshot, point: Point, now_ns: int) -> Reading:
        """Return one point as it is now."""
        if snapshot.is_none:
            return _NEVER
        image = snapshot.image
        time_ns = int(image[point.quantity].time_ns[point.index])
        if snapshot.is_stale(now_ns):
            return Reading(None, Quality.NO_COMMUNICATION, time_ns)
        quality = self._quality(image, point, now_ns)
        return Reading(self._value(image, point) if quality <= WORST_USABLE else None, quality, time_ns)

    def read_image(self, image: Image, point: Point, now_ns: int) -> Reading:
        """Return one point of an image of this very scan, in the process that scans."""
        quality = self._quality(image, point, now_ns)
        time_ns = int(image[point.quantity].time_ns[point.index])
        return Reading(self._value(image, point) if quality <= WORST_USABLE else None, quality, time_ns)

    def _value(self, image: Image, point: Point) -> Value:
        if point.quantity == ALARM_WORDS and self._alarms is not None:
            return self._alarms.lines(image) if point.type is PointType.TEXTS else self._alarms.first(image)
        if point.type is PointType.NUMBERS:
            return _cells(image, point)
        value = image[point.quantity].value[point.index]
        if point.type is PointType.TEXT:
            return limit_reason_text(int(value), self._alarms.names if self._alarms is not None else None)
        return shown(point, value)

    def _quality(self, image: Image, point: Point, now_ns: int) -> Quality:
        """A cell array is as good as its best cell: its bad cells read NaN."""
        if point.quantity == ALARM_WORDS and self._alarms is None:
            return Quality.ABSENT
        values = image[point.quantity]
        own = values.quality[point.index]
        if point.type is PointType.NUMBERS:
            own = own[: point.length].min(initial=Quality.ABSENT)
        ages = self._periods.get(point.quantity)
        if ages is None:
            return Quality(int(own))
        age_ns = now_ns - int(values.time_ns[point.index])
        if age_ns > ages.bad_after_ns[point.index]:
            return Quality(max(int(own), Quality.NO_COMMUNICATION))
        if age_ns > ages.uncertain_after_ns[point.index]:
            return Quality(max(int(own), Quality.UNCERTAIN))
        return Quality(int(own))


def shown(point: Point, value: float) -> float | int | bool:
    """Return what is shown of a stored value that is a number: in face units, as a number of its kind."""
    match point.type:
        case PointType.NUMBER:
            return float(value) * point.factor
        case PointType.BOOL:
            return bool(value)
        case _:
            return int(value)


def _cells(image: Image, point: Point) -> NDArray[np.float32]:
    values = image[point.quantity]
    good = values.quality[point.index, : point.length] <= WORST_USABLE
    shown = values.value[point.index, : point.length] * np.float32(point.factor)
    return np.where(good, shown, np.float32(np.nan))
