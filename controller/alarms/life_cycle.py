"""The life of all alarms of a plant: condition bits in, ISA-18.2 states out, an event for each change and no other.

Rule: `update` runs once a scan. When no condition has changed and no shelving has ended it only compares two arrays.
Acknowledge, shelve and out-of-service come from people through control, at any time between two updates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.alarms import first_out
from controller.alarms.alarm_list import NO_PRIORITY, highest_priorities, of_axis
from controller.alarms.conditions import Conditions
from controller.alarms.equipment import Axis
from controller.alarms.events import KINDS, EventKind, EventRecord
from controller.alarms.first_out import FirstOut
from controller.alarms.flood import Flood
from controller.alarms.groups import Priority
from controller.alarms.relations import NONE
from controller.alarms.since import NEVER_NS, Since
from controller.alarms.states import ACKNOWLEDGED, STANDING, TRANSITIONS, UNACKED, AlarmState, Condition, Overlay
from controller.alarms.table import AlarmTable
from controller.image.masks import anywhere
from controller.image.quality import Quality

_ACTIVE = np.uint8(Condition.ACTIVE)
EXPLAINED_WITHIN_NS = 2_000_000_000
"""How long what may be a consequence of silence waits for its cause."""
EXPLAINED_FOR_NS = 10_000_000_000
"""For how long after its cause is gone it may still stand: data come back one after the other."""
SHELVE_MAX_S = 8 * 3600.0
"""ISA-18.2: shelving is for a limited time; one shift here."""

IntArray = NDArray[np.int64]


@dataclass(slots=True)
class Alarms:
    """The state of all alarms [A]; the first seven arrays may be views into the image (`alarm_fields`)."""

    state: NDArray[np.uint8]
    first_out: NDArray[np.uint8]
    time_ns: IntArray
    shelved_until_ns: IntArray  # 0: not shelved
    value: NDArray[np.float32]
    cell: NDArray[np.int32]
    flooded: NDArray[np.uint8]  # [1]
    out_of_service: NDArray[np.bool_]
    conditions: Conditions  # as they were at the last update
    episode: NDArray[np.bool_]  # trips that belong to a first-out episode not yet over
    held: NDArray[np.bool_]  # stood before a restart
    gone: Since  # that the condition of those that wait to return is over
    fresh: Since  # that some wait for an explanation
    explained_until_ns: IntArray  # 0: not any more
    next_explained_end_ns: int = NEVER_NS
    flood: Flood = field(default_factory=Flood)
    next_shelf_end_ns: int = NEVER_NS
    held_until_ns: int = 0  # after a restart


@dataclass(frozen=True, slots=True)
class AlarmCounts:
    """How many alarms stand by priority (high, medium, low), how many wait for an acknowledge, how many are hidden.

    `highest`: by axis, the highest priority that stands on each equipment. `changes` counts changes of the list.
    """

    active: tuple[int, int, int]
    unacknowledged: int
    shelved: int
    suppressed: int
    out_of_service: int
    highest: Mapping[Axis, NDArray[np.int32]]
    highest_of_all: int
    changes: int = 0


def new_alarms(table: AlarmTable, arrays: Mapping[str, NDArray[Any]] | None = None) -> Alarms:
    """Return alarms that are all normal, over the image's arrays (`Image.arrays`) or over fresh ones."""
    size = table.size
    held = arrays or {}
    alarms = Alarms(
        state=held.get("alarm.state", np.zeros(size, np.uint8)),
        first_out=held.get("alarm.first_out", np.zeros(size, np.uint8)),
        time_ns=held.get("alarm.time_ns", np.zeros(size, np.int64)),
        shelved_until_ns=held.get("alarm.shelved_until_ns", np.zeros(size, np.int64)),
        value=held.get("alarm.value", np.zeros(size, np.float32)),
        cell=held.get("alarm.cell", np.zeros(size, np.int32)),
        flooded=held.get("alarm.flood", np.zeros(1, np.uint8)),
        out_of_service=table.out_of_service.copy(),
        conditions=Conditions(table),
        episode=np.zeros(size, np.bool_),
        held=np.zeros(size, np.bool_),
        gone=Since(size),
        fresh=Since(size),
        explained_until_ns=np.zeros(size, np.int64),
    )
    alarms.value.fill(np.nan)
    alarms.cell.fill(-1)
    alarms.state[alarms.out_of_service] = AlarmState.OUT_OF_SERVICE
    return alarms


