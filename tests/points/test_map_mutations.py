"""Every cell of the example's register list made wrong, one at a time: the message stands where the mistake is."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.commissioning.party_maps import maps_of
from controller.commissioning.validation import validate_site
from controller.plant.messages import Place
from controller.plant.site_loader import load_site_or_raise
from controller.points.party_map import COLUMNS, REQUIRED, read_party_map
from controller.points.point_list import PointList, point_list
from tests.plant.test_mutations import GOAL_RATIO, Mutation, found, misspelt, report

TWINS = Path(__file__).resolve().parents[2] / "site_configs" / "coast_twins"
FILE = "maps/grid-operator.csv"
NUMBERS = ("address", "scale", "deadband")
ABSURD = {"address": "70000", "scale": "-1e9", "deadband": "-5"}


@pytest.fixture(scope="module")
def listed() -> PointList:
    return point_list(load_site_or_raise(TWINS))


def mutations(text: str) -> Iterator[Mutation]:
    lines = text.splitlines()
    head = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    header = lines[head].split(",")
    yield from _of_the_header(lines, head, header)
    for number in range(head + 1, len(lines)):
        yield from _of_a_row(lines, number, header)


def _of_the_header(lines: list[str], head: int, header: list[str]) -> Iterator[Mutation]:
    for column, name in enumerate(header):
        yield _cell_changed(lines, head, column, "misspelt column", misspelt(name), name)
        yield _cell_changed(lines, head, column, "doubled column", header[column - 1])
        if name in REQUIRED:
            less = [",".join(t for k, t in enumerate(line.split(",")) if k != column) for line in lines[head:]]
            text = "\n".join([*lines[:head], *less])
            yield Mutation("missing column", name, FILE, text, Place(FILE, head + 1, 1), name, width=len(lines[head]))


def _of_a_row(lines: list[str], number: int, header: list[str]) -> Iterator[Mutation]:
    row = dict(zip(header, lines[number].split(","), strict=True))
    column = {name: header.index(name) for name in header}
    yield _cell_changed(lines, number, column["tag"], "misspelt tag", misspelt(row["tag"]), row["tag"])
    yield _cell_changed(lines, number, column["type"], "misspelt type", misspelt(row["type"]), row["type"])
    for name in REQUIRED:
        yield _cell_changed(lines, number, column[name], "empty cell", "")
    for name in NUMBERS:
        yield _cell_changed(lines, number, column[name], "word for a number", "many")
        yield _cell_changed(lines, number, column[name], "absurd size", ABSURD[name])
    yield _cell_changed(lines, number, column["sign"], "wrong word", "7")
    yield _cell_changed(lines, number, column["writable"], "wrong word", "perhaps")
    yield _cell_changed(lines, number, column["words"], "misspelt word", "hihg_first", "high_first")
    yield _cell_changed(lines, number, column["unit"], "unknown unit", "kWq")
    yield _cell_changed(lines, number, column["unit"], "wrong dimension", "Ah")
    if row["writable"] == "no":
        yield _cell_changed(lines, number, column["writable"], "not to be written", "yes")
    yield _cell_changed(lines, number, column["description"], "cell too many", f"{row['description']},more")
    doubled = [*lines[: number + 1], lines[number], *lines[number + 1 :]]
    where = Place(FILE, number + 2, 1)
    yield Mutation("doubled row", row["tag"], FILE, "\n".join(doubled), where, width=len(lines[number]))


def _cell_changed(lines: list[str], number: int, column: int, kind: str, new: str, hint: str = "") -> Mutation:
    cells = lines[number].split(",")
    col = sum(len(cell) + 1 for cell in cells[:column]) + 1
    changed = [*lines[:number], ",".join([*cells[:column], new, *cells[column + 1 :]]), *lines[number + 1 :]]
    where = Place(FILE, number + 1, col)
    return Mutation(kind, f"{cells[0]} {column}", FILE, "\n".join(changed), where, hint, width=len(new))


def test_the_example_reads_as_the_other_side_counts(listed: PointList) -> None:
    text = (TWINS / FILE).read_text(encoding="utf-8")
    rows, messages = read_party_map(text, FILE, listed, 100)
    assert messages == []
    assert [row.place.address for row in rows] == [0, 1, 2, 3, 4, 5, 7, 9, 20, 22, 30]
    power = next(row for row in rows if row.target.tag == "Plant.ActivePower")
    assert power.place.factor == pytest.approx(-1000.0)  # 1.5 MW of export are -1500 kW there
    assert [row.target.tag for row in rows if row.place.writable] == [
        "Plant.ExportLimit",
        "Plant.ImportLimit",
        "Plant.Stop",
    ]


@pytest.mark.parametrize("site", ["site.yaml", "south.yaml"])
def test_the_example_is_served_by_both_plants(site: str) -> None:
    checked = validate_site(TWINS / site)
    assert checked.errors == ()
    assert checked.result.plant is not None
    assert [party.file for party in maps_of(checked.result.plant)] == [FILE]


def test_mistakes_in_a_list_are_found_where_they_are(listed: PointList) -> None:
    text = (TWINS / FILE).read_text(encoding="utf-8")
    assert list(csv.reader(io.StringIO(text)))[2] == list(COLUMNS)
    right, total, missed = Counter[str](), Counter[str](), []
    for mutation in mutations(text):
        messages = read_party_map(mutation.text, FILE, listed, 100)[1]
        hit = any(found(message, mutation) for message in messages)
        total[mutation.kind] += 1
        right[mutation.kind] += hit
        if not hit:
            what = [f"{m.place} {m.message} / {m.expected} / {m.hint}" for m in messages]
            missed.append(f"{mutation.kind} {mutation.what} at {mutation.place}: {what[:2]}")
    assert report(right, total, missed) >= GOAL_RATIO
