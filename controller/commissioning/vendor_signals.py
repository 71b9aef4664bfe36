"""What a maker's names mean in our vocabulary: point names -> signals, value texts -> canonical codes.

Rule: a name is folded to words and held against patterns, the most particular first. A name that fits nothing stays
unbound and is kept as a comment; a name is never bound by resemblance alone.
"""

from __future__ import annotations

import re

from controller.commissioning.vendor_meters import meter_signal
from controller.plant.device_types import BMS_KINDS, DeviceKind
from controller.plant.signals import SIGNALS, BmsAlarm, Signal, SignalForm

_CELL_EXTREMES = (
    (r"(max|high)\w* .*cell .*volt|cell .*volt\w* .*(max|high)|(max|high)\w* (single )?cell v\b", "cell_voltage_max"),
    (r"(min|low)\w* .*cell .*volt|cell .*volt\w* .*(min|low)|(min|low)\w* (single )?cell v\b", "cell_voltage_min"),
    (r"(max|high)\w* .*(cell|module|pack)? ?.*temp|temp\w* .*(max|high)", "cell_temperature_max"),
    (r"(min|low)\w* .*(cell|module|pack)? ?.*temp|temp\w* .*(min|low)", "cell_temperature_min"),
)
_RACK = (
    (r"disch\w* .*curr\w* .*lim|(max|allow|limit)\w* .*disch\w* .*curr|disch\w* limit\w* curr|\bdcl\b",
     "discharge_current_limit"),
    (r"\bcharg\w* .*curr\w* .*lim|(max|allow|limit)\w* .*\bcharg\w* .*curr|\bcharg\w* lim\w* curr|\bccl\b",
     "charge_current_limit"),
    (r"insulation|isolation", "insulation_resistance"),
    (r"\bsoc\b|state of charge", "soc"),
    (r"\bsoh\b|state of health", "soh"),
    (r"(connect|contactor|relay) .*(request|command|cmd|control)$", "connect_request"),
    (r"contactor|main relay|relay (state|status)", "contactor"),
    (r"(connect|relay) .*(request|command|cmd|control)", "connect_request"),
    (r"\btrip(ped)?\b|fault (state|status)", "tripped"),
    (r"alarm|warning (word|bits)", "alarms"),
    (r"reset", "reset_request"),
    (r"(controller|ems|scada|pcs|master|host|write) .*(heart ?beat|life|alive|watchdog)", "controller_heartbeat"),
    (r"heart ?beat|life ?(count|sign|bit)?\b|alive", "heartbeat"),
    (r"curr", "current"),
    (r"volt", "voltage"),
)  # fmt: skip
_PCS = (
    (r"\bactive p\w* .*(set|command|reference|target|dispatch)|(set|command|target) ?(point)? .*\bactive p|^set p\b",
     "active_power_setpoint"),
    (r"reactive p\w* .*(set|command|reference|target)|(set|command|target) ?(point)? .*reactive p|^set q\b",
     "reactive_power_setpoint"),
    (r"(max|avail|limit)\w* .*disch\w* .*power|disch\w* .*power .*(lim|max|avail)", "discharge_power_limit"),
    (r"(max|avail|limit)\w* .*charg\w* .*power|charg\w* .*power .*(lim|max|avail)", "charge_power_limit"),
    (r"(watchdog|communication|comm|heart ?beat) .*time ?out .*(set|write)", "watchdog_timeout_setting"),
    (r"(watchdog|communication|comm|heart ?beat) .*time ?out", "watchdog_timeout"),
    (r"(start|stop|on off|operation) .*(command|cmd|control|request)|start stop|on off", "operation"),
    (r"reset", "reset_request"),
    (r"reactive", "reactive_power"),
    (r"active power|\bac power|power .*(total|ac)\b|total power|^p( total| ac)?$", "active_power"),
    (r"freq", "frequency"),
    (r"\bdc\b.*volt|volt\w* .*\bdc\b|bus volt|battery volt", "dc_voltage"),
    (r"\bdc\b.*curr|curr\w* .*\bdc\b|battery curr", "dc_current"),
    (r"(ac|grid|line|l1 ?l2|phase) .*volt|volt\w* .*(ac|l1 ?l2|ab)\b|vrms", "ac_voltage"),
    (r"temp", "temperature"),
    (r"(controller|ems|scada|master|host|write) .*(heart ?beat|life|alive)", "controller_heartbeat"),
    (r"heart ?beat|life ?(count|sign|bit)?\b|alive", "heartbeat"),
    (r"(fault|alarm|error) ?(word|code|bits|status)?", "alarms"),
    (r"state|status|mode", "state"),
)  # fmt: skip
_CELLS = (
    (r"cell .*volt|single volt", "cell.voltage"),
    (r"cell .*temp|temp\w* (sensor|probe|point)|module .*temp|\bntc\b", "cell.temperature"),
    (r"balanc", "cell.balancing"),
)
_PREFIX = {
    DeviceKind.BANK_BMS: ("rack", (*_CELL_EXTREMES, *_RACK)),
    DeviceKind.RACK_BMS: ("rack", (*_CELL_EXTREMES, *_RACK)),
    DeviceKind.PCS: ("pcs", _PCS),
    DeviceKind.DIGITAL_IO: ("interlock", ((r".", "healthy"),)),
}


