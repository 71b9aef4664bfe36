"""The BMS's SOC beside ours: a disagreement that lasts is an alarm, and a jump is recorded, never followed.

A BMS counts charge as we do and now and then sets its SOC anew. What it moves by beyond the charge counted is a jump.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Mask = NDArray[np.bool_]

JUMP_RATIO = 0.025
"""A BMS states its SOC in whole points, and counts with another sensor: so much in a second is neither."""
STEP_RATIO = 0.01
LASTS_NS = 60_000_000_000
SHOWN_NS = 60_000_000_000
LONG_AGO_NS = -(2**62)


@dataclass(frozen=True, slots=True)
class BesideBms:
    """What the BMS said last (NaN: nothing yet) and the charge counted by then, per rack [rack].

    `jump_ratio` is its last jump and `jumped_ns` when; `agreed_ns` when it last lay inside our bounds.
    """

    soc_ratio: Floats
    counted_ratio: Floats
    jump_ratio: Floats
    jumped_ns: Times
    agreed_ns: Times

    def disagrees(self, now_ns: int) -> Mask:
        """Return the racks whose BMS has stood outside our bounds for a while."""
        return np.asarray(now_ns - self.agreed_ns > LASTS_NS)

    def jumped(self, now_ns: int) -> Mask:
        """Return the racks whose BMS jumped just now: long enough to be seen as an event."""
        return np.asarray(now_ns - self.jumped_ns < SHOWN_NS)


def initial_beside(racks: int, now_ns: int) -> BesideBms:
    """Return a state that has heard nothing."""
    none, zero = np.full(racks, np.nan), np.zeros(racks)
    return BesideBms(none, zero, zero, np.full(racks, LONG_AGO_NS), np.full(racks, now_ns, dtype=np.int64))


def listen(
    was: BesideBms, bms_ratio: Floats, counted_ratio: Floats, low_ratio: Floats, high_ratio: Floats, now_ns: int
) -> BesideBms:
    """Return the state after what the BMSs say now; a BMS that says nothing neither agrees nor jumps."""
    heard = np.isfinite(bms_ratio)
    moved = bms_ratio - was.soc_ratio + (counted_ratio - was.counted_ratio)
    jumped = np.abs(moved) > JUMP_RATIO  # false where either is NaN
    outside = (bms_ratio < low_ratio - STEP_RATIO) | (bms_ratio > high_ratio + STEP_RATIO)
    return BesideBms(
        soc_ratio=np.where(heard, bms_ratio, was.soc_ratio),
        counted_ratio=np.where(heard, counted_ratio, was.counted_ratio),
        jump_ratio=np.where(jumped, moved, was.jump_ratio),
        jumped_ns=np.where(jumped, now_ns, was.jumped_ns),
        agreed_ns=np.where(outside, was.agreed_ns, now_ns),
    )
