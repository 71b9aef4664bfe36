"""From what is asked to what each converter is commanded: arbitration, limits, ramp, POI loop, sharing.

Every reduction on the way is kept as a `Clip`, in order; the last one is the reason that binds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from controller.control.limits.pcs import PcsLimits
from controller.control.limits.poi import Clip, clip_power
from controller.control.limits.reasons import NOWHERE, LimitReason, cause_of
from controller.control.poi import PoiSample, Trimmed, is_at_its_bound, take_answer, trim_step
from controller.control.poi_guard import AtMeter, hold_limits
from controller.control.ramps import ramp
from controller.control.relations import CHARGE, DISCHARGE
from controller.control.sequences.plant import PlantState
from controller.control.sharing import reactive_capability_var, share_active_power, share_reactive_power
from controller.control.state import ControlState
from controller.control.uncontrolled import Uncontrolled, held_command, room_for
from controller.plant.model import Plant

_FOLLOWS = frozenset({PlantState.RUNNING, PlantState.RAMPING_DOWN})


class PowerResult(NamedTuple):
    """What is in effect at the POI, what each converter is commanded, and why it is not what was asked."""

    active_in_effect_w: float
    reactive_in_effect_var: float
    pcs_active_w: list[float]
    pcs_reactive_var: list[float]
    active_clips: tuple[Clip, ...]
    reactive_clips: tuple[Clip, ...]
    available_w: tuple[float, float]  # (charge, discharge) at the POI
    reactive_available_var: float
    controlled_w: float  # what the converters that take commands had to give in sum
    uncontrolled: Uncontrolled

    @property
    def reason(self) -> LimitReason:
        """What binds now; active power speaks first."""
        clips = self.active_clips or self.reactive_clips
        return clips[-1].reason if clips else LimitReason.NONE

    @property
    def cause(self) -> int:
        """The reason with the equipment that it speaks of (`cause_of`)."""
        clips = self.active_clips or self.reactive_clips
        return cause_of(clips[-1].reason, clips[-1].place) if clips else cause_of(LimitReason.NONE, NOWHERE)


def set_power(
    plant: Plant,
    state: ControlState,
    limits: PcsLimits,
    pcs_soc_ratio: Sequence[float],
    uncontrolled: Uncontrolled,
    sample: PoiSample,
    dt_s: float,
    *,
    frozen: bool,
) -> PowerResult:
    """Return the commands of this scan; `state` keeps what is in effect."""
    active_clips: list[Clip] = []
    reactive_clips: list[Clip] = []
    available_w = _available_w(state, limits, sample, uncontrolled)
    active_w = _active_in_effect_w(plant, state, limits, available_w, active_clips, dt_s)
    reference_w = _reference_w(plant, state, active_w, sample, dt_s, frozen=frozen)
    room_w = room_for(reference_w, uncontrolled)
    controlled_w, cut_by = _within_limits(plant, state, room_w, uncontrolled, dt_s)
    if cut_by is not LimitReason.NONE:
        active_clips.append(Clip(cut_by, room_w, controlled_w))
    if plant.poi.meter >= 0 and is_at_its_bound(state.active_loop, _bounds(plant, plant.poi.power_w)):
        active_clips.append(Clip(LimitReason.POI_TRIM, active_w, sample.active_w))
    if not active_clips and (deaf := uncontrolled.not_following) is not None:
        active_clips.append(Clip(LimitReason.PCS_NOT_FOLLOWING, active_w, active_w, deaf))
    if not active_clips and (unheard := _unheard(uncontrolled)) is not None:
        active_clips.append(Clip(LimitReason.PCS_DATA_LOST, active_w, active_w, unheard))
    if not active_clips and plant.poi.meter >= 0 and math.isnan(sample.active_w):
        active_clips.append(Clip(LimitReason.POI_UNKNOWN, active_w, active_w))
    if not active_clips and state.witness.is_told:
        active_clips.append(Clip(LimitReason.POI_APART, active_w, active_w))
    against_w = uncontrolled.surplus_w if cut_by is not LimitReason.NONE else None
    pcs_w = _share(limits, pcs_soc_ratio, controlled_w, uncontrolled.assumed_w, against_w)
    _hold(pcs_w, limits, reference_w + controlled_w - room_w, uncontrolled.assumed_w)
    capability_var = _reactive_capability_var(plant, limits, pcs_w)
    available_var = sum(capability_var)
    reactive_var = _reactive_in_effect_var(plant, state, active_w, available_var, reactive_clips, dt_s)
    trim_var = _reactive_trim_var(plant, state, reactive_var, active_w, sample, dt_s, frozen=frozen)
    return PowerResult(
        active_in_effect_w=active_w,
        reactive_in_effect_var=reactive_var,
        pcs_active_w=pcs_w,
        pcs_reactive_var=share_reactive_power(reactive_var + trim_var, capability_var),
        active_clips=tuple(active_clips),
        reactive_clips=tuple(reactive_clips),
        available_w=available_w,
        reactive_available_var=available_var,
        controlled_w=controlled_w,
        uncontrolled=uncontrolled,
    )


def _available_w(
    state: ControlState, limits: PcsLimits, sample: PoiSample, uncontrolled: Uncontrolled
) -> tuple[float, float]:
    """Return what can be had at the POI (charge, discharge) beside the losses at the present power."""
    charge_w, discharge_w = (sum(of_all) for of_all in _controlled(limits.allowed_w.tolist(), uncontrolled.assumed_w))
    loss_w = state.losses.loss_w(state.plant.in_effect_w, sample.auxiliary_w) + state.active_loop.trim
    flows_w = uncontrolled.total_w
    at_poi_charge_w = charge_w - flows_w[CHARGE] + loss_w if charge_w > 0.0 else 0.0
    return max(at_poi_charge_w, 0.0), max(discharge_w + flows_w[DISCHARGE] - loss_w, 0.0)


def _controlled(both_w: list[list[float]], assumed_w: list[tuple[float, float]] | None) -> list[list[float]]:
    """Return [direction][converter] with nothing for the converters that are not heard."""
    if assumed_w is None:
        return both_w
    return [[w if math.isnan(a) else 0.0 for w, (a, _) in zip(of_all, assumed_w, strict=True)] for of_all in both_w]


def _unheard(uncontrolled: Uncontrolled) -> int | None:
    """Return the first converter that is only taken to give power, None if all are heard: the others make no more."""
    assumed_w = enumerate(uncontrolled.assumed_w or ())
    return next((index for index, flows_w in assumed_w if not math.isnan(flows_w[0]) and any(flows_w)), None)


def _share(
    limits: PcsLimits,
    soc_ratio: Sequence[float],
    controlled_w: float,
    assumed_w: list[tuple[float, float]] | None,
    against_w: list[float] | None,
) -> list[float]:
    """Return each converter's power; one that flows against a limit (`against_w`, None: none) has no part in it."""
    way = DISCHARGE if controlled_w > 0.0 else CHARGE
    allowed_w = _controlled(limits.allowed_w.tolist(), assumed_w)[way]
    weight_w = _controlled(limits.weight_w.tolist(), assumed_w)[way]
    for index, surplus_w in enumerate(against_w or ()):
        if surplus_w * controlled_w < 0.0:
            allowed_w[index] = 0.0
    return share_active_power(controlled_w, allowed_w, weight_w, soc_ratio)


