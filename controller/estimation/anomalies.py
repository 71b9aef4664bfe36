"""What is wrong with a cell or a sensor, from how it stands apart from its rack, with a stated false-alarm rate.

A cell is compared with itself some days ago, and that change with the changes of its rack's other cells: the scatter
of the healthy cells, taken robustly (median of absolute deviations), is the yardstick, so what all cells share never
alarms. The threshold grows with the number of cells: at most `FALSE_ALARMS` findings a rack in 14 days if the scatter
were normal. Sensor faults are told first, and a cell whose sensor is at fault is not judged further.

A passive balancer (30-100 mA) draws as much as the leaks looked for. Where the BMS does not tell when it bleeds, a
leak must be larger than the balancer's current before it counts, and the evidence says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from controller.estimation.cell_filter import CAPACITY, LEAK, OFFSET, RESISTANCE, SOC, STUCK_V, CellState, median_of
from controller.estimation.findings import Finding, FindingKind, Severity

Floats = NDArray[np.float64]
Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]

FALSE_ALARMS = 0.001
LOOKS = 3 * 28
DAY_NS = 86_400_000_000_000
SNAPSHOT_NS = DAY_NS // 2
SNAPSHOTS = 15
LAGS_DAYS = (1.0, 4.0, 7.0)
CONFIRMED_LOOKS = 3
LOOK_NS = 3_600_000_000_000
SOC_FLOOR = 0.001
RESISTANCE_FLOOR = 0.01
SHORT_OHM = 50.0
LEAST_DAYS = 1.5
BURN_IN_DAYS = 1.0
ODD_SHARE, FAR_ODD, FAR_ODD_SHARE = 0.03, 0.03, 0.3
"""A cell that stands apart moves apart by the tables' errors too: so much of its distance counts as scatter."""
LOW_CAPACITY = -0.05
IMBALANCE = 0.03
OFFSET_V = 0.006
JOINT_SHARE = 0.3
JOINT_C_RATE = 0.1
GROWTH = 0.04
TEMPERATURE_OFFSET_K = 2.5
THERMAL_K = 2.0
BULK = 0.6745


