"""What must be seen quickly in a cell's voltage, beside its slow estimate: a stuck sensor, a jump, a resistance.

A voltage that does not change while the rack's median moves is stuck. One that jumps at rest on the flat part of the
curve has got an offset: no leak moves a charge so fast. What a cell shows at each edge of the current over what the
median cell shows is its resistance over the rack's, at the rack's temperature and SOC. What steps under load
without the current, again and again, is a joint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]

STUCK_V, STUCK_NOISES = 0.01, 12.0
"""A voltage that stays the same to the last digit while its rack's median moves so far is stuck."""
JOINT_V, JOINT_SHARE, JOINT_C_RATE = 0.006, 0.3, 0.1
"""The least step of a joint: in volts, in parts of the cell's own drop, and from which load on. A change of the load
shows what a cell's resistance is off by as a step too: the same part of it is taken off."""
REST_C_RATE = 0.05
FLAT_V = 1.0
"""OCV slope, V per unit of SOC, below which a jump of some millivolts within the hour can't be charge."""
FAST_S, SLOW_S, SETTLES_S = 300.0, 2400.0, 1500.0
JUMP_V = 0.0045
PLACE_RATIO = 0.02
"""Moved by so much SOC, what a cell shows at rest is another part of its curve."""
EDGE_C_RATE = 0.05
EDGE_V = 0.003
EDGE_WITHIN_S = 90.0
EDGE_SLOPE_V = 1.0
"""On a knee the voltage moves by the charge, not only by the current."""
EDGE_OFF_BY = 0.05
"""What a single edge is off by beside the noise (slow pairs, the curve), as a part of it: a large one tells no more."""
EDGE_LASTS_S = 86400.0


@dataclass(frozen=True, slots=True)
class CellSigns:
    """Per cell [rack, cell] float32, or per rack [rack]; replaced at each visit.

    `since_v`: the rack's median when the cell's own voltage last changed. `beyond_v`: what it shows beyond its slow
    estimate; `joint_steps` and `joint_ohm`: steps of that under load, counted, and their resistances. `edge_sum` over
    `edge_weight`: the cell's resistance over the median cell's, from steps of both, over about a day; `edge_square`
    [rack]: the squares of those weights.
    `rest_fast_v`, `rest_slow_v`: what it shows at rest beyond its slow estimate; `suspect_s`: for how long they have
    stood apart, `before_v` what it showed before that; `rest_s` [rack] at rest so far, about one place of the curve:
    `rest_drawn_ratio` from where that began.
    """

    last_v: Cells
    since_v: Cells
    beyond_v: Cells
    joint_steps: Cells
    joint_ohm: Cells
    edge_sum: Cells
    rest_fast_v: Cells
    rest_slow_v: Cells
    before_v: Cells
    suspect_s: Cells
    rest_s: Floats
    rest_drawn_ratio: Floats
    median_v: Floats
    current_a: Floats
    edge_weight: Floats
    edge_square: Floats


@dataclass(frozen=True, slots=True)
class Seen:
    """One visit, per rack [rack]: `use` false: nothing new; current and median voltage now.

    `steepest_v`: the steepest slope of the OCV that any of its cells may stand on.
    """

    elapsed_s: Floats
    use: Mask
    steepest_v: Floats
    current_a: Floats
    capacity_ah: Floats
    drawn_ratio: Floats
    median_v: Floats
    ohm: Floats
    noise_v: Floats


def initial_signs(racks: int, cells: int) -> CellSigns:
    """Return signs of cells that have not been seen."""
    none, zero = np.full((racks, cells), np.nan, dtype=np.float32), np.zeros((racks, cells), dtype=np.float32)
    zeros, never = np.zeros(racks), np.full(racks, np.nan)
    return CellSigns(
        last_v=none,
        since_v=none,
        beyond_v=zero,
        joint_steps=zero,
        joint_ohm=zero,
        edge_sum=zero,
        rest_fast_v=zero,
        rest_slow_v=zero,
        before_v=zero,
        suspect_s=zero,
        rest_s=zeros,
        rest_drawn_ratio=zeros,
        median_v=never,
        current_a=zeros,
        edge_weight=zeros,
        edge_square=zeros,
    )


def far_v(was: CellSigns) -> Cells:
    """Return how far the rack's median has moved since each cell's voltage last changed."""
    moved: Cells = np.abs(was.median_v.astype(np.float32)[:, None] - was.since_v)
    return moved


