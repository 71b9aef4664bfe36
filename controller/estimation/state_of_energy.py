"""What energy a rack still holds, and how much it can take, until its first cell is empty or full.

The rack's current flows through every cell, so the cell that reaches its end first ends it for all: the mean cell's
way down is as long as the shortest way of any cell, and along it the mean cell's loaded voltage is summed up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import HALF_GAP, OCV, SERIES, SOC_POINTS, look_up
from controller.estimation.power import PowerBasis

Floats = NDArray[np.float64]

LOAD_C_RATE = 0.2


def energy_limits(
    basis: PowerBasis, soc_ratio: Floats, weakest_ratio: Floats, strongest_ratio: Floats, cells: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return energy to empty and to full [rack] in Wh at the rack's terminals, at C/5.

    `weakest_ratio` <= 0 and `strongest_ratio` >= 0: by how much SOC the first cell is earlier at either end than the
    mean cell at `soc_ratio`.
    """
    load_a = LOAD_C_RATE * basis.capacity_ah[:, None]
    sag_v = load_a * basis.curves[:, SERIES:].sum(axis=1) * basis.resistance_ratio[:, None]
    soc = np.clip(soc_ratio, 0.0, 1.0)
    end_low, end_high = np.minimum(-weakest_ratio, soc), np.maximum(1.0 - strongest_ratio, soc)
    charge_ah = basis.capacity_ah * cells
    down_v = _summed(basis.curves[:, OCV] - basis.curves[:, HALF_GAP] - sag_v)
    up_v = _summed(basis.curves[:, OCV] + basis.curves[:, HALF_GAP] + sag_v)
    return _between(down_v, end_low, soc) * charge_ah, _between(up_v, soc, end_high) * charge_ah


def _summed(voltage_v: Floats) -> Floats:
    """Return the integral over SOC from zero [rack, SOC point]."""
    step = 1.0 / (SOC_POINTS - 1)
    return np.asarray(np.cumsum(voltage_v, axis=1) * step - 0.5 * step * (voltage_v + voltage_v[:, :1]))


def _between(summed_v: Floats, low: Floats, high: Floats) -> Floats:
    at = look_up(summed_v, np.stack((low, high), axis=1))
    return np.asarray(np.maximum(at[:, 1] - at[:, 0], 0.0))
