"""`bess explain`: where a value comes from, what it expands to, and how fast a protection really is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from controller.alarms.groups import unit_of
from controller.alarms.text import quantity_text
from controller.commissioning.cell_facts import PREFIX as CELL
from controller.commissioning.cell_facts import cell_facts, is_of_a_table
from controller.commissioning.facts import Subject, equipment, facts, point_text, row_subject
from controller.commissioning.watchdogs import watchdog_json, watchdog_text
from controller.image.data_periods import binding_owner
from controller.plant.expansion.names import SECTIONS
from controller.plant.figures import number
from controller.plant.messages import nearest
from controller.plant.model import Plant
from controller.plant.origins import Origin, exceptions_of, key_origin, origins_of, paths_of
from controller.plant.protection_rows import Level, ProtectionRow
from controller.plant.row_coverage import is_about, watches_as
from controller.plant.signals import Owner
from controller.plant.site_loader import Sources, load_site
from controller.plant.units import UNITS
from controller.plant.yaml_tree import Document
from controller.points.point_list import Point, point_list
from controller.protection.explain import (
    MEASUREMENTS_LOST,
    CauseEffect,
    Delay,
    cause_effect_matrix,
    is_known,
    total_s,
    worst_case_reaction,
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a path. `reaction`: named delays of a protection, slowest equipment asked for."""

    path: str
    value: str
    unit: str
    origin: tuple[Origin, ...]
    reaction: tuple[Delay, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        value, unit = self._value_and_unit()
        at_least_s = round(total_s(self.reaction), 6) if self.reaction else None
        stated = is_known(self.reaction)
        return {
            "path": self.path,
            "value": value,
            "unit": unit,
            "origin": [{"file": o.file, "line": o.line, "col": o.col, "text": o.text} for o in self.origin],
            "reaction_s": at_least_s if stated else None,
            **({} if stated else {"reaction_at_least_s": at_least_s}),
            "chain": [asdict(d) for d in self.reaction],
        }

    def _value_and_unit(self) -> tuple[str, str]:
        """Return the value apart from its unit where it is a quantity."""
        number_text, _, unit = self.value.partition(" ")
        apart = not self.unit and unit in UNITS and re.fullmatch(r"-?\d+(\.\d+)?", number_text)
        return (number_text, unit) if apart else (self.value, self.unit)

    def as_text(self) -> str:
        """Return it for people."""
        lines = [f"{self.path}  {self.value}{' ' + self.unit if self.unit else ''}".rstrip()]
        lines += [f"  {o.file}:{o.line}:{o.col}  {o.text}" for o in self.origin]
        lines += [f"  {note}" for note in self.notes]
        if self.reaction:
            lines.append(f"  {_reaction_text(self.reaction)}, from the cell to the effect:")
            lines += [f"    {_delay_text(d)}" for d in self.reaction]
            lines.append("  the BMS, the fuses and the hard wire act on their own, and faster")
        return "\n".join(lines)


def _reaction_text(chain: tuple[Delay, ...]) -> str:
    if is_known(chain):
        return f"worst-case reaction {number(total_s(chain), 3)} s"
    return f"reaction of more than {number(total_s(chain), 3)} s (a part of it is not known)"


def _delay_text(delay: Delay) -> str:
    if delay.seconds is None:
        return f"{'?':>8} s  {delay.name}: not stated in its file (refresh: ...)"
    return f"{delay.seconds:8.3f} s  {delay.name}"


def explain(site: Path, plant: Plant, path: str) -> Explanation | str:
    """Return what is known of a path, or why nothing is.

    A path is whatever a person would type: a tag (`Plant.Block01.Rack03.SoC`), equipment by name or tag, with a key of
    its group or a protection row behind it, a row (`cell_voltage_high`, `rack.cell_voltage_high.trip`), a device, a
    device type, one of its points (`acme-r280.rack.voltage`) or keys, a battery, an entry of the schedule, a folder of
    points (`Plant.Block01`), or a key of the site file (`site.rating.power`).
    """
    result = load_site(site)
    assert result.sources is not None, "a plant was loaded from this site"
    explainer = Explainer(plant, result.sources, result.documents)
    return explainer.explain(path.strip())


class Explainer:
    """Tries one meaning of a path after the other."""

    def __init__(self, plant: Plant, sources: Sources, documents: Mapping[str, Document]) -> None:
        self.plant, self.sources, self.documents = plant, sources, documents
        self.facts = facts(plant)
        self.tags = point_list(plant).by_tag()

    def explain(self, path: str) -> Explanation | str:
        """Return the first meaning that the path has."""
        point = self.tags.get(path)
        found = self._of_point(point) if point is not None else None
        for meaning in (self._row, self._equipment, self._device_type, self._cell_type, self._folder, self._key):
            found = found or meaning(path)
        if found is not None:
            return found
        hint = nearest(path, self.known())
        shown = "".join(c if c.isprintable() else "?" for c in path[:80])
        return f"nothing is called '{shown}'" + (f"; did you mean '{hint}'?" if hint else "")

    def known(self) -> tuple[str, ...]:
        """Return what can be asked for, for suggestions; each of it has a meaning."""
        stated = [s.name for s in self.facts if s.group in _STATED]
        stated += [battery.cell.name for battery in self.plant.battery_types]
        folders = (tag.rpartition(".")[0] for tag in self.tags)
        return tuple(dict.fromkeys((*paths_of(self.sources), *self.tags, *folders, *stated)))

    # --------------------------------------------------------------------------------------------------- meanings
    def _of_point(self, point: Point) -> Explanation:
        notes = [point.description]
        for device in self.plant.devices:
            served = device.type.point(point.quantity)
            if served is None or not any(
                b.equipment == point.index and b.owner is binding_owner(served.signal.owner) for b in device.bindings
            ):
                continue
            where = f"{self.plant.links[device.link].address} unit {device.unit}"
            period = f", every {device.period_s(served.poll_block):g} s" if served.poll_block else ""
            notes.append(f"served by {device.name} ({device.type.name}, {where}){period}: {point_text(served)}")
        return Explanation(point.tag, point.source, point.unit, (), notes=tuple(notes))

    def _row(self, path: str) -> Explanation | None:
        parts = [part for part in path.split(".") if part not in {"protection", "protections"}]
        start = next((k for k, part in enumerate(parts) if any(r.name == part for r in self.plant.protection)), None)
        if start is None or len(parts) - start > 3:
            return None
        before, name, rest = ".".join(parts[:start]), parts[start], parts[start + 1 :]
        member = self._named(before) if before else None
        owner = _OWNERS.get(member[0]) if member else (Owner(before) if before in list(Owner) else None)
        if before and owner is None:
            return None
        row = next((r for r in self.plant.protection if r.name == name and owner in {None, r.owner}), None)
        if row is None:
            return None
        level = next((g.level for g in row.levels if rest and g.level.name.lower() == rest[0]), None)
        if rest and level is None and rest[0] not in _ROW_KEYS:
            return None
        origin = origins_of(self.sources, ".".join([row.owner.value, name, *rest]))
        index = member[1] if member else 0
        return self._of_row(path, row, index, level, origin, rest)

    def _of_row(
        self,
        path: str,
        row: ProtectionRow,
        index: int,
        level: Level | None,
        origin: tuple[Origin, ...],
        rest: list[str],
    ) -> Explanation:
        stated = self.facts[row_subject(row)]
        shown = [g for g in row.levels if level in {None, g.level}]
        limits = ", ".join(
            f"{g.level.name.lower()} {stated[g.level.name.lower()]} after {g.delay_s:g} s: {g.action.value}"
            for g in shown
        )
        if rest and (level is None or len(rest) > 1):
            limits = stated.get(" ".join(rest), limits)
        unit = ""
        notes = [row.description] if row.description else []
        notes.append(f"compares {stated['compares']}; reset at {stated['reset']}, by {row.reset_class.value}")
        notes += _bms_trips(self.plant, row)
        notes += [f"exception {o.text}  {o.file}:{o.line}" for o in exceptions_of(self.sources, path)]
        return Explanation(path, limits, unit, origin, worst_case_reaction(self.plant, row, index, level), tuple(notes))

    def _equipment(self, path: str) -> Explanation | None:
        for end in range(path.count(".") + 1, 0, -1):
            name = ".".join(path.split(".")[:end])
            member = self._named(name)
            if member is None:
                continue
            key = ".".join(path.split(".")[end:])
            origin = origins_of(self.sources, path)
            subject = Subject(member[0], self._name_of(member))
            stated = self.facts.get(subject, {})
            if key:
                return Explanation(path, origin[0].text, "", origin) if origin else None
            notes = tuple(f"{k}: {v}" for k, v in stated.items())
            guarded = [r.name for r in self.plant.protection if r.owner is _OWNERS.get(member[0])]
            rows = (f"guarded by {', '.join(guarded)}",) if guarded else ()
            return Explanation(path, str(subject), "", origin, notes=(*notes, *self._served(subject.name), *rows))
        return None

    def _served(self, name: str) -> Iterator[str]:
        for subject, stated in self.facts.items():
            if subject.group == "device" and f"serves {name}" in stated:
                yield f"served by {subject.name}: {stated['address']}, {stated['type']}, {stated[f'serves {name}']}"

    def _device_type(self, path: str) -> Explanation | None:
        for device_type in {d.type.name: d.type for d in self.plant.devices}.values():
            name = device_type.name
            if path != name and not path.startswith(f"{name}."):
                continue
            document = next((d for d in self.documents.values() if d.text_at(("device",)) == name), None)
            signal = path[len(name) + 1 :]
            if document is None:
                return None
            if signal and device_type.point(signal) is None:
                origin = key_origin(document, signal)
                return Explanation(path, origin[0].text, "", origin) if origin else None
            place = document.place_of(("points", signal) if signal else ("device",), key=True)
            origin = (Origin(place.file, place.line, place.col, document.line_at(place).strip()),)
            stated = self.facts[Subject("device type", name)]
            point = device_type.point(signal) if signal else None
            value = point_text(point) if point is not None else str(Subject("device type", name))
            notes = [f"{k}: {v}" for k, v in stated.items()] if not signal else []
            source = device_type.source
            if source is not None:
                notes.append(f"read in {source.document}, {source.pages}; checked by: {source.checked_by or 'nobody'}")
            return Explanation(path, value, "", origin, notes=tuple(notes))
        return None

    def _cell_type(self, path: str) -> Explanation | None:
        """Tell what a cell's file says of it, and which batteries are made of it."""
        for battery in self.plant.battery_types:
            name = battery.cell.name
            document = next((d for d in self.documents.values() if _is_cell(d, name)), None)
            if document is None or not (path in {name, document.file} or path.startswith(f"{name}.")):
                continue
            if path.startswith(f"{name}."):
                origin = key_origin(document, path[len(name) + 1 :])
                return Explanation(path, origin[0].text, "", origin) if origin else None
            place = document.place_of(("name",), key=True)
            origin = (Origin(place.file, place.line, place.col, document.line_at(place).strip()),)
            notes = [f"{k.removeprefix(CELL)}: {v}" for k, v in cell_facts(battery.cell) if not is_of_a_table(k)]
            used = ", ".join(b.name for b in self.plant.battery_types if b.cell.name == name)
            of = (f"of batteries {used}; capacity, currents and resistances as {battery.name} has them", *notes)
            return Explanation(path, f"cell type {name}", "", origin, notes=of)
        return None

    def _folder(self, path: str) -> Explanation | None:
        """Tell what lies below the plant's or a block's tag."""
        block = next((b for b in self.plant.blocks if path in {b.name, b.tag}), None)
        if block is None and path != "Plant":
            return None
        tag = "Plant" if block is None else block.tag
        below = [t.removeprefix(f"{tag}.") for t in self.tags if t.startswith(f"{tag}.")]
        points = f"points: {', '.join(name for name in below if '.' not in name)}"
        holds = f"below it: {', '.join(dict.fromkeys(n.partition('.')[0] for n in below if '.' in n))}"
        what = f"plant {self.plant.name}" if block is None else f"block {block.name}"
        return Explanation(path, what, "", (), notes=(points, holds))

    def _key(self, path: str) -> Explanation | None:
        origin = origins_of(self.sources, path) or next(
            (found for d in self.documents.values() if not d.text_at(("device",)) and (found := key_origin(d, path))),
            (),
        )
        stated = self.facts.get(Subject("battery", path), {})
        value = str(Subject("battery", path)) if stated else (origin[0].text if origin else "")
        notes = tuple(f"{key}: {text}" for key, text in stated.items() if not is_of_a_table(key))
        return Explanation(path, value, "", origin, notes=notes) if origin else None

    # ------------------------------------------------------------------------------------------------------ names
    def _named(self, name: str) -> tuple[str, int] | None:
        """Return the group and index of equipment (or a device) by its name or tag."""
        for group, members in self._members():
            for member in members:
                section, _, own = name.partition(".")
                if name in {member.name, getattr(member, "tag", "")} or (own == member.name and section in SECTIONS):
                    return group, member.index
        return None

    def _members(self) -> Iterator[tuple[str, Sequence[Any]]]:
        yield from equipment(self.plant)
        yield "device", self.plant.devices

    def _name_of(self, member: tuple[str, int]) -> str:
        return str(next(m for g, m in self._members() if g == member[0])[member[1]].name)


def _is_cell(document: Document, name: str) -> bool:
    return document.text_at(("schema",)).startswith("cell/") and document.text_at(("name",)) == name


_STATED = ("battery", "device", "device type")
_OWNERS = {"rack": Owner.RACK, "bank": Owner.BANK, "PCS": Owner.PCS, "meter": Owner.METER, "interlock": Owner.INTERLOCK}
_ROW_KEYS = {"reset", "delay", "action", "signal", "direction", "description", "reset_class", "when", "off_delay"}


def _bms_trips(plant: Plant, row: ProtectionRow) -> Iterator[str]:
    """Yield the BMS's own trip of the same value: ours are graded against it."""
    for battery in plant.battery_types:
        for trip in battery.bms_trips:
            if watches_as(row, trip) and is_about(row, battery.name):
                limit = quantity_text(trip.limit, unit_of(row))
                yield f"the BMS of {battery.name} itself trips at {limit} after {trip.delay_s:g} s"


def cause_and_effect_text(plant: Plant, *, as_json: bool) -> str:
    """Return the cause-and-effect matrix."""
    matrix = cause_effect_matrix(plant)
    if as_json:
        return json.dumps([asdict(line) for line in matrix], indent=1)
    head = ("cause", "of", "level", "limit", "delay", "effect", "reset by", "reacts within")
    table = [head, *(_cells(line) for line in matrix)]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([*lines, "", *_FOOTNOTES])


_FOOTNOTES = (
    "reacts within: the worst case from the cell to the effect, at the slowest equipment; `explain ROW` has the chain",
    "reset by: who may reset the latch of a trip; auto: it ends with its cause",
    "D: the period at which a value is read",
)


def _cells(line: CauseEffect) -> tuple[str, ...]:
    reaction = "not stated" if line.reaction_s is None else f"{number(line.reaction_s, 3)} s"
    return (
        line.cause, f"{line.owner} ({line.equipments})", line.level, line.limit, f"{number(line.delay_s)} s",
        line.effect, line.reset_class, "-" if line.cause == MEASUREMENTS_LOST or not line.equipments else reaction,
    )  # fmt: skip


def watchdogs(plant: Plant, *, as_json: bool) -> str:
    """Return the watchdog table."""
    return json.dumps(watchdog_json(plant), indent=1) if as_json else watchdog_text(plant)
