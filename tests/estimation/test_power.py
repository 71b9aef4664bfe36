"""Power limits, used in full on a rack that is not quite what its type says: no limit is crossed, little is left."""

from __future__ import annotations

import numpy as np
import pytest

from controller.estimation import HORIZONS_S, Estimate, RackSpec, estimate, estimator_config, initial
from controller.plant.cell_loader import packaged_cell_type
from controller.plant.cell_types import scaled
from tests.estimation.equivalent_rack import EquivalentRack, Reached

CELL = scaled(packaged_cell_type("generic_280_lfp"), 280.0)
CELLS = 16
MOST_A = 840.0
"""3C: so much that voltages bind before currents do."""
VOLT, KELVIN = 1e-3, 0.05


def learnt(rack: EquivalentRack, before_c_rate: float, seconds: int, most_a: float = MOST_A) -> Estimate:
    """Return the estimate after some minutes of load that ends at a C rate."""
    config = estimator_config([RackSpec(CELL, 280.0, CELLS, most_a, most_a, temperature_sensors=CELLS)])
    state = initial(config, 0, float(rack.soc.mean()), 0.02)
    result = None
    for second in range(1, seconds + 1):
        c_rate = before_c_rate * (1.0 if second > seconds - 60 else np.sign(np.sin(second / 40.0)))
        current_a = 280.0 * c_rate
        cell_v = rack.step(current_a, 1.0)
        result = estimate(config, state, rack.sample(second * 10**9, current_a, cell_v), second * 10**9)
    assert result is not None
    return result


def held(rack: EquivalentRack, power_w: float, seconds: float) -> Reached:
    reached, dt_s = Reached(), max(seconds / 90.0, 0.2)
    for _ in range(round(seconds / dt_s) + 1):
        rack.step(rack.current_at(power_w), dt_s, reached)
    return reached


CASES = [
    (0.50, 25.0, 0.1),
    (0.50, 25.0, 1.0),
    (0.50, 5.0, -0.3),
    (0.12, 25.0, 0.3),
    (0.06, 15.0, 0.5),
    (0.04, 40.0, -0.2),
    (0.90, 25.0, -0.5),
    (0.96, 25.0, -0.2),
    (0.97, 10.0, 0.3),
    (0.60, 53.0, 0.3),
]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("soc", "degc", "before"), CASES)
def test_power_used_in_full_crosses_no_limit(soc: float, degc: float, before: float, seed: int):
    rack = EquivalentRack(CELL, CELLS, soc, degc, seed)
    result = learnt(rack, before, 180)
    limits = CELL.limits
    for sign, powers in ((1.0, result.power_discharge_w[0]), (-1.0, result.power_charge_w[0])):
        for seconds, power_w in zip(HORIZONS_S, powers, strict=True):
            reached = held(rack.copy(), sign * float(power_w), seconds)
            where = f"{sign:+.0f} {seconds} s {power_w / CELLS:.0f} W a cell"
            if power_w > 0.0 or sign > 0.0:
                assert reached.lowest_v >= limits.voltage_min_v - VOLT, where
            assert reached.highest_v <= max(limits.voltage_max_v, 0.0) + VOLT or power_w == 0.0, where
            assert reached.largest_a <= MOST_A, where
            assert power_w == 0.0 or (reached.lowest_soc >= 0.0 and reached.highest_soc <= 1.0), where
            assert power_w == 0.0 or reached.hottest_degc <= limits.charge_temperature_max_degc + KELVIN, where


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("most_a", "degc", "horizons"), [(2.0 * MOST_A, 15.0, 2), (MOST_A, 25.0, 3), (140.0, 25.0, 4)])
def test_at_half_charge_little_is_left_unused(most_a: float, degc: float, horizons: int, seed: int):
    rack = EquivalentRack(CELL, CELLS, 0.5, degc, seed)
    result = learnt(rack, 0.1, 180, most_a)
    for sign, powers in ((1.0, result.power_discharge_w[0]), (-1.0, result.power_charge_w[0])):
        for seconds, power_w in zip(HORIZONS_S[:horizons], powers, strict=False):
            assert power_w >= 0.9 * most_power_w(rack, sign, seconds, most_a), (sign, seconds)


def most_power_w(rack: EquivalentRack, sign: float, seconds: float, most_a: float) -> float:
    """Return the largest power that the rack itself bears over a horizon, by bisection."""
    low, high = 0.0, most_a * 3.7 * CELLS
    for _ in range(9):
        power_w = 0.5 * (low + high)
        reached = held(rack.copy(), sign * power_w, seconds)
        good = (
            reached.lowest_v >= CELL.limits.voltage_min_v
            and reached.highest_v <= CELL.limits.voltage_max_v
            and reached.largest_a <= most_a
            and reached.lowest_soc >= 0.0
            and reached.highest_soc <= 1.0
            and reached.hottest_degc <= CELL.limits.charge_temperature_max_degc
        )
        low, high = (power_w, high) if good else (low, power_w)
    return low
