"""The rack BMSs: current limits, trips, contactors with precharge, balancing, and what they do when we fall silent.

The BMS is the primary protection: it trips on its own, at the limits that the site states for it (`bms_trips`), else at
the rack's window and the cell maker's temperatures. It connects and disconnects when asked, and nobody drives its
contactors. All arrays are [rack]; rows of `BmsSettings.trip_at` are the checks in the order of `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.image.masks import anywhere
from controller.plant.device_types import CommunicationTimeout, TimeoutAction
from controller.plant.model import BatteryType, Rack
from controller.plant.signals import BmsAlarm, ConnectRequest, ContactorState
from controller.simulator.racks import RackCells

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

CHECKS = (
    ("cell_voltage_high", 1.0, BmsAlarm.OVER_VOLTAGE_ALARM, BmsAlarm.OVER_VOLTAGE_WARNING),
    ("cell_voltage_low", -1.0, BmsAlarm.UNDER_VOLTAGE_ALARM, BmsAlarm.UNDER_VOLTAGE_WARNING),
    ("cell_temperature_high", 1.0, BmsAlarm.OVER_TEMPERATURE_ALARM, BmsAlarm.OVER_TEMPERATURE_WARNING),
    ("cell_temperature_low", -1.0, BmsAlarm.UNDER_TEMPERATURE_ALARM, BmsAlarm.UNDER_TEMPERATURE_WARNING),
    ("charge_current_high", 1.0, BmsAlarm.OVER_CHARGE_CURRENT_ALARM, BmsAlarm.OVER_CHARGE_CURRENT_WARNING),
    ("discharge_current_high", 1.0, BmsAlarm.OVER_DISCHARGE_CURRENT_ALARM, BmsAlarm.OVER_DISCHARGE_CURRENT_WARNING),
)
"""Name, sign that makes it "higher is worse", the bit of its trip, the bit of its warning."""

VOLTAGE_TRIP_S, TEMPERATURE_TRIP_S, CURRENT_TRIP_S = 1.0, 2.0, 10.0
CURRENT_TRIP_RATIO = 1.10
VOLTAGE_WARNING_V, TEMPERATURE_WARNING_K, CURRENT_WARNING_RATIO = 0.10, 8.0, 1.03
CHARGE_TAPER_V, DISCHARGE_TAPER_V, TEMPERATURE_TAPER_K = 0.10, 0.15, 8.0
LIMIT_RISE_RATIO_PER_S = 0.02
"""How fast a limit comes back, so that it does not follow the current that it allows."""
PRECHARGE_S, PRECHARGE_PATIENCE_S = (1.0, 1.6), 5.0
OPENING_S, TRIP_OPENING_S, OPENING_PATIENCE_S = 0.1, 0.3, 3.0
QUIET_CURRENT_RATIO = 0.05
_CLOSED = int(ContactorState.CLOSED)
CLOSING_CURRENT_RATIO = 0.5
"""A rack may close onto a live bus if the current that would flow stays below this part of its rating."""
BALANCING_A, BALANCING_OVER_V, BALANCING_SPREAD_V = (0.03, 0.10), 0.25, 0.005


@dataclass(frozen=True, slots=True)
class BmsSettings:
    """Limits of all racks: [check, rack], [direction, rack] (charge, discharge), or [rack]."""

    trip_at: FloatArray
    warn_at: FloatArray
    delay_s: FloatArray
    rating_a: FloatArray
    warmest_degc: FloatArray
    coldest_degc: FloatArray
    cell_max_v: FloatArray
    cell_min_v: FloatArray


@dataclass(frozen=True, slots=True)
class SilenceRule:
    """What each BMS does when the controller falls silent: after how long (inf = never), [rack]."""

    after_s: FloatArray
    opens: BoolArray
    trips: BoolArray
    zeroes: BoolArray


@dataclass(slots=True)
class RackFaults:
    """What the fault menu does to rack hardware, [rack]; `current_a` is what a shunt claims, by rack."""

    stuck_open: BoolArray
    stuck_closed: BoolArray
    precharge_fails: BoolArray
    current_a: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class BmsState:
    """What the BMSs remember, [rack]."""

    contactor: NDArray[np.int64]
    wanted: BoolArray
    tripped: BoolArray
    alarms: NDArray[np.uint32]
    limit_a: FloatArray  # [direction, rack]: charge, discharge
    heartbeat: FloatArray
    timer_s: FloatArray
    over_s: FloatArray  # [check, rack]
    silence_s: FloatArray  # -inf: nobody ever spoke to it
    last_heard: FloatArray
    latched: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))


class RackBms:
    """All rack BMSs of a plant."""

    def __init__(self, racks: Sequence[Rack], silence: SilenceRule, rng: np.random.Generator) -> None:
        """Start with everything open and nothing asked."""
        count = len(racks)
        self.settings, self.silence = _settings(racks), silence
        self.precharge_s = rng.uniform(*PRECHARGE_S, count)
        self.balancing_a = rng.uniform(*BALANCING_A, count)
        no = np.zeros(count, np.bool_)
        self.faults = RackFaults(no.copy(), no.copy(), no.copy())
        self.state = _fresh_state(self.settings)
        self.conducting = no.copy()
        self._warmth, self._warmth_of = np.zeros((2, count)), -1
        self._values, self._room = np.zeros((len(CHECKS), count)), np.zeros((2, count))

    # ------------------------------------------------------------------------------------------------ requests
    def request(self, racks: list[int], request: ConnectRequest) -> None:
        """Take a request to connect or disconnect; a fault of the contactors ends with the request that failed."""
        if request is not ConnectRequest.NONE:
            self.state.wanted[racks] = request is ConnectRequest.CONNECT
        if request is ConnectRequest.DISCONNECT:
            self._leave_fault(racks)

    def reset(self, racks: list[int]) -> None:
        """Clear trips; what is still wrong trips again. A rack stays open until it is asked to connect."""
        state = self.state
        state.tripped[racks] = False
        state.latched[racks] = 0
        state.over_s[:, racks] = 0.0
        state.wanted[racks] = False
        self._leave_fault(racks)

    def _leave_fault(self, racks: list[int]) -> None:
        failed = np.zeros_like(self.state.wanted)
        failed[racks] = True
        self._enter(failed & (self.state.contactor == ContactorState.FAULT), ContactorState.OPEN)

    def hear(self, racks: list[int], heartbeat: float) -> None:
        """Take the controller's heartbeat; only a change counts."""
        state = self.state
        changed = np.zeros_like(state.wanted)
        changed[racks] = True
        changed &= state.last_heard != heartbeat
        state.last_heard[changed] = heartbeat
        state.silence_s[changed] = 0.0

    def hear_all(self, heartbeat: float) -> None:
        """Take the controller's heartbeat on every rack."""
        changed = self.state.last_heard != heartbeat
        self.state.last_heard.fill(heartbeat)
        self.state.silence_s[changed] = 0.0

    def restart(self, rack: int) -> None:
        """Come up as after a power cycle: contactors open, heartbeat from zero, nothing asked."""
        fresh = _fresh_state(self.settings)
        for name in self.state.__slots__:
            getattr(self.state, name)[..., rack] = getattr(fresh, name)[..., rack]

    # -------------------------------------------------------------------------------------------------- a step
    def step(self, cells: RackCells, current_a: FloatArray, bus_v: FloatArray, dt_s: float) -> None:
        """Judge the cells and currents of the last `dt_s`, then move limits and contactors; `bus_v` is [rack]."""
        state = self.state
        state.heartbeat += dt_s
        believed_a = self.believed_current(current_a)
        self._judge(cells, believed_a, dt_s)
        self._limit(cells, dt_s)
        self._listen(dt_s)
        self._contactors(cells, believed_a, bus_v, dt_s)

    def believed_current(self, current_a: FloatArray) -> FloatArray:
        """Return the currents as the shunts tell them."""
        if not self.faults.current_a:
            return current_a
        believed_a = current_a.copy()
        for rack, claimed_a in self.faults.current_a.items():
            believed_a[rack] = claimed_a
        return believed_a

    def _judge(self, cells: RackCells, current_a: FloatArray, dt_s: float) -> None:
        values, state, settings = self._values, self.state, self.settings
        values[0], values[1] = cells.highest_v, -cells.lowest_v
        values[2], values[3] = cells.hottest_degc, -cells.coldest_degc
        np.negative(current_a, out=values[4])
        values[5] = current_a
        warned = values > settings.warn_at
        state.alarms = state.latched
        if not anywhere(warned):
            state.over_s.fill(0.0)
            return
        state.alarms = state.latched | _bits(warned, _WARNING_BITS)
        over = values > settings.trip_at
        state.over_s = np.where(over, state.over_s + dt_s, 0.0)
        tripping = over & (state.over_s >= settings.delay_s)
        if tripping.any():
            state.tripped |= tripping.any(axis=0)
            state.latched = state.latched | _bits(tripping, _TRIP_BITS)
            state.alarms = state.alarms | state.latched

    def _limit(self, cells: RackCells, dt_s: float) -> None:
        """Move both limits: a tapered one falls at once and comes back slowly."""
        settings, state, room = self.settings, self.state, self._room
        np.subtract(settings.cell_max_v, cells.highest_v, out=room[0])
        np.subtract(cells.lowest_v, settings.cell_min_v, out=room[1])
        room /= _TAPER_V
        if self._warmth_of != cells.slow_steps:
            self._warmth_of = cells.slow_steps
            self._warmth = np.minimum(
                settings.warmest_degc - cells.hottest_degc, cells.coldest_degc - settings.coldest_degc
            )
            self._warmth /= TEMPERATURE_TAPER_K
        np.minimum(room, self._warmth, out=room)
        allowed_a = np.clip(room, 0.0, 1.0, out=room) * settings.rating_a
        risen_a = state.limit_a + LIMIT_RISE_RATIO_PER_S * dt_s * settings.rating_a
        state.limit_a = np.minimum(allowed_a, risen_a) * ~state.tripped

    def _listen(self, dt_s: float) -> None:
        state, rule = self.state, self.silence
        state.silence_s += dt_s
        late = state.silence_s > rule.after_s
        if anywhere(late):
            state.wanted[late & (rule.opens | rule.trips)] = False
            tripping = late & rule.trips & (state.contactor == ContactorState.CLOSED)
            state.tripped |= tripping
            state.latched = state.latched | np.uint32(1 << BmsAlarm.COMMUNICATION_ERROR) * tripping
            state.limit_a[:, late & rule.zeroes] = 0.0

    def _contactors(self, cells: RackCells, current_a: FloatArray, bus_v: FloatArray, dt_s: float) -> None:
        state, faults = self.state, self.faults
        closed = state.contactor == _CLOSED
        ready = state.wanted & ~state.tripped
        if anywhere(closed != ready) or anywhere(faults.stuck_open):
            self._open(closed & ~ready, current_a, dt_s)
            self._precharge(ready, dt_s)
            self._begin(cells, ready, bus_v)
            closed = state.contactor == _CLOSED
        self.conducting = (closed & ~faults.stuck_open) | faults.stuck_closed

    def _open(self, opening: BoolArray, current_a: FloatArray, dt_s: float) -> None:
        state = self.state
        state.timer_s[opening] += dt_s
        quiet = np.abs(current_a) <= QUIET_CURRENT_RATIO * self.settings.rating_a[1]
        patience_s = np.where(state.tripped, TRIP_OPENING_S, OPENING_PATIENCE_S)
        done = opening & ((quiet & (state.timer_s >= OPENING_S)) | (state.timer_s >= patience_s))
        self._enter(done, ContactorState.OPEN)

    def _precharge(self, ready: BoolArray, dt_s: float) -> None:
        state, faults = self.state, self.faults
        precharging = state.contactor == ContactorState.PRECHARGING
        state.timer_s[precharging] += dt_s
        done = precharging & ready & ~faults.precharge_fails & (state.timer_s >= self.precharge_s)
        failed = precharging & faults.precharge_fails & (state.timer_s >= PRECHARGE_PATIENCE_S)
        closed = state.contactor == _CLOSED
        failed |= (done | closed) & faults.stuck_open
        self._enter(precharging & ~ready, ContactorState.OPEN)
        self._enter(done, ContactorState.CLOSED)
        self._enter(failed, ContactorState.FAULT)
        state.latched = state.latched | np.uint32(1 << BmsAlarm.CONTACTOR_ERROR) * failed

    def _begin(self, cells: RackCells, ready: BoolArray, bus_v: FloatArray) -> None:
        """Start the precharge of racks whose voltage is near enough to their bus, or whose bus is dead."""
        state = self.state
        rush_a = np.abs(cells.emf_v - bus_v) / (2.0 * cells.resistance_ohm)
        near = (bus_v < 1.0) | (rush_a <= CLOSING_CURRENT_RATIO * self.settings.rating_a[0])
        waiting = ready & (state.contactor == ContactorState.OPEN)
        self._enter(waiting & near, ContactorState.PRECHARGING)
        state.alarms = state.alarms | np.uint32(1 << BmsAlarm.VOLTAGE_IMBALANCE_WARNING) * (waiting & ~near)

    def _enter(self, racks: BoolArray, contactor: ContactorState) -> None:
        self.state.contactor[racks] = contactor
        self.state.timer_s[racks] = 0.0

    def balance(self, cells: RackCells, current_a: FloatArray) -> None:
        """Bleed the high cells of racks near full that are not discharging."""
        start_v = self.settings.cell_max_v - BALANCING_OVER_V
        may = (cells.highest_v > start_v) & (current_a <= 0.0)
        if not may.any():
            cells.balancing_a.fill(0.0)
            return
        floor_v = np.maximum(start_v, cells.lowest_v + BALANCING_SPREAD_V)
        high = (cells.voltage_v > floor_v[:, None]) & may[:, None] & cells.present
        cells.balancing_a = high * self.balancing_a[:, None]