def _hold(
    pcs_w: list[float], limits: PcsLimits, reference_w: float, assumed_w: list[tuple[float, float]] | None
) -> None:
    """Let the converters that are not heard hold theirs, in place."""
    charge_w, discharge_w = limits.allowed_w.tolist()
    for index, flows_w in enumerate(assumed_w or ()):
        if not math.isnan(flows_w[0]):
            pcs_w[index] = held_command(flows_w, reference_w, charge_w[index], discharge_w[index])


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
        if target_w:
            clips.append(Clip(resting_reason(state), target_w, 0.0))
        memory.in_effect_w = 0.0
        return 0.0
    poi_limits = (state.import_limits.lowest_w, state.export_limits.lowest_w)
    target_w = _clip(clips, target_w, poi_limits, _POI_REASONS)
    ramped_w = ramp(memory.in_effect_w, target_w, plant.control.ramp_w_per_s, dt_s)
    if ramped_w != target_w:
        clips.append(Clip(LimitReason.RAMP, target_w, ramped_w))
    limited_w = _clip(clips, ramped_w, poi_limits, _POI_REASONS)
    if not -available_w[CHARGE] <= limited_w <= available_w[DISCHARGE]:
        limited_w = _clip(clips, limited_w, available_w, *_binding(limits))
    memory.in_effect_w = limited_w
    return limited_w


_POI_REASONS = (LimitReason.IMPORT_LIMIT, LimitReason.EXPORT_LIMIT)


def _clip(
    clips: list[Clip],
    power: float,
    limits: tuple[float, float],
    reasons: tuple[LimitReason, LimitReason],
    places: tuple[int, int] = (NOWHERE, NOWHERE),
) -> float:
    """Clip to [-charge, discharge]; a cut is kept."""
    clip = clip_power(power, limits, reasons)
    if clip.reason is not LimitReason.NONE:
        clips.append(clip._replace(place=places[DISCHARGE if power > 0.0 else CHARGE]))
    return clip.after


def resting_reason(state: ControlState) -> LimitReason:
    """Return what keeps the plant from following set-points, NONE where it follows them."""
    if state.plant.sequence in _FOLLOWS:
        return LimitReason.NONE
    if state.plant.fast_stop:
        return LimitReason.FAST_STOP
    return LimitReason.PLANT_PROTECTION if state.plant.sequence is PlantState.TRIPPED else LimitReason.NOT_RUNNING