def update(table: AlarmTable, alarms: Alarms, conditions: Conditions, now_ns: int) -> tuple[EventRecord, ...]:
    """Take this scan's conditions over and return what changed."""
    state = _held(table, alarms, conditions.state, now_ns) if alarms.held_until_ns else conditions.state
    state = _stays_or_returns(table, alarms, state, now_ns)
    state = _explained_or_late(table, alarms, state, now_ns)
    found = _find_cells(table, alarms, conditions, now_ns)
    next_end_ns = min(alarms.next_shelf_end_ns, alarms.next_explained_end_ns)
    if not anywhere(alarms.conditions.state != state) and now_ns < next_end_ns:
        return (*found, *_count_flood(alarms, 0, now_ns))
    changed = np.flatnonzero(alarms.conditions.state != state)
    _explain_on(table, alarms, changed, now_ns)
    alarms.conditions.state[changed] = state[changed]
    _copy_details(conditions, alarms.conditions, changed)
    ended = _end_shelving(alarms, now_ns), _end_explaining(alarms, now_ns)
    touched = np.concatenate([table.with_children(changed), *ended])
    return (*found, *_settle(table, alarms, np.unique(touched), now_ns))


def acknowledge(
    table: AlarmTable, alarms: Alarms, now_ns: int, which: Iterable[int] | None = None
) -> tuple[EventRecord, ...]:
    """Acknowledge the alarms of these indices, or all; those that wait for none are left as they are."""
    indices = np.arange(table.size) if which is None else np.fromiter(which, np.int64)
    target = ACKNOWLEDGED[alarms.state[indices]]
    changed = indices[target != alarms.state[indices]]
    alarms.state[changed] = ACKNOWLEDGED[alarms.state[changed]]
    alarms.time_ns[changed] = now_ns
    _end_episodes(table, alarms)
    return tuple(_record(table, alarms, int(i), EventKind.ACKNOWLEDGED, now_ns) for i in changed)


def why_not_shelved(table: AlarmTable, alarm: int, duration_s: float) -> str:
    """Return why an alarm may not be shelved for so long, "" if it may."""
    if not table.shelvable[alarm]:
        return "a trip can't be shelved"
    if not 0.0 < duration_s <= SHELVE_MAX_S:
        return f"an alarm is shelved for at most {SHELVE_MAX_S / 3600:g} h"
    return ""


def shelve(table: AlarmTable, alarms: Alarms, alarm: int, duration_s: float, now_ns: int) -> tuple[EventRecord, ...]:
    """Hide an alarm for a time. Ask `why_not_shelved` first: what that refuses is a programmer's error here."""
    assert not why_not_shelved(table, alarm, duration_s)
    alarms.shelved_until_ns[alarm] = now_ns + round(duration_s * 1e9)
    return _settle(table, alarms, np.array([alarm]), now_ns)


def unshelve(table: AlarmTable, alarms: Alarms, alarm: int, now_ns: int) -> tuple[EventRecord, ...]:
    """Show a shelved alarm again before its time."""
    alarms.shelved_until_ns[alarm] = 0
    return _settle(table, alarms, np.array([alarm]), now_ns)


def set_out_of_service(
    table: AlarmTable, alarms: Alarms, alarm: int, now_ns: int, *, out: bool
) -> tuple[EventRecord, ...]:
    """Take an alarm out of service for maintenance, or return it; never changes what protection does."""
    alarms.out_of_service[alarm] = out
    return _settle(table, alarms, np.array([alarm]), now_ns)