@dataclass(frozen=True, slots=True)
class AnomalyState:
    """Earlier SOC and resistance differences [snapshot, rack, cell], when each was taken, and what was found.

    `hits` [kind, rack, cell] counts looks in a row; `apart_rest_k` and `apart_load_k` [rack, sensor] are slow means of
    a temperature against its rack's median, at rest and under load; `waited_s`
    [rack] since the last temperatures. `found` maps (rack, cell, kind) to its finding.
    """

    past_soc: Cells
    past_resistance: Cells
    past_ns: tuple[int, ...]
    hits: NDArray[np.int16]
    apart_rest_k: Cells
    apart_load_k: Cells
    waited_s: Floats
    looked_ns: int
    found: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a look needs beside the cells: rack numbers [rack] and how the balancer is known."""

    capacity_ah: Floats
    voltage_v: Floats
    series_ohm: Floats
    balancing_unknown_a: Floats


KINDS = tuple(FindingKind)
_LEAK, _SHORT, _GROWTH, _LOW, _JOINT, _STUCK, _OFFSET, _IMBALANCE, _THERMAL = range(9)
ROWS = 9


def initial_anomalies(racks: int, cells: int, sensors: int, now_ns: int) -> AnomalyState:
    """Return a state that has seen nothing."""
    none = np.zeros((0, racks, cells), dtype=np.float32)
    warmth = np.zeros((racks, sensors), dtype=np.float32)
    hits = np.zeros((ROWS, racks, max(cells, sensors)), dtype=np.int16)
    return AnomalyState(none, none, (), hits, warmth, warmth, np.zeros(racks), now_ns, ())


def threshold(cells: int) -> float:
    """Return how many robust sigmas a cell must stand out, for a rack of so many cells over 14 days."""
    return NormalDist().inv_cdf(1.0 - FALSE_ALARMS / (max(cells, 2) * LOOKS))


def watch_temperatures(
    was: AnomalyState, temperature_degc: Cells, valid: Mask, c_rate: Floats, elapsed_s: Floats
) -> AnomalyState:
    """Return the state with every sensor's distance to its rack's median averaged over about a day."""
    usable = valid & np.isfinite(temperature_degc)
    known = usable.any(axis=1)
    waited_s = was.waited_s + elapsed_s
    median = median_of(temperature_degc, usable).astype(np.float32)
    apart = np.where(usable, temperature_degc - median[:, None], np.float32(0.0))
    part = np.minimum(waited_s / 86400.0, 0.5).astype(np.float32)[:, None]
    share = np.where(usable, part, np.float32(0.0))
    rest = (np.abs(c_rate) < 0.05)[:, None]
    return replace(
        was,
        waited_s=np.where(known, 0.0, waited_s),
        apart_rest_k=_toward(was.apart_rest_k, apart, share * rest),
        apart_load_k=_toward(was.apart_load_k, apart, share * ~rest),
    )


def _toward(mean: Cells, value: Cells, share: Floats | Cells) -> Cells:
    return (mean + 2.0 * share * (value - mean)).astype(np.float32)


def look(was: AnomalyState, cells: CellState, evidence: Evidence, now_ns: int) -> AnomalyState:
    """Return the state after a look (once an hour): what stood out three looks in a row is a finding for good."""
    if now_ns - was.looked_ns < LOOK_NS:
        return was
    out = np.zeros_like(was.hits, dtype=bool)
    size = np.zeros(was.hits.shape)
    _judge_sensors(was, cells, out, size)
    _judge_cells(was, cells, evidence, now_ns, out, size)
    hits = np.where(out, np.minimum(was.hits + 1, 1000), 0).astype(np.int16)
    fresh = [tuple(int(x) for x in place) for place in np.argwhere((hits == CONFIRMED_LOOKS) & out)]
    made = [_finding(row, rack, cell, size[row, rack, cell], was, cells, evidence, now_ns) for row, rack, cell in fresh]
    found = was.found + tuple(f for f in made if _is_news(f, was.found))
    return _snapshot(replace(was, hits=hits, looked_ns=now_ns, found=found), cells, now_ns)


_EXPLAINS = {
    FindingKind.SELF_DISCHARGE: {FindingKind.INTERNAL_SHORT, FindingKind.SELF_DISCHARGE},
    FindingKind.RESISTANCE_GROWTH: set(FindingKind) - {FindingKind.SENSOR_OFFSET},
    FindingKind.IMBALANCE: set(FindingKind) - {FindingKind.SENSOR_OFFSET},
}
"""What a cell was already found to have that explains a later, lesser finding."""


def _is_news(finding: Finding, found: tuple[Finding, ...]) -> bool:
    explained = _EXPLAINS.get(finding.kind, {finding.kind})
    return not any((f.rack, f.cell) == (finding.rack, finding.cell) and f.kind in explained for f in found)


def _snapshot(was: AnomalyState, cells: CellState, now_ns: int) -> AnomalyState:
    if cells.days.min() < BURN_IN_DAYS or (was.past_ns and now_ns - was.past_ns[-1] < SNAPSHOT_NS):
        return was
    keep = slice(max(0, len(was.past_ns) - SNAPSHOTS + 1), None)
    return replace(
        was,
        past_soc=np.concatenate((was.past_soc[keep], cells.states[SOC][None])),
        past_resistance=np.concatenate((was.past_resistance[keep], cells.states[RESISTANCE][None])),
        past_ns=(*was.past_ns[keep], now_ns),
    )


def robust(values: Floats, floor: float | Floats) -> Floats:
    """Return how many robust sigmas each value [rack, cell] stands above its rack's median, never less than a floor."""
    apart = values - np.median(values, axis=1, keepdims=True)
    sigma = np.median(np.abs(apart), axis=1, keepdims=True) / BULK
    return np.asarray(apart / np.maximum(sigma, floor))


def _judge_sensors(was: AnomalyState, cells: CellState, out: Mask, size: Floats) -> None:
    count = cells.states.shape[2]
    far = np.abs(cells.median_v[:, None] - cells.since_v)
    out[_STUCK, :, :count] = far > STUCK_V
    size[_STUCK, :, :count] = far * 1e3
    offset = cells.states[OFFSET] - np.median(cells.states[OFFSET], axis=1, keepdims=True)
    sure = np.abs(robust(cells.states[OFFSET].astype(np.float64), 0.0005)) > threshold(count)
    out[_OFFSET, :, :count] = sure & (np.abs(offset) > OFFSET_V) & (cells.days > LEAST_DAYS)[:, None]
    size[_OFFSET, :, :count] = offset * 1e3
    sensors = was.apart_rest_k.shape[1]
    warmer = was.apart_load_k - was.apart_rest_k
    out[_THERMAL, :, :sensors] = (np.abs(was.apart_rest_k) > TEMPERATURE_OFFSET_K) | (warmer > THERMAL_K)
    size[_THERMAL, :, :sensors] = np.where(np.abs(was.apart_rest_k) > TEMPERATURE_OFFSET_K, was.apart_rest_k, warmer)


