"""Whether a recording can be what it says: units and sign from the whole file, bad samples counted by kind.

A unit or a sign that is wrong in every row makes every number after it wrong, however wide its bounds: it is refused,
with the likely cause. A sample that is wrong by itself is one that is missing: left out, counted, and told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from controller.commissioning.recording_files import CELL_PREFIX, FileError, Floats
from controller.commissioning.temperature_checks import STEP_PER_H, check_temperature_steps, temperature_words
from controller.estimation.config import IMPOSSIBLE_CURRENT_SHARE, series_at_25_ohm
from controller.estimation.offline import Recording
from controller.plant.cell_types import CellType, SensorSpec

Mask = NDArray[np.bool_]

THOUSAND = 1000.0
FILE_SHARES = 0.7, 1.3
"""Of the cell's lowest and highest voltage: a file whose middle lies beyond is not of this cell."""
SAMPLE_SHARES = 0.25, 1.5
"""And a sample beyond these is no measurement; a cell that was emptied too far is one."""
TEMPERATURE_DEGC = -60.0, 150.0
AT_REST_PER_H = 0.01
"""A current below this share of the capacity says nothing about the size of the others."""
USUAL_QUANTILE = 0.95
MILLI_PER_H = 100.0
"""No cell gives so many times its capacity an hour; one does in milliamperes."""
SPANS_AT_MOST = 3.0
"""Full capacities that the counted charge may span: one is all there is, the rest is for a wrong nameplate."""
OFFSET_SIGMAS, DRIFTS_AT_MOST = 4.0, 30.0
GAP_STEPS = 10.0
"""A row so many usual steps after the last comes after a gap."""
SWING_SHOWN, SWING_TIMES = 0.3, 30.0
"""A voltage that shows so much of the SOC, and so many times the counted charge. Minutes for seconds show some 55 to
150 times of it; sound records at most 4, also where a load has just ended."""
SWING_ROWS, SWING_FLOWING, SWING_QUANTILES = 600, 0.2, (0.02, 0.98)
"""A rest after a load, or a few pulses, show more than they count."""
WARM_DEGC = 0.0
"""Below, what a load leaves in the voltage is taken for SOC."""
SIGN_LAGS = 1, 10, 60
SIGN_STEPS = 10
REVERSED_SHARE, REVERSED_CORRELATION = 0.3, 0.4
DRIFT_CORRELATION = 0.7
CELLS_TOLD = 10
FROZEN_S = 600.0
FROZEN_STEPS = 5
FROZEN_SIGMAS = 8.0
FROZEN_PER_H = 0.2
"""A step of the voltage as of so much of the capacity, under a current that does not move by its last digit."""


@dataclass(frozen=True, slots=True)
class BadSamples:
    """How many rows of each kind, and what is to be told beside the result.

    Each is left out by the estimator but a frozen current: that one looks like a measurement, and is doubted.
    `cells`: in how many rows each cell that has any has no usable voltage.
    """

    rows: int
    kinds: MappingProxyType[str, int]
    remarks: tuple[str, ...]
    cells: MappingProxyType[int, int]

    def text(self) -> str:
        """Return a line for people; empty where every sample is good."""
        counted = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in self.kinds.items() if count)
        lines = [f"bad samples, of {self.rows:,} rows: {counted}"] if counted else []
        return "\n".join([*lines, *self.remarks])


