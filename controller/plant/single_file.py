"""A file that a site uses, checked without the site: what it is, what is wrong with it by itself, what is left to see.

Most of what is wrong with a device file shows only beside the racks that it serves, so the answer says what was looked
at, and how the rest is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.plant.checks.text import check_text
from controller.plant.device_types import DeviceType
from controller.plant.expansion.names import Findings
from controller.plant.figures import counted
from controller.plant.ingredient_files import CELL, DEVICE, PROTECTIONS, SCHEDULE, IngredientFiles
from controller.plant.messages import Message, in_order
from controller.plant.protection_loader import Drafts, Rated, RowBuilder
from controller.plant.site_files import SiteFiles, followed
from controller.plant.site_loader import SITE_FILE, LoadResult
from controller.plant.yaml_tree import Document

KINDS = {
    DEVICE: (
        "a device file",
        "keys, units, registers, steps, codes",
        "whether it fits the racks, limits and polls of a site",
    ),
    PROTECTIONS: (
        "a protection file",
        "keys, units and limits of each row",
        "whether devices feed it and cells bear it",
    ),
    SCHEDULE: ("a schedule", "keys, times and days", "whether the plant can do it"),
    CELL: ("a cell file", "keys, units, tables and limits", "whether the racks fit it"),
}
"""What a file of a schema is, what is looked at in it, and what only a site can show."""


@dataclass(frozen=True, slots=True)
class SingleFile:
    """What was found in a file, and what it is in words."""

    result: LoadResult
    what: str


def single_file(path: Path) -> SingleFile | None:
    """Return what is to be said about a file that is no site; None if it is one, or can't be told from one."""
    file = followed(path)
    folder = next((f for f in (file.parent, file.parent.parent) if (f / SITE_FILE).is_file()), file.parent)
    files = SiteFiles(folder)
    document = files.read(file) if file.is_file() else None
    schema = document.text_at(("schema",)) if document is not None else ""
    if document is None or schema not in KINDS:
        return None
    ingredients = IngredientFiles(files, Findings(document))
    row_messages: list[Message] = []
    what = "not readable"
    if document.root is None:
        pass
    elif schema == DEVICE:
        what = _device(ingredients.device_alone(document))
    elif schema == PROTECTIONS:
        what, row_messages = _rows(ingredients.protections_alone(document))
    elif schema == SCHEDULE:
        what = counted(len(ingredients.schedule_alone(document)), "entry", "entries")
    elif (cell := ingredients.cell_alone(document)) is not None:
        what = f"{cell.name}, {cell.chemistry}, {cell.capacity_ah:g} Ah"
    found = [*files.messages, *_texts(files.documents.values()), *ingredients.messages, *row_messages]
    messages = [*found, *ingredients.findings.messages]
    kind, looked_at, left = KINDS[schema]
    site = (
        f"bess validate {folder}" if (folder / SITE_FILE).is_file() else "bess validate SITE, with the file under 'use'"
    )
    text = f"{document.file} is {kind} ({schema}): {what}\nlooked at by itself: {looked_at}; not looked at:"
    text += f" {left}. See that with: {site}"
    return SingleFile(LoadResult(None, in_order(messages), files.documents), text)


def _texts(documents: Iterable[Document]) -> Iterable[Message]:
    own = (document for document in documents if not document.file.startswith("library/"))
    return (message for document in own for message in check_text(document))


def _device(found: DeviceType | None) -> str:
    if found is None:
        return "not readable as one"
    points = counted(len(found.points), "point")
    commands = counted(sum(1 for p in found.points if p.signal.command), "command")
    polls = counted(len(found.poll_blocks), "polling class", "polling classes")
    return f"{found.kind} '{found.name}' of {found.maker}, {points} ({commands}) in {polls}"


_ANY_RATED = Rated(100.0, 100.0, 1e6)
"""What `% of rated` stands for where no site says it: rows in per cent are compared with each other only."""


def _rows(drafts: Drafts | None) -> tuple[str, list[Message]]:
    if drafts is None:
        return "not readable as one", []
    builder = RowBuilder(lambda _only: _ANY_RATED)
    rows = builder.rows(drafts)
    return counted(len(rows), "row"), builder.messages
