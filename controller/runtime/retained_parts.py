"""Which parts of the scan's state are retained, and how a fresh state takes them over.

Two files: `retained` has what was decided (latches, limits, lock-outs, acknowledged alarms), is small, and is written
at each change; `learned` has the estimates, tens of megabytes for thousands of racks, and is written each minute. Of
`retained` and its spare copy in memory the newer one is believed. Where neither is the newest that there was, what it
holds is taken over, and a fast stop holds the plant: newer stops, limits and lock-outs are lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from controller.alarms import retained as alarms_retained
from controller.control import state as control_state
from controller.estimation import from_bytes as estimator_from_bytes
from controller.estimation import life_from_bytes, life_to_bytes, warranty_from_bytes, warranty_to_bytes
from controller.estimation import to_bytes as estimator_to_bytes
from controller.protection import retained as protection_retained
from controller.runtime.retained import BEHIND, NUMBER, RetainedStateError, load
from controller.runtime.scan_state import State, Tables

UNREADABLE = "unreadable"
"""The name under which parts say why a file of theirs could not be read."""
HOLDS_AFTER_LOSS = "the controller, whose retained state was lost"
"""Who latches the fast stop then."""
ENDED = "ended"
"""The part that says that control was stopped; what died leaves none."""
DECIDED = "decided_number"
"""The part of what was learned that says which save of what was decided was the newest."""


class TakenOver(NamedTuple):
    """What could not be kept, item by item; and why nothing (more) could be used at all, "" if it could."""

    lost: tuple[str, ...] = ()
    problem: str = ""


def decided_parts(tables: Tables, state: State, now_ns: int) -> dict[str, bytes]:
    """Return what must survive every change, by name."""
    return {
        "control": control_state.to_bytes(state.control, tables.plant),
        "alarms": alarms_retained.to_bytes(tables.alarms, state.alarms, now_ns),
        "protection": protection_retained.to_bytes(tables.protection, state.protection),
    }


def learned_parts(tables: Tables, state: State) -> dict[str, bytes]:
    """Return what was learned of racks and cells, by name: a restart may find it a minute old."""
    racks = [rack.name for rack in tables.plant.racks]
    return {
        "warranty": warranty_to_bytes(state.estimator.warranty, racks),
        "life": life_to_bytes(state.estimator.life, racks),
        "estimator": estimator_to_bytes(state.estimator),
    }


def retained_parts(tables: Tables, state: State, now_ns: int) -> dict[str, bytes]:
    """Return all that survives a restart, by name."""
    return {**decided_parts(tables, state, now_ns), **learned_parts(tables, state)}


def load_parts(decided: Path, learned: Path, spare: Path | None = None) -> dict[str, bytes]:
    """Return the parts of both files, each with its time; where one can't be used, UNREADABLE says why.

    NUMBER is the highest that any of them knows of; BEHIND says that what was decided has a lower one, or was marked.
    """
    problems: list[str] = []
    found = {name: part for name, part in _load(learned, problems).items() if name not in {NUMBER, BEHIND}}
    if "saved_utc_ns" in found:
        found["learned_utc_ns"] = found["saved_utc_ns"]
    copies = [_load(path, problems) for path in (decided, spare) if path is not None]
    newest = max(copies, key=number_of)
    missed = int(found.get(DECIDED, b"0")) - number_of(newest)
    found |= newest
    if missed > 0:
        found |= {BEHIND: b"%d saves are missing" % missed, NUMBER: found[DECIDED]}
    return found | ({UNREADABLE: "; ".join(problems).encode()} if problems else {})


def _load(path: Path, problems: list[str]) -> dict[str, bytes]:
    try:
        return load(path)
    except RetainedStateError as error:
        problems.append(str(error))
        return {}


def number_of(parts: Mapping[str, bytes]) -> int:
    """Return the number of a save; 0 of one without, and of none."""
    return int(parts.get(NUMBER, b"0"))


def died(parts: Mapping[str, bytes]) -> bool:
    """Whether the control that left these parts ended without a stop; none at all are of no earlier control."""
    return bool(parts) and ENDED not in parts


def take_over(tables: Tables, state: State, parts: Mapping[str, bytes], now_ns: int, utc_ns: int) -> TakenOver:
    """Bring a fresh state to what was retained, with `saved_utc_ns`; {} leaves it fresh. Never raises for bad parts.

    Where what was decided is lost or behind, a stop, a limit or a lock-out may be among it: a fast stop of our own
    holds the plant until a person has looked, resets it and starts. Contactors stay as they are.
    """
    if not parts:
        return TakenOver()
    taken = _take_over(tables, state, parts, now_ns, utc_ns)
    problem = parts[UNREADABLE].decode() if UNREADABLE in parts else taken.problem
    if BEHIND in parts:
        _hold(state)
        problem = f"it is older than what was decided since ({parts[BEHIND].decode()})"
    return TakenOver(taken.lost, problem)


def _hold(state: State) -> None:
    """Latch the fast stop; who has latched it already stays its owner."""
    plant = state.control.plant
    plant.fast_stop, plant.auto_start_done = plant.fast_stop or HOLDS_AFTER_LOSS, True


def _take_over(tables: Tables, state: State, parts: Mapping[str, bytes], now_ns: int, utc_ns: int) -> TakenOver:
    lost: tuple[str, ...] = ()
    try:
        control_state.from_bytes(state.control, tables.plant, parts["control"], now_ns)
        state.protection, lost = protection_retained.from_bytes(tables.protection, parts["protection"])
        away_ns = max(utc_ns - int(parts["saved_utc_ns"]), 0)
        lost += alarms_retained.from_bytes(tables.alarms, state.alarms, parts["alarms"], now_ns, away_ns)
    except (KeyError, ValueError) as error:
        _hold(state)
        return TakenOver(lost, _why(error))
    try:
        _learn(tables, state, parts, now_ns, utc_ns)
    except (KeyError, ValueError) as error:
        return TakenOver(lost, _why(error))
    return TakenOver(lost)


def _learn(tables: Tables, state: State, parts: Mapping[str, bytes], now_ns: int, utc_ns: int) -> None:
    learned_utc_ns = int(parts.get("learned_utc_ns", parts["saved_utc_ns"]))
    away_s = max(utc_ns - learned_utc_ns, 0) * 1e-9
    racks = [rack.name for rack in tables.plant.racks]
    if "life" in parts:
        state.estimator.life = life_from_bytes(parts["life"], racks, away_s)
    if "warranty" in parts:
        state.estimator.warranty = warranty_from_bytes(parts["warranty"], racks, away_s)
    counted, life = state.estimator.warranty, state.estimator.life
    state.estimator = estimator_from_bytes(parts["estimator"], tables.estimator, now_ns, away_s)
    state.estimator.warranty, state.estimator.life = counted, life


def _why(error: KeyError | ValueError) -> str:
    return f"it lacks its part {error}" if isinstance(error, KeyError) else str(error)
