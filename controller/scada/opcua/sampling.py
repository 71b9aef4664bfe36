"""Which monitored points have changed: compared as whole arrays, a few times a second.

Rule: only points that somebody monitors are compared, all points of one quantity in one operation: the value's bits,
the quality as it is now, and for those who ask for it the sample time. Only what changed is made into a value and
handed to its listeners. So ten thousand points that stand still cost next to nothing, and a controller that falls
silent is noticed by everybody within one pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from controller.image.data_periods import DataPeriods
from controller.image.quality import WORST_USABLE, Quality, usable
from controller.points.point_list import Point, PointType
from controller.scada.opcua.values import Moment
from controller.scada.readings import Reading, shown

_MADE_OF_WORDS = frozenset({PointType.TEXT, PointType.TEXTS})


class Listener(Protocol):
    """A monitored item of a point."""

    @property
    def wants_times(self) -> bool:
        """Whether a new sample time alone is news."""

    def offer(self, value: ua.DataValue) -> None:
        """Take a value that has changed."""


class Sampler:
    """All monitored points of a face."""

    def __init__(self, periods: DataPeriods) -> None:
        """Watch nothing yet."""
        self._periods = periods
        self._quantities: dict[str, _Watched] = {}

    def watch(self, point: Point, listener: Listener) -> None:
        """Tell this listener of changes from now on; the first pass offers the present value."""
        watched = self._quantities.get(point.quantity)
        if watched is None:
            watched = self._quantities[point.quantity] = _Watched(point.quantity)
        watched.add(point, listener)

    def unwatch(self, point: Point, listener: Listener) -> None:
        """Tell it no more."""
        watched = self._quantities[point.quantity]
        watched.remove(point, listener)
        if not watched:
            del self._quantities[point.quantity]

    def changes(self, moment: Moment) -> Iterator[tuple[ua.DataValue, tuple[Listener, ...]]]:
        """Yield the value of each point that has changed since the last pass, and who listens.

        Points may be watched and unwatched between two values.
        """
        for watched in tuple(self._quantities.values()):
            yield from watched.changes(moment, self._periods)


class _Watched:
    """The monitored points of one quantity, and what was last shown of each."""

    def __init__(self, quantity: str) -> None:
        self._quantity = quantity
        self._listeners: dict[str, tuple[Point, list[Listener]]] = {}
        self._points: list[Point] = []
        self._rows: NDArray[np.int64] = np.empty(0, np.int64)
        self._timed: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._bits: NDArray[np.unsignedinteger] | None = None
        self._quality: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._time_ns: NDArray[np.int64] = np.empty(0, np.int64)
        self._is_arranged = False

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, point: Point, listener: Listener) -> None:
        self._listeners.setdefault(point.tag, (point, []))[1].append(listener)
        self._is_arranged = False

    def remove(self, point: Point, listener: Listener) -> None:
        listeners = self._listeners[point.tag][1]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[point.tag]
        self._is_arranged = False

    def changes(self, moment: Moment, periods: DataPeriods) -> Iterator[tuple[ua.DataValue, tuple[Listener, ...]]]:
        if not self._is_arranged:
            self._arrange()
        changed = np.flatnonzero(self._changed(moment, periods))
        points = [self._points[position] for position in changed.tolist()]
        for point, reading in zip(points, self._readings(points, changed, moment), strict=True):
            listeners = self._listeners.get(point.tag)
            if listeners is not None:
                yield (moment.made_of(point, reading) if reading else moment.read(point)), tuple(listeners[1])

    def _readings(self, points: list[Point], changed: NDArray[np.int64], moment: Moment) -> Iterable[Reading | None]:
        """Return the readings of changed points from the arrays at hand; None for what is read one by one."""
        values = moment.snapshot.image[self._quantity]
        if values.value.ndim > 1 or any(point.type in _MADE_OF_WORDS for point in points):
            return itertools.repeat(None, len(points))
        rows = self._rows[changed]
        columns = (values.value[rows].tolist(), self._quality[changed].tolist(), self._time_ns[changed].tolist())
        return (
            Reading(shown(point, value) if quality <= WORST_USABLE else None, Quality(quality), time_ns)
            for point, value, quality, time_ns in zip(points, *columns, strict=True)
        )

    def _arrange(self) -> None:
        """Line up the points anew; everything counts as changed once (whoever knows a value already drops it)."""
        self._points = [point for point, _ in self._listeners.values()]
        self._rows = np.array([point.index for point in self._points], np.int64)
        wishes = (any(one.wants_times for one in listeners) for _, listeners in self._listeners.values())
        self._timed = np.fromiter(wishes, np.bool_, len(self._points))
        self._bits = None
        self._is_arranged = True

    def _changed(self, moment: Moment, periods: DataPeriods) -> NDArray[np.bool_]:
        """Compare with what was last shown, and remember what is shown now."""
        values = moment.snapshot.image[self._quantity]
        quality = moment.quality(self._quantity, periods)[self._rows]
        time_ns = values.time_ns[self._rows]
        value = values.value[self._rows]
        bits = np.where(usable(quality), value, value.dtype.type(0)).view(f"u{value.dtype.itemsize}")
        if self._bits is None:
            changed = np.ones(len(self._rows), np.bool_)
        else:
            differs = (bits != self._bits) | (quality != self._quality)
            changed = differs if differs.ndim == 1 else differs.any(axis=1)
            changed |= self._timed & (time_ns != self._time_ns)
        self._bits, self._quality, self._time_ns = bits, quality, time_ns
        return changed
