"""The registers of one unit's SunSpec chain: laid out once, all values of a snapshot encoded in one go.

Rule: scale factors follow from ratings and never change; a value is rounded to its scale factor; NaN and what does not
fit read as "not implemented". What is given no value stays "not implemented" from the start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from controller.modbus.registers import RegisterType
from controller.modbus.sunspec_image import ModelCounts, ServedField, SunSpecImage

Path = tuple[int, str]
"""Model number and the point's path in it, as in `(803, "string.StrA")`."""
Values = Mapping[Path, ArrayLike]
"""One number a point, or one for each place where the point stands: model after model, then group after group."""

HEADROOM_RATIO = 1.2
LARGEST_U16, LARGEST_I16, LARGEST_I32 = 65_534, 32_767, 2**31 - 1


def exponent_for(rating: float, room: int = LARGEST_I16, lowest: int = -3) -> int:
    """Return the scale factor that shows the most digits of values up to a rating and a fifth more."""
    if rating <= 0.0:
        return lowest
    return max(lowest, math.ceil(math.log10(rating * HEADROOM_RATIO / room)))


@dataclass(frozen=True, slots=True)
class _Point:
    """Where a point stands (first words), how it is coded, its scale factor."""

    first: NDArray[np.int64]
    kind: RegisterType
    scale: float


@dataclass(frozen=True, slots=True)
class _Coding:
    """All values of a unit as one vector: scale, range and "not implemented" of each; and its words' places."""

    parts: tuple[slice, ...]  # each point's
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    missing: NDArray[np.int64]
    places: tuple[tuple[NDArray[np.int64], NDArray[np.int64], int], ...]  # rows, words, right shift


class ChainRegisters:
    """One chain of models at 40000."""

    def __init__(self, models: ModelCounts, scale_factors: Mapping[Path, int], texts: Mapping[Path, str]) -> None:
        """Lay out the models; `scale_factors` and `texts` are put into every model of their number."""
        image = SunSpecImage(models)
        occurrences = _occurrences(image.fields)
        for (model, path), exponent in scale_factors.items():
            for occurrence in range(occurrences[model]):
                image.put(model, path, exponent, occurrence)
        for (model, path), text in texts.items():
            image.put_text(model, path, text)
        self.base = image.base
        self.size = image.words.size
        self._template = image.words
        self._points = _points(image, scale_factors)
        self._coded: tuple[tuple[Path, ...], _Coding] | None = None

    def encode(self, values: Values) -> bytes:
        """Return all registers with these values in them; quick while the points are the same as the last time."""
        paths = tuple(values)
        if self._coded is None or self._coded[0] != paths:
            self._coded = paths, _coding([self._points[path] for path in paths])
        coding = self._coded[1]
        vector = np.empty(coding.scale.size)
        for part, value in zip(coding.parts, values.values(), strict=True):
            vector[part] = value
        registers = self._template.copy()
        raw = _raw(vector, coding)
        for rows, words, shift in coding.places:
            registers[words] = (raw[rows] >> shift) & 0xFFFF
        return registers.tobytes()

    def places(self, paths: Mapping[Path, Any]) -> dict[int, tuple[Path, int, RegisterType]]:
        """Return, for each register of these points, the point's path, its first register and its type."""
        return {
            self.base + first + word: (path, self.base + first, self._points[path].kind)
            for path in paths
            if path in self._points
            for first in self._points[path].first.tolist()
            for word in range(self._points[path].kind.words)
        }


def _occurrences(fields: tuple[ServedField, ...]) -> dict[int, int]:
    return {field.model: field.occurrence + 1 for field in fields}


def _points(image: SunSpecImage, scale_factors: Mapping[Path, int]) -> dict[Path, _Point]:
    first: dict[Path, list[int]] = {}
    points: dict[Path, _Point] = {}
    for served in image.fields:
        path = (served.model, served.field.path)
        first.setdefault(path, []).append(served.address - image.base)
    for served in image.fields:
        path, point = (served.model, served.field.path), served.field.point
        if path not in points and point.kind.dtype:
            named = scale_factors.get((served.model, str(point.scale_factor)), 0)
            exponent = point.scale_factor if isinstance(point.scale_factor, int) else named
            points[path] = _Point(np.array(first[path], np.int64), point.kind, 10.0**exponent)
    return points


def _coding(points: list[_Point]) -> _Coding:
    def each(number: Any) -> NDArray[Any]:  # noqa: ANN401 - a function of a point
        return np.concatenate([np.full(p.first.size, number(p)) for p in points])

    ends = np.cumsum([p.first.size for p in points]).tolist()
    width, first = each(lambda p: p.kind.words), np.concatenate([p.first for p in points])
    return _Coding(
        parts=tuple(slice(end - p.first.size, end) for p, end in zip(points, ends, strict=True)),
        scale=each(lambda p: p.scale),
        low=each(lambda p: _span(p.kind)[0]),
        high=each(lambda p: _span(p.kind)[1]),
        missing=each(lambda p: int.from_bytes(p.kind.not_implemented, signed=True)),
        places=tuple(
            (rows, first[rows] + word, 16 * (words - 1 - word))
            for words in sorted(set(width.tolist()))
            for rows in [np.flatnonzero(width == words)]
            for word in range(words)
        ),
    )


def _span(kind: RegisterType) -> tuple[float, float]:
    """Return the range of a type without its "not implemented"; 64 bits end where int64 does."""
    bits = min(16 * kind.words, 62)
    if kind.dtype[1] == "i":
        return -(2.0 ** (bits - 1)) + 1, 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 2


def _raw(values: NDArray[np.float64], coding: _Coding) -> NDArray[np.int64]:
    scaled = np.rint(values / coding.scale)
    fits = (scaled >= coding.low) & (scaled <= coding.high)  # False for NaN
    return np.where(fits, np.where(fits, scaled, 0.0).astype(np.int64), coding.missing)
