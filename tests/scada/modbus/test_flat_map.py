"""The flat map against the one-by-one reader of points: same values, same qualities, at every address."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import Action
from controller.image.data_periods import data_periods
from controller.image.image import Image
from controller.image.layout import plant_layout
from controller.image.quality import Quality
from controller.link.plant_view import Snapshot
from controller.modbus.errors import ExceptionCode
from controller.points.addresses import QUALITY_ADDRESS, FlatMap, Place, WireType, flat_map
from controller.points.point_list import Point, PointList, point_list
from controller.scada.modbus.flat_map import FlatUnit, flat_units, shortest
from controller.scada.modbus.requests import Order, Plan
from controller.scada.readings import PointReader
from tests.scada.modbus.parts import filled_image, snapshot_of

NOW_NS = 1_000_000_000_000
BAD_ADDRESS, BAD_VALUE = ExceptionCode.ILLEGAL_DATA_ADDRESS, ExceptionCode.ILLEGAL_DATA_VALUE


class Demo:
    """The demo plant's map, and one image to disturb."""

    def __init__(self, plant):
        self.layout = plant_layout(plant)
        self.periods = data_periods(plant)
        self.listed: PointList = point_list(plant)
        self.map: FlatMap = flat_map(self.listed)
        self.points = self.listed.by_tag()
        self.reader = PointReader(self.periods)
        self.image: Image = filled_image(plant, self.layout, NOW_NS)

    def units(self) -> dict[int, FlatUnit]:
        return flat_units(self.listed, self.map, self.layout, self.periods)

    def snapshot(self) -> Snapshot:
        image = Image(self.layout)
        image.copy_from(self.image)
        return snapshot_of(image, NOW_NS)

    def place(self, tag: str) -> Place:
        return self.map.points[tag]


@pytest.fixture
def demo(demo_plant):
    return Demo(demo_plant)


def _read(unit: FlatUnit, snapshot: Snapshot, place: Place, now_ns: int = NOW_NS) -> bytes:
    data = unit.read(snapshot, now_ns, place.address, place.type.words)
    assert isinstance(data, bytes)
    return data


def _number(data: bytes, kind: WireType) -> float:
    return float(struct.unpack({"uint16": ">H", "uint32": ">I", "float32": ">f", "float64": ">d"}[kind], data)[0])


def _expected(point: Point, place: Place, value: object) -> float:
    if value is None:
        return {WireType.U16: 0xFFFF, WireType.U32: 0xFFFF_FFFF}.get(place.type, math.nan)
    return float(np.float32(value)) if place.type is WireType.F32 else float(value)  # type: ignore[arg-type]  # scalars


def _assert_as_read_one_by_one(demo: Demo, unit: FlatUnit, snapshot: Snapshot, now_ns: int) -> None:
    for tag, place in demo.map.points.items():
        if tag == "Plant.MapVersion":
            continue
        reading = demo.reader.read(snapshot, demo.points[tag], now_ns)
        shown = _number(_read(unit, snapshot, place, now_ns), place.type)
        np.testing.assert_equal(shown, _expected(demo.points[tag], place, reading.value), err_msg=tag)
        if place.rank >= 0:
            block = unit.read(snapshot, now_ns, place.quality_address, 1)
            assert isinstance(block, bytes)
            assert (int.from_bytes(block) >> place.quality_shift) & 0xF == reading.quality, tag


def test_every_register_shows_what_the_point_reads(demo):
    _assert_as_read_one_by_one(demo, demo.units()[2], demo.snapshot(), NOW_NS)


@given(data=st.data())
def test_bad_and_old_values_never_show_the_last_value(demo_plant_parts, data):
    demo = demo_plant_parts
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    image = Image(demo.layout)
    image.copy_from(demo.image)
    for name in ("rack.current", "rack.voltage", "plant.active_power", "rack.operating_state", "plant.active_alarms"):
        values = image[name]
        values.quality[:] = rng.integers(0, len(Quality), values.quality.shape)
        values.time_ns[:] = NOW_NS - rng.integers(0, 20_000_000_000, values.time_ns.shape)
    _assert_as_read_one_by_one(demo, demo.units()[2], snapshot_of(image, NOW_NS), NOW_NS)


@pytest.fixture(scope="module")
def demo_plant_parts(demo_plant):
    return Demo(demo_plant)


