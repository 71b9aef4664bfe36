"""What converters may be giving because of what they were commanded lately.

Rule: an envelope of the commands of the last moments. It follows a command outwards at once, and inwards no faster than
dead time, measuring and the converter's own ramp allow. A converter that is found giving power was told to by somebody:
its envelope begins there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ENVELOPE_S = 2.0
"""A converter's dead time, ramp and the age of its measurement: so long an old command still explains its power."""


class CommandEnvelope:
    """Highest and lowest power that a command explains [P], W, + = discharge."""

    def __init__(self, rated_w: FloatArray, ramp_w_per_s: FloatArray) -> None:
        """Nothing commanded, nothing seen."""
        self.highest_w, self.lowest_w = np.zeros(len(rated_w)), np.zeros(len(rated_w))
        self._narrowing_w_per_s = np.minimum(rated_w / ENVELOPE_S, ramp_w_per_s)
        self._unseen = len(rated_w) > 0
        self._begun = np.zeros(len(rated_w), np.bool_)

    def follow(self, command_w: FloatArray, measured_w: FloatArray, dt_s: float) -> None:
        """Take a command (NaN: not known) that has stood for `dt_s`; `measured_w` NaN: not known."""
        if self._unseen:
            self._begin(measured_w)
        step_w = self._narrowing_w_per_s * dt_s
        np.fmax(command_w, self.highest_w - step_w, out=self.highest_w)
        np.fmin(command_w, self.lowest_w + step_w, out=self.lowest_w)

    def beyond_w(self, measured_w: FloatArray) -> FloatArray:
        """Return by how much power lies outside zero to what was commanded; the wrong sign counts whole."""
        above = measured_w - np.maximum(self.highest_w, 0.0)
        below = np.minimum(self.lowest_w, 0.0) - measured_w
        beyond: FloatArray = np.maximum(above, below)
        return beyond

    def _begin(self, measured_w: FloatArray) -> None:
        found_w = np.where(self._begun, np.nan, measured_w)
        np.fmax(self.highest_w, found_w, out=self.highest_w)
        np.fmin(self.lowest_w, found_w, out=self.lowest_w)
        self._begun |= ~np.isnan(measured_w)
        self._unseen = not self._begun.all()
