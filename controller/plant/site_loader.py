"""`load_site`: a site's files in, a frozen `Plant` out, or messages that say where and why not.

Stages, each only if the one before found no error, so that causes are shown and consequences are not:
files and YAML -> schemas -> names and relations -> cross-checks.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from controller.plant.cell_types import CellType
from controller.plant.checks.context import CheckContext
from controller.plant.checks.site_checks import check_plant
from controller.plant.checks.text import check_text
from controller.plant.device_types import DeviceType
from controller.plant.expansion.devices import DeviceBuilder
from controller.plant.expansion.exceptions import Exceptions
from controller.plant.expansion.names import Findings, Names, expanded_lines
from controller.plant.expansion.plant import Equipment, Ingredients, PlantExpander
from controller.plant.expansion.settings import (
    accepted_overdue,
    batteries_of,
    control_of,
    faces_of,
    poi_of,
    simulation_of,
)
from controller.plant.extends import Extender
from controller.plant.ingredient_files import IngredientFiles
from controller.plant.messages import Message, Place, Severity, error, in_order, nearest, render
from controller.plant.model import BatteryType, Plant
from controller.plant.protection_loader import Drafts, Rated, RowBuilder
from controller.plant.protection_rows import ProtectionRow
from controller.plant.schema.messages import check
from controller.plant.schema.site import SiteFile
from controller.plant.site_files import SiteFiles, followed
from controller.plant.yaml_tree import Document, plain

SITE_FILE = "site.yaml"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything comes from, for `explain`: the site file, the names of its groups, the protection rows."""

    document: Document
    names: Names
    drafts: Drafts


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What loading gave: the plant, or None with at least one error; all messages in order; the files' trees."""

    plant: Plant | None
    messages: tuple[Message, ...]
    documents: Mapping[str, Document]
    sources: Sources | None = None

    @property
    def errors(self) -> tuple[Message, ...]:
        """Only the errors."""
        return tuple(m for m in self.messages if m.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Message, ...]:
        """Only the warnings."""
        return tuple(m for m in self.messages if m.severity is Severity.WARNING)

    def sealed(self) -> dict[str, bytes]:
        """Return every file that was read, by its name; written to a folder under these names, they load the same."""
        return {name: document.data for name, document in self.documents.items()}

    def text(self) -> str:
        """Return the messages for people, with source lines and carets."""
        return render(self.messages, {name: document.lines for name, document in self.documents.items()})


class SiteError(ValueError):
    """A site that can't be loaded; `result` has the messages, the text shows them."""

    def __init__(self, result: LoadResult) -> None:
        super().__init__(result.text())
        self.result = result


def load_site(path: str | Path, *, today: dt.date | None = None) -> LoadResult:
    """Return the plant of a site (a folder with `site.yaml`, or that file) with all messages. Never raises.

    `today` lets exceptions past their date be reported.
    """
    file = site_file(Path(path))
    files = SiteFiles(file.parent)
    document = files.read(file)
    if document is None:
        missing = error(Place(str(file)), why_unread(file), f"a folder with {SITE_FILE}, or that file", _near(file))
        return LoadResult(None, (missing,), {})
    extender = Extender(files)
    loading = _Loading(files, extender.whole(document), today, extender.messages)
    plant = loading.plant()
    messages = in_order(loading.all_messages())
    failed = any(m.severity is Severity.ERROR for m in messages)
    return LoadResult(None if failed else plant, messages, files.documents, loading.sources)


def _near(file: Path) -> str:
    """Return how to mend a site file that is there by another name."""
    try:
        there = sorted(p.name for p in file.parent.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file())
    except OSError:
        return ""
    near = nearest(file.name, there)
    if near is None:
        return ""
    return f"rename '{near}' to '{file.name}'" if file.name == SITE_FILE else f"did you mean '{near}'?"


def why_unread(file: Path) -> str:
    """Return why a site file can't be read: it is not there, is something else, or is not ours to read."""
    try:
        if file.is_file():
            return "this file can't be read"
        if file.is_symlink() and not file.exists():
            return "this is a link that leads to itself, or to nothing"
        if file.exists() and not file.is_dir():
            return "this is no regular file"
    except (OSError, ValueError):
        return "this file can't be read"
    return "there is no such file"


def load_site_or_raise(path: str | Path) -> Plant:
    """Return the plant; raise SiteError with every message if it can't be loaded."""
    result = load_site(path)
    if result.plant is None:
        raise SiteError(result)
    return result.plant


def site_file(path: Path) -> Path:
    """Return the site file that a path names: itself, or `site.yaml` in that folder; absolute."""
    return followed(path / SITE_FILE if path.is_dir() else path)


