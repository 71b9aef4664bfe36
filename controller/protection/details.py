"""What was seen when something changed: the evidence behind a level or a trip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Details:
    """What was seen when an element changed [n]: value (base unit), cell (-1: none), sample time and its +-."""

    def __init__(self, size: int) -> None:
        """Nothing seen."""
        self.value: FloatArray = np.full(size, np.nan)
        self.cell: IntArray = np.full(size, -1, np.int64)
        self.time_ns: IntArray = np.zeros(size, np.int64)
        self.uncertainty_ns: IntArray = np.zeros(size, np.int64)

    def take(self, other: Details, which: BoolArray) -> None:
        """Take over another's entries where `which` [n] is true."""
        for name in ("value", "cell", "time_ns", "uncertainty_ns"):
            np.copyto(getattr(self, name), getattr(other, name), where=which)

    def copy(self) -> Details:
        """Return the same, apart."""
        copy = Details(len(self.value))
        copy.take(self, np.ones(len(self.value), np.bool_))
        return copy
