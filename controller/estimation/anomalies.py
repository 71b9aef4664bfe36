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

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_filter import CAPACITY, OFFSET, SOC, CellState
from controller.estimation.cell_signs import edge_ratio, effective_edges, far_v, stuck
from controller.estimation.finding_evidence import Evidence, finding_of
from controller.estimation.findings import ROWS, Finding, FindingKind, Row
from controller.estimation.past_differences import DAY_NS, HOUR_NS, Change, Past, changes, is_due, with_snapshot
from controller.estimation.robust_scatter import robust, threshold
from controller.estimation.warm_cells import Warmth, initial_warmth, warmth

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]

LOOK_NS = HOUR_NS
CONFIRMED_LOOKS = 3
SOC_FLOOR = 0.0006
RESISTANCE_FLOOR = 0.006
LEAST_DAYS = 1.5
BURN_IN_DAYS, LEARNT_DAYS = 2.0, 3.0
"""A capacity and a constant offset take some swings to be told apart: before they are, cells seem small or off."""
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
GROWTH, EDGES_NEEDED = 0.05, 40.0
"""Where a few large edges outweigh all others, one of them that went wrong would be a growth."""
TEMPERATURE_OFFSET_K = 2.5
CORE_WARMER_K = 3.0
"""So much warmer than its rack's under load, not at rest, a core is worth an alarm."""
TEMPERATURE_FLOOR_K = 0.2
BELOW_MEDIAN = -0.005
"""A cell so far below its rack's median is not bled: balancers take from the high cells."""


@dataclass(frozen=True, slots=True)
class AnomalyState:
    """Earlier differences each few hours of the last day, their means day by day before that, and what was found.

    `hits` [kind, rack, cell] counts looks in a row; `sound_looks` [rack, cell] those since a sensor was last at fault,
    `steady_looks` since a joint was last suspected.
    `usual_offset_v` [rack, cell]: each sensor's offset over about a day; `bled` [rack, cell]: SOC that a balancer is
    known to have taken since the last snapshot.
    """

    hours: Past
    days: Past
    hits: NDArray[np.int16]
    sound_looks: NDArray[np.int16]
    steady_looks: NDArray[np.int16]
    warmth: Warmth
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
    hits = np.zeros((ROWS, racks, max(cells, sensors)), dtype=np.int16)
    sound = np.full((racks, cells), 1000, dtype=np.int16)
    zero = np.zeros((racks, cells), dtype=np.float32)
    return AnomalyState(Past(), Past(), hits, sound, sound, initial_warmth(racks, sensors), zero, zero, now_ns, ())


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


def _judge_sensors(was: AnomalyState, cells: CellState, evidence: Evidence, seen: _Look) -> Mask:
    """Mark sensors at fault; returns the cells [rack, cell] whose voltage is not to be believed.

    An offset that has been known for a day is taken off, and the cell is judged again.
    """
    count = cells.states.shape[2]
    seen.out[Row.STUCK, :, :count] = stuck(cells.signs, evidence.noise_v)
    seen.size[Row.STUCK, :, :count] = far_v(cells.signs) * 1e3
    offset, sigma = robust(cells.states[OFFSET].astype(np.float64), 0.0005)
    sure = np.abs(offset) > threshold(count) * sigma
    seen.out[Row.OFFSET, :, :count] = sure & (np.abs(offset) > OFFSET_V) & (cells.days > LEARNT_DAYS)[:, None]
    seen.size[Row.OFFSET, :, :count] = offset * 1e3
    seen.sigma[Row.OFFSET, :, :count] = sigma * 1e3
    _judge_temperatures(was, evidence, seen)
    fresh = was.hits[Row.OFFSET, :, :count] < SETTLED_LOOKS
    suspected = cells.signs.suspect_s > 0.0
    return np.asarray(seen.out[Row.STUCK, :, :count] | (seen.out[Row.OFFSET, :, :count] & fresh) | suspected)


def _snapshot(was: AnomalyState, cells: CellState, now_ns: int) -> AnomalyState:
    """Keep how the cells stand, where it is time; resistances that few edges told are not known (NaN)."""
    if cells.days.min() < BURN_IN_DAYS or not is_due(was.hours, now_ns):
        return was
    hours, days = was.hours.as_if_bled(was.bled), was.days.as_if_bled(was.bled)
    hours, days = with_snapshot(hours, days, cells.states[SOC], _resistance(cells), now_ns)
    return replace(was, hours=hours, days=days, bled=np.zeros_like(was.bled))


def _resistance(cells: CellState) -> Cells:
    many = effective_edges(cells.signs) >= EDGES_NEEDED
    return np.where(many[:, None], edge_ratio(cells.signs), np.float32(np.nan))


