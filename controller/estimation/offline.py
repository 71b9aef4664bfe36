"""The estimator over a recording: the same code as in the scan, one rack, one row a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.config import EstimatorConfig
from controller.estimation.estimate import estimate
from controller.estimation.findings import Finding
from controller.estimation.misfit import Misfit
from controller.estimation.present import Estimate
from controller.estimation.samples import RackSample
from controller.estimation.state import INITIAL_SOC_SIGMA, initial
from controller.estimation.warranty import Meter, Warranty
from controller.image.quality import Quality
from controller.image.quantities import POWER_HORIZONS

Floats = NDArray[np.float64]

OUTPUT_COLUMNS = (
    "time_s",
    "soc_ratio",
    "soc_low_ratio",
    "soc_high_ratio",
    "voltage_residual_v",
    "capacity_ah",
    "capacity_low_ah",
    "capacity_high_ah",
    "resistance_ohm",
    "power_discharge_10s_w",
    "power_charge_10s_w",
    "quality",
    "anchor_age_s",
    "resistance_low_ohm",
    "resistance_high_ohm",
    "soh_ratio",
    "soh_low_ratio",
    "soh_high_ratio",
    "soh_resistance_ratio",
    "soh_resistance_low_ratio",
    "soh_resistance_high_ratio",
    "energy_to_empty_wh",
    "energy_to_full_wh",
    "power_discharge_2s_w",
    "power_charge_2s_w",
    "power_discharge_30s_w",
    "power_charge_30s_w",
    "power_discharge_15min_w",
    "power_charge_15min_w",
    "core_degc",
    "charge_out_ah",
    "charge_in_ah",
    "energy_out_wh",
    "energy_in_wh",
    "cycles",
    "uncounted_s",
)
"""Power and energy are at the terminals of all cells; the SOHs as in `Estimate`. What flowed counts from the first row,
`uncounted_s` of which nothing was (gaps, doubted currents, rows more than two minutes apart)."""
HOUR_S, LONGEST_S = 3600.0, 3.2e9


class RecordError(ValueError):
    """A recording that can't be estimated from; names the row and what is wrong."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One rack or cell over time: `time_s` rising [row], `current_a` + = discharge, cells [row, cell], sensors too."""

    time_s: Floats
    current_a: Floats
    cell_voltage_v: Floats
    temperature_degc: Floats


@dataclass(frozen=True, slots=True)
class SeenMisfit:
    """When the measurements were first found not to be those of the cell type, and how far off they were at worst.

    `resistance_ratio` is what steps measured, over the cell type's, where that alone is the reason; else NaN.
    """

    time_s: float
    rms_v: float
    expected_v: float
    resistance_ratio: float


@dataclass(frozen=True, slots=True)
class Jump:
    """A voltage that jumped before a time, and by how much."""

    time_s: float
    size_v: float


@dataclass(frozen=True, slots=True)
class OfflineResult:
    """A row of output a row of input, quality as `Quality` codes, and the findings.

    `misfit`: None where the cell type fits throughout; `jumps`: of the voltage, that no current explains.
    """

    columns: dict[str, Floats]
    findings: tuple[Finding, ...]
    last: Estimate
    misfit: SeenMisfit | None = None
    jumps: tuple[Jump, ...] = ()


def checked(recording: Recording) -> Recording:
    """Return the recording; RecordError where its times do not rise or its shapes do not fit."""
    rows = len(recording.time_s)
    if rows < 2:
        raise RecordError("recording: expected at least two rows")
    if len(no_time := np.flatnonzero(~np.isfinite(recording.time_s))):
        raise RecordError(
            f"recording: row {no_time[0]} (the first is 0): time_s is no number, nor in {len(no_time) - 1:,} more rows"
            " (a second header, or a row of units?)"
        )
    if recording.time_s[-1] == recording.time_s[0]:
        at_s = recording.time_s[0]
        raise RecordError(f"recording: time_s is {at_s:.13g} in the first and in the last row; expected rising times")
    back = np.flatnonzero(np.diff(recording.time_s) < 0.0)
    if len(back):
        row = int(back[0]) + 1
        before_s, at_s = recording.time_s[row - 1], recording.time_s[row]
        raise RecordError(
            f"recording: row {row}: time_s goes back from {before_s:.13g} to {at_s:.13g}; expected rising times"
            f" ({_why_back(recording.time_s, row)})"
        )
    if recording.time_s[-1] - recording.time_s[0] > LONGEST_S:
        row = int(np.argmax(np.diff(recording.time_s))) + 1
        raise RecordError(
            f"recording: time_s spans more than a century, most of it before row {row}, {recording.time_s[row]:.13g};"
            " expected s (ms, us or ns? convert)"
        )
    for name in ("current_a", "cell_voltage_v", "temperature_degc"):
        if len(getattr(recording, name)) != rows:
            raise RecordError(f"recording: {name}: expected {rows} rows")
    return recording


