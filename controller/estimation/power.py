"""What a rack can give over a horizon: the power that keeps every cell inside V, I, SOC and T, held to its end.

A current is allowed when, held for the whole horizon, the weakest cell of each limit ends inside it: the SOC at the
worse end of its bounds and the cell that stands furthest off, the largest resistance of the rack, the hottest and the
coldest sensor. It must also be allowed at once: a rack that has just been worked hard still sags from before. Currents
are found by false position, all racks, horizons and both directions side by side.
Method: Plett 2004 (multi-constraint power limits), with the pairs' own dynamics and heat instead of a fixed pulse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_tables import FIRST_PAIR, HALF_GAP, OCV, SERIES, SOC_POINTS
from controller.estimation.config import EstimatorConfig
from controller.estimation.thermal import core_k_per_w

Floats = NDArray[np.float64]

HORIZONS_S = (2.0, 10.0, 30.0, 900.0)
RESISTANCE_MARGIN_RATIO = 0.03
CURRENT_MARGIN_RATIO = 0.005
"""A power is a current times a voltage that is known to some millivolts only."""
HYSTERESIS_MARGIN = 0.3
FALSE_POSITIONS = 5
AT_ONCE_S = 1e-3
ROOM_TEMPERATURE_K = 298.0


@dataclass(frozen=True, slots=True)
class PowerBasis:
    """What power limits start from, per rack [rack].

    `curves` [rack, curve, SOC point]. `soc_low_ratio` is the lowest cell's lower bound, `soc_high_ratio` the highest
    cell's upper one; `resistance_ratio` the largest cell's, over the table. `weak_v` <= 0 and `strong_v` >= 0: lowest
    and highest cell against the mean. Temperatures are of the core: the coldest and the hottest.
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
    coldest_degc: Floats
    hottest_degc: Floats


@dataclass(frozen=True, slots=True)
class PowerLimits:
    """What may be asked of each rack [rack, horizon], all >= 0: W at its terminals and A."""

    discharge_w: Floats
    charge_w: Floats
    discharge_a: Floats
    charge_a: Floats


@dataclass(frozen=True, slots=True)
class _Ways:
    """Both directions, each at once and at all horizons, side by side [rack, way]."""

    sign: Floats  # [way], +1 discharge
    seconds: Floats  # [way]
    soc_start: Floats
    soc_per_a: Floats  # SOC drawn by one ampere of discharge
    hysteresis: Floats
    edge_v: Floats  # the mean cell's voltage at which the extreme cell meets its limit
    resistance: Floats  # [rack, 1]
    build: Floats  # [rack, way, pair]: share of a held current that the pairs have taken up
    held_a: Floats  # [rack, way, pair]: what they still hold of now


