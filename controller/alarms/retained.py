"""Alarms across a restart: those that stand or wait for an acknowledge, and what people did to them. Kept by names.

Rule: an alarm that stood is held as it was, since when it was, while delays run anew after a restart: if it stands
again by then, nobody is called twice. One that nobody has acknowledged waits on, whatever its condition is now. A
shelf runs on for what was left of it. All else follows from the conditions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from controller.alarms.equipment import Axis
from controller.alarms.first_out import FirstOut
from controller.alarms.life_cycle import Alarms
from controller.alarms.states import UNACKED, AlarmState, Condition
from controller.alarms.system_alarms import SystemAlarm
from controller.alarms.table import AlarmTable
from controller.plant.protection_rows import Level

FORMAT = 1
HOLD_S = 120.0
"""How long alarms that stood are held: longer than the usual delays and polls."""

_CONDITION = {
    AlarmState.UNACKED_ACTIVE: Condition.ACTIVE,
    AlarmState.ACKED_ACTIVE: Condition.ACTIVE,
    AlarmState.LATCHED_UNACKED: Condition.LATCHED,
    AlarmState.LATCHED_ACKED: Condition.LATCHED,
    AlarmState.RETURNED_UNACKED: Condition.NORMAL,
}
"""States that are kept, and the condition that each of them says."""
_OVER_BY_THEN = frozenset({SystemAlarm.CONTROL_RESTARTED})
"""What a restart raises anew: the earlier one is over, and may still wait for its acknowledge."""


def to_bytes(table: AlarmTable, alarms: Alarms, now_ns: int) -> bytes:
    """Return the alarms that stand, wait for an acknowledge, or were dealt with by people."""
    return json.dumps({"format": FORMAT, "alarms": list(_records(table, alarms, now_ns))}).encode()


def from_bytes(table: AlarmTable, alarms: Alarms, data: bytes, now_ns: int, away_ns: int = 0) -> tuple[str, ...]:
    """Bring fresh alarms to what `data` says, which was written `away_ns` ago.

    Returns what could not be kept, in words. Never raises for bad data.
    """
    try:
        records = json.loads(data)["alarms"] if data else []
        then_ns = now_ns - away_ns
        lost = [problem for record in records if (problem := _restore(table, alarms, record, now_ns, then_ns))]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        return (f"alarms could not be read back ({error!r})",)
    alarms.next_shelf_end_ns = now_ns
    alarms.held_until_ns = now_ns + round(HOLD_S * 1e9)
    return tuple(lost)


def _records(table: AlarmTable, alarms: Alarms, now_ns: int) -> Iterator[dict[str, Any]]:
    shelved = alarms.shelved_until_ns > 0
    moved = alarms.out_of_service != table.out_of_service
    kept = np.isin(alarms.state, list(_CONDITION))
    conditions = alarms.conditions
    for alarm in np.flatnonzero(shelved | moved | kept).tolist():
        group, index = table.locate(alarm)
        value = float(alarms.value[alarm])
        yield {
            "name": group.name,
            "axis": group.axis.value,
            "level": int(group.level),
            "equipment": table.equipment.names[group.axis][index],
            "state": int(alarms.state[alarm]),
            "shelved_for_ns": max(int(alarms.shelved_until_ns[alarm]) - now_ns, 0),
            "out_of_service": bool(alarms.out_of_service[alarm]),
            "since_ns": now_ns - int(alarms.time_ns[alarm]),
            "value": None if math.isnan(value) else value,
            "cell": int(alarms.cell[alarm]),
            "first_out": int(alarms.first_out[alarm]) if alarms.episode[alarm] else None,
            "sampled_ns": now_ns - int(conditions.time_ns[alarm]),
            "uncertainty_ns": int(conditions.uncertainty_ns[alarm]),
        }


def _restore(table: AlarmTable, alarms: Alarms, record: dict[str, Any], now_ns: int, then_ns: int) -> str:
    axis = Axis(record["axis"])
    group = table.find(axis, record["name"], Level(record["level"]))
    index = table.equipment.find(axis, record["equipment"])
    if group is None or index is None:
        return f"the alarm {record['name']} of {record['equipment']} is not kept: there is none any more"
    alarm = group.start + index
    state = AlarmState(record["state"])
    shelved_for_ns, out_of_service = int(record["shelved_for_ns"]), bool(record["out_of_service"])
    if state in _CONDITION:
        _restore_state(alarms, alarm, record, state, then_ns)
    if shelved_for_ns:
        alarms.state[alarm], alarms.shelved_until_ns[alarm] = AlarmState.SHELVED, now_ns + shelved_for_ns
    if out_of_service:
        alarms.state[alarm] = AlarmState.OUT_OF_SERVICE
    alarms.out_of_service[alarm] = out_of_service
    return ""


def _restore_state(alarms: Alarms, alarm: int, record: dict[str, Any], state: AlarmState, then_ns: int) -> None:
    if record["name"] in _OVER_BY_THEN:
        state = AlarmState.RETURNED_UNACKED if state in UNACKED else AlarmState.NORMAL
    conditions, condition = alarms.conditions, _CONDITION.get(state, Condition.NORMAL)
    alarms.state[alarm], conditions.state[alarm] = state, condition
    alarms.held[alarm] = condition is not Condition.NORMAL
    if "since_ns" not in record:  # kept by an earlier release
        return
    value, first_out = record["value"], record["first_out"]
    alarms.time_ns[alarm] = then_ns - int(record["since_ns"])
    alarms.value[alarm] = math.nan if value is None else float(value)
    alarms.cell[alarm] = conditions.cell[alarm] = int(record["cell"])
    conditions.time_ns[alarm] = then_ns - int(record["sampled_ns"])
    conditions.uncertainty_ns[alarm] = int(record["uncertainty_ns"])
    if first_out is not None:
        alarms.episode[alarm], alarms.first_out[alarm] = True, FirstOut(first_out)
