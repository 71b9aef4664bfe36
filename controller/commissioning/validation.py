"""`bess validate`: every off-line check of a site, for people, for machines and for code review."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from controller.commissioning.frozen_maps import FREEZE_ANEW, frozen_file, frozen_map
from controller.commissioning.party_maps import party_messages
from controller.link.secret_store import FoundSecret, SecretError, find_secret, readable_by_others, variable_of
from controller.plant.figures import counted
from controller.plant.messages import Message, Place, Severity, error, in_order, warning
from controller.plant.model import Plant
from controller.plant.single_file import single_file
from controller.plant.site_loader import LoadResult, Sources, load_site, site_file
from controller.plant.yaml_tree import MAX_BYTES, Text, walk
from controller.points.addresses import FrozenMapError, flat_map
from controller.points.point_list import point_list
from controller.protection.row_checks import ProtectionError, check_row

FORMS = ("text", "github")


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found; `readable`: there was a site file at all; `alone`: what a file is that is no site."""

    result: LoadResult
    readable: bool
    alone: str = ""

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


def validate_site(
    path: Path, *, today: dt.date | None = None, state_of: Callable[[str], Path] | None = None, runs_here: bool = False
) -> Validation:
    """Load a site and return everything that is to be said about it.

    `today` lets exceptions past their date be reported, `state_of` (site id to state folder) lets secrets be sought;
    where the site `runs_here`, one that is not found is an error.
    """
    single = single_file(path)
    if single is not None:
        return Validation(single.result, True, single.what)
    result = load_site(path, today=today)
    plant, sources = result.plant, result.sources
    if plant is not None and sources is not None:
        more = [*_rows(plant, sources), *_frozen_map(path, plant), *party_messages(result), *_unused(path, result)]
        if state_of is not None:
            more += _secrets(sources, state_of(plant.site_id), runs_here=runs_here)
        result = replace(result, messages=in_order((*result.messages, *more)))
    return Validation(result, site_file(path).is_file())


def _rows(plant: Plant, sources: Sources) -> Iterator[Message]:
    """A row that protection would refuse at its start is refused here."""
    for row in plant.protection:
        try:
            check_row(row)
        except ProtectionError as wrong:
            place = sources.drafts[row.owner, row.name].place
            said, _, expected = str(wrong).removeprefix(f"{row.file}:{row.line}: ").partition("; expected ")
            yield error(place, said, expected or "a row that can be judged", "'bess explain' shows what a row is")


def _secrets(sources: Sources, state: Path, *, runs_here: bool) -> Iterator[Message]:
    """Every secret that the site names is somewhere on this machine, and nobody else may read it."""
    for loc, node in walk(sources.document.root):
        if loc[-1:] != ("secret",) or not isinstance(node, Text):
            continue
        name, expected = node.value, f"a credential, a file under {state / 'secrets'} or ${variable_of(node.value)}"
        hint = f"bess secret set {name}"
        try:
            found = find_secret(name, state)
        except SecretError as wrong:
            yield error(node.place, str(wrong), "a name such as opcua-users")
            continue
        if found is None:
            made = error if runs_here else warning
            yield made(node.place, f"the secret '{name}' is not on this machine", expected, hint)
        elif readable_by_others(found):
            yield error(node.place, f"others may read the secret '{name}'", "mode 0400", f"chmod 0400 {found}")
        elif loc[-2:] == ("users", "secret") and not _USER.search(_value(found)):
            message = f"the secret '{name}' is no list of users: nobody could log in"
            yield error(node.place, message, "users with their roles", f"{hint} --user NAME --role operator")


def _value(found: FoundSecret) -> str:
    """Return what a secret holds, "" where it can't be read."""
    try:
        return found.value()
    except (OSError, UnicodeDecodeError):
        return ""


_USER = re.compile(r"^[^:#\s][^:]*:\w+:scrypt:", re.MULTILINE)
"""How a line of a file of users begins: `anna:operator:scrypt:...`."""
_SCHEMA = re.compile(r"^schema:\s*[\"']?(\w+)/v\d+", re.MULTILINE)
_WHAT = {"schedule": "a schedule", "protections": "a protection file"}


