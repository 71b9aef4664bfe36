"""The limits of the POI, held at the meter: what flows beside the converters counts, whoever makes it.

Rule: the converters that take commands may give in sum at most what the export limit leaves beside the background, and
at least what the import limit leaves (`poi_witness`). What others give beside their commands is background too: a
silent one's power, as the meter shows it, and the surplus of one that does not follow. The sum is cut to that at once,
whatever the ramp: a limit is no set-point. Down to zero it is cut on the meter's word alone. Beyond zero, against a
load, a generation or a converter that breaks the limit by itself, the batteries work up to `poi_trim`, in steps that
the meter answers; a meter that is doubted moves nothing beyond zero. What a limit took away comes back on the ramp. A
limit not held for five seconds, by 1 % of the rating, is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.control.limits.reasons import LimitReason
from controller.control.poi_witness import MeterWitness

SLACK_RATIO = 0.005
"""The guard begins only beyond this: at a limit the loop brings the meter there itself."""
BROKEN_RATIO, BROKEN_AFTER_S = 0.01, 5.0


@dataclass(slots=True)
class LimitGuard:
    """Between what it holds the controlled sum (infinite: it holds nothing), and for how long a limit is broken."""

    least_w: float = -math.inf
    most_w: float = math.inf
    broken_s: float = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether a limit has not been held for long enough to tell."""
        return self.broken_s > BROKEN_AFTER_S


@dataclass(frozen=True, slots=True)
class AtMeter:
    """The limits now (import, export), what heard converters give beside their commands in sum, and how to move."""

    limits_w: tuple[float, float]
    surplus_w: float
    beyond_zero_w: float  # the batteries may work against others' load and generation up to so much
    ramp_w: float  # so much may come back in this scan


def watch_limits(
    guard: LimitGuard, limits_w: tuple[float, float], meter_w: float, rating_w: float, dt_s: float
) -> None:
    """Count how long the meter has shown a limit broken; NaN: it does not say, and nothing is counted."""
    broken = meter_w > limits_w[1] + BROKEN_RATIO * rating_w or meter_w < -limits_w[0] - BROKEN_RATIO * rating_w
    guard.broken_s = guard.broken_s + dt_s if broken else 0.0


def hold_limits(
    guard: LimitGuard, witness: MeterWitness, controlled_w: float, at: AtMeter
) -> tuple[float, LimitReason]:
    """Return what the limits leave of the controlled converters' sum, and the limit that cut it (NONE: neither)."""
    least_w, most_w = _bounds_w(witness, at)
    if math.isnan(most_w):  # the meter says nothing: nobody knows
        guard.least_w, guard.most_w = -math.inf, math.inf
        return controlled_w, LimitReason.NONE
    most_w, least_w = min(most_w, guard.most_w + at.ramp_w), max(least_w, guard.least_w - at.ramp_w)
    slack_w = SLACK_RATIO * witness.rating_w
    cuts_export = controlled_w > most_w + (slack_w if math.isinf(guard.most_w) else 0.0)
    cuts_import = controlled_w < least_w - (slack_w if math.isinf(guard.least_w) else 0.0)
    guard.most_w = most_w if cuts_export else math.inf
    guard.least_w = least_w if cuts_import else -math.inf
    if cuts_export:
        return most_w, LimitReason.EXPORT_LIMIT
    return (least_w, LimitReason.IMPORT_LIMIT) if cuts_import else (controlled_w, LimitReason.NONE)


def _bounds_w(witness: MeterWitness, at: AtMeter) -> tuple[float, float]:
    """Return least and most that the limits leave them in sum; NaN where the background is not known."""
    lowest_w, highest_w = witness.background_w
    most_w = at.limits_w[1] - highest_w - at.surplus_w
    least_w = -at.limits_w[0] - lowest_w - at.surplus_w
    step_w = 0.0 if witness.doubted else witness.leash_w
    stood_at_w = witness.stood_at_w(at.surplus_w)
    most_w = max(most_w, -at.beyond_zero_w, min(stood_at_w, 0.0) - step_w)
    least_w = min(least_w, at.beyond_zero_w, max(stood_at_w, 0.0) + step_w)
    if most_w < least_w:  # in the middle of a movement both can be certain: towards zero is safe
        return min(least_w, 0.0), max(most_w, 0.0)
    return least_w, most_w