def _judge_cells(was: AnomalyState, cells: CellState, evidence: Evidence, now_ns: int, out: Mask, size: Floats) -> None:
    count = cells.states.shape[2]
    limit = threshold(count)
    blamed = out[_STUCK, :, :count] | out[_OFFSET, :, :count]
    ripe = (cells.days > LEAST_DAYS)[:, None] & ~blamed
    soc, resistance = cells.states[SOC].astype(np.float64), cells.states[RESISTANCE].astype(np.float64)
    capacity = cells.states[CAPACITY].astype(np.float64)
    odd = _odd(soc - np.median(soc, axis=1, keepdims=True), capacity)
    for lag in reversed(LAGS_DAYS):
        back = _snapshot_before(was, now_ns - int(lag * DAY_NS))
        if back is None:
            continue
        days = (now_ns - was.past_ns[back]) / DAY_NS
        fall = was.past_soc[back] - soc
        per_day = (fall - np.median(fall, axis=1, keepdims=True)) / days
        _mark_leaks(evidence, per_day, (robust(fall, SOC_FLOOR + odd) > limit) & ripe, out, size)
        growth = (resistance - was.past_resistance[back]) / (1.0 + was.past_resistance[back])
        grows = (robust(growth, RESISTANCE_FLOOR + odd) > limit) & (growth > GROWTH) & ripe
        size[_GROWTH, :, :count] = np.where(grows, growth * 100.0, size[_GROWTH, :, :count])
        out[_GROWTH, :, :count] |= grows
    low = (robust(-capacity, 0.005) > limit) & (capacity - np.median(capacity, axis=1, keepdims=True) < LOW_CAPACITY)
    out[_LOW, :, :count] = low & ripe
    size[_LOW, :, :count] = (capacity - np.median(capacity, axis=1, keepdims=True)) * 100.0
    _judge_joints(cells, evidence, out, size, ~blamed)
    apart = soc - np.median(soc, axis=1, keepdims=True)
    other = out[_LEAK, :, :count] | out[_SHORT, :, :count] | out[_LOW, :, :count] | (was.hits[_LOW, :, :count] > 0)
    out[_IMBALANCE, :, :count] = ripe & ~other & (np.abs(apart) > IMBALANCE) & (np.abs(robust(soc, 0.003)) > limit)
    size[_IMBALANCE, :, :count] = apart * 100.0


def _odd(apart: Floats, capacity: Floats) -> Floats:
    distance = np.abs(apart) + np.abs(capacity)
    return np.asarray(ODD_SHARE * distance + FAR_ODD_SHARE * np.maximum(distance - FAR_ODD, 0.0))


def _mark_leaks(evidence: Evidence, per_day: Floats, sure: Mask, out: Mask, size: Floats) -> None:
    """Mark leaks larger than an unknown balancer, as short or as self-discharge by their resistance."""
    count = per_day.shape[1]
    ampere = np.maximum(per_day * evidence.capacity_ah[:, None] / 24.0, 1e-6)
    sure = sure & (ampere > evidence.balancing_unknown_a[:, None])
    short = evidence.voltage_v[:, None] / ampere <= SHORT_OHM
    for row, marked in ((_LEAK, sure & ~short), (_SHORT, sure & short)):
        size[row, :, :count] = np.where(marked, per_day, size[row, :, :count])
        out[row, :, :count] |= marked


def _judge_joints(cells: CellState, evidence: Evidence, out: Mask, size: Floats, sound: Mask) -> None:
    count = cells.states.shape[2]
    loaded = cells.joint_weight > (JOINT_C_RATE * evidence.capacity_ah) ** 2
    ohm = np.sqrt(cells.joint_square.astype(np.float64))
    large = ohm > JOINT_SHARE * evidence.series_ohm[:, None]
    floor = 0.1 * float(np.min(evidence.series_ohm))
    out[_JOINT, :, :count] = large & (robust(ohm, floor) > threshold(count)) & loaded[:, None] & sound
    size[_JOINT, :, :count] = ohm * 1e3


