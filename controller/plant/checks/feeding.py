"""What feeds the protection rows: a row whose signal nobody serves watches nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.plant.checks.context import CheckContext
from controller.plant.checks.rows import place_of_row
from controller.plant.device_types import DeviceType
from controller.plant.figures import counted
from controller.plant.messages import Message, Place, error, warning
from controller.plant.model import Device
from controller.plant.protection_rows import ProtectionRow, Reduction
from controller.plant.row_coverage import is_about, kinds_of
from controller.plant.signals import Owner

_SECTIONS = {Owner.RACK: "racks", Owner.BANK: "banks", Owner.PCS: "pcs", Owner.METER: "meters"}
_DERIVED = (Reduction.SPREAD, Reduction.RATE)
"""Rows that compare sensors or moments look for what is unusual; the limits themselves are other rows' matter."""
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class _Served:
    """Equipment of one owner and kind that the same devices serve: the one with most points, a first index, signals."""

    owner: Owner
    kind: str
    device_type: DeviceType
    first: int
    signals: frozenset[str]

    def lacks(self, row: ProtectionRow) -> bool:
        mine = row.owner is self.owner and is_about(row, self.kind)
        return mine and self.signals.isdisjoint(row.signals)


def rows_are_fed(context: CheckContext) -> Iterator[Message]:
    """A row whose signal no device serves protects nothing; what a preset trips on is measured, or given up by name."""
    served = _served(context)
    lost: dict[str, tuple[_Served, list[ProtectionRow]]] = {}
    for row in context.plant.protection:
        lacking = [each for each in served if each.lacks(row)]
        if lacking and not _is_inherited(context, row):
            everybody = sum(each.owner is row.owner and is_about(row, each.kind) for each in served)
            which = "no device" if len(lacking) == everybody else "not every device"
            place = place_of_row(context, row, "signal")
            yield error(place, f"{row.name} needs {row.signal}, which {which} serves", "a point in the device file")
            continue
        for name, each in {each.device_type.name: each for each in reversed(lacking)}.items():
            lost.setdefault(name, (each, []))[1].append(row)
    yield from (_lost(context, each, rows) for each, rows in lost.values())


def _is_inherited(context: CheckContext, row: ProtectionRow) -> bool:
    return place_of_row(context, row, "signal").file.startswith("library/")


def _lost(context: CheckContext, served: _Served, rows: list[ProtectionRow]) -> Message:
    """Tell of all rows that watch nothing for want of points of one device type: an error if one of them trips."""
    needed = [row for row in rows if row.trip is not None and row.reduction not in _DERIVED]
    rows = sorted(rows, key=lambda row: row not in needed)
    lacking = list(dict.fromkeys(" or ".join(row.signals) for row in needed or rows))
    names = [row.name for row in rows]
    more = f" and {counted(len(names) - _SHOWN, 'more row')}" if len(names) > _SHOWN else ""
    message = f"{served.device_type.name} has no {_several(lacking)}: {', '.join(names[:_SHOWN])}{more}"
    message += f" {'watches' if len(names) == 1 else 'watch'} nothing"
    expected = f"points {_several(lacking)}" if len(lacking) > 1 else f"a point {lacking[0]}"
    off = _several([f'{{row: {row.name}, reason: "..."}}' if row.trip else row.name for row in needed or rows])
    given_up = "who gives this up says why" if needed else "where its maker has none"
    hint = f"{given_up}: off: [{off}] in the protection file"
    made, place = error if needed else warning, _place(context, served)
    return made(place, message, expected, hint, [place_of_row(context, rows[0], "signal")])


def _several(words: list[str]) -> str:
    return f"{', '.join(words[:_SHOWN])}, ..." if len(words) > _SHOWN else ", ".join(words)


def _place(context: CheckContext, served: _Served) -> Place:
    """Return where the points of a site's device file begin; of a file of the library, where the site names it."""
    place = context.in_own_file(served.device_type, ("points",), key=True)
    if not place.file.startswith("library/") or served.owner not in _SECTIONS:
        return place
    return context.place(_SECTIONS[served.owner], served.first, "type")


def _served(context: CheckContext) -> list[_Served]:
    """Return every sort of equipment once: what serves it differs between a few types, never between thousands."""
    signals, types = served_signals(context.plant.devices), _types(context.plant.devices)
    kinds = {owner: kinds_of(context.plant, owner) for owner in {owner for owner, _ in signals}}
    sorts: dict[tuple[Owner, str, str, frozenset[str]], _Served] = {}
    for (owner, equipment), names in signals.items():
        kind, device_type = kinds[owner][equipment], types[owner, equipment]
        key = (owner, kind, device_type.name, frozenset(names))
        if key not in sorts:
            sorts[key] = _Served(owner, kind, device_type, equipment, key[3])
    return list(sorts.values())


def _types(devices: tuple[Device, ...]) -> dict[tuple[Owner, int], DeviceType]:
    """Return the device that serves most about each equipment: the one whose file should have what is missing."""
    types: dict[tuple[Owner, int], DeviceType] = {}
    for device in devices:
        for binding in device.bindings:
            key = (binding.owner, binding.equipment)
            if key not in types or len(types[key].points) < len(device.type.points):
                types[key] = device.type
    return types


def served_signals(devices: tuple[Device, ...]) -> dict[tuple[Owner, int], set[str]]:
    """Return the signals that reach each equipment; cells and sensors count as their rack's."""
    names_of: dict[int, dict[Owner, set[str]]] = {}
    served: dict[tuple[Owner, int], set[str]] = {}
    for device in devices:
        names = names_of.get(id(device.type))
        if names is None:
            names = names_of[id(device.type)] = {}
            for point in device.type.points:
                owner = point.signal.owner
                rack_like = Owner.RACK if owner in (Owner.CELL, Owner.SENSOR) else owner
                names.setdefault(rack_like, set()).add(point.signal.name)
        for binding in device.bindings:
            key = (binding.owner, binding.equipment)
            served[key] = served.get(key, set()) | names.get(binding.owner, set())
    return served


FEEDING_CHECKS = (rows_are_fed,)
