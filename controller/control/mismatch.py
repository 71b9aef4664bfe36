"""Measured against commanded power of each converter, by sign.

Rule: less |P| than commanded is a converter limiting itself: share anew among the others and advise. More |P| than
commanded, the wrong sign, or power at command zero escalates by time: alarm and ask again, stop the converter, request
its AC breaker to open. What was commanded is an envelope of the last moments, so a moving command is judged too.

Where a converter shows another power than it was commanded, but the racks show that it gives that, its reading is
wrong, and not its power: nothing is learned from it, nothing shared anew, nobody makes room for it, and it is not
stopped from here (protection, which goes by its reading alone, may do so). That is told after five seconds, until the
two agree under load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.image.masks import anywhere
from controller.protection.command_envelope import CommandEnvelope

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TOLERANCE_RATIO = 0.02
TOLERANCE_MIN_W = 1000.0
SURPLUS_AFTER_S = 1.0
"""Before that it may be an old sample, and making room for it would only be a dip."""
LIMITED_AFTER_S, ALARM_AFTER_S, STOP_AFTER_S, BREAKER_AFTER_S = 2.0, 2.0, 5.0, 10.0
BELIED_RATIO, AGREED_RATIO, LOADED_RATIO = 0.10, 0.05, 0.20
"""Of the rating: the racks' sum is worth some percent, and samples are not of one instant."""
BELIED_AFTER_S = 5.0
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
    reading_wrong: BoolArray  # the racks show another power than it does
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
        self.belied_s = np.zeros(count)
        self.reading_wrong = nothing
        self._nothing = MismatchFindings(nothing, None, nothing, nothing, nothing, nothing, apart=False, surplus_w=None)
        self._quiet = True  # no timer runs, nothing is learned

    def compare(
        self, command_w: FloatArray, measured_w: FloatArray, shown_w: FloatArray, dt_s: float
    ) -> MismatchFindings:
        """Compare and learn. `measured_w` NaN: unknown, timers stand still. `command_w` is that of the scan before.

        `shown_w`: what the racks show of each converter, NaN: they can't.
        """
        self.envelope.follow(command_w, measured_w, dt_s)
        over = measured_w > self.envelope.highest_w + self.tolerance_w
        under = measured_w < self.envelope.lowest_w - self.tolerance_w
        if self._quiet and not anywhere(over | under):
            return self._nothing
        belied = self._are_belied(over | under, measured_w, shown_w, dt_s)
        apart = (over | under) & ~belied
        excess = apart & ((over & (measured_w > self.tolerance_w)) | (under & (measured_w < -self.tolerance_w)))
        known, before_s = ~np.isnan(measured_w), self.excess_s.copy()
        _count(self.excess_s, excess, known, dt_s)
        _count(self.shortfall_s, apart & ~excess & ~self.reading_wrong, known, dt_s)
        self._learn(self.shortfall_s >= LIMITED_AFTER_S, measured_w, dt_s)
        alarm, limited = self.excess_s >= ALARM_AFTER_S, np.isfinite(self.self_limit_w).any(axis=0)
        timers = (self.excess_s, self.shortfall_s, self.belied_s)
        self._quiet = not (any(timer_s.any() for timer_s in timers) or limited.any() or self.reading_wrong.any())
        return MismatchFindings(
            excess_alarm=alarm,
            repeat_command=alarm & (before_s < ALARM_AFTER_S),
            stop=self.excess_s >= STOP_AFTER_S,
            breaker_request=self.excess_s >= BREAKER_AFTER_S,
            limits_itself=limited,
            reading_wrong=self.reading_wrong,
            apart=anywhere(over | under),
            surplus_w=self._surplus_w(excess & (self.excess_s >= SURPLUS_AFTER_S), measured_w),
        )

    def _are_belied(self, apart: BoolArray, measured_w: FloatArray, shown_w: FloatArray, dt_s: float) -> BoolArray:
        """Whose racks give what was commanded, though it shows another power; tell it where it stands for long."""
        commanded, margin_w = self.envelope, BELIED_RATIO * self.rated_w
        given = (shown_w >= commanded.lowest_w - margin_w) & (shown_w <= commanded.highest_w + margin_w)
        apart_w = np.abs(shown_w - measured_w)
        belied: BoolArray = apart & given & (apart_w > margin_w)
        self.belied_s = np.where(belied, self.belied_s + dt_s, 0.0)
        loaded = np.abs(shown_w) > LOADED_RATIO * self.rated_w
        agrees = loaded & (apart_w < AGREED_RATIO * self.rated_w)
        self.reading_wrong = (self.reading_wrong & ~agrees) | (self.belied_s >= BELIED_AFTER_S)
        return belied

    def _surplus_w(self, excess: BoolArray, measured_w: FloatArray) -> FloatArray:
        """What flows beyond the envelope of what was commanded, + = discharge."""
        commanded = self.envelope
        beyond_w = measured_w - np.minimum(np.maximum(measured_w, commanded.lowest_w), commanded.highest_w)
        return np.where(excess, beyond_w, 0.0)

    def believed_w(self, measured_w: FloatArray, shown_w: FloatArray) -> FloatArray:
        """Return the powers, by the racks where those belie the converter."""
        if self._quiet:
            return measured_w
        return np.where(self.reading_wrong | (self.belied_s > 0.0), shown_w, measured_w)

    def forget(self) -> None:
        """Begin anew after a reset."""
        for timer_s in (self.excess_s, self.shortfall_s, self.belied_s):
            timer_s.fill(0.0)
        self.reading_wrong = np.zeros(len(self.rated_w), np.bool_)
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
