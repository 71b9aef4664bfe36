"""Totals of plant, blocks and converters: power, energy, what can be had now and for how long, counts.

Rule: sustained power for 15 or 60 min is the least of the power now, of what the estimated cells bear for 15 min, and
of the energy behind a converter over that time. Racks on a bus share its current, so the one that is weakest for its
size bounds it, in power and in energy; an estimate that is not good bounds no power. Energy is stated at the POI: what
comes out after the converters' losses, what must go in before them, and only inside the SOC window. Values that rest on
unknown inputs are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.efficiency import ac_per_dc
from controller.control.inputs import Estimate
from controller.control.relations import CHARGE, DISCHARGE, Relations
from controller.control.status import RackStatus
from controller.image.plant_arrays import PlantArrays
from controller.image.quality import Quality

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SUSTAINED_H = (0.25, 1.0)
SECONDS, QUARTER = 1, 3
"""Horizons of the estimated power: 10 s and 15 min."""
UNSURE = Quality.UNCERTAIN


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
    possible_w: tuple[float, float]  # what the estimated cells bear for some seconds; inf where not known


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
    sure = racks.closed & (estimate.quality < UNSURE)
    for_seconds_w, for_quarter_w = (_possible_w(relations, arrays, estimate, sure, k) for k in (SECONDS, QUARTER))
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
        sustained_w=_sustained_w(relations, allowed_w, bus_wh, for_quarter_w),
        possible_w=(float(for_seconds_w[CHARGE].sum()), float(for_seconds_w[DISCHARGE].sum())),
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
    bus_wh = _by_weakest(relations, arrays, rack_wh, counted)
    bus_wh[~np.isfinite(bus_wh)] = 0.0
    return bus_wh * _mean_ac_per_dc(arrays)


def _by_weakest(relations: Relations, arrays: PlantArrays, of_rack: FloatArray, counted: BoolArray) -> FloatArray:
    """Return what buses [2, B] give when the rack that gives least for its size bounds all; inf without racks."""
    size = np.where(counted, arrays.rack_energy_wh, 0.0)
    per_size = np.where(counted, of_rack / np.maximum(arrays.rack_energy_wh, 1e-9), np.inf)
    member = (relations.bus_of_rack > 0.0) & counted
    least: FloatArray = np.where(member, per_size[:, None, :], np.inf).min(axis=2)
    return least * np.maximum(relations.bus_of_rack @ size, 1e-9)


def _possible_w(
    relations: Relations, arrays: PlantArrays, estimate: Estimate, sure: BoolArray, horizon: int
) -> FloatArray:
    """Return the power that the cells behind each bus bear [2, B] at the AC side; inf where no estimate is good."""
    rack_w = np.stack((estimate.power_charge_w[:, horizon], estimate.power_discharge_w[:, horizon]))
    if not sure.any():
        return np.full((2, len(relations.bus_of_rack)), np.inf)
    return _by_weakest(relations, arrays, rack_w, sure) * _mean_ac_per_dc(arrays)


def _mean_ac_per_dc(arrays: PlantArrays) -> FloatArray:
    """Return what the AC side gets of a bus [2, 1]; the converters of a bus are taken as one."""
    return ac_per_dc(arrays.pcs_efficiency_ratio.mean(keepdims=True))


def _known_or(value: FloatArray, otherwise: FloatArray) -> FloatArray:
    return np.where(np.isnan(value), otherwise, value)


def _sustained_w(
    relations: Relations, allowed_w: FloatArray, bus_wh: FloatArray, possible_w: FloatArray
) -> tuple[tuple[float, float], ...]:
    """Return what can be kept for 15 and 60 min, from the converters' power now [2, P], the buses' energy and cells."""
    bus_w = np.minimum(allowed_w @ relations.bus_of_pcs.T, possible_w)
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
