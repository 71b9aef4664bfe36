"""How often healthy racks raise findings, and how soon faults are found: many simulated racks, with intervals.

    python -m tests.estimation.finding_rates healthy --seeds 401 402 403
    python -m tests.estimation.finding_rates faults --seeds 501 502

Racks of one seed share current and weather; cells, sensors and curves are each rack's own. The limits in
`anomalies.py` were chosen on seeds below 400: state figures of others.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from scipy.stats import beta, chi2

from controller.estimation import Finding, RackSpec, estimate, estimator_config, initial
from controller.plant.cell_loader import packaged_cell_type
from tests.estimation.synthetic_pack import CellFault, Pack, PackSpec, arbitrage, regulation, two_cycles

CELL = packaged_cell_type("generic_280_lfp")
CELLS, RACKS = 240, 8
PROFILES: dict[str, Callable[[float, int, np.random.Generator], float]] = {
    "arbitrage": arbitrage,
    "two_cycles": two_cycles,
    "regulation": regulation,
}
GOALS = (("leak", 30.0, 1.0), ("leak", 150.0, 7.0), ("growth", 0.10, 2.0))
"""Kind, size, and within how many days it is to be found."""


def findings_of(spec: PackSpec) -> tuple[Finding, ...]:
    """Return what a pack's days raise."""
    rack = RackSpec(CELL, 280.0, CELLS, 140.0, 140.0, temperature_sensors=CELLS, balancing_a=spec.balancer_a)
    config = estimator_config([rack] * spec.racks)
    state = initial(config, 0)
    for sample in Pack(spec).steps():
        estimate(config, state, sample, int(sample.source_time_ns[0]))
    return state.findings


def faults_of(kind: str, size: float) -> Iterator[CellFault]:
    """Yield six faults a rack, spread over the hours of day two or four."""
    first = 2.0 if kind == "leak" and size > 100.0 else 4.0
    for rack, k in product(range(RACKS), range(6)):
        yield CellFault(kind, rack, 20 + 37 * k, size, first + ((6 * rack + k) % 8) / 8.0)


def rate(count: int, exposure: int) -> str:
    """Return a rate of rare events with its 95 % interval (Garwood 1936)."""
    low = chi2.ppf(0.025, 2 * count) / 2.0 if count else 0.0
    high = chi2.ppf(0.975, 2 * count + 2) / 2.0
    return f"{count} in {exposure}: {count / exposure:.3f} ({low / exposure:.3f} to {high / exposure:.3f})"


def share(count: int, of: int) -> str:
    """Return a share with its 95 % interval (Clopper and Pearson 1934)."""
    low = beta.ppf(0.025, count, of - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, of - count) if count < of else 1.0
    return f"{count}/{of} = {count / of:.2f} ({low:.2f} to {high:.2f})"


def healthy(seeds: list[int]) -> None:
    """Print false findings a rack in 14 days, by profile and balancer."""
    total, exposure = 0, 0
    for seed, (name, profile), balancer in product(seeds, PROFILES.items(), ("none", "told", "untold")):
        if balancer != "none" and name == "regulation":
            continue
        spec = PackSpec(
            CELL,
            racks=RACKS,
            seed=seed,
            profile=profile,
            ambient_degc=float(np.random.default_rng(seed).choice([10.0, 20.0, 30.0])),
            balancer_a=0.0 if balancer == "none" else 0.08,
            balancer_seen=balancer == "told",
            window=(0.1, 0.95 if balancer == "none" else 1.01),
        )
        found = findings_of(spec)
        total, exposure = total + len(found), exposure + RACKS
        kinds = dict(Counter(f.kind.value for f in found))
        say(f"seed {seed} {name}, balancer {balancer}: {len(found)} {kinds}")
    say(f"false findings a rack in 14 days: {rate(total, exposure)}")


def faults(seeds: list[int]) -> None:
    """Print the share of faults found in time, and what else was raised, by profile."""
    for (name, profile), (kind, size, goal_days) in product(PROFILES.items(), GOALS):
        waited, others, names = [], 0, Counter[str]()
        for seed in seeds:
            given = tuple(faults_of(kind, size))
            days = given[0].from_day + goal_days + 2.0
            found = findings_of(PackSpec(CELL, racks=RACKS, seed=seed, days=days, profile=profile, faults=given))
            first: dict[tuple[int, int], float] = {}
            for f in found:
                first.setdefault((f.rack, f.cell), f.first_raised_ns / 86400e9)
            waited += [first.pop((fault.rack, fault.cell), np.inf) - fault.from_day for fault in given]
            others += len(first)
            names.update(f.kind.value for f in found)
        late = np.array(waited)
        middle, most = np.quantile(late, (0.5, 0.9), method="higher")
        say(
            f"{name}, {kind} {size:g}: within {goal_days:g} d {share(int((late <= goal_days).sum()), len(late))},"
            f" half by {middle:.2f} d, nine tenths by {most:.2f} d; named {dict(names)}; other cells {others}"
        )


def say(line: str) -> None:
    """Print a line at once: a run takes many minutes."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", choices=("healthy", "faults"))
    words.add_argument("--seeds", type=int, nargs="+", required=True)
    asked = words.parse_args()
    {"healthy": healthy, "faults": faults}[asked.what](asked.seeds)
