"""The plant at its point of interconnection in the SunSpec models 701, 702, 713 and 715.

+ = discharge (W) and injected (Var). Phases are not measured one by one and read "not implemented", as does whatever
the site has no meter or no rating for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from controller.control.sequences.states import OperatingState
from controller.plant.model import Plant
from controller.plant.signals import BreakerState, PcsOperation, PcsState
from controller.scada.modbus.judged import Judged
from controller.scada.modbus.sunspec_bank import local_or_remote
from controller.scada.modbus.sunspec_racks import Extremes
from controller.scada.modbus.sunspec_registers import LARGEST_I32, LARGEST_U16, Path, exponent_for

_THREE_PHASE = 2
_GRID_FOLLOWING = 1 << 0
_MANUFACTURER_ALARM = 1 << 16
_CONTROL_MODES = 1 << 0 | 1 << 1 | 1 << 2  # MAX_W, FIXED_W, FIXED_VAR
_UNCATEGORIZED = 1 << 0
_OK, _WARNING, _ERROR = 0, 1, 2

_INVERTER_STATES = {
    OperatingState.OFF: PcsState.OFF,
    OperatingState.STARTING: PcsState.STARTING,
    OperatingState.RUNNING: PcsState.RUNNING,
    OperatingState.STANDBY: PcsState.STANDBY,
    OperatingState.STOPPING: PcsState.SHUTTING_DOWN,
    OperatingState.TRIPPED: PcsState.FAULT,
    OperatingState.OUT_OF_SERVICE: PcsState.OFF,
}
_OPERATIONS = {
    OperatingState.OFF: PcsOperation.STOP,
    OperatingState.STOPPING: PcsOperation.STOP,
    OperatingState.STARTING: PcsOperation.START,
    OperatingState.RUNNING: PcsOperation.START,
    OperatingState.STANDBY: PcsOperation.ENTER_STANDBY,
}
_TURNING = {PcsState.STARTING, PcsState.RUNNING, PcsState.SHUTTING_DOWN}


def plant_scale_factors(plant: Plant) -> dict[Path, int]:
    """Return the scale factors of 701, 702, 704 and 713, from the contract's ratings."""
    poi = plant.poi
    watts, volts, amperes = max(poi.power_w, poi.export_limit_w, poi.import_limit_w), poi.voltage_v, _current_a(plant)
    measured = {
        "A_SF": exponent_for(amperes),
        "V_SF": exponent_for(volts, LARGEST_U16),
        "Hz_SF": -3,
        "W_SF": exponent_for(watts),
        "PF_SF": -4,
        "VA_SF": exponent_for(poi.apparent_va),
        "Var_SF": exponent_for(poi.apparent_va),
        "TotWh_SF": 0,
        "Tmp_SF": -1,
    }
    rated = {
        "W_SF": exponent_for(watts, LARGEST_U16),
        "VA_SF": exponent_for(poi.apparent_va, LARGEST_U16),
        "Var_SF": exponent_for(poi.apparent_va, LARGEST_U16),
        "V_SF": exponent_for(volts, LARGEST_U16),
        "A_SF": exponent_for(amperes, LARGEST_U16),
    }
    controls = {
        "WSet_SF": exponent_for(watts, LARGEST_I32, lowest=0),
        "VarSet_SF": exponent_for(poi.apparent_va, LARGEST_I32, lowest=0),
        "WSetPct_SF": -2,
        "VarSetPct_SF": -2,
        "WMaxLimPct_SF": -2,
    }
    storage = {"WH_SF": exponent_for(poi.energy_wh, LARGEST_U16), "Pct_SF": -2}
    models = {701: measured, 702: rated, 704: controls, 713: storage}
    return {(model, name): exponent for model, named in models.items() for name, exponent in named.items()}


def plant_values(judged: Judged, plant: Plant) -> dict[Path, Any]:
    """Return all values of 701, 702, 713 and 715."""
    models = {
        701: _measured(judged, plant),
        702: _capacity(judged, plant),
        713: _storage(judged, plant),
        715: _control(judged),
    }
    return {(model, name): value for model, named in models.items() for name, value in named.items()}


