"""The types of the devices that the tests have, and a maker of rigs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from controller.plant.device_types import DeviceType
from tests.field_io.rig import Member, Rig, library_type, make_plant, served_by


@pytest.fixture(scope="session")
def rack_type() -> DeviceType:
    return library_type("generic-rack-bms")


@pytest.fixture(scope="session")
def pcs_type() -> DeviceType:
    return library_type("generic-pcs")


@pytest.fixture
def make_rig(demo_plant) -> Callable[..., Rig]:
    """Return a maker of rigs: members, period, settings of every link."""

    def make(members: Sequence[Member], **settings: float) -> Rig:
        plant = make_plant(demo_plant, members, **settings)
        return Rig(plant, served_by(plant))

    return make
