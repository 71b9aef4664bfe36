"""Measured against commanded power of each converter, by sign.

Rule: less |P| than commanded is a converter limiting itself: share anew among the others and advise. More |P| than
commanded, the wrong sign, or power at command zero escalates by time: alarm and ask again, stop the converter, request
its AC breaker to open. What was commanded is an envelope of the last moments, so a moving command is judged too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

TOLERANCE_RATIO = 0.02
TOLERANCE_MIN_W = 1000.0
ENVELOPE_S = 2.0
"""A converter's dead time, ramp and the age of its measurement: so long an old command still explains its power."""
LIMITED_AFTER_S, ALARM_AFTER_S, STOP_AFTER_S, BREAKER_AFTER_S = 2.0, 2.0, 5.0, 10.0
RELEASE_RATIO_PER_S = 0.002
"""A learned limit rises again so fast: 1 % of rating in 5 s, until the converter falls short once more."""


class Mismatch(NamedTuple):
    """Memory of the comparison [P]. Owned by control's state; changed in place."""

    highest_w: FloatArray  # envelope of the commands
    lowest_w: FloatArray
    excess_s: FloatArray
    shortfall_s: FloatArray
    self_limit_w: FloatArray  # [2, P], inf: none


def no_mismatch(converters: int) -> Mismatch:
    """Nothing commanded, nothing learned."""
    highest_w, lowest_w, excess_s, shortfall_s = np.zeros((4, converters))
    return Mismatch(highest_w, lowest_w, excess_s, shortfall_s, np.full((2, converters), np.inf))


@dataclass(frozen=True, slots=True)
class MismatchFindings:
    """Findings of this scan [P]."""

    excess_alarm: BoolArray
    repeat_command: BoolArray  # in the scan in which the alarm came
    stop: BoolArray
    breaker_request: BoolArray
    limits_itself: BoolArray


def compare_power(
    mismatch: Mismatch,
    command_w: FloatArray,
    measured_w: FloatArray,
    rated_w: FloatArray,
    ramp_w_per_s: FloatArray,
    dt_s: float,
) -> MismatchFindings:
    """Compare and learn. `measured_w` NaN: unknown, timers stand still. `command_w` is that of the scan before."""
    _widen(mismatch, command_w, np.minimum(rated_w / ENVELOPE_S, ramp_w_per_s) * dt_s)
    tolerance_w = np.maximum(TOLERANCE_RATIO * rated_w, TOLERANCE_MIN_W)
    over = measured_w > mismatch.highest_w + tolerance_w
    under = measured_w < mismatch.lowest_w - tolerance_w
    excess = (over & (measured_w > tolerance_w)) | (under & (measured_w < -tolerance_w))
    shortfall = (over | under) & ~excess
    known = ~np.isnan(measured_w)
    before_s = mismatch.excess_s.copy()
    _count(mismatch.excess_s, excess, known, dt_s)
    _count(mismatch.shortfall_s, shortfall, known, dt_s)
    limits_itself = mismatch.shortfall_s >= LIMITED_AFTER_S
    _learn(mismatch, limits_itself, measured_w, tolerance_w, rated_w, dt_s)
    alarm = mismatch.excess_s >= ALARM_AFTER_S
    return MismatchFindings(
        excess_alarm=alarm,
        repeat_command=alarm & (before_s < ALARM_AFTER_S),
        stop=mismatch.excess_s >= STOP_AFTER_S,
        breaker_request=mismatch.excess_s >= BREAKER_AFTER_S,
        limits_itself=limits_itself | np.isfinite(mismatch.self_limit_w).any(axis=0),
    )


def _widen(mismatch: Mismatch, command_w: FloatArray, step_w: FloatArray) -> None:
    """The envelope follows the command outwards at once, and inwards no faster than the converter can."""
    np.maximum(command_w, mismatch.highest_w - step_w, out=mismatch.highest_w)
    np.minimum(command_w, mismatch.lowest_w + step_w, out=mismatch.lowest_w)


def _count(timer_s: FloatArray, active: BoolArray, known: BoolArray, dt_s: float) -> None:
    timer_s[active] += dt_s
    timer_s[known & ~active] = 0.0


def _learn(
    mismatch: Mismatch,
    limits_itself: BoolArray,
    measured_w: FloatArray,
    tolerance_w: FloatArray,
    rated_w: FloatArray,
    dt_s: float,
) -> None:
    """Bound a converter that falls short to what it delivers; let the bound rise again slowly."""
    limit_w = mismatch.self_limit_w
    if limits_itself.any():
        charging = mismatch.highest_w < 0.0
        now_w = np.abs(measured_w) + 0.5 * tolerance_w
        learned = np.where(limits_itself, now_w, np.inf)
        np.minimum(limit_w[0], np.where(charging, learned, np.inf), out=limit_w[0])
        np.minimum(limit_w[1], np.where(charging, np.inf, learned), out=limit_w[1])
        mismatch.shortfall_s[limits_itself] = 0.0
    if np.isfinite(limit_w).any():
        limit_w += rated_w * (RELEASE_RATIO_PER_S * dt_s)
        limit_w[limit_w >= rated_w] = np.inf
