"""Whether a rack's measurements fit its cell type at all: what the voltage is off by for long, against what was stated.

The filter takes up whatever the voltage lies off in its states, and goes on; a cell file of another cell, a nameplate
or a current of twice the size then ends in a wrong SOC with narrow bounds. So the residual is looked at without what
the filter has learned of errors: squared over all that may make it (model, sensor, resistance, what the SOC is unsure
of), in the mean over half an hour. Near one is right; far above, the error is so many times larger than stated, and so
are the bounds. A resistance that steps measured at half of the type's is none either: age only raises it.
Source: the consistency of innovations, Bar-Shalom, Li and Kirubarajan 2001, chapter 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.unseen import LOST_RATIO

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MEAN_S = 1800.0
SETTLES_S = 1800.0
"""So long after a start, or after a gap in which anything may have flowed, slow pairs and hysteresis still hold what
nobody knows; after a shorter gap for as much less as less may have flowed."""
LEAST_S = 1200.0
"""A mean over less tells nothing."""
FOUND, CLEARED = 3.0, 1.2
"""Mean square over its expectation from which on a misfit is told, and below which it is over."""
RESISTANCE_SHARE = 0.2
"""1-sigma of the resistance for this purpose: an aged cell is no other cell."""
LEAST_RESISTANCE = 0.6
"""Of the cell type's, measured: a core warmer than its surface takes off a fifth, and nothing takes off more."""
MOST = 9.0
"""What one block counts at most: a misfit is what lasts."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Means over about half an hour [rack]: of the residual over its 1-sigma, squared, and of both, V^2.

    `followed_s`: for how long nothing was unseen, at most SETTLES_S; `taken_s`: over how much the means are.
    `resistance_ratio` is what steps measured, over the cell type's; NaN until then.
    """

    ratio: Floats
    residual_v2: Floats
    expected_v2: Floats
    followed_s: Floats
    taken_s: Floats
    resistance_ratio: Floats
    found: Mask

    @property
    def resists_too_little(self) -> Mask:
        """Which racks' measured resistance is below that of any cell of the type."""
        return np.asarray(self.resistance_ratio < LEAST_RESISTANCE)

    @property
    def rms_v(self) -> Floats:
        """What the voltage is off by."""
        return np.sqrt(self.residual_v2)

    @property
    def expected_v(self) -> Floats:
        """What it would be off by in a rack of this cell type."""
        return np.sqrt(self.expected_v2)

    @property
    def widening(self) -> Floats:
        """Return how many times wider the bounds are than stated errors make them: 1 where all fits."""
        return np.where(self.found, np.sqrt(np.maximum(self.ratio, 1.0)), 1.0)

    def soc_error_ratio(self, slope_v: Floats) -> Floats:
        """Return the 1-sigma of SOC that the voltage's whole error is worth on a curve of a slope: 0 where all fits."""
        return np.where(self.found, self.rms_v / slope_v, 0.0)


@dataclass(frozen=True, slots=True)
class Residual:
    """What a block [rack] that took `took_s` lay off, and its 1-sigma.

    `unseen_ratio`: 1-sigma of SOC that may have flowed in it and nobody saw. Racks where `use` is false have nothing to
    tell.
    """

    residual_v: Floats
    expected_v: Floats
    took_s: Floats
    unseen_ratio: Floats
    use: Mask


def initial_misfit(racks: int) -> Misfit:
    """Return a state that has seen nothing."""
    zeros = np.zeros(racks)
    return Misfit(zeros, zeros, zeros, zeros, zeros, np.full(racks, np.nan), np.zeros(racks, dtype=bool))


def follow_misfit(was: Misfit, seen: Residual, resistance_ratio: Floats) -> Misfit:
    """Return the state after a block; where the residual is not to be used its means stay as they are."""
    unsettled_s = SETTLES_S * np.minimum(seen.unseen_ratio / LOST_RATIO, 1.0)
    followed_s = np.minimum(np.maximum(was.followed_s - unsettled_s, 0.0) + seen.took_s, SETTLES_S)
    use = seen.use & (followed_s >= SETTLES_S)
    taken_s = np.minimum(was.taken_s + np.where(use, seen.took_s, 0.0), MEAN_S)
    share = np.where(use, seen.took_s / np.maximum(taken_s, seen.took_s), 0.0)
    residual_v2, expected_v2 = np.where(use, seen.residual_v, 0.0) ** 2, seen.expected_v**2
    ratio = was.ratio + share * (np.minimum(residual_v2 / expected_v2, MOST) - was.ratio)
    lasts = (ratio > FOUND) & (taken_s >= LEAST_S)
    return Misfit(
        ratio=ratio,
        residual_v2=was.residual_v2 + share * (residual_v2 - was.residual_v2),
        expected_v2=was.expected_v2 + share * (expected_v2 - was.expected_v2),
        followed_s=followed_s,
        taken_s=taken_s,
        resistance_ratio=resistance_ratio,
        found=lasts | (was.found & (ratio > CLEARED)) | (resistance_ratio < LEAST_RESISTANCE),
    )
