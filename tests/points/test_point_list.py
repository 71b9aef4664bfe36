"""The point list: every tag of the contract, once, with a place that never moves."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import Action
from controller.image.quantities import QUANTITIES
from controller.plant.model import Plant
from controller.points.addresses import FrozenMapError, Place, WireType, flat_map, freeze_text, read_frozen
from controller.points.catalogue import METHODS, POINTS
from controller.points.interface_document import COLUMNS, as_csv, as_json, as_markdown, rows
from controller.points.point_list import PointList, PointType, point_list


@pytest.fixture
def listed(demo_plant: Plant) -> PointList:
    return point_list(demo_plant)


def test_every_template_names_a_quantity_and_a_known_command() -> None:
    for owner, templates in POINTS.items():
        for template in templates:
            assert template.quantity in QUANTITIES, template.name
            assert not template.action or Action(template.action)
            own = QUANTITIES[template.quantity].owner
            assert own is owner or QUANTITIES[template.quantity].per_cell
    assert all(Action(m.action) for methods in METHODS.values() for m in methods)


def test_tags_follow_equipment_and_are_unique(listed: PointList) -> None:
    tags = [p.tag for p in listed.points] + [m.tag for m in listed.methods]

    assert len(tags) == len(set(tags))
    for tag in (
        "Plant.ActivePower",
        "Plant.Block01.SoC",
        "Plant.Block01.PCS01.DcVoltage",
        "Plant.Block02.Rack12.CellVoltages",
        "Plant.GRID.ActivePower",
        "Plant.Block01.Rack03.LockOut",
    ):
        assert tag in tags


def test_cell_arrays_are_one_point_a_rack(listed: PointList, demo_plant: Plant) -> None:
    point = listed.by_tag()["Plant.Block01.Rack01.CellVoltages"]

    assert point.type is PointType.NUMBERS
    assert point.length == demo_plant.racks[0].battery.cells_in_series


def test_the_head_of_the_flat_map_stands_where_the_contract_says(listed: PointList) -> None:
    places = flat_map(listed)

    assert places.points["Plant.MapVersion"] == Place(2, 0, WireType.U32, -1)
    assert places.points["Plant.ActivePowerSetpoint"].address == 4
    assert [places.methods[f"Plant.{n}"].address for n in ("Start", "Stop", "FastStop", "ResetTrips")] == [8, 9, 10, 11]
    assert min(p.address for t, p in places.points.items() if p.rank >= 0) == 100


def test_no_two_points_share_a_register(listed: PointList) -> None:
    taken = [
        (p.unit, register)
        for p in flat_map(listed).points.values()
        for register in range(p.address, p.address + p.type.words)
    ]

    assert len(taken) == len(set(taken))


@given(st.data())
def test_a_frozen_point_never_moves_and_new_ones_come_behind(demo_plant: Plant, data: st.DataObject) -> None:
    listed = point_list(demo_plant)
    gone = set(data.draw(st.lists(st.integers(0, len(listed.points) - 1), max_size=20)))
    earlier = PointList(tuple(p for i, p in enumerate(listed.points) if i not in gone), listed.methods)
    frozen = read_frozen(freeze_text(flat_map(earlier).points))
    now = flat_map(listed, frozen).points

    assert all(now[tag] == place for tag, place in frozen.items())
    taken = [(p.unit, a) for p in now.values() for a in range(p.address, p.address + p.type.words)]
    assert len(taken) == len(set(taken))


def test_what_grows_for_a_lifetime_has_64_bits_but_in_a_map_frozen_before(listed: PointList) -> None:
    places = flat_map(listed).points
    counters = {
        p.tag for p in listed.points if ("Energy" in p.name and "To" not in p.name) or p.name.startswith("TimeAt")
    }
    assert {"Plant.EnergyOut", "Plant.GRID.EnergyIn", "Plant.Block01.Rack01.TimeAtSoC0"} < counters
    assert {places[tag].type for tag in counters} == {WireType.F64}

    frozen = {tag: replace(p, type=WireType.F32) if tag in counters else p for tag, p in places.items()}
    assert flat_map(listed, frozen).points == frozen


def test_the_meters_register_outgrows_the_plants_own_energy(listed: PointList, demo_plant: Plant) -> None:
    """The meter counts for decades: its range is no battery's content."""
    points = listed.by_tag()
    lifetime = points["Plant.EnergyOut"].range_high
    assert lifetime > 1_000 * demo_plant.poi.energy_wh * 1e-6
    assert points["Plant.GRID.EnergyOut"].range_high == points["Plant.GRID.EnergyIn"].range_high == lifetime


def test_a_frozen_point_that_is_gone_is_an_error(listed: PointList) -> None:
    frozen = dict(flat_map(listed).points) | {"Plant.Block09.Rack01.SoC": Place(2, 9000, WireType.F32, 0)}

    with pytest.raises(FrozenMapError, match="no longer exists"):
        flat_map(listed, frozen)


def test_a_frozen_file_with_a_broken_row_names_its_line() -> None:
    with pytest.raises(FrozenMapError, match="line 3"):
        read_frozen("tag,unit,address,type,rank\nPlant.SoC,2,100,float32,0\nPlant.SoH,2,x,float32,1\n")


def test_the_map_version_tells_maps_apart(listed: PointList) -> None:
    fewer = PointList(listed.points[:-1], listed.methods)

    assert flat_map(listed).version != flat_map(fewer).version


def test_the_interface_document_has_the_contracts_columns(listed: PointList) -> None:
    table = list(rows(listed, flat_map(listed)))
    read = list(csv.DictReader(io.StringIO(as_csv(table))))

    assert tuple(read[0]) == COLUMNS
    assert len(read) == len(listed.points) + len(listed.methods)
    assert as_json(table).startswith("[\n")
    assert as_markdown(table).count("\n") == len(table) + 2


def test_a_frozen_address_that_was_moved_is_an_error(listed: PointList) -> None:
    text = freeze_text(flat_map(listed).points)
    place = read_frozen(text)["Plant.SoC"]
    row = f"Plant.SoC,2,{place.address},float32"
    assert row in text

    with pytest.raises(FrozenMapError, match="a frozen address was moved"):
        read_frozen(text.replace(row, f"Plant.SoC,2,{place.address + 9000},float32"))
    with pytest.raises(FrozenMapError, match=r"line \d+: .* stands on register"):
        read_frozen(text.replace(row, f"Plant.SoC,2,{place.address + 1},float32"))


def test_a_map_frozen_before_there_was_a_seal_is_still_read(listed: PointList) -> None:
    places = flat_map(listed).points
    text = "".join(line for line in freeze_text(places).splitlines(keepends=True) if not line.startswith("#"))

    assert read_frozen(text) == dict(places)
