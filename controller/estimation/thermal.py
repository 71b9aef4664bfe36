"""Heat in a cell: a core that makes it, a surface that is measured, the air around.

Sensors sit on the surface; the limits are the core's. The core is followed from the measured surface and the heat that
current, hysteresis and entropy make (I (U - V) - I T dU/dT; Bernardi 1985). Two nodes after Lin et al. 2014.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import FIRST_PAIR, HALF_GAP, OCV, SERIES, look_up
from controller.estimation.config import EstimatorConfig
from controller.plant.cell_types import Heat

Floats = NDArray[np.float64]

ZERO_DEGC_K = 273.15
DROP_RATIOS = 0.5, 1.5


@lru_cache(maxsize=256)
def core_k_per_w(heat: Heat, seconds: tuple[float, ...]) -> tuple[float, ...]:
    """Return by how many kelvin a watt held for so long warms the core, the air being as warm as the cell at first."""
    inside, outside = 1.0 / heat.core_to_surface_k_per_w, 1.0 / heat.surface_to_ambient_k_per_w
    rates = np.array(
        [
            [-inside / heat.core_j_per_k, inside / heat.core_j_per_k],
            [inside / heat.surface_j_per_k, -(inside + outside) / heat.surface_j_per_k],
        ]
    )
    values, vectors = np.linalg.eig(rates)
    start = np.linalg.solve(vectors, [1.0 / heat.core_j_per_k, 0.0])
    return tuple(float((vectors @ ((np.exp(values * s) - 1.0) / values * start))[0]) for s in seconds)


def core_per_surface(config: EstimatorConfig) -> Floats:
    """Return by how much a lasting heat warms the core [rack], over how much it warms the surface."""
    heats = [cell.heat for cell in config.cells]
    inside = config.per_cell_type([h.core_to_surface_k_per_w for h in heats])
    return 1.0 + inside / config.per_cell_type([h.surface_to_ambient_k_per_w for h in heats])


def cell_heat_w(
    config: EstimatorConfig,
    curves: Floats,
    soc_ratio: Floats,
    current_a: Floats,
    pair_current_a: Floats,
    temperature_degc: Floats,
    voltage_v: Floats,
) -> Floats:
    """Return the heat of the mean cell [rack] in W, less than zero where entropy cools more than losses heat.

    `voltage_v`: of the mean cell at this current, NaN where unknown. The drop that it shows counts, since a warm core
    has less resistance than the tables say at the surface's temperature, within `DROP_RATIOS` of theirs, since the
    open-circuit voltage is not known well on a knee.
    """
    at = soc_ratio[:, None]
    load = np.concatenate((current_a[:, None], pair_current_a), axis=1)
    sag_v = np.einsum("rc,rcz->rz", load, curves[:, SERIES : FIRST_PAIR + pair_current_a.shape[1]])
    entropy = config.tables.entropy_v_per_k[config.cell_index]
    stated_w = (
        np.maximum(current_a * look_up(sag_v, at)[:, 0], 0.0)
        + np.abs(current_a) * look_up(curves[:, HALF_GAP], at)[:, 0]
    )
    shown_w = current_a * (look_up(curves[:, OCV], at)[:, 0] - voltage_v)
    known_w = np.where(np.isfinite(shown_w), shown_w, stated_w)
    irreversible = np.clip(known_w, DROP_RATIOS[0] * stated_w, DROP_RATIOS[1] * stated_w)
    reversible = -current_a * (temperature_degc + ZERO_DEGC_K) * look_up(entropy, at)[:, 0]
    return np.asarray(irreversible + reversible)


def follow_core(
    config: EstimatorConfig, core_degc: Floats, surface_degc: Floats, heat_w: Floats, elapsed_s: Floats
) -> Floats:
    """Return the core temperature [rack] after some time of heat, from the surface's; NaN before: as the surface."""
    heats = [cell.heat for cell in config.cells]
    apart = config.per_cell_type([h.core_to_surface_k_per_w for h in heats])
    lasts_s = apart * config.per_cell_type([h.core_j_per_k for h in heats])
    settled = surface_degc + heat_w * apart
    known = np.isfinite(core_degc)
    return np.where(known, settled + np.exp(-elapsed_s / lasts_s) * (core_degc - settled), surface_degc)


def follow_rise(config: EstimatorConfig, rise_k: Floats, heat_w: Floats, elapsed_s: Floats) -> Floats:
    """Return by how much heat has lifted the mean cell's surface [rack] above its air, after some time more of it."""
    heats = [cell.heat for cell in config.cells]
    outside = config.per_cell_type([h.surface_to_ambient_k_per_w for h in heats])
    lasts_s = outside * config.per_cell_type([h.core_j_per_k + h.surface_j_per_k for h in heats])
    settled = heat_w * outside
    return settled + np.exp(-elapsed_s / lasts_s) * (rise_k - settled)