def silence_rule(timeouts: Sequence[CommunicationTimeout | None]) -> SilenceRule:
    """Return the rule of all racks from the time-outs [rack] that their devices state."""
    actions = [t.then if t else TimeoutAction.NONE for t in timeouts]
    return SilenceRule(
        after_s=np.array([t.after_s if t else np.inf for t in timeouts], np.float64),
        opens=np.array([a is TimeoutAction.OPEN for a in actions], np.bool_),
        trips=np.array([a is TimeoutAction.TRIP for a in actions], np.bool_),
        zeroes=np.array([a in {TimeoutAction.ZERO, TimeoutAction.STOP} for a in actions], np.bool_),
    )


def _settings(racks: Sequence[Rack]) -> BmsSettings:
    batteries = [r.battery for r in racks]
    rows = np.array([_trips(b) for b in batteries], np.float64).reshape(len(racks), len(CHECKS), 3)
    signs = np.array([sign for _, sign, _, _ in CHECKS])[:, None]
    limits = [b.cell.limits for b in batteries]
    return BmsSettings(
        trip_at=signs * rows[:, :, 0].T,
        warn_at=signs * rows[:, :, 1].T,
        delay_s=rows[:, :, 2].T.copy(),
        rating_a=np.array([[b.charge_current_max_a, b.discharge_current_max_a] for b in batteries]).T.copy(),
        warmest_degc=np.array([[c.charge_temperature_max_degc, c.discharge_temperature_max_degc] for c in limits]).T,
        coldest_degc=np.array([[c.charge_temperature_min_degc, c.discharge_temperature_min_degc] for c in limits]).T,
        cell_max_v=np.array([b.voltage_max_v / b.cells_in_series for b in batteries]),
        cell_min_v=np.array([b.voltage_min_v / b.cells_in_series for b in batteries]),
    )


