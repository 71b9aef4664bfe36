"""A battery of many racks in the SunSpec models 802 (base), 803 (lithium-ion bank) and 804 (one a rack).

Conventions where the models leave a choice: + = discharge for A and W; strings, modules and cells count from 1; a sum
over racks is known only if every rack in service is known; V is the mean of the connected racks (of all, where none is
connected); a rack that is silent shows COMMUNICATION_ERROR and nothing else; a trip shows as OTHER_ALARM. `SetOp` and
`SetInvState` tell what is so and can't be written: racks connect and disconnect one by one, by their own commands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.control.sequences.states import OperatingState
from controller.plant.model import BatteryType, Plant
from controller.plant.signals import BmsAlarm
from controller.scada.modbus.judged import Judged
from controller.scada.modbus.sunspec_racks import Extremes, Numbers, Racks, racks_of
from controller.scada.modbus.sunspec_registers import LARGEST_U16, Path, exponent_for

STRINGS_MAX = 783  # as many as model 803 has room for behind the plant's other models
_LITHIUM = {"lfp": 4, "nmc": 4, "nca": 4, "lto": 4, "lmo": 4, "lco": 4, "vrla": 1, "lead_acid": 1}
_OTHER_TYPE = 99
_COUNTS_U16 = LARGEST_U16 + 1  # a counter goes from the largest number back to 0
_REST_RATIO = 0.005  # of rated power: below it the battery neither charges nor discharges
_OFF, _EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = range(1, 7)
_STATES = {OperatingState.TRIPPED: 99, OperatingState.STANDBY: 4}
_DISCONNECTED, _INITIALIZING, _CONNECTED = 1, 2, 3
_CONNECT, _DISCONNECT = 1.0, 2.0
_INVERTER_STATES = {  # 1 stopped, 2 standby, 3 started
    OperatingState.OFF: 1.0,
    OperatingState.STOPPING: 1.0,
    OperatingState.TRIPPED: 1.0,
    OperatingState.OUT_OF_SERVICE: 1.0,
    OperatingState.STANDBY: 2.0,
    OperatingState.STARTING: 3.0,
    OperatingState.RUNNING: 3.0,
}
_NO_REASON, _FAULT, _MAINTENANCE, _OTHER_REASON = 0, 1, 2, 4


@dataclass(frozen=True, slots=True)
class Bank:
    """Racks that are shown as one battery: the plant's or a block's. `owner` names its quantities."""

    plant: Plant
    owner: str  # plant or block
    index: int
    rows: NDArray[np.int64]
    power_w: float

    @property
    def batteries(self) -> list[BatteryType]:
        """What its racks are made of."""
        return [self.plant.racks[row].battery for row in self.rows.tolist()]


def scale_factors(bank: Bank) -> dict[Path, int]:
    """Return the scale factors of 802, 803 and 804, from the racks' ratings."""
    batteries = bank.batteries
    rack_a = max((max(b.charge_current_max_a, b.discharge_current_max_a) for b in batteries), default=0.0)
    bank_a = sum(max(b.charge_current_max_a, b.discharge_current_max_a) for b in batteries)
    volts = max((b.voltage_max_v for b in batteries), default=0.0)
    base = {
        "AHRtg_SF": exponent_for(sum(b.capacity_ah for b in batteries), LARGEST_U16),
        "WHRtg_SF": exponent_for(sum(b.energy_wh for b in batteries), LARGEST_U16),
        "WChaDisChaMax_SF": exponent_for(bank.power_w, LARGEST_U16),
        "SoC_SF": -2,
        "DoD_SF": -2,
        "SoH_SF": -2,
        "V_SF": exponent_for(volts, LARGEST_U16),
        "CellV_SF": -3,
        "A_SF": exponent_for(bank_a),
        "AMax_SF": exponent_for(bank_a, LARGEST_U16),
        "W_SF": exponent_for(bank.power_w),
    }
    string = {
        "CellV_SF": -3,
        "ModTmp_SF": -1,
        "A_SF": exponent_for(rack_a),
        "SoH_SF": -2,
        "SoC_SF": -2,
        "V_SF": exponent_for(volts, LARGEST_U16),
    }
    return {
        **{(802, name): exponent for name, exponent in base.items()},
        **{(803, name): exponent for name, exponent in string.items()},
        **{(804, name): exponent for name, exponent in {**string, "DoD_SF": -2}.items()},
    }


def bank_values(judged: Judged, bank: Bank, *, strings: bool, racks: int) -> dict[Path, Any]:
    """Return all values of 802, of 803 if `strings`, and of 804 for the first so many racks."""
    measured = racks_of(judged, bank.plant, bank.rows)
    values: dict[Path, Any] = {(802, name): value for name, value in _base(judged, bank, measured).items()}
    if strings:
        values |= {(803, name): value for name, value in _bank(measured).items()}
    if strings and bank.rows.size:
        values |= {(803, f"string.{name}"): value for name, value in _strings(measured).items()}
    if racks:
        values |= {(804, name): value[:racks] for name, value in _racks(measured).items()}
        there = np.arange(measured.modules.cells.shape[1]) < measured.module_count[:, None]
        there[racks:] = False
        modules = _modules(measured).items()
        values |= {(804, f"lithium_ion_string_module.{name}"): value[there] for name, value in modules}
    return values


