"""What can not be measured is not believed, nor is what stands beside an impossible power."""

from __future__ import annotations

import numpy as np
import pytest

from controller.image.possible import DOUBTED_NS, Possibility, largest_possible
from controller.plant.model import Plant

S = 10**9


def test_margins_follow_from_what_is_installed(demo_plant: Plant) -> None:
    most = largest_possible(demo_plant)
    poi, auxiliary = 0, 1
    assert most["pcs.active_power"].tolist() == pytest.approx([2.64e6, 2.64e6])
    assert most["pcs.dc_voltage"].tolist() == pytest.approx([1380.0, 1380.0])
    assert most["pcs.dc_current"].tolist() == pytest.approx([4000.0, 4000.0])
    assert most["meter.active_power"][poi] == pytest.approx(5.28e6)
    assert np.isinf(most["meter.active_power"][auxiliary]), "the site file does not say what it may see"
    assert most["meter.voltage"].tolist() == pytest.approx([24940.0, 800.0])


@pytest.fixture
def two_devices() -> Possibility:
    """Return one of a power and a voltage of device 0, and a power of device 1."""
    return Possibility(np.array([10.0, 10.0, 10.0]), np.array([0, 0, 1]), np.array([True, False, True]))


def test_an_impossible_power_takes_belief_from_its_device_for_a_while(two_devices: Possibility) -> None:
    at = np.full(3, 100 * S)
    assert two_devices.judge(np.array([1.0, 1.0, 1.0]), at).tolist() == [True, True, True]
    assert two_devices.judge(np.array([11.0, 1.0, 1.0]), at).tolist() == [False, False, True]
    assert two_devices.judge(np.array([1.0, 1.0, 1.0]), at + DOUBTED_NS - 1).tolist() == [False, False, True]
    assert two_devices.judge(np.array([1.0, 1.0, 1.0]), at + DOUBTED_NS).tolist() == [True, True, True]


def test_an_impossible_voltage_speaks_for_itself(two_devices: Possibility) -> None:
    at = np.full(3, 100 * S)
    assert two_devices.judge(np.array([1.0, -11.0, 1.0]), at).tolist() == [True, False, True]


def test_what_is_no_number_is_for_others_to_judge(two_devices: Possibility) -> None:
    at = np.full(3, 100 * S)
    assert two_devices.judge(np.array([np.nan, 1.0, 1.0]), at).tolist() == [True, True, True]
