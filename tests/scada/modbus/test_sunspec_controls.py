"""The registers a SunSpec master writes: what each write asks of the plant, and what reads back."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.commands import Action
from controller.image.data_periods import data_periods
from controller.modbus.errors import ExceptionCode
from controller.modbus.sunspec import Field, layout
from controller.modbus.sunspec_chain import ChainWalker
from controller.plant.model import Plant
from controller.scada.modbus.requests import Order, Plan
from controller.scada.modbus.sunspec_map import sunspec_units
from tests.scada.modbus.parts import FakePlant, fake_plant

BAD_ADDRESS, BAD_VALUE = ExceptionCode.ILLEGAL_DATA_ADDRESS, ExceptionCode.ILLEGAL_DATA_VALUE


class Master:
    """Reads and writes points of one unit by name, as a master does by address."""

    def __init__(self, plant: Plant, unit: int = 1):
        self.view: FakePlant = fake_plant(plant)
        self.view.show(plant__export_limit=plant.poi.export_limit_w, plant__export_limit_remaining=0.0)
        self.view.show(plant__active_setpoint_remaining=0.0, plant__reactive_setpoint_remaining=0.0)
        self.plan = Plan()
        self.unit = sunspec_units(plant, data_periods(plant))[unit]
        self.models = self._chain()

    def _chain(self) -> dict[int, int]:
        walker = ChainWalker()
        while (wanted := walker.next_read) is not None:
            walker.feed(self.at(wanted.address, wanted.count))
        return {place.model: place.address for place in reversed(walker.chain)}

    @property
    def now_ns(self) -> int:
        return self.view.snap.published_mono_ns + 1_000

    def at(self, address: int, count: int) -> bytes:
        data = self.unit.read(self.view.snap, self.now_ns, address, count)
        assert isinstance(data, bytes)
        return data

    def address(self, model: int, name: str) -> int:
        return self.models[model] + _field(model, name).offset

    def read(self, model: int, name: str) -> int:
        kind = _field(model, name).point.kind
        return int.from_bytes(self.at(self.address(model, name), kind.words), signed=kind.dtype[1] == "i")

    def write(self, model: int, **values: int) -> tuple[Order, ...] | ExceptionCode:
        """Write neighbouring points in one go."""
        data = b"".join(
            value.to_bytes(2 * _field(model, name).point.kind.words, signed=value < 0) for name, value in values.items()
        )
        plan = self.raw(self.address(model, next(iter(values))), data)
        self.plan = plan if isinstance(plan, Plan) else self.plan
        return plan.orders if isinstance(plan, Plan) else plan

    def raw(self, address: int, data: bytes) -> Plan | ExceptionCode:
        return self.unit.write(self.view.snap, self.now_ns, address, data)

    def applied(self, after_s: float = 0.001, **quantities: float) -> None:
        """Let the plant carry out what was asked: it agrees, and a later snapshot shows it."""
        self.plan.confirm(self.now_ns)
        before_ns = self.now_ns
        self.view.show(**quantities)
        self.view.snap = replace(self.view.snap, published_mono_ns=before_ns + round(after_s * 1e9))


def _field(model: int, name: str) -> Field:
    return next(f for f in layout(model, {"NStr": 24}).fields if f.path == name)


@pytest.fixture
def master(demo_plant):
    return Master(demo_plant)


def _active(value: float, timeout_s: float | None = None, fallback: float | None = None) -> tuple[Order, ...]:
    return (Order(Action.SET_ACTIVE_POWER, "Plant", value, timeout_s, fallback),)


# ----------------------------------------------------------------------------------------------------------- set-points


def test_a_set_point_is_kept_until_it_is_enabled(master):
    assert master.write(704, WSet=1_000_000) == ()
    assert (master.read(704, "WSet"), master.read(704, "WSetEna")) == (1_000_000, 0)
    assert master.write(704, WSetEna=1) == _active(1e6)


def test_mode_and_value_and_enable_are_one_write(master):
    assert master.write(704, WSetEna=1, WSetMod=1, WSet=-2_400_000) == _active(-2.4e6)
    assert (master.read(704, "WSetEna"), master.read(704, "WSet")) == (1, -2_400_000)


def test_while_enabled_each_write_is_a_set_point(master):
    master.write(704, WSetEna=1, WSetMod=1, WSet=500_000)
    assert master.write(704, WSet=600_000) == _active(6e5)
    assert master.write(704, WSetRvrtTms=120) == _active(6e5, 120.0)
    assert master.write(704, WSetEna=1) == _active(6e5, 120.0)


def test_the_time_out_and_the_fall_back_go_with_the_set_point(master):
    assert master.write(704, WSetRvrtTms=3600) == ()
    assert master.write(704, WSetRvrt=-100_000) == ()
    assert master.write(704, WSetEna=1, WSetMod=1, WSet=0) == _active(0.0, 3600.0, -1e5)
    assert master.write(704, WSetEnaRvrt=0) == _active(0.0, 3600.0, None)
    assert master.write(704, WSetRvrtTms=0) == _active(0.0)


def test_disabling_sets_the_fall_back_of_the_site_once(master, demo_plant):
    assert master.write(704, WSetEna=0) == ()
    master.write(704, WSetEna=1, WSetMod=1, WSet=500_000)
    assert master.write(704, WSetEna=0) == _active(demo_plant.control.fallback_w)
    assert master.write(704, WSetEna=0) == ()


def test_vars_are_like_watts(master):
    orders = master.write(704, VarSetEna=1, VarSetMod=4)
    assert orders == (Order(Action.SET_REACTIVE_POWER, "Plant", 1.5),)  # what the plant was asked for
    assert master.write(704, VarSet=-250_000) == (Order(Action.SET_REACTIVE_POWER, "Plant", -2.5e5),)


def test_what_reads_back_is_the_plants_once_it_has_published(master):
    master.write(704, WSetEna=1, WSetMod=1, WSet=500_000)
    master.applied(plant__active_power_setpoint=400_000.0, plant__active_setpoint_remaining=7.2)
    assert (master.read(704, "WSet"), master.read(704, "WSetRvrtRem")) == (400_000, 8)


def test_a_set_point_of_another_face_counts_as_enabled(master):
    master.applied(plant__active_power_setpoint=400_000.0, plant__active_setpoint_remaining=7.2)
    assert (master.read(704, "WSetEna"), master.read(704, "WSet")) == (1, 400_000)
    assert master.write(704, WSet=300_000) == _active(3e5)
    master.applied(plant__active_power_setpoint=200_000.0)
    assert master.write(704, WSetRvrtTms=60) == _active(2e5, 60.0)


def test_the_mode_says_which_register_counts(master):
    assert master.write(704, WSetPct=-2_500) == ()
    assert master.write(704, WSet=1_000_000) == ()
    assert master.write(704, WSetEna=1) == _active(1e6)
    assert master.write(704, WSetMod=0) == _active(-6e5)  # 25 % of 2.4 MW
    assert (master.read(704, "WSet"), master.read(704, "WSetPct")) == (1_000_000, -2_500)
    assert master.write(704, WSetPct=5_000) == _active(1.2e6)
    assert master.write(704, WSetPctRvrt=1_000) == _active(1.2e6, None, 2.4e5)
    assert master.write(704, WSetMod=1) == _active(1e6, None, 2.4e5)


def test_per_cent_are_read_of_what_stands_in_watts(master):
    master.applied(plant__active_power_setpoint=600_000.0, plant__active_setpoint_remaining=7.2)
    assert master.read(704, "WSetPct") == 2_500


def test_a_per_cent_beyond_the_plant_is_exception_3_only_where_it_counts(master):
    assert master.write(704, WSetPct=10_001) == ()
    assert master.write(704, WSetMod=0) is BAD_VALUE
    assert master.read(704, "WSetMod") == 1


@pytest.mark.parametrize(("mode", "var"), [(0, 240_000.0), (1, 264_000.0), (3, 264_000.0)])
def test_vars_in_per_cent_are_of_the_rating_that_the_mode_names(master, mode, var):
    master.write(704, VarSetPct=1_000)
    assert master.write(704, VarSetEna=1, VarSetMod=mode) == (Order(Action.SET_REACTIVE_POWER, "Plant", var),)


def test_the_power_limit_is_an_export_limit_until_it_is_disabled(master):
    master.applied(plant__export_limit=2.4e6)
    assert (master.read(704, "WMaxLimPctEna"), master.read(704, "WMaxLimPct")) == (0, 10_000)
    assert master.write(704, WMaxLimPct=5_000) == ()
    assert master.write(704, WMaxLimPctEna=1) == (Order(Action.SET_EXPORT_LIMIT, value=1.2e6),)
    master.applied(plant__export_limit=1.2e6)
    assert (master.read(704, "WMaxLimPctEna"), master.read(704, "WMaxLimPct")) == (1, 5_000)
    assert master.write(704, WMaxLimPctRvrtTms=60) == (
        Order(Action.SET_EXPORT_LIMIT, value=1.2e6, timeout_s=60.0, fallback=2.4e6),
    )
    assert master.write(704, WMaxLimPctRvrt=7_500, WMaxLimPctEnaRvrt=1) == (
        Order(Action.SET_EXPORT_LIMIT, value=1.2e6, timeout_s=60.0, fallback=1.8e6),
    )
    assert master.write(704, WMaxLimPctEna=0) == (Order(Action.SET_EXPORT_LIMIT, value=2.4e6),)
    master.applied(plant__export_limit=2.4e6)
    assert master.write(704, WMaxLimPctEna=0) == ()


def test_a_limit_of_another_source_reads_as_enabled(master):
    master.applied(plant__export_limit=0.6e6)
    assert (master.read(704, "WMaxLimPctEna"), master.read(704, "WMaxLimPct")) == (1, 2_500)


def test_what_is_under_way_is_neither_in_force_nor_run_out(master):
    """A snapshot of the scan before must not make the next of two writes one of a set-point that ran out."""
    master.write(704, WSetEna=1, WSetMod=1, WSet=500_000)
    snap = master.view.snap
    master.view.snap = replace(snap, published_mono_ns=snap.published_mono_ns + 1_000_000)
    assert (master.read(704, "WSetEna"), master.read(704, "WSet")) == (1, 500_000)
    assert master.write(704, WSet=600_000) == _active(6e5)
    master.applied()
    master.applied()
    assert master.read(704, "WSetEna") == 0  # the plant agreed and shows none: it has run out, or was stopped


def test_what_another_face_sets_after_a_release_counts_as_enabled(master, demo_plant):
    master.write(704, WSetEna=1, WSetMod=1, WSet=500_000)
    master.applied(plant__active_power_setpoint=500_000.0, plant__active_setpoint_remaining=9.0)
    assert master.write(704, WSetEna=0) == _active(demo_plant.control.fallback_w)
    master.applied(plant__active_power_setpoint=demo_plant.control.fallback_w)
    assert (master.read(704, "WSetEna"), master.read(704, "WSet")) == (0, 500_000)
    master.applied(plant__active_power_setpoint=300_000.0)
    assert (master.read(704, "WSetEna"), master.read(704, "WSet")) == (1, 300_000)


def test_what_the_plant_refuses_is_taken_back(master):
    master.write(704, WSet=500_000)
    plan = master.raw(master.address(704, "WSetEna"), b"\x00\x01")
    assert isinstance(plan, Plan)
    assert master.read(704, "WSetEna") == 1
    plan.undo()
    assert (master.read(704, "WSetEna"), master.read(704, "WSet")) == (0, 500_000)


def test_a_bad_value_anywhere_changes_nothing(master):
    assert master.write(704, WSetEna=1, WSetMod=1, WSet=2_400_001) is BAD_VALUE
    assert master.read(704, "WSetEna") == 0
    assert master.write(704, WSetEna=1) == _active(1.5)


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (704, "WSetEna", 2),
        (704, "WSetEna", 0xFFFF),
        (704, "WSetMod", 2),
        (704, "WSet", -2_400_001),
        (704, "WSet", -(2**31)),
        (704, "WSetRvrt", 2_400_001),
        (704, "WSetEnaRvrt", 2),
        (704, "WSetRvrtTms", 3_601),
        (704, "WSetRvrtTms", 0xFFFF_FFFF),
        (704, "VarSetMod", 2),  # per cent of what is available would move by itself
        (704, "WMaxLimPct", 10_001),
        (704, "WMaxLimPctEna", 2),
        (704, "WMaxLimPctRvrt", 10_001),
        (704, "WMaxLimPctEnaRvrt", 2),
        (704, "VarSet", 2_640_001),
        (715, "OpCtl", 2),
        (715, "OpCtl", 3),
        (715, "AlarmReset", 2),
        (715, "ControllerHb", 0xFFFF_FFFF),
        (802, "AlmRst", 7),
    ],
)
def test_a_number_that_can_not_be_meant_is_exception_3(master, model, name, value):
    assert master.write(model, **{name: value}) is BAD_VALUE


# -------------------------------------------------------------------------------------------------- start, stop, resets


@pytest.mark.parametrize(
    ("model", "name", "value", "orders"),
    [
        (715, "OpCtl", 1, (Order(Action.START),)),
        (715, "OpCtl", 0, (Order(Action.STOP),)),
        (715, "AlarmReset", 1, (Order(Action.RESET_TRIPS),)),
        (715, "AlarmReset", 0, ()),
        (802, "AlmRst", 1, (Order(Action.RESET_TRIPS),)),
        (715, "ControllerHb", 100_000, (Order(Action.SCADA_HEARTBEAT, value=100_000),)),
        (802, "CtrlHb", 7, (Order(Action.SCADA_HEARTBEAT, value=7),)),
    ],
)
def test_each_control_asks_for_one_thing(master, model, name, value, orders):
    assert master.write(model, **{name: value}) == orders


def test_neighbours_are_one_write(master):
    orders = master.write(715, ControllerHb=5, AlarmReset=1, OpCtl=1)
    assert orders == (Order(Action.SCADA_HEARTBEAT, value=5), Order(Action.RESET_TRIPS), Order(Action.START))


@pytest.mark.parametrize(("state", "operation"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 0), (6, 0xFFFF), (0, 0xFFFF)])
def test_the_operation_reads_what_the_plant_does(master, state, operation):
    master.view.show(plant__operating_state=state)
    assert master.read(715, "OpCtl") == operation


def test_a_block_resets_its_tripped_racks(demo_plant):
    block = Master(demo_plant, 12)
    block.view.show(rack__any_trip=0)
    assert block.write(802, AlmRst=1) == ()
    image = block.view.snap.image
    image["rack.any_trip"].value[[3, 14, 20]] = 1
    assert block.write(802, AlmRst=1) == (
        Order(Action.RESET_TRIP, "Plant.Block02.Rack03"),
        Order(Action.RESET_TRIP, "Plant.Block02.Rack09"),
    )
    assert block.write(802, AlmRst=0) == ()
    assert block.write(802, AlmRst=2) is BAD_VALUE
    assert block.write(802, CtrlHb=2) is BAD_ADDRESS


# ------------------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("model", "name", "words"),
    [
        (701, "W", 1),
        (704, "WMaxLimPctRvrtRem", 2),
        (704, "WSet_SF", 1),
        (704, "WSetRvrtRem", 2),
        (802, "SetOp", 1),
        (1, "DA", 1),
    ],
)
def test_what_is_not_for_writing_is_exception_2(master, model, name, words):
    assert master.raw(master.address(model, name), bytes(2 * words)) is BAD_ADDRESS


def test_a_write_that_runs_into_another_register_is_exception_2(master):
    assert master.raw(master.address(704, "WSetRvrtTms"), struct.pack(">Ih", 0, 0)) is BAD_ADDRESS
    assert master.raw(39_999, bytes(4)) is BAD_ADDRESS


def test_half_a_value_is_exception_3(master):
    assert master.raw(master.address(704, "WSet"), b"\0\0") is BAD_VALUE
    assert master.raw(master.address(704, "WSet") + 1, b"\0\0") is BAD_VALUE
    assert master.raw(master.address(704, "WSetMod"), b"\0\1\0\0") is BAD_VALUE


@given(data=st.data())
def test_whatever_is_written_the_registers_stay_readable(masters, data):
    master = data.draw(st.sampled_from(masters))
    for _ in range(5):
        address = data.draw(st.integers(39_995, 41_300))
        words = data.draw(st.binary(min_size=1, max_size=20)) * 2
        plan = master.raw(address, words)
        assert isinstance(plan, Plan) or plan in {BAD_ADDRESS, BAD_VALUE}
        if isinstance(plan, Plan) and data.draw(st.booleans()):
            plan.undo()
        assert master.at(40_000, 2) == b"SunS"


@pytest.fixture(scope="module")
def masters(demo_plant):
    return [Master(demo_plant, 1), Master(demo_plant, 11)]
