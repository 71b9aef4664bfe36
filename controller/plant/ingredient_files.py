"""What a site refers to by name, found in the files it uses and in the library: devices, cells, protections."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from controller.plant.cell_loader import load_cell
from controller.plant.cell_types import CellType
from controller.plant.checks.cells import cell_is_possible
from controller.plant.checks.devices import check_device
from controller.plant.device_loader import load_device
from controller.plant.device_types import DeviceType
from controller.plant.expansion.names import Findings
from controller.plant.expansion.schedule import DraftEntry, check_entries, draft_entries
from controller.plant.extends import Extender
from controller.plant.messages import Message, Place, did_you_mean, error, nearest, one_of, warning
from controller.plant.model import BatteryType
from controller.plant.protection_loader import Drafts, load_protections
from controller.plant.schema.messages import check
from controller.plant.schema.schedule import ScheduleFile, ScheduleSection
from controller.plant.schema.site import SiteFile
from controller.plant.schema.types import from_the_future, is_newer
from controller.plant.site_files import LIBRARY, SiteFiles, library_names
from controller.plant.text_coding import no_utf8
from controller.plant.yaml_tree import Document, Keys, Loc, Text, read_document

MOST_LOOKED_AT = 200
"""Files of a folder, when a name is sought that nothing has."""
DEVICE, PROTECTIONS, SCHEDULE, CELL = "device/v1", "protections/v1", "schedule/v1", "cell/v1"


class IngredientFiles:
    """Loads the files that a site uses, and from the library only what it names."""

    def __init__(self, files: SiteFiles, findings: Findings) -> None:
        self.files = files
        self.findings = findings
        self.extender = Extender(files)
        self.messages: list[Message] = self.extender.messages
        self._used: dict[str, list[Document]] | None = None
        self._broken = False  # a used file could not be read: what it would have brought is not missing

    def _documents(self, site: SiteFile, schema: str) -> list[Document]:
        if self._used is None:
            self._used = {}
            for position, text in enumerate(site.use):
                if self._is_used_twice(site, position):
                    continue
                document = self._use(("use", position), text)
                if document is not None:
                    self._used.setdefault(document.text_at(("schema",)), []).append(document)
                self._broken |= document is None
            self._check_schemas(self._used)
        return self._used.get(schema, [])

    def _is_used_twice(self, site: SiteFile, position: int) -> bool:
        located = [self.files.located(text) for text in site.use]
        first = located.index(located[position])
        if first < position:
            message, other = f"'{site.use[position]}' stands here twice", self.findings.place(("use", first))
            self.findings.complain_of_two(("use", position), message, other, "each file once", "delete one of them")
        return first < position

    def _use(self, loc: Loc, text: str) -> Document | None:
        path = self.files.located(text)
        document = self.files.read(path) if path.is_relative_to(self.files.folder) else None
        if document is None:
            self._unread(loc, text, path, "*.yaml", "a file beside the site file")
            return None
        if document.text_at(("schema",)) == DEVICE:
            document = self.extender.whole(document, "devices")
        return None if self.files.has_error(document) else document

    def _check_schemas(self, used: Mapping[str, list[Document]]) -> None:
        known = (DEVICE, PROTECTIONS, SCHEDULE, CELL)
        for schema, documents in used.items():
            self.messages += [_no_schema(d, schema, known) for d in documents if schema not in known]
            self._broken |= schema not in known

    def device_types(self, site: SiteFile) -> dict[str, DeviceType]:
        """Return every device type that the site names."""
        own: dict[str, DeviceType | None] = {}
        for document in self._documents(site, DEVICE):
            own[document.text_at(("device",))] = self._device(document)
        types: dict[str, DeviceType] = {name: t for name, t in own.items() if t is not None}
        for loc, name in _types_named(site):
            if name in own or name in types:
                continue
            found = (
                self.files.read(self.files.library_path("devices", name)) if name in library_names("devices") else None
            )
            loaded = self._device(found) if found is not None else None
            if loaded is not None:
                types[name] = loaded
            elif found is None and not self._broken:
                self._unknown(loc, "device type", name, [*own, *library_names("devices")], "device")
        self._warn_of_unused(site)
        return types

    def device_alone(self, document: Document) -> DeviceType | None:
        """Return the device type of a file that no site was named for."""
        return self._device(self.extender.whole(document, "devices"))

    def cell_alone(self, document: Document) -> CellType | None:
        """Return the cell type of a file that no site was named for."""
        return self._cell(document)

    def protections_alone(self, document: Document) -> Drafts | None:
        """Return the rows of a file that no site was named for, inherited ones included."""
        return self._protection_file(document, (document.file,))

    def schedule_alone(self, document: Document) -> tuple[DraftEntry, ...]:
        """Return the entries of a file that no site was named for."""
        parsed, messages = check(document, ScheduleFile)
        self.messages += messages
        return self._entries(document, parsed.schedule) if parsed is not None else ()

    def _warn_of_unused(self, site: SiteFile) -> None:
        named = {name for _, name in _types_named(site)}
        there = {document.text_at(("device",)) for document in self._documents(site, DEVICE)}
        misspelt = named - there - set(library_names("devices"))
        for document in self._documents(site, DEVICE):
            name = document.text_at(("device",))
            if name and name not in named and nearest(name, misspelt) is None:  # else it is told where it is misspelt
                self.messages.append(_unused(document, "device", "no equipment is of type", named))

    def _device(self, document: Document) -> DeviceType | None:
        if self.files.has_error(document):
            return None
        device_type, messages = load_device(document, str(self.files.paths[document.file]))
        if device_type is not None:
            messages = check_device(device_type, document)
        self.messages += messages
        return device_type

    def _unknown(self, loc: Loc, what: str, name: str, known: list[str], key: str = "") -> None:
        """Complain about a name that nothing has; a file of the folder that has it under `key` may not be in use."""
        own = self._file_with(key, name) if key else ""
        hint = f"'{own}' is one: add it under 'use'" if own else did_you_mean(name, known)
        self.findings.complain(loc, f"no {what} '{name}'", "" if hint else one_of(known), hint, rule="unknown")

    def _file_with(self, key: str, name: str) -> str:
        """Return the file of the site's folder that says `key: name`, "" if none does."""
        wanted = re.compile(rf"^{key}:\s*[\"']?{re.escape(name)}[\"']?\s*(#.*)?$", re.MULTILINE)
        for path in sorted(self.files.folder.rglob("*.yaml"))[:MOST_LOOKED_AT]:
            try:
                found = wanted.search(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
            except OSError:
                continue
            if found is not None:
                return path.relative_to(self.files.folder).as_posix()
        return ""

    def cell_types(self, site: SiteFile) -> dict[str, CellType]:
        """Return every cell type that the site's batteries name: of a file that the site uses or of the library.

        A file of the site's folder may also be named by its path, `cells/mine.yaml`, without standing under `use`.
        """
        own = {document.text_at(("name",)): document for document in self._documents(site, CELL)}
        cells: dict[str, CellType] = {}
        loaded: dict[str, CellType | None] = {}
        named = [section.cell for section in site.batteries.values()]
        for battery, section in site.batteries.items():
            document, loc = own.get(section.cell) or self._cell_file(section.cell), ("batteries", battery, "cell")
            if document is None and _is_path(section.cell):
                path = self.files.located(section.cell)
                self._unread(loc, section.cell, path, "*.yaml", "a cell file, or the name of one of the library")
            elif document is None and not self._broken:
                known = [*own, *library_names("cells")]
                self._unknown(loc, "cell type", section.cell, known, "name")
            elif document is not None:
                if document.file not in loaded:
                    loaded[document.file] = self._cell(document)
                cell = loaded[document.file]
                cells.update({section.cell: cell} if cell is not None else {})
        for document in own.values():
            if document.file not in loaded:
                self._cell(document)
                self.messages.append(_unused(document, "name", "no battery is of cell type", named))
        return cells

    def _cell(self, document: Document) -> CellType | None:
        if self.files.has_error(document):
            return None
        schema = document.text_at(("schema",))
        if schema != CELL:
            self.messages.append(_no_schema(document, schema, (CELL,)))
            return None
        cell, messages = _loaded_cell(document.data, document.file)
        self.messages += messages
        return cell

    def _cell_file(self, name: str) -> Document | None:
        """Return a cell file that is named by its path inside the folder, or by its name in the library."""
        path = self.files.located(name)
        found = self.files.read(path) if path.is_relative_to(self.files.folder) else None
        if found is None and name in library_names("cells"):
            return self.files.read(self.files.library_path("cells", name))
        return found

    def schedule(self, site: SiteFile) -> tuple[DraftEntry, ...]:
        """Return the schedule's entries, from the site file or from a file of its own."""
        documents = self._documents(site, SCHEDULE)
        if len(documents) + bool(site.schedule) > 1:
            expected = "one: in the site file, or in a file under 'use'"
            self.messages.append(self._second(site, documents, "schedule", expected))
        if not documents:
            return self._entries(self.findings.document, site.schedule)
        return self.schedule_alone(documents[0])

    def _entries(self, document: Document, sections: list[ScheduleSection]) -> tuple[DraftEntry, ...]:
        drafts = draft_entries(document, sections)
        self.messages += check_entries(drafts, sections)
        return tuple(drafts)

    def check_maps(self, site: SiteFile) -> None:
        """Read the parties' register lists, so that they are sealed with the site; complain where one is not there."""
        maps = site.scada.modbus.maps if site.scada.modbus is not None else []
        for position, section in enumerate(maps):
            loc: Loc = ("scada", "modbus", "maps", position, "file")
            path = self.files.located(section.file)
            document = self.files.read_lines(path) if path.is_relative_to(self.files.folder) else None
            if document is None:
                self._unread(loc, section.file, path, "*.csv", "a file such as maps/utility.csv")
            else:
                self._check_coding(document)

    def _check_coding(self, document: Document) -> None:
        try:
            document.data.decode("utf-8-sig")
        except UnicodeDecodeError as wrong:
            self.messages.append(no_utf8(document.file, document.data, wrong))

    def _unread(self, loc: Loc, text: str, path: Path, kind: str, expected: str) -> None:
        """Complain about a file that is named and can't be read; a file of the same folder or name may be meant."""
        here = [p.relative_to(self.files.folder) for p in self.files.folder.rglob(kind) if p.is_file()]
        meant = Path(text)
        near = [p.as_posix() for p in here if p.parent == meant.parent or p.name == meant.name]
        moved = [name for name in near if Path(name).name == meant.name and name != text]
        hint = did_you_mean(text, moved or [name for name in near if name != text])
        self.findings.complain(loc, self.files.why_unread(text, path), expected, hint)

    def check_grid_profile(self, site: SiteFile) -> None:
        """Complain about a grid profile that does not ship."""
        known = sorted(path.stem for path in (LIBRARY / "grid").glob("*.npz"))
        if site.simulation.grid is not None and site.simulation.grid not in known:
            self._unknown(("simulation", "grid"), "grid profile", site.simulation.grid, known)

    def check_batteries(self, site: SiteFile, batteries: Mapping[str, BatteryType]) -> None:
        """Complain about racks of a battery that the site does not describe."""
        for position, group in enumerate(site.racks):
            if group.battery not in site.batteries and group.battery not in batteries:
                loc: Loc = ("racks", position, "battery")
                self._unknown(loc, "battery", group.battery, list(site.batteries))

    def protections(self, site: SiteFile) -> Drafts | None:
        """Return the site's protection rows, inherited ones included."""
        documents = self._documents(site, PROTECTIONS)
        if len(documents) > 1:
            self.messages.append(self._second(site, documents, "protection file", "one protection file a site"))
        if not documents:
            if not self._broken and not self.findings.messages and not self.messages:
                own = self._file_with("schema", PROTECTIONS)
                new = "use a file with 'schema: protections/v1' and 'base: lfp-utility@1'"
                hint = f"'{own}' is one: add it under 'use'" if own else new
                self.findings.complain(("use",), "no protection file is in use", "one protection file", hint)
            return None
        return self._protection_file(documents[0], (documents[0].file,))

    def _second(self, site: SiteFile, documents: Sequence[Document], what: str, expected: str) -> Message:
        """The last of several files that say the same; the place is where the site uses it."""
        names = [self.files.name_of(self.files.located(text)) for text in site.use]
        place = self.findings.place(("use", names.index(documents[-1].file)))
        also = [d.place_of(()) for d in documents[:-1]] or [self.findings.place((what,), key=True)]
        return error(place, f"'{documents[-1].file}' is a second {what}", expected, see_also=also)

    def _protection_file(self, document: Document, below: tuple[str, ...]) -> Drafts | None:
        if self.files.has_error(document):
            return None

        def load_base(name: str, place: Place) -> Drafts | None:
            return self._base(name, place, below)

        def load_extended(name: str, place: Place) -> Drafts | None:
            return self._extended(name, place, below)

        drafts, messages = load_protections(document, load_base, load_extended)
        self.messages += messages
        return drafts

    def _extended(self, text: str, place: Place, below: tuple[str, ...]) -> Drafts | None:
        """Return the rows of a protection file of the site's folder that another one extends."""
        document = self.extender.base_of(Text(place, text, quoted=False), PROTECTIONS, below)
        return None if document is None else self._protection_file(document, (*below, document.file))

    def _base(self, name: str, place: Place, below: tuple[str, ...]) -> Drafts | None:
        known = library_names("protections")
        if name not in known or name in below:
            message = f"'{name}' is based on itself" if name in below else f"no protection preset '{name}'"
            self.messages.append(error(place, message, one_of(known), did_you_mean(name, known)))
            return None
        document = self.files.read(self.files.library_path("protections", name))
        return None if document is None else self._protection_file(document, (*below, name))


@lru_cache(maxsize=32)
def _loaded_cell(data: bytes, file: str) -> tuple[CellType | None, tuple[Message, ...]]:
    """The same bytes (library cells, mostly) are read once."""
    document = read_document(file, data)[0]
    cell, messages = load_cell(document)
    impossible = [] if cell is None else list(cell_is_possible(cell, document))
    return (None, tuple(impossible)) if impossible else (cell, tuple(messages))


def _is_path(text: str) -> bool:
    return "/" in text or text.endswith((".yaml", ".yml"))


def _unused(document: Document, key: str, message: str, named: Collection[str]) -> Message:
    name, place = document.text_at((key,)), document.place_of((key,))
    return warning(place, f"{message} '{name}'", "a type that is used", did_you_mean(name, named))


def _no_schema(document: Document, schema: str, known: Sequence[str]) -> Message:
    node = document.node_at(("schema",))
    ours = next((version for version in known if is_newer(schema, version)), "")
    if node is not None and ours:
        complaint = from_the_future(schema, ours)
        return error(node.place, f"schema {complaint.message}", complaint.expected, complaint.hint)
    if node is not None:
        return error(
            node.place, f"'{schema}' is no schema of a file to use", one_of(known), did_you_mean(schema, known)
        )
    keys = document.root.entries if isinstance(document.root, Keys) else {}
    near = nearest("schema", [key for key in keys if key[:1].casefold() in "s$"])
    if near is None:
        return error(Place(document.file), "'schema' is missing", f"a key 'schema': {one_of(known)}")
    return error(document.place_of((near,), key=True), f"unknown key '{near}'", hint="did you mean 'schema'?")


def _types_named(site: SiteFile) -> Iterator[tuple[Loc, str]]:
    for section in ("racks", "banks", "pcs", "meters", "digital_io"):
        for position, group in enumerate(getattr(site, section)):
            if group.type is not None:
                yield (section, position, "type"), group.type
