"""What people did to alarms, across a restart: acknowledged, shelved, taken out of service. Kept by names.

Rule: an alarm that had been acknowledged is held as it was while delays run anew after a restart: if it stands again
by then, nobody is called twice. A shelf runs on for what was left of it. All else follows from the conditions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from controller.alarms.equipment import Axis
from controller.alarms.life_cycle import Alarms
from controller.alarms.states import AlarmState, Condition
from controller.alarms.table import AlarmTable
from controller.plant.protection_rows import Level

FORMAT = 1
HOLD_S = 120.0
"""How long acknowledged alarms are held: longer than the usual delays and polls."""

_ACKNOWLEDGED = {AlarmState.ACKED_ACTIVE: Condition.ACTIVE, AlarmState.LATCHED_ACKED: Condition.LATCHED}


def to_bytes(table: AlarmTable, alarms: Alarms, now_ns: int) -> bytes:
    """Return the alarms that people have dealt with."""
    return json.dumps({"format": FORMAT, "alarms": list(_records(table, alarms, now_ns))}).encode()


def from_bytes(table: AlarmTable, alarms: Alarms, data: bytes, now_ns: int) -> tuple[str, ...]:
    """Bring fresh alarms to what `data` says; return what could not be kept, in words. Never raises for bad data."""
    try:
        records = json.loads(data)["alarms"] if data else []
        lost = [problem for record in records if (problem := _restore(table, alarms, record, now_ns))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return (f"acknowledged and shelved alarms could not be read back ({error!r})",)
    alarms.next_shelf_end_ns = now_ns
    alarms.held_until_ns = now_ns + round(HOLD_S * 1e9)
    return tuple(lost)


def _records(table: AlarmTable, alarms: Alarms, now_ns: int) -> Iterator[dict[str, Any]]:
    shelved = alarms.shelved_until_ns > 0
    moved = alarms.out_of_service != table.out_of_service
    acknowledged = np.isin(alarms.state, list(_ACKNOWLEDGED))
    for alarm in np.flatnonzero(shelved | moved | acknowledged).tolist():
        group, index = table.locate(alarm)
        yield {
            "name": group.name,
            "axis": group.axis.value,
            "level": int(group.level),
            "equipment": table.equipment.names[group.axis][index],
            "state": int(alarms.state[alarm]),
            "shelved_for_ns": max(int(alarms.shelved_until_ns[alarm]) - now_ns, 0),
            "out_of_service": bool(alarms.out_of_service[alarm]),
        }


def _restore(table: AlarmTable, alarms: Alarms, record: dict[str, Any], now_ns: int) -> str:
    axis = Axis(record["axis"])
    group = table.find(axis, record["name"], Level(record["level"]))
    index = table.equipment.find(axis, record["equipment"])
    if group is None or index is None:
        return f"what was done to the alarm {record['name']} of {record['equipment']} is lost: there is none any more"
    alarm = group.start + index
    state = AlarmState(record["state"])
    shelved_for_ns, out_of_service = int(record["shelved_for_ns"]), bool(record["out_of_service"])
    if state in _ACKNOWLEDGED:
        alarms.state[alarm], alarms.conditions.state[alarm] = state, _ACKNOWLEDGED[state]
        alarms.held[alarm] = True
    if shelved_for_ns:
        alarms.state[alarm], alarms.shelved_until_ns[alarm] = AlarmState.SHELVED, now_ns + shelved_for_ns
    if out_of_service:
        alarms.state[alarm] = AlarmState.OUT_OF_SERVICE
    alarms.out_of_service[alarm] = out_of_service
    return ""
