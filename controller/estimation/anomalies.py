"""What is wrong with a cell or a sensor, from how it stands apart from its rack, with a stated false-alarm rate.

A cell is compared with itself some whole days ago, and that change with the changes of its rack's other cells: the
scatter of the healthy cells, taken robustly (median of absolute deviations), is the yardstick, so what all cells share
never alarms, and what a cell does each day at the same hour cancels. The threshold grows with the number of cells: at
most `FALSE_ALARMS` findings a rack in 14 days if the scatter were normal. Sensor faults are told first; a cell whose
sensor was at fault is not judged before as many days have passed as it is compared over.

A passive balancer (30-100 mA) draws as much as the leaks looked for, but only from cells that stand high. A cell that
is not below its rack's median must therefore lose more than the balancer could take before that counts as a leak, or a
part of it where the BMS tells when it bleeds; and the evidence says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_filter import CAPACITY, OFFSET, SOC, CellState, median_of
from controller.estimation.cell_signs import edge_ratio, effective_edges, far_v, stuck
from controller.estimation.finding_evidence import Evidence, finding_of
from controller.estimation.findings import ROWS, Finding, FindingKind, Row

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]
Snapshot = NDArray[np.float16]
Mask = NDArray[np.bool_]

FALSE_ALARMS = 0.001
LOOKS = 3 * 28
"""Looks in 14 days that tell anything new: six a day, three before a finding counts."""
DAY_NS = 86_400_000_000_000
LOOK_NS = 3_600_000_000_000
SNAPSHOT_NS = 3 * LOOK_NS
FINE_NS = DAY_NS + 2 * SNAPSHOT_NS
LAGS_DAYS = (6.0, 4.0, 2.0)
OLDEST_NS = 7 * DAY_NS
CONFIRMED_LOOKS = 3
SOC_FLOOR = 0.0006
RESISTANCE_FLOOR = 0.006
LEAST_DAYS = 1.5
BURN_IN_DAYS = 2.0
BETWEEN_NS = 9 * LOOK_NS
STEADY_SHARE = 0.2
"""A leak falls steadily: neither before nor after the middle lies less than this; a sensor that jumps falls at once."""
MOVED_V_PER_SOC, OFFSET_LOOKS = 0.025, 24
"""A fall with which the sensor's offset moves by more, against its mean over some looks, may be the sensor's jump."""
SETTLED_LOOKS = 24
"""How many looks after a sensor fault a cell's states are trusted again."""
ODD_SHARE, FAR_ODD, FAR_ODD_SHARE = 0.03, 0.03, 0.3
"""A cell that stands apart moves apart by the tables' errors too: so much of its distance counts as scatter."""
LOW_CAPACITY = -0.05
IMBALANCE = 0.03
OFFSET_V = 0.006
JOINT_STEPS = 3.0
"""Steps within about a day; a sensor that jumps once makes one."""
GROWTH, EDGES_NEEDED = 0.04, 40.0
"""Where a few large edges outweigh all others, one of them that went wrong would be a growth."""
TEMPERATURE_OFFSET_K = 2.5
CORE_WARMER_K = 3.0
"""So much warmer than its rack's under load, not at rest, a core is worth an alarm."""
TEMPERATURE_FLOOR_K = 0.2
RISE_FLOOR_K = 0.3
"""A rack's rise that varies by less tells nothing of a cell's heat."""
WARMTH_LASTS_S, WARMTH_LEAST_S = 86400.0, 28800.0
BELOW_MEDIAN = -0.005
"""A cell so far below its rack's median is not bled: balancers take from the high cells."""
BULK = 0.6745


@dataclass(frozen=True, slots=True)
class Past:
    """SOC and resistance differences [rack, cell] at earlier times, the oldest first."""

    soc: tuple[Snapshot, ...] = ()
    resistance: tuple[Snapshot, ...] = ()
    at_ns: tuple[int, ...] = ()

    def with_one(self, soc: Cells, resistance: Cells, at_ns: int, lasts_ns: int) -> Past:
        """Return the past with a snapshot more, without those older than it lasts."""
        keep = sum(at_ns - old_ns > lasts_ns for old_ns in self.at_ns)
        return Past(
            (*self.soc[keep:], soc.astype(np.float16)),
            (*self.resistance[keep:], resistance.astype(np.float16)),
            (*self.at_ns[keep:], at_ns),
        )

    def as_if_bled(self, bled: Cells) -> Past:
        """Return the past with the SOCs [rack, cell] that would have been, had a balancer taken this charge before."""
        return replace(self, soc=tuple((old - bled).astype(np.float16) for old in self.soc))

    def mean(self) -> tuple[Cells, Cells, int]:
        """Return the mean of all snapshots and of their times."""
        count = len(self.at_ns)
        soc, resistance = (
            np.add.reduce(part, dtype=np.float32) / np.float32(count) for part in (self.soc, self.resistance)
        )
        return soc, resistance, sum(self.at_ns) // count


