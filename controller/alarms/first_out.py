"""First-out: which of the trips that stand in a block came first, as far as their times can tell.

Rule: a trip happened somewhere within its sample time +- uncertainty. First is every trip whose interval reaches as
far back as the earliest interval's end: one candidate is the first-out, several mean "order not decidable" and all
are named. A mark stays until every trip of that episode is normal again.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class FirstOut(IntEnum):
    """The mark of one alarm; the number is what SCADA sees."""

    NO = 0
    FIRST = 1
    UNDECIDABLE = 2  # one of several that may have been first


def candidates(time_ns: IntArray, uncertainty_ns: IntArray) -> BoolArray:
    """Return which of at least one event may have been the first."""
    earliest_end: int = (time_ns + uncertainty_ns).min()
    may_be: BoolArray = (time_ns - uncertainty_ns) <= earliest_end
    return may_be


def mark(time_ns: IntArray, uncertainty_ns: IntArray) -> NDArray[np.uint8]:
    """Return the marks of all trips of one episode."""
    first = candidates(time_ns, uncertainty_ns)
    alone = np.count_nonzero(first) == 1
    return np.where(first, FirstOut.FIRST if alone else FirstOut.UNDECIDABLE, FirstOut.NO).astype(np.uint8)