# ----------------------------------------------------------------------------------------------------- 802, the battery


def _base(judged: Judged, bank: Bank, racks: Racks) -> dict[str, float]:
    plant, batteries = bank.plant, bank.batteries
    soc_ratio = judged.number(f"{bank.owner}.soc", bank.index)
    state = judged.state(f"{bank.owner}.operating_state", bank.index)
    power_w = _sum(racks, racks.power_w)
    return {
        "AHRtg": sum(b.capacity_ah for b in batteries),
        "WHRtg": sum(b.energy_wh for b in batteries),
        "WChaRteMax": bank.power_w,
        "WDisChaRteMax": bank.power_w,
        "SoCMax": 100.0 * plant.control.soc_max_ratio,
        "SoCMin": 100.0 * plant.control.soc_min_ratio,
        "SoC": 100.0 * soc_ratio,
        "DoD": 100.0 - 100.0 * soc_ratio,
        "SoH": _weighted(racks.soh_percent, np.array([b.energy_wh for b in batteries])),
        "ChaSt": _charge_status(bank, racks, soc_ratio, power_w),
        "LocRemCtl": local_or_remote(judged),
        "Hb": judged.number("plant.heartbeat") % _COUNTS_U16,
        "CtrlHb": judged.number("plant.scada_heartbeat") % _COUNTS_U16,
        "AlmRst": 0.0,
        "Typ": _type(batteries),
        "State": _state(state, racks),
        "Evt1": float(np.bitwise_or.reduce(_events(racks), initial=0)),
        "Evt2": 0.0,
        "EvtVnd1": 0.0,
        "EvtVnd2": 0.0,
        "V": _voltage_v(racks),
        "VMax": max((b.voltage_max_v for b in batteries), default=math.nan),
        "VMin": min((b.voltage_min_v for b in batteries), default=math.nan),
        **_extremes("CellV", racks.cell_voltage_v),
        "A": _sum(racks, racks.current_a),
        "AChaMax": _sum(racks, racks.charge_limit_a),
        "ADisChaMax": _sum(racks, racks.discharge_limit_a),
        "W": power_w,
        "SetOp": _CONNECT if (racks.closed == 1.0).any() else _DISCONNECT,
        "SetInvState": math.nan if state is None else _INVERTER_STATES[state],
    }


def local_or_remote(judged: Judged) -> float:
    """Return SunSpec's 0 remote, 1 local."""
    owner = judged.number("plant.control_owner")
    return owner if math.isnan(owner) else float(owner == _LOCAL_OWNER)


_LOCAL_OWNER = 1.0


def _sum(racks: Racks, values: Numbers) -> float:
    """Return the sum over the racks in service; NaN if one of them is not known."""
    return float(values[racks.in_service].sum())


def _weighted(values: Numbers, weights: Numbers) -> float:
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=weights[known])) if known.any() else math.nan


def _voltage_v(racks: Racks) -> float:
    volts, connected = racks.voltage_v, racks.closed == 1.0
    chosen = volts[connected] if not np.isnan(volts[connected]).all() else volts
    return float(Extremes.of(chosen[None]).mean[0]) if chosen.size else math.nan


def _charge_status(bank: Bank, racks: Racks, soc_ratio: float, power_w: float) -> float:
    if math.isnan(power_w) or math.isnan(soc_ratio):
        return math.nan
    if not (racks.closed == 1.0).any():
        return _OFF
    if abs(power_w) > _REST_RATIO * bank.power_w:
        return _DISCHARGING if power_w > 0.0 else _CHARGING
    if soc_ratio >= bank.plant.control.soc_max_ratio:
        return _FULL
    return _EMPTY if soc_ratio <= bank.plant.control.soc_min_ratio else _HOLDING


def _type(batteries: list[BatteryType]) -> float:
    types = {_LITHIUM.get(b.cell.chemistry.lower(), _OTHER_TYPE) for b in batteries}
    return types.pop() if len(types) == 1 else _OTHER_TYPE


def _state(state: OperatingState | None, racks: Racks) -> float:
    if state is None:
        return math.nan
    if state in _STATES:
        return _STATES[state]
    if (racks.closed == 1.0).any():
        return _CONNECTED
    return _INITIALIZING if state is OperatingState.STARTING else _DISCONNECTED


def _extremes(name: str, values: Extremes) -> dict[str, float]:
    """Return the highest and lowest of all strings, with string and module, and the mean."""
    high, low = Extremes.of(values.high), Extremes.of(values.low)
    return {
        f"{name}Max": float(high.high),
        f"{name}MaxStr": float(high.high_at),
        f"{name}MaxMod": _module_of(values.high_at, high.high_at),
        f"{name}Min": float(low.low),
        f"{name}MinStr": float(low.low_at),
        f"{name}MinMod": _module_of(values.low_at, low.low_at),
        f"{name}Avg": float(Extremes.of(values.mean).mean),
    }


