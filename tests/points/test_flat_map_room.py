"""A plant with more points than the flat map has registers runs, and all of its racks look alike there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from controller.commissioning.point_map import render
from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.plant.signals import Owner
from controller.plant.site_loader import load_site_or_raise
from controller.points.addresses import LAST_UNIT, QUALITY_ADDRESS, flat_map
from controller.points.point_list import point_list

RACKS = 2400


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_site(tmp_path_factory.mktemp("large"), RACKS)


@pytest.fixture(scope="module")
def plant(site: Path) -> Plant:
    return load_site_or_raise(site)


def test_what_has_no_room_is_left_out_of_all_racks_alike(plant: Plant) -> None:
    listed = point_list(plant)
    map_of_all = flat_map(listed)
    racks = Counter(p.name for p in listed.points if p.owner is Owner.RACK and p.tag in map_of_all.points)

    assert 0 < len(map_of_all.left_out) < len(racks) / 2
    assert set(racks.values()) == {RACKS}
    assert not set(map_of_all.left_out) & set(racks)
    assert {"State", "SoC", "Voltage", "Current", "Tripped", "DataAge"} <= set(racks)
    assert {"Plant.State", "Plant.ESTOP.Healthy"} <= set(map_of_all.points)


def test_every_register_has_one_owner_and_lies_in_a_unit(plant: Plant) -> None:
    places = flat_map(point_list(plant)).points.values()
    taken = Counter((p.unit, p.address + k) for p in places for k in range(p.type.words))

    assert max(taken.values()) == 1
    assert max(unit for unit, _ in taken) <= LAST_UNIT
    assert max(address for _, address in taken) < QUALITY_ADDRESS


def test_the_interface_document_says_what_is_left_out(plant: Plant, site: Path) -> None:
    answer = render(plant, site, "csv", ",", None)

    assert "has no room for TimeAt" in answer.aside
    assert "OPC UA serves them" in answer.aside


def test_a_small_plant_leaves_nothing_out(demo_plant: Plant, tmp_path: Path) -> None:
    assert flat_map(point_list(demo_plant)).left_out == ()
    assert render(demo_plant, write_demo_site(tmp_path), "csv", ",", None).aside == ""
