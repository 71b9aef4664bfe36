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
from controller.control.status import RackStatus
from controller.image.plant_arrays import PlantArrays

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SUSTAINED_H = (0.25, 1.0)


@dataclass(frozen=True, slots=True)
class EnergyAccount:
    """SOC and energy; energies and powers as (charge, discharge) at the POI. `racks`: the status it was made with."""

    racks: RackStatus
    soc_ratio: float  # of the connected racks, by energy
    soc_installed_ratio: float
    soh_ratio: float
    block_soc_ratio: FloatArray  # [K]
    pcs_soc_ratio: list[float]  # of the connected racks behind each converter
    energy_wh: tuple[float, float]
    sustained_w: tuple[tuple[float, float], ...]  # for each of `SUSTAINED_H`


def energy_account(
    relations: Relations,
    arrays: PlantArrays,
    estimate: Estimate,
    soc_ratio: FloatArray,
    racks: RackStatus,
    window: tuple[float, float],
    allowed_w: FloatArray,
) -> EnergyAccount:
    """Return SOC and energy of everything; `soc_ratio` [R] is the SOC in use, `window` the SOC limits."""
    known = ~np.isnan(soc_ratio)
    soc = np.where(known, soc_ratio, 0.0)
    installed_wh = np.where(known, arrays.rack_energy_wh, 0.0)
    connected_wh = np.where(racks.closed, installed_wh, 0.0)
    stored = np.stack([connected_wh, connected_wh * soc], axis=1)
    bus_soc_ratio = _ratios(relations.bus_of_rack @ stored)
    bus_wh = _energy_wh(relations, arrays, estimate, soc, racks.closed & known, window)
    connected_total_wh, stored_wh = stored.sum(axis=0).tolist()
    charge_wh, discharge_wh = bus_wh.sum(axis=1).tolist()
    return EnergyAccount(
        racks=racks,
        soc_ratio=_ratio(stored_wh, connected_total_wh),
        soc_installed_ratio=_ratio(float(installed_wh @ soc), float(installed_wh.sum())),
        soh_ratio=_weighted(estimate.soh_ratio, arrays.rack_energy_wh),
        block_soc_ratio=_ratios(relations.block_of_rack @ stored),
        pcs_soc_ratio=bus_soc_ratio[arrays.pcs_bus].tolist(),
        energy_wh=(charge_wh, discharge_wh),
        sustained_w=_sustained_w(relations, allowed_w, bus_wh),
    )


def _energy_wh(
    relations: Relations,
    arrays: PlantArrays,
    estimate: Estimate,
    soc: FloatArray,
    counted: BoolArray,
    window: tuple[float, float],
) -> FloatArray:
    """Energy of each bus [2, B] inside the SOC window, at the AC side: the part of the way that the window leaves."""
    low, high = window
    down = np.maximum(soc - low, 0.0) / np.maximum(soc, 1e-6)
    up = np.maximum(high - soc, 0.0) / np.maximum(1.0 - soc, 1e-6)
    rack_wh = np.empty((2, len(soc)))
    rack_wh[CHARGE] = _known_or(estimate.energy_to_full_wh, (1.0 - soc) * arrays.rack_energy_wh) * up
    rack_wh[DISCHARGE] = _known_or(estimate.energy_to_empty_wh, soc * arrays.rack_energy_wh) * down
    bus_wh: FloatArray = np.where(counted, rack_wh, 0.0) @ relations.bus_of_rack.T
    efficiency = float(arrays.pcs_efficiency_ratio.mean())
    bus_wh[CHARGE] /= efficiency
    bus_wh[DISCHARGE] *= efficiency
    return bus_wh


def _known_or(value: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.where(np.isnan(value), otherwise, value)


def _sustained_w(relations: Relations, allowed_w: FloatArray, bus_wh: FloatArray) -> tuple[tuple[float, float], ...]:
    """Return what can be kept for 15 and 60 min, from the converters' power now [2, P] and the energy of the buses."""
    bus_w = allowed_w @ relations.bus_of_pcs.T
    both = (np.minimum(bus_w, bus_wh / hours).sum(axis=1).tolist() for hours in SUSTAINED_H)
    return tuple((charge_w, discharge_w) for charge_w, discharge_w in both)


def _weighted(value: FloatArray, weight: FloatArray) -> float:
    known = ~np.isnan(value)
    return _ratio(float(np.where(known, value, 0.0) @ weight), float(known @ weight))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else float("nan")


def _ratios(of_group: FloatArray) -> FloatArray:
    whole, part = of_group[:, 0], of_group[:, 1]
    return np.where(whole > 0.0, part / np.maximum(whole, 1e-9), np.nan)
