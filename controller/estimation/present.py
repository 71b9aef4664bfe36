"""What an estimate says of all racks: values with bounds and quality as of each rack's last sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.config import EstimatorConfig
from controller.estimation.findings import Finding
from controller.estimation.integrate import GAP_PERIODS
from controller.estimation.misfit import Misfit
from controller.estimation.rack_filter import NORMAL_95
from controller.estimation.samples import RackSample
from controller.estimation.state import NEVER, EstimatorState
from controller.estimation.unseen import unseen_ratio
from controller.estimation.warranty import Warranty
from controller.image.quality import Quality
from controller.plant.model import SocSource

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNCERTAIN_WIDTH = 0.12
"""Width of the 95 % interval above which a SOC is stated as uncertain."""
BLIND_S = 900.0
"""So long without a voltage, a wrong current would not be found."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values per rack [rack], bounds are 95 %; power [rack, horizon] at 2 s, 10 s, 30 s and 15 min.

    `soc_ratio` is charge left over present full capacity of the mean cell. `anchor_age_s` is infinite before the first
    anchor. `quality` holds `controller.image.quality` codes. `soc_used_ratio` follows the configured source;
    `resistance_ohm` is the mean cell's as it stands, `resistance_at_25_ohm` what that is at 25 degC and half full,
    `soh_resistance_ratio` the cell type's over it: the state of health of the resistance.
    Both are measured (`resistance_measured`) once enough steps of the current were seen; before that they lean on the
    cell type, with wide bounds. `core_degc`: of the hottest core. `soc_disagrees` is an alarm condition: the BMS's SOC
    has lain outside the bounds for a minute; `bms_jumped` that it has moved by what no charge explains.
    `remaining_days_low`, `remaining_days_high`: to the end of life, NaN until that is earned. `gain_error_ratio` and
    its bounds: of the current's sensor against the converters, NaN where no bus was seen. `misfit.found`: for half an
    hour the voltages have not been those of the cell type.
    """

    soc_ratio: Floats
    soc_low_ratio: Floats
    soc_high_ratio: Floats
    soc_used_ratio: Floats
    soc_disagrees: Mask
    bms_jumped: Mask
    soh_ratio: Floats
    soh_low_ratio: Floats
    soh_high_ratio: Floats
    capacity_ah: Floats
    capacity_low_ah: Floats
    capacity_high_ah: Floats
    resistance_ohm: Floats
    resistance_low_ohm: Floats
    resistance_high_ohm: Floats
    resistance_at_25_ohm: Floats
    resistance_measured: Mask
    soh_resistance_ratio: Floats
    soh_resistance_low_ratio: Floats
    soh_resistance_high_ratio: Floats
    remaining_days_low: Floats
    remaining_days_high: Floats
    gain_error_ratio: Floats
    gain_error_low_ratio: Floats
    gain_error_high_ratio: Floats
    core_degc: Floats
    energy_to_empty_wh: Floats
    energy_to_full_wh: Floats
    power_discharge_w: Floats
    power_charge_w: Floats
    anchor_age_s: Floats
    voltage_residual_v: Floats
    misfit: Misfit
    quality: NDArray[np.uint8]
    findings: tuple[Finding, ...]
    warranty: Warranty


def present(config: EstimatorConfig, state: EstimatorState, sample: RackSample, now_ns: int) -> Estimate:
    """Return the values as of each rack's last sample: the last correction plus the charge counted since."""
    drawn = state.block_drawn_ratio
    wider = NORMAL_95 * np.hypot(state.block_extra_ratio, _silence(config, state, now_ns))
    soc = np.minimum(np.maximum(state.soc_ratio - drawn, 0.0), 1.0)
    low = np.minimum(np.maximum(state.soc_low_ratio - drawn - wider, 0.0), soc)
    high = np.maximum(np.minimum(state.soc_high_ratio - drawn + wider, 1.0), soc)
    bms = sample.soc_bms_ratio
    life, gain = state.remaining, state.gain_error
    return Estimate(
        soc_ratio=soc,
        soc_low_ratio=low,
        soc_high_ratio=high,
        soc_used_ratio=_soc_used(config, soc, bms),
        soc_disagrees=state.beside.disagrees(now_ns),
        bms_jumped=state.beside.jumped(now_ns),
        soh_ratio=state.capacity_in_use.ratio,
        soh_low_ratio=state.capacity_in_use.low_ratio,
        soh_high_ratio=state.capacity_in_use.high_ratio,
        capacity_ah=config.capacity_ah * state.capacity_in_use.ratio,
        capacity_low_ah=config.capacity_ah * state.capacity_in_use.low_ratio,
        capacity_high_ah=config.capacity_ah * state.capacity_in_use.high_ratio,
        resistance_ohm=state.resistance_ohm,
        resistance_low_ohm=state.series_ohm * state.resistance.low_ratio,
        resistance_high_ohm=state.series_ohm * state.resistance.high_ratio,
        resistance_at_25_ohm=config.series_at_25_ohm * state.resistance.ratio,
        resistance_measured=state.resistance.measured,
        soh_resistance_ratio=1.0 / state.resistance.ratio,
        soh_resistance_low_ratio=1.0 / state.resistance.high_ratio,
        soh_resistance_high_ratio=1.0 / state.resistance.low_ratio,
        remaining_days_low=life.low_days,
        remaining_days_high=life.high_days,
        gain_error_ratio=gain.error_ratio,
        gain_error_low_ratio=gain.low_ratio,
        gain_error_high_ratio=gain.high_ratio,
        core_degc=state.hottest_core_degc,
        energy_to_empty_wh=state.energy_to_empty_wh,
        energy_to_full_wh=state.energy_to_full_wh,
        power_discharge_w=state.power.discharge_w,
        power_charge_w=state.power.charge_w,
        anchor_age_s=np.where(state.anchor_time_ns == NEVER, np.inf, (now_ns - state.anchor_time_ns) * 1e-9),
        voltage_residual_v=state.residual_v,
        misfit=state.misfit,
        quality=_quality(state, low, high),
        findings=state.findings,
        warranty=state.warranty,
    )


