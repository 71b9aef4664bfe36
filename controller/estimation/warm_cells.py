"""Each temperature against its rack's median, split into what is always there and what the rack's own heat makes.

A line through a day's distances over the rack's modelled rise: what is there without heat is the sensor's; what grows
with it is a cell that makes more of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_filter import median_of

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]

RISE_FLOOR_K = 0.3
"""A rack's rise that varies by less tells nothing of a cell's heat."""
WARMTH_LASTS_S, WARMTH_LEAST_S = 86400.0, 28800.0


@dataclass(frozen=True, slots=True)
class Warmth:
    """Sums over about a day: `apart_k` and `apart_rise_k` [rack, sensor] of a temperature against its rack's median.

    Alone and times the rise that the rack's own heat makes; `rises` [3, rack] sums up one, that rise, and its square.
    `waited_s` [rack] since the last temperatures.
    """

    apart_k: Cells
    apart_rise_k: Cells
    rises: Floats
    waited_s: Floats

    @property
    def seen_for_long(self) -> Mask:
        """Which racks [rack] have been seen for long enough to be judged."""
        return np.asarray(self.rises[0] > WARMTH_LEAST_S)


def initial_warmth(racks: int, sensors: int) -> Warmth:
    """Return sums over nothing."""
    none = np.zeros((racks, sensors), dtype=np.float32)
    return Warmth(none, none, np.zeros((3, racks)), np.zeros(racks))


def watch_temperatures(was: Warmth, temperature_degc: Cells, valid: Mask, rise_k: Floats, elapsed_s: Floats) -> Warmth:
    """Return the sums with every sensor's distance to its rack's median in them.

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
    return Warmth(
        apart_k=fade * was.apart_k + weighed,
        apart_rise_k=fade * was.apart_rise_k + weighed * rise_k.astype(np.float32)[:, None],
        rises=keep * was.rises + new_s * np.stack((np.ones_like(rise_k), rise_k, rise_k**2)),
        waited_s=np.where(known, 0.0, waited_s),
    )


def warmth(was: Warmth) -> tuple[Floats, Floats]:
    """Return what each sensor [rack, sensor] shows beside its rack without any heat, and what the rack's heat adds, K.

    The latter is stated at the rack's mean square rise.
    """
    time, rise, square = was.rises / np.maximum(was.rises[0], 1.0)
    seconds = np.maximum(was.rises[0], 1.0)[:, None]
    apart, by_rise = was.apart_k / seconds, was.apart_rise_k / seconds
    spread = np.maximum(square - rise**2, 0.0) + RISE_FLOOR_K**2
    slope = (by_rise - apart * rise[:, None]) / spread[:, None]
    known = (time > 0.0)[:, None]
    alone = np.where(known, apart - slope * rise[:, None], 0.0)
    return alone, np.where(known, slope * np.sqrt(square)[:, None], 0.0)
