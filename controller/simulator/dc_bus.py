"""Racks in parallel on DC buses: who carries how much, solved from voltages and resistances.

Rule: a rack is a voltage behind a resistance; converters take a power. With conductance G = sum(1/R) and J = sum(E/R)
of the closed racks, the bus voltage V solves V * (J - G * V) = P; each rack then carries (E - V) / R. At P = 0 unequal
racks exchange circulating current. A bus can give at most J^2 / (4 G); more is cut to that. An open rack carries none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

COLLAPSE_MARGIN = 0.999
"""How near to the greatest possible power a bus may be loaded."""


class BusFlow(NamedTuple):
    """Currents [rack] (+ = discharge), voltages [bus] (0 where no rack is closed), power given [bus] (W)."""

    current_a: FloatArray
    voltage_v: FloatArray
    power_w: FloatArray


def solve_buses(
    emf_v: FloatArray,
    resistance_ohm: FloatArray,
    closed: NDArray[np.bool_],
    rack_bus: NDArray[np.int64],
    power_w: FloatArray,
) -> BusFlow:
    """Return what flows; `emf_v`, `resistance_ohm`, `closed`, `rack_bus` are [rack], `power_w` is [bus]."""
    buses = len(power_w)
    conductance = closed / resistance_ohm
    total = np.bincount(rack_bus, conductance, buses)
    pushed_a = np.bincount(rack_bus, conductance * emf_v, buses)
    alive = total > 0.0
    total = np.where(alive, total, 1.0)
    given_w = np.minimum(power_w, COLLAPSE_MARGIN * pushed_a * pushed_a / (4.0 * total)) * alive
    voltage_v = (pushed_a + np.sqrt(pushed_a * pushed_a - 4.0 * total * given_w)) / (2.0 * total)
    current_a = conductance * (emf_v - voltage_v[rack_bus])
    return BusFlow(current_a, voltage_v, given_w)
