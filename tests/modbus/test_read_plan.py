"""Reads cover every value whole, never what is forbidden, and are as few as possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.modbus.errors import DeviceMapError
from controller.modbus.pdu import read
from controller.modbus.raw_blocks import ReadSpan
from controller.modbus.read_plan import Interval, merged, plan_reads
from controller.modbus.register_map import compile_map

intervals = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 4)).map(lambda v: (v[0], v[0] + v[1])), max_size=40, unique=True
).map(sorted)


def _barred(values: list[Interval], wish: list[Interval]) -> tuple[Interval, ...]:
    return tuple(b for b in wish if not any(a < b[1] and b[0] < e for a, e in values))


@given(intervals, st.integers(4, 60), st.integers(0, 20), intervals)
def test_spans_cover_every_value_and_nothing_forbidden(
    values: list[Interval], most: int, gap: int, wish: list[Interval]
) -> None:
    barred = _barred(values, wish)
    spans = list(merged(values, most, gap, barred))
    for first, end in spans:
        assert end - first <= most
        assert not any(a < end and first < e for a, e in barred)
    for start, stop in values:
        assert any(first <= start and stop <= end for first, end in spans)
    touched = {a for first, end in spans for a in range(first, end)}
    bridged = sorted(touched - {a for start, stop in values for a in range(start, stop)})
    assert all(_run(bridged, address) <= gap for address in bridged)


def _run(addresses: list[int], address: int) -> int:
    """Return how many consecutive addresses the run around this one has."""
    present = set(addresses)
    low = high = address
    while low - 1 in present:
        low -= 1
    while high + 1 in present:
        high += 1
    return high - low + 1


@given(st.lists(st.integers(0, 60), min_size=1, max_size=7, unique=True).map(sorted), st.integers(1, 20))
def test_no_partition_takes_fewer_reads(addresses: list[int], most: int) -> None:
    values = [(a, a + 1) for a in addresses]
    cuts = range(2 ** (len(values) - 1))
    fewest = min(_reads(values, cut) for cut in cuts if _longest(values, cut) <= most)
    assert len(list(merged(values, most, 1000))) == fewest


def _groups(values: list[Interval], cut: int) -> list[list[Interval]]:
    groups = [[values[0]]]
    for n, value in enumerate(values[1:]):
        if cut >> n & 1:
            groups.append([])
        groups[-1].append(value)
    return groups


def _reads(values: list[Interval], cut: int) -> int:
    return len(_groups(values, cut))


def _longest(values: list[Interval], cut: int) -> int:
    return max(group[-1][1] - group[0][0] for group in _groups(values, cut))


def test_every_library_block_is_planned(library_device, library_name: str) -> None:
    device_type = library_device(library_name)
    found = compile_map(device_type)
    for block in device_type.poll_blocks:
        offset_bytes = 0
        for span in plan_reads(found, block.name):
            assert span.offset_bytes == offset_bytes
            offset_bytes += span.size_bytes
            assert read(span.function, span.address, span.count).reply_size == span.size_bytes + 2


def test_registers_come_first_and_bits_behind_them(device) -> None:
    device_type = device(
        """
        cell.balancing: {at: discrete 5, count: 3, as: bool, block: fast}
        rack.voltage: {at: holding 7, as: u16, unit: V, block: fast}
        rack.current: {at: input 9, as: u16, unit: A, block: fast}
        rack.tripped: {at: coil 1, as: bool, block: fast}
        """,
        kind="rack_bms",
    )
    assert plan_reads(compile_map(device_type), "fast") == (
        ReadSpan(4, 9, 1, 0),
        ReadSpan(3, 7, 1, 2),
        ReadSpan(2, 5, 3, 4),
        ReadSpan(1, 1, 1, 5),
    )


CELLS = "cell.voltage: {at: input 100, count: 240, as: u16, unit: mV, block: fast}"


def test_long_arrays_are_cut_between_values(device) -> None:
    found = compile_map(device(CELLS, "max_read: 100", "rack_bms"))
    assert [(s.address, s.count) for s in plan_reads(found, "fast")] == [(100, 100), (200, 100), (300, 40)]
    assert [s.count for s in plan_reads(found, "fast", max_registers=500)] == [125, 115]
    wide = compile_map(device(CELLS.replace("u16", "u32"), "max_read: 99", "rack_bms"))
    assert {s.count for s in plan_reads(wide, "fast")} == {98, 88}


def test_gaps_are_bridged_as_far_as_allowed(device) -> None:
    points = """
    rack.voltage: {at: input 0, as: u16, unit: V, block: fast}
    rack.current: {at: input 5, as: u16, unit: A, block: fast}
    """
    found = compile_map(device(points, "max_gap: 4", "rack_bms"))
    assert len(plan_reads(found, "fast")) == 1
    assert len(plan_reads(found, "fast", allowed_gap=3)) == 2
    barred = compile_map(device(points, "max_gap: 4\nforbidden: [input 3..3]", "rack_bms"))
    assert len(plan_reads(barred, "fast")) == 2


def test_scale_factors_are_read_with_their_values(library_device) -> None:
    found = compile_map(library_device("sunspec-meter-3ph"))
    spans = plan_reads(found, "fast")
    for field in found.block("fast"):
        assert field.factor_addresses is not None
        for address in (*field.addresses.flat, *field.factor_addresses.flat):
            assert any(s.address <= address < s.address + s.count for s in spans)


@pytest.mark.parametrize("more", ["max_read: 1", "forbidden: [input 1..1]"])
def test_a_value_that_can_not_be_read_is_refused(device, more: str) -> None:
    found = compile_map(device("rack.voltage: {at: input 0, as: u32, unit: V, block: fast}", more, "rack_bms"))
    with pytest.raises(DeviceMapError, match=r"registers 0\.\.1 can't be read"):
        plan_reads(found, "fast")
