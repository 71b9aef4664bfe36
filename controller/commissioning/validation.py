"""`bess validate`: every off-line check of a site, for people, for machines and for code review."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controller.plant.messages import Message, Severity
from controller.plant.site_loader import LoadResult, load_site, site_file


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found; `readable`: there was a site file at all."""

    result: LoadResult
    readable: bool

    @property
    def errors(self) -> tuple[Message, ...]:
        """What stops the site from being run."""
        return self.result.errors

    @property
    def warnings(self) -> tuple[Message, ...]:
        """What does not."""
        return self.result.warnings

    def as_json(self, *, strict: bool) -> dict[str, object]:
        """Return the answer for machines; all messages."""
        return {
            "ok": not self.errors and not (strict and self.warnings),
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "messages": [m.as_json() for m in self.result.messages],
        }


def validate_site(path: Path) -> Validation:
    """Load a site and return everything that is to be said about it."""
    return Validation(load_site(path), site_file(path).is_file())


def report(found: Validation, form: str, *, strict: bool) -> str:
    """Return the answer for people (`text`) or as annotations of a code review (`github`)."""
    if form == "github":
        return "\n".join(_annotation(m, strict=strict) for m in found.result.messages)
    text = found.result.text()
    return f"{text}\n\n{_summary(found)}" if text else _summary(found)


def _annotation(message: Message, *, strict: bool) -> str:
    level = "error" if strict or message.severity is Severity.ERROR else "warning"
    parts = [message.message, f"expected: {message.expected}" if message.expected else "", message.hint]
    text = "%0A".join(p for p in parts if p)
    return f"::{level} file={message.place.file},line={message.place.line},col={message.place.col}::{text}"


def _summary(found: Validation) -> str:
    counts = f"{len(found.errors)} errors, {len(found.warnings)} warnings"
    plant = found.result.plant
    if plant is None:
        return counts
    cells = sum(r.battery.cells_in_series * r.battery.cells_in_parallel for r in plant.racks)
    inventory = f"{len(plant.racks)} racks, {cells} cells, {len(plant.pcs)} PCS, {len(plant.meters)} meters"
    return f"{plant.site_id}: {inventory}, {len(plant.devices)} devices on {len(plant.links)} links; {counts}"
