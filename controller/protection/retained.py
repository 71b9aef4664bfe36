"""Latched trips across a restart: kept by names, so that a changed plant finds what still belongs to it.

Rule: a latch survives a restart and waits for its reset, whatever is measured. Delays start anew. Times are monotonic
and mean nothing after a restart: they are moved before time zero, which keeps their order among themselves and puts
them before all that follows.
"""

from __future__ import annotations

import json
import math
from typing import Any

from controller.alarms.equipment import AXIS_OF_OWNER, EquipmentList
from controller.plant.signals import Owner
from controller.protection.state import ProtectionState
from controller.protection.table import ProtectionTable

FORMAT = 1


def to_bytes(table: ProtectionTable, state: ProtectionState) -> bytes:
    """Return all latched trips: row, equipment and evidence."""
    latched = state.latched.nonzero()[0].tolist()
    names = EquipmentList(table.plant).names if latched else {}
    trips = []
    for element in latched:
        table_row, index = table.locate(element)
        owner, value = table_row.row.owner, float(state.trips.value[element])
        trips.append(
            {
                "owner": owner.value,
                "row": table_row.row.name,
                "equipment": names[AXIS_OF_OWNER[owner]][index],
                "cell": int(state.trips.cell[element]),
                "value": None if math.isnan(value) else value,
                "time_ns": int(state.trips.time_ns[element]),
                "uncertainty_ns": int(state.trips.uncertainty_ns[element]),
            }
        )
    return json.dumps({"format": FORMAT, "trips": trips}).encode()


def from_bytes(table: ProtectionTable, data: bytes) -> tuple[ProtectionState, tuple[str, ...]]:
    """Return a fresh state with the latches of `data`, and what could not be kept, in words.

    Never raises for bad data: what can't be read is reported, and the controller starts on what it measures.
    """
    state = ProtectionState(table)
    try:
        trips = json.loads(data)["trips"] if data else []
        newest_ns = max((int(trip["time_ns"]) for trip in trips), default=0)
        lost = [problem for trip in trips if (problem := _latch(table, state, trip, newest_ns + 1))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return ProtectionState(table), (f"latched trips could not be read back ({error!r}); none is kept",)
    return state, tuple(lost)


def _latch(table: ProtectionTable, state: ProtectionState, trip: dict[str, Any], before_ns: int) -> str:
    """Latch one trip again; return why it could not be, "" if it was."""
    owner, name = Owner(trip["owner"]), str(trip["row"])
    index = EquipmentList(table.plant).find(AXIS_OF_OWNER[owner], trip["equipment"])
    known = any((r.row.owner, r.row.name) == (owner, name) for r in table.rows)
    if index is None or not known:
        what = f"no {owner} of that name" if index is None else "no such protection row"
        return f"the trip {name} of {trip['equipment']} is not kept: the site has {what} any more"
    element = table.element(owner, name, index)
    state.latched[element] = True
    state.trips.value[element] = math.nan if trip["value"] is None else float(trip["value"])
    state.trips.cell[element] = int(trip["cell"])
    state.trips.time_ns[element] = int(trip["time_ns"]) - before_ns
    state.trips.uncertainty_ns[element] = int(trip["uncertainty_ns"])
    return ""
