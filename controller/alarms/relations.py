"""How alarms hang together: which suppresses which, which trips share a first-out, which are out of service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from controller.alarms.equipment import AXIS_OF_OWNER, Axis
from controller.alarms.groups import AlarmGroup
from controller.alarms.system_alarms import SystemAlarm
from controller.plant.model import Binding, Plant
from controller.plant.protection_rows import Level, Reduction
from controller.plant.signals import Owner

NONE = -1
"""No such alarm, no such group."""

IntArray = NDArray[np.int64]

_EXPLAINED_BY_SILENCE = frozenset(
    {
        SystemAlarm.PROTECTION_DATA_LOST,
        SystemAlarm.PCS_DATA_LOST,
        SystemAlarm.PCS_TAKES_NO_COMMAND,
        SystemAlarm.PCS_LEFT_OUT,
        SystemAlarm.CELLS_MISSING,
    }
)
_STAY_IN_SERVICE = frozenset(
    {SystemAlarm.LOCK_OUT_OVERDUE, SystemAlarm.OUT_OF_SERVICE_OVERDUE, SystemAlarm.RACK_DOES_NOT_DISCONNECT}
)


def parents(plant: Plant, groups: Sequence[AlarmGroup]) -> IntArray:
    """Return each alarm's parent [A]: while that one stands, this one is suppressed by design.

    A milder level has the next worse level of the same function; what the silence of a device explains has that
    device's alarm, that has its link's, and that the silence of the whole field. A rack's age and lost limits have its
    lost values. A rack that its bank has opened with all others has the bank's alarm; that it stands open, that it has
    opened. A silent master has its set-point's time-out, where that changed anything. A trip is never suppressed, and
    neither is that the state of a hard-wired chain is not known: whatever explains it, nobody knows of a fire.
    """
    parent = np.full(sum(g.count for g in groups), NONE, np.int64)
    by_name = {(g.axis, g.name): g for g in groups if g.row < 0}
    device_lost = by_name[Axis.DEVICE, SystemAlarm.DEVICE_LOST]
    link_lost = by_name[Axis.LINK, SystemAlarm.LINK_LOST]
    links = np.array([d.link for d in plant.devices], np.int64)
    banks = np.array([r.bank for r in plant.racks], np.int64)
    for group in groups:
        worse = _next_worse(group, groups)
        if worse is not None:
            parent[group.place] = np.arange(worse.start, worse.start + worse.count)
        elif group.axis is Axis.DEVICE and group.name in {SystemAlarm.DEVICE_LOST, SystemAlarm.FIRST_DATA_MISSING}:
            parent[group.place] = link_lost.start + links
        elif group.axis is Axis.LINK and group.name == SystemAlarm.LINK_LOST:
            parent[group.place] = by_name[Axis.PLANT, SystemAlarm.FIELD_LOST].start
        elif group.axis is Axis.RACK and _lost_values_explain(plant, group):
            unseen = by_name[Axis.RACK, SystemAlarm.PROTECTION_DATA_LOST]
            parent[group.place] = np.arange(unseen.start, unseen.start + unseen.count)
        elif group.axis is Axis.RACK and group.name == SystemAlarm.RACK_OPENED_BY_ITSELF:
            parent[group.place] = np.where(
                banks == NONE, NONE, by_name[Axis.BANK, SystemAlarm.BANK_OPENED_BY_ITSELF].start + banks
            )
        elif group.axis is Axis.RACK and group.name == SystemAlarm.RACK_LEFT_OUT:
            opened = by_name[Axis.RACK, SystemAlarm.RACK_OPENED_BY_ITSELF]
            parent[group.place] = np.arange(opened.start, opened.start + opened.count)
        elif group.axis is Axis.PLANT and group.name == SystemAlarm.SCADA_LOST:
            parent[group.place] = by_name[Axis.PLANT, SystemAlarm.SETPOINT_TIMED_OUT].start
        elif group.level is not Level.TRIP and _silence_explains(plant, group):
            devices = _device_of(plant, group.axis, group.count)
            parent[group.place] = np.where(devices == NONE, NONE, device_lost.start + devices)
    return parent


def ancestors(parent: IntArray) -> IntArray:
    """Return parents, parents' parents and so on [depth, A], NONE where there is none: any of them suppresses."""
    rows, of_none = [parent], np.append(parent, NONE)
    while (rows[-1] != NONE).any():
        rows.append(of_none[rows[-1]])  # NONE is the last place
    return np.stack(rows[:-1] or rows)


def waiting(plant: Plant, groups: Sequence[AlarmGroup]) -> NDArray[np.bool_]:
    """Return which alarms wait a moment for what may explain them [A]: those of silence."""
    waits = np.zeros(sum(g.count for g in groups), np.bool_)
    for group in groups:
        age = group.row >= 0 and group.level is not Level.TRIP and _silence_explains(plant, group)
        waits[group.place] = age or (group.row < 0 and group.name in _WAITING)
    return waits


