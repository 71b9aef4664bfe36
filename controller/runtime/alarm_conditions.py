"""What protection, estimation, control and the field say, as condition bits of the alarm table.

Rule: a protection row's level is one alarm each; a latched trip keeps its alarm latched after the cause is gone.
Control's conditions map one to one onto the system's alarms. Nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from controller.alarms.conditions import Conditions
from controller.alarms.states import Condition
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.plant.protection_rows import Level
from controller.protection.result import ProtectionResult
from controller.protection.table import ProtectionTable, TableRow

BoolArray = NDArray[np.bool_]

CONTROL_ALARMS: Mapping[str, SystemAlarm] = {
    "rack.connect_failed": SystemAlarm.RACK_DOES_NOT_CONNECT,
    "rack.disconnect_failed": SystemAlarm.RACK_DOES_NOT_DISCONNECT,
    "pcs.power_excess": SystemAlarm.PCS_NOT_FOLLOWING,
    "pcs.not_armed": SystemAlarm.PCS_WATCHDOG_NOT_READ_BACK,
    "pcs.start_failed": SystemAlarm.START_FAILED,
    "pcs.stopped_by_itself": SystemAlarm.PCS_TRIPPED,
    "plant.setpoint_ran_out": SystemAlarm.SETPOINT_TIMED_OUT,
}
"""Control's conditions that an operator must answer; the others are states and reasons that faces show."""


class AlarmConditions:
    """Fills a `Conditions` from the results of a scan; protection's part only when its result has changed."""

    def __init__(self, alarms: AlarmTable, protection: ProtectionTable) -> None:
        """Find each row's alarms."""
        self.conditions = Conditions(alarms)
        self._alarms = alarms
        self._levels = [
            (row, graded.level, alarms.row_group(row.row.owner, row.row.name, graded.level).place)
            for row in protection.rows
            for graded in row.row.levels
        ]
        self._seen: ProtectionResult | None = None

    def of_protection(self, result: ProtectionResult) -> None:
        """Take over levels, latches and evidence."""
        if result is self._seen:
            return
        self._seen = result
        for row, level, place in self._levels:
            self._take_level(result, row, level, place)

    def of_control(self, found: Mapping[str, BoolArray], now_ns: int) -> None:
        """Take over control's conditions."""
        for name, alarm in CONTROL_ALARMS.items():
            if name in found:
                self.hold(alarm, found[name], now_ns)

    def hold(self, alarm: SystemAlarm, active: BoolArray | bool, now_ns: int, value: object = np.nan) -> None:
        """Say of a system alarm which of its equipment is in it."""
        mask = np.atleast_1d(np.asarray(active, np.bool_))
        self.conditions.hold(self._alarms.system(alarm), mask, now_ns, value)

    def _take_level(self, result: ProtectionResult, row: TableRow, level: Level, place: slice) -> None:
        active = result.level[row.place] >= level
        latched = result.latched[row.place] & (level is Level.TRIP)
        conditions = self.conditions
        state = conditions.state[place]
        started = active & (state != Condition.ACTIVE)
        if started.any():
            evidence = result.trips if level is Level.TRIP else result.raised
            for name in ("value", "cell", "time_ns", "uncertainty_ns"):
                getattr(conditions, name)[place][started] = getattr(evidence, name)[row.place][started]
        state[:] = np.where(active, Condition.ACTIVE, np.where(latched, Condition.LATCHED, Condition.NORMAL))
