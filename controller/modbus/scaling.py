"""Scaling between raw numbers and base units, kept as whole numbers so that 3650 x 0.001 V is 3.65 V to the last bit.

Rule: value = (raw * numerator + addend) / denominator. A scale of 0.001 is the fraction 1/1000, and dividing by 1000
rounds once, where multiplying by the double nearest to 0.001 rounds twice and may land beside a limit typed as 3.65.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE_FACTOR_MAX = 10
_POWERS = np.array([10.0**exponent for exponent in range(SCALE_FACTOR_MAX + 1)])


Part = float | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scaling:
    """value = (raw * numerator + addend) / denominator; the parts are numbers, or arrays that broadcast."""

    numerator: Part = 1.0
    addend: Part = 0.0
    denominator: Part = 1.0

    def value(self, raw: NDArray[Any], dtype: type[np.floating] = np.float64) -> NDArray[np.floating]:
        """Return raw numbers in base units, computed in `dtype`; steps that change nothing are left out."""
        values = raw.astype(dtype)
        if not _is(self.numerator, 1.0):
            values *= np.asarray(self.numerator, dtype)
        if not _is(self.addend, 0.0):
            values += np.asarray(self.addend, dtype)
        if not _is(self.denominator, 1.0):
            values /= np.asarray(self.denominator, dtype)
        return values

    def raw(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return values in base units as raw numbers, not yet rounded."""
        return (np.asarray(values, np.float64) * self.denominator - self.addend) / self.numerator

    def shifted(self, exponent: NDArray[np.integer]) -> Scaling:
        """Return the scaling of raw numbers that carry a scale factor: value(raw * 10**exponent), |exponent| <= 10."""
        down = _POWERS[np.maximum(-exponent, 0)]
        return Scaling(self.numerator * _POWERS[np.maximum(exponent, 0)], self.addend * down, self.denominator * down)


IDENTITY = Scaling()


def scaling(
    scale: float = 1.0, offset: float = 0.0, unit_factor: float = 1.0, unit_offset: float = 0.0, sign: int = 1
) -> Scaling:
    """Return the scaling of `sign * ((raw * scale + offset) * unit_factor + unit_offset)`; numbers as a person typed.

    Raises ValueError if all raw numbers would mean the same value.
    """
    gain = sign * _exact(scale) * _exact(unit_factor)
    shift = sign * (_exact(offset) * _exact(unit_factor) + _exact(unit_offset))
    if gain == 0:
        raise ValueError("the scale is 0: every raw number would mean the same value")
    denominator = math.lcm(gain.denominator, shift.denominator)
    made = Scaling(float(gain * denominator), float(shift * denominator), float(denominator))
    return IDENTITY if made == IDENTITY else made


def joined(parts: Sequence[tuple[Scaling, int]]) -> Scaling:
    """Return one scaling for the elements of several points side by side: `(scaling, elements)` each.

    Numbers stay numbers where all points agree, which spares a vector operation.
    """
    return Scaling(
        _column([(part.numerator, count) for part, count in parts]),
        _column([(part.addend, count) for part, count in parts]),
        _column([(part.denominator, count) for part, count in parts]),
    )


def _is(part: Part, value: float) -> bool:
    return isinstance(part, float) and part == value


def _column(parts: Sequence[tuple[Part, int]]) -> Part:
    columns = [np.broadcast_to(part, count) for part, count in parts]
    joined_column = np.concatenate(columns)
    return float(joined_column[0]) if (joined_column == joined_column[0]).all() else joined_column


def _exact(value: float) -> Fraction:
    return Fraction(repr(float(value)))
