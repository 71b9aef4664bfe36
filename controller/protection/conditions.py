"""Protection's part of the alarm conditions: one alarm a row, level and equipment, and those of lost measurements."""

from __future__ import annotations

import numpy as np

from controller.alarms.conditions import Conditions
from controller.alarms.groups import AlarmGroup
from controller.alarms.states import Condition
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.plant.protection_rows import Level
from controller.protection.result import ProtectionResult
from controller.protection.table import LEVELS, ProtectionTable, TableRow


def write_conditions(
    table: ProtectionTable, result: ProtectionResult, alarms: AlarmTable, conditions: Conditions, now_ns: int
) -> None:
    """Write what the result says into the conditions; needed only when the result is another than last time."""
    for table_row in table.rows:
        for graded in table_row.row.levels:
            group = alarms.row_group(table_row.row.owner, table_row.row.name, graded.level)
            _write_row(table_row, result, group, conditions)
    silence = result.silence
    for name, active in (
        (SystemAlarm.PROTECTION_DATA_LOST, silence.racks.lost),
        (SystemAlarm.PCS_DATA_LOST, silence.pcs.lost),
        (SystemAlarm.BUS_AT_ZERO, result.bus_silent),
        (SystemAlarm.CELLS_MISSING, silence.cells_missing),
        (SystemAlarm.INTERLOCK_UNKNOWN, silence.chains.lost),
    ):
        conditions.hold(alarms.system(name), active, now_ns)


def _write_row(table_row: TableRow, result: ProtectionResult, group: AlarmGroup, conditions: Conditions) -> None:
    here, there, index = table_row.place, group.place, LEVELS.index(group.level)
    active = result.level[here] >= group.level
    latched = result.latched[here] & (group.level == Level.TRIP)
    started = active & (conditions.state[there] != Condition.ACTIVE)
    state = np.where(latched, np.uint8(Condition.LATCHED), np.uint8(Condition.NORMAL))
    conditions.state[there] = np.where(active, np.uint8(Condition.ACTIVE), state)
    unnamed = active & (conditions.cell[there] < 0)
    np.copyto(conditions.cell[there], result.raised.cell[here], where=unnamed, casting="same_kind")
    if started.any():
        seen = result.raised
        conditions.value[there][started] = seen.value[here][started]
        conditions.cell[there][started] = seen.cell[here][started]
        conditions.uncertainty_ns[there][started] = seen.uncertainty_ns[here][started]
        conditions.time_ns[there][started] = result.onset_ns[index, here][started]
