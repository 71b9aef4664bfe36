"""Power that flows without us: converters that are not heard from, and such as do not take commands.

Rule: a converter that falls silent, or whose power is not known, is taken to hold its last command until its own
watchdog must have brought it to zero, or until it says that it does not run, and longer while the meters show that its
power still flows; it is commanded no more than that, and the others leave room for it. Of a converter that gives more
than it was commanded the surplus counts, of one that takes no commands all that it gives. Others make room, they never
push harder to make up for a wrong sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.poi import LossModel, PoiSample

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

STILL_FLOWS_RATIO = 0.5


class Uncontrolled(NamedTuple):
    """`assumed_w` by converter, NaN for those that are heard; their sum and the surplus of others in `total_w`."""

    total_w: float
    assumed_w: list[float] | None  # None: all are heard


def assume_power(
    assumed_w: FloatArray, command_w: FloatArray, unheard: BoolArray, overdue: BoolArray, unseen_w: float
) -> None:
    """Bring what unheard converters are taken to give [P] up to date in place; NaN: heard.

    `overdue`: their watchdogs must have acted, or they say that they do not run. `unseen_w`: what the meters show
    beside all that is heard (NaN: no meter says); while at least half of what was assumed still flows, it stays
    assumed.
    """
    fell_silent = unheard & np.isnan(assumed_w)
    assumed_w[fell_silent] = command_w[fell_silent]
    assumed_w[~unheard] = np.nan
    still_flows = abs(unseen_w) >= STILL_FLOWS_RATIO * abs(float(np.nansum(assumed_w)))
    if not still_flows:
        assumed_w[unheard & overdue] = 0.0


def unseen_power_w(measured_w: FloatArray, sample: PoiSample, losses: LossModel) -> float:
    """Return what the POI meter shows beyond the converters that are heard; NaN without the meter."""
    loss_w = losses.loss_w(sample.active_w, sample.auxiliary_w)
    return sample.active_w + loss_w - float(np.nansum(measured_w))


def room_for(reference_w: float, uncontrolled: Uncontrolled) -> float:
    """Return what is left for the others of what all must give in sum; never more, never the other way round."""
    left_w = reference_w - uncontrolled.total_w
    return max(0.0, min(left_w, reference_w)) if reference_w > 0.0 else min(0.0, max(left_w, reference_w))


def held_command(assumed_w: float, reference_w: float, charge_w: float, discharge_w: float) -> float:
    """Return what an unheard converter is commanded: its last command, within what is asked and allowed now."""
    if reference_w > 0.0:
        return max(0.0, min(assumed_w, reference_w, discharge_w))
    return min(0.0, max(assumed_w, reference_w, -charge_w))
