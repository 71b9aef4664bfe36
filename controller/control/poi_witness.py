"""Does the POI meter answer to what the converters do? A meter of the wrong scale or sign looks like a load.

Rule: whatever load and generation nobody meters stands between the converters' sum and the meter, as far as the site
states (`poi_trim`). More than that is *apart*: latched until it has been a tenth less for ten seconds, and no answer is
missed. Less is told from a wrong meter by what the meter does when the converters move: each time their sum has moved
by 4 % of the rating and stands again, the meter must have moved with it, by half to one and a half of that. Where it
has not, the loop goes back to where it was; twice in a row, and the meter is *doubted* until it has answered twice, or
until a reset.

An answer is *exact* within a tenth. A load that changes makes one inexact, by another amount each time; a meter of the
wrong scale makes all of them so, by the same: after three like answers it is doubted too, and then only exact ones end
it. Until an answer is exact again the loop has nothing to come back to but what it made up for at the last exact one,
and the converters give no more than the limits by their own sum (`gains_room`).

So that no wrong meter is followed far, the loop goes 10 % of the rating at most from where the meter stood last, 5 %
after an answer that it missed. A load that changes spoils an answer: a movement that began just after the meter had
jumped by itself is not judged, after a jump of 4 % the loop waits until the meter is calm, and one miss alone is no
verdict.

What flows beside the converters (`background_w`) is read while their sum stands; while it moves, only what is certain
whatever the delays is taken over, and only for the worse.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from controller.plant.model import Plant

STANDS_RATIO = 0.02
MOVED_RATIO = 0.04
ANSWER_RATIO, EXACT_RATIO = (0.5, 1.5), (0.9, 1.1)
ALIKE_RATIO, ALIKE_ANSWERS = 0.1, 3
"""Inexact answers that differ by no more are those of a wrong scale."""
LEASH_RATIO, SHORT_LEASH_RATIO = 0.1, 0.05
JUMPED_RATIO = 0.02
PROVEN_AFTER_S = 60.0
DOUBTED_AFTER, BELIEVED_AFTER = 2, 2
APART_MARGIN_RATIO = 0.1
APART_AFTER_S = 2.0
"""Meter and converters are not sampled at the same instant: the loop holds at once, but it is told only then."""
TOGETHER_RATIO, TOGETHER_AFTER_S = 0.9, 10.0
REST_S, REST_PERIODS = 2.5, 3.0
"""After the last movement: dead time, averaging and age of both sides' samples."""


class Converters(NamedTuple):
    """The sums of the converters that are heard, and whether all are. W, + = discharge."""

    given_w: float
    commanded_w: float  # in the scan before
    all_heard: bool


