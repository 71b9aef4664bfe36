"""Power limits used in full: how often a limit is crossed and by how much, and how much is left at half charge.

    python -m tests.estimation.power_rates --seeds 11 12 13 14

Racks are those of `test_power.py`: other resistances, spreads, time constants and curves than the cell type's. The
limits' margins were chosen on seeds 1 and 2: state figures of others.
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np

from controller.estimation import HORIZONS_S
from tests.estimation.equivalent_rack import EquivalentRack
from tests.estimation.test_power import CASES, CELL, CELLS, MOST_A, held, learnt, most_power_w

BINDING = ((2.0 * MOST_A, 15.0, 2), (MOST_A, 25.0, 3), (140.0, 25.0, 4))


def crossed(seeds: list[int]) -> None:
    """Print the worst excess over each limit, and how many of the uses crossed one."""
    worst = dict.fromkeys(("voltage, mV", "current, A", "SOC, points", "core, K"), -np.inf)
    uses = over = 0
    limits = CELL.limits
    for (soc, degc, before), seed in product(CASES, seeds):
        rack = EquivalentRack(CELL, CELLS, soc, degc, seed)
        result = learnt(rack, before, 180)
        for sign, powers in ((1.0, result.power_discharge_w[0]), (-1.0, result.power_charge_w[0])):
            for seconds, power_w in zip(HORIZONS_S, powers, strict=True):
                if power_w <= 0.0:
                    continue
                reached = held(rack.copy(), sign * float(power_w), seconds)
                beyond = (
                    1e3 * max(limits.voltage_min_v - reached.lowest_v, reached.highest_v - limits.voltage_max_v),
                    reached.largest_a - MOST_A,
                    100.0 * max(-reached.lowest_soc, reached.highest_soc - 1.0),
                    reached.hottest_degc - limits.charge_temperature_max_degc,
                )
                worst = {name: max(was, now) for (name, was), now in zip(worst.items(), beyond, strict=True)}
                uses, over = uses + 1, over + (max(beyond) > 0.0)
    say(f"limits crossed in {over} of {uses} uses at 100 %; worst excess (negative: margin left):")
    say("; ".join(f"{name} {value:+.2f}" for name, value in worst.items()))


def unused(seeds: list[int]) -> None:
    """Print what is left unused of the power that the rack itself bears at half charge, by horizon."""
    left: dict[tuple[float, float], list[float]] = {}
    for (most_a, degc, horizons), seed in product(BINDING, seeds):
        rack = EquivalentRack(CELL, CELLS, 0.5, degc, seed)
        result = learnt(rack, 0.1, 180, most_a)
        for sign, powers in ((1.0, result.power_discharge_w[0]), (-1.0, result.power_charge_w[0])):
            for seconds, power_w in zip(HORIZONS_S[:horizons], powers, strict=False):
                part = 1.0 - float(power_w) / most_power_w(rack, sign, seconds, most_a)
                left.setdefault((seconds, sign), []).append(100.0 * part)
    for (seconds, sign), parts in sorted(left.items()):
        way = "discharge" if sign > 0.0 else "charge"
        say(f"{way} {seconds:g} s: unused {np.mean(parts):.1f} %, at most {np.max(parts):.1f} %, of {len(parts)}")


def say(line: str) -> None:
    """Print a line at once: a run takes minutes."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seeds", type=int, nargs="+", required=True)
    asked = words.parse_args()
    crossed(asked.seeds)
    unused(asked.seeds)
