"""What can not be measured is not believed, nor is what stands beside an impossible power."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.image.possible import DOUBTED_NS, Possibility, largest_possible, smallest_possible
from controller.plant.model import Plant

S = 10**9
INSIDE = np.zeros(3, np.bool_)


def test_margins_follow_from_what_is_installed(demo_plant: Plant) -> None:
    most = largest_possible(demo_plant)
    poi, auxiliary = 0, 1
    assert most["pcs.active_power"].tolist() == pytest.approx([2.64e6, 2.64e6])
    assert most["pcs.dc_voltage"].tolist() == pytest.approx([1380.0, 1380.0])
    assert most["pcs.dc_current"].tolist() == pytest.approx([4000.0, 4000.0])
    assert most["meter.active_power"][poi] == pytest.approx(5.28e6)
    assert most["meter.active_power"][auxiliary] == pytest.approx(72e3), "three times two HVACs of 12 kW"
    assert most["meter.voltage"].tolist() == pytest.approx([24940.0, 800.0])


def test_a_meter_of_auxiliaries_that_nobody_states_may_see_anything(demo_plant: Plant) -> None:
    most = largest_possible(replace(demo_plant, auxiliaries=()))
    assert np.isinf(most["meter.active_power"][1])


@pytest.fixture
def two_devices() -> Possibility:
    """Return one of a power and a voltage of device 0, and a power of device 1."""
    ranges = np.array([[0.0, 2.0, 0.0], [10.0, 10.0, 10.0]])
    return Possibility(ranges, np.array([0, 0, 1]), np.array([True, False, True]))


def test_an_impossible_power_takes_belief_from_its_device_for_a_while(two_devices: Possibility) -> None:
    at = np.full(3, 100 * S)
    assert two_devices.judge(np.array([1.0, 2.0, 1.0]), INSIDE, at).tolist() == [True, True, True]
    assert two_devices.judge(np.array([11.0, 2.0, 1.0]), INSIDE, at).tolist() == [False, False, True]
    assert two_devices.judge(np.array([1.0, 2.0, 1.0]), INSIDE, at + DOUBTED_NS - 1).tolist() == [False, False, True]
    assert two_devices.judge(np.array([1.0, 2.0, 1.0]), INSIDE, at + DOUBTED_NS).tolist() == [True, True, True]


def test_an_impossible_voltage_speaks_for_itself(two_devices: Possibility) -> None:
    at = np.full(3, 100 * S)
    assert two_devices.judge(np.array([1.0, -11.0, 1.0]), INSIDE, at).tolist() == [True, False, True]


def test_what_is_no_number_is_for_others_to_judge(two_devices: Possibility) -> None:
    at = np.full(3, 100 * S)
    assert two_devices.judge(np.array([np.nan, 2.0, 1.0]), INSIDE, at).tolist() == [True, True, True]


def test_what_its_map_calls_out_of_range_is_impossible_too(two_devices: Possibility) -> None:
    at = np.full(3, 100 * S)
    outside = np.array([True, False, False])
    assert two_devices.judge(np.array([np.nan, 2.0, 1.0]), outside, at).tolist() == [False, False, True]


@pytest.mark.parametrize(("value", "believed"), [(0.0, True), (1e-9, False), (-1.9, False), (2.0, True)])
def test_what_is_nearly_nothing_is_no_reading_where_only_zero_or_more_can_be(
    two_devices: Possibility, value: float, *, believed: bool
) -> None:
    at = np.full(3, 100 * S)
    assert two_devices.judge(np.array([1.0, value, 1.0]), INSIDE, at).tolist() == [True, believed, True]


def test_a_frequency_is_the_grids_or_none(demo_plant: Plant) -> None:
    assert largest_possible(demo_plant)["meter.frequency"].tolist() == [75.0, 75.0]
    assert smallest_possible(demo_plant)["meter.frequency"].tolist() == [45.0, 45.0]