class MeterWitness:
    """Memory of the comparison. Owned by control's state; powers in W, + = export."""

    def __init__(self, plant: Plant, period_s: float) -> None:
        """Nothing seen yet; `period_s`: the longest period in which meter and converters are read."""
        self.rating_w = plant.poi.power_w
        self._most_w = (plant.control.poi_trim_ratio + APART_MARGIN_RATIO) * self.rating_w
        self._rest_s = max(REST_S, 1.0 + REST_PERIODS * period_s)
        self._now_s = 0.0
        self._recent: deque[tuple[float, float, float]] = deque()  # time, and what was given and commanded
        self._rest: tuple[float, float] | None = None  # what converters and meter showed when they stood last
        self._calm_w = math.nan  # what the meter showed when it had jumped last
        self._jumped_s = self._shaken_s = -math.inf  # when it did, and when by as much as is judged
        self._spoiled = False  # the meter had just jumped when the converters stood last
        self._proven = True  # it has answered since it jumped
        self._all_heard = True
        self._inexact: deque[float] = deque(maxlen=ALIKE_ANSWERS)  # the answers since the last exact one
        self._missed = self._answered = 0
        self._apart_s = self._together_s = 0.0
        self.apart = self.doubted = False
        self.stands = False
        self.just_missed = False  # in this scan it was found that the meter did not answer
        self.background_w = (math.nan, math.nan)  # lowest, highest

    @property
    def is_told(self) -> bool:
        """Whether meter and converters do not fit together, and not only for the moment."""
        return self.doubted or self._apart_s > APART_AFTER_S

    @property
    def fits(self) -> bool:
        """Whether the loop may go by the meter."""
        return not (self.apart or self.doubted)

    @property
    def gains_room(self) -> bool:
        """Whether a load that it shows beside the converters is room to give more than a limit."""
        return not (self.doubted or self._inexact)

    @property
    def leash_w(self) -> float:
        """How far the loop may go from where the meter last answered."""
        return (SHORT_LEASH_RATIO if self._missed else LEASH_RATIO) * self.rating_w

    @property
    def is_calm(self) -> bool:
        """Whether the meter has not made a great jump by itself just now."""
        return self._now_s - self._shaken_s >= self._rest_s

    def stood_at_w(self, surplus_w: float) -> float:
        """What they gave but for a surplus when they stood last, as far as the meter answers; zero where it doesn't."""
        return 0.0 if self._rest is None or self._missed or self.doubted else self._rest[0] - surplus_w

    @property
    def is_sure(self) -> bool:
        """Whether the converters stand, and the meter has answered since it jumped, or has stood for long."""
        proven = self._proven or (not self._inexact and self._now_s - self._jumped_s > PROVEN_AFTER_S)
        return self.stands and self.fits and proven and not self._missed

    def follow(self, of_pcs: Converters, meter_w: float, unseen_w: float, dt_s: float) -> None:
        """Take a scan: the converters, the meter (NaN unknown), and what it shows beside them and the known losses."""
        self._now_s += dt_s
        self.stands = self.just_missed = False
        if math.isnan(meter_w) or of_pcs.all_heard != self._all_heard:
            self._begin_anew(all_heard=of_pcs.all_heard)
        if math.isnan(meter_w):
            return
        self._compare(unseen_w if of_pcs.all_heard else math.nan, dt_s)
        self._look_back(of_pcs, meter_w)
        if self.stands and of_pcs.all_heard:
            self._test(of_pcs.given_w, meter_w)

    def distrust(self) -> None:
        """Begin in doubt: the meter was found wrong before a restart."""
        self._missed, self.doubted = DOUBTED_AFTER, True

    def forget(self) -> None:
        """Believe the meter again, after a reset."""
        self._missed = self._answered = 0
        self._inexact.clear()
        self._apart_s = 0.0
        self.apart = self.doubted = False
        self._rest = None

    def _begin_anew(self, *, all_heard: bool) -> None:
        self._recent.clear()
        self._rest, self._all_heard = None, all_heard
        self.background_w = (math.nan, math.nan)

    def _compare(self, unseen_w: float, dt_s: float) -> None:
        """Latch what lies too far apart; NaN: nobody can say."""
        if abs(unseen_w) > self._most_w:
            self.apart, self._together_s = True, 0.0
        elif abs(unseen_w) < TOGETHER_RATIO * self._most_w:
            self._together_s += dt_s
            waits_s = TOGETHER_AFTER_S if self._apart_s > APART_AFTER_S else 0.0
            self.apart = self.apart and (self._together_s < waits_s or self._missed > 0)
        self._apart_s = self._apart_s + dt_s if self.apart else 0.0

    def _look_back(self, of_pcs: Converters, meter_w: float) -> None:
        """Find out whether the converters stand, and what flows beside them."""
        self._recent.append((self._now_s, of_pcs.given_w, of_pcs.commanded_w))
        while len(self._recent) > 1 and self._recent[1][0] <= self._now_s - self._rest_s:
            self._recent.popleft()
        times_s, *powers_w = zip(*self._recent, strict=True)
        widest_w = max(max(w) - min(w) for w in powers_w)
        self.stands = self._now_s - times_s[0] >= self._rest_s and widest_w <= STANDS_RATIO * self.rating_w
        if self.stands:
            self.background_w = (meter_w - of_pcs.given_w,) * 2
        else:
            self._take_the_worse(meter_w - min(map(min, powers_w)), meter_w - max(map(max, powers_w)))

    def _take_the_worse(self, of_lowest_w: float, of_highest_w: float) -> None:
        lowest_w, highest_w = self.background_w
        self.background_w = (
            of_lowest_w if math.isnan(lowest_w) else min(lowest_w, of_lowest_w),
            of_highest_w if math.isnan(highest_w) else max(highest_w, of_highest_w),
        )

    def _test(self, given_w: float, meter_w: float) -> None:
        """Judge a movement that has ended; follow the meter's own jumps where there was none."""
        before, self._rest = self._rest, (given_w, meter_w)
        moved_w = 0.0 if before is None else given_w - before[0]
        if before is None or abs(moved_w) < MOVED_RATIO * self.rating_w:
            self._watch_jumps(meter_w)
        else:
            self._calm_w = meter_w
            answer_ratio = (meter_w - before[1]) / moved_w
            if self._spoiled:
                self._jumped_s = self._now_s  # the next one counts once the meter has stood
            else:
                self._judge(answer_ratio)
        self._spoiled = self._now_s - self._jumped_s < self._rest_s

    def _watch_jumps(self, meter_w: float) -> None:
        jumped_w = abs(meter_w - self._calm_w)
        if jumped_w > JUMPED_RATIO * self.rating_w:
            self._jumped_s, self._proven = self._now_s, False
        if jumped_w > MOVED_RATIO * self.rating_w:
            self._shaken_s = self._now_s
        if not jumped_w <= JUMPED_RATIO * self.rating_w:
            self._calm_w = meter_w

    def _judge(self, answer_ratio: float) -> None:
        exact = _is_within(answer_ratio, EXACT_RATIO)
        if exact:
            self._inexact.clear()
        else:
            self._inexact.append(answer_ratio)
        alike = len(self._inexact) == ALIKE_ANSWERS and max(self._inexact) - min(self._inexact) <= ALIKE_RATIO
        answered = exact or (_is_within(answer_ratio, ANSWER_RATIO) and not alike and not self.doubted)
        self.just_missed, self._proven = not answered, exact
        if answered:
            self._missed, self._answered = 0, self._answered + 1
            self.doubted = self.doubted and self._answered < BELIEVED_AFTER
        else:
            self._missed, self._answered = self._missed + 1, 0
            self.doubted = self.doubted or alike or self._missed >= DOUBTED_AFTER


def _is_within(ratio: float, bounds_ratio: tuple[float, float]) -> bool:
    return bounds_ratio[0] <= ratio <= bounds_ratio[1]
