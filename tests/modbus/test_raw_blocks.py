"""A row of raw bytes changes as a whole, and its arrivals tell that it did."""

from __future__ import annotations

import numpy as np

from controller.modbus.raw_blocks import RawGroup, ReadSpan, RowState
from controller.modbus.read_plan import plan_reads
from controller.modbus.register_map import compile_map

POINTS = """
rack.voltage: {at: input 0, as: u16, unit: V, block: fast}
cell.balancing: {at: discrete 0, count: 9, as: bool, block: fast}
"""


def test_a_row_is_stored_or_failed_as_a_whole(device) -> None:
    device_type = device(POINTS, kind="rack_bms")
    spans = plan_reads(compile_map(device_type), "fast")
    group = RawGroup(device_type, "fast", spans, (3, 5))
    assert group.data.shape == (2, 4)
    assert group.state.tolist() == [RowState.NEVER, RowState.NEVER]
    group.store(1, b"\x01\x02\xff\x01", 7)
    assert group.data.tolist() == [[0, 0, 0, 0], [1, 2, 255, 1]]
    assert (group.time_ns[1], group.state[1], group.arrivals[1]) == (7, RowState.GOOD, 1)
    group.fail(1, 9)
    assert group.data[1].tolist() == [1, 2, 255, 1]
    assert (group.time_ns[1], group.state[1], group.arrivals[1]) == (9, RowState.FAILED, 2)
    assert group.arrivals.dtype == np.uint32
    group.forget()
    assert (group.time_ns[1], group.state[1], group.arrivals[1]) == (0, RowState.NEVER, 0)


def test_a_group_without_reads_has_no_bytes(device) -> None:
    assert RawGroup(device(POINTS, kind="rack_bms"), "fast", (), (0,)).data.shape == (1, 0)


def test_bits_are_packed() -> None:
    assert [ReadSpan(f, 0, 9, 0).size_bytes for f in (1, 2, 3, 4)] == [2, 2, 18, 18]
