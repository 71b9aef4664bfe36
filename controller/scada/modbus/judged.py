"""A snapshot's values for faces that show whole arrays: bad ones are NaN, quality judged now.

Each quantity that is asked for also says when its next value will turn uncertain or bad, so that what was made from
them can be kept until then.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.control.sequences.states import OperatingState
from controller.image.data_periods import NEVER_NS, DataPeriods
from controller.image.quality import judge, usable
from controller.link.plant_view import Snapshot

Rows = slice | NDArray[np.int64]
ALL = slice(None)


class Judged:
    """One snapshot at one moment."""

    def __init__(self, snapshot: Snapshot, periods: DataPeriods, now_ns: int) -> None:
        """Take the snapshot; nothing is judged before it is asked for."""
        self._image, self._periods, self.now_ns = snapshot.image, periods, now_ns
        self.valid_until_ns = NEVER_NS

    def numbers(self, quantity: str, rows: Rows = ALL) -> NDArray[np.float64]:
        """Return the values of these rows as numbers, NaN where the quality is bad; cells as [rows, cells]."""
        quality = self._image.array(f"{quantity}.quality")[rows]
        ages = self._periods.get(quantity)
        if ages is not None:
            time_ns = self._image.array(f"{quantity}.time_ns")[rows]
            uncertain_ns, bad_ns = ages.uncertain_after_ns[rows], ages.bad_after_ns[rows]
            self._note(time_ns, uncertain_ns, bad_ns)
            if quality.ndim > 1:
                time_ns, uncertain_ns, bad_ns = time_ns[:, None], uncertain_ns[:, None], bad_ns[:, None]
            quality = judge(quality, time_ns, self.now_ns, uncertain_ns, bad_ns)
        return np.where(usable(quality), self._image.array(f"{quantity}.value")[rows], np.nan)

    def number(self, quantity: str, row: int = 0) -> float:
        """Return one value; NaN if it is bad, or if the row is -1 (no such equipment)."""
        return float(self.numbers(quantity, slice(row, row + 1))[0]) if row >= 0 else np.nan

    def state(self, quantity: str, row: int = 0) -> OperatingState | None:
        """Return an operating state; None if it is bad or unknown."""
        number = self.number(quantity, row)
        return None if np.isnan(number) or number == OperatingState.UNKNOWN else OperatingState(int(number))

    def _note(
        self, time_ns: NDArray[np.int64], uncertain_after_ns: NDArray[np.int64], bad_after_ns: NDArray[np.int64]
    ) -> None:
        for turns in (time_ns + uncertain_after_ns, time_ns + bad_after_ns):
            following = int(turns[turns >= self.now_ns].min(initial=NEVER_NS))
            self.valid_until_ns = min(self.valid_until_ns, following)
