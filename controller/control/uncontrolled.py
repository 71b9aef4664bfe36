"""Power that flows without us: converters that are not heard from, and such as do not take commands.

Rule: a converter that falls silent, or whose power is not known, may be giving what it last gave, and whatever it has
been commanded since the moments before: nobody knows which of its commands it heard. Each limit counts the worse end of
that, until the converter's own watchdog must have brought it to zero, or until it says that it does not run, and longer
while the meters show that its power still flows. The watchdog runs from when its heartbeat is withheld; the meters may
say sooner, once it can have acted, that the power is gone. An unheard converter is commanded no more than it may be
giving, and the others leave room for it. Of a converter that gives more than it was commanded the surplus counts, of
one that takes no commands all that it gives. Others make room, they never push harder to make up for a wrong sign;
beyond zero they go only where a limit at the POI asks for it (`poi_guard`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.poi import LossModel, PoiSample

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

STILL_FLOWS_RATIO = 0.5


class Uncontrolled(NamedTuple):
    """What may flow (lowest, highest) W, + = discharge: in sum, surplus included, and of each converter, NaN: heard."""

    total_w: tuple[float, float]
    assumed_w: list[tuple[float, float]] | None  # None: all are heard
    surplus_w: list[float] | None = None  # of each that is heard, what it was not asked for; None: nothing of any

    @property
    def any(self) -> bool:
        """Whether anything may flow."""
        return self.total_w != NOTHING_W

    @property
    def not_following(self) -> int | None:
        """The first converter that is heard and gives what it was not asked for."""
        return next((index for index, surplus_w in enumerate(self.surplus_w or ()) if surplus_w), None)

    def towards(self, reference_w: float) -> float:
        """Return the sum that leaves the others the least room on the way to `reference_w`."""
        return self.total_w[_end(reference_w)]


NOTHING_W = (0.0, 0.0)


def _end(reference_w: float) -> int:
    """Which of (lowest, highest) counts on the way to a power."""
    return 1 if reference_w > 0.0 else 0


class Unheard(NamedTuple):
    """Which converters [P] are not heard, and whose watchdogs may or must have acted, or that say they do not run."""

    unheard: BoolArray
    may_be_off: BoolArray
    must_be_off: BoolArray


class Commanded(NamedTuple):
    """What converters [P] may have been told: now, and lowest and highest in the last moments; and their last power."""

    now_w: FloatArray
    lowest_w: FloatArray
    highest_w: FloatArray
    given_w: FloatArray


def assume_power(assumed_w: FloatArray, commanded: Commanded, silence: Unheard, unseen_w: float) -> None:
    """Bring what unheard converters may be giving [(lowest, highest), P] up to date in place; NaN: heard.

    `unseen_w`: what the meters show beside all that is heard (NaN: no meter says). At least half of what may flow
    counts as all of it.
    """
    unheard = silence.unheard
    fell_silent = unheard & np.isnan(assumed_w[0])
    assumed_w[0, fell_silent] = np.fmin(commanded.lowest_w, commanded.given_w)[fell_silent]
    assumed_w[1, fell_silent] = np.fmax(commanded.highest_w, commanded.given_w)[fell_silent]
    assumed_w[:, ~unheard] = np.nan
    at_zero = (assumed_w == 0.0).all(axis=0)  # its watchdog has acted: it takes no command any more
    np.minimum(assumed_w[0], commanded.now_w, out=assumed_w[0], where=~at_zero)
    np.maximum(assumed_w[1], commanded.now_w, out=assumed_w[1], where=~at_zero)
    lowest_w, highest_w = np.nansum(assumed_w, axis=1).tolist()
    flows = (unseen_w >= STILL_FLOWS_RATIO * highest_w > 0.0) or (unseen_w <= STILL_FLOWS_RATIO * lowest_w < 0.0)
    if not flows:
        off = silence.must_be_off if math.isnan(unseen_w) else silence.may_be_off
        assumed_w[:, unheard & off] = 0.0


def unseen_power_w(measured_w: FloatArray, sample: PoiSample, losses: LossModel) -> float:
    """Return what the POI meter shows beyond the converters that are heard; NaN without the meter."""
    loss_w = losses.loss_w(sample.active_w, sample.auxiliary_w)
    return sample.active_w + loss_w - float(np.where(np.isnan(measured_w), 0.0, measured_w).sum())


def room_for(reference_w: float, uncontrolled: Uncontrolled) -> float:
    """Return what is left for the others of what all must give in sum; never more, never the other way round."""
    left_w = reference_w - uncontrolled.towards(reference_w)
    return max(0.0, min(left_w, reference_w)) if reference_w > 0.0 else min(0.0, max(left_w, reference_w))


def held_command(assumed_w: tuple[float, float], reference_w: float, charge_w: float, discharge_w: float) -> float:
    """Return what an unheard converter is commanded: what it may be giving, within what is asked and allowed now."""
    if reference_w > 0.0:
        return max(0.0, min(assumed_w[1], reference_w, discharge_w))
    return min(0.0, max(assumed_w[0], reference_w, -charge_w))
