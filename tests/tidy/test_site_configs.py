"""Every site that the tree holds loads without an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.plant.messages import Severity
from controller.plant.site_loader import load_site
from tests.tidy.tree import REPOSITORY, tracked_files

SITES = [path.parent for path in tracked_files() if path.name == "site.yaml" and path.parts[0] != "tests"]


@pytest.mark.parametrize("site", SITES, ids=str)
def test_the_site_loads(site: Path):
    result = load_site(REPOSITORY / site)

    assert [str(message) for message in result.messages if message.severity is Severity.ERROR] == []
    assert result.plant is not None


def test_there_is_a_site_to_load():
    assert SITES
