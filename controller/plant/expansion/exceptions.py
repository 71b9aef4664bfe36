"""The `exceptions:` of a site: what is different about single equipments, with a reason and an end.

Keys are names or `*` patterns; the most specific one wins; a tie is an error. An exception past its date becomes a
warning (a lock-out never expires: past its date it is overdue).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from controller.plant.expansion.names import Findings, Names
from controller.plant.model import OutOfService
from controller.plant.schema.site import ExceptionSection, ServiceState

SECTIONS_WITH_EXCEPTIONS = ("racks", "pcs")


class Exceptions:
    """The exceptions of a site, found by section and position of the equipment."""

    def __init__(self, sections: Mapping[str, ExceptionSection], names: Names, findings: Findings) -> None:
        self.names = names
        self.findings = findings
        self._found: dict[tuple[str, int], dict[str, tuple[Any, str]]] = {}
        for pattern in sorted(sections, key=specificity):
            self._check(pattern, sections[pattern])
            self._lay(pattern, sections[pattern])

    def service(self, section: str, position: int) -> OutOfService | None:
        """Return who took the equipment out of service and why, or None."""
        found = self._found.get((section, position), {})
        state, pattern = found.get("state", (None, ""))
        if state is None:
            return None
        until = found.get("until", (None, pattern))[0]
        return OutOfService(
            reason=found["reason"][0] if "reason" in found else "",
            by=found["by"][0] if "by" in found else "",
            until=until.isoformat() if until else "",
            lock_out=state is ServiceState.LOCKED_OUT,
        )

    def poll(self, section: str, position: int) -> Mapping[str, float]:
        """Return the poll periods that differ from the group's."""
        found: Mapping[str, float] = self._found.get((section, position), {}).get("poll", ({}, ""))[0]
        return found

    def refuse_poll(self, section: str, position: int, why: str) -> None:
        """Complain if a poll period is stated for equipment that has no device of its own."""
        _, pattern = self._found.get((section, position), {}).get("poll", (None, ""))
        if pattern:
            self.findings.complain(("exceptions", pattern, "poll"), why, "a rack with a device of its own", rule="poll")

    def overdue(self, sections: Mapping[str, ExceptionSection], today: dt.date) -> None:
        """Warn of every exception past its date."""
        for pattern, section in sections.items():
            if section.until is not None and section.until < today:
                what = (
                    "is overdue: a lock-out does not expire"
                    if section.state is ServiceState.LOCKED_OUT
                    else "has expired"
                )
                loc = ("exceptions", pattern, "until")
                self.findings.warn(loc, f"exception '{pattern}' {what}", "a date to come", "extend it, or delete it")

    def _check(self, pattern: str, section: ExceptionSection) -> None:
        if section.state is not None and not (section.reason and section.by):
            missing = "reason" if not section.reason else "by"
            message = f"exception '{pattern}' has no '{missing}'"
            self.findings.complain(("exceptions", pattern), message, "state, reason and by", key=True)

    def _lay(self, pattern: str, section: ExceptionSection) -> None:
        matched = False
        for where in SECTIONS_WITH_EXCEPTIONS:
            for position in self.names.index[where].find(pattern):
                matched = True
                self._set((where, position), pattern, section)
        if not matched and not self.names.broken.intersection(SECTIONS_WITH_EXCEPTIONS):
            hints = [self.names.index[where].hint(pattern) for where in SECTIONS_WITH_EXCEPTIONS if "*" not in pattern]
            hint = next((h for h in hints if h), "")
            message = f"exception '{pattern}' matches no rack and no PCS"
            self.findings.complain(
                ("exceptions", pattern), message, "a name or a pattern such as B03-*", hint, key=True
            )

    def _set(self, equipment: tuple[str, int], pattern: str, section: ExceptionSection) -> None:
        found = self._found.setdefault(equipment, {})
        for key in section.model_fields_set:
            if key in found and specificity(found[key][1]) == specificity(pattern):
                name = self.names.members[equipment[0]][equipment[1]].name
                other = self.findings.place(("exceptions", found[key][1]), key=True)
                message = f"'{pattern}' and '{found[key][1]}' both say '{key}' of {name}, and neither is more specific"
                self.findings.complain_of_two(("exceptions", pattern), message, other, rule="tie")
            found[key] = (getattr(section, key), pattern)


def specificity(pattern: str) -> tuple[bool, int]:
    """Rank a pattern: whole names above patterns, then by the letters that are fixed."""
    return "*" not in pattern, len(pattern.replace("*", ""))