class _Loading:
    """One run of the stages."""

    def __init__(self, files: SiteFiles, document: Document, today: dt.date | None, messages: list[Message]) -> None:
        self.files = files
        self.document = document
        self.today = today
        self.findings = Findings(document)
        self.ingredients = IngredientFiles(files, self.findings)
        self.schema_messages = messages
        self.row_messages: list[Message] = []
        self.sources: Sources | None = None

    def all_messages(self) -> list[Message]:
        own = [document for name, document in self.files.documents.items() if not name.startswith("library/")]
        return [
            *self.files.messages,
            *(message for document in own for message in check_text(document)),
            *self.schema_messages,
            *self.ingredients.messages,
            *self.findings.messages,
            *self.row_messages,
        ]

    def _failed(self) -> bool:
        found = (
            self.files.messages,
            self.schema_messages,
            self.ingredients.messages,
            self.findings.messages,
            self.row_messages,
        )
        return any(m.severity is Severity.ERROR for messages in found for m in messages)

    def plant(self) -> Plant | None:
        if self.document.root is None:
            return None
        site, found = check(self.document, SiteFile)
        self.schema_messages += found
        if site is None:
            return None
        types = self.ingredients.device_types(site)
        cells = self.ingredients.cell_types(site)
        batteries = batteries_of(site.batteries, cells, self.findings)
        self.ingredients.check_batteries(site, batteries)
        self.ingredients.check_grid_profile(site)
        self.ingredients.check_maps(site)
        schedule = self.ingredients.schedule(site)
        names = Names(site, self.findings)
        sound = not self._failed()
        drafts = self.ingredients.protections(site)
        rows = self._rows(site, drafts, batteries) if sound and drafts is not None else ()
        if self._failed() or drafts is None:
            return None
        self.sources = Sources(self.document, names, drafts)
        plant = self._assemble(site, names, types, cells, batteries, rows)
        plant = replace(plant, schedule=tuple(draft.entry for draft in schedule))
        if not self._failed():
            context = CheckContext(plant, site, names, self.document, drafts, self.files, schedule)
            self.row_messages += check_plant(context)
        return plant

    def _rows(self, site: SiteFile, drafts: Drafts, batteries: Mapping[str, BatteryType]) -> tuple[ProtectionRow, ...]:
        """Return the rows; a wrong name in the protection file doesn't hide what is wrong in its other rows."""
        pcs_w = min((group.rating.power for group in site.pcs), default=0.0)
        builder = RowBuilder(lambda only: _rated(batteries, only, pcs_w))
        rows = builder.rows(drafts)
        self.row_messages = builder.messages
        return rows

    def _assemble(
        self,
        site: SiteFile,
        names: Names,
        types: Mapping[str, DeviceType],
        cells: Mapping[str, CellType],
        batteries: Mapping[str, BatteryType],
        rows: tuple[ProtectionRow, ...],
    ) -> Plant:
        exceptions = Exceptions(site.exceptions, names, self.findings)
        if self.today is not None:
            exceptions.overdue(site.exceptions, self.today)
            accepted_overdue(site.batteries, self.today, self.findings)
        devices = DeviceBuilder(names, types, self.findings)
        ingredients = Ingredients(types, cells, batteries)
        equipment = PlantExpander(names, ingredients, devices, exceptions, self.findings).equipment()
        return self._plant(site, names, equipment, devices, rows)

    def _plant(
        self,
        site: SiteFile,
        names: Names,
        equipment: Equipment,
        devices: DeviceBuilder,
        rows: tuple[ProtectionRow, ...],
    ) -> Plant:
        return Plant(
            site_id=site.site.id,
            name=site.site.name,
            timezone=site.site.timezone,
            poi=poi_of(site.site, equipment.meters),
            blocks=names.blocks,
            racks=equipment.racks,
            banks=equipment.banks,
            buses=equipment.buses,
            pcs=equipment.pcs,
            transformers=equipment.transformers,
            meters=equipment.meters,
            interlocks=equipment.interlocks,
            auxiliaries=equipment.auxiliaries,
            links=devices.links(),
            devices=tuple(devices.devices),
            protection=rows,
            control=control_of(site.controls, self.findings),
            faces=faces_of(site.scada, self.findings),
            simulation=simulation_of(site.simulation),
            schedule=(),
            files=tuple(str(path) for path in self.files.paths.values()),
            digest=_digest(names, self.document, self.files),
        )


def _rated(batteries: Mapping[str, BatteryType], only: tuple[str, ...], pcs_w: float) -> Rated | None:
    """Return what `% of rated` refers to: the most careful of the batteries that a row is about, and of the PCS."""
    found = [battery for name, battery in batteries.items() if not only or name in only]
    if not found:
        return None
    return Rated(min(b.charge_current_max_a for b in found), min(b.discharge_current_max_a for b in found), pcs_w)


def _digest(names: Names, document: Document, files: SiteFiles) -> str:
    """Return the hash of the expanded site: the same however the files order, group and comment it."""
    lines = expanded_lines(names, document)
    tree = plain(document.root)
    if isinstance(tree, dict):
        lines += [f"{key} {json.dumps(tree[key], sort_keys=True)}" for key in tree if key not in names.members]
    for name, other in files.documents.items():
        if other is not document:
            content = plain(other.root) if other.root is not None else list(other.lines)
            lines.append(f"{name} {json.dumps(content, sort_keys=True)}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