def with_bled(was: AnomalyState, bled: Cells | None) -> AnomalyState:
    """Return the state with what a balancer is known to have taken of each cell since the last visit."""
    return was if bled is None else replace(was, bled=was.bled + bled)


def _judge_cells(was: AnomalyState, cells: CellState, evidence: Evidence, now_ns: int, seen: _Look) -> None:
    count = cells.states.shape[2]
    limit = threshold(count)
    ripe = (cells.days > LEAST_DAYS)[:, None] & (was.sound_looks > SETTLED_LOOKS)
    soc = cells.states[SOC].astype(np.float64)
    apart, spread = robust(soc, 0.003)
    less, less_sigma = robust(cells.states[CAPACITY].astype(np.float64), 0.005)
    _judge_joints(cells, seen, ripe)
    for change in changes(was.hours, was.days, soc + was.bled, _resistance(cells).astype(np.float64), now_ns):
        looks = change.duration_s * 1e9 / LOOK_NS
        known = ripe & (was.sound_looks > SETTLED_LOOKS + looks) & (was.steady_looks > looks)
        odd = _odd(np.minimum(np.abs(apart), np.abs(robust(change.soc_then, 0.0)[0])), less)
        _judge_fall(was, cells, evidence, change, odd, known, apart + np.maximum(-less, 0.0), seen)
        _judge_growth(was, cells, change, odd, known, seen)
    learnt = ripe & (cells.days > LEARNT_DAYS)[:, None]
    low = (less < np.minimum(-limit * less_sigma, LOW_CAPACITY)) & learnt
    _mark(seen, Row.LOW_CAPACITY, low, less * 100.0, less_sigma * 100.0)
    other = seen.out[Row.LEAK] | seen.out[Row.SHORT] | seen.out[Row.LOW_CAPACITY] | (was.hits[Row.LOW_CAPACITY] > 0)
    far = (np.abs(apart) > np.maximum(limit * spread, IMBALANCE)) & learnt & ~other[:, :count]
    _mark(seen, Row.IMBALANCE, far, apart * 100.0, spread * 100.0)


def _judge_fall(
    was: AnomalyState,
    cells: CellState,
    evidence: Evidence,
    change: Change,
    odd: Floats,
    known: Mask,
    highest: Floats,
    seen: _Look,
) -> None:
    """Mark cells that lose charge against their rack: more than the scatter, steadily, and not by their sensor."""
    fall, sigma = robust(change.lost_ratio, SOC_FLOOR + odd)
    early, _ = robust(change.lost_early_ratio, 0.0)
    steady = (early > STEADY_SHARE * fall) & (early < (1.0 - STEADY_SHARE) * fall)
    moved_v, moves_v = robust((cells.states[OFFSET] - was.usual_offset_v).astype(np.float64), 0.0)
    sensor = np.abs(moved_v) >= MOVED_V_PER_SOC * fall + 2.0 * moves_v
    sure = (fall > threshold(fall.shape[1]) * sigma) & steady & known & ~sensor
    days = change.duration_s * 1e9 / DAY_NS
    _mark_leaks(evidence, fall / days, sigma / days, sure, highest, seen)


def _judge_growth(was: AnomalyState, cells: CellState, change: Change, odd: Floats, known: Mask, seen: _Look) -> None:
    """Mark cells whose resistance has grown, where no joint is suspected and many edges told both (else NaN)."""
    growth, sigma = robust(change.grown_ratio, RESISTANCE_FLOOR + odd)
    steady = (was.steady_looks > SETTLED_LOOKS) & (cells.signs.joint_steps < 0.5)
    grows = (growth > threshold(growth.shape[1]) * sigma) & (growth > GROWTH) & known & steady
    _mark(seen, Row.GROWTH, grows, growth * 100.0, sigma * 100.0)


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


def _judge_temperatures(was: AnomalyState, evidence: Evidence, seen: _Look) -> None:
    """Mark temperature sensors that are off at rest, and cells whose cores grow warmer with the rack's heat.

    Under a lasting load what a cell makes more of heat warms its core by more than the surface that is measured.
    """
    limit = threshold(was.warmth.apart_k.shape[1])
    alone, by_heat = warmth(was.warmth)
    rest, rest_sigma = robust(alone, TEMPERATURE_FLOOR_K)
    warmer, sigma = robust(by_heat, TEMPERATURE_FLOOR_K)
    core = evidence.core_per_surface[:, None]
    seen_for_long = was.warmth.seen_for_long[:, None]
    wrong = (np.abs(rest) > np.maximum(limit * rest_sigma, TEMPERATURE_OFFSET_K)) & seen_for_long
    hot = (warmer > np.maximum(limit * sigma, CORE_WARMER_K / core)) & seen_for_long
    _mark(seen, Row.WARM_SENSOR, wrong, rest, rest_sigma)
    _mark(seen, Row.THERMAL, hot, core * warmer, core * sigma)