_WAITING = _EXPLAINED_BY_SILENCE | {
    SystemAlarm.DEVICE_LOST,
    SystemAlarm.LINK_LOST,
    SystemAlarm.RACK_LIMITS_LOST,
    SystemAlarm.RACK_OPENED_BY_ITSELF,
}


def _lost_values_explain(plant: Plant, group: AlarmGroup) -> bool:
    if group.row < 0:
        return group.name == SystemAlarm.RACK_LIMITS_LOST
    return group.level is not Level.TRIP and plant.protection[group.row].reduction is Reduction.AGE


def _next_worse(group: AlarmGroup, groups: Sequence[AlarmGroup]) -> AlarmGroup | None:
    worse = [g for g in groups if g.row == group.row and g.row >= 0 and g.level > group.level]
    return min(worse, key=lambda g: g.level, default=None)


def _silence_explains(plant: Plant, group: AlarmGroup) -> bool:
    if group.row < 0:
        return group.name in _EXPLAINED_BY_SILENCE
    return plant.protection[group.row].reduction is Reduction.AGE


def _device_of(plant: Plant, axis: Axis, count: int) -> IntArray:
    """Return the device that measures each equipment of an axis [count], NONE if there is none."""
    device_of = np.full(count, NONE, np.int64)
    for device, owner, equipment in _measuring(plant):
        if AXIS_OF_OWNER.get(owner) is axis:
            device_of[equipment] = device
    return device_of


def _measuring(plant: Plant) -> Iterator[tuple[int, Owner, int]]:
    for device in plant.devices:
        for binding in device.bindings:
            yield device.index, binding.owner, binding.equipment


def causes(groups: Sequence[AlarmGroup]) -> IntArray:
    """Return which alarms bring about which trips [(cause, trip), pair]: what the grid does stops its converters."""
    by_name = {g.name: g for g in groups if g.row < 0}
    tripped = by_name[SystemAlarm.PCS_TRIPPED]
    trips = np.arange(tripped.start, tripped.start + tripped.count)
    of_grid = (by_name[SystemAlarm.GRID_VOLTAGE_OUTSIDE].start, by_name[SystemAlarm.GRID_FREQUENCY_OUTSIDE].start)
    return np.stack([np.repeat(of_grid, len(trips)), np.tile(trips, len(of_grid))])


def first_out_groups(plant: Plant, groups: Sequence[AlarmGroup]) -> IntArray:
    """Return the first-out group of each alarm [A]: its block, or `len(plant.blocks)` for the plant's own trips."""
    blocks = {
        Axis.PLANT: [-1],
        Axis.BLOCK: [b.index for b in plant.blocks],
        Axis.BUS: [b.block for b in plant.buses],
        Axis.BANK: [b.block for b in plant.banks],
        Axis.RACK: [r.block for r in plant.racks],
        Axis.PCS: [p.block for p in plant.pcs],
        Axis.METER: [m.block for m in plant.meters],
        Axis.INTERLOCK: [i.block for i in plant.interlocks],
    }
    of_alarm = np.full(sum(g.count for g in groups), NONE, np.int64)
    for group in groups:
        if group.level is Level.TRIP and group.axis in blocks:
            block = np.array(blocks[group.axis], np.int64)
            of_alarm[group.place] = np.where(block < 0, len(plant.blocks), block)
    return of_alarm


def out_of_service(plant: Plant, groups: Sequence[AlarmGroup]) -> NDArray[np.bool_]:
    """Return which alarms the site file takes out of service [A]: those of equipment that is, but never its trips."""
    racks = np.array([r.out_of_service is not None for r in plant.racks], np.bool_)
    pcs = np.array([p.out_of_service is not None for p in plant.pcs], np.bool_)
    devices = np.array([_serves_only(device.bindings, racks, pcs) for device in plant.devices], np.bool_)
    masks = {Axis.RACK: racks, Axis.PCS: pcs, Axis.DEVICE: devices}
    of_alarm = np.zeros(sum(g.count for g in groups), np.bool_)
    for group in groups:
        if group.axis in masks and group.level is not Level.TRIP and group.name not in _STAY_IN_SERVICE:
            of_alarm[group.place] = masks[group.axis]
    return of_alarm


def _serves_only(bindings: Sequence[Binding], racks: NDArray[np.bool_], pcs: NDArray[np.bool_]) -> bool:
    masks = {Owner.RACK: racks, Owner.PCS: pcs}
    return bool(bindings) and all(b.owner in masks and bool(masks[b.owner][b.equipment]) for b in bindings)
