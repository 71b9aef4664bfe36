"""On- and off-delays of all elements: a condition must hold for its delay, in time that was really observed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class Delays:
    """Timers of one shape ([3, M] or [M]).

    Rule: elapsed time is the sum of scan intervals at both ends of which the condition was known to hold. Where the
    value is lost the timer freezes: it neither runs on (a lost sample never fires a trip) nor starts over (a value
    that keeps coming and going can't hide one). A known value that does not meet the condition sets it to zero.
    """

    def __init__(self, delay_ns: IntArray) -> None:
        """Start with nothing running."""
        self.delay_ns = delay_ns
        self.elapsed_ns: IntArray = np.zeros_like(delay_ns)
        self.running: BoolArray = np.zeros(delay_ns.shape, np.bool_)
        self.was_known: BoolArray = np.zeros(delay_ns.shape[-1], np.bool_)

    def advance(self, condition: BoolArray, known: BoolArray, dt_ns: int) -> tuple[BoolArray, BoolArray]:
        """Take one scan's conditions; return (has held for its delay, began in this scan).

        `known` [M] says where the condition may be believed.
        """
        met = condition & known
        began = met & ~self.running
        self.elapsed_ns += np.where(met & self.running & self.was_known, dt_ns, 0)
        self.running = np.where(known, condition, self.running)
        self.elapsed_ns[~self.running] = 0
        self.was_known = known
        return met & (self.elapsed_ns >= self.delay_ns), began