def count_alarms(table: AlarmTable, alarms: Alarms, before: AlarmCounts | None = None) -> AlarmCounts:
    """Count the alarms as they stand, after a change since `before`."""
    by_state = np.bincount(alarms.state, minlength=len(AlarmState))
    standing = table.priority[np.isin(alarms.state, list(STANDING))]
    high, medium, low = np.bincount(standing, minlength=4)[1:4].tolist()
    highest = highest_priorities(table, alarms.state)
    return AlarmCounts(
        active=(high, medium, low),
        unacknowledged=int(sum(by_state[s] for s in UNACKED)),
        shelved=int(by_state[AlarmState.SHELVED]),
        suppressed=int(by_state[AlarmState.SUPPRESSED]),
        out_of_service=int(by_state[AlarmState.OUT_OF_SERVICE]),
        highest={axis: of_axis(table, highest, axis) for axis in (Axis.RACK, Axis.PCS)},
        highest_of_all=int(standing.min(initial=NO_PRIORITY if not len(standing) else len(Priority))),
        changes=before.changes + 1 if before else 0,
    )


def published(counts: AlarmCounts) -> Iterable[tuple[str, Any, Quality]]:
    """Return the alarm quantities of plant, racks and converters."""
    yield "plant.active_alarms", sum(counts.active), Quality.GOOD
    yield "plant.unacknowledged_alarms", counts.unacknowledged, Quality.GOOD
    yield "plant.alarm_changes", counts.changes, Quality.GOOD
    yield "plant.alarm_priority", counts.highest_of_all, Quality.GOOD
    yield "rack.alarm_priority", counts.highest[Axis.RACK], Quality.GOOD
    yield "pcs.alarm_priority", counts.highest[Axis.PCS], Quality.GOOD


def _held(table: AlarmTable, alarms: Alarms, state: NDArray[np.uint8], now_ns: int) -> NDArray[np.uint8]:
    """After a restart: what stood stays as it was until its condition or its reset has come, or its time is up."""
    waits = np.where(table.latching, state == Condition.LATCHED, state == Condition.NORMAL)
    alarms.held &= waits & (now_ns < alarms.held_until_ns)
    if not alarms.held.any():
        alarms.held_until_ns = 0
    return np.where(alarms.held, np.maximum(state, alarms.conditions.state), state)


def _stays_or_returns(table: AlarmTable, alarms: Alarms, state: NDArray[np.uint8], now_ns: int) -> NDArray[np.uint8]:
    """Keep active what has not been over for its off-delay."""
    gone = (alarms.conditions.state == Condition.ACTIVE) & (state != Condition.ACTIVE) & (table.off_delay_ns > 0)
    stays = alarms.gone.shorter_than(gone, table.off_delay_ns, now_ns)
    return state if stays is None else np.where(stays, alarms.conditions.state, state)


def _explained_or_late(table: AlarmTable, alarms: Alarms, state: NDArray[np.uint8], now_ns: int) -> NDArray[np.uint8]:
    """Leave out what may be a consequence, until its cause stands (it is then suppressed) or has not come in time.

    A bank or a switch that falls silent is found out of by its racks first: they would all be raised before it.
    """
    fresh = table.waits & (state == _ACTIVE) & (alarms.conditions.state != _ACTIVE)
    young = alarms.fresh.shorter_than(fresh, EXPLAINED_WITHIN_NS, now_ns)
    if young is None:
        return state
    explained = table.descends_from((state == Condition.ACTIVE) & ~young)
    waits = (young | (fresh & table.descends_from(young))) & ~explained
    return np.where(waits, alarms.conditions.state, state)