def _why_back(time_s: Floats, row: int) -> str:
    step_s = float(np.median(np.abs(np.diff(time_s))))
    fell_s = float(time_s[row - 1] - time_s[row])
    if abs(fell_s + step_s - HOUR_S) <= step_s:
        return "a clock that was set back an hour? give times in UTC, or with their offset"
    return "several tests in one file? cut it"


def estimate_recording(
    config: EstimatorConfig,
    recording: Recording,
    soc_ratio: float = 0.5,
    soc_sigma_ratio: float = INITIAL_SOC_SIGMA,
) -> OfflineResult:
    """Return what the estimator says at each row of a recording of one rack.

    A repeated time is one sample; a value that is no number is a missing one. `soc_ratio` +- `soc_sigma_ratio` is the
    hint to start from.
    """
    checked(recording)
    state = initial(config, 0, soc_ratio, soc_sigma_ratio)
    times_ns = ((recording.time_s - recording.time_s[0] + 1.0) * 1e9).astype(np.int64)
    rows = np.full((len(times_ns), len(OUTPUT_COLUMNS)), np.nan)
    last, misfit = None, None
    jumps: list[Jump] = []
    for k, now_ns in enumerate(times_ns.tolist()):
        doubt, time_s = state.doubt, float(recording.time_s[k])
        last = estimate(config, state, _sample(recording, k, now_ns), now_ns)
        rows[k] = _row(time_s, last, _flowed(last.warranty, state.meter, config))
        if last.misfit.found[0]:
            misfit = _worse(misfit, last.misfit, time_s)
        if state.doubt is not doubt and state.doubt.jumped_v[0] > 0.0:
            jumps.append(Jump(time_s, float(state.doubt.jumped_v[0])))
    assert last is not None
    return OfflineResult(dict(zip(OUTPUT_COLUMNS, rows.T, strict=True)), last.findings, last, misfit, tuple(jumps))


def _worse(seen: SeenMisfit | None, now: Misfit, time_s: float) -> SeenMisfit:
    rms_v, expected_v = float(now.rms_v[0]), float(now.expected_v[0])
    resistance = float(now.resistance_ratio[0]) if now.resists_too_little[0] else float("nan")
    if seen is None or rms_v > seen.rms_v:
        return SeenMisfit(time_s if seen is None else seen.time_s, rms_v, expected_v, resistance)
    return seen


_YES, _NO, _UNKNOWN = np.array([True]), np.array([False]), np.array([np.nan])


def _sample(recording: Recording, k: int, now_ns: int) -> RackSample:
    voltages, warmth = recording.cell_voltage_v[k : k + 1], recording.temperature_degc[k : k + 1]
    time = np.array([now_ns], dtype=np.int64)
    return RackSample(
        source_time_ns=time,
        valid=_YES,
        current_a=recording.current_a[k : k + 1],
        voltage_v=voltages.sum(axis=1),
        soc_bms_ratio=_UNKNOWN,
        contactor_open=_NO,
        bms_alarm_free=_YES,
        cell_time_ns=time,
        cell_voltage_v=voltages,
        cell_valid=np.isfinite(voltages),
        cell_temperature_degc=warmth,
        temperature_valid=np.isfinite(warmth),
    )


def _row(time_s: float, e: Estimate, flowed: dict[str, float]) -> list[float]:
    """Return a row of OUTPUT_COLUMNS: what is neither a power nor has flowed is called as in the estimate."""
    row = {"time_s": time_s, **flowed}
    for way, power_w in (("discharge", e.power_discharge_w), ("charge", e.power_charge_w)):
        row |= {f"power_{way}_{horizon}_w": power_w[0, k] for k, horizon in enumerate(POWER_HORIZONS)}
    return [float(row[name] if name in row else getattr(e, name)[0]) for name in OUTPUT_COLUMNS]


def _flowed(counted: Warranty, open_meter: Meter, config: EstimatorConfig) -> dict[str, float]:
    """Return charge and energy out and in, cycles and what was not counted, with what is not yet in the counters."""
    (out_ah, out_wh), (in_ah, in_wh) = open_meter.flow_out[:, 0], open_meter.flow_in[:, 0]
    return {
        "charge_out_ah": counted.out_ah[0] + out_ah,
        "charge_in_ah": counted.in_ah[0] + in_ah,
        "energy_out_wh": counted.out_wh[0] + out_wh,
        "energy_in_wh": counted.in_wh[0] + in_wh,
        "cycles": counted.cycles[0] + 0.5 * (out_ah + in_ah) / config.capacity_ah[0],
        "uncounted_s": counted.uncounted_s[0],
    }


def quality_word(code: float) -> str:
    """Return `good`, `uncertain` or `bad` for a quality code."""
    if code <= Quality.SUBSTITUTED:
        return "good"
    return "uncertain" if code <= Quality.UNCERTAIN else "bad"
