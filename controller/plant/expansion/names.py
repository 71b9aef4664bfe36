"""Groups of the site file expanded to single equipments, with names, blocks and tags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from controller.plant.axes import (
    AxisError,
    Instance,
    NameIndex,
    Template,
    expand_name,
    expand_reference,
    parse_template,
)
from controller.plant.messages import Message, Place, error, warning
from controller.plant.model import Block
from controller.plant.schema.site import SiteFile
from controller.plant.yaml_tree import Document, Loc, plain

SECTIONS = ("racks", "banks", "buses", "pcs", "transformers", "meters", "interlocks", "digital_io", "auxiliaries")
"""The sections of the site file that name equipment."""

MAX_EQUIPMENT = 100_000

GroupT_co = TypeVar("GroupT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Member(Generic[GroupT_co]):
    """One equipment of a group: the group as written, its own name, axis values, block and tag."""

    group: GroupT_co
    loc: Loc
    name: str
    values: Mapping[str, str]
    block: int  # -1: the plant's
    tag: str


@dataclass
class Findings:
    """Collects messages against one document; a place is complained about only once a rule."""

    document: Document
    messages: list[Message] = field(default_factory=list)
    _done: set[tuple[Loc, str]] = field(default_factory=set)

    def complain(
        self, loc: Loc, message: str, expected: str = "", hint: str = "", *, rule: str = "", key: bool = False
    ) -> None:
        """Add an error at `loc`; with a `rule`, only the first of that rule there."""
        if self._is_first(loc, rule):
            self.messages.append(error(self.place(loc, key=key), message, expected, hint))

    def complain_of_two(
        self, loc: Loc, message: str, other: Place, expected: str = "", hint: str = "", rule: str = ""
    ) -> None:
        """Add an error at `loc` that points at a second place too."""
        if self._is_first(loc, rule):
            self.messages.append(error(self.place(loc), message, expected, hint, [other]))

    def warn(self, loc: Loc, message: str, expected: str = "", hint: str = "", *, rule: str = "") -> None:
        """Add a warning at `loc`; with a `rule`, only the first of that rule there."""
        if self._is_first(loc, rule):
            self.messages.append(warning(self.place(loc), message, expected, hint))

    def complain_of_axis(self, loc: Loc, wrong: AxisError) -> None:
        """Add what is wrong with a name or a template."""
        complaint = wrong.complaint
        self.complain(loc, complaint.message, complaint.expected, complaint.hint, rule="axis")

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """Return where the value (or key) at `loc` stands."""
        return self.document.place_of(loc, key=key)

    def _is_first(self, loc: Loc, rule: str) -> bool:
        if not rule:
            return True
        first = (loc, rule) not in self._done
        self._done.add((loc, rule))
        return first


class Names:
    """Every named equipment of a site, section by section; racks in order of their blocks."""

    def __init__(self, site: SiteFile, findings: Findings) -> None:
        self.findings = findings
        self.blocks: tuple[Block, ...] = ()
        self.broken: set[str] = set()  # sections whose names are not all known: suppress what follows from that
        self._templates: dict[tuple[Loc, str], Template | None] = {}
        expanded = {s: self._instances(s, getattr(site, s)) for s in SECTIONS}
        self._block_of = self._name_blocks(expanded)
        self.members: dict[str, list[Member[object]]] = {s: self._members(expanded[s]) for s in SECTIONS}
        self.members["racks"].sort(key=lambda m: m.block)
        self._check_twice()
        self.index = {s: NameIndex(m.name for m in members) for s, members in self.members.items()}

    def _instances(self, section: str, groups: list[object]) -> list[tuple[Loc, object, Instance]]:
        found: list[tuple[Loc, object, Instance]] = []
        for position, group in enumerate(groups):
            loc: Loc = (section, position)
            try:
                found += [(loc, group, instance) for instance in expand_name(str(getattr(group, "name", "")))]
            except AxisError as wrong:
                self.broken.add(section)
                self.findings.complain_of_axis((*loc, "name"), wrong)
            if len(found) > MAX_EQUIPMENT:
                self.findings.complain((*loc, "name"), f"these are more than {MAX_EQUIPMENT} names", rule="size")
                self.broken.add(section)
                return []
        return found

    def _name_blocks(self, expanded: Mapping[str, list[tuple[Loc, object, Instance]]]) -> dict[int, int]:
        """Name the blocks by the racks' spelling where racks have them; return block number -> index."""
        spelt: dict[int, tuple[str, str]] = {}
        for section in SECTIONS:
            for _, _, instance in expanded[section]:
                value = instance.values.get("block")
                if value is not None and int(value) not in spelt:
                    spelt[int(value)] = (_block_name(instance) if section == "racks" else f"B{value}", value)
        if any("block" not in instance.values for _, _, instance in expanded["racks"]) and not spelt:
            spelt[1] = ("B1", "1")
        ordered = sorted(spelt)
        self.blocks = tuple(Block(i, spelt[n][0], f"Plant.Block{spelt[n][1]}") for i, n in enumerate(ordered))
        return {number: index for index, number in enumerate(ordered)}

    def _members(self, instances: list[tuple[Loc, object, Instance]]) -> list[Member[object]]:
        members = []
        for loc, group, instance in instances:
            value = instance.values.get("block")
            block = self._block_of[int(value)] if value is not None else -1
            members.append(Member(group, loc, instance.name, instance.values, block, self._tag(loc, instance, block)))
        return members

    def _tag(self, loc: Loc, instance: Instance, block: int) -> str:
        if loc[0] == "racks" and "rack" in instance.values:
            return ".".join(["Plant", *(f"{word.capitalize()}{value}" for word, value in instance.values.items())])
        parent = self.blocks[block].tag if block >= 0 else "Plant"
        return f"{parent}.{instance.name}"

    def _check_twice(self) -> None:
        seen: dict[str, Loc] = {}
        tags: dict[str, str] = {}
        for section in SECTIONS:
            for member in self.members[section]:
                loc: Loc = (*member.loc, "name")
                if member.name in seen:
                    other = self.findings.place(seen[member.name])
                    message = f"'{member.name}' is the name of two equipments"
                    self.findings.complain_of_two(loc, message, other, "one name, one equipment", rule="twice")
                elif tags.setdefault(member.tag, member.name) != member.name:
                    message = f"{member.name} and {tags[member.tag]} would both have the tag {member.tag}"
                    self.findings.complain(loc, message, "names that differ in their axes", rule="twice")
                seen.setdefault(member.name, loc)

    def fill(self, member: Member[object], key: str, text: str) -> str | None:
        """Return the text of a group's key for one equipment, as an address (no padding); None if it can't be."""
        template = self._template(member, key, text)
        return None if template is None else template.fill(member.values)

    def fill_name(self, member: Member[object], key: str, text: str) -> str | None:
        """Return the text of a group's key for one equipment, as a name (padding kept); None if it can't be."""
        template = self._template(member, key, text)
        return None if template is None else template.fill_name(member.values)

    def _template(self, member: Member[object], key: str, text: str) -> Template | None:
        cached = (member.loc, key)
        if cached not in self._templates:
            try:
                self._templates[cached] = parse_template(text, member.values)
            except AxisError as wrong:
                self.findings.complain_of_axis((*member.loc, key), wrong)
                self._templates[cached] = None
        return self._templates[cached]

    def refer(self, member: Member[object], key: str, text: str, section: str) -> int:
        """Return the position of the one equipment of `section` that a key names, -1 after a complaint."""
        name = self.fill_name(member, key, text)
        if name is None:
            return -1
        found = self.index[section].position.get(name, -1)
        if found < 0:
            self.broken.add(str(member.loc[0]))
        if found < 0 and section not in self.broken:
            hint = self.index[section].hint(name)
            loc = (*member.loc, key)
            self.findings.complain(
                loc, f"no '{name}' among the {section}", "" if hint else f"a name of {section}", hint, rule="ref"
            )
        return found

    def refer_to_many(self, member: Member[object], key: str, texts: Iterable[str], section: str) -> list[int]:
        """Return the positions of all equipments of `section` that a key's names and patterns stand for."""
        found: list[int] = []
        for position, text in enumerate(texts):
            loc = self._list_loc(member, key, position)
            try:
                patterns = expand_reference(text, member.values)
            except AxisError as wrong:
                self.findings.complain_of_axis(loc, wrong)
                continue
            for pattern in patterns:
                matches = self.index[section].find(pattern)
                found += matches
                if not matches:
                    self.broken.add(str(member.loc[0]))
                    self._nothing(loc, pattern, section)
        return list(dict.fromkeys(found))

    def _list_loc(self, member: Member[object], key: str, position: int) -> Loc:
        loc: Loc = (*member.loc, key)
        entry: Loc = (*loc, position)
        return entry if self.findings.document.node_at(entry) is not None else loc

    def _nothing(self, loc: Loc, pattern: str, section: str) -> None:
        if section in self.broken:
            return
        hint = "" if "*" in pattern else self.index[section].hint(pattern)
        self.findings.complain(
            loc, f"'{pattern}' matches none of the {section}", f"names or * patterns of {section}", hint, rule="ref"
        )


def _block_name(instance: Instance) -> str:
    """Return the rack's name up to and with its block's value: `B01-R03` -> `B01`."""
    value = instance.values["block"]
    return instance.name[: instance.name.index(value) + len(value)]


def expanded_lines(names: Names, document: Document) -> list[str]:
    """Return one line an equipment, the same however the file groups and orders them: what the digest is made of."""
    texts: dict[Loc, str] = {}
    lines = []
    for members in names.members.values():
        for member in members:
            if member.loc not in texts:
                group = plain(document.node_at(member.loc))
                body = {k: v for k, v in group.items() if k != "name"} if isinstance(group, dict) else {}
                texts[member.loc] = json.dumps(body, sort_keys=True)
            lines.append(f"{member.loc[0]} {member.name} {json.dumps(dict(member.values))} {texts[member.loc]}")
    return lines