def _explain_on(table: AlarmTable, alarms: Alarms, changed: IntArray, now_ns: int) -> None:
    """Let what was suppressed by silence stay so for a while, whatever now becomes of its cause."""
    of_changed = np.zeros(table.size, np.bool_)
    of_changed[changed] = True
    suppressed = (alarms.state == AlarmState.SUPPRESSED) & table.waits & table.descends_from(of_changed)
    alarms.explained_until_ns[suppressed] = now_ns + EXPLAINED_FOR_NS
    _find_next_end(alarms)


def _end_explaining(alarms: Alarms, now_ns: int) -> IntArray:
    """Return the alarms that nothing explains any more."""
    if now_ns < alarms.next_explained_end_ns:
        return np.zeros(0, np.int64)
    ended = np.flatnonzero((alarms.explained_until_ns > 0) & (alarms.explained_until_ns <= now_ns))
    alarms.explained_until_ns[ended] = 0
    _find_next_end(alarms)
    return ended


def _find_next_end(alarms: Alarms) -> None:
    alarms.next_explained_end_ns = int(
        alarms.explained_until_ns.min(where=alarms.explained_until_ns > 0, initial=NEVER_NS)
    )


def _copy_details(source: Conditions, target: Conditions, changed: IntArray) -> None:
    for name in ("value", "limit", "cell", "time_ns", "uncertainty_ns"):
        getattr(target, name)[changed] = getattr(source, name)[changed]


def _find_cells(table: AlarmTable, alarms: Alarms, conditions: Conditions, now_ns: int) -> tuple[EventRecord, ...]:
    """Take over which cell it is where an active alarm did not know when it was raised; told where it is listed."""
    kept = alarms.conditions
    if not anywhere(kept.cell != conditions.cell):
        return ()
    active = (kept.state == Condition.ACTIVE) & (conditions.state == Condition.ACTIVE)
    found = np.flatnonzero(active & (kept.cell < 0) & (conditions.cell >= 0))
    kept.cell[found] = alarms.cell[found] = conditions.cell[found]
    listed = found[np.isin(alarms.state[found], list(STANDING))]
    return tuple(_record(table, alarms, int(alarm), EventKind.CELL_FOUND, now_ns) for alarm in listed)


def _end_shelving(alarms: Alarms, now_ns: int) -> IntArray:
    """Return the alarms whose time on the shelf is up."""
    if now_ns < alarms.next_shelf_end_ns:
        return np.zeros(0, np.int64)
    ended = np.flatnonzero((alarms.shelved_until_ns > 0) & (alarms.shelved_until_ns <= now_ns))
    alarms.shelved_until_ns[ended] = 0
    return ended


def _settle(table: AlarmTable, alarms: Alarms, touched: IntArray, now_ns: int) -> tuple[EventRecord, ...]:
    """Move alarms to the state that their condition and what hides them ask for."""
    shelved = alarms.shelved_until_ns[alarms.shelved_until_ns > 0]
    alarms.next_shelf_end_ns = int(shelved.min(initial=NEVER_NS))
    before = alarms.state[touched]
    target = TRANSITIONS[before, alarms.conditions.state[touched], _overlay(table, alarms, touched)]
    moved = target != before
    changed, old, new = touched[moved], before[moved], target[moved]
    alarms.state[changed], alarms.time_ns[changed] = new, now_ns
    raised = changed[new == AlarmState.UNACKED_ACTIVE]
    alarms.value[raised], alarms.cell[raised] = alarms.conditions.value[raised], alarms.conditions.cell[raised]
    events = [
        _record(table, alarms, alarm, kind, now_ns)
        for alarm, left, entered in zip(changed.tolist(), old.tolist(), new.tolist(), strict=True)
        for kind in KINDS[left][entered]
    ]
    events += _mark_first_out(table, alarms, raised, now_ns)
    _end_episodes(table, alarms)
    return (*events, *_count_flood(alarms, len(raised), now_ns))


