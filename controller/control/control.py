"""One scan of control: from measurements, protection, estimates and commands to what is asked of the field.

Order: replies; what racks, buses and converters may carry; their sequences; power; what is asked; accounts. Pure but
for `state`, which control owns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controller.control.accounting import EnergyAccount, energy_account
from controller.control.commands import Command
from controller.control.converters import failed_writes, observe_pcs, step_pcs
from controller.control.desk import Desk
from controller.control.events import Event, EventKind
from controller.control.inputs import ControlInputs, Estimate, ProtectionOrders
from controller.control.limits.buses import BusLimits, bus_limits
from controller.control.limits.pcs import PcsConditions, PcsLimits, pcs_limits, standing_limits
from controller.control.limits.racks import RackLimits, rack_limits
from controller.control.limits.reasons import LimitReason
from controller.control.measurements import ABSENT, USABLE, Measurements, Reader
from controller.control.mismatch import MismatchFindings
from controller.control.orders import ask_converters, clear_reset_requests
from controller.control.permissives import missing_for_start
from controller.control.plant_control import step_plant
from controller.control.poi import PoiSample, are_outside, is_frozen
from controller.control.poi_guard import watch_limits
from controller.control.poi_witness import Converters
from controller.control.power import set_power
from controller.control.racks import observe_racks, step_racks
from controller.control.relations import DISCHARGE
from controller.control.replies import answer_all
from controller.control.report.assembly import Facts, Said, report
from controller.control.report.result import ControlResult
from controller.control.resets import ask_for_resets
from controller.control.sequences.pcs import PcsSequenceState
from controller.control.sequences.plant import PlantState
from controller.control.state import ControlState
from controller.control.status import PcsStatus, RackStatus
from controller.control.uncontrolled import Commanded, Uncontrolled, Unheard, assume_power, unseen_power_w
from controller.image.image import Image
from controller.image.masks import anywhere, everywhere
from controller.image.plant_arrays import PlantArrays
from controller.plant.model import Plant
from controller.plant.signals import BreakerState, Owner

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

ACCOUNT_PERIOD_NS = 5_000_000_000


def control(
    plant: Plant, arrays: PlantArrays, state: ControlState, inputs: ControlInputs, commands: Sequence[Command]
) -> ControlResult:
    """Return what this scan decides, with replies, events and conditions; `state.outputs` holds what is asked."""
    image, protection, estimate = inputs.image, inputs.protection, inputs.estimate
    now_ns, dt_s = inputs.now_ns, inputs.dt_s
    measured = _begin(state, image, now_ns)
    events: list[Event] = []
    stays, retains = inputs.trips_that_stay, inputs.retains
    desk = Desk(plant, arrays, state, image, measured, protection, stays, retains, now_ns, events)
    replies = answer_all(desk, commands)
    events += _let_time_pass(state, now_ns)
    _start_by_itself(desk)
    if desk.forwarded.resets:
        ask_for_resets(state, measured, desk.forwarded)

    racks = observe_racks(arrays, state, measured, protection)
    soc = _soc_ratio(estimate)
    carry = rack_limits(state.relations, measured, soc, racks.candidates, state.racks.held, now_ns)
    buses = bus_limits(state.relations, arrays, measured, carry, racks.connections)
    balance = state.racks.balance
    balance.look(measured, racks.connections, state.pcs.command_w, now_ns)
    state.racks.voltages.look(measured, buses.voltage_v, now_ns)
    events += step_racks(plant, arrays, state, measured, protection, buses, racks)

    given_w = measured.pcs_active_power_w
    findings = state.pcs.mismatch.compare(state.pcs.command_w, given_w, balance.shown_w, dt_s)
    believed_w = state.pcs.mismatch.believed_w(given_w, balance.shown_w)
    converters = observe_pcs(arrays, state, measured, buses, protection, findings)
    events += step_plant(plant, arrays, state, measured, protection, racks, converters, now_ns)
    events += step_pcs(plant, arrays, state, measured, converters, now_ns)

    conditions = _pcs_conditions(arrays, state, protection, racks, carry, buses, converters)
    standing = state.pcs.standing = standing_limits(state.relations, arrays, conditions, state.pcs.standing)
    may = pcs_limits(state.relations, arrays, measured, buses, state.pcs.held, conditions, standing, now_ns)
    account = _account(plant, arrays, state, estimate, carry, racks, may)
    sample = _poi_sample(state, plant, image, measured)
    _watch_meter(plant, state, believed_w, sample, dt_s)
    frozen = plant.poi.meter >= 0 and (is_frozen(plant, sample) or not state.witness.fits)
    loose = _uncontrolled(state, measured, believed_w, converters, findings, conditions.write_failed, sample)
    hold = frozen or findings.apart or loose.any
    power = set_power(plant, state, may, account.pcs_soc_ratio, loose, sample, dt_s, frozen=hold)
    ask_converters(arrays, state, protection, converters, power, findings)
    clear_reset_requests(state)
    facts = Facts(
        measured,
        protection,
        estimate,
        racks,
        carry,
        buses,
        findings,
        converters,
        conditions,
        may,
        account,
        sample,
        power,
        frozen,
    )
    return report(plant, arrays, state, image, facts, Said(replies, tuple(events), desk.forwarded))


def _begin(state: ControlState, image: Image, now_ns: int) -> Measurements:
    """Take the time, count the scan and read the image. Sequences count their time from the first scan."""
    state.now_ns = now_ns
    state.sequence += 1
    if state.plant.entered_ns < 0:
        state.plant.entered_ns = now_ns
        state.racks.entered_ns[:] = now_ns
        state.pcs.entered_ns = [now_ns] * len(state.pcs.entered_ns)
    if state.reader is None or state.reader.image is not image:
        state.reader = Reader(image)
    return state.reader.read()


def _soc_ratio(estimate: Estimate) -> NDArray[np.float64]:
    """Return the estimated SOC, NaN where it is not usable."""
    bad = estimate.quality > USABLE
    return np.where(bad, np.nan, estimate.soc_used_ratio) if anywhere(bad) else estimate.soc_used_ratio


def _pcs_conditions(
    arrays: PlantArrays,
    state: ControlState,
    protection: ProtectionOrders,
    racks: RackStatus,
    carry: RackLimits,
    buses: BusLimits,
    converters: PcsStatus,
) -> PcsConditions:
    no_increase = protection.bus_no_increase
    if carry.stale is not None:
        no_increase = no_increase | (racks.connections.member.dot(carry.stale) > 0.0)
    if anywhere(converters.unseen):
        no_increase = no_increase | (state.relations.bus_of_pcs.dot(converters.unseen) > 0.0)
    return PcsConditions(
        running=np.array([s is PcsSequenceState.RUNNING for s in state.pcs.sequence]),
        stop=converters.stop,
        unheard=converters.unseen & ~converters.stop_stays,
        in_dc_window=converters.in_dc_window,
        no_voltage=np.where(np.isnan(buses.voltage_v), buses.reason[DISCHARGE], 0)[arrays.pcs_bus],
        bus_zero=_why_zero(protection),
        no_increase=no_increase,
        write_failed=failed_writes(state, state.now_ns),
        self_limit_w=state.pcs.mismatch.self_limit_w,
        command_w=state.pcs.command_w,
    )


def _why_zero(protection: ProtectionOrders) -> NDArray[np.int32]:
    """Return why protection holds each bus at zero [B], NONE where it does not."""
    why = np.where(protection.bus_zero, np.int32(LimitReason.BUS_PROTECTION), np.int32(LimitReason.NONE))
    why = np.where(protection.bus_zero_data, np.int32(LimitReason.BUS_DATA_SILENT), why)
    return np.where(protection.bus_zero_chain, np.int32(LimitReason.BUS_CHAIN_UNKNOWN), why)


def _uncontrolled(
    state: ControlState,
    measured: Measurements,
    believed_w: FloatArray,
    converters: PcsStatus,
    findings: MismatchFindings,
    write_failed: BoolArray,
    sample: PoiSample,
) -> Uncontrolled:
    """What flows without us: nothing, as a rule."""
    memory, measured_w = state.pcs, measured.pcs_active_power_w
    unheard = converters.unseen | np.isnan(measured_w)
    lowest_w = highest_w = 0.0
    assumed_w = None
    if anywhere(unheard) or not everywhere(np.isnan(memory.assumed_w)):
        _assume(state, measured, converters, unheard, sample)
        lowest_w, highest_w = np.nansum(memory.assumed_w, axis=1).tolist()
        assumed_w = list(zip(*memory.assumed_w.tolist(), strict=True))
    np.copyto(memory.power_w, believed_w, where=~unheard & ~np.isnan(believed_w))
    if findings.surplus_w is not None or anywhere(write_failed):
        surplus_w = np.zeros(len(measured_w)) if findings.surplus_w is None else findings.surplus_w
        beside_w = np.nan_to_num(np.where(write_failed & ~unheard, measured_w, surplus_w)).tolist()
        return Uncontrolled((lowest_w + sum(beside_w), highest_w + sum(beside_w)), assumed_w, beside_w)
    return Uncontrolled((lowest_w, highest_w), assumed_w)


def _assume(
    state: ControlState, measured: Measurements, converters: PcsStatus, unheard: BoolArray, sample: PoiSample
) -> None:
    memory, watchdog_ns = state.pcs, state.relations.pcs_watchdog_ns
    lost = np.array([s is PcsSequenceState.LOST for s in memory.sequence], np.bool_)
    memory.fed_ns[~lost] = state.now_ns
    says_off = measured.pcs_state_fresh & ~converters.runs
    silence = Unheard(
        unheard,
        (state.now_ns - memory.seen_ns > watchdog_ns) | says_off,
        (state.now_ns - memory.fed_ns > watchdog_ns) | says_off,
    )
    envelope = memory.mismatch.envelope
    commanded = Commanded(memory.command_w, envelope.lowest_w, envelope.highest_w, memory.power_w)
    unseen_w = unseen_power_w(measured.pcs_active_power_w, sample, state.losses) + state.active_loop.trim
    assume_power(memory.assumed_w, commanded, silence, unseen_w)


def _watch_meter(plant: Plant, state: ControlState, power_w: FloatArray, sample: PoiSample, dt_s: float) -> None:
    """Compare the POI meter with the converters (`power_w` [P], NaN: not heard) and with its limits."""
    if plant.poi.meter < 0:
        return
    heard = ~np.isnan(power_w)
    commanded_w = float(state.pcs.command_w.sum(where=heard))
    of_pcs = Converters(float(power_w.sum(where=heard)), commanded_w, all_heard=everywhere(heard))
    state.witness.follow(of_pcs, sample.active_w, unseen_power_w(power_w, sample, state.losses), dt_s)
    outside_v, outside_hz = are_outside(plant, sample)
    of_voltage_s, of_frequency_s = state.grid_s
    state.grid_s = (of_voltage_s + dt_s if outside_v else 0.0, of_frequency_s + dt_s if outside_hz else 0.0)
    limits_w = state.import_limits.lowest_w, state.export_limits.lowest_w
    watch_limits(state.guard, limits_w, sample.active_w, plant.poi.power_w, dt_s)


def _account(
    plant: Plant,
    arrays: PlantArrays,
    state: ControlState,
    estimate: Estimate,
    carry: RackLimits,
    racks: RackStatus,
    may: PcsLimits,
) -> EnergyAccount:
    """SOC and energy, anew every few seconds or when a rack connects; they change slowly."""
    last = state.account
    if last is not None and last.racks is racks and state.now_ns - state.account_ns < ACCOUNT_PERIOD_NS:
        return last
    state.account_ns = state.now_ns
    window = (plant.control.soc_min_ratio, plant.control.soc_max_ratio)
    state.account = energy_account(state.relations, arrays, estimate, carry.soc_ratio, racks, window, may.allowed_w)
    return state.account


def _let_time_pass(state: ControlState, now_ns: int) -> list[Event]:
    """Run out set-points and limits."""
    events = []
    for setpoint in (state.active, state.reactive):
        before = setpoint.accepted
        if setpoint.age(now_ns):
            events.append(Event(EventKind.SETPOINT_RAN_OUT, Owner.PLANT, 0, before, setpoint.accepted))
    for limits in (state.export_limits, state.import_limits):
        before = limits.lowest_w
        events += [
            Event(EventKind.LIMIT_EXPIRED, Owner.PLANT, 0, before, limits.lowest_w, source)
            for source in limits.expire(now_ns)
        ]
    return events


def _start_by_itself(desk: Desk) -> None:
    """Once after a start of the controller, where the site says so and nothing is missing.

    What stood latched when it started, and was reset since, waits for a start by the person who reset it.
    """
    memory = desk.state.plant
    if not desk.plant.control.auto_start or memory.auto_start_done or memory.sequence is not PlantState.OFF:
        return
    if not missing_for_start(desk):
        memory.start_requested = memory.auto_start_done = True


def _poi_sample(state: ControlState, plant: Plant, image: Image, measured: Measurements) -> PoiSample:
    meter = plant.poi.meter
    auxiliary_w = state.losses.auxiliary_w(measured.meter[0].tolist())
    if meter < 0:
        return PoiSample(np.nan, np.nan, 0, np.nan, np.nan, breaker_closed=True, auxiliary_w=auxiliary_w)
    active_w, reactive_var, _, _, frequency_hz, voltage_v, *_ = measured.meter[:, meter].tolist()
    breaker = image["meter.breaker"]
    quality, position = int(breaker.quality[meter]), int(breaker.value[meter])
    closed = bool(quality == ABSENT or (quality <= USABLE and position == BreakerState.CLOSED))
    time_ns = int(image["meter.active_power"].time_ns[meter])
    return PoiSample(active_w, reactive_var, time_ns, voltage_v, frequency_hz, closed, auxiliary_w)