@dataclass(frozen=True, slots=True)
class AnomalyState:
    """Earlier differences each few hours of the last day, their means day by day before that, and what was found.

    `hits` [kind, rack, cell] counts looks in a row; `sound_looks` [rack, cell] those since a sensor was last at fault,
    `steady_looks` since a joint was last suspected.
    `apart_k` and `apart_rise_k` [rack, sensor] sum up, over about a day, a temperature against its rack's median, alone
    and times the rise that the rack's own heat makes; `rises` [3, rack] sums up one, that rise, and its square.
    `waited_s` [rack] since the last temperatures. `usual_offset_v` [rack, cell]: each sensor's offset over about a day;
    `bled` [rack, cell]: SOC that a balancer is known to have taken since the last snapshot.
    """

    hours: Past
    days: Past
    hits: NDArray[np.int16]
    sound_looks: NDArray[np.int16]
    steady_looks: NDArray[np.int16]
    apart_k: Cells
    apart_rise_k: Cells
    rises: Floats
    waited_s: Floats
    usual_offset_v: Cells
    bled: Cells
    looked_ns: int
    found: tuple[Finding, ...]


@dataclass(slots=True)
class _Look:
    """What stands out in one look [kind, rack, cell], how large it is, and how well that is known."""

    out: Mask
    size: Floats
    sigma: Floats


def initial_anomalies(racks: int, cells: int, sensors: int, now_ns: int) -> AnomalyState:
    """Return a state that has seen nothing."""
    none = np.zeros((racks, sensors), dtype=np.float32)
    hits = np.zeros((ROWS, racks, max(cells, sensors)), dtype=np.int16)
    sound = np.full((racks, cells), 1000, dtype=np.int16)
    rises, waited_s = np.zeros((3, racks)), np.zeros(racks)
    zero = np.zeros((racks, cells), dtype=np.float32)
    return AnomalyState(Past(), Past(), hits, sound, sound, none, none, rises, waited_s, zero, zero, now_ns, ())


def threshold(cells: int) -> float:
    """Return how many robust sigmas a cell must stand out, for a rack of so many cells over 14 days."""
    return NormalDist().inv_cdf(1.0 - FALSE_ALARMS / (max(cells, 2) * LOOKS))


def watch_temperatures(
    was: AnomalyState, temperature_degc: Cells, valid: Mask, rise_k: Floats, elapsed_s: Floats
) -> AnomalyState:
    """Return the state with every sensor's distance to its rack's median summed up, by what heat makes of the rack.

    `rise_k` [rack]: by how much the heat model says that the rack's cells stand above their air.
    """
    usable = valid & np.isfinite(temperature_degc)
    known = usable.any(axis=1)
    waited_s = was.waited_s + elapsed_s
    if not known.any():
        return replace(was, waited_s=waited_s)
    median = median_of(temperature_degc, usable).astype(np.float32)
    apart = np.where(usable, temperature_degc - median[:, None], np.float32(0.0))
    new_s = np.where(known, waited_s, 0.0)
    keep = np.exp(-new_s / WARMTH_LASTS_S)
    weighed = apart * new_s.astype(np.float32)[:, None]
    fade = keep.astype(np.float32)[:, None]
    return replace(
        was,
        waited_s=np.where(known, 0.0, waited_s),
        apart_k=fade * was.apart_k + weighed,
        apart_rise_k=fade * was.apart_rise_k + weighed * rise_k.astype(np.float32)[:, None],
        rises=keep * was.rises + new_s * np.stack((np.ones_like(rise_k), rise_k, rise_k**2)),
    )


def warmth(was: AnomalyState) -> tuple[Floats, Floats]:
    """Return what each sensor [rack, sensor] shows beside its rack without any heat, and what the rack's heat adds, K.

    A line through a day's distances over the rack's rise: what is there without heat is the sensor's; what grows with
    it is a cell that makes more of it, stated at the rack's mean square rise.
    """
    time, rise, square = was.rises / np.maximum(was.rises[0], 1.0)
    seconds = np.maximum(was.rises[0], 1.0)[:, None]
    apart, by_rise = was.apart_k / seconds, was.apart_rise_k / seconds
    spread = np.maximum(square - rise**2, 0.0) + RISE_FLOOR_K**2
    slope = (by_rise - apart * rise[:, None]) / spread[:, None]
    known = (time > 0.0)[:, None]
    alone = np.where(known, apart - slope * rise[:, None], 0.0)
    return alone, np.where(known, slope * np.sqrt(square)[:, None], 0.0)


