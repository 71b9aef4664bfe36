"""What a cross-check looks at: the plant, and where everything stands in the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from controller.plant.device_types import DeviceType
from controller.plant.expansion.names import Names
from controller.plant.expansion.schedule import DraftEntry
from controller.plant.messages import Place
from controller.plant.model import Plant
from controller.plant.protection_loader import Drafts
from controller.plant.schema.site import SiteFile
from controller.plant.site_files import SiteFiles
from controller.plant.yaml_tree import Document, Loc


@dataclass(frozen=True, slots=True)
class CheckContext:
    """An expanded plant with its sources."""

    plant: Plant
    site: SiteFile
    names: Names
    document: Document
    drafts: Drafts
    files: SiteFiles
    schedule: tuple[DraftEntry, ...] = ()

    def loc(self, section: str, index: int, *keys: str) -> Loc:
        """Return the way to a key of the group that an equipment comes from."""
        return (*self.names.members[section][index].loc, *keys)

    def place(self, section: str, index: int, *keys: str) -> Place:
        """Return where a key of an equipment's group stands, or the nearest thing above it that exists."""
        return self.document.place_of(self.loc(section, index, *keys))

    def at(self, *keys: str | int) -> Place:
        """Return where a key of the site file stands."""
        return self.document.place_of(keys)

    def point_place(self, device_type: DeviceType, signal: str) -> Place:
        """Return where a device file states a point."""
        return self.device_document(device_type).place_of(("points", signal), key=True)

    def block_place(self, device_type: DeviceType, block: str) -> Place:
        """Return where a device file states a polling class."""
        return self.device_document(device_type).place_of(("blocks", block))

    def device_document(self, device_type: DeviceType) -> Document:
        """Return the device file of a type."""
        return self.files.documents[self.files.name_of(Path(device_type.file))]

    def in_own_file(self, device_type: DeviceType, *locs: Loc, key: bool = False) -> Place:
        """Return the first of these places that a device's own file states; what it inherits is mended at its name."""
        document = self.device_document(device_type)
        places = [document.place_of(loc, key=key) for loc in locs if document.node_at(loc) is not None]
        return next((place for place in places if place.file == document.file), document.place_of(("device",)))

    def text(self, *keys: str | int) -> str:
        """Return a value of the site file as written."""
        return self.document.text_at(keys)