def words_of_name(text: str) -> str:
    """Return a name as lower-case words: `BatMaxCellVolt_1` -> `bat max cell volt 1`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", text)
    return " ".join(re.sub(r"[^a-z0-9]+", " ", spaced.casefold()).split())


def is_of_cells(name: str) -> bool:
    """Whether a row of elements is of cells or their sensors."""
    folded = words_of_name(name)
    return any(re.search(pattern, folded) for pattern, _ in _CELLS)


def signal_of(
    name: str, kind: DeviceKind, *, repeated: bool = False, bank: bool = False, writable: bool = False
) -> Signal | None:
    """Return what a name means for a kind of device; None where nothing fits.

    `repeated`: it stands for a row of elements (cells, sensors). `bank`: of a bank BMS, and not of one of its racks.
    `writable`: a counter that may be written is ours to advance.
    """
    folded = words_of_name(name)
    if repeated and kind in BMS_KINDS:
        return next((SIGNALS[signal] for pattern, signal in _CELLS if re.search(pattern, folded)), None)
    if kind is DeviceKind.METER:
        of_meter = meter_signal(folded)
        return SIGNALS[f"meter.{of_meter[0]}"] if of_meter is not None else None
    prefix, patterns = _PREFIX[kind]
    found = next((part for pattern, part in patterns if re.search(pattern, folded)), None)
    if found == "heartbeat" and writable:
        found = "controller_heartbeat"
    signal = f"{'bank' if bank else prefix}.{found}"
    return SIGNALS.get("bank.state" if signal == "bank.contactor" else signal)


# ---------------------------------------------------------------------------------------------------------- value texts

_MEANINGS = (
    (r"pre ?charg", "precharging"),
    (r"unknown|invalid|undefined|reserved", "unknown"),
    (r"fault|error|alarm|fail", "fault"),
    (r"disconnect|not closed|opened|\bopen\b|\boff\b", "open"),
    (r"closed?|connect|\bon\b", "closed"),
)
_PCS_MEANINGS = (
    (r"fault|error|alarm|trip", "fault"),
    (r"shut|stopping", "shutting_down"),
    (r"start", "starting"),
    (r"stand ?by|idle|ready|hot", "standby"),
    (r"sleep", "sleeping"),
    (r"derat|throttl|limit", "throttled"),
    (r"run|operat|normal|grid|charg|generat|\bon\b", "running"),
    (r"stop|\boff\b|initial", "off"),
    (r"unknown|invalid", "unknown"),
)
_OPERATIONS = (
    (r"exit|leave", "exit_standby"),
    (r"stand ?by", "enter_standby"),
    (r"start|\bon\b|run", "start"),
    (r"stop|off", "stop"),
)
_CONNECTS = (
    (r"disconnect|\boff\b|\bopen\b", "disconnect"),
    (r"connect|close|\bon\b", "connect"),
    (r"none|no |idle|invalid", "none"),
)
_RESETS = ((r"reset|clear|ack", "reset"), (r"none|no|idle|invalid", "none"))
_BREAKERS = (
    (r"interm|moving", "intermediate"),
    (r"bad|fault|invalid|error", "bad"),
    (r"open|off", "open"),
    (r"clos|on", "closed"),
)
_YES_NO = ((r"^(no|normal|ok|false|healthy|none|0)\b|not? (trip|fault|alarm)|inactive", "no"), (r".", "yes"))
_BY_SIGNAL = {
    "rack.contactor": _MEANINGS,
    "bank.state": _MEANINGS,
    "pcs.state": _PCS_MEANINGS,
    "pcs.operation": _OPERATIONS,
    "rack.connect_request": _CONNECTS,
    "bank.connect_request": _CONNECTS,
    "rack.reset_request": _RESETS,
    "bank.reset_request": _RESETS,
    "pcs.reset_request": _RESETS,
    "meter.breaker": _BREAKERS,
}


def meaning_of(text: str, signal: Signal) -> str | None:
    """Return the canonical word for a value's text, None where nothing fits."""
    folded = words_of_name(text)
    exact = folded.replace(" ", "_")
    if signal.codes is not None and exact.upper() in signal.codes.__members__:
        return exact
    if signal.form is SignalForm.BITS:
        return _alarm(folded) if signal.codes is BmsAlarm else None
    patterns = _YES_NO if signal.form is SignalForm.BOOL else _BY_SIGNAL.get(signal.name, ())
    return next((word for pattern, word in patterns if re.search(pattern, folded)), None)


_ALARMS = (
    (r"comm", "communication_error", False),
    (r"(over|high) ?(charg\w* .*curr|curr\w* .*\bcharg)|charg\w* over ?curr", "over_charge_current", True),
    (r"(over|high) ?(disch\w* .*curr|curr\w* .*disch)|disch\w* over ?curr", "over_discharge_current", True),
    (r"(over|high) ?.*temp|temp\w* .*(high|over)", "over_temperature", True),
    (r"(under|low) ?.*temp|temp\w* .*(low|under)", "under_temperature", True),
    (r"(over|high) ?.*volt|volt\w* .*(high|over)", "over_voltage", True),
    (r"(under|low) ?.*volt|volt\w* .*(low|under)", "under_voltage", True),
    (r"(over|high) ?.*soc|soc .*(high|over)", "over_soc", True),
    (r"(under|low) ?.*soc|soc .*(low|under)", "under_soc", True),
    (r"volt\w* .*(imbalance|differ|spread)", "voltage_imbalance_warning", False),
    (r"temp\w* .*(imbalance|differ|spread)", "temperature_imbalance", True),
    (r"curr\w* .*imbalance", "current_imbalance_warning", False),
    (r"contactor|relay", "contactor_error", False),
    (r"\bfan\b", "fan_error", False),
    (r"ground|insulation|isolation", "ground_fault", False),
    (r"door", "open_door", False),
)


def _alarm(folded: str) -> str | None:
    for pattern, name, graded in _ALARMS:
        if re.search(pattern, folded):
            return f"{name}_{'warning' if 'warn' in folded else 'alarm'}" if graded else name
    return None
