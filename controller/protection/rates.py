"""Rates of change over a window: by how much per minute a value rises, from its own samples.

Rule: the newest sample is compared with the one whose age is nearest to the window. Without a sample between half and
one and a half windows old there is no rate: the value is unusable, not zero. New samples of all equipment are taken
over together, once in a sixtieth of the window: a rate over a minute is a second old at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Values
from controller.image.masks import anywhere, everywhere
from controller.image.quality import usable

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Rows = slice | IntArray

_ALL = slice(None)

SLOTS = 8
SHARES = 60
_LONG_AGO_NS = -(2**61)
_NS_PER_MINUTE = 60e9


class RateHistory:
    """Samples of N equipments with W values each (cells; 1 for a scalar); the worst rate per minute [N]."""

    def __init__(self, equipments: int, width: int, window_s: float, sign: int) -> None:
        """Nothing seen yet. `sign` -1: falling is dangerous."""
        self.window_ns = round(window_s * 1e9)
        self.sign = sign
        self.time_ns: IntArray = np.full((SLOTS, equipments), _LONG_AGO_NS, np.int64)
        self.value: NDArray[np.float32] = np.full((SLOTS, equipments, width), np.nan, np.float32)
        self.next_slot: IntArray = np.zeros(equipments, np.int64)
        self.pushed_ns: IntArray = np.full(equipments, _LONG_AGO_NS, np.int64)
        self.last_ns: IntArray = np.full(equipments, -1, np.int64)
        self._taken_ns = _LONG_AGO_NS
        self._each: IntArray = np.arange(equipments)
        self.scalar: BoolArray = np.ones((equipments, 1), np.bool_)
        self.rate: FloatArray = np.full(equipments, np.nan)
        self.cell: IntArray = np.full(equipments, -1, np.int64)

    def add(self, values: Values, present: BoolArray) -> None:
        """Take the samples that are new; `present` [N, W] is false for padding."""
        newest_ns = int(values.time_ns.max(initial=_LONG_AGO_NS))
        if newest_ns - self._taken_ns < self.window_ns // SHARES:
            return
        self._taken_ns = newest_ns
        fresh = values.time_ns != self.last_ns
        rows: Rows = _ALL if everywhere(fresh) else np.flatnonzero(fresh)
        time_ns = self.last_ns[rows] = values.time_ns[rows]
        shape = (len(time_ns), present.shape[1])
        valid = usable(values.quality[rows].reshape(shape)) & present[rows]
        sample = np.where(valid, values.value[rows].reshape(shape), np.nan)
        seen: BoolArray = np.logical_or.reduce(valid, axis=1)
        if not everywhere(seen):
            rows, time_ns, sample = self._each[rows][seen], time_ns[seen], sample[seen]
        self._compare(rows, time_ns, sample)
        self._push(self._each[rows], time_ns, sample)

    def _compare(self, rows: Rows, now_ns: IntArray, values: NDArray[np.floating]) -> None:
        age_ns = now_ns - self.time_ns[:, rows]
        slot, each = np.abs(age_ns - self.window_ns).argmin(axis=0), self._each[: len(now_ns)]
        span_ns = age_ns[slot, each]
        known = (2 * span_ns >= self.window_ns) & (2 * span_ns <= 3 * self.window_ns)
        change = values - self.value[slot, self._each[rows]]
        change = change * (self.sign * _NS_PER_MINUTE / np.maximum(span_ns, 1))[:, None]
        np.copyto(change, -np.inf, where=np.isnan(change) | ~known[:, None])
        cell = change.argmax(axis=1)
        worst = change[each, cell]
        self.rate[rows] = np.where(worst == -np.inf, np.nan, self.sign * worst)
        self.cell[rows] = cell

    def _push(self, rows: IntArray, now_ns: IntArray, values: NDArray[np.floating]) -> None:
        """Keep a sample each quarter of the window, to compare later ones with."""
        due = now_ns - self.pushed_ns[rows] >= self.window_ns // 4
        if not anywhere(due):
            return
        rows, slot = rows[due], self.next_slot[rows[due]]
        self.time_ns[slot, rows] = self.pushed_ns[rows] = now_ns[due]
        self.value[slot, rows] = values[due]
        self.next_slot[rows] = (slot + 1) % SLOTS
