"""What each converter may carry now, in both directions, and why not more.

Rule: the smallest of its rating, its own stated limit, its part of the bus's power (through its efficiency), its DC
current and voltage window, what protection leaves, and what it was seen to deliver while limiting itself. A lost
limit keeps its value for its grace time and is then zero. While a bus's data are bad its power may not rise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.control.efficiency import ac_per_dc
from controller.control.limits.buses import BusLimits
from controller.control.limits.reasons import NOWHERE, OF_BUSES, OF_PCS, OF_RACKS, LimitReason
from controller.control.measurements import ABSENT, Measurements
from controller.control.relations import CHARGE, DISCHARGE, Relations
from controller.image.masks import anywhere, smallest_of
from controller.image.plant_arrays import PlantArrays

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int32]

_CANDIDATES = (
    LimitReason.PCS_RATING,
    LimitReason.TRANSFORMER,
    LimitReason.PCS_OWN_LIMIT,
    LimitReason.NONE,  # the bus: its own reason stands here
    LimitReason.PCS_DC_CURRENT,
    LimitReason.PCS_LIMITS_ITSELF,
    LimitReason.BUS_DATA_LOST,
)
_CODES = np.array(_CANDIDATES, np.int32)
_OWN, _BUS, _DC_CURRENT, _ITSELF, _NO_INCREASE = 2, 3, 4, 5, 6
_DATA_LOST = np.int32(LimitReason.PCS_DATA_LOST)


class HeldPcsLimits(NamedTuple):
    """Last good own limits [2, P], when state and limits were last good, and when they last allowed anything [P].

    Owned by control's state.
    """

    power_w: FloatArray
    good_ns: IntArray
    allows_ns: IntArray


def no_held_pcs_limits(converters: int) -> HeldPcsLimits:
    """Nothing has been read: nothing is allowed."""
    never_ns = np.full(converters, -(2**62), np.int64)
    return HeldPcsLimits(np.zeros((2, converters)), never_ns, never_ns.copy())


class PcsConditions(NamedTuple):
    """What else forbids or bounds a converter [P]."""

    running: BoolArray  # its sequence says so
    stop: BoolArray  # protection
    unheard: BoolArray  # its state was not read, and no stop that stays is on it
    in_dc_window: BoolArray
    no_voltage: CodeArray  # `LimitReason` where the voltage of its bus is not known, else NONE
    bus_zero: CodeArray  # [B] `LimitReason` where protection holds it at zero, else NONE
    no_increase: BoolArray  # [B]
    write_failed: BoolArray
    self_limit_w: FloatArray  # [2, P], inf: none
    command_w: FloatArray  # [P] what was commanded in the scan before


@dataclass(frozen=True, slots=True)
class StandingLimits:
    """What holds until a fact changes: ratings, parts of the bus's power [2, P], who may do nothing and why [P]."""

    facts: tuple[bytes, ...]
    candidates: FloatArray  # [candidate, direction, P]: ratings and transformers
    part: FloatArray
    forbidden: CodeArray  # `LimitReason`, NONE: may work
    any_forbidden: bool


class PcsLimits(NamedTuple):
    """AC power allowed now (W, >= 0) [2, P], its `LimitReason` [2, P], and by what the sum is shared [2, P].

    Shares go by what would be allowed if nothing were held back, so that holding back does not shrink a share. `place`:
    the rack, bus or converter that the reason speaks of, -1 if that is not known.
    """

    allowed_w: FloatArray
    reason: CodeArray
    weight_w: FloatArray
    place: IntArray


def pcs_limits(
    relations: Relations,
    arrays: PlantArrays,
    measured: Measurements,
    buses: BusLimits,
    held: HeldPcsLimits,
    conditions: PcsConditions,
    standing: StandingLimits,
    now_ns: int,
) -> PcsLimits:
    """Return what each converter may carry; `held` is brought up to date in place."""
    bus = arrays.pcs_bus
    all_fresh = _hold(relations, measured, held, now_ns)
    held.allows_ns[held.power_w.any(axis=0)] = now_ns
    candidates = standing.candidates.copy()
    candidates[_OWN] = held.power_w
    np.multiply(buses.power_w.take(bus, axis=1), standing.part, out=candidates[_BUS])
    candidates[_DC_CURRENT] = buses.voltage_v.take(bus) * relations.pcs_dc_current_max_a
    candidates[_ITSELF] = conditions.self_limit_w
    allowed_w, which = smallest_of(candidates)
    weight_w = allowed_w
    if anywhere(conditions.no_increase):
        _hold_power(candidates[_NO_INCREASE], conditions.no_increase[bus], conditions.command_w)
        allowed_w, which = smallest_of(candidates)
    reason = np.where(which == _BUS, buses.reason.take(bus, axis=1), _CODES.take(which))
    forbidden = standing.forbidden
    if not all_fresh:
        lost = now_ns - held.good_ns > relations.pcs_limit_grace_ns
        forbidden = np.where(lost & (forbidden == 0), _DATA_LOST, forbidden)
    if standing.any_forbidden or not all_fresh:
        allowed_w = np.where(forbidden > 0, 0.0, allowed_w)
        reason = np.where(forbidden > 0, forbidden, reason)
    return PcsLimits(allowed_w, reason, weight_w, _places(reason, arrays, buses))