def stuck(was: CellSigns, noise_v: Floats) -> Mask:
    """Return the cells whose voltage has stayed the same while the rack's median moved, by their noise [rack]."""
    return np.asarray(far_v(was) > np.maximum(STUCK_V, STUCK_NOISES * noise_v).astype(np.float32)[:, None])


def watch_signs(was: CellSigns, seen: Seen, voltage_v: Cells, beyond_v: Cells) -> CellSigns:
    """Return the signs after a visit; `beyond_v` is what each cell shows beyond its slow estimate."""
    use = seen.use[:, None]
    median = seen.median_v.astype(np.float32)[:, None]
    since = np.where(voltage_v == was.last_v, was.since_v, median)
    joint_steps, joint_ohm = _joints(was, seen, beyond_v)
    edge_sum, edge_weight, edge_square = _edges(was, seen, voltage_v)
    was = _at_new_place(was, seen)
    rest_s, fast, slow = _shares(was, seen)
    fast_v = was.rest_fast_v + fast * (beyond_v - was.rest_fast_v)
    slow_v = was.rest_slow_v + slow * (beyond_v - was.rest_slow_v)
    before_v, suspect_s = _suspects(was, fast_v, slow_v, rest_s)
    return CellSigns(
        last_v=np.where(use, voltage_v, was.last_v),
        since_v=np.where(use, since, was.since_v),
        beyond_v=np.where(use, beyond_v, was.beyond_v),
        joint_steps=joint_steps,
        joint_ohm=joint_ohm,
        edge_sum=edge_sum,
        rest_fast_v=fast_v,
        rest_slow_v=slow_v,
        before_v=before_v,
        suspect_s=suspect_s,
        rest_s=rest_s,
        rest_drawn_ratio=was.rest_drawn_ratio,
        median_v=np.where(seen.use, seen.median_v, was.median_v),
        current_a=np.where(seen.use, seen.current_a, was.current_a),
        edge_weight=edge_weight,
        edge_square=edge_square,
    )


def _at_new_place(was: CellSigns, seen: Seen) -> CellSigns:
    """Return the signs with the means at rest begun anew where the rack has moved on along its curve."""
    drawn = was.rest_drawn_ratio + seen.drawn_ratio
    away = np.abs(drawn) > PLACE_RATIO
    return replace(
        was,
        rest_s=np.where(away, 0.0, was.rest_s),
        rest_drawn_ratio=np.where(away, 0.0, drawn),
        suspect_s=np.where(away[:, None], np.float32(0.0), was.suspect_s) if away.any() else was.suspect_s,
    )


def _shares(was: CellSigns, seen: Seen) -> tuple[Floats, Cells, Cells]:
    """Return the time at rest so far, and what a visit counts in the fast and the slow mean: at first the mean."""
    at_rest = seen.use & (np.abs(seen.current_a) < REST_C_RATE * seen.capacity_ah) & (seen.steepest_v < FLAT_V)
    step_s = np.where(at_rest, np.minimum(seen.elapsed_s, FAST_S), 0.0)
    rest_s = was.rest_s + step_s
    fast, slow = ((step_s / np.clip(rest_s, 1.0, lasts_s)).astype(np.float32)[:, None] for lasts_s in (FAST_S, SLOW_S))
    return rest_s, fast, slow


def _suspects(was: CellSigns, fast_v: Cells, slow_v: Cells, rest_s: Floats) -> tuple[Cells, Cells]:
    """Return what suspected cells showed before they jumped, and for how long they are suspected."""
    known = (was.rest_s > SLOW_S)[:, None]
    starts = (np.abs(fast_v - slow_v) > JUMP_V) & known & (was.suspect_s == 0.0)
    if not (starts.any() or was.suspect_s.any()):
        return was.before_v, was.suspect_s
    waited = (rest_s - was.rest_s).astype(np.float32)[:, None]
    suspect_s = np.where(starts, np.float32(1.0), np.where(was.suspect_s > 0.0, was.suspect_s + waited, 0.0))
    return np.where(starts, slow_v, was.before_v), suspect_s.astype(np.float32)


