"""A converter as its controller meets it: states, dead time, ramp, limits, losses, and its own watchdog.

Rule: it does what it was last asked, after its dead time, at its ramp, within its ratings and its DC window. A
controller that falls silent longer than the watchdog allows gets what the device file states. What it can't do it
does not do, and says THROTTLED.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from controller.plant.device_types import CommunicationTimeout, TimeoutAction
from controller.plant.model import Pcs
from controller.plant.signals import PcsOperation, PcsState

DEAD_TIME_S = 0.1
START_S, SHUT_DOWN_LIMIT_S = 3.0, 30.0
NO_LOAD_SHARE = 0.2
"""Part of the rated loss that remains at no load."""
DC_TAPER_RATIO, DC_TRIP_RATIO = 0.01, 0.03
FREQUENCY_WINDOW = (0.95, 1.03)
VOLTAGE_WINDOW = (0.5, 1.2)
"""Wide trip windows of IEEE 1547-2018, category III, in per unit."""

PRODUCING = frozenset({PcsState.RUNNING, PcsState.THROTTLED, PcsState.SHUTTING_DOWN})


class Fault:
    """Bits of `pcs.alarms`."""

    DC_UNDERVOLTAGE, DC_OVERVOLTAGE, GRID_FREQUENCY, GRID_VOLTAGE, COMMUNICATION, EXTERNAL = (1 << n for n in range(6))


@dataclass(slots=True)
class ConverterFaults:
    """What the fault menu does to a converter."""

    refuses: bool = False
    ignores: bool = False
    limit_w: float = math.inf
    watchdog_off: bool = False


@dataclass(slots=True)
class Surroundings:
    """What a converter sees at its terminals: DC bus voltage, frequency, AC voltage and nominal frequency."""

    dc_voltage_v: float
    frequency_hz: float
    nominal_hz: float
    ac_voltage_pu: float


@dataclass(slots=True)
class Converter:
    """One converter. Powers in W and var at its AC side, + = discharge / injected; `dc_power_w` at its DC side."""

    rating: Pcs
    timeout: CommunicationTimeout | None
    state: PcsState = PcsState.OFF
    alarms: int = 0
    active_power_w: float = 0.0
    reactive_power_var: float = 0.0
    dc_power_w: float = 0.0
    dc_current_a: float = 0.0
    watchdog_s: float = 0.0
    heartbeat: int = 0
    temperature_degc: float = 30.0
    faults: ConverterFaults = field(default_factory=ConverterFaults)
    _asked: tuple[float, float] = (0.0, 0.0)
    _aim: tuple[float, float] = (0.0, 0.0)
    _dead_s: float = 0.0
    _state_s: float = 0.0
    _beat_s: float = 0.0
    _silence_s: float = 0.0
    _last_heard: float | None = None
    _after_shut_down: PcsState = PcsState.OFF

    def __post_init__(self) -> None:
        """Ship with the watchdog that the device file states."""
        self.reset_watchdog()

    # ------------------------------------------------------------------------------------------------ requests
    def hear(self, heartbeat: float) -> None:
        """Take the controller's heartbeat; only a change counts."""
        if heartbeat != self._last_heard:
            self._last_heard, self._silence_s = heartbeat, 0.0

    def heard(self) -> None:
        """Take any sign of life, where the device has no heartbeat register."""
        self._last_heard, self._silence_s = 0.0, 0.0

    def set_watchdog(self, timeout_s: float) -> None:
        """Set the communication time-out; 0 disables it."""
        self.watchdog_s = 0.0 if self.faults.watchdog_off else timeout_s

    def reset_watchdog(self) -> None:
        """Go back to the time-out that the device file states."""
        self.set_watchdog(self.timeout.after_s if self.timeout else 0.0)

    def ask_power(self, active_w: float | None = None, reactive_var: float | None = None) -> None:
        """Take a set-point; it acts after the dead time."""
        if self.faults.ignores:
            return
        asked = (
            self._asked[0] if active_w is None else active_w,
            self._asked[1] if reactive_var is None else reactive_var,
        )
        if asked != self._asked:
            self._asked, self._dead_s = asked, DEAD_TIME_S

    def operate(self, operation: PcsOperation, dc_voltage_v: float) -> None:
        """Start, stop, enter or leave standby; a start needs the DC bus within the window and no fault."""
        if self.faults.ignores:
            return
        match operation:
            case PcsOperation.START | PcsOperation.EXIT_STANDBY if self.state in {PcsState.OFF, PcsState.STANDBY}:
                if self.rating.dc_voltage_min_v <= dc_voltage_v <= self.rating.dc_voltage_max_v:
                    self._enter(PcsState.STARTING)
            case PcsOperation.STOP if self.state is PcsState.STANDBY:
                self._enter(PcsState.OFF)
            case PcsOperation.STOP | PcsOperation.ENTER_STANDBY if self.state in PRODUCING | {PcsState.STARTING}:
                self._shut_down(PcsState.OFF if operation is PcsOperation.STOP else PcsState.STANDBY)
            case _:
                pass

    def reset(self) -> None:
        """Leave FAULT for OFF; a fault that is still there comes back."""
        if self.state is PcsState.FAULT:
            self.alarms = 0
            self._enter(PcsState.OFF)

    def restart(self) -> None:
        """Come up as after a power cycle: off, everything at its default."""
        self.active_power_w = self.reactive_power_var = self.dc_power_w = 0.0
        self._asked = self._aim = (0.0, 0.0)
        self.alarms, self.heartbeat, self._last_heard = 0, 0, None
        self.reset_watchdog()
        self._enter(PcsState.OFF)

    def trip(self, alarm: int) -> None:
        """Stop at once and stay in FAULT until reset."""
        self.alarms |= alarm
        self._asked = self._aim = (0.0, 0.0)
        self.active_power_w = self.reactive_power_var = self.dc_power_w = 0.0
        self._enter(PcsState.FAULT)

    # -------------------------------------------------------------------------------------------------- a step
    def step(self, around: Surroundings, dt_s: float) -> float:
        """Move on by `dt_s`; return the power wanted from the DC bus (W, + = discharge)."""
        self._beat_s += dt_s
        self.heartbeat = (self.heartbeat + int(self._beat_s)) & 0xFFFF
        self._beat_s %= 1.0
        self._state_s += dt_s
        self._watch(dt_s)
        self._sequence(around)
        self._move(around, dt_s)
        share = self.active_power_w / self.rating.power_w
        self.temperature_degc += (30.0 + 35.0 * share * share - self.temperature_degc) * min(1.0, dt_s / 600.0)
        self.dc_power_w = self.active_power_w + self.loss_w()
        return self.dc_power_w

    def settle(self, given_ratio: float, dc_voltage_v: float) -> None:
        """Learn what the bus could give of the power wanted, and at which voltage."""
        if given_ratio < 1.0 and self.dc_power_w > 0.0:
            self.dc_power_w *= given_ratio
            self.active_power_w = self.dc_power_w - self.loss_w()
        self.dc_current_a = self.dc_power_w / dc_voltage_v if dc_voltage_v > 1.0 else 0.0

    def loss_w(self) -> float:
        """Return the loss: at rated power (1 - efficiency) of it, a fifth of that at no load, 0 when off."""
        if self.state not in PRODUCING:
            return 0.0
        rated_w = self.rating.power_w
        rated_loss_w = (1.0 - self.rating.efficiency_ratio) * rated_w
        share = math.hypot(self.active_power_w, self.reactive_power_var) / rated_w
        return rated_loss_w * (NO_LOAD_SHARE + (1.0 - NO_LOAD_SHARE) * share * share)

    def power_limits_w(self, dc_voltage_v: float) -> tuple[float, float]:
        """Return what it allows now: discharge and charge power, both >= 0."""
        limit_w = min(self.rating.power_w, self.rating.dc_current_max_a * dc_voltage_v, self.faults.limit_w)
        low_v, high_v = self.rating.dc_voltage_min_v, self.rating.dc_voltage_max_v
        discharge = _clip((dc_voltage_v / low_v - 1.0) / DC_TAPER_RATIO, 0.0, 1.0)
        charge = _clip((1.0 - dc_voltage_v / high_v) / DC_TAPER_RATIO, 0.0, 1.0)
        return limit_w * discharge, limit_w * charge

    def readings(self, dc_voltage_v: float, frequency_hz: float, ac_voltage_pu: float) -> dict[str, float]:
        """Return what it shows of itself, by signal."""
        discharge_w, charge_w = self.power_limits_w(dc_voltage_v)
        return {
            "pcs.active_power": self.active_power_w,
            "pcs.reactive_power": self.reactive_power_var,
            "pcs.frequency": frequency_hz,
            "pcs.ac_voltage": ac_voltage_pu * self.rating.ac_voltage_v,
            "pcs.dc_voltage": dc_voltage_v,
            "pcs.dc_current": self.dc_current_a,
            "pcs.temperature": self.temperature_degc,
            "pcs.discharge_power_limit": discharge_w,
            "pcs.charge_power_limit": charge_w,
            "pcs.state": self.state,
            "pcs.alarms": self.alarms,
            "pcs.heartbeat": self.heartbeat,
            "pcs.watchdog_timeout": self.watchdog_s,
        }

    def _watch(self, dt_s: float) -> None:
        if self._last_heard is None or self.watchdog_s <= 0.0 or self.timeout is None:
            return
        before_s, self._silence_s = self._silence_s, self._silence_s + dt_s
        if before_s <= self.watchdog_s < self._silence_s:
            self._time_out(self.timeout.then)

    def _time_out(self, then: TimeoutAction) -> None:
        match then:
            case TimeoutAction.ZERO:
                self._asked, self._dead_s = (0.0, 0.0), 0.0
            case TimeoutAction.STOP if self.state in PRODUCING:
                self._shut_down(PcsState.OFF)
            case TimeoutAction.TRIP | TimeoutAction.OPEN:
                self.trip(Fault.COMMUNICATION)
            case _:
                pass

    def _sequence(self, around: Surroundings) -> None:
        match self.state:
            case PcsState.STARTING if self._state_s >= START_S:
                self._enter(PcsState.RUNNING)
            case PcsState.SHUTTING_DOWN if abs(self.active_power_w) < 1.0 or self._state_s > SHUT_DOWN_LIMIT_S:
                self.active_power_w = self.reactive_power_var = 0.0
                self._enter(self._after_shut_down)
            case _:
                pass
        if self.state in PRODUCING:
            self._check(around)

    def _check(self, around: Surroundings) -> None:
        if around.dc_voltage_v < self.rating.dc_voltage_min_v * (1.0 - DC_TRIP_RATIO):
            self.trip(Fault.DC_UNDERVOLTAGE)
        elif around.dc_voltage_v > self.rating.dc_voltage_max_v * (1.0 + DC_TRIP_RATIO):
            self.trip(Fault.DC_OVERVOLTAGE)
        elif not FREQUENCY_WINDOW[0] <= around.frequency_hz / around.nominal_hz <= FREQUENCY_WINDOW[1]:
            self.trip(Fault.GRID_FREQUENCY)
        elif not VOLTAGE_WINDOW[0] <= around.ac_voltage_pu <= VOLTAGE_WINDOW[1]:
            self.trip(Fault.GRID_VOLTAGE)

    def _move(self, around: Surroundings, dt_s: float) -> None:
        """Ramp towards the aim, within the limits; a falling limit acts at once."""
        if self.state not in PRODUCING:
            self.active_power_w = self.reactive_power_var = 0.0
            return
        moving_s = max(0.0, dt_s - self._dead_s)
        self._dead_s = max(0.0, self._dead_s - dt_s)
        if self._dead_s <= 0.0:
            self._aim = self._asked
        discharge_w, charge_w = self.power_limits_w(around.dc_voltage_v)
        step_w = self.rating.ramp_w_per_s * moving_s
        ramped_w = self.active_power_w + _clip(self._aim[0] - self.active_power_w, -step_w, step_w)
        self.active_power_w = _clip(ramped_w, -charge_w, discharge_w)
        room_var = math.sqrt(max(0.0, self.rating.apparent_va**2 - self.active_power_w**2))
        ramped_var = self.reactive_power_var + _clip(self._aim[1] - self.reactive_power_var, -step_w, step_w)
        self.reactive_power_var = _clip(ramped_var, -room_var, room_var)
        if self.state is not PcsState.SHUTTING_DOWN:
            short = not -charge_w <= self._aim[0] <= discharge_w
            self.state = PcsState.THROTTLED if short else PcsState.RUNNING

    def _shut_down(self, then: PcsState) -> None:
        self._asked = self._aim = (0.0, 0.0)
        self._dead_s, self._after_shut_down = 0.0, then
        self._enter(PcsState.SHUTTING_DOWN)

    def _enter(self, state: PcsState) -> None:
        self.state, self._state_s = state, 0.0


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
