"""Totals of plant, blocks and converters: power, energy, what can be had now and for how long, counts.

Rule: sustained power for 15 or 60 min is the lesser of the power now and the energy behind a converter over that time.
Energy is stated at the POI: what comes out after the converters' losses, what must go in before them, and only inside
the SOC window. Values that rest on unknown inputs are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.inputs import Estimate
from controller.control.relations import CHARGE, DISCHARGE, Relations
from controller.image.plant_arrays import PlantArrays

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SUSTAINED_H = (0.25, 1.0)


@dataclass(frozen=True, slots=True)
class EnergyAccount:
    """SOC and energy. Blocks [K], buses [B]; energies at the POI (Wh) [2, B] in charge and discharge direction."""

    soc_ratio: float  # of the connected racks, by energy
    soc_installed_ratio: float
    soh_ratio: float
    block_soc_ratio: FloatArray
    bus_soc_ratio: FloatArray
    energy_wh: FloatArray


def energy_account(
    relations: Relations,
    arrays: PlantArrays,
    estimate: Estimate,
    soc_ratio: FloatArray,
    connected: BoolArray,
    window: tuple[float, float],
) -> EnergyAccount:
    """Return SOC and energy of everything; `soc_ratio` [R] is the SOC in use, `window` the SOC limits."""
    known = ~np.isnan(soc_ratio)
    energy_wh = arrays.rack_energy_wh
    weights = np.empty((3, len(energy_wh)))  # installed, connected, and the connected energy times SOC
    weights[0] = energy_wh * known
    weights[1] = weights[0] * connected
    soc = np.where(known, soc_ratio, 0.0)
    weights[2] = weights[1] * soc
    installed_wh, connected_wh, stored_wh = weights.sum(axis=1)
    stored_installed_wh = float(weights[0] @ soc)
    of_block = relations.block_of_rack @ weights[1:].T
    of_bus = relations.bus_of_rack @ weights[1:].T
    return EnergyAccount(
        soc_ratio=_ratio(float(stored_wh), float(connected_wh)),
        soc_installed_ratio=_ratio(stored_installed_wh, float(installed_wh)),
        soh_ratio=_weighted(estimate.soh_ratio, energy_wh),
        block_soc_ratio=_ratios(of_block),
        bus_soc_ratio=_ratios(of_bus),
        energy_wh=_energy_wh(relations, arrays, estimate, soc, connected & known, window),
    )


def _energy_wh(
    relations: Relations,
    arrays: PlantArrays,
    estimate: Estimate,
    soc: FloatArray,
    counted: BoolArray,
    window: tuple[float, float],
) -> FloatArray:
    """Energy of each bus inside the SOC window, at the AC side: the part of the way that the window leaves."""
    low, high = window
    down = np.maximum(soc - low, 0.0) / np.maximum(soc, 1e-6)
    up = np.maximum(high - soc, 0.0) / np.maximum(1.0 - soc, 1e-6)
    rack_wh = np.empty((2, len(soc)))
    rack_wh[CHARGE] = _known_or(estimate.energy_to_full_wh, (1.0 - soc) * arrays.rack_energy_wh) * up
    rack_wh[DISCHARGE] = _known_or(estimate.energy_to_empty_wh, soc * arrays.rack_energy_wh) * down
    bus_wh: FloatArray = np.where(counted, rack_wh, 0.0) @ relations.bus_of_rack.T
    efficiency = float(arrays.pcs_efficiency_ratio.mean()) if len(arrays.pcs_efficiency_ratio) else 1.0
    bus_wh[CHARGE] /= efficiency
    bus_wh[DISCHARGE] *= efficiency
    return bus_wh


def _known_or(value: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.where(np.isnan(value), otherwise, value)


def sustained_w(relations: Relations, allowed_w: FloatArray, energy_wh: FloatArray) -> FloatArray:
    """Return power that can be kept for 15 and 60 min [time, direction] from converters' power now [2, P]."""
    bus_w = allowed_w @ relations.bus_of_pcs.T  # [2, B]
    return np.array([np.minimum(bus_w, energy_wh / hours).sum(axis=1) for hours in SUSTAINED_H])


def _weighted(value: FloatArray, weight: FloatArray) -> float:
    known = ~np.isnan(value)
    return _ratio(float(np.where(known, value, 0.0) @ weight), float(known @ weight))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else float("nan")


def _ratios(of_group: FloatArray) -> FloatArray:
    whole, part = of_group[:, 0], of_group[:, 1]
    return np.where(whole > 0.0, part / np.maximum(whole, 1e-9), np.nan)
