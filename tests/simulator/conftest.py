"""The demo site and a virtual plant of it, connected and running."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import controller
from controller.plant.site_loader import load_site
from controller.simulator.readings import Readings
from controller.simulator.requests import REQUESTS
from controller.simulator.virtual_plant import VirtualPlant

DEMO = Path(controller.__file__).parent / "library" / "sites" / "demo"


class Bench:
    """A virtual plant with its readings, and a way to ask of it."""

    def __init__(self, plant, seed=None):
        self.plant = plant
        self.virtual = VirtualPlant(plant, seed)
        self.read = Readings(self.virtual)

    def ask(self, signal, index, value):
        REQUESTS[signal](self.virtual, index, value)

    def run(self, seconds, dt_s=1.0):
        for _ in range(round(seconds / dt_s)):
            self.virtual.step(dt_s)

    def connect(self):
        for rack in self.plant.racks:
            self.ask("rack.connect_request", rack.index, 1)
        self.run(5)

    def produce(self, active_w, reactive_var=0.0):
        for pcs in self.plant.pcs:
            self.ask("pcs.operation", pcs.index, 1)
            self.ask("pcs.active_power_setpoint", pcs.index, active_w)
            self.ask("pcs.reactive_power_setpoint", pcs.index, reactive_var)
        self.run(6)


@pytest.fixture(scope="session")
def demo():
    plant = load_site(DEMO).plant
    assert plant is not None
    return plant


@pytest.fixture(scope="session")
def make_bench(demo):
    return lambda: Bench(demo)


@pytest.fixture
def bench(demo):
    return Bench(demo)


@pytest.fixture
def running(bench):
    bench.connect()
    bench.produce(0.0)
    return bench


SUNSPEC = {
    "type: generic-pcs": "type: sunspec-pcs-7xx",
    "type: generic-rack-bms": "type: sunspec-rack",
    "type: generic-meter": "type: sunspec-meter-3ph",
}
ODD = {
    "type: generic-pcs": "type: odd-pcs",
    "type: generic-meter": "type: odd-meter",
    "  - protections.yaml": "  - protections.yaml\n  - odd-pcs.yaml\n  - odd-meter.yaml",
}


@pytest.fixture(scope="session")
def sunspec_demo(tmp_path_factory):
    """Return the demo with SunSpec devices wherever the library has one."""
    return changed_demo(tmp_path_factory.mktemp("sunspec"), SUNSPEC)


@pytest.fixture(scope="session")
def odd_demo(tmp_path_factory):
    """Return the demo with maps that use what no map of the library does."""
    folder = tmp_path_factory.mktemp("odd")
    for name in ("odd-pcs.yaml", "odd-meter.yaml"):
        shutil.copy(Path(__file__).parent / name, folder)
    return changed_demo(folder, ODD)


def changed_demo(folder, changes):
    shutil.copytree(DEMO, folder, dirs_exist_ok=True)
    text = (folder / "site.yaml").read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "site.yaml").write_text(text)
    loaded = load_site(folder)
    assert loaded.plant is not None, loaded.text()
    return loaded.plant


@pytest.fixture(params=["demo", "sunspec_demo", "odd_demo"])
def any_plant(request):
    return request.getfixturevalue(request.param)