def _snapshot_before(was: AnomalyState, then_ns: int) -> int | None:
    """Return the youngest snapshot that is at least that old."""
    old = [k for k, at_ns in enumerate(was.past_ns) if at_ns <= then_ns]
    return old[-1] if old else None


def _finding(
    row: int, rack: int, cell: int, size: float, was: AnomalyState, cells: CellState, evidence: Evidence, now_ns: int
) -> Finding:
    raised_ns = now_ns
    match row:
        case 0 | 1:
            return _leak_finding(rack, cell, size, cells, evidence, raised_ns)
        case 2:
            text = f"resistance {size:+.0f} % against itself some days ago, the rack's other cells unchanged"
            return Finding(raised_ns, rack, cell, FindingKind.RESISTANCE_GROWTH, Severity.WARNING, text, size, "%")
        case 3:
            text = f"capacity {size:+.1f} % against the rack's median, from its larger swing"
            days = _days_to(float(cells.states[SOC, rack, cell]), float(cells.states[LEAK, rack, cell]))
            return Finding(
                raised_ns, rack, cell, FindingKind.LOW_CAPACITY, Severity.WARNING, text, size, "%", "", *days
            )
        case 4:
            text = f"{size:.2f} mohm more than usual under load, comes and goes"
            return Finding(raised_ns, rack, cell, FindingKind.LOOSE_JOINT, Severity.ALARM, text, size, "mohm")
        case 5:
            text = f"same voltage to the last digit while the rack's median moved {size:.0f} mV"
            return Finding(
                raised_ns, rack, cell, FindingKind.SENSOR_STUCK, Severity.WARNING, text, size, "mV", "voltage"
            )
        case 6:
            text = f"{size:+.1f} mV at every SOC and current"
            return Finding(
                raised_ns, rack, cell, FindingKind.SENSOR_OFFSET, Severity.WARNING, text, size, "mV", "voltage"
            )
        case 7:
            text = f"{size:+.1f} % SOC against the rack's median, neither leak nor low capacity seen"
            return Finding(raised_ns, rack, cell, FindingKind.IMBALANCE, Severity.WARNING, text, size, "%")
        case _:
            return _thermal_finding(rack, cell, size, was, raised_ns)


def _leak_finding(
    rack: int, cell: int, per_day: float, cells: CellState, evidence: Evidence, raised_ns: int
) -> Finding:
    ampere = per_day * evidence.capacity_ah[rack] / 24.0
    ohm = float(evidence.voltage_v[rack] / max(ampere, 1e-9))
    short = ohm <= SHORT_OHM
    kind = FindingKind.INTERNAL_SHORT if short else FindingKind.SELF_DISCHARGE
    caveat = "; balancing not known, larger than its current" if evidence.balancing_unknown_a[rack] > 0.0 else ""
    text = f"loses {per_day * 100:.2f} % SOC a day against its rack, {ampere * 1e3:.0f} mA{caveat}"
    days = _days_to(float(cells.states[SOC, rack, cell]), per_day)
    severity = Severity.ALARM if short else Severity.WARNING
    return Finding(raised_ns, rack, cell, kind, severity, text, ohm, "ohm", "", *days)


def _days_to(apart_soc: float, per_day: float) -> tuple[float, float]:
    """Return a 95 % interval of days until the cell stands 10 % of SOC below its rack, rate known to a third."""
    room = 0.10 + apart_soc
    if per_day <= 0.0:
        return float("inf"), float("inf")
    return max(room / (per_day * 1.65), 0.0), max(room / (per_day * 0.35), 0.0)


def _thermal_finding(rack: int, sensor: int, size: float, was: AnomalyState, raised_ns: int) -> Finding:
    if abs(float(was.apart_rest_k[rack, sensor])) > TEMPERATURE_OFFSET_K:
        text = f"{size:+.1f} K against the rack's median, at rest as under load"
        return Finding(
            raised_ns, rack, sensor, FindingKind.SENSOR_OFFSET, Severity.WARNING, text, size, "K", "temperature"
        )
    text = f"{size:+.1f} K warmer than its rack under load, not at rest"
    return Finding(raised_ns, rack, sensor, FindingKind.THERMAL, Severity.ALARM, text, size, "K")