def _trips(battery: BatteryType) -> list[tuple[float, float, float]]:
    """Return trip, warning and delay of each check: stated ones first, else from the rack's and the cell's data."""
    stated = {t.row: (t.limit, t.delay_s) for t in battery.bms_trips}
    cell, series = battery.cell.limits, battery.cells_in_series
    charge_a, discharge_a = battery.charge_current_max_a, battery.discharge_current_max_a
    usual = (
        (battery.voltage_max_v / series, VOLTAGE_TRIP_S, -VOLTAGE_WARNING_V),
        (battery.voltage_min_v / series, VOLTAGE_TRIP_S, VOLTAGE_WARNING_V),
        (cell.discharge_temperature_max_degc, TEMPERATURE_TRIP_S, -TEMPERATURE_WARNING_K),
        (cell.discharge_temperature_min_degc, TEMPERATURE_TRIP_S, TEMPERATURE_WARNING_K),
        (CURRENT_TRIP_RATIO * charge_a, CURRENT_TRIP_S, (CURRENT_WARNING_RATIO - CURRENT_TRIP_RATIO) * charge_a),
        (CURRENT_TRIP_RATIO * discharge_a, CURRENT_TRIP_S, (CURRENT_WARNING_RATIO - CURRENT_TRIP_RATIO) * discharge_a),
    )
    trips = []
    for (name, _, _, _), (limit, delay_s, inside) in zip(CHECKS, usual, strict=True):
        at, after_s = stated.get(name, (limit, delay_s))
        trips.append((at, at + inside, after_s))
    return trips


def _fresh_state(settings: BmsSettings) -> BmsState:
    count = len(settings.cell_max_v)
    return BmsState(
        contactor=np.full(count, ContactorState.OPEN, np.int64),
        wanted=np.zeros(count, np.bool_),
        tripped=np.zeros(count, np.bool_),
        alarms=np.zeros(count, np.uint32),
        limit_a=settings.rating_a.copy(),
        heartbeat=np.zeros(count),
        timer_s=np.zeros(count),
        over_s=np.zeros((len(CHECKS), count)),
        silence_s=np.full(count, -np.inf),
        last_heard=np.full(count, np.nan),
        latched=np.zeros(count, np.uint32),
    )


_TAPER_V = np.array([[CHARGE_TAPER_V], [DISCHARGE_TAPER_V]])
_TRIP_BITS = np.array([1 << trip for _, _, trip, _ in CHECKS], np.uint32)[:, None]
_WARNING_BITS = np.array([1 << warning for _, _, _, warning in CHECKS], np.uint32)[:, None]


def _bits(flags: BoolArray, weights: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the flags [check, rack] as bit sets [rack]."""
    sets: NDArray[np.uint32] = (flags * weights).sum(axis=0, dtype=np.uint32)
    return sets
