"""Cross-checks of an expanded plant: each a small pure function that yields messages."""

from __future__ import annotations

from controller.plant.messages import Message
from controller.plant.model import Plant
from controller.plant.protection_loader import Drafts
from controller.plant.schema_site import SiteFile
from controller.plant.yaml_tree import Document


def check_plant(plant: Plant, site: SiteFile, document: Document, drafts: Drafts) -> list[Message]:
    """Return what every check has to say about the plant."""
    del plant, site, document, drafts
    return []
