"""What a rack's cells (or sensors) come down to: highest, lowest, spread, and which cell it was.

Rule: only cells that exist and are usable count. A rack's cells are looked at again when a new sample of them has
arrived, told by their time stamp; between samples the last figures stand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Values
from controller.image.quality import usable
from controller.plant.protection_rows import Reduction

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class CellSummary:
    """Figures [R] of one cell signal; NaN and -1 where no cell is usable."""

    def __init__(self, present: BoolArray) -> None:
        """Nothing seen yet; `present` [R, C] is false for the padding."""
        racks = len(present)
        self.present = present
        self.cells: IntArray = np.count_nonzero(present, axis=1)
        self.time_ns: IntArray = np.full(racks, -1, np.int64)
        self.valid: IntArray = np.zeros(racks, np.int64)
        self.highest: FloatArray = np.full(racks, np.nan)
        self.lowest: FloatArray = np.full(racks, np.nan)
        self.highest_cell: IntArray = np.full(racks, -1, np.int64)
        self.lowest_cell: IntArray = np.full(racks, -1, np.int64)
        self.farthest_cell: IntArray = np.full(racks, -1, np.int64)
        self.usable: BoolArray = np.zeros(racks, np.bool_)
        self.incomplete = False  # some rack's newest sample lacks some cells
        self._sampled = self._told = b""
        self._first = np.arange(racks) * present.shape[1]
        self._tell_tale = self._first.copy()

    def refresh(self, values: Values) -> bool:
        """Look at the racks whose cells were sampled anew; return whether any figure or its usability changed."""
        sampled = values.time_ns.tobytes()
        if sampled != self._sampled:
            self._sampled = sampled
            racks = np.flatnonzero(values.time_ns != self.time_ns)
            self.time_ns[racks] = values.time_ns[racks]
            self._look(racks, values.value[racks], usable(values.quality[racks]) & self.present[racks])
            self.incomplete = bool((self.valid < self.cells).any())
            self._told = b""
        # All cells of one sample grow old together: the highest one tells for all.
        tell_tale = values.quality.reshape(-1)[self._tell_tale]
        told = tell_tale.tobytes()
        if told == self._told:
            return False
        self._told = told
        self.usable = usable(tell_tale) & (self.valid > 0)
        return True

    def figure(self, reduction: Reduction) -> tuple[FloatArray, IntArray]:
        """Return the figure of a reduction and the cell it stands for: for a spread the one farthest from the mean."""
        match reduction:
            case Reduction.HIGHEST:
                return self.highest, self.highest_cell
            case Reduction.LOWEST:
                return self.lowest, self.lowest_cell
            case _:
                return self.highest - self.lowest, self.farthest_cell

    def _look(self, racks: IntArray, value: NDArray[np.float32], valid: BoolArray) -> None:
        each = np.arange(len(racks))
        high, low = np.where(valid, value, -np.inf), np.where(valid, value, np.inf)
        top, bottom = high.argmax(axis=1), low.argmin(axis=1)
        highest, lowest = high[each, top].astype(np.float64), low[each, bottom].astype(np.float64)
        count = np.count_nonzero(valid, axis=1)
        any_valid = count > 0
        mean = np.where(valid, value, 0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
        self.valid[racks] = count
        self.highest[racks] = np.where(any_valid, highest, np.nan)
        self.lowest[racks] = np.where(any_valid, lowest, np.nan)
        self.highest_cell[racks] = np.where(any_valid, top, -1)
        self._tell_tale[racks] = self._first[racks] + top
        self.lowest_cell[racks] = np.where(any_valid, bottom, -1)
        farthest = np.where(highest - mean >= mean - lowest, top, bottom)
        self.farthest_cell[racks] = np.where(any_valid, farthest, -1)
