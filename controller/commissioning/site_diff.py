"""`bess diff`: what is different between two sites after expansion, and which commissioning checks that invalidates.

The same change of many equipments is one line with their number. Moving a row of the file, renaming an axis or writing
a quantity in another unit is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from controller.commissioning.checks import NOT_THERE, Check, CheckKind, Retest, checks, invalidated
from controller.commissioning.facts import Facts, Subject, facts
from controller.commissioning.frozen_maps import frozen_map
from controller.commissioning.party_maps import party_points
from controller.plant.figures import counted
from controller.plant.model import Plant
from controller.points.addresses import map_version
from controller.points.point_list import point_list

NAMES_SHOWN = 3
REASONS_SHOWN = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One key that is different; `before` or `after` is "" where it is not there."""

    subject: Subject
    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class SiteDiff:
    """What is there only after, only before, and what changed of what is in both; `retest`: None if not asked for."""

    added: tuple[Subject, ...]
    removed: tuple[Subject, ...]
    changed: tuple[Change, ...]
    retest: tuple[Retest, ...] | None = None
    still_valid: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether the two are the same."""
        return not (self.added or self.removed or self.changed)

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        answer: dict[str, object] = {
            "added": [s._asdict() for s in self.added],
            "removed": [s._asdict() for s in self.removed],
            "changed": [
                {**c.subject._asdict(), "key": c.key, "before": c.before, "after": c.after} for c in self.changed
            ],
        }
        if self.retest is not None:
            answer["retest"] = [
                {"kind": r.check.kind.value, "subject": r.check.subject, "equipments": r.check.equipments,
                 "hash": r.check.hash, "reasons": list(r.reasons)}
                for r in self.retest
            ]  # fmt: skip
            answer["still_valid"] = self.still_valid
        return answer

    def as_text(self) -> str:
        """Return it for people."""
        lines = [f"+ {line}" for line in _grouped(self.added)] + [f"- {line}" for line in _grouped(self.removed)]
        lines += _changes(self.changed)
        text = "\n".join(lines) if lines else "no difference"
        return text if self.retest is None else f"{text}\n\n{_retests(self.retest, self.still_valid)}"


def diff_sites(before: tuple[Path, Plant], after: tuple[Path, Plant], *, retest: bool) -> SiteDiff:
    """Return the difference of two loaded sites, with what is to be tested again if asked."""
    earlier, later = _Side(*before), _Side(*after)
    found = site_diff(earlier.facts(), later.facts())
    if not retest:
        return found
    return _with_retests(found, earlier.checks(), later.checks())


class _Side:
    """One of the two sites, with what it has in files of their own: parties' lists and the frozen map."""

    def __init__(self, site: Path, plant: Plant) -> None:
        self.plant = plant
        self.frozen = frozen_map(site)
        self.parties = party_points(plant, site, point_list(plant))

    def facts(self) -> Facts:
        frozen = {} if self.frozen is None else {"version": str(map_version(self.frozen))}
        return {**facts(self.plant, self.parties), Subject("frozen map", ""): frozen}

    def checks(self) -> tuple[Check, ...]:
        return checks(self.plant, self.frozen, self.parties)


def _with_retests(found: SiteDiff, earlier: tuple[Check, ...], later: tuple[Check, ...]) -> SiteDiff:
    again = invalidated(earlier, later)
    return replace(found, retest=again, still_valid=len(later) - len(again))


def site_diff(before: Facts, after: Facts) -> SiteDiff:
    """Return the difference of two sites' facts."""
    changed = [
        Change(subject, key, before[subject].get(key, ""), after[subject].get(key, ""))
        for subject in after
        if subject in before
        for key in dict.fromkeys((*before[subject], *after[subject]))
        if before[subject].get(key) != after[subject].get(key)
    ]
    return SiteDiff(
        tuple(s for s in after if s not in before), tuple(s for s in before if s not in after), tuple(changed)
    )


def _grouped(subjects: Iterable[Subject]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for subject in subjects:
        groups.setdefault(subject.group, []).append(subject.name)
    for group, names in groups.items():
        yield f"{group:12} {_names(names)}"


def _names(names: list[str]) -> str:
    if len(names) <= NAMES_SHOWN:
        return ", ".join(name for name in names if name)
    return f"{names[0]} .. {names[-1]}  ({len(names)})"


def _changes(changes: Iterable[Change]) -> Iterator[str]:
    same: dict[tuple[str, str, str, str], list[str]] = {}
    for change in changes:
        same.setdefault((change.subject.group, change.key, change.before, change.after), []).append(change.subject.name)
    tables: dict[tuple[str, str, str], int] = {}
    for (group, key, before, after), names in same.items():
        table = (group, _names(names), key.partition(" at ")[0])
        tables[table] = tables.get(table, 0) + 1
        if tables[table] <= NAMES_SHOWN or table[2] == key:
            yield f"~ {group:12} {table[1]}  {key}: {before or NOT_THERE} -> {after or NOT_THERE}"
    for (group, shown, stem), count in tables.items():
        if count > NAMES_SHOWN:
            yield f"~ {group:12} {shown}  {stem}: and {counted(count - NAMES_SHOWN, 'more value')} of this table"


_OF_EACH = (CheckKind.P2P, CheckKind.WATCHDOG, CheckKind.INTERLOCK, CheckKind.POLL_BUDGET)
"""Checks of one device each, of which a change of their type makes hundreds."""


def _alike(retests: Iterable[Retest]) -> Iterator[list[Retest]]:
    """Yield the retests, those of devices for the same reasons (but for their own names) together."""
    groups: dict[tuple[object, ...], list[Retest]] = {}
    for retest in retests:
        check = retest.check
        reasons = tuple(reason.replace(check.subject, "") for reason in retest.reasons)
        groups.setdefault((check.kind, reasons if check.kind in _OF_EACH else check.subject), []).append(retest)
    yield from groups.values()


def _retests(retests: tuple[Retest, ...], still_valid: int) -> str:
    if not retests:
        return f"nothing to test again: all {still_valid} checks stay valid"
    lines = [f"test again: {len(retests)} of {counted(len(retests) + still_valid, 'check')}"]
    for alike in _alike(retests):
        first = alike[0]
        count = f"  ({first.check.equipments} alike)" if first.check.equipments > 1 and len(alike) == 1 else ""
        lines.append(f"  {first.check.kind.value} {_names([r.check.subject for r in alike])}{count}".rstrip())
        lines += [f"      {reason}" for reason in first.reasons[:REASONS_SHOWN]]
        if len(first.reasons) > REASONS_SHOWN:
            lines.append(f"      and {len(first.reasons) - REASONS_SHOWN} more")
    lines.append(f"everything else stays valid ({still_valid})")
    return "\n".join(lines)