def _binding(limits: PcsLimits) -> tuple[tuple[LimitReason, LimitReason], tuple[int, int]]:
    """Return why the converters' sum is what it is, and where: reason and place of the one that may carry least.

    Both as (charge, discharge).
    """
    charge, discharge = limits.allowed_w.argmin(axis=1).tolist()
    reason, place = limits.reason, limits.place
    return (
        (LimitReason(int(reason[CHARGE, charge])), LimitReason(int(reason[DISCHARGE, discharge]))),
        (int(place[CHARGE, charge]), int(place[DISCHARGE, discharge])),
    )


def _reference_w(
    plant: Plant, state: ControlState, active_w: float, sample: PoiSample, dt_s: float, *, frozen: bool
) -> float:
    """Return what the converters must give in sum. At zero they give zero: losses at rest come from the grid."""
    loop, hold = state.active_loop, frozen or active_w == 0.0 or not state.witness.is_calm
    take_answer(loop, state.witness)
    bounds = _bounds(plant, plant.poi.power_w)._replace(leash=state.witness.leash_w)
    trim_w = trim_step(loop, active_w, sample.active_w, sample.time_ns, bounds, dt_s, frozen=hold)
    if active_w == 0.0:
        return 0.0
    if plant.poi.meter < 0:
        return active_w
    untold = math.isnan(sample.active_w) or state.witness.doubted
    if untold or not state.witness.gains_room:
        import_w, export_w = state.import_limits.lowest_w, state.export_limits.lowest_w
        trim_w = min(max(active_w + trim_w, -import_w), export_w) - active_w
    if not untold:
        loop.trim = trim_w  # what a limit took away is not kept
    return active_w + state.losses.fed_w(active_w, sample.auxiliary_w, meter_tells=not untold) + trim_w


def _within_limits(
    plant: Plant, state: ControlState, controlled_w: float, uncontrolled: Uncontrolled, dt_s: float
) -> tuple[float, LimitReason]:
    """Return what the limits at the meter leave of the controlled converters' sum, and the limit that cut it."""
    if plant.poi.meter < 0 or state.plant.sequence not in _FOLLOWS:
        return controlled_w, LimitReason.NONE
    at = AtMeter(
        limits_w=(state.import_limits.lowest_w, state.export_limits.lowest_w),
        surplus_w=sum(uncontrolled.surplus_w or ()),
        beyond_zero_w=plant.control.poi_trim_ratio * plant.poi.power_w,
        ramp_w=plant.control.ramp_w_per_s * dt_s,
    )
    return hold_limits(state.guard, state.witness, controlled_w, at)


def _bounds(plant: Plant, rating: float) -> Trimmed:
    return Trimmed(rating, plant.control.poi_trim_ratio)


def _reactive_capability_var(plant: Plant, limits: PcsLimits, pcs_w: list[float]) -> list[float]:
    """Return what each converter may give beside its active power: its MVA circle, then its transformer's."""
    working = limits.reason[DISCHARGE].tolist()
    capability_var = [
        reactive_capability_var(active_w, pcs.apparent_va) if reason not in _NO_REACTIVE_POWER else 0.0
        for pcs, active_w, reason in zip(plant.pcs, pcs_w, working, strict=True)
    ]
    for transformer in plant.transformers:
        behind = [p.index for p in plant.pcs if p.transformer == transformer.index]
        left_var = reactive_capability_var(sum(pcs_w[i] for i in behind), transformer.apparent_va)
        wanted_var = sum(capability_var[i] for i in behind)
        if wanted_var > left_var:
            for i in behind:
                capability_var[i] *= left_var / wanted_var
    return capability_var


_NO_REACTIVE_POWER = frozenset(
    {
        LimitReason.PCS_NOT_RUNNING,
        LimitReason.PCS_PROTECTION,
        LimitReason.PCS_DATA_LOST,
        LimitReason.PCS_WRITE_FAILED,
    }
)


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
    circle_var = math.sqrt(max(plant.poi.apparent_va**2 - active_w**2, 0.0))
    limited_var = _clip(clips, ramped_var, (circle_var, circle_var), _CIRCLE_REASONS)
    memory.in_effect_var = _clip(clips, limited_var, (available_var, available_var), _CONVERTER_REASONS)
    return memory.in_effect_var


_CIRCLE_REASONS = (LimitReason.POI_RATING, LimitReason.POI_RATING)
_CONVERTER_REASONS = (LimitReason.PCS_APPARENT_POWER, LimitReason.PCS_APPARENT_POWER)


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
    bounds, hold = _bounds(plant, plant.poi.apparent_va), frozen or resting
    measured_var, time_ns = sample.reactive_var, sample.time_ns
    trim_var = trim_step(state.reactive_loop, reactive_var, measured_var, time_ns, bounds, dt_s, frozen=hold)
    return 0.0 if resting or plant.poi.meter < 0 else trim_var