def test_a_value_turns_bad_by_age_alone_without_a_new_snapshot(demo):
    unit, snapshot, place = demo.units()[2], demo.snapshot(), demo.place("Plant.Block01.Rack03.Current")
    bad_after_ns = int(demo.periods["rack.current"].bad_after_ns[2])
    assert _number(_read(unit, snapshot, place, NOW_NS), place.type) == 3.5
    assert _number(_read(unit, snapshot, place, NOW_NS + bad_after_ns), place.type) == 3.5
    assert math.isnan(_number(_read(unit, snapshot, place, NOW_NS + bad_after_ns + 1), place.type))


def test_nothing_is_computed_anew_while_nothing_changes(demo, monkeypatch):
    unit, snapshot = demo.units()[2], demo.snapshot()
    unit.read(snapshot, NOW_NS, 100, 2)
    monkeypatch.setattr(unit, "_built", None)
    unit.read(snapshot, NOW_NS + 1_000_000, 100, 2)
    with pytest.raises(TypeError):
        unit.read(demo.snapshot(), NOW_NS + 1_000_000, 100, 2)


def test_a_number_that_no_register_can_hold_reads_as_bad(demo):
    demo.image["plant.active_power"].value[:] = 1e60
    demo.image["plant.operating_state"].value[:] = -1
    unit, snapshot = demo.units()[2], demo.snapshot()
    assert math.isnan(_number(_read(unit, snapshot, demo.place("Plant.ActivePower")), WireType.F32))
    assert _read(unit, snapshot, demo.place("Plant.State")) == b"\xff\xff"


def test_the_head_shows_version_and_heartbeats(demo):
    demo.image["plant.heartbeat"].value[:] = 65_535 + 7
    demo.image["plant.scada_heartbeat"].value[:] = 65_535
    unit = demo.units()[2]
    head = unit.read(demo.snapshot(), NOW_NS, 0, 12)
    assert isinstance(head, bytes)
    assert int.from_bytes(head[:4]) == demo.map.version
    assert (int.from_bytes(head[4:6]), int.from_bytes(head[6:8])) == (7, 0)
    assert struct.unpack(">ff", head[8:16]) == pytest.approx((1.5e-6, 1.5e-6))
    assert head[16:] == bytes(8)


def test_only_listed_registers_have_an_address(demo):
    unit, snapshot = demo.units()[2], demo.snapshot()
    end = max(p.address + p.type.words for p in demo.map.points.values())
    last_quality = max(p.quality_address for p in demo.map.points.values() if p.rank >= 0)
    for address, count in ((12, 1), (99, 2), (0, 13), (end - 1, 2), (QUALITY_ADDRESS - 1, 1), (last_quality, 2)):
        assert unit.read(snapshot, NOW_NS, address, count) is BAD_ADDRESS
    for address, count in ((5, 1), (101, 3), (end - 1, 1), (last_quality, 1)):
        assert len(unit.read(snapshot, NOW_NS, address, count)) == 2 * count


