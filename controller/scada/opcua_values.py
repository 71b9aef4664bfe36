"""Between readings and commands on one side and the values and status codes of OPC UA on the other."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from asyncua import ua

from controller.control.commands import Refusal
from controller.image.quality import Quality
from controller.link.plant_view import PlantView
from controller.plant.clock import Clock
from controller.points.point_list import Point, PointType
from controller.scada.opcua_nodes import VARIANT_TYPES
from controller.scada.readings import PointReader, Reading

STATUS = {
    Quality.GOOD: ua.StatusCode(ua.StatusCodes.Good),
    Quality.SUBSTITUTED: ua.StatusCode(ua.StatusCodes.GoodLocalOverride),
    Quality.UNCERTAIN: ua.StatusCode(ua.StatusCodes.UncertainLastUsableValue),
    Quality.NO_COMMUNICATION: ua.StatusCode(ua.StatusCodes.BadNoCommunication),
    Quality.DEVICE_FAILURE: ua.StatusCode(ua.StatusCodes.BadDeviceFailure),
    Quality.NEVER_READ: ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData),
    Quality.ABSENT: ua.StatusCode(ua.StatusCodes.BadNotSupported),
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def status_of(refusal: Refusal) -> ua.StatusCode:
    """Return the status code of a reply."""
    return ua.StatusCode(_REFUSALS[refusal])


def command_value(point: Point, variant: ua.Variant | None) -> float | Refusal:
    """Return what is asked for in base units, or why it can't be taken: wrong type, not finite, out of range."""
    if variant is None or variant.is_array or variant.VariantType != VARIANT_TYPES[point.type]:
        return Refusal.WRONG_TYPE
    value = float(variant.Value)
    if not math.isfinite(value) or not point.range_low <= value <= point.range_high:
        return Refusal.OUT_OF_RANGE
    return value / point.factor


class DataValues:
    """Makes DataValues of points, each with a source time stamp and a status."""

    def __init__(self, view: PlantView, reader: PointReader, clock: Clock) -> None:
        """Take where snapshots come from; the two clocks are aligned at each read."""
        self._view, self._reader, self._clock = view, reader, clock

    def read(self, point: Point) -> ua.DataValue:
        """Return the point as it is now; a bad one has no value."""
        now_ns = self._clock.mono_ns()
        reading = self._reader.read(self._view.snapshot(), point, now_ns)
        return ua.DataValue(
            Value=_variant(point, reading),
            StatusCode=STATUS[reading.quality],
            SourceTimestamp=self._stamp(reading.mono_ns or now_ns, now_ns),
            ServerTimestamp=self._stamp(now_ns, now_ns),
        )

    @staticmethod
    def comparable(value: ua.DataValue) -> object:
        """Return what tells two values apart, NaN in arrays included."""
        inner = value.Value.Value if value.Value else None
        return repr(inner) if isinstance(inner, list) else inner

    def _stamp(self, mono_ns: int, now_ns: int) -> datetime:
        utc_ns = self._clock.utc_ns() - (now_ns - mono_ns)
        return _EPOCH + timedelta(microseconds=utc_ns // 1_000)


def _variant(point: Point, reading: Reading) -> ua.Variant:
    if reading.value is None:
        return ua.Variant(None, ua.VariantType.Null)
    value = reading.value.tolist() if point.type is PointType.NUMBERS else reading.value  # type: ignore[union-attr]  # arrays only
    return ua.Variant(value, VARIANT_TYPES[point.type], is_array=point.type is PointType.NUMBERS)