def checked_recording(
    recording: Recording, cell: CellType, sensors: SensorSpec, path: Path
) -> tuple[Recording, BadSamples]:
    """Return the recording without its bad samples, and their number; FileError where the whole file can't be so."""
    _check_voltage(recording.cell_voltage_v, cell, path)
    _check_current(recording, cell, path)
    _check_charge(recording, cell, sensors, path)
    _check_swing(recording, cell, path)
    check_temperature_steps(recording, cell, path)
    _check_sign(recording, cell, path)
    low_v, high_v = _voltage_limits_v(cell, SAMPLE_SHARES)
    voltage, warmth, current = recording.cell_voltage_v, recording.temperature_degc, recording.current_a
    wild_v = np.isfinite(voltage) & ((voltage < low_v) | (voltage > high_v))
    wild_degc = np.isfinite(warmth) & ((warmth < TEMPERATURE_DEGC[0]) | (warmth > TEMPERATURE_DEGC[1]))
    frozen, remarks = _frozen(recording, cell, sensors)
    steps_s = np.diff(recording.time_s)
    kinds = {
        "time_repeated": int(np.sum(steps_s == 0.0)),
        "gap": int(np.sum(steps_s > GAP_STEPS * _usual_step_s(recording))),
        "current_missing": int(np.sum(~np.isfinite(current))),
        "current_implausible": int(np.sum(np.abs(current) >= impossible_current_a(recording, cell))),
        "current_frozen": int(frozen.sum()),
        "voltage_missing": int(np.sum(~np.isfinite(voltage).all(axis=1))),
        "voltage_implausible": int(np.sum(wild_v.any(axis=1))),
        "temperature_implausible": int(np.sum(wild_degc.any(axis=1))),
    }
    cleaned = replace(
        recording,
        cell_voltage_v=np.where(wild_v, np.nan, voltage),
        temperature_degc=np.where(wild_degc, np.nan, warmth),
    )
    unusable = np.sum(~np.isfinite(cleaned.cell_voltage_v), axis=0)
    cells = MappingProxyType({int(cell): int(unusable[cell]) for cell in np.flatnonzero(unusable)})
    rows = len(recording.time_s)
    remarks = (*temperature_words(cleaned, cell), *remarks)
    told = (*remarks, *_cell_words(cells, rows)) if voltage.shape[1] > 1 else remarks
    return cleaned, BadSamples(rows, MappingProxyType(kinds), told, cells)


def _cell_words(cells: Mapping[int, int], rows: int) -> Iterator[str]:
    """Yield which cells have no usable voltage, the worst first."""
    worst = sorted(cells, key=lambda cell: -cells[cell])
    for cell in worst[:CELLS_TOLD]:
        often = "any row" if cells[cell] == rows else f"{cells[cell]:,} of {rows:,} rows"
        yield f"cell {cell} lacks a voltage in {often}: its column is {CELL_PREFIX}{cell:03d}"
    if len(worst) > CELLS_TOLD:
        yield f"and {len(worst) - CELLS_TOLD} more cells lack voltages"


def limit_a(recording: Recording, cell: CellType) -> float:
    """Return the current that the cell allows, or what the file usually shows where that is more: a lab may do so."""
    allowed_a = max(cell.limits.charge_current_max_a, cell.limits.discharge_current_max_a)
    return max(allowed_a, 0.5 * _usual_current_a(recording, cell))


def impossible_current_a(recording: Recording, cell: CellType) -> float:
    """Return from where on the estimator takes a current for no measurement."""
    return IMPOSSIBLE_CURRENT_SHARE * limit_a(recording, cell)


def _usual_current_a(recording: Recording, cell: CellType) -> float:
    size_a = np.abs(recording.current_a[np.isfinite(recording.current_a)])
    flowing = size_a[size_a > AT_REST_PER_H * cell.capacity_ah]
    return float(np.quantile(flowing, USUAL_QUANTILE)) if len(flowing) else 0.0


def _usual_step_s(recording: Recording) -> float:
    steps_s = np.diff(recording.time_s)
    steps_s = steps_s[steps_s > 0.0]
    return float(np.median(steps_s)) if len(steps_s) else 1.0


def _voltage_limits_v(cell: CellType, low_high_ratio: tuple[float, float]) -> tuple[float, float]:
    return low_high_ratio[0] * cell.limits.voltage_min_v, low_high_ratio[1] * cell.limits.voltage_max_v


def _check_voltage(voltage_v: Floats, cell: CellType, path: Path) -> None:
    known = voltage_v[np.isfinite(voltage_v)]
    if len(known) == 0:
        raise FileError(f"{path}: no voltage is a number")
    middle = float(np.median(known))
    low, high = _voltage_limits_v(cell, FILE_SHARES)
    if not low < middle < high:
        raise FileError(
            f"{path}: the median voltage is {middle:.4g} V, expected {low:.3g} to {high:.3g} V for a cell {cell.name}"
            " (a whole rack? give its cells; millivolts? convert)"
        )


def _check_current(recording: Recording, cell: CellType, path: Path) -> None:
    """Refuse a file whose usual current is far beyond what the cell allows."""
    if not np.isfinite(recording.current_a).any():
        raise FileError(f"{path}: no current is a number")
    usual_a = _usual_current_a(recording, cell)
    allowed_a = max(cell.limits.charge_current_max_a, cell.limits.discharge_current_max_a)
    if usual_a <= IMPOSSIBLE_CURRENT_SHARE * allowed_a:
        return
    fits = usual_a <= THOUSAND * IMPOSSIBLE_CURRENT_SHARE * allowed_a
    milli = fits and usual_a > MILLI_PER_H * cell.capacity_ah
    cause = (
        f"it looks like mA: 1,000 times a current of {usual_a / THOUSAND:.3g} A"
        if milli
        else "is it in A, and is --cell or --capacity the right one?"
    )
    raise FileError(
        f"{path}: current_a is usually {usual_a:.4g} A, {usual_a / allowed_a:.3g} times what a cell {cell.name} of"
        f" {cell.capacity_ah:.4g} Ah allows ({allowed_a:.4g} A); {cause}"
    )


