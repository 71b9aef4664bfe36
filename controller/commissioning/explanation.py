"""`bess explain`: where a value comes from, what it expands to, and how fast a protection really is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from controller.plant.messages import nearest
from controller.plant.model import Plant
from controller.plant.origins import Origin, origins_of, paths_of
from controller.plant.protection_rows import ProtectionRow
from controller.plant.signals import Owner
from controller.plant.site_loader import load_site
from controller.points.point_list import Point, point_list
from controller.protection.explain import Delay, cause_effect_matrix, total_s, worst_case_reaction


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
        reaction_s = round(total_s(self.reaction), 6) if self.reaction else None
        return {
            "path": self.path,
            "value": self.value,
            "unit": self.unit,
            "origin": [{"file": o.file, "line": o.line, "col": o.col, "text": o.text} for o in self.origin],
            "reaction_s": reaction_s,
            "chain": [asdict(d) for d in self.reaction],
        }

    def as_text(self) -> str:
        """Return it for people."""
        lines = [f"{self.path}  {self.value}{' ' + self.unit if self.unit else ''}".rstrip()]
        lines += [f"  {o.file}:{o.line}:{o.col}  {o.text}" for o in self.origin]
        lines += [f"  {note}" for note in self.notes]
        if self.reaction:
            lines.append(f"  worst-case reaction {total_s(self.reaction):.3g} s, from the cell to the effect:")
            lines += [f"    {d.seconds:8.3f} s  {d.name}" for d in self.reaction]
            lines.append("  the BMS, the fuses and the hard wire act on their own, and faster")
        return "\n".join(lines)


def explain(site: Path, plant: Plant, path: str) -> Explanation | str:
    """Return what is known of a path, or why nothing is."""
    sources = load_site(site).sources
    assert sources is not None, "a plant was loaded from this site"
    point = point_list(plant).by_tag().get(path)
    if point is not None:
        return _of_point(point, plant)
    equipment, _, rest = path.partition(".")
    row = _row(plant, rest if rest and _rack(plant, equipment) is not None else path)
    origin = origins_of(sources, path) or (origins_of(sources, rest) if rest else ())
    if row is not None:
        rack = _rack(plant, equipment)
        return _of_row(path, row, plant, 0 if rack is None else rack, origin)
    if origin:
        return Explanation(path, origin[0].text, "", origin)
    known = [*paths_of(sources), *(p.tag for p in point_list(plant).points)]
    hint = nearest(path, known)
    return f"nothing is called '{path}'" + (f"; did you mean '{hint}'?" if hint else "")


def cause_and_effect_text(plant: Plant, *, as_json: bool) -> str:
    """Return the cause-and-effect matrix."""
    matrix = [asdict(line) for line in cause_effect_matrix(plant)]
    if as_json:
        return json.dumps(matrix, indent=1)
    head = ("cause", "level", "limit", "delay_s", "effect", "reset_class", "reaction_s")
    table = [head, *(tuple(_cell(line[c]) for c in head) for line in matrix)]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in table)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _of_point(point: Point, plant: Plant) -> Explanation:
    serving = [
        f"served by {device.name} (unit {device.unit} of {plant.links[device.link].address})"
        for device in plant.devices
        if device.type.point(point.quantity) is not None
        and any(b.equipment == point.index and b.owner in {point.owner, Owner.RACK} for b in device.bindings)
    ]
    return Explanation(point.tag, point.source, point.unit, (), notes=(point.description, *serving))


def _row(plant: Plant, path: str) -> ProtectionRow | None:
    name = path.removeprefix("protection.").partition(".")[0]
    return next((r for r in plant.protection if r.name == name), None)


def _rack(plant: Plant, name: str) -> int | None:
    return next((r.index for r in plant.racks if name in {r.name, r.tag}), None)


def _of_row(path: str, row: ProtectionRow, plant: Plant, rack: int, origin: tuple[Origin, ...]) -> Explanation:
    equipment = rack if row.owner is Owner.RACK else 0
    limits = ", ".join(
        f"{g.level.name.lower()} {g.limit:g} after {g.delay_s:g} s: {g.action.value}" for g in row.levels
    )
    notes = (row.description,) if row.description else ()
    return Explanation(path, limits, "", origin, worst_case_reaction(plant, row, equipment), notes)
