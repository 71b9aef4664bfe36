"""One scan of the plant: the order in which everything happens, on one page.

    1 latch        raw register blocks -> measured quantities; age -> quality
    2 protection   raw measurements and limits -> trips, inhibits, permissives
    3 estimation   racks with a new sample; worked in a second copy, swapped in after success
    4 control      measurements, protection, estimates, commands -> requests to the field, clipped by protection
    5 alarms       conditions -> alarm table and events
    6 publish      every computed quantity into the image, which then is the snapshot

Steps 7 (write the requests) and 8 (feed the watchdogs) belong to whoever called, and only if this returned. State is
owned and changed here alone; raw blocks and commands never are. No clock, no sockets, no files: the same inputs give
the same outputs, bit for bit, in a process, in fake time or in a replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controller.alarms.events import EventRecord
from controller.alarms.life_cycle import acknowledge, count_alarms, update
from controller.alarms.system_alarms import SystemAlarm
from controller.control.commands import Command, Reply
from controller.control.control import control
from controller.control.events import Event
from controller.control.inputs import ControlInputs
from controller.control.report.result import ControlResult
from controller.estimation import Estimate, estimate
from controller.image.quality import Quality
from controller.plant.protection_rows import ResetClass
from controller.plant.signals import Owner
from controller.protection.protect import protect, reset, trips_that_stay
from controller.runtime.scan_state import State, Tables

PAUSE_COUNTED_AT_MOST = 3
"""A pause longer than so many scan periods counts as so many for delays: what was not seen has not lasted."""

RESET_CLASS_OF_ROLE = {"operator": ResetClass.REMOTE, "engineer": ResetClass.LOCAL, "service": ResetClass.SERVICE}


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan tells the outside; image and requests live in the state."""

    replies: tuple[Reply, ...]
    alarm_events: tuple[EventRecord, ...]
    control_events: tuple[Event, ...]
    withhold_heartbeat: tuple[bool, ...]  # by converter
    cells_changed: bool


def scan(tables: Tables, state: State, commands: Sequence[Command], now_ns: int) -> ScanResult:
    """Run one scan at the monotonic time `now_ns` on the raw blocks that the state's latch looks at."""
    plant, image = tables.plant, state.image
    dt_s = _dt_s(state, now_ns, plant.control.scan_period_s)

    cells_changed = state.latch.take(now_ns)
    protection = protect(tables.protection, state.protection, image, now_ns, dt_s)
    estimated = _estimate(tables, state, now_ns, cells_changed=cells_changed)
    stays = partial(_trips_that_stay, tables, state)
    retains = not state.conditions.is_held(SystemAlarm.RETAINED_STATE_FAILING)
    inputs = ControlInputs(image, protection, estimated, now_ns, dt_s, stays, retains)
    controlled = control(plant, tables.arrays, state.control, inputs, commands)
    _reset(tables, state, controlled)
    state.conditions.hold(SystemAlarm.DEVICE_VALUES_INVALID, state.invalid.look(now_ns), now_ns)
    state.conditions.of_protection(protection, now_ns)
    state.conditions.of_estimate(estimated, now_ns)
    state.conditions.of_control(controlled.conditions, controlled.condition_values, now_ns)
    events = update(tables.alarms, state.alarms, state.conditions.conditions, now_ns)
    if controlled.forwarded.acknowledge:
        events += acknowledge(tables.alarms, state.alarms, now_ns)
    if events or state.alarm_counts is None:
        state.alarm_counts = count_alarms(tables.alarms, state.alarms, state.alarm_counts)
    state.scan_count += 1
    state.publisher.publish(
        protection, estimated, controlled, state.alarm_counts, state.scan_count, tables.map_version, now_ns
    )
    withheld = tuple(bool(w) for w in controlled.withhold_heartbeat)
    return ScanResult(controlled.replies, events, controlled.events, withheld, cells_changed)


def _dt_s(state: State, now_ns: int, period_s: float) -> float:
    """Return the time since the last scan, a long pause counted short."""
    elapsed_s = (now_ns - state.last_ns) * 1e-9 if state.last_ns else period_s
    state.last_ns = now_ns
    return min(elapsed_s, PAUSE_COUNTED_AT_MOST * period_s)


def _estimate(tables: Tables, state: State, now_ns: int, *, cells_changed: bool) -> Estimate:
    """Estimate in a copy; a failure leaves the last good values with bad quality and an alarm, and nothing else."""
    working, sample = state.estimator.copy(), state.sampler.sample(cells_changed=cells_changed)
    try:
        state.estimate = estimate(tables.estimator, working, sample, now_ns)
        state.estimator = working
        state.conditions.hold(SystemAlarm.ESTIMATION_FAILED, active=False, now_ns=now_ns)
    except Exception:
        if state.estimate is None:
            raise
        quality = np.maximum(state.estimate.quality, np.uint8(Quality.DEVICE_FAILURE))
        state.estimate = replace(state.estimate, quality=quality)
        state.conditions.hold(SystemAlarm.ESTIMATION_FAILED, active=True, now_ns=now_ns)
    return state.estimate


def _trips_that_stay(tables: Tables, state: State, rack: int, role: str) -> tuple[str, ...]:
    """Return what protection would keep latched after a reset of a rack (-1: of everything), in words."""
    return trips_that_stay(tables.protection, state.protection, *_asked_for(tables, rack, role))


def _reset(tables: Tables, state: State, controlled: ControlResult) -> None:
    """Pass resets on to protection, which decides whether the cause is gone."""
    for rack, role in controlled.forwarded.resets:
        reset(tables.protection, state.protection, *_asked_for(tables, rack, role))


def _asked_for(tables: Tables, rack: int, role: str) -> tuple[ResetClass, NDArray[np.bool_] | None]:
    """Return what a role may reset, and the elements that a reset is about (None: all)."""
    elements = None if rack < 0 else tables.protection.elements_of(Owner.RACK, rack)
    return RESET_CLASS_OF_ROLE.get(role, ResetClass.AUTO), elements