def _check_charge(recording: Recording, cell: CellType, sensors: SensorSpec, path: Path) -> None:
    """Refuse a file whose counted charge spans more than a cell can hold."""
    usual_s = _usual_step_s(recording)
    steps_s = np.diff(recording.time_s, prepend=recording.time_s[0])
    seen = (steps_s <= GAP_STEPS * usual_s) & (np.abs(recording.current_a) < impossible_current_a(recording, cell))
    drawn_ah = np.cumsum(np.where(seen, recording.current_a * steps_s, 0.0)) / 3600.0
    hours = float(steps_s[seen].sum()) / 3600.0
    span = float(np.ptp(drawn_ah)) / cell.capacity_ah
    drift = OFFSET_SIGMAS * sensors.current_offset_a * hours / cell.capacity_ah
    most = SPANS_AT_MOST + min(drift, DRIFTS_AT_MOST)
    if span <= most:
        return
    causes = []
    if span > 2.0 * most and usual_s >= 50.0:
        causes.append(f"time looks like ms: rows are {usual_s:,.4g} apart")
    if span > 2.0 * most and (not causes or usual_s < THOUSAND):
        usual_a = _usual_current_a(recording, cell)
        causes.append(f"the current looks like mA: 1,000 times {usual_a / THOUSAND:.3g} A")
    cause = " or ".join(causes) or "are time_s in s, current_a in A, and --cell and --capacity the right ones?"
    raise FileError(
        f"{path}: the counted charge spans {span:.3g} times the capacity of {cell.capacity_ah:.4g} Ah,"
        f" expected at most {most:.2g}; {cause}"
    )


def _check_swing(recording: Recording, cell: CellType, path: Path) -> None:
    """Refuse a file whose voltage runs over most of the curve while next to no charge is counted, without a gap."""
    steps_s = np.diff(recording.time_s, prepend=recording.time_s[0])
    gaps = float(steps_s[steps_s > GAP_STEPS * _usual_step_s(recording)].sum()) > 0.0
    warm = _usual_degc(recording) >= WARM_DEGC
    flowing = float(np.mean(np.abs(recording.current_a) >= STEP_PER_H * cell.capacity_ah))
    known = np.isfinite(recording.current_a).all() and len(steps_s) >= SWING_ROWS
    if gaps or not (warm and known and flowing >= SWING_FLOWING):
        return
    counted = float(np.ptp(np.cumsum(recording.current_a * steps_s))) / 3600.0 / cell.capacity_ah
    shown = _shown_swing(recording, cell)
    if shown < SWING_SHOWN or counted > shown / SWING_TIMES:
        return
    raise FileError(
        f"{path}: at small currents the voltage runs over {100 * shown:.0f} % of the charge of a cell {cell.name}, but"
        f" {100 * counted:.2g} % of {cell.capacity_ah:.4g} Ah is counted: is time_s in minutes or hours, current_a in"
        " kA, or --capacity too large?"
    )


def _shown_swing(recording: Recording, cell: CellType) -> float:
    """Return over how much SOC the voltage runs while next to no current flows: what it shows is near its rest's."""
    mean_v = _mean_v(recording)
    resting = np.isfinite(mean_v) & (np.abs(recording.current_a) < STEP_PER_H * cell.capacity_ah)
    if not resting.any():
        return 0.0
    part = cell.ocv
    at = int(np.argmin(np.abs(np.asarray(part.temperature_degc) - _usual_degc(recording))))
    open_v = np.maximum.accumulate(0.5 * (np.asarray(part.charge_v[at]) + np.asarray(part.discharge_v[at])))
    low, high = np.interp(np.quantile(mean_v[resting], SWING_QUANTILES), open_v, part.soc_ratio)
    return float(high - low)


def _usual_degc(recording: Recording) -> float:
    known = recording.temperature_degc[np.isfinite(recording.temperature_degc)]
    return float(np.median(known)) if len(known) else float("nan")


