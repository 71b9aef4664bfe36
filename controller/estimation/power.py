"""What a rack can give: energy to empty and to full, power over a horizon by the weakest of V, I, SOC and T.

A power is allowed when, held over the whole horizon, the weakest cell ends inside every limit even with the SOC at the
worse end of its bounds and the resistance one margin higher. Currents are found by bisection, all racks, horizons and
both directions at once. Method: Plett 2004 (multi-constraint power limits) with the pairs' own dynamics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import FIRST_PAIR, HALF_GAP, OCV, SERIES, SOC_POINTS, look_up
from controller.estimation.config import EstimatorConfig

Floats = NDArray[np.float64]

HORIZONS_S = (2.0, 10.0, 30.0, 900.0)
RESISTANCE_MARGIN_RATIO = 0.03
DERATING_K = 5.0
"""Over how many kelvin before a temperature limit the current is taken away."""
FALSE_POSITIONS = 4


@dataclass(frozen=True, slots=True)
class PowerBasis:
    """What power limits start from, per rack [rack]: SOC bounds, polarisation now, how the extreme cells stand apart.

    `curves` [rack, curve, SOC point]; `weak_v` <= 0 and `strong_v` >= 0: lowest and highest cell against the mean.
    """

    curves: Floats
    soc_low_ratio: Floats
    soc_high_ratio: Floats
    capacity_ah: Floats
    hysteresis: Floats
    pair_current_a: Floats
    resistance_ratio: Floats
    model_shift_v: Floats
    weak_v: Floats
    strong_v: Floats
    temperature_degc: Floats


@dataclass(frozen=True, slots=True)
class _Ways:
    """Both directions and all horizons side by side, [rack, way]; the two curves are flattened to [rack * way]."""

    sign: Floats  # [way], +1 discharge
    seconds: Floats  # [way]
    soc_start: Floats
    soc_per_a: Floats  # SOC drawn by one ampere of discharge
    open_v: Floats  # [rack * way, SOC point]: open circuit less what the pairs still hold of now
    ohm: Floats  # [rack * way, SOC point]: resistance of a current held for the horizon


def power_limits(config: EstimatorConfig, basis: PowerBasis) -> tuple[Floats, Floats]:
    """Return discharge and charge power [rack, horizon] in W at the rack's terminals, both >= 0.

    Discharge power is taken at the end voltage, the lowest; charge power at the lower of now and the end.
    """
    ways = _ways(config, basis)
    amount_a = _largest_currents(config, basis, ways)
    end_v = np.minimum(_end_voltage(ways, amount_a), _end_voltage(ways, np.zeros_like(amount_a)))
    power = amount_a * np.maximum(end_v, 0.0) * config.cells_in_series[:, None]
    return power[:, : len(HORIZONS_S)], power[:, len(HORIZONS_S) :]


def _ways(config: EstimatorConfig, basis: PowerBasis) -> _Ways:
    horizons = np.array(HORIZONS_S)
    keep = np.exp(-horizons[None, :, None] / config.pair_time_constant_s[:, None, :])
    worse = ((1.0 + RESISTANCE_MARGIN_RATIO) * basis.resistance_ratio)[:, None, None]
    pair_ohm = basis.curves[:, FIRST_PAIR:]
    ohm = worse * (basis.curves[:, None, SERIES] + np.matmul(1.0 - keep, pair_ohm))
    held_v = np.matmul(keep * basis.pair_current_a[:, None, :], pair_ohm)
    open_v = basis.curves[:, None, OCV] + basis.model_shift_v[:, None, None] - held_v
    gap = basis.curves[:, None, HALF_GAP]
    lowest = open_v + (np.minimum(basis.hysteresis, 0.0) - 0.3)[:, None, None].clip(-1.0) * gap
    highest = open_v + (np.maximum(basis.hysteresis, 0.0) + 0.3)[:, None, None].clip(None, 1.0) * gap
    both = np.repeat([1.0, -1.0], len(horizons))
    return _Ways(
        sign=both,
        seconds=np.tile(horizons, 2),
        soc_start=np.where(both > 0.0, basis.soc_low_ratio[:, None], basis.soc_high_ratio[:, None]),
        soc_per_a=np.tile(horizons, 2) / (3600.0 * basis.capacity_ah[:, None]),
        open_v=np.concatenate((lowest, highest), axis=1).reshape(-1, SOC_POINTS),
        ohm=np.concatenate((ohm, ohm), axis=1).reshape(-1, SOC_POINTS),
    )


def _largest_currents(config: EstimatorConfig, basis: PowerBasis, ways: _Ways) -> Floats:
    """Return the largest currents [rack, way] that keep every limit: false position from a side that surely does."""
    high = _without_voltage(config, basis, ways)
    low = np.zeros_like(high)
    room_low, room_high = _room(config, basis, ways, low), _room(config, basis, ways, high)
    for _ in range(FALSE_POSITIONS):
        share = np.clip(room_low / np.maximum(room_low - room_high, 1e-9), 0.05, 0.98)
        middle = np.where(room_high >= 0.0, high, low + share * (high - low))
        room = _room(config, basis, ways, middle)
        inside = room >= 0.0
        low, room_low = np.where(inside, middle, low), np.where(inside, room, room_low)
        high, room_high = np.where(inside, high, middle), np.where(inside, room_high, room)
    return np.asarray(np.where(room_low >= 0.0, low, 0.0))


def _without_voltage(config: EstimatorConfig, basis: PowerBasis, ways: _Ways) -> Floats:
    """Return the currents that current, SOC and temperature limits leave [rack, way]."""
    discharge = config.discharge_current_max_a * _warmth(config, basis, sign=1.0)
    charge = config.charge_current_max_a * _warmth(config, basis, sign=-1.0)
    most = np.where(ways.sign > 0.0, discharge[:, None], charge[:, None])
    reach = np.where(ways.sign > 0.0, ways.soc_start, 1.0 - ways.soc_start)
    return np.asarray(np.minimum(most, np.maximum(reach, 0.0) / ways.soc_per_a))


def _room(config: EstimatorConfig, basis: PowerBasis, ways: _Ways, amount_a: Floats) -> Floats:
    """Return how far the extreme cell stays inside its voltage limit, V [rack, way]."""
    limits = [cell.limits for cell in config.cells]
    lowest = config.per_cell_type([x.voltage_min_v for x in limits]) + config.voltage_bias_v - basis.weak_v
    highest = config.per_cell_type([x.voltage_max_v for x in limits]) - config.voltage_bias_v - basis.strong_v
    edge = np.where(ways.sign > 0.0, lowest[:, None], highest[:, None])
    return np.asarray(ways.sign * (_end_voltage(ways, amount_a) - edge))


def _end_voltage(ways: _Ways, amount_a: Floats) -> Floats:
    """Return the mean cell's voltage at the end of the horizons under currents held, from the worse SOC bound."""
    current = ways.sign * amount_a
    soc = np.minimum(np.maximum(ways.soc_start - current * ways.soc_per_a, 0.0), 1.0).reshape(-1, 1)
    voltage = look_up(ways.open_v, soc) - look_up(ways.ohm, soc) * current.reshape(-1, 1)
    return np.asarray(voltage.reshape(amount_a.shape))


