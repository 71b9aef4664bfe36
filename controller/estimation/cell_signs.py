"""What must be seen quickly in a cell's voltage, beside its slow estimate: a stuck sensor, a jump, a resistance.

A voltage that does not change while the rack's median moves is stuck. One that jumps at rest on the flat part of the
curve has got an offset: no leak moves a charge so fast. What a cell shows at each edge of the current over what the
median cell shows is its resistance over the rack's, at the rack's temperature and SOC. What scatters with the current,
and only then, is a joint.
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
JOINT_SLOPE_V = 0.5
JOINT_LASTS_S = 1800.0
REST_C_RATE = 0.05
FLAT_V = 0.3
"""OCV slope, V per unit of SOC, below which a jump of some millivolts can't be charge."""
FAST_S, SLOW_S = 600.0, 21600.0
JUMP_V = 0.0045
EDGE_C_RATE = 0.05
EDGE_V = 0.003
EDGE_WITHIN_S = 90.0
EDGE_SLOPE_V = 1.0
"""On a knee the voltage moves by the charge, not only by the current."""
EDGE_LASTS_S = 86400.0


@dataclass(frozen=True, slots=True)
class CellSigns:
    """Per cell [rack, cell] float32, or per rack [rack]; replaced at each visit.

    `since_v`: the rack's median when the cell's own voltage last changed. `joint_square`: mean square, over half an
    hour, of what a cell shows beyond what it shows at rest, per mean square current (`joint_weight`). `edge_sum` over
    `edge_weight`: the cell's resistance over the median cell's, from steps of both, over about a day.
    `rest_fast_v`, `rest_slow_v`: what it shows at rest beyond its slow estimate; `suspect`: they stood apart at the
    last look.
    """

    last_v: Cells
    since_v: Cells
    joint_square: Cells
    edge_sum: Cells
    rest_fast_v: Cells
    rest_slow_v: Cells
    suspect: Mask
    median_v: Floats
    current_a: Floats
    joint_weight: Floats
    edge_weight: Floats


@dataclass(frozen=True, slots=True)
class Seen:
    """One visit, per rack [rack]: `use` false: nothing new; `slope_v` of the OCV; current and median voltage now."""

    elapsed_s: Floats
    use: Mask
    slope_v: Floats
    current_a: Floats
    capacity_ah: Floats
    median_v: Floats


def initial_signs(racks: int, cells: int) -> CellSigns:
    """Return signs of cells that have not been seen."""
    none, zero = np.full((racks, cells), np.nan, dtype=np.float32), np.zeros((racks, cells), dtype=np.float32)
    no, zeros = np.zeros((racks, cells), dtype=bool), np.zeros(racks)
    return CellSigns(none, none, zero, zero, zero, zero, no, np.full(racks, np.nan), zeros, zeros, zeros)


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
    joint_square, joint_weight = _joints(was, seen, beyond_v)
    edge_sum, edge_weight = _edges(was, seen, voltage_v)
    at_rest = seen.use & (np.abs(seen.current_a) < REST_C_RATE * seen.capacity_ah) & (seen.slope_v < FLAT_V)
    fast, slow = (np.where(at_rest, np.clip(seen.elapsed_s / s, 0.0, 1.0), 0.0) for s in (FAST_S, SLOW_S))
    return CellSigns(
        last_v=np.where(use, voltage_v, was.last_v),
        since_v=np.where(use, since, was.since_v),
        joint_square=joint_square,
        edge_sum=edge_sum,
        rest_fast_v=was.rest_fast_v + fast.astype(np.float32)[:, None] * (beyond_v - was.rest_fast_v),
        rest_slow_v=was.rest_slow_v + slow.astype(np.float32)[:, None] * (beyond_v - was.rest_slow_v),
        suspect=was.suspect,
        median_v=np.where(seen.use, seen.median_v, was.median_v),
        current_a=np.where(seen.use, seen.current_a, was.current_a),
        joint_weight=joint_weight,
        edge_weight=edge_weight,
    )


def _joints(was: CellSigns, seen: Seen, beyond_v: Cells) -> tuple[Cells, Floats]:
    """Return the sums with what shows under load only, on the flat part: charge and offsets show at rest as well."""
    use = seen.use & (seen.slope_v < JOINT_SLOPE_V)
    share = np.where(use, np.clip(seen.elapsed_s / JOINT_LASTS_S, 0.0, 1.0), 0.0)
    power = was.joint_weight + share * (seen.current_a**2 - was.joint_weight)
    level = np.maximum(power, 1e-9)
    step = (share / level).astype(np.float32)[:, None]
    keep = ((1.0 - share) * was.joint_weight / level).astype(np.float32)[:, None]
    return was.joint_square * keep + step * (beyond_v - was.rest_fast_v) ** 2, power


def _edges(was: CellSigns, seen: Seen, voltage_v: Cells) -> tuple[Cells, Floats]:
    """Return the sums with this visit's step in, where it was an edge of the current on the flat part."""
    step_v = seen.median_v - was.median_v
    edge_a = EDGE_C_RATE * seen.capacity_ah
    edge = (
        seen.use
        & (np.abs(seen.current_a - was.current_a) > edge_a)
        & (np.abs(step_v) > EDGE_V)
        & (seen.slope_v < EDGE_SLOPE_V)
    )
    edge &= (seen.elapsed_s > 0.0) & (seen.elapsed_s < EDGE_WITHIN_S)
    if not edge.any():
        return was.edge_sum, was.edge_weight
    step_v = np.where(edge, step_v, 0.0)
    step = step_v.astype(np.float32)[:, None]
    return was.edge_sum + step * np.nan_to_num(voltage_v - was.last_v - step), was.edge_weight + step_v**2


def edge_ratio(signs: CellSigns) -> Cells:
    """Return each cell's resistance over its rack's median cell, less one; 0 before any edge."""
    weight = np.maximum(signs.edge_weight, EDGE_V**2).astype(np.float32)
    return signs.edge_sum / weight[:, None]


def at_look(was: CellSigns, elapsed_s: float) -> tuple[CellSigns, Cells]:
    """Return the signs after a look, and the offset [rack, cell] that a sensor has suddenly got, V; 0 where none.

    Edges are forgotten over a day. A jump counts once it has stood for two looks, so that its size has settled.
    """
    keep = float(np.exp(-elapsed_s / EDGE_LASTS_S))
    apart = was.rest_fast_v - was.rest_slow_v
    far = np.abs(apart) > JUMP_V
    jump = np.where(far & was.suspect, apart, np.float32(0.0))
    stays = jump == 0.0
    return replace(
        was,
        edge_sum=was.edge_sum * np.float32(keep),
        edge_weight=was.edge_weight * keep,
        rest_fast_v=np.where(stays, was.rest_fast_v, np.float32(0.0)),
        rest_slow_v=np.where(stays, was.rest_slow_v, np.float32(0.0)),
        suspect=far & stays,
    ), jump