def _module_of(modules: Numbers, string: Numbers) -> float:
    return math.nan if np.isnan(string) else float(modules[int(string) - 1])


# -------------------------------------------------------------------------------------------------------- 803, the bank


def _bank(racks: Racks) -> dict[str, Any]:
    volts, current = Extremes.of(racks.voltage_v), Extremes.of(racks.current_a)
    return {
        "NStrCon": _sum(racks, racks.closed),
        **_extremes("ModTmp", racks.temperature_degc),
        "StrVMax": volts.high,
        "StrVMaxStr": volts.high_at,
        "StrVMin": volts.low,
        "StrVMinStr": volts.low_at,
        "StrVAvg": volts.mean,
        "StrAMax": current.high,
        "StrAMaxStr": current.high_at,
        "StrAMin": current.low,
        "StrAMinStr": current.low_at,
        "StrAAvg": current.mean,
        "NCellBal": _sum(racks, racks.balancing),
    }


def _strings(racks: Racks) -> dict[str, Numbers]:
    cells, temperatures = racks.cell_voltage_v, racks.temperature_degc
    return {
        "StrNMod": racks.module_count,
        "StrSt": _status(racks),
        "StrSoC": racks.soc_percent,
        "StrSoH": racks.soh_percent,
        "StrA": racks.current_a,
        "StrCellVMax": cells.high,
        "StrCellVMaxMod": cells.high_at,
        "StrCellVMin": cells.low,
        "StrCellVMinMod": cells.low_at,
        "StrCellVAvg": cells.mean,
        "StrModTmpMax": temperatures.high,
        "StrModTmpMaxMod": temperatures.high_at,
        "StrModTmpMin": temperatures.low,
        "StrModTmpMinMod": temperatures.low_at,
        "StrModTmpAvg": temperatures.mean,
        "StrDisRsn": _disconnect_reason(racks),
        "StrConSt": racks.closed,
        "StrEvt1": _events(racks).astype(np.float64),
        "StrEvt2": np.zeros(len(racks.closed)),
    }


def _status(racks: Racks) -> Numbers:
    """Bit 0: the string is enabled; bit 1: its contactors are closed."""
    enabled = np.where(racks.in_service, 1.0 - np.nan_to_num(racks.locked_out), 0.0)
    return enabled + 2.0 * racks.closed


def _events(racks: Racks) -> NDArray[np.int64]:
    known = np.nan_to_num(racks.alarms).astype(np.int64)
    tripped = np.where(racks.tripped == 1.0, 1 << BmsAlarm.OTHER_ALARM, 0)
    return np.where(racks.lost, 1 << BmsAlarm.COMMUNICATION_ERROR, known | tripped)


def _disconnect_reason(racks: Racks) -> Numbers:
    barred = ~racks.in_service | (racks.locked_out == 1.0)
    reason = np.select([racks.tripped == 1.0, barred], [_FAULT, _MAINTENANCE], _OTHER_REASON).astype(np.float64)
    return np.where(np.isnan(racks.closed), np.nan, np.where(racks.closed == 1.0, _NO_REASON, reason))


# -------------------------------------------------------------------------------------------------------- 804, a string


def _racks(racks: Racks) -> dict[str, Numbers]:
    cells, temperatures = racks.cell_voltage_v, racks.temperature_degc
    return {
        "Idx": np.arange(1.0, len(racks.closed) + 1.0),
        "St": _status(racks),
        "NCellBal": racks.balancing,
        "SoC": racks.soc_percent,
        "DoD": 100.0 - racks.soc_percent,
        "SoH": racks.soh_percent,
        "A": racks.current_a,
        "V": racks.voltage_v,
        "CellVMax": cells.high,
        "CellVMaxMod": cells.high_at,
        "CellVMin": cells.low,
        "CellVMinMod": cells.low_at,
        "CellVAvg": cells.mean,
        "ModTmpMax": temperatures.high,
        "ModTmpMaxMod": temperatures.high_at,
        "ModTmpMin": temperatures.low,
        "ModTmpMinMod": temperatures.low_at,
        "ModTmpAvg": temperatures.mean,
        "ConSt": racks.closed,
        "Evt1": _events(racks).astype(np.float64),
        "Evt2": np.zeros(len(racks.closed)),
    }


def _modules(racks: Racks) -> dict[str, Numbers]:
    volts, temperatures = racks.modules.voltage_v, racks.modules.temperature_degc
    return {
        "ModNCell": racks.modules.cells,
        "ModCellVMax": volts.high,
        "ModCellVMaxCell": volts.high_at,
        "ModCellVMin": volts.low,
        "ModCellVMinCell": volts.low_at,
        "ModCellVAvg": volts.mean,
        "ModCellTmpMax": temperatures.high,
        "ModCellTmpMaxCell": temperatures.high_at,
        "ModCellTmpMin": temperatures.low,
        "ModCellTmpMinCell": temperatures.low_at,
        "ModCellTmpAvg": temperatures.mean,
    }