def _places(reason: CodeArray, arrays: PlantArrays, buses: BusLimits) -> IntArray:
    """Return which rack, bus or converter each reason speaks of [2, P], as an index among its like."""
    bus, axis = arrays.pcs_bus, _AXES.take(reason)
    place = np.where(axis == _OF_RACK, buses.rack.take(bus, axis=1), NOWHERE)
    if buses.unread is not None:
        place = np.where(axis == _OF_UNREAD, buses.unread.take(bus), place)
    place = np.where(axis == _OF_BUS, bus, place)
    return np.where(axis == _OF_CONVERTER, np.arange(len(bus)), place)


_OF_RACK, _OF_UNREAD, _OF_BUS, _OF_CONVERTER = 1, 2, 3, 4


def _axis_of(reason: LimitReason) -> int:
    if reason in OF_RACKS:
        return _OF_UNREAD if reason >= LimitReason.BUS_CURRENT_RATING else _OF_RACK
    if reason in OF_BUSES:
        return _OF_BUS
    return _OF_CONVERTER if reason in OF_PCS else 0


_AXES = np.zeros(max(LimitReason) + 1, np.int64)
_AXES[list(LimitReason)] = [_axis_of(reason) for reason in LimitReason]
"""[code] -> what its reason speaks of."""


def standing_limits(
    relations: Relations, arrays: PlantArrays, conditions: PcsConditions, last: StandingLimits | None
) -> StandingLimits:
    """Return what follows from the conditions; the last one while no fact has changed."""
    c = conditions
    deciding = (c.running, c.stop, c.unheard, c.in_dc_window, c.no_voltage, c.bus_zero, c.write_failed)
    facts = tuple(f.tobytes() for f in deciding)
    if last is not None and facts == last.facts:
        return last
    of_bus = c.bus_zero[arrays.pcs_bus]
    forbidden = np.where(c.in_dc_window, c.no_voltage, np.int32(LimitReason.PCS_DC_WINDOW))
    for reason, forbids in (
        (c.no_voltage, c.no_voltage > 0),
        (LimitReason.PCS_WRITE_FAILED, c.write_failed),
        (LimitReason.PCS_NOT_RUNNING, ~c.running),
        (of_bus, of_bus > 0),
        (LimitReason.PCS_PROTECTION, c.stop),
        (LimitReason.PCS_DATA_LOST, c.unheard & (c.stop | ~c.running)),
    ):
        forbidden = np.where(forbids, np.int32(reason), forbidden)
    return StandingLimits(
        facts,
        _candidates(relations, conditions.running),
        _parts_of_bus(relations, arrays, conditions.running),
        forbidden,
        bool(forbidden.any()),
    )


def _hold(relations: Relations, measured: Measurements, held: HeldPcsLimits, now_ns: int) -> bool:
    """Take over the limits that converters state (ABSENT: its rating); true: all good."""
    limits = measured.pcs_limit_w
    if measured.pcs_limits_usable and not anywhere(~measured.pcs_state_fresh):
        np.maximum(limits, 0.0, out=held.power_w)
        held.good_ns.fill(now_ns)
        return True
    absent = measured.pcs_limit_quality == ABSENT
    limits = np.where(absent, relations.pcs_rated_w, np.maximum(limits, 0.0))
    known = ~np.isnan(limits)
    np.copyto(held.power_w, limits, where=known)
    fresh = known[0] & known[1] & measured.pcs_state_fresh
    held.good_ns[fresh] = now_ns
    return bool(fresh.all())


def _hold_power(bound_w: FloatArray, held_back: BoolArray, command_w: FloatArray) -> None:
    """No more in either direction than is commanded now."""
    bound_w[CHARGE] = np.where(held_back, np.maximum(-command_w, 0.0), np.inf)
    bound_w[DISCHARGE] = np.where(held_back, np.maximum(command_w, 0.0), np.inf)


def _parts_of_bus(relations: Relations, arrays: PlantArrays, running: BoolArray) -> FloatArray:
    """Each converter's part of its bus by rating, running ones first; at the AC side, so losses count."""
    bus, rated_w = arrays.pcs_bus, relations.pcs_rated_w
    at_work_w = (relations.bus_of_pcs @ np.where(running, rated_w, 0.0))[bus]
    part = rated_w / np.maximum(at_work_w + np.where(running, 0.0, rated_w), 1.0)
    return part * ac_per_dc(arrays.pcs_efficiency_ratio)


def _candidates(relations: Relations, running: BoolArray) -> FloatArray:
    """Own rating, and the part of the transformer's that is left to each converter by rating."""
    rated_w = relations.pcs_rated_w
    candidates = np.full((len(_CANDIDATES), 2, len(rated_w)), np.inf)
    candidates[0] = rated_w
    if len(relations.transformer_va) == 0:
        return candidates
    load_va = relations.transformer_pcs @ np.where(running, rated_w, 0.0)
    part = (relations.transformer_va / np.maximum(load_va, 1.0))[relations.pcs_transformer]
    bounded = (relations.pcs_transformer >= 0) & (part < 1.0)
    candidates[1] = np.where(bounded, rated_w * part, np.inf)
    return candidates
