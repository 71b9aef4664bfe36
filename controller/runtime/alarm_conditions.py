"""What protection, control and the field say, as condition bits of the alarm table. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from controller.alarms.conditions import Conditions
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.estimation import Estimate, Finding, FindingKind
from controller.protection.conditions import write_conditions
from controller.protection.result import ProtectionResult
from controller.protection.table import ProtectionTable

BoolArray = NDArray[np.bool_]

CONTROL_ALARMS: Mapping[str, SystemAlarm] = {
    "rack.connect_failed": SystemAlarm.RACK_DOES_NOT_CONNECT,
    "rack.disconnect_failed": SystemAlarm.RACK_DOES_NOT_DISCONNECT,
    "rack.voltage_apart": SystemAlarm.RACK_VOLTAGE_APART,
    "rack.limits_lost": SystemAlarm.RACK_LIMITS_LOST,
    "rack.left_out": SystemAlarm.RACK_LEFT_OUT,
    "rack.current_sign_wrong": SystemAlarm.RACK_CURRENT_SIGN_WRONG,
    "rack.voltage_wrong": SystemAlarm.RACK_VOLTAGE_WRONG,
    "rack.opened_by_itself": SystemAlarm.RACK_OPENED_BY_ITSELF,
    "bank.opened_by_itself": SystemAlarm.BANK_OPENED_BY_ITSELF,
    "rack.open_with_current": SystemAlarm.RACK_OPEN_WITH_CURRENT,
    "pcs.power_excess": SystemAlarm.PCS_NOT_FOLLOWING,
    "pcs.breaker_request": SystemAlarm.PCS_BREAKER_REQUESTED,
    "pcs.reading_wrong": SystemAlarm.PCS_READING_WRONG,
    "pcs.not_armed": SystemAlarm.PCS_WATCHDOG_NOT_READ_BACK,
    "pcs.start_failed": SystemAlarm.START_FAILED,
    "pcs.stop_failed": SystemAlarm.PCS_DOES_NOT_STOP,
    "pcs.voltage_wrong": SystemAlarm.PCS_VOLTAGE_WRONG,
    "pcs.left_out": SystemAlarm.PCS_LEFT_OUT,
    "pcs.write_failed": SystemAlarm.PCS_TAKES_NO_COMMAND,
    "pcs.runs_unasked": SystemAlarm.PCS_RUNS_UNASKED,
    "pcs.stopped_by_itself": SystemAlarm.PCS_TRIPPED,
    "plant.poi_missed": SystemAlarm.POI_MISSED,
    "plant.poi_apart": SystemAlarm.POI_APART,
    "plant.poi_unknown": SystemAlarm.POI_UNKNOWN,
    "plant.poi_limit_broken": SystemAlarm.POI_LIMIT_BROKEN,
    "plant.grid_voltage": SystemAlarm.GRID_VOLTAGE_OUTSIDE,
    "plant.grid_frequency": SystemAlarm.GRID_FREQUENCY_OUTSIDE,
    "plant.setpoint_ran_out": SystemAlarm.SETPOINT_TIMED_OUT,
    "plant.scada_silent": SystemAlarm.SCADA_LOST,
    "plant.fast_stop": SystemAlarm.FAST_STOP_LATCHED,
}
"""Control's conditions that an operator must answer; the others are states and reasons that faces show."""


FINDING_ALARMS: Mapping[FindingKind, SystemAlarm] = {
    FindingKind.INTERNAL_SHORT: SystemAlarm.CELL_INTERNAL_SHORT,
    FindingKind.SELF_DISCHARGE: SystemAlarm.CELL_SELF_DISCHARGE,
    FindingKind.RESISTANCE_GROWTH: SystemAlarm.CELL_RESISTANCE_GROWTH,
    FindingKind.LOW_CAPACITY: SystemAlarm.CELL_LOW_CAPACITY,
    FindingKind.LOOSE_JOINT: SystemAlarm.CELL_LOOSE_JOINT,
    FindingKind.THERMAL: SystemAlarm.CELL_THERMAL,
    FindingKind.IMBALANCE: SystemAlarm.CELL_IMBALANCE,
    FindingKind.SENSOR_STUCK: SystemAlarm.SENSOR_STUCK,
    FindingKind.SENSOR_OFFSET: SystemAlarm.SENSOR_OFFSET,
}
"""Estimation's findings, each an alarm of its rack; cell, size and evidence stand with the finding."""


class AlarmConditions:
    """Fills a `Conditions` from the results of a scan, where they are others than in the scan before."""

    def __init__(self, alarms: AlarmTable, protection: ProtectionTable) -> None:
        """Begin with all normal."""
        self.conditions = Conditions(alarms)
        self._alarms, self._protection = alarms, protection
        self._seen: ProtectionResult | None = None
        self._given: dict[SystemAlarm, object] = {}
        self._held: dict[SystemAlarm, bytes] = {}
        self._findings: tuple[Finding, ...] = ()

    def of_protection(self, result: ProtectionResult, now_ns: int) -> None:
        """Take over levels, latches and evidence."""
        if result is not self._seen:
            self._seen = result
            write_conditions(self._protection, result, self._alarms, self.conditions, now_ns)

    def of_control(self, found: Mapping[str, BoolArray], values: Mapping[str, float], now_ns: int) -> None:
        """Take over control's conditions, and what they are about where that is a number."""
        for name, alarm in CONTROL_ALARMS.items():
            active = found.get(name)
            if active is not None and active is not self._given.get(alarm):
                self.hold(alarm, active, now_ns, values.get(name, np.nan))

    def of_estimate(self, estimate: Estimate, now_ns: int) -> None:
        """Take over where the BMS disagrees, has jumped or the cell type is another, and what was found of cells."""
        self.hold(SystemAlarm.SOC_DISAGREEMENT, estimate.soc_disagrees, now_ns)
        self.hold(SystemAlarm.BMS_SOC_JUMPED, estimate.bms_jumped, now_ns)
        self.hold(SystemAlarm.CELL_TYPE_MISFIT, estimate.misfit.found, now_ns, estimate.misfit.rms_v)
        if estimate.findings is self._findings:
            return
        self._findings = estimate.findings
        for kind, alarm in FINDING_ALARMS.items():
            found = np.zeros(len(estimate.soc_disagrees), np.bool_)
            place = self._alarms.system(alarm).place
            for finding in (f for f in estimate.findings if f.kind is kind):
                found[finding.rack] = True
                self.conditions.cell[place][finding.rack] = finding.cell
            self.hold(alarm, found, now_ns)

    def is_held(self, alarm: SystemAlarm) -> bool:
        """Whether a system alarm's condition was last held anywhere."""
        return any(self._held.get(alarm, b""))

    def hold(self, alarm: SystemAlarm, active: object, now_ns: int, value: object = np.nan) -> None:
        """Say of a system alarm which of its equipment is in it: a mask that nobody changes any more, or one yes/no."""
        if active is self._given.get(alarm):
            return
        self._given[alarm] = active
        mask = np.asarray(active, np.bool_)
        held = mask.tobytes()
        if held != self._held.get(alarm):
            self._held[alarm] = held
            self.conditions.hold(self._alarms.system(alarm), np.atleast_1d(mask), now_ns, value)
