"""What all tests share: where the tree is, the foreign programs, and how hard Hypothesis looks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from controller.plant.model import Plant
from controller.plant.site_loader import load_site_or_raise

REPOSITORY = Path(__file__).resolve().parents[1]
NODE_MODULES = REPOSITORY / "tests" / "peers" / "node_modules"
# Foreign program -> how it is found. A package of npm is its folder; the scripts beside it in tests/peers/ use it.
PROGRAMS = ("mbpoll", "node")
NPM_PACKAGES = ("modbus-serial", "node-opcua-client")

# No deadlines: the machine is shared, and a slow example is no wrong one.
settings.register_profile("default", max_examples=50, deadline=None, print_blob=True)
settings.register_profile("nightly", max_examples=2000, deadline=None, print_blob=True)


def pytest_configure(config: pytest.Config) -> None:
    """Look harder when the nightly tests are asked for."""
    nightly = config.getoption("markexpr") == "nightly"
    settings.load_profile("nightly" if nightly else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for a foreign program: `-m "not peer"` runs without any."""
    for item in items:
        if "peer" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.peer)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def peer() -> Callable[[str], Path]:
    """Return the finder of foreign programs: `peer("mbpoll")` is its path, or the test is skipped with the reason."""
    return find_peer


def find_peer(name: str) -> Path:
    """Find a foreign program or npm package by name.

    Returns:
        The path of the executable, or the folder of the npm package.
    """
    if name in PROGRAMS:
        found = shutil.which(name)
    elif name in NPM_PACKAGES:
        folder = NODE_MODULES / name
        found = str(folder) if folder.is_dir() and shutil.which("node") else None
    else:
        known = ", ".join(PROGRAMS + NPM_PACKAGES)
        raise ValueError(f"unknown peer {name!r}: expected one of {known}; add it here and in tests/install_peers.sh")
    if found is None:
        pytest.skip(f"peer {name} is not installed; run: bash tests/install_peers.sh")
    return Path(found)


@pytest.fixture(scope="session")
def demo_plant() -> Plant:
    """Return the demo site's plant: 24 racks, two blocks. Frozen, so one for all tests."""
    return load_site_or_raise(REPOSITORY / "site_configs" / "demo")