def _overlay(table: AlarmTable, alarms: Alarms, touched: IntArray) -> IntArray:
    explained = table.descends_from(alarms.conditions.state == Condition.ACTIVE)[touched]
    explained |= alarms.explained_until_ns[touched] > 0
    overlay = np.where(explained, int(Overlay.SUPPRESSED), int(Overlay.NONE))
    overlay[alarms.shelved_until_ns[touched] > 0] = Overlay.SHELVED
    overlay[alarms.out_of_service[touched]] = Overlay.OUT_OF_SERVICE
    return overlay


def _mark_first_out(table: AlarmTable, alarms: Alarms, raised: IntArray, now_ns: int) -> list[EventRecord]:
    """Mark the first of each episode; what has brought about a trip stands for it, whichever was seen first."""
    alarms.episode[raised[table.first_out_group[raised] != NONE]] = True
    causes, trips = table.causes[:, _are_brought_about(table, alarms)]
    alarms.episode[causes] = True
    touched = np.concatenate([raised, trips[np.isin(causes, raised)]])
    events: list[EventRecord] = []
    for group in np.unique(table.first_out_group[touched]):
        if group == NONE:
            continue
        members = np.flatnonzero(alarms.episode & (table.first_out_group == group))
        caused = np.isin(trips, members)
        first = np.setdiff1d(np.concatenate([members, causes[caused]]), trips[caused])
        alarms.first_out[trips[caused]] = FirstOut.NO
        events += _mark(table, alarms, first, now_ns)
    return events


def _are_brought_about(table: AlarmTable, alarms: Alarms) -> NDArray[np.bool_]:
    """Return which pairs of cause and trip [pair] belong to an episode."""
    causes, trips = table.causes
    stands = (alarms.conditions.state[causes] == Condition.ACTIVE) | alarms.episode[causes]
    brought_about: NDArray[np.bool_] = stands & alarms.episode[trips]
    return brought_about


def _mark(table: AlarmTable, alarms: Alarms, members: IntArray, now_ns: int) -> list[EventRecord]:
    conditions = alarms.conditions
    marks = first_out.mark(conditions.time_ns[members], conditions.uncertainty_ns[members])
    newly = members[(marks != FirstOut.NO) & (marks != alarms.first_out[members])]
    alarms.first_out[members] = marks
    number = float(np.count_nonzero(marks))
    return [_record(table, alarms, int(i), EventKind.FIRST_OUT, now_ns, number) for i in newly]


def _end_episodes(table: AlarmTable, alarms: Alarms) -> None:
    if not alarms.episode.any():
        return
    standing = np.unique(table.first_out_group[alarms.episode & (alarms.state != AlarmState.NORMAL)])
    over = alarms.episode & ~np.isin(table.first_out_group, standing)
    alarms.episode[over] = False
    alarms.first_out[over] = FirstOut.NO


def _count_flood(alarms: Alarms, raises: int, now_ns: int) -> tuple[EventRecord, ...]:
    before = alarms.flood.active
    if alarms.flood.count(raises, now_ns) == before:
        return ()
    alarms.flooded[0] = alarms.flood.active
    kind = EventKind.FLOOD_ENDED if before else EventKind.FLOOD_STARTED
    return (EventRecord(kind, 0, 0, 0, now_ns),)


def _record(
    table: AlarmTable, alarms: Alarms, alarm: int, kind: EventKind, now_ns: int, value: float | None = None
) -> EventRecord:
    conditions = alarms.conditions
    sampled = kind in {EventKind.RAISED, EventKind.FIRST_OUT}
    return EventRecord(
        kind=kind,
        code=alarm,
        equipment=int(table.equipment_number[alarm]),
        level=int(table.level[alarm]),
        mono_ns=int(conditions.time_ns[alarm]) if sampled else now_ns,
        uncertainty_ns=int(conditions.uncertainty_ns[alarm]) if sampled else 0,
        cell=int(conditions.cell[alarm]),
        value=float(conditions.value[alarm]) if value is None else value,
        limit=float(conditions.limit[alarm]),
    )