def _check_sign(recording: Recording, cell: CellType, path: Path) -> None:
    """Refuse a file in which the voltage follows the current with the wrong sign throughout."""
    if _follows_reversed(recording, cell):
        raise FileError(
            f"{path}: current_a: + is discharge; the voltage falls while you say charge, and rises while you say"
            " discharge: is the sign reversed? (turn it round with --columns current_a=-NAME)"
        )


def _follows_reversed(recording: Recording, cell: CellType) -> bool:
    mean_v = _mean_v(recording)
    ohm = series_at_25_ohm(cell)
    usual_s = _usual_step_s(recording)
    for lag in SIGN_LAGS:
        step_a, step_v = (_lagged(values, lag) for values in (recording.current_a, mean_v))
        near = _lagged(recording.time_s, lag) <= GAP_STEPS * lag * usual_s
        use = np.isfinite(step_a) & np.isfinite(step_v) & near
        use &= (np.abs(step_a) > STEP_PER_H * cell.capacity_ah) & (
            np.abs(step_a) < impossible_current_a(recording, cell)
        )
        if use.sum() >= SIGN_STEPS:
            a, v = step_a[use], step_v[use]
            rise_ohm = float(np.sum(a * v) / np.sum(a * a))
            alike = float(np.sum(a * v) / np.sqrt(np.sum(a * a) * max(float(np.sum(v * v)), 1e-12)))
            return rise_ohm > REVERSED_SHARE * ohm and alike > REVERSED_CORRELATION
    return _drifts_reversed(recording, mean_v, cell)


def _drifts_reversed(recording: Recording, mean_v: Floats, cell: CellType) -> bool:
    """Whether a current that hardly steps draws charge while the voltage rises, or the other way round."""
    use = np.isfinite(mean_v) & np.isfinite(recording.current_a)
    if use.sum() < SIGN_STEPS:
        return False
    current_a, volts, time_s = recording.current_a[use], mean_v[use], recording.time_s[use]
    drawn = np.cumsum(current_a * np.diff(time_s, prepend=time_s[0])) / 3600.0 / cell.capacity_ah
    if np.ptp(drawn) < 0.05 or np.ptp(volts) < 0.02:
        return False
    return float(np.corrcoef(drawn, volts)[0, 1]) > DRIFT_CORRELATION


def _frozen(recording: Recording, cell: CellType, sensors: SensorSpec) -> tuple[Mask, tuple[str, ...]]:
    """Return the rows whose current stands still to its last digit while the voltage steps on, and what to say."""
    current_a, time_s = recording.current_a, recording.time_s
    starts = np.flatnonzero(np.concatenate(([True], current_a[1:] != current_a[:-1])))
    ends = np.append(starts[1:], len(current_a))
    stepping = _steps_alone(_mean_v(recording), cell, sensors)
    frozen, remarks = np.zeros(len(current_a), dtype=bool), []
    for first, end in zip(starts.tolist(), ends.tolist(), strict=True):
        lasted_s, steps = time_s[end - 1] - time_s[first], int(stepping[first + 2 : end - 2].sum())
        if lasted_s >= FROZEN_S and steps >= FROZEN_STEPS and np.isfinite(current_a[first]):
            frozen[first:end] = True
            remarks.append(
                f"from row {first} current_a stands at {current_a[first]:.6g} A for {lasted_s:,.0f} s while the voltage"
                f" steps {steps} times: is it frozen?"
            )
    return frozen, tuple(remarks)


def _steps_alone(mean_v: Floats, cell: CellType, sensors: SensorSpec) -> Mask:
    """Whether the voltage steps at a row: it lies off the line of its past, and its future does too."""
    noise_v = float(np.hypot(sensors.voltage_noise_v, sensors.voltage_step_v / 12.0**0.5))
    least_v = max(FROZEN_SIGMAS * noise_v, FROZEN_PER_H * cell.capacity_ah * series_at_25_ohm(cell))
    step_v = np.diff(mean_v, prepend=mean_v[0])
    around_v = 0.5 * (np.roll(step_v, 1) + np.roll(step_v, -1))
    return np.asarray(np.abs(step_v - around_v) > least_v)


def _lagged(values: Floats, lag: int) -> Floats:
    return np.asarray(values[lag:] - values[:-lag])


def _mean_v(recording: Recording) -> Floats:
    volts = recording.cell_voltage_v
    known = np.isfinite(volts)
    return np.asarray(np.where(known, volts, 0.0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan))