def test_the_last_quality_register_is_filled_with_absent(demo):
    ranked = {tag: place for tag, place in demo.map.points.items() if place.rank >= 0}
    points = len(ranked) if len(ranked) % 4 else len(ranked) - 1
    kept = {tag: place for tag, place in demo.map.points.items() if place.rank < points}
    unit = flat_units(demo.listed, replace(demo.map, points=kept), demo.layout, demo.periods)[2]
    block = unit.read(demo.snapshot(), NOW_NS, QUALITY_ADDRESS + (points - 1) // 4, 1)
    assert isinstance(block, bytes)
    padding = -points % 4
    assert int.from_bytes(block) & (16**padding - 1) == sum(Quality.ABSENT << 4 * n for n in range(padding))


def test_a_frozen_map_goes_on_in_further_units_up_to_the_quality_block(demo):
    tags = sorted(t for t, p in demo.map.points.items() if p.unit == 2 and p.type is WireType.F32 and p.rank >= 0)
    moved = {tags[0]: Place(3, 100, WireType.F32, 0), tags[1]: Place(3, QUALITY_ADDRESS - 2, WireType.F32, 1)}
    places = replace(demo.map, points={**demo.map.points, **moved})
    units = flat_units(demo.listed, places, demo.layout, demo.periods)
    assert sorted(units) == [2, 3]
    snapshot = demo.snapshot()
    for tag, place in moved.items():
        reading = demo.reader.read(snapshot, demo.points[tag], NOW_NS)
        shown = _number(_read(units[3], snapshot, place), place.type)
        assert shown == _expected(demo.points[tag], place, reading.value)
    assert units[3].read(snapshot, NOW_NS, QUALITY_ADDRESS, 1) == b"\x00\x66"
    assert units[3].read(snapshot, NOW_NS, 0, 1) is BAD_ADDRESS
    assert units[3].write(snapshot, NOW_NS, 8, b"\x00\x01") is BAD_ADDRESS


# -------------------------------------------------------------------------------------------------------------- writing


def _orders(demo: Demo, address: int, data: bytes) -> tuple[Order, ...] | ExceptionCode:
    plan = demo.units()[2].write(demo.snapshot(), NOW_NS, address, data)
    return plan.orders if isinstance(plan, Plan) else plan


def test_a_set_point_is_in_base_units_and_its_limit_is_in_range(demo):
    assert _orders(demo, 4, struct.pack(">f", 2.4)) == (Order(Action.SET_ACTIVE_POWER, "Plant", 2.4e6),)
    assert _orders(demo, 4, struct.pack(">f", -2.4)) == (Order(Action.SET_ACTIVE_POWER, "Plant", -2.4e6),)
    assert _orders(demo, 6, struct.pack(">f", 0.1)) == (Order(Action.SET_REACTIVE_POWER, "Plant", 0.1e6),)


def test_several_values_are_one_write_in_register_order(demo):
    data = struct.pack(">HffHHHH", 77, 1.0, 0.5, 1, 0, 1, 1)
    assert _orders(demo, 3, data) == (
        Order(Action.SCADA_HEARTBEAT, "Plant", 77),
        Order(Action.SET_ACTIVE_POWER, "Plant", 1e6),
        Order(Action.SET_REACTIVE_POWER, "Plant", 0.5e6),
        Order(Action.START, "Plant"),
        Order(Action.FAST_STOP, "Plant"),
        Order(Action.RESET_TRIPS, "Plant"),
    )


@pytest.mark.parametrize("count", [0, 0xFFFF])
def test_a_heartbeat_may_wrap(demo, count):
    assert _orders(demo, 3, struct.pack(">H", count)) == (Order(Action.SCADA_HEARTBEAT, "Plant", count),)


def test_limits_are_written_in_the_value_area(demo):
    place = demo.place("Plant.ExportLimit")
    assert _orders(demo, place.address, struct.pack(">f", 1.2)) == (Order(Action.SET_EXPORT_LIMIT, "Plant", 1.2e6),)


@pytest.mark.parametrize(
    ("address", "data", "code"),
    [
        (0, b"\x00\x01", BAD_ADDRESS),
        (2, b"\x00\x01", BAD_ADDRESS),
        (2, b"\x00\x01\x00\x01", BAD_ADDRESS),
        (12, b"\x00\x01", BAD_ADDRESS),
        (11, b"\x00\x01\x00\x01", BAD_ADDRESS),
        (100, b"\x00\x00\x00\x00", BAD_ADDRESS),
        (QUALITY_ADDRESS, b"\x00\x00", BAD_ADDRESS),
        (4, b"\x3f\x80", BAD_VALUE),
        (5, b"\x00\x00", BAD_VALUE),
        (5, b"\x00\x00\x3f\x80\x00\x00", BAD_VALUE),
        (4, b"\x3f\x80\x00\x00\x3f\x80", BAD_VALUE),
        (4, struct.pack(">f", math.nan), BAD_VALUE),
        (4, struct.pack(">f", math.inf), BAD_VALUE),
        (4, struct.pack(">f", 2.4000003), BAD_VALUE),
        (4, struct.pack(">ff", 1.0, -99.0), BAD_VALUE),
        (8, b"\x00\x02", BAD_VALUE),
        (8, b"\x00\x01\xff\xff", BAD_VALUE),
    ],
)
def test_a_write_that_can_not_be_meant_does_nothing(demo, address, data, code):
    assert _orders(demo, address, data) is code


def test_a_zero_in_a_command_asks_for_nothing(demo):
    assert _orders(demo, 8, bytes(8)) == ()


@given(st.floats(-1e6, 1e6, width=32))
def test_a_float32_stands_for_the_shortest_decimal_that_reads_as_it(value):
    assert np.float32(shortest(np.float32(value))) == np.float32(value)
    assert len(repr(shortest(np.float32(value)))) <= len(repr(value))
