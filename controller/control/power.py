"""From what is asked to what each converter is commanded: arbitration, limits, ramp, POI loop, sharing.

Every reduction on the way is kept as a `Clip`, in order; the last one is the reason that binds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.control.limits import Clip, LimitReason, clip_power
from controller.control.pcs_limits import PcsLimits
from controller.control.plant_sequence import PlantState
from controller.control.poi import PoiSample, trim_step
from controller.control.ramps import ramp
from controller.control.relations import CHARGE, DISCHARGE
from controller.control.sharing import reactive_capability_var, share_active_power, share_reactive_power
from controller.control.state import ControlState
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant

FloatArray = NDArray[np.float64]

_FOLLOWS = frozenset({PlantState.RUNNING, PlantState.RAMPING_DOWN})


@dataclass(frozen=True, slots=True)
class PowerResult:
    """What is in effect at the POI, what each converter is commanded [P], and why it is not what was asked."""

    active_in_effect_w: float
    reactive_in_effect_var: float
    pcs_active_w: FloatArray
    pcs_reactive_var: FloatArray
    active_clips: tuple[Clip, ...]
    reactive_clips: tuple[Clip, ...]
    available_w: tuple[float, float]  # (charge, discharge) at the POI
    reactive_available_var: float
    reference_w: float  # what the converters' sum had to be

    @property
    def reason(self) -> LimitReason:
        """What binds now; active power speaks first."""
        clips = self.active_clips or self.reactive_clips
        return clips[-1].reason if clips else LimitReason.NONE


def set_power(
    plant: Plant,
    arrays: PlantArrays,
    state: ControlState,
    limits: PcsLimits,
    pcs_soc_ratio: FloatArray,
    sample: PoiSample,
    dt_s: float,
    *,
    frozen: bool,
) -> PowerResult:
    """Return the commands of this scan; `state` keeps what is in effect."""
    active_clips: list[Clip] = []
    reactive_clips: list[Clip] = []
    available_w = _available_w(state, limits)
    active_w = _active_in_effect_w(plant, state, limits, available_w, active_clips, dt_s)
    reference_w = _reference_w(plant, state, active_w, sample, dt_s, frozen=frozen)
    pcs_w = share_active_power(reference_w, limits.allowed_w, pcs_soc_ratio)
    capability_var = _reactive_capability_var(arrays, state, limits, pcs_w)
    reactive_var = _reactive_in_effect_var(plant, state, active_w, float(capability_var.sum()), reactive_clips, dt_s)
    trim_var = _reactive_trim_var(plant, state, reactive_var, active_w, sample, dt_s, frozen=frozen)
    return PowerResult(
        active_in_effect_w=active_w,
        reactive_in_effect_var=reactive_var,
        pcs_active_w=pcs_w,
        pcs_reactive_var=share_reactive_power(reactive_var + trim_var, capability_var),
        active_clips=tuple(active_clips),
        reactive_clips=tuple(reactive_clips),
        available_w=available_w,
        reactive_available_var=float(capability_var.sum()),
        reference_w=reference_w,
    )


def _available_w(state: ControlState, limits: PcsLimits) -> tuple[float, float]:
    """Return what can be had at the POI (charge, discharge) beside the losses at the present power."""
    charge_w, discharge_w = limits.allowed_w.sum(axis=1).tolist()
    loss_w = state.losses.loss_w(state.plant.in_effect_w) + state.active_loop.trim
    at_poi_charge_w = charge_w + loss_w if charge_w > 0.0 else 0.0
    return max(at_poi_charge_w, 0.0), max(discharge_w - loss_w, 0.0)


def _active_in_effect_w(
    plant: Plant,
    state: ControlState,
    limits: PcsLimits,
    available_w: tuple[float, float],
    clips: list[Clip],
    dt_s: float,
) -> float:
    """Accepted set-point, limits of the POI, ramp, limits again (falling ones act at once), what can be had."""
    memory = state.plant
    target_w = state.active.accepted
    if state.active.ran_out:
        clips.append(Clip(LimitReason.SETPOINT_TIMEOUT, state.active.requested, target_w))
    if memory.sequence not in _FOLLOWS:
        _keep(clips, Clip(_resting_reason(state), target_w, 0.0) if target_w else None)
        memory.in_effect_w = 0.0
        return 0.0
    poi_limits = (state.import_limits.lowest_w, state.export_limits.lowest_w)
    poi_reasons = (LimitReason.IMPORT_LIMIT, LimitReason.EXPORT_LIMIT)
    target_w = _keep(clips, clip_power(target_w, poi_limits, poi_reasons))
    ramped_w = ramp(memory.in_effect_w, target_w, plant.control.ramp_w_per_s, dt_s)
    if ramped_w != target_w:
        clips.append(Clip(LimitReason.RAMP, target_w, ramped_w))
    limited_w = _keep(clips, clip_power(ramped_w, poi_limits, poi_reasons))
    in_effect_w = _keep(clips, clip_power(limited_w, available_w, _binding_reasons(limits)))
    memory.in_effect_w = in_effect_w
    return in_effect_w


def _keep(clips: list[Clip], clip: Clip | None) -> float:
    if clip is None:
        return 0.0
    if clip.reason is not LimitReason.NONE:
        clips.append(clip)
    return clip.after


def _resting_reason(state: ControlState) -> LimitReason:
    if state.plant.fast_stop:
        return LimitReason.FAST_STOP
    return LimitReason.PLANT_PROTECTION if state.plant.sequence is PlantState.TRIPPED else LimitReason.NOT_RUNNING


def _binding_reasons(limits: PcsLimits) -> tuple[LimitReason, LimitReason]:
    """Return why the converters' sum is what it is, per direction: the reason that takes most from their ratings."""
    most = np.argmin(limits.allowed_w, axis=1)
    return (
        LimitReason(int(limits.reason[CHARGE, most[CHARGE]])),
        LimitReason(int(limits.reason[DISCHARGE, most[DISCHARGE]])),
    )