def _warmth(config: EstimatorConfig, basis: PowerBasis, sign: float) -> Floats:
    """Return the share of current that the temperature leaves, falling to zero over the last kelvins."""
    limits = [cell.limits for cell in config.cells]
    cold = [x.discharge_temperature_min_degc if sign > 0.0 else x.charge_temperature_min_degc for x in limits]
    hot = [x.discharge_temperature_max_degc if sign > 0.0 else x.charge_temperature_max_degc for x in limits]
    room = np.minimum(
        basis.temperature_degc - config.per_cell_type(cold), config.per_cell_type(hot) - basis.temperature_degc
    )
    return np.asarray(np.clip((room - config.temperature_bias_k) / DERATING_K, 0.0, 1.0))


def energy_limits(basis: PowerBasis, soc_ratio: Floats, cells_in_series: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return energy to empty and to full in Wh at the rack's terminals, at C/5 by the mean cell.

    To empty: the integral of the loaded discharge voltage from the SOC down; to full: of the loaded charge voltage up.
    """
    step = 1.0 / (SOC_POINTS - 1)
    load_a = 0.2 * basis.capacity_ah[:, None]
    resistance = basis.curves[:, SERIES:].sum(axis=1) * basis.resistance_ratio[:, None]
    down = basis.curves[:, OCV] - basis.curves[:, HALF_GAP] - load_a * resistance
    up = basis.curves[:, OCV] + basis.curves[:, HALF_GAP] + load_a * resistance
    below = np.cumsum(down, axis=1) * step - 0.5 * step * (down + down[:, :1])
    above = np.cumsum(up, axis=1) * step - 0.5 * step * (up + up[:, :1])
    soc = np.clip(soc_ratio, 0.0, 1.0)[:, None]
    charge_ah = basis.capacity_ah * cells_in_series
    to_empty = look_up(below, soc)[:, 0] * charge_ah
    to_full = (above[:, -1] - look_up(above, soc)[:, 0]) * charge_ah
    return np.maximum(to_empty, 0.0), np.maximum(to_full, 0.0)