def _silence(config: EstimatorConfig, state: EstimatorState, now_ns: int) -> Floats:
    """Return the 1-sigma of SOC that may have flowed since each rack's last sample, beyond its usual period."""
    silent_s = (now_ns - state.time_ns) * 1e-9 - GAP_PERIODS * np.maximum(state.period_s, 1.0)
    if silent_s.max() <= 0.0:
        return np.zeros(config.racks)
    return unseen_ratio(config, np.where(state.time_ns == NEVER, 0.0, np.maximum(silent_s, 0.0)))


def _soc_used(config: EstimatorConfig, soc: Floats, bms: Floats) -> Floats:
    """Return the SOC that the plant runs on; a BMS that serves none leaves ours."""
    match config.soc_source:
        case SocSource.ESTIMATOR:
            return soc
        case SocSource.BMS:
            return np.where(np.isfinite(bms), bms, soc)
        case SocSource.LOWER:
            return np.fmin(bms, soc)


def _quality(state: EstimatorState, low: Floats, high: Floats) -> NDArray[np.uint8]:
    """Return the quality: never-read at first, else good or uncertain.

    Uncertain where bounds are wide, the current in doubt, the cell another, or no voltage has spoken for the current.
    """
    doubtful = (high - low > UNCERTAIN_WIDTH) | state.doubt.suspected | state.misfit.found | (state.blind_s > BLIND_S)
    quality = doubtful * _UNCERTAIN
    return np.asarray(np.maximum(quality, (state.updated_ns == NEVER) * _NEVER_READ))


_UNCERTAIN, _NEVER_READ = np.uint8(Quality.UNCERTAIN), np.uint8(Quality.NEVER_READ)
