"""The Modbus face runs on uvloop on Linux and on asyncio elsewhere, so its sockets are tested on both."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from controller.link.run_directory import RunDirectory, filesystem_type

SHARED_MEMORY = Path("/dev/shm")
BOTH_LOOPS = {Path(__file__).parent / "modbus" / name for name in ("test_server.py", "test_linked.py")}
assert all(module.exists() for module in BOTH_LOOPS), "a module that is tested on both loops has moved"


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the named modules' tests on both loops, all others on asyncio's."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    return loops | {"uvloop": uvloop.new_event_loop} if item.path in BOTH_LOOPS else loops


@pytest.fixture
def run() -> Iterator[RunDirectory]:
    """Return a run directory of the test's own, on tmpfs."""
    if not SHARED_MEMORY.is_dir() or filesystem_type(SHARED_MEMORY) != "tmpfs":
        pytest.skip("no tmpfs at /dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="bess-test-", dir=SHARED_MEMORY))
    yield RunDirectory(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def standard_nodes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that keeps the OPC UA standard's nodes from one test to the next: building them takes long."""
    return tmp_path_factory.mktemp("standard-nodes")


@pytest.fixture
def state(tmp_path: Path, standard_nodes: Path) -> Iterator[Path]:
    """Return a state folder of the test's own, with the standard's nodes where an earlier test has built them."""
    _link_files(standard_nodes, tmp_path)
    yield tmp_path
    _link_files(tmp_path, standard_nodes)


def _link_files(source: Path, target: Path) -> None:
    for path in source.glob("opcua-standard-nodes-*.pickle"):
        if not (target / path.name).exists():
            (target / path.name).hardlink_to(path)
