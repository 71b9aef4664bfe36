"""The SunSpec units as a whole: kept while nothing changes, made anew when something does, never too long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.image.data_periods import data_periods
from controller.modbus.errors import ExceptionCode
from controller.modbus.sunspec_chain import ChainWalker, ModelPlace
from controller.plant.demo_site import write_demo_site
from controller.plant.model import Plant
from controller.plant.site_loader import load_site_or_raise
from controller.scada.modbus.requests import RegisterMap
from controller.scada.modbus.sunspec_map import SunSpecUnit, sunspec_units
from tests.scada.modbus.parts import FakePlant, fake_plant

STRING_A, STRING_SIZE = 2 + 26 + 6, 32  # of the first string, behind the head of 803


def _chain(unit: RegisterMap, view: FakePlant) -> tuple[ModelPlace, ...]:
    walker = ChainWalker()
    while (wanted := walker.next_read) is not None:
        data = unit.read(view.snap, view.snap.published_mono_ns, wanted.address, wanted.count)
        assert isinstance(data, bytes)
        walker.feed(data)
    return walker.chain


@pytest.fixture
def view(demo_plant):
    return fake_plant(demo_plant)


@pytest.fixture
def unit(demo_plant):
    return sunspec_units(demo_plant, data_periods(demo_plant))[1]


def test_nothing_is_computed_anew_while_nothing_changes(unit, view, monkeypatch):
    now_ns = view.snap.published_mono_ns
    unit.read(view.snap, now_ns, 40_000, 2)
    monkeypatch.setattr(unit, "_values", None)
    assert unit.read(view.snap, now_ns + 1_000_000, 40_000, 2) == b"SunS"
    view.show()
    with pytest.raises(TypeError):
        unit.read(view.snap, now_ns, 40_000, 2)


def test_a_value_turns_bad_by_age_alone_without_a_new_snapshot(unit, view, demo_plant):
    bank = next(place for place in _chain(unit, view) if place.model == 803)
    bad_after_ns = int(data_periods(demo_plant)["rack.current"].bad_after_ns[2])
    address, now_ns = bank.address + STRING_A + 2 * STRING_SIZE, int(view.snap.image["rack.current"].time_ns[2])
    assert unit.read(view.snap, now_ns, address, 1) == (350).to_bytes(2)
    assert unit.read(view.snap, now_ns + bad_after_ns, address, 1) == (350).to_bytes(2)
    assert unit.read(view.snap, now_ns + bad_after_ns + 1, address, 1) == b"\x80\x00"


@pytest.mark.parametrize(("address", "count"), [(39_999, 1), (39_999, 2), (0, 1), (65_535, 1)])
def test_outside_of_the_chain_there_is_nothing(unit, view, address, count):
    found = unit.read(view.snap, view.snap.published_mono_ns, address, count)
    assert found is ExceptionCode.ILLEGAL_DATA_ADDRESS


def test_the_end_is_the_last_there_is(unit, view):
    end, now_ns = _chain(unit, view)[-1].end, view.snap.published_mono_ns
    assert unit.read(view.snap, now_ns, end, 2) == b"\xff\xff\x00\x00"
    assert unit.read(view.snap, now_ns, end, 3) is ExceptionCode.ILLEGAL_DATA_ADDRESS


def test_a_block_shows_as_many_racks_as_the_address_space_holds(tmp_path):
    plant = load_site_or_raise(write_demo_site(tmp_path / "site", 240))
    racks = tuple(replace(rack, block=0) for rack in plant.racks)
    crowded: Plant = replace(plant, racks=racks)
    view = fake_plant(crowded)
    units = sunspec_units(crowded, data_periods(crowded))
    chain = _chain(units[11], view)
    room = 65_536 - 40_002 - 68 - 64 - (2 + 26 + 32 * 240) - 2
    assert [place.model for place in chain] == [1, 802, 803] + [804] * (room // 288)
    assert chain[-1].end + 2 <= 65_536
    assert [place.model for place in _chain(units[12], view)] == [1, 802, 803]


def test_blocks_without_a_unit_id_have_none(demo_plant):
    blocks = tuple(replace(demo_plant.blocks[0], index=n) for n in range(300))
    units = sunspec_units(replace(demo_plant, blocks=blocks), data_periods(demo_plant))
    assert sorted(units) == [1, *range(11, 248)]
    assert all(isinstance(unit, SunSpecUnit) for unit in units.values())


def test_a_long_name_is_cut_to_its_field(demo_plant, view):
    plant = replace(demo_plant, site_id="ø" * 40)
    unit = sunspec_units(plant, data_periods(plant))[1]
    serial = unit.read(view.snap, view.snap.published_mono_ns, 40_052, 16)
    assert isinstance(serial, bytes)
    assert serial.decode() == "ø" * 16
