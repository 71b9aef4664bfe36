"""Rates of change over a window: by how much per minute a value rises, from its own samples.

Rule: the newest sample is compared with the one whose age is nearest to the window. Without a sample between half and
one and a half windows old there is no rate: the value is unusable, not zero. New samples of all equipment are taken
over together, once in a sixtieth of the window: a rate over a minute is a second old at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.image import Values
from controller.image.quality import usable

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

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
        self.scalar: BoolArray = np.ones((equipments, 1), np.bool_)
        self.rate: FloatArray = np.full(equipments, np.nan)
        self.cell: IntArray = np.full(equipments, -1, np.int64)

    def add(self, values: Values, present: BoolArray) -> None:
        """Take the samples that are new; `present` [N, W] is false for padding."""
        newest_ns = int(values.time_ns.max(initial=_LONG_AGO_NS))
        if newest_ns - self._taken_ns < self.window_ns // SHARES:
            return
        self._taken_ns = newest_ns
        fresh = np.flatnonzero(values.time_ns != self.last_ns)
        self.last_ns[fresh] = values.time_ns[fresh]
        shape = (len(fresh), present.shape[1])
        valid = usable(values.quality[fresh].reshape(shape)) & present[fresh]
        sample = np.where(valid, values.value[fresh].reshape(shape), np.nan)
        seen = valid.any(axis=1)
        self._compare(fresh[seen], values.time_ns[fresh[seen]], sample[seen])
        self._push(fresh[seen], values.time_ns[fresh[seen]], sample[seen])

    def _compare(self, fresh: IntArray, now_ns: IntArray, values: NDArray[np.floating]) -> None:
        age_ns = now_ns - self.time_ns[:, fresh]
        slot = np.abs(age_ns - self.window_ns).argmin(axis=0)
        span_ns = age_ns[slot, np.arange(len(fresh))]
        known = (2 * span_ns >= self.window_ns) & (2 * span_ns <= 3 * self.window_ns)
        change = self.sign * (values - self.value[slot, fresh]) * (_NS_PER_MINUTE / np.maximum(span_ns, 1))[:, None]
        change = np.where(np.isnan(change) | ~known[:, None], -np.inf, change)
        cell = change.argmax(axis=1)
        worst = change[np.arange(len(fresh)), cell]
        self.rate[fresh] = np.where(np.isneginf(worst), np.nan, self.sign * worst)
        self.cell[fresh] = cell

    def _push(self, fresh: IntArray, now_ns: IntArray, values: NDArray[np.floating]) -> None:
        due = now_ns - self.pushed_ns[fresh] >= self.window_ns // 4
        rows, slot = fresh[due], self.next_slot[fresh[due]]
        self.time_ns[slot, rows] = self.pushed_ns[rows] = now_ns[due]
        self.value[slot, rows] = values[due]
        self.next_slot[rows] = (slot + 1) % SLOTS