def _reference_w(
    plant: Plant,
    state: ControlState,
    active_w: float,
    sample: PoiSample,
    dt_s: float,
    *,
    frozen: bool,
) -> float:
    """Return what the converters must give in sum. At zero they give zero: losses at rest come from the grid."""
    rating_w = plant.poi.power_w
    hold = frozen or active_w == 0.0
    trim_w = trim_step(state.active_loop, active_w, sample.active_w, sample.time_ns, rating_w, dt_s, frozen=hold)
    if active_w == 0.0:
        return 0.0
    return active_w + state.losses.loss_w(active_w) + trim_w if plant.poi.meter >= 0 else active_w


def _reactive_capability_var(
    arrays: PlantArrays, state: ControlState, limits: PcsLimits, pcs_w: FloatArray
) -> FloatArray:
    """Return what each converter may give beside its active power: its MVA circle, then its transformer's."""
    running = limits.reason[DISCHARGE] != LimitReason.PCS_NOT_RUNNING
    capability: FloatArray = reactive_capability_var(pcs_w, arrays.pcs_apparent_va) * running
    relations = state.relations
    if len(relations.transformer_va) == 0:
        return capability
    through_w, wanted_var = relations.transformer_pcs @ pcs_w, relations.transformer_pcs @ capability
    left_var = reactive_capability_var(through_w, relations.transformer_va)
    ratio = np.minimum(left_var / np.maximum(wanted_var, 1.0), 1.0)
    scaled: FloatArray = capability * np.where(relations.pcs_transformer >= 0, ratio[relations.pcs_transformer], 1.0)
    return scaled


def _reactive_in_effect_var(
    plant: Plant, state: ControlState, active_w: float, available_var: float, clips: list[Clip], dt_s: float
) -> float:
    """Accepted set-point, ramp, the POI's MVA circle beside the active power, what the converters have left."""
    memory = state.plant
    target_var = state.reactive.accepted
    if memory.sequence not in _FOLLOWS:
        memory.in_effect_var = 0.0
        return 0.0
    ramped_var = ramp(memory.in_effect_var, target_var, plant.control.reactive_ramp_var_per_s, dt_s)
    if ramped_var != target_var:
        clips.append(Clip(LimitReason.RAMP, target_var, ramped_var))
    circle_var = float(np.sqrt(max(plant.poi.apparent_va**2 - active_w**2, 0.0)))
    poi_reason = (LimitReason.POI_RATING, LimitReason.POI_RATING)
    limited_var = _keep(clips, clip_power(ramped_var, (circle_var, circle_var), poi_reason))
    pcs_reason = (LimitReason.PCS_APPARENT_POWER, LimitReason.PCS_APPARENT_POWER)
    memory.in_effect_var = _keep(clips, clip_power(limited_var, (available_var, available_var), pcs_reason))
    return memory.in_effect_var


def _reactive_trim_var(
    plant: Plant,
    state: ControlState,
    reactive_var: float,
    active_w: float,
    sample: PoiSample,
    dt_s: float,
    *,
    frozen: bool,
) -> float:
    resting = active_w == 0.0 and reactive_var == 0.0
    rating_va = plant.poi.apparent_va
    measured_var, hold = sample.reactive_var, frozen or resting
    trim_var = trim_step(state.reactive_loop, reactive_var, measured_var, sample.time_ns, rating_va, dt_s, frozen=hold)
    return 0.0 if resting or plant.poi.meter < 0 else trim_var
