"""Events of a scan in the two forms in which they leave it: records for the ring, rows of text for the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from controller.alarms.events import EventKind as AlarmEvent
from controller.alarms.events import EventRecord
from controller.alarms.table import AlarmTable
from controller.alarms.text import render
from controller.control.events import Event
from controller.link.event_ring import EVENT, user_number
from controller.plant.model import Bank, Block, DcBus, Interlock, Meter, Pcs, Plant, Rack
from controller.plant.signals import Owner
from controller.runtime.journal import JournalRow
from controller.runtime.scan import ScanResult


def ring_records(result: ScanResult, alarms: AlarmTable, mono_ns: int, utc_ns: int) -> NDArray[np.void]:
    """Return the events of a scan as records of the ring."""
    records = np.zeros(len(result.alarm_events) + len(result.control_events), EVENT)
    for record, event in zip(records, result.alarm_events, strict=False):
        record["mono_ns"], record["utc_ns"] = event.mono_ns, utc_ns - (mono_ns - event.mono_ns)
        record["uncertainty_ns"], record["kind"], record["level"] = event.uncertainty_ns, event.kind, event.level
        record["code"], record["equipment"], record["cell"] = event.code, event.equipment, event.cell
        record["value"], record["limit"] = event.value, event.limit
    for record, happened in zip(records[len(result.alarm_events) :], result.control_events, strict=True):
        record["mono_ns"], record["utc_ns"], record["kind"] = mono_ns, utc_ns, happened.kind
        record["equipment"], record["cell"] = _number(alarms, happened), -1
        record["value"], record["limit"] = happened.after, happened.before
        record["user"] = user_number(happened.actor)
    return records


def journal_rows(
    result: ScanResult, plant: Plant, alarms: AlarmTable, mono_ns: int, utc_ns: int
) -> Sequence[JournalRow]:
    """Return the events of a scan as rows of the journal, in words."""
    rows = [_alarm_row(event, alarms, mono_ns, utc_ns) for event in result.alarm_events]
    rows += [_control_row(event, plant, mono_ns, utc_ns) for event in result.control_events]
    return rows


def equipment_name(plant: Plant, owner: Owner, index: int) -> str:
    """Return the site-file name of an equipment; the plant's own is its site id."""
    named: Mapping[Owner, Sequence[Rack | Pcs | DcBus | Block | Bank | Meter | Interlock]] = {
        Owner.RACK: plant.racks,
        Owner.PCS: plant.pcs,
        Owner.BUS: plant.buses,
        Owner.BLOCK: plant.blocks,
        Owner.BANK: plant.banks,
        Owner.METER: plant.meters,
        Owner.INTERLOCK: plant.interlocks,
    }
    members = named.get(owner, ())
    return members[index].name if 0 <= index < len(members) else plant.site_id


_OF_THE_WHOLE_LIST = frozenset({AlarmEvent.FLOOD_STARTED, AlarmEvent.FLOOD_ENDED})
"""Events of no alarm in particular; their text says what they are."""


def _alarm_row(event: EventRecord, alarms: AlarmTable, mono_ns: int, utc_ns: int) -> JournalRow:
    function = "alarm_flood" if event.kind in _OF_THE_WHOLE_LIST else alarms.locate(event.code)[0].name
    stamp = utc_ns - (mono_ns - event.mono_ns)
    cell = event.cell if event.cell >= 0 else None
    value, limit = _number_or_none(event.value), _number_or_none(event.limit)
    kind, name = event.kind.name.lower(), alarms.equipment.name(event.equipment)
    text = render(event, alarms)
    return (
        stamp,
        event.mono_ns,
        kind,
        name,
        function,
        event.level,
        cell,
        value,
        limit,
        event.uncertainty_ns,
        "",
        text,
    )


def _control_row(event: Event, plant: Plant, mono_ns: int, utc_ns: int) -> JournalRow:
    name = equipment_name(plant, event.owner, event.index)
    kind, after, before = event.kind.name.lower(), _number_or_none(event.after), _number_or_none(event.before)
    return (utc_ns, mono_ns, kind, name, "", 0, None, after, before, 0, event.actor, event.text)


def _number_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _number(alarms: AlarmTable, event: Event) -> int:
    axis = {a.value: a for a in alarms.equipment.names}.get(event.owner.value)
    return alarms.equipment.number(axis, event.index) if axis is not None else 0
