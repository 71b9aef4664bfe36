"""Measured against commanded power of each converter, by sign.

Rule: less |P| than commanded is a converter limiting itself: share anew among the others and advise. More |P| than
commanded, the wrong sign, or power at command zero escalates by time: alarm and ask again, stop the converter, request
its AC breaker to open. What was commanded is an envelope of the last moments, so a moving command is judged too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.masks import anywhere
from controller.protection.command_envelope import CommandEnvelope

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TOLERANCE_RATIO = 0.02
TOLERANCE_MIN_W = 1000.0
SURPLUS_AFTER_S = 1.0
"""Before that it may be an old sample, and making room for it would only be a dip."""
LIMITED_AFTER_S, ALARM_AFTER_S, STOP_AFTER_S, BREAKER_AFTER_S = 2.0, 2.0, 5.0, 10.0
RELEASE_RATIO_PER_S = 0.002
"""A learned limit rises again so fast: 1 % of rating in 5 s, until the converter falls short once more."""


@dataclass(frozen=True, slots=True, eq=False)
class MismatchFindings:
    """Findings of a scan [P]."""

    excess_alarm: BoolArray
    repeat_command: BoolArray | None  # in the scan in which the alarm came
    stop: BoolArray
    breaker_request: BoolArray
    limits_itself: BoolArray
    apart: bool  # some measured power is not what was commanded
    surplus_w: FloatArray | None  # [P] what flows beyond what was commanded; None: nothing


class Mismatch:
    """Memory of the comparison [P]. Owned by control's state."""

    def __init__(self, rated_w: FloatArray, ramp_w_per_s: FloatArray) -> None:
        """Nothing commanded, nothing learned."""
        count = len(rated_w)
        self.rated_w = rated_w
        self.tolerance_w = np.maximum(TOLERANCE_RATIO * rated_w, TOLERANCE_MIN_W)
        self.envelope = CommandEnvelope(rated_w, ramp_w_per_s)
        self.excess_s, self.shortfall_s = np.zeros(count), np.zeros(count)
        self.self_limit_w = np.full((2, count), np.inf)
        nothing = np.zeros(count, np.bool_)
        self._nothing = MismatchFindings(nothing, None, nothing, nothing, nothing, apart=False, surplus_w=None)
        self._quiet = True  # no timer runs, nothing is learned

    def compare(self, command_w: FloatArray, measured_w: FloatArray, dt_s: float) -> MismatchFindings:
        """Compare and learn. `measured_w` NaN: unknown, timers stand still. `command_w` is that of the scan before."""
        self.envelope.follow(command_w, measured_w, dt_s)
        over = measured_w > self.envelope.highest_w + self.tolerance_w
        under = measured_w < self.envelope.lowest_w - self.tolerance_w
        if self._quiet and not anywhere(over | under):
            return self._nothing
        excess = (over & (measured_w > self.tolerance_w)) | (under & (measured_w < -self.tolerance_w))
        known, before_s = ~np.isnan(measured_w), self.excess_s.copy()
        _count(self.excess_s, excess, known, dt_s)
        _count(self.shortfall_s, (over | under) & ~excess, known, dt_s)
        self._learn(self.shortfall_s >= LIMITED_AFTER_S, measured_w, dt_s)
        alarm, limited = self.excess_s >= ALARM_AFTER_S, np.isfinite(self.self_limit_w).any(axis=0)
        self._quiet = not (self.excess_s.any() or self.shortfall_s.any() or limited.any())
        return MismatchFindings(
            excess_alarm=alarm,
            repeat_command=alarm & (before_s < ALARM_AFTER_S),
            stop=self.excess_s >= STOP_AFTER_S,
            breaker_request=self.excess_s >= BREAKER_AFTER_S,
            limits_itself=limited,
            apart=anywhere(over | under),
            surplus_w=self._surplus_w(excess & (self.excess_s >= SURPLUS_AFTER_S), measured_w),
        )

    def _surplus_w(self, excess: BoolArray, measured_w: FloatArray) -> FloatArray:
        """What flows beyond the envelope of what was commanded, + = discharge."""
        commanded = self.envelope
        beyond_w = measured_w - np.minimum(np.maximum(measured_w, commanded.lowest_w), commanded.highest_w)
        return np.where(excess, beyond_w, 0.0)

    def forget(self) -> None:
        """Begin anew after a reset."""
        for timer_s in (self.excess_s, self.shortfall_s):
            timer_s.fill(0.0)
        self.self_limit_w.fill(np.inf)

    def _learn(self, falls_short: BoolArray, measured_w: FloatArray, dt_s: float) -> None:
        """Bound a converter that falls short to what it delivers; let the bound rise again slowly."""
        limit_w = self.self_limit_w
        if falls_short.any():
            charging = self.envelope.highest_w < 0.0
            learned = np.where(falls_short, np.abs(measured_w) + 0.5 * self.tolerance_w, np.inf)
            np.minimum(limit_w[0], np.where(charging, learned, np.inf), out=limit_w[0])
            np.minimum(limit_w[1], np.where(charging, np.inf, learned), out=limit_w[1])
            self.shortfall_s[falls_short] = 0.0
        limit_w += self.rated_w * (RELEASE_RATIO_PER_S * dt_s)
        limit_w[limit_w >= self.rated_w] = np.inf


def _count(timer_s: FloatArray, active: BoolArray, known: BoolArray, dt_s: float) -> None:
    timer_s[active] += dt_s
    timer_s[known & ~active] = 0.0
