"""What holds whatever the plant does: random measurements, losses and pauses against protection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.image.quality import Quality
from controller.plant.protection_rows import Action, Direction, Level, Reduction, ResetClass

LIMITS = (
    (Level.WARNING, 3.50, 0.5, Action.ANNUNCIATE),
    (Level.ALARM, 3.55, 0.5, Action.INHIBIT_CHARGE),
    (Level.TRIP, 3.65, 1.0, Action.DISCONNECT_RACK),
)
RACK, CELL = 2, 17
DT_S = st.integers(1, 3000).map(lambda ms: ms / 1000)
VALUE_V = st.one_of(st.floats(3.2, 3.8), st.sampled_from([3.40, 3.50, 3.55, 3.65]))
QUALITY = st.sampled_from(Quality)
SCAN = st.tuples(DT_S, VALUE_V, QUALITY)
SCANS = st.lists(SCAN, min_size=1, max_size=12)


@pytest.fixture(scope="session")
def cell_bench(make_bench, make_row):
    """Return a maker of benches with one graded row on cell voltages."""

    def make(**changes):
        row = make_row("cell_voltage_high", "cell.voltage", *LIMITS, reset=3.40, off_delay_s=0.7, **changes)
        return make_bench(row)

    return make


def play(bench, scan):
    """Run one scan in which the rack's cells are sampled with this value and quality."""
    dt_s, value, quality = scan
    bench.image["cell.voltage"].value[RACK, CELL] = value
    bench.image["cell.voltage"].quality[RACK, :] = quality
    return bench.step(dt_s)


@given(SCANS)
def test_a_trip_stays_latched_without_a_reset(cell_bench, scans):
    bench = cell_bench()
    latched = np.zeros(bench.table.size, bool)
    for scan in scans:
        result = play(bench, scan)
        assert (result.latched >= latched).all()
        assert result.rack_disconnect[RACK] == result.latched[bench.element("cell_voltage_high", RACK)]
        latched = result.latched


@given(SCANS, st.sampled_from(ResetClass), st.sampled_from(ResetClass))
def test_a_reset_needs_class_and_a_good_value_inside(cell_bench, scans, row_class, asked):
    bench = cell_bench(reset_class=row_class)
    order = list(ResetClass)
    element = bench.element("cell_voltage_high", RACK)
    for scan in scans:
        was_latched = play(bench, scan).latched[element]
        went = bench.reset(asked) > 0
        inside = scan[2] <= Quality.UNCERTAIN and scan[1] <= 3.40001
        assert not went or (was_latched and inside and order.index(asked) >= order.index(row_class))


@given(st.lists(st.tuples(DT_S, st.floats(3.2, 5.0), st.sampled_from(list(Quality)[3:])), max_size=12))
def test_unusable_data_raises_nothing(cell_bench, scans):
    bench = cell_bench()
    for scan in scans:
        assert not play(bench, scan).level.any()


@given(SCANS)
def test_lost_data_alone_disconnects_nothing(cell_bench, scans):
    bench = cell_bench()
    for dt_s, value, quality in scans:
        harmless = min(value, 3.6)
        assert not play(bench, (dt_s, harmless, quality)).rack_disconnect.any()


@given(st.lists(DT_S, min_size=1, max_size=20))
def test_a_delay_is_exact_to_the_scan(cell_bench, intervals):
    """It fires in the first scan that comes no earlier than the delay after the first that saw the value."""
    bench = cell_bench()
    bench.step()
    play(bench, (1.0, 3.70, Quality.GOOD))
    elapsed_ms = 0
    for dt_s in intervals:
        elapsed_ms += round(dt_s * 1000)
        result = play(bench, (dt_s, 3.70, Quality.GOOD))
        assert result.rack_disconnect[RACK] == (elapsed_ms >= 1000)


@given(st.lists(st.tuples(DT_S, st.booleans()), min_size=1, max_size=20))
def test_only_observed_time_counts(cell_bench, scans):
    """The timer is the sum of intervals at both ends of which the value was usable and beyond the limit."""
    bench = cell_bench()
    bench.step()
    play(bench, (1.0, 3.70, Quality.GOOD))
    observed_ms, before = 0, True
    for dt_s, known in scans:
        result = play(bench, (dt_s, 3.70, Quality.GOOD if known else Quality.DEVICE_FAILURE))
        observed_ms += round(dt_s * 1000) if known and before else 0
        before = known
        if result.rack_disconnect[RACK]:
            assert observed_ms >= 1000
        elif known:
            assert observed_ms < 1000


@given(SCANS)
def test_a_level_falls_only_to_none_and_only_inside_the_reset(cell_bench, scans):
    bench = cell_bench()
    element = bench.element("cell_voltage_high", RACK)
    before = Level.NONE
    for scan in scans:
        level = Level(play(bench, scan).level[element])
        if level < before:
            assert level == Level.NONE
            assert scan[1] <= 3.40001
            assert scan[2] <= Quality.UNCERTAIN
        before = level


@given(SCANS)
def test_a_trip_row_reaches_no_neighbour(cell_bench, scans):
    bench = cell_bench()
    for scan in scans:
        result = play(bench, scan)
        for orders in (result.rack_disconnect, result.inhibit_charge, result.rack_trip):
            assert not np.delete(orders, RACK).any()


@given(st.integers(100, 239), st.floats(-10, 10), st.sampled_from(list(Direction)))
def test_padding_cells_never_count(make_bench, make_row, demo, cells, value, direction):
    """A rack with fewer cells than the longest: whatever stands behind its last cell is no cell."""
    short = [_with_cells(rack, cells) if rack.index == RACK else rack for rack in demo.racks]
    limits = [(Level.TRIP, 3.65 if direction is Direction.HIGH else 2.7, 0.0, Action.DISCONNECT_RACK)]
    take = Reduction.HIGHEST if direction is Direction.HIGH else Reduction.LOWEST
    row = make_row("cell", "cell.voltage", *limits, direction=direction, reduction=take, reset=3.2)
    bench = make_bench(row, racks=tuple(short))
    bench.image["cell.voltage"].value[RACK, cells:] = value
    assert not bench.steps(3).level.any()


def _with_cells(rack, cells):
    return replace(rack, battery=replace(rack.battery, cells_in_series=cells))
