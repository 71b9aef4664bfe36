"""Device types for the tests of compiled maps: from a few lines of a device file, or from the library."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import pytest

from controller.plant.device_loader import load_device
from controller.plant.device_types import DeviceType
from controller.plant.yaml_tree import read_document

MakeDevice = Callable[..., DeviceType]

_HEAD = """
schema: device/v1
device: test-device
kind: {kind}
maker: none
address: zero_based
blocks:
  fast: {{every: 1 s}}
"""


def _loaded(name: str, data: bytes) -> DeviceType:
    document, messages = read_document(name, data)
    assert not messages
    device_type, messages = load_device(document, name)
    assert device_type is not None, messages
    return device_type


@pytest.fixture(scope="session")
def device() -> MakeDevice:
    """Return a maker of device types: lines under `points:`, and further lines of the file."""

    def make(points: str, more: str = "", kind: str = "bank_bms") -> DeviceType:
        indented = "\n".join(f"  {line.strip()}" for line in points.strip().splitlines())
        return _loaded("test.yaml", f"{_HEAD.format(kind=kind)}{more}\npoints:\n{indented}\n".encode())

    return make


@pytest.fixture(scope="session")
def library_device() -> Callable[[str], DeviceType]:
    """Return a reader of the device files that ship with the project."""
    folder = files("controller").joinpath("library", "devices")
    return lambda name: _loaded(f"{name}.yaml", folder.joinpath(f"{name}.yaml").read_bytes())


LIBRARY = sorted(f.name.removesuffix(".yaml") for f in files("controller").joinpath("library", "devices").iterdir())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `library_name` once for every device file of the library."""
    if "library_name" in metafunc.fixturenames:
        metafunc.parametrize("library_name", LIBRARY)