def _joints(was: CellSigns, seen: Seen, beyond_v: Cells) -> tuple[Cells, Cells]:
    """Return the steps under load that no current explains, counted, and their resistances summed up.

    What a cell shows beyond its slow estimate changes slowly, but for a joint that opens or closes.
    """
    load_a = np.abs(seen.current_a)
    use = seen.use & (load_a > JOINT_C_RATE * seen.capacity_ah) & (seen.steepest_v < EDGE_SLOPE_V)
    use &= (seen.elapsed_s > 0.0) & (seen.elapsed_s < EDGE_WITHIN_S)
    if not use.any():
        return was.joint_steps, was.joint_ohm
    least_v = np.maximum(np.maximum(JOINT_V, STUCK_NOISES * seen.noise_v), JOINT_SHARE * seen.ohm * load_a)
    least_v = least_v + JOINT_SHARE * seen.ohm * np.abs(seen.current_a - was.current_a)
    step_v = np.abs(beyond_v - was.beyond_v)
    steps = (step_v > np.where(use, least_v, np.inf).astype(np.float32)[:, None]).astype(np.float32)
    if not steps.any():
        return was.joint_steps, was.joint_ohm
    ohm = step_v / np.maximum(load_a, 1e-9).astype(np.float32)[:, None]
    return was.joint_steps + steps, was.joint_ohm + steps * ohm


def _edges(was: CellSigns, seen: Seen, voltage_v: Cells) -> tuple[Cells, Floats, Floats]:
    """Return the sums with this visit's step in, where it was an edge of the current on the flat part."""
    step_v = seen.median_v - was.median_v
    edge_a = EDGE_C_RATE * seen.capacity_ah
    edge = (
        seen.use
        & (np.abs(seen.current_a - was.current_a) > edge_a)
        & (np.abs(step_v) > EDGE_V)
        & (seen.steepest_v < EDGE_SLOPE_V)
    )
    edge &= (seen.elapsed_s > 0.0) & (seen.elapsed_s < EDGE_WITHIN_S)
    if not edge.any():
        return was.edge_sum, was.edge_weight, was.edge_square
    step_v = np.where(edge, step_v, 0.0)
    step = step_v.astype(np.float32)[:, None]
    trust = 1.0 / (1.0 + (EDGE_OFF_BY * step_v) ** 2 / (2.0 * seen.noise_v**2))
    beside = np.nan_to_num(voltage_v - was.last_v - step)
    weight = trust * step_v**2
    edge_sum = was.edge_sum + (trust * step_v).astype(np.float32)[:, None] * beside
    return edge_sum, was.edge_weight + weight, was.edge_square + weight**2


def edge_ratio(signs: CellSigns) -> Cells:
    """Return each cell's resistance over its rack's median cell, less one; 0 before any edge."""
    weight = np.maximum(signs.edge_weight, EDGE_V**2).astype(np.float32)
    return signs.edge_sum / weight[:, None]


def effective_edges(signs: CellSigns) -> Floats:
    """Return how many edges of one size [rack] would tell as much: a few large ones are not many (Kish 1965)."""
    return np.asarray(signs.edge_weight**2 / np.maximum(signs.edge_square, EDGE_V**4))


def at_look(was: CellSigns, elapsed_s: float) -> tuple[CellSigns, Cells]:
    """Return the signs after a look, and the offset [rack, cell] that a sensor has suddenly got, V; 0 where none.

    Edges and steps are forgotten over a day. A jump counts once it has stood for a while, so that its size has settled.
    """
    keep = float(np.exp(-elapsed_s / EDGE_LASTS_S))
    signs = replace(
        was,
        edge_sum=was.edge_sum * np.float32(keep),
        edge_weight=was.edge_weight * keep,
        edge_square=was.edge_square * keep**2,
        joint_steps=was.joint_steps * np.float32(keep),
        joint_ohm=was.joint_ohm * np.float32(keep),
    )
    settled = was.suspect_s > SETTLES_S
    if not settled.any():
        return signs, np.zeros_like(was.suspect_s)
    apart = was.rest_fast_v - was.before_v
    jump = np.where(settled & (np.abs(apart) > JUMP_V), apart, np.float32(0.0))
    return replace(
        signs,
        rest_fast_v=was.rest_fast_v - jump,
        rest_slow_v=np.where(settled, was.rest_fast_v - jump, was.rest_slow_v),
        suspect_s=np.where(settled, np.float32(0.0), was.suspect_s),
    ), jump
