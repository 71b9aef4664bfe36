"""Which parts of the scan's state are retained, and how a fresh state takes them over; the file is `retained`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from controller.alarms import retained as alarms_retained
from controller.control import state as control_state
from controller.estimation import from_bytes as estimator_from_bytes
from controller.estimation import to_bytes as estimator_to_bytes
from controller.estimation import warranty_from_bytes, warranty_to_bytes
from controller.protection import retained as protection_retained
from controller.runtime.scan_state import State, Tables


class TakenOver(NamedTuple):
    """What could not be kept, item by item; and why nothing (more) could be used at all, "" if it could."""

    lost: tuple[str, ...] = ()
    problem: str = ""


def retained_parts(tables: Tables, state: State, now_ns: int) -> dict[str, bytes]:
    """Return what must survive a restart, by name."""
    return {
        "control": control_state.to_bytes(state.control, tables.plant),
        "alarms": alarms_retained.to_bytes(tables.alarms, state.alarms, now_ns),
        "protection": protection_retained.to_bytes(tables.protection, state.protection),
        "warranty": warranty_to_bytes(state.estimator.warranty, [rack.name for rack in tables.plant.racks]),
        "estimator": estimator_to_bytes(state.estimator),
    }


def take_over(tables: Tables, state: State, parts: Mapping[str, bytes], now_ns: int, utc_ns: int) -> TakenOver:
    """Bring a fresh state to what was retained, with `saved_utc_ns`; {} leaves it fresh. Never raises for bad parts."""
    if not parts:
        return TakenOver()
    lost: tuple[str, ...] = ()
    try:
        control_state.from_bytes(state.control, tables.plant, parts["control"], now_ns)
        state.protection, lost = protection_retained.from_bytes(tables.protection, parts["protection"])
        lost += alarms_retained.from_bytes(tables.alarms, state.alarms, parts["alarms"], now_ns)
        away_s = max(utc_ns - int(parts["saved_utc_ns"]), 0) * 1e-9
        if "warranty" in parts:
            racks = [rack.name for rack in tables.plant.racks]
            state.estimator.warranty = warranty_from_bytes(parts["warranty"], racks, away_s)
        counted = state.estimator.warranty
        state.estimator = estimator_from_bytes(parts["estimator"], tables.estimator, now_ns, away_s)
        state.estimator.warranty = counted
    except (KeyError, ValueError) as error:
        return TakenOver(lost, str(error))
    return TakenOver(lost)