def _measured(judged: Judged, plant: Plant) -> dict[str, float]:
    meter = plant.poi.meter
    inverter = _coded(judged, _INVERTER_STATES)
    tripped = judged.number("plant.tripped")
    return {
        "ACType": _THREE_PHASE,
        "St": inverter if math.isnan(inverter) else float(inverter in _TURNING),
        "InvSt": inverter,
        "ConnSt": _connection(judged, meter),
        "Alrm": tripped * _MANUFACTURER_ALARM,
        "DERMode": _GRID_FOLLOWING,
        "W": judged.number("plant.active_power"),
        "VA": judged.number("plant.apparent_power"),
        "Var": judged.number("plant.reactive_power"),
        "PF": judged.number("plant.power_factor"),
        "A": judged.number("meter.current", meter),
        "LLV": judged.number("plant.voltage"),
        "Hz": judged.number("plant.frequency"),
        "TotWhInj": judged.number("plant.energy_out"),
        "TotWhAbs": judged.number("plant.energy_in"),
        "TmpSnk": float(Extremes.of(judged.numbers("pcs.temperature")).high),
    }


def _capacity(judged: Judged, plant: Plant) -> dict[str, float]:
    poi, amperes = plant.poi, _current_a(plant)
    return {
        "WMaxRtg": poi.power_w,
        "VAMaxRtg": poi.apparent_va,
        "VarMaxInjRtg": poi.apparent_va,
        "VarMaxAbsRtg": poi.apparent_va,
        "WChaRteMaxRtg": poi.power_w,
        "WDisChaRteMaxRtg": poi.power_w,
        "VAChaRteMaxRtg": poi.apparent_va,
        "VADisChaRteMaxRtg": poi.apparent_va,
        "VNomRtg": poi.voltage_v,
        "AMaxRtg": amperes,
        "CtrlModes": _CONTROL_MODES,
        "IntIslandCatRtg": _UNCATEGORIZED,
        "WMax": poi.power_w,
        "VAMax": poi.apparent_va,
        "VarMaxInj": poi.apparent_va,
        "VarMaxAbs": poi.apparent_va,
        "WChaRteMax": judged.number("plant.import_limit"),
        "WDisChaRteMax": judged.number("plant.export_limit"),
        "VAChaRteMax": poi.apparent_va,
        "VADisChaRteMax": poi.apparent_va,
        "VNom": poi.voltage_v,
        "AMax": amperes,
        "IntIslandCat": _UNCATEGORIZED,
    }


def _storage(judged: Judged, plant: Plant) -> dict[str, float]:
    return {
        "WHRtg": plant.poi.energy_wh,
        "WHAvail": judged.number("plant.energy_to_discharge"),
        "SoC": 100.0 * judged.number("plant.soc"),
        "SoH": 100.0 * judged.number("plant.soh"),
        "Sta": _status(judged),
    }


def _control(judged: Judged) -> dict[str, float]:
    return {
        "LocRemCtl": local_or_remote(judged),
        "DERHb": judged.number("plant.heartbeat"),
        "ControllerHb": judged.number("plant.scada_heartbeat"),
        "AlarmReset": 0.0,
        "OpCtl": _coded(judged, _OPERATIONS),
    }


def _current_a(plant: Plant) -> float:
    """Return the current at rated apparent power."""
    return plant.poi.apparent_va / (math.sqrt(3.0) * plant.poi.voltage_v)


def _coded(judged: Judged, codes: Mapping[OperatingState, IntEnum]) -> float:
    state = judged.state("plant.operating_state")
    return float(codes[state]) if state is not None and state in codes else math.nan


def _connection(judged: Judged, meter: int) -> float:
    """Return 1 connected, 0 not; NaN unless the breaker's position is sure."""
    position = judged.number("meter.breaker", meter)
    return {float(BreakerState.OPEN): 0.0, float(BreakerState.CLOSED): 1.0}.get(position, math.nan)


def _status(judged: Judged) -> float:
    tripped, alarms = judged.number("plant.tripped"), judged.number("plant.active_alarms")
    if math.isnan(tripped) or math.isnan(alarms):
        return math.nan
    if tripped:
        return _ERROR
    return _WARNING if alarms else _OK
