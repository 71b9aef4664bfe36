"""Between readings and commands on one side and the values and status codes of OPC UA on the other."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from controller.control.commands import Refusal
from controller.image.data_periods import DataPeriods
from controller.image.quality import Quality
from controller.link.plant_view import PlantView, Snapshot
from controller.plant.clock import Clock
from controller.points.point_list import Point, PointType
from controller.scada.opcua.value_types import data_value, date_time, fault, status
from controller.scada.readings import PointReader, Reading

VARIANT_TYPES = {
    PointType.NUMBER: ua.VariantType.Double,
    PointType.NUMBERS: ua.VariantType.Float,
    PointType.CODE: ua.VariantType.Int32,
    PointType.COUNT: ua.VariantType.UInt32,
    PointType.BOOL: ua.VariantType.Boolean,
    PointType.TEXT: ua.VariantType.String,
    PointType.TEXTS: ua.VariantType.String,
}
STATUS = {
    Quality.GOOD: status(ua.StatusCodes.Good),
    Quality.SUBSTITUTED: status(ua.StatusCodes.GoodLocalOverride),
    Quality.UNCERTAIN: status(ua.StatusCodes.UncertainLastUsableValue),
    Quality.NO_COMMUNICATION: status(ua.StatusCodes.BadNoCommunication),
    Quality.DEVICE_FAILURE: status(ua.StatusCodes.BadDeviceFailure),
    Quality.NEVER_READ: status(ua.StatusCodes.BadWaitingForInitialData),
    Quality.ABSENT: status(ua.StatusCodes.BadNotSupported),
}
_REFUSALS = {
    Refusal.NONE: ua.StatusCodes.Good,
    Refusal.OUT_OF_RANGE: ua.StatusCodes.BadOutOfRange,
    Refusal.WRONG_TYPE: ua.StatusCodes.BadTypeMismatch,
    Refusal.NO_RIGHT: ua.StatusCodes.BadUserAccessDenied,
    Refusal.WRONG_STATE: ua.StatusCodes.BadInvalidState,
    Refusal.NOT_OWNER: ua.StatusCodes.BadInvalidState,
    Refusal.UNKNOWN_TARGET: ua.StatusCodes.BadNodeIdUnknown,
    Refusal.BUSY: ua.StatusCodes.BadResourceUnavailable,
    Refusal.TOO_OLD: ua.StatusCodes.BadRequestTimeout,
    Refusal.NO_COMMUNICATION: ua.StatusCodes.BadNoCommunication,
}
NO_VALUE = ua.Variant(None, ua.VariantType.Null)


def status_of(refusal: Refusal) -> ua.StatusCode:
    """Return the status code of a reply."""
    return status(_REFUSALS[refusal])


def command_value(point: Point, variant: ua.Variant | None) -> float | int | Refusal:
    """Return what is asked for in base units, or why it can't be taken: wrong type, not finite, out of range."""
    if variant is None or variant.is_array or variant.VariantType != VARIANT_TYPES[point.type]:
        return Refusal.WRONG_TYPE
    if not math.isfinite(variant.Value) or not point.range_low <= variant.Value <= point.range_high:
        return Refusal.OUT_OF_RANGE
    return int(variant.Value) if point.type is PointType.COUNT else float(variant.Value) / point.factor


class Moment:
    """The plant at one moment: one snapshot, one reading of the clocks, any number of points."""

    def __init__(self, snapshot: Snapshot, reader: PointReader, clock: Clock) -> None:
        """Align the two clocks: sample times are monotonic, time stamps are UTC."""
        self.snapshot, self._reader = snapshot, reader
        self.now_ns = clock.mono_ns()
        self._utc_ahead_ns = clock.utc_ns() - self.now_ns
        self._stamp = date_time(self.now_ns + self._utc_ahead_ns)
        self._stamps: dict[int, ua.DateTime] = {}

    def read(self, point: Point) -> ua.DataValue:
        """Return the point as it is now; a bad one has no value, one without a sample time the present one."""
        return self.made_of(point, self._reader.read(self.snapshot, point, self.now_ns))

    def made_of(self, point: Point, reading: Reading) -> ua.DataValue:
        """Return a reading with its status and its times."""
        return data_value(_variant(point, reading), STATUS[reading.quality], self._time(reading.mono_ns), self._stamp)

    def quality(self, quantity: str, periods: DataPeriods) -> NDArray[np.uint8]:
        """Return the qualities of a whole quantity as they are now."""
        values = self.snapshot.image[quantity]
        if self.snapshot.is_stale(self.now_ns):
            lost = Quality.NEVER_READ if self.snapshot.is_none else Quality.NO_COMMUNICATION
            return np.full(values.quality.shape, lost, np.uint8)
        ages = periods.get(quantity)
        return values.quality if ages is None else ages.quality_now(values.quality, values.time_ns, self.now_ns)

    def _time(self, mono_ns: int) -> ua.DateTime:
        """Many points share one sample time: each is converted once."""
        if not mono_ns:
            return self._stamp
        stamp = self._stamps.get(mono_ns)
        if stamp is None:
            stamp = self._stamps[mono_ns] = date_time(mono_ns + self._utc_ahead_ns)
        return stamp


class Moments:
    """Gives the present moment."""

    def __init__(self, view: PlantView, reader: PointReader, clock: Clock) -> None:
        """Take where snapshots come from."""
        self._view, self._reader, self._clock = view, reader, clock

    def now(self) -> Moment:
        """Return the plant as it is now; raises what the view raises when control runs another site."""
        return Moment(self._view.snapshot(), self._reader, self._clock)


def _variant(point: Point, reading: Reading) -> ua.Variant:
    value: Any = reading.value
    if value is None:
        return NO_VALUE
    if isinstance(value, np.ndarray):
        return ua.Variant(value.tolist(), ua.VariantType.Float, is_array=True)
    if isinstance(value, tuple):
        return ua.Variant(list(value), VARIANT_TYPES[point.type], is_array=True)
    return ua.Variant(value, VARIANT_TYPES[point.type], None, is_array=False)


def part(value: ua.DataValue, index_range: str) -> ua.DataValue:
    """Return elements `a` or `a:b` (both included) of an array's value (OPC 10000-4, 7.27)."""
    low, colon, high = index_range.partition(":")
    if not (low.isdecimal() and (high.isdecimal() or not colon)) or (colon and int(low) >= int(high)):
        return data_value(NO_VALUE, status(ua.StatusCodes.BadIndexRangeInvalid))
    if value.Value is None or value.Value.Value is None:
        return value
    chosen = value.Value.Value[int(low) : int(high or low) + 1] if value.Value.is_array else []
    if not chosen:
        return data_value(NO_VALUE, status(ua.StatusCodes.BadIndexRangeNoData))
    return dataclasses.replace(value, Value=ua.Variant(chosen, value.Value.VariantType, is_array=True))


def with_times(values: list[ua.DataValue], wanted: ua.TimestampsToReturn) -> list[ua.DataValue]:
    """Return the values with the time stamps that were asked for."""
    match wanted:
        case ua.TimestampsToReturn.Both:
            return values
        case ua.TimestampsToReturn.Source:
            return [dataclasses.replace(value, ServerTimestamp=None) for value in values]
        case ua.TimestampsToReturn.Server:
            return [dataclasses.replace(value, SourceTimestamp=None) for value in values]
        case ua.TimestampsToReturn.Neither:
            return [dataclasses.replace(value, SourceTimestamp=None, ServerTimestamp=None) for value in values]
    raise fault(ua.StatusCodes.BadTimestampsToReturnInvalid)
