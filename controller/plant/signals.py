"""The vocabulary of device signals: what a register may mean, and nothing else.

A device file binds registers to these names (`rack.current`, `pcs.active_power`). The name's first part is the
equipment that the value belongs to, never the device that serves it. Everything that reads the field (protection,
estimation, control, SCADA) speaks of these names only, so a new device needs no code.

Units are base units; signs are the plant's (+ = discharge/export).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Owner(StrEnum):
    """Whose value it is; gives the first axis of its array."""

    RACK = "rack"
    CELL = "cell"  # [rack, cell]
    SENSOR = "sensor"  # [rack, temperature sensor]
    BANK = "bank"
    PCS = "pcs"
    METER = "meter"
    INTERLOCK = "interlock"
    BUS = "bus"  # computed quantities only
    BLOCK = "block"  # computed quantities only
    PLANT = "plant"  # computed quantities only


class SignalForm(StrEnum):
    """How a value is held: a quantity with a unit, a code of a fixed list, a set of bits, a yes/no, a count."""

    QUANTITY = "quantity"
    CODE = "code"
    BITS = "bits"
    BOOL = "bool"
    COUNT = "count"


class ContactorState(IntEnum):
    """A rack's main contactors as its BMS reports them."""

    UNKNOWN = 0
    OPEN = 1
    PRECHARGING = 2
    CLOSED = 3
    FAULT = 4


class PcsState(IntEnum):
    """A converter's own state, in the numbers of SunSpec model 701 `InvSt` plus UNKNOWN."""

    OFF = 0
    SLEEPING = 1
    STARTING = 2
    RUNNING = 3
    THROTTLED = 4
    SHUTTING_DOWN = 5
    FAULT = 6
    STANDBY = 7
    UNKNOWN = 15


class BreakerState(IntEnum):
    """Double-bit position: a single bit can't tell "open" from "wire broken"."""

    INTERMEDIATE = 0
    OPEN = 1
    CLOSED = 2
    BAD = 3


class BmsAlarm(IntEnum):
    """Bit numbers of `rack.alarms`, in the numbers of SunSpec 802/804 `Evt1`."""

    COMMUNICATION_ERROR = 0
    OVER_TEMPERATURE_ALARM = 1
    OVER_TEMPERATURE_WARNING = 2
    UNDER_TEMPERATURE_ALARM = 3
    UNDER_TEMPERATURE_WARNING = 4
    OVER_CHARGE_CURRENT_ALARM = 5
    OVER_CHARGE_CURRENT_WARNING = 6
    OVER_DISCHARGE_CURRENT_ALARM = 7
    OVER_DISCHARGE_CURRENT_WARNING = 8
    OVER_VOLTAGE_ALARM = 9
    OVER_VOLTAGE_WARNING = 10
    UNDER_VOLTAGE_ALARM = 11
    UNDER_VOLTAGE_WARNING = 12
    UNDER_SOC_ALARM = 13
    UNDER_SOC_WARNING = 14
    OVER_SOC_ALARM = 15
    OVER_SOC_WARNING = 16
    VOLTAGE_IMBALANCE_WARNING = 17
    TEMPERATURE_IMBALANCE_ALARM = 18
    TEMPERATURE_IMBALANCE_WARNING = 19
    CONTACTOR_ERROR = 20
    FAN_ERROR = 21
    GROUND_FAULT = 22
    OPEN_DOOR = 23
    CURRENT_IMBALANCE_WARNING = 24
    OTHER_ALARM = 25
    OTHER_WARNING = 26


class ConnectRequest(IntEnum):
    """A request to a BMS about its own contactors (SunSpec 802 `SetOp`, 804 `SetCon`); never a contactor drive."""

    NONE = 0
    CONNECT = 1
    DISCONNECT = 2


class PcsOperation(IntEnum):
    """A request to a converter, in the numbers of SunSpec 715 `OpCtl`."""

    STOP = 0
    START = 1
    ENTER_STANDBY = 2
    EXIT_STANDBY = 3


