"""A device file becomes registers: every element has its address, and what can't be is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.modbus.errors import DeviceMapError, SunSpecError
from controller.modbus.register_map import Conflict, compile_map, conflicts, expected_models, is_repeated
from controller.modbus.sunspec_chain import ModelPlace, chain_of
from controller.plant.device_types import DeviceType, RegisterTable
from controller.plant.signals import SIGNALS

BANK = "repeat: {rack: {count: 4, stride: 100}}"
POINTS = """
bank.heartbeat: {at: input 0, as: u16, block: fast}
rack.current: {at: input 10, as: i32, unit: A, scale: 0.1, block: fast, missing: 0x80000000}
cell.voltage: {at: input 20, count: 3, stride: 2, as: u16, unit: mV, block: fast}
cell.balancing: {at: discrete 5, count: 3, as: bool, block: fast}
"""


def test_every_library_device_compiles_without_conflicts(library_device, library_name: str) -> None:
    device_type = library_device(library_name)
    found = compile_map(device_type)
    assert set(found.fields) == {p.signal.name for p in device_type.points}
    assert conflicts(found) == ()
    assert {f.signal.name for b in device_type.poll_blocks for f in found.block(b.name)} == {
        p.signal.name for p in device_type.points if p.poll_block
    }


def test_instances_stand_a_stride_apart_and_elements_theirs(device) -> None:
    found = compile_map(device(POINTS, BANK), instances=(0, 2))
    assert found.fields["bank.heartbeat"].addresses.tolist() == [[0]]
    assert found.fields["rack.current"].addresses.tolist() == [[10], [210]]
    assert found.fields["cell.voltage"].addresses.tolist() == [[20, 22, 24], [220, 222, 224]]
    assert found.fields["cell.balancing"].addresses.tolist() == [[5, 6, 7], [205, 206, 207]]
    assert found.fields["rack.current"].shape(7) == (7, 2)
    assert found.fields["cell.voltage"].shape(7) == (7, 2, 3)
    assert found.fields["rack.current"].patterns == (0x80000000,)


def test_all_instances_are_taken_unless_told(device) -> None:
    assert compile_map(device(POINTS, BANK)).instances == (0, 1, 2, 3)
    assert compile_map(device("bank.heartbeat: {at: input 0, as: u16, block: fast}")).instances == (0,)


def test_what_repeats_is_the_equipment_with_its_cells(device) -> None:
    bank = device(POINTS, BANK)
    assert is_repeated(bank, SIGNALS["cell.temperature"])
    assert not is_repeated(bank, SIGNALS["bank.alarms"])
    assert not is_repeated(replace(bank, repeat=None), SIGNALS["rack.current"])


@pytest.mark.parametrize("instances", [(4,), (-1,), (0, 99)])
def test_instances_that_the_type_has_not_are_refused(device, instances: tuple[int, ...]) -> None:
    with pytest.raises(DeviceMapError, match="there are 4"):
        compile_map(device(POINTS, BANK), instances=instances)


# ------------------------------------------------------------------------------------------------------------- SunSpec


def test_sunspec_points_are_found_through_the_chain(library_device) -> None:
    pcs = library_device("sunspec-pcs-7xx")
    chain = chain_of([(1, {}), (714, {"NPrt": 2}), *_others(pcs, 714)], base=0)
    found = compile_map(pcs, chain)
    place = next(p for p in chain if p.model == 714)
    assert found.chain == chain
    assert found.fields["pcs.dc_current"].addresses.tolist() == [[place.address + 5]]
    assert found.fields["pcs.dc_current"].factor_addresses is not None
    assert found.fields["pcs.state"].factor_addresses is None
    assert found.fields["pcs.state"].patterns == (0xFFFF,)
    assert found.fields["pcs.heartbeat"].table is RegisterTable.HOLDING


def _others(device_type: DeviceType, *without: int) -> list[tuple[int, dict[str, int]]]:
    return [(model, dict(counts)) for model, counts in expected_models(device_type) if model not in {1, *without}]


def test_vendor_models_between_are_passed_over(library_device) -> None:
    meter = library_device("sunspec-meter-3ph")
    chain = (ModelPlace(1, 2, 66), ModelPlace(64_999, 70, 10), ModelPlace(203, 82, 105))
    assert compile_map(meter, chain).fields["meter.active_power"].addresses.tolist() == [[82 + 18]]


def test_cells_of_several_modules_follow_each_other(library_device) -> None:
    rack = library_device("sunspec-rack")
    points = tuple(replace(p, count=min(p.count, 5)) for p in rack.points)
    cells = {"lithium-ion-module-cell": 3}
    chain = chain_of([*((m, c) for m, c in expected_models(rack) if m != 805), (805, cells), (805, cells)])
    found = compile_map(replace(rack, points=points), chain)
    first, second = (p.address + 44 for p in chain if p.model == 805)
    assert found.fields["cell.voltage"].addresses.tolist() == [[first, first + 4, first + 8, second, second + 4]]
    factors = found.fields["cell.voltage"].factor_addresses
    assert factors is not None
    assert len(set(factors[0].tolist())) == 2


def test_racks_of_a_bank_are_dealt_models_or_strings_in_order(device) -> None:
    bank = device(
        """
        rack.current: {at: sunspec 804.A, unit: A, block: fast}
        rack.soc: {at: sunspec 803.string.StrSoC, unit: "%", block: fast}
        bank.heartbeat: {at: sunspec 802.Hb, block: fast}
        """,
        "sunspec: [1, 802, 803, 804]\nrepeat: {rack: {count: 3, stride: 1}}",
    )
    found = compile_map(bank, instances=(0, 2))
    places = [p.address for p in found.chain if p.model == 804]
    assert [p.model for p in found.chain] == [1, 802, 803, 804, 804, 804]
    assert found.fields["rack.current"].addresses.tolist() == [[places[0] + 13], [places[2] + 13]]
    strings = next(p.address for p in found.chain if p.model == 803) + 28
    assert found.fields["rack.soc"].addresses[:, 0].tolist() == [strings + 4, strings + 64 + 4]
    assert found.fields["bank.heartbeat"].addresses.shape == (1, 1)


def test_a_fixed_scale_factor_is_part_of_the_scaling(device) -> None:
    found = compile_map(
        device("pcs.temperature: {at: sunspec 307.TmpAmb, unit: degC, block: fast}", "sunspec: [1, 307]", "pcs")
    )
    field = found.fields["pcs.temperature"]
    assert field.factor_addresses is None
    assert field.scaling.value(field.addresses * 0 + 253).tolist() == [[25.3]]


def test_a_chain_that_lacks_models_or_strings_is_refused(device, library_device) -> None:
    with pytest.raises(DeviceMapError, match=r"meter\.active_power: the device serves 0 of 203\.W, 1 are needed"):
        compile_map(library_device("sunspec-meter-3ph"), chain_of([(1, {})]))
    bank = device(
        'rack.soc: {at: sunspec 803.string.StrSoC, unit: "%", block: fast}',
        "sunspec: [1, 803]\nrepeat: {rack: {count: 3, stride: 1}}",
    )
    with pytest.raises(DeviceMapError, match=r"serves 2 of 803\.StrSoC, 3 are needed"):
        compile_map(bank, chain_of([(1, {}), (803, {"NStr": 2})]))
    with pytest.raises(SunSpecError, match="model 803 states length 27"):
        compile_map(bank, (ModelPlace(803, 2, 27),))


def test_a_point_that_the_model_has_not_is_refused(device) -> None:
    wrong = device("pcs.active_power: {at: sunspec 701.Watt, unit: W, block: fast}", "sunspec: [1, 701]", "pcs")
    with pytest.raises(DeviceMapError, match=r"pcs\.active_power: the device serves 0 of 701\.Watt"):
        compile_map(wrong)


# -------------------------------------------------------------------------------------------------------------- errors


def _changed(device_type: DeviceType, name: str, **changes: Any) -> DeviceType:
    points = tuple(replace(p, **changes) if p.signal.name == name else p for p in device_type.points)
    return replace(device_type, points=points)


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("rack.current", {"register_type": "u99"}, "no register type 'u99'"),
        ("rack.current", {"register_type": "string4"}, "'string4' holds no number"),
        ("rack.current", {"register_type": "ipaddr"}, "'ipaddr' holds no number"),
        ("rack.current", {"scale": 0.0}, "the scale is 0"),
        ("rack.current", {"count": 2}, "2 elements of what has one value"),
        ("rack.current", {"missing": (1 << 40,)}, "1099511627776 can't stand in a register of type i32"),
        ("bank.heartbeat", {"scale": 2.0}, "a count has no scale"),
        ("bank.heartbeat", {"sign": -1}, "a count has no scale"),
        ("cell.balancing", {"register_type": "u16"}, "'u16' in a table of bits"),
        ("cell.voltage", {"count": 40_000}, "does not exist"),
    ],
)
def test_what_can_not_be_compiled_is_named(device, name: str, changes: dict[str, object], text: str) -> None:
    with pytest.raises(DeviceMapError) as raised:
        compile_map(_changed(device(POINTS, BANK), name, **changes))
    assert str(raised.value).startswith(f"test-device, {name}: ")
    assert text in str(raised.value)


# ----------------------------------------------------------------------------------------------------------- conflicts


@pytest.mark.parametrize(
    ("points", "found"),
    [
        (
            """
            rack.voltage: {at: input 0, as: u16, unit: V, block: fast}
            rack.soc: {at: input 0, as: u16, unit: "%", block: fast}
            """,
            [("rack.soc", "rack.voltage", 0)],
        ),
        (
            """
            rack.voltage: {at: input 0, as: u32, unit: V, block: fast}
            rack.current: {at: input 1, as: u32, unit: A, block: fast}
            rack.soc: {at: holding 1, as: u32, unit: "%", block: fast}
            """,
            [("rack.current", "rack.voltage", 1)],
        ),
        (
            """
            rack.contactor: {at: input 3, as: u16, block: fast, values: {0: open, 1: closed}}
            rack.tripped: {at: input 3, as: u16, block: fast, values: {0: no, 1: no, 2: yes}}
            """,
            [],
        ),
        (
            """
            rack.contactor: {at: input 3, as: u16, block: fast, values: {0: open, 1: closed}}
            rack.tripped: {at: input 3, as: u32, block: fast, values: {0: no, 1: no, 2: yes}}
            """,
            [("rack.contactor", "rack.tripped", 3)],
        ),
        (
            """
            rack.voltage: {at: input 90, as: u16, unit: V, block: fast}
            cell.voltage: {at: input 91, count: 101, as: u16, unit: V, block: fast}
            """,
            [("cell.voltage", "cell.voltage", 191), ("cell.voltage", "rack.voltage", 190)],
        ),
    ],
)
def test_registers_of_two_signals(device, points: str, found: list[tuple[str, str, int]]) -> None:
    table = RegisterTable.INPUT
    wanted = {Conflict(first, second, table, address) for first, second, address in found}
    assert set(conflicts(compile_map(device(points, BANK)))) == wanted


def test_a_setting_may_be_read_back_where_it_is_written(device) -> None:
    points = """
    pcs.watchdog_timeout: {at: holding 7, as: u16, unit: s, block: fast}
    pcs.watchdog_timeout_setting: {at: holding 7, as: u16, unit: s, writable: persistent}
    """
    assert conflicts(compile_map(device(points, kind="pcs"))) == ()
