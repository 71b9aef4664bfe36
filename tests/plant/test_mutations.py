"""Every key and value of the example sites made wrong, one at a time: the message stands where the mistake is."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.plant.messages import Message, Place
from controller.plant.site_files import LIBRARY
from controller.plant.site_loader import load_site
from controller.plant.units import UNITS, Dimension
from controller.plant.yaml_tree import Document, Items, Keys, Loc, Node, Text, read_document

REPOSITORY = Path(__file__).resolve().parents[2]

EACH_OF_MANY = 9  # a quick run makes every ninth mistake; the nightly one makes all
GOAL_RATIO = 0.97
QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?) (\S+)")


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake: the file's new text, where the message should stand, and what its hint should name."""

    kind: str
    what: str
    file: str
    text: str
    place: Place
    hint: str = ""
    width: int = 0


def mutations(file: str, text: str) -> Iterator[Mutation]:
    document, _ = read_document(file, text.encode())
    for loc, key, value in _entries(document.root, ()):
        if not key.value.isdigit():  # raw values of a device: any number may be meant
            yield from _key_mistakes(document, text, loc, key)
        yield from _value_mistakes(document, text, loc, value)


def _entries(node: Node | None, loc: Loc) -> Iterator[tuple[Loc, Text, Node]]:
    if isinstance(node, Keys):
        for name, (key, value) in node.entries.items():
            yield (*loc, name), key, value
            yield from _entries(value, (*loc, name))
    elif isinstance(node, Items):
        for position, value in enumerate(node.values):
            yield from _entries(value, (*loc, position))


def _changed(text: str, place: Place, new: str) -> str:
    lines = text.split("\n")
    line = lines[place.line - 1]
    start = place.col - 1
    lines[place.line - 1] = line[:start] + new + line[start + place.width :]
    return "\n".join(lines)


def _key_mistakes(document: Document, text: str, loc: Loc, key: Text) -> Iterator[Mutation]:
    name, place = key.value, key.place
    wrong = misspelt(name)
    where = Place(place.file, place.line, place.col)
    label = ".".join(map(str, loc))
    yield Mutation("misspelt key", label, document.file, _changed(text, place, wrong), where, name)
    source = text.split("\n")[place.line - 1]
    before = source[: place.col - 1]
    if not before.strip():  # a key on a line of its own
        doubled = text.split("\n")
        doubled.insert(place.line - 1, f"{before}{name}: twice")
        again = Place(place.file, place.line + 1, place.col)
        yield Mutation("doubled key", label, document.file, "\n".join(doubled), again)


def misspelt(name: str) -> str:
    """Swap two letters in the middle, or double one: what fingers do."""
    letters = [
        i for i in range(len(name) - 1) if name[i].isalpha() and name[i + 1].isalpha() and name[i] != name[i + 1]
    ]
    if not letters or len(name) < 4:
        return name[:-1] + name[-1] * 2
    at = letters[len(letters) // 2]
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def _value_mistakes(document: Document, text: str, loc: Loc, value: Node) -> Iterator[Mutation]:
    if not isinstance(value, Text) or len(text.split("\n")[value.place.line - 1]) < value.place.col:
        return
    where = Place(value.place.file, value.place.line, value.place.col)
    label = ".".join(map(str, loc))
    quantity = QUANTITY.fullmatch(value.value)

    def mutation(kind: str, new: str) -> Mutation:
        return Mutation(kind, label, document.file, _changed(text, value.place, new), where, width=len(new))

    yield mutation("list for value", "[one, two]")
    yield mutation("group for value", "{a: b}")
    yield mutation("empty value", '""')
    if quantity and quantity[2] in UNITS:
        unit = UNITS[quantity[2]]
        other = "V" if unit.dimension is not Dimension.VOLTAGE else "kW"
        yield mutation("wrong dimension", f"{quantity[1]} {other}")
        yield mutation("no unit", quantity[1])
        yield mutation("unknown unit", f"{quantity[1]} {quantity[2]}q")
        if float(quantity[1]):
            yield mutation("absurd size", f"{quantity[1]}e6 {quantity[2]}")
    elif not value.quoted and re.fullmatch(r"[a-z][a-z_0-9-]{3,}", value.value):
        yield mutation("misspelt value", misspelt(value.value))


def site_with_own_device(folder: Path, site: str) -> Path:
    """Return a copy of an example site that brings the device files it uses."""
    shutil.copytree(REPOSITORY / "site_configs" / site, folder / "site")
    own = folder / "site" / "devices"
    own.mkdir()
    names = ("generic-rack-bms", "generic-pcs")
    for name in names:
        shutil.copy(LIBRARY / "devices" / f"{name}.yaml", own)
    text = (folder / "site" / "site.yaml").read_text()
    uses = "".join(f"  - devices/{name}.yaml\n" for name in names)
    (folder / "site" / "site.yaml").write_text(text.replace("use:\n", f"use:\n{uses}"))
    assert load_site(folder / "site").text() == ""
    return folder / "site"


def found(message: Message, mutation) -> bool:
    """Tell whether a message stands at the mistake (or inside what replaced it) and suggests what was meant."""
    place, wanted = message.place, mutation.place
    there = (place.file, place.line) == (
        wanted.file,
        wanted.line,
    ) and wanted.col <= place.col <= wanted.col + mutation.width
    return there and mutation.hint in message.hint + message.expected


def run(folder: Path, each: int) -> tuple[Counter[str], Counter[str], list[str]]:
    right, total, missed = Counter[str](), Counter[str](), []
    number = 0
    for path in sorted(folder.rglob("*.yaml")):
        text = path.read_text()
        for mutation in mutations(path.relative_to(folder).as_posix(), text):
            number += 1
            if number % each:
                continue
            path.write_text(mutation.text)
            messages = load_site(folder).messages
            hit = any(found(message, mutation) for message in messages)
            total[mutation.kind] += 1
            right[mutation.kind] += hit
            if not hit:
                missed.append(
                    f"{mutation.kind} {mutation.what} at {mutation.place}: {[m.message for m in messages][:2]}"
                )
        path.write_text(text)
    return right, total, missed


def report(right: Counter[str], total: Counter[str], missed: list[str]) -> float:
    score = sum(right.values()) / sum(total.values())
    for kind in total:
        print(f"{kind:20s} {right[kind]:5d} of {total[kind]:5d}")  # noqa: T201 - the score is what is asked for
    print(f"{sum(right.values())} of {sum(total.values())} = {score:.1%}", *missed, sep="\n")  # noqa: T201 - as above
    return score


def test_mistakes_are_found_where_they_are(tmp_path):
    assert report(*run(site_with_own_device(tmp_path, "demo"), EACH_OF_MANY)) >= GOAL_RATIO


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("site", ["demo", "grid_20mw_40mwh"])
def test_all_mistakes_are_found_where_they_are(tmp_path, site):
    assert report(*run(site_with_own_device(tmp_path, site), 1)) >= GOAL_RATIO