def look(was: AnomalyState, cells: CellState, evidence: Evidence, now_ns: int) -> AnomalyState:
    """Return the state after a look (one an hour): what stood out three looks in a row is a finding for good."""
    shape = was.hits.shape
    seen = _Look(np.zeros(shape, dtype=bool), np.zeros(shape), np.zeros(shape))
    blamed = _judge_sensors(was, cells, evidence, seen)
    sound = np.where(blamed, 0, np.minimum(was.sound_looks + 1, 1000)).astype(np.int16)
    was = replace(was, sound_looks=sound, looked_ns=now_ns)
    _judge_cells(was, cells, evidence, now_ns, seen)
    joint = seen.out[Row.JOINT, :, : sound.shape[1]]
    steady = np.where(joint, 0, np.minimum(was.steady_looks + 1, 1000)).astype(np.int16)
    was = replace(was, steady_looks=steady)
    hits = np.where(seen.out, np.minimum(was.hits + 1, 1000), 0).astype(np.int16)
    found = was.found
    for place in np.argwhere((hits == CONFIRMED_LOOKS) & seen.out):
        row, rack, cell = (int(x) for x in place)
        finding = finding_of(
            Row(row), rack, cell, seen.size[row, rack, cell], seen.sigma[row, rack, cell], cells, evidence, now_ns
        )
        if _is_news(finding, found):
            found = (*found, finding)
    usual = was.usual_offset_v + (cells.states[OFFSET] - was.usual_offset_v) / np.float32(OFFSET_LOOKS)
    return _snapshot(replace(was, hits=hits, found=found, usual_offset_v=usual), cells, now_ns)


_LEAKS = {FindingKind.INTERNAL_SHORT, FindingKind.SELF_DISCHARGE}
_ANY_BUT_OFFSET = set(FindingKind) - {FindingKind.SENSOR_OFFSET}
_ANY_BUT_GROWTH = _ANY_BUT_OFFSET - {FindingKind.RESISTANCE_GROWTH}
_EXPLAINS = {
    FindingKind.SELF_DISCHARGE: _LEAKS,
    FindingKind.RESISTANCE_GROWTH: _ANY_BUT_OFFSET,
    FindingKind.LOOSE_JOINT: _ANY_BUT_GROWTH,
    FindingKind.IMBALANCE: _ANY_BUT_OFFSET,
    FindingKind.LOW_CAPACITY: {FindingKind.LOW_CAPACITY, *_LEAKS},
}
"""What a cell was already found to have that explains a later, lesser finding."""


def _is_news(finding: Finding, found: tuple[Finding, ...]) -> bool:
    explained = _EXPLAINS.get(finding.kind, {finding.kind})
    return not any((f.rack, f.cell) == (finding.rack, finding.cell) and f.kind in explained for f in found)


