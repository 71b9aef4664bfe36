"""From what stands out to a finding that a person can act on: kind, size, evidence, days to the limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_filter import SOC, CellState
from controller.estimation.findings import Finding, FindingKind, Row, Severity

Floats = NDArray[np.float64]

SHORT_OHM = 50.0
IMBALANCE_LIMIT = 0.10
"""So much SOC below its rack, a cell ends the rack's discharge early enough to matter."""
NORMAL_95 = 1.959964
RATE_KNOWN_TO = 0.25
"""What a leak's rate is off by beside its scatter: slope of the tables, capacity, when it began."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a look needs beside the cells, per rack [rack]; `first_rack` is the plant's number of the first one.

    `balancing_unknown_a`: what a balancer may have drawn from a cell without our knowing; `balancing_told`: the BMS
    tells which cells it bleeds.
    `noise_v`: of a cell's voltage. `core_per_surface`: by how much heat warms the core, over how much the surface.
    """

    first_rack: int
    capacity_ah: Floats
    voltage_v: Floats
    noise_v: Floats
    core_per_surface: Floats
    balancing_unknown_a: Floats
    balancing_told: NDArray[np.bool_]

    @property
    def short_a(self) -> Floats:
        """The current of the largest resistance that counts as a short."""
        return np.asarray(self.voltage_v / SHORT_OHM)


def finding_of(
    row: Row, rack: int, cell: int, size: float, sigma: float, cells: CellState, evidence: Evidence, now_ns: int
) -> Finding:
    """Return the finding of what stood out by `size` +- `sigma` at a rack of the group."""
    size, sigma = float(size), float(sigma)
    if row in (Row.LEAK, Row.SHORT):
        return _leak(rack, cell, size, sigma, cells, evidence, now_ns)
    kind, severity, unit, sensor, text = _WORDS[row]
    days = float("nan"), float("nan")
    if row is Row.LOW_CAPACITY:
        days = float("inf"), float("inf")
    spread = f" +-{NORMAL_95 * sigma:.1f}" if sigma > 0.0 else ""
    return Finding(
        now_ns,
        evidence.first_rack + rack,
        cell,
        kind,
        severity,
        text.format(size=size, spread=spread),
        size,
        unit,
        sensor,
        *days,
    )


_WORDS: dict[Row, tuple[FindingKind, Severity, str, str, str]] = {
    Row.GROWTH: (
        FindingKind.RESISTANCE_GROWTH,
        Severity.WARNING,
        "%",
        "",
        "resistance {size:+.0f}{spread} % against itself some days ago, the rack's other cells unchanged",
    ),
    Row.LOW_CAPACITY: (
        FindingKind.LOW_CAPACITY,
        Severity.WARNING,
        "%",
        "",
        "capacity {size:+.1f}{spread} % against the rack's median, from its larger swing",
    ),
    Row.JOINT: (
        FindingKind.LOOSE_JOINT,
        Severity.ALARM,
        "mohm",
        "",
        "{size:.2f} mohm more than usual under load, comes and goes",
    ),
    Row.STUCK: (
        FindingKind.SENSOR_STUCK,
        Severity.WARNING,
        "mV",
        "voltage",
        "same voltage to the last digit while the rack's median moved {size:.0f} mV",
    ),
    Row.OFFSET: (
        FindingKind.SENSOR_OFFSET,
        Severity.WARNING,
        "mV",
        "voltage",
        "{size:+.1f}{spread} mV at every SOC and current",
    ),
    Row.IMBALANCE: (
        FindingKind.IMBALANCE,
        Severity.WARNING,
        "%",
        "",
        "{size:+.1f}{spread} % SOC against the rack's median, neither leak nor low capacity seen",
    ),
    Row.THERMAL: (
        FindingKind.THERMAL,
        Severity.ALARM,
        "K",
        "",
        "core {size:+.1f}{spread} K warmer than its rack's under load, not at rest",
    ),
    Row.WARM_SENSOR: (
        FindingKind.SENSOR_OFFSET,
        Severity.WARNING,
        "K",
        "temperature",
        "{size:+.1f}{spread} K against the rack's median, at rest as under load",
    ),
}


def _leak(
    rack: int, cell: int, per_day: float, sigma: float, cells: CellState, evidence: Evidence, now_ns: int
) -> Finding:
    ampere = per_day * evidence.capacity_ah[rack] / 24.0
    ohm = float(evidence.voltage_v[rack] / max(ampere, 1e-9))
    short = ohm <= SHORT_OHM
    kind = FindingKind.INTERNAL_SHORT if short else FindingKind.SELF_DISCHARGE
    text = (
        f"loses {per_day * 100:.2f} +-{NORMAL_95 * sigma * 100:.2f} % SOC a day against its rack,"
        f" {ampere * 1e3:.0f} mA{_balancing(rack, cell, cells, evidence)}"
    )
    days = _days_to(IMBALANCE_LIMIT + float(cells.states[SOC, rack, cell]), per_day, sigma)
    severity = Severity.ALARM if short else Severity.WARNING
    return Finding(now_ns, evidence.first_rack + rack, cell, kind, severity, text, ohm, "ohm", "", *days)


def _balancing(rack: int, cell: int, cells: CellState, evidence: Evidence) -> str:
    """Return why a balancer does not explain a leak, and what was not looked for since the BMS does not tell."""
    unknown_a = float(evidence.balancing_unknown_a[rack])
    if unknown_a <= 0.0:
        return ""
    apart = float(cells.states[SOC, rack, cell] - np.median(cells.states[SOC, rack]))
    why = "more than a balancer draws" if apart >= 0.0 else "below its rack, where no balancer draws"
    if evidence.balancing_told[rack]:
        return f"; {why}, what the BMS says it bled taken off"
    return (
        f"; {why}; no balancing bits: leaks under {unknown_a * 1e3:.0f} mA of cells not below their rack are not told"
    )


def _days_to(room_ratio: float, per_day: float, sigma: float) -> tuple[float, float]:
    """Return a 95 % interval of days until the room is used up at a rate +- its sigma."""
    spread = NORMAL_95 * float(np.hypot(sigma, RATE_KNOWN_TO * per_day))
    slowest = per_day - spread
    latest = room_ratio / slowest if slowest > 0.0 else float("inf")
    return max(room_ratio / (per_day + spread), 0.0), max(latest, 0.0)