def _unused(site: Path, result: LoadResult) -> Iterator[Message]:
    """A schedule or a protection file that lies beside a site and that no site of the folder reads is forgotten."""
    file = site_file(site)
    texts = {p: _text_of(p) for p in sorted(file.parent.glob("*.y*ml"))}
    kinds = {p: found[1] if (found := _SCHEMA.search(text)) else "" for p, text in texts.items()}
    readers = [text for p, text in texts.items() if kinds[p] in ("site", "protections") or p == file]
    for p, kind in kinds.items():
        if kind in _WHAT and p.name not in result.documents and not any(p.name in text for text in readers):
            message = f"{p.name} is {_WHAT[kind]}, and no site of this folder uses it"
            assert result.sources is not None, "a plant was loaded"
            place = result.sources.document.place_of(("use",), key=True)
            yield warning(place, message, f"'- {p.name}' under use, or no such file here")


def _text_of(path: Path) -> str:
    """Return a file's text, "" where it can't be read: what is used is read, and complained about, elsewhere."""
    try:
        return path.read_text(encoding="utf-8-sig") if path.stat().st_size <= MAX_BYTES else ""
    except (OSError, ValueError):
        return ""


def _frozen_map(site: Path, plant: Plant) -> Iterator[Message]:
    """What is frozen stands where it stood."""
    try:
        frozen = frozen_map(site)
        if frozen is not None:
            flat_map(point_list(plant), frozen)
    except FrozenMapError as wrong:
        file = frozen_file(site)
        name = file.relative_to(site_file(site).parent).as_posix()
        text = str(wrong).removeprefix(f"{file}: ")
        line = _line_of(file, text)
        hint = f"put the point back, or agree a new map with its readers: {FREEZE_ANEW}"
        yield error(Place(name, line), text.removeprefix(f"line {line}: "), "every frozen point, where it was", hint)


def _line_of(file: Path, text: str) -> int:
    """Return the line that a message is about: it names the line, or begins with the tag."""
    word, _, rest = text.partition(" ")
    if word == "line" and rest.partition(":")[0].isdigit():
        return int(rest.partition(":")[0])
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((k for k, line in enumerate(lines, 1) if line.startswith(f"{word},")), 1)


def report(found: Validation, form: str, *, strict: bool) -> str:
    """Return the answer for people (`text`) or as annotations of a code review (`github`)."""
    if form == "github":
        return "\n".join(_annotation(m, strict=strict) for m in found.result.messages)
    text = found.result.text()
    return f"{text}\n\n{_summary(found)}" if text else _summary(found)


def _annotation(message: Message, *, strict: bool) -> str:
    level = "error" if strict or message.severity is Severity.ERROR else "warning"
    parts = [message.message, f"expected: {message.expected}" if message.expected else "", message.hint]
    text = "%0A".join(_escaped(p) for p in parts if p)
    file = _escaped(message.place.file).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} file={file},line={message.place.line},col={message.place.col}::{text}"


def _escaped(text: str) -> str:
    """Return a text as a workflow command carries it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _summary(found: Validation) -> str:
    counts = f"{counted(len(found.errors), 'error')}, {counted(len(found.warnings), 'warning')}"
    plant = found.result.plant
    if found.alone:
        return f"{found.alone}\n{counts}"
    if plant is None:
        return counts
    cells = sum(r.battery.cells_in_series * r.battery.cells_in_parallel for r in plant.racks)
    inventory = ", ".join((
        counted(len(plant.racks), "rack"), counted(cells, "cell"), f"{len(plant.pcs)} PCS",
        counted(len(plant.meters), "meter"),
        f"{counted(len(plant.devices), 'device')} on {counted(len(plant.links), 'connection')}",
    ))  # fmt: skip
    return f"{plant.site_id}: {inventory}; {counts}"