def _snapshot(was: AnomalyState, cells: CellState, now_ns: int) -> AnomalyState:
    """Keep a snapshot each few hours of the last day, and the mean of each day before that."""
    hours, days = was.hours, was.days
    if cells.days.min() < BURN_IN_DAYS or (hours.at_ns and now_ns - hours.at_ns[-1] < SNAPSHOT_NS):
        return was
    hours, days = hours.as_if_bled(was.bled), days.as_if_bled(was.bled)
    hours = hours.with_one(cells.states[SOC], edge_ratio(cells.signs), now_ns, FINE_NS)
    full = now_ns - hours.at_ns[0] >= DAY_NS
    if full and (not days.at_ns or now_ns - days.at_ns[-1] >= DAY_NS + DAY_NS // 2):
        days = days.with_one(*hours.mean(), OLDEST_NS)
    return replace(was, hours=hours, days=days, bled=np.zeros_like(was.bled))


def robust(values: Floats, floor: float | Floats) -> tuple[Floats, Floats]:
    """Return each value's [rack, cell] distance to its rack's median, and its robust sigma, never less than a floor."""
    apart = values - np.median(values, axis=1, keepdims=True)
    sigma = np.median(np.abs(apart), axis=1, keepdims=True) / BULK
    return apart, np.broadcast_to(np.maximum(sigma, floor), apart.shape)


def _judge_sensors(was: AnomalyState, cells: CellState, evidence: Evidence, seen: _Look) -> Mask:
    """Mark sensors at fault; returns the cells [rack, cell] whose voltage is not to be believed.

    An offset that has been known for a day is taken off, and the cell is judged again.
    """
    count = cells.states.shape[2]
    seen.out[Row.STUCK, :, :count] = stuck(cells.signs, evidence.noise_v)
    seen.size[Row.STUCK, :, :count] = far_v(cells.signs) * 1e3
    offset, sigma = robust(cells.states[OFFSET].astype(np.float64), 0.0005)
    sure = np.abs(offset) > threshold(count) * sigma
    seen.out[Row.OFFSET, :, :count] = sure & (np.abs(offset) > OFFSET_V) & (cells.days > LEAST_DAYS)[:, None]
    seen.size[Row.OFFSET, :, :count] = offset * 1e3
    seen.sigma[Row.OFFSET, :, :count] = sigma * 1e3
    _judge_temperatures(was, evidence, seen)
    fresh = was.hits[Row.OFFSET, :, :count] < SETTLED_LOOKS
    suspected = cells.signs.suspect_s > 0.0
    return np.asarray(seen.out[Row.STUCK, :, :count] | (seen.out[Row.OFFSET, :, :count] & fresh) | suspected)


def with_bled(was: AnomalyState, bled: Cells | None) -> AnomalyState:
    """Return the state with what a balancer is known to have taken of each cell since the last visit."""
    return was if bled is None else replace(was, bled=was.bled + bled)


def _judge_temperatures(was: AnomalyState, evidence: Evidence, seen: _Look) -> None:
    """Mark temperature sensors that are off at rest, and cells whose cores grow warmer with the rack's heat.

    Under a lasting load what a cell makes more of heat warms its core by more than the surface that is measured.
    """
    limit = threshold(was.apart_k.shape[1])
    alone, by_heat = warmth(was)
    rest, rest_sigma = robust(alone, TEMPERATURE_FLOOR_K)
    warmer, sigma = robust(by_heat, TEMPERATURE_FLOOR_K)
    core = evidence.core_per_surface[:, None]
    seen_for_long = (was.rises[0] > WARMTH_LEAST_S)[:, None]
    wrong = (np.abs(rest) > np.maximum(limit * rest_sigma, TEMPERATURE_OFFSET_K)) & seen_for_long
    hot = (warmer > np.maximum(limit * sigma, CORE_WARMER_K / core)) & seen_for_long
    _mark(seen, Row.WARM_SENSOR, wrong, rest, rest_sigma)
    _mark(seen, Row.THERMAL, hot, core * warmer, core * sigma)


def _judge_cells(was: AnomalyState, cells: CellState, evidence: Evidence, now_ns: int, seen: _Look) -> None:
    count = cells.states.shape[2]
    limit = threshold(count)
    sound = was.sound_looks > SETTLED_LOOKS
    ripe = (cells.days > LEAST_DAYS)[:, None] & sound
    soc, resistance = cells.states[SOC].astype(np.float64), edge_ratio(cells.signs).astype(np.float64)
    apart, spread = robust(soc, 0.003)
    less, less_sigma = robust(cells.states[CAPACITY].astype(np.float64), 0.005)
    odd, highest = _odd(apart, less), apart + np.maximum(-less, 0.0)
    _judge_joints(cells, seen, ripe)
    moved_v, moves_v = robust((cells.states[OFFSET] - was.usual_offset_v).astype(np.float64), 0.0)
    steady = (was.steady_looks > SETTLED_LOOKS) & (cells.signs.joint_steps < 0.5)
    steady &= (effective_edges(cells.signs) >= EDGES_NEEDED)[:, None]
    for now, between, then, lag in _compared(was, soc + was.bled, resistance, now_ns):
        known = ripe & (was.sound_looks > SETTLED_LOOKS + 24 * lag) & (was.steady_looks > 24 * lag)
        fall, sigma = robust(then[0] - now[0], SOC_FLOOR + odd)
        early, _ = robust(then[0] - between[0], 0.0)
        known_sensor = known & (np.abs(moved_v) < MOVED_V_PER_SOC * fall + 2.0 * moves_v)
        steady_fall = (early > STEADY_SHARE * fall) & (early < (1.0 - STEADY_SHARE) * fall)
        _mark_leaks(
            evidence, fall / lag, sigma / lag, (fall > limit * sigma) & steady_fall & known_sensor, highest, seen
        )
        growth, sigma = robust((now[1] - then[1]) / (1.0 + then[1]), RESISTANCE_FLOOR + odd)
        grows = (growth > limit * sigma) & (growth > GROWTH) & known & steady
        _mark(seen, Row.GROWTH, grows, growth * 100.0, sigma * 100.0)
    _mark(
        seen,
        Row.LOW_CAPACITY,
        (less < np.minimum(-limit * less_sigma, LOW_CAPACITY)) & ripe,
        less * 100.0,
        less_sigma * 100.0,
    )
    other = seen.out[Row.LEAK] | seen.out[Row.SHORT] | seen.out[Row.LOW_CAPACITY] | (was.hits[Row.LOW_CAPACITY] > 0)
    far = (np.abs(apart) > np.maximum(limit * spread, IMBALANCE)) & ripe & ~other[:, :count]
    _mark(seen, Row.IMBALANCE, far, apart * 100.0, spread * 100.0)


def _mark(seen: _Look, row: Row, where: Mask, size: Floats, sigma: Floats) -> None:
    """Mark what stands out, beside what is marked already; the last mark states the size."""
    count = where.shape[1]
    seen.out[row, :, :count] |= where
    seen.size[row, :, :count] = np.where(where, size, seen.size[row, :, :count])
    seen.sigma[row, :, :count] = np.where(where, sigma, seen.sigma[row, :, :count])


def _odd(apart: Floats, capacity: Floats) -> Floats:
    distance = np.abs(apart) + np.abs(capacity)
    return np.asarray(ODD_SHARE * distance + FAR_ODD_SHARE * np.maximum(distance - FAR_ODD, 0.0))


def _mark_leaks(evidence: Evidence, per_day: Floats, sigma: Floats, sure: Mask, highest: Floats, seen: _Look) -> None:
    """Mark leaks that no balancer explains, as short or as self-discharge by their resistance.

    `highest`: by how much a cell may stand above its rack's median at the top, where balancers work.
    """
    ampere = per_day * evidence.capacity_ah[:, None] / 24.0
    sure = sure & ((ampere > evidence.balancing_unknown_a[:, None]) | (highest < BELOW_MEDIAN))
    short = ampere >= evidence.short_a[:, None]
    _mark(seen, Row.LEAK, sure & ~short, per_day, sigma)
    _mark(seen, Row.SHORT, sure & short, per_day, sigma)


def _judge_joints(cells: CellState, seen: _Look, sound: Mask) -> None:
    """Mark cells whose voltage has stepped several times under load without the current."""
    steps = cells.signs.joint_steps
    ohm = cells.signs.joint_ohm / np.maximum(steps, 1e-3)
    _mark(seen, Row.JOINT, (steps >= JOINT_STEPS) & sound, ohm * 1e3, np.zeros_like(ohm))


def _compared(
    was: AnomalyState, soc: Floats, resistance: Floats, now_ns: int
) -> Iterator[tuple[_Pair, _Pair, _Pair, float]]:
    """Yield what is compared, the longest time first: SOC and resistance now, half-way back, then; and the days.

    Over several days means of a whole day are compared, over one day the same hour.
    """
    if was.hours.at_ns:
        *day, day_ns = was.hours.mean()
        now = day[0].astype(np.float64), day[1].astype(np.float64)
        for days in LAGS_DAYS:
            back = _youngest(was.days, day_ns - int(days * DAY_NS))
            if back is not None:
                half_ns = day_ns - (day_ns - was.days.at_ns[back]) // 2
                yield (
                    now,
                    _at(was.days, _nearest(was.days, half_ns)),
                    _at(was.days, back),
                    (day_ns - was.days.at_ns[back]) / DAY_NS,
                )
    back = _youngest(was.hours, now_ns - DAY_NS)
    if back is not None:
        between = _at(was.hours, _nearest(was.hours, now_ns - BETWEEN_NS))
        yield (soc, resistance), between, _at(was.hours, back), (now_ns - was.hours.at_ns[back]) / DAY_NS


_Pair = tuple[Floats, Floats]


def _nearest(past: Past, at_ns: int) -> int:
    return min(range(len(past.at_ns)), key=lambda k: abs(past.at_ns[k] - at_ns))


def _at(past: Past, back: int) -> tuple[Floats, Floats]:
    return past.soc[back].astype(np.float64), past.resistance[back].astype(np.float64)


def _youngest(past: Past, then_ns: int) -> int | None:
    """Return the youngest snapshot that is at least that old."""
    old = [k for k, at_ns in enumerate(past.at_ns) if at_ns <= then_ns]
    return old[-1] if old else None