class RestartKind(IntEnum):
    """What a reset request says: 0 nothing, 1 reset."""

    NONE = 0
    RESET = 1


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing a register can mean.

    `command` signals are written by the controller; `codes` names the canonical values of a CODE signal, which a
    device file maps its own raw values to by these names in lower case.
    """

    name: str
    owner: Owner
    form: SignalForm
    unit: str
    description: str
    command: bool = False
    codes: type[IntEnum] | None = None


def _measured(name: str, unit: str, description: str) -> Signal:
    return Signal(name, _owner(name), SignalForm.QUANTITY, unit, description)


def _commanded(name: str, unit: str, description: str) -> Signal:
    return Signal(name, _owner(name), SignalForm.QUANTITY, unit, description, command=True)


def _code(name: str, codes: type[IntEnum], description: str, *, command: bool = False) -> Signal:
    return Signal(name, _owner(name), SignalForm.CODE, "", description, command=command, codes=codes)


def _bits(name: str, codes: type[IntEnum] | None, description: str) -> Signal:
    return Signal(name, _owner(name), SignalForm.BITS, "", description, codes=codes)


def _yes_no(name: str, description: str) -> Signal:
    return Signal(name, _owner(name), SignalForm.BOOL, "", description)


def _count(name: str, description: str, *, command: bool = False) -> Signal:
    return Signal(name, _owner(name), SignalForm.COUNT, "", description, command=command)


def _owner(name: str) -> Owner:
    return _ARRAY_OWNERS.get(name) or Owner(name.split(".", maxsplit=1)[0])


_ARRAY_OWNERS = {"cell.temperature": Owner.SENSOR}

_RACK = (
    _measured("rack.voltage", "V", "rack voltage at its terminals"),
    _measured("rack.current", "A", "rack current, + = discharge"),
    _measured("rack.soc", "ratio", "state of charge as the BMS states it"),
    _measured("rack.soh", "ratio", "state of health as the BMS states it"),
    _measured("rack.charge_current_limit", "A", "charge current that the BMS allows now, >= 0"),
    _measured("rack.discharge_current_limit", "A", "discharge current that the BMS allows now, >= 0"),
    _measured("rack.cell_voltage_max", "V", "highest cell voltage as the BMS states it"),
    _measured("rack.cell_voltage_min", "V", "lowest cell voltage as the BMS states it"),
    _measured("rack.cell_temperature_max", "degC", "highest cell temperature as the BMS states it"),
    _measured("rack.cell_temperature_min", "degC", "lowest cell temperature as the BMS states it"),
    _measured("rack.insulation_resistance", "ohm", "insulation resistance of the rack's galvanic section"),
    _code("rack.contactor", ContactorState, "main contactors as the BMS reports them"),
    _yes_no("rack.tripped", "the BMS has tripped this rack"),
    _bits("rack.alarms", BmsAlarm, "alarm and warning bits of the BMS"),
    _count("rack.heartbeat", "counter that the rack's BMS advances"),
    _code("rack.connect_request", ConnectRequest, "request to the BMS to connect or disconnect", command=True),
    _code("rack.reset_request", RestartKind, "request to the BMS to reset its trip", command=True),
    _count("rack.controller_heartbeat", "counter that we advance", command=True),
    _measured("cell.voltage", "V", "cell voltages"),
    _measured("cell.temperature", "degC", "cell temperature sensors"),
    _yes_no("cell.balancing", "the cell is being balanced"),
)

_BANK = (
    _code("bank.state", ContactorState, "the bank's contactors as a whole"),
    _bits("bank.alarms", BmsAlarm, "alarm and warning bits of the bank BMS"),
    _count("bank.heartbeat", "counter that the bank BMS advances"),
    _code("bank.connect_request", ConnectRequest, "request to connect or disconnect the whole bank", command=True),
    _code("bank.reset_request", RestartKind, "request to the bank BMS to reset its trips", command=True),
    _count("bank.controller_heartbeat", "counter that we advance", command=True),
)

_PCS = (
    _measured("pcs.active_power", "W", "AC active power, + = discharge"),
    _measured("pcs.reactive_power", "var", "AC reactive power, + = injected"),
    _measured("pcs.frequency", "Hz", "AC frequency at the converter"),
    _measured("pcs.ac_voltage", "V", "AC line-to-line voltage at the converter"),
    _measured("pcs.dc_voltage", "V", "DC-link voltage"),
    _measured("pcs.dc_current", "A", "DC current, + = discharge"),
    _measured("pcs.temperature", "degC", "heat-sink temperature"),
    _measured("pcs.discharge_power_limit", "W", "discharge power that the converter allows now, >= 0"),
    _measured("pcs.charge_power_limit", "W", "charge power that the converter allows now, >= 0"),
    _code("pcs.state", PcsState, "operating state"),
    _bits("pcs.alarms", None, "alarm bits of the converter"),
    _count("pcs.heartbeat", "counter that the converter advances"),
    _measured("pcs.watchdog_timeout", "s", "communication time-out that the converter runs with; 0 = disabled"),
    _commanded("pcs.active_power_setpoint", "W", "active power asked for, + = discharge"),
    _commanded("pcs.reactive_power_setpoint", "var", "reactive power asked for, + = injected"),
    _code("pcs.operation", PcsOperation, "start, stop, standby", command=True),
    _code("pcs.reset_request", RestartKind, "request to reset the converter's trip", command=True),
    _count("pcs.controller_heartbeat", "counter that we advance", command=True),
    _commanded("pcs.watchdog_timeout_setting", "s", "communication time-out to set before arming"),
)

_METER = (
    _measured("meter.active_power", "W", "active power, + = export"),
    _measured("meter.reactive_power", "var", "reactive power, + = injected"),
    _measured("meter.apparent_power", "VA", "apparent power"),
    _measured("meter.power_factor", "ratio", "power factor"),
    _measured("meter.frequency", "Hz", "frequency"),
    _measured("meter.voltage", "V", "line-to-line voltage, mean of three"),
    _measured("meter.current", "A", "phase current, mean of three"),
    _measured("meter.energy_out", "Wh", "energy exported, register of the meter"),
    _measured("meter.energy_in", "Wh", "energy imported, register of the meter"),
    _code("meter.breaker", BreakerState, "breaker position"),
)

_INTERLOCK = (_yes_no("interlock.healthy", "the hard-wired chain is closed (false = open; unknown is neither)"),)

SIGNALS: dict[str, Signal] = {s.name: s for s in (*_RACK, *_BANK, *_PCS, *_METER, *_INTERLOCK)}
"""Every signal by name; the order is the order of the process image."""