def power_limits(config: EstimatorConfig, basis: PowerBasis) -> PowerLimits:
    """Return what each rack can carry over the horizons.

    Discharge power is taken at the end voltage, the lowest; charge power at the lower of now and the end.
    """
    ways = _ways(config, basis)
    most_a = _without_voltage(config, basis, ways)
    most_a = np.minimum(most_a, _within_heat(config, basis, ways, most_a))
    rest_v = _voltage(basis, ways, np.zeros_like(most_a))
    amount_a = _largest_currents(basis, ways, most_a, rest_v)
    amount_a = np.minimum(amount_a, np.where(ways.sign > 0.0, amount_a[:, :1], amount_a[:, _WAYS // 2, None]))
    end_v = np.minimum(_voltage(basis, ways, amount_a), rest_v)
    power = amount_a * np.maximum(end_v, 0.0) * config.cells_in_series[:, None]
    half = _WAYS // 2
    return PowerLimits(power[:, 1:half], power[:, half + 1 :], amount_a[:, 1:half], amount_a[:, half + 1 :])


_SECONDS = np.tile((AT_ONCE_S, *HORIZONS_S), 2)
_WAYS = len(_SECONDS)
_SIGN = np.repeat([1.0, -1.0], _WAYS // 2)


def _ways(config: EstimatorConfig, basis: PowerBasis) -> _Ways:
    keep = np.exp(-_SECONDS[None, :, None] / config.pair_time_constant_s[:, None, :])
    down, forth = _SIGN > 0.0, basis.hysteresis[:, None]
    worse = np.clip(forth - HYSTERESIS_MARGIN * _SIGN, -1.0, 1.0)
    return _Ways(
        sign=_SIGN,
        seconds=_SECONDS,
        soc_start=np.where(down, basis.soc_low_ratio[:, None], basis.soc_high_ratio[:, None]),
        soc_per_a=_SECONDS / (3600.0 * basis.capacity_ah[:, None]),
        hysteresis=np.where(down, np.minimum(worse, 0.0), np.maximum(worse, 0.0)),
        edge_v=_edges(config, basis),
        resistance=((1.0 + RESISTANCE_MARGIN_RATIO) * basis.resistance_ratio)[:, None],
        build=1.0 - keep,
        held_a=keep * basis.pair_current_a[:, None, :],
    )


def _edges(config: EstimatorConfig, basis: PowerBasis) -> Floats:
    limits = [cell.limits for cell in config.cells]
    lowest = config.per_cell_type([x.voltage_min_v for x in limits]) + config.voltage_bias_v - basis.weak_v
    highest = config.per_cell_type([x.voltage_max_v for x in limits]) - config.voltage_bias_v - basis.strong_v
    shift = basis.model_shift_v
    return np.where(_SIGN > 0.0, (lowest - shift)[:, None], (highest - shift)[:, None])


def _largest_currents(basis: PowerBasis, ways: _Ways, most_a: Floats, rest_v: Floats) -> Floats:
    """Return the largest currents [rack, way] up to `most_a` that keep the voltage limits, from the safe side.

    `rest_v` [rack, way] is the voltage without a current.
    """
    high, low = most_a, np.zeros_like(most_a)
    room_high = _room(ways, _voltage(basis, ways, high))
    if (room_high >= 0.0).all():
        return high
    room_low = _room(ways, rest_v)
    for _ in range(FALSE_POSITIONS):
        share = np.clip(room_low / np.maximum(room_low - room_high, 1e-9), 0.05, 0.98)
        middle = np.where(room_high >= 0.0, high, low + share * (high - low))
        room = _room(ways, _voltage(basis, ways, middle))
        inside = room >= 0.0
        low, room_low = np.where(inside, middle, low), np.where(inside, room, room_low)
        high, room_high = np.where(inside, high, middle), np.where(inside, room_high, room)
    return np.asarray(np.where(room_low >= 0.0, low, 0.0))


def _without_voltage(config: EstimatorConfig, basis: PowerBasis, ways: _Ways) -> Floats:
    """Return the currents that ratings, SOC and cold leave [rack, way]."""
    down = ways.sign > 0.0
    limits = [cell.limits for cell in config.cells]
    coldest = basis.coldest_degc - config.temperature_bias_k
    discharge = config.discharge_current_max_a * (
        coldest > config.per_cell_type([x.discharge_temperature_min_degc for x in limits])
    )
    charge = config.charge_current_max_a * (
        coldest > config.per_cell_type([x.charge_temperature_min_degc for x in limits])
    )
    most = (1.0 - CURRENT_MARGIN_RATIO) * np.where(down, discharge[:, None], charge[:, None])
    reach = np.where(down, ways.soc_start, 1.0 - ways.soc_start)
    return np.asarray(np.minimum(most, np.maximum(reach, 0.0) / ways.soc_per_a))


def _within_heat(config: EstimatorConfig, basis: PowerBasis, ways: _Ways, most_a: Floats) -> Floats:
    """Return the currents whose heat takes the hottest core to its limit at the end.

    Heat is I^2 R + I b, with b what hysteresis and entropy can add, both over the SOC that the largest current would
    pass (Simpson). The cell has no more than its own two nodes to give it to, and air as warm as it is now.
    """
    limits = [cell.limits for cell in config.cells]
    hot = np.array([[x.discharge_temperature_max_degc, x.charge_temperature_max_degc] for x in limits])
    hot = hot[config.cell_index] - config.temperature_bias_k[:, None]
    most_degc = np.where(ways.sign > 0.0, hot[:, :1], hot[:, 1:])
    k_per_w = np.array([core_k_per_w(cell.heat, tuple(_SECONDS.tolist())) for cell in config.cells])[config.cell_index]
    power_w = np.maximum(most_degc - basis.hottest_degc[:, None], 0.0) / k_per_w
    ohm, extra_v = _heat_terms(config, basis, ways, most_a)
    return np.asarray((np.sqrt(extra_v**2 + 4.0 * ohm * power_w) - extra_v) / (2.0 * ohm))


def _heat_terms(config: EstimatorConfig, basis: PowerBasis, ways: _Ways, most_a: Floats) -> tuple[Floats, Floats]:
    """Return resistance and voltage [rack, way] that make heat, as means over the way through the SOC."""
    entropy_v = (ROOM_TEMPERATURE_K * config.tables.entropy_v_per_k)[config.cell_index, None]
    travel = ways.sign * most_a * ways.soc_per_a
    ends = np.clip(np.concatenate([ways.soc_start - part * travel for part in (0.0, 0.5, 1.0)], axis=1), 0.0, 1.0)
    curves_mean, entropy_mean_v = (_simpson(_look_up_all(curves, ends)) for curves in (basis.curves, entropy_v))
    ohm = ways.resistance * curves_mean[:, SERIES:].sum(axis=1)
    return ohm, curves_mean[:, HALF_GAP] - ways.sign * entropy_mean_v[:, 0]


def _simpson(at: Floats) -> Floats:
    """Return the means over the way from values at its start, middle and end, side by side in the last axis."""
    start, middle, end = np.split(at, 3, axis=2)
    return np.asarray((start + 4.0 * middle + end) / 6.0)


def _room(ways: _Ways, voltage_v: Floats) -> Floats:
    """Return how far the extreme cell stays inside its voltage limit, V [rack, way], where the mean cell is so."""
    return np.asarray(ways.sign * (voltage_v - ways.edge_v))


def _voltage(basis: PowerBasis, ways: _Ways, amount_a: Floats) -> Floats:
    """Return the mean cell's voltage at the end of the horizons under currents held, from the worse SOC bound."""
    current = ways.sign * amount_a
    soc = np.minimum(np.maximum(ways.soc_start - current * ways.soc_per_a, 0.0), 1.0)
    at = _look_up_all(basis.curves, soc)
    pair_a = ways.build * current[..., None] + ways.held_a
    drop = at[:, SERIES] * current + np.einsum("rpw,rwp->rw", at[:, FIRST_PAIR:], pair_a)
    return np.asarray(at[:, OCV] + ways.hysteresis * at[:, HALF_GAP] - ways.resistance * drop)


def _look_up_all(curves: Floats, soc_ratio: Floats) -> Floats:
    """Return every curve [rack, curve, SOC point] at SOCs [rack, way] within 0..1, as [rack, curve, way]."""
    place = soc_ratio * (SOC_POINTS - 1)
    lower = np.minimum(place, SOC_POINTS - 2).astype(np.intp)
    racks, kinds = curves.shape[:2]
    at = (np.arange(racks * kinds) * SOC_POINTS).reshape(racks, kinds, 1) + lower[:, None, :]
    flat = curves.reshape(-1)
    low = flat.take(at)
    return np.asarray(low + (place - lower)[:, None, :] * (flat.take(at + 1) - low))
