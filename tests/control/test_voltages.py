"""A rack's voltage lies between its cells' extremes, or one of them is wrong."""

from __future__ import annotations

import numpy as np
import pytest

RACK = 3


def told(rig) -> bool:
    return bool(rig.result.conditions["rack.voltage_wrong"][RACK])


@pytest.fixture
def fitting(running):
    """Return a running rig whose cell voltages fit its racks."""
    running.field.cells["rack.cell_voltage_max"][:] = running.field.resting_v / 240 + 0.01
    running.field.cells["rack.cell_voltage_min"][:] = running.field.resting_v / 240 - 0.01
    running.run(40)
    assert not running.result.conditions["rack.voltage_wrong"].any()
    return running


@pytest.mark.parametrize("offset_v", [30.0, -30.0])
def test_a_voltage_that_does_not_fit_is_told_and_nobody_elses(fitting, offset_v):
    fitting.field.resting_v[RACK] += offset_v
    fitting.run(14)
    assert not told(fitting)
    fitting.run(3)
    assert told(fitting)
    assert fitting.result.conditions["rack.voltage_wrong"].sum() == 1
    fitting.field.resting_v[RACK] -= offset_v
    fitting.run(13)
    assert told(fitting)
    fitting.run(4)
    assert not told(fitting)


def test_what_comes_and_goes_with_the_current_is_no_finding(fitting):
    for _ in range(10):
        fitting.field.resting_v[RACK] += 30.0
        fitting.run(8)
        fitting.field.resting_v[RACK] -= 30.0
        fitting.run(3)
    assert not told(fitting)


def test_what_is_not_known_is_not_judged(fitting):
    fitting.field.cells["rack.cell_voltage_max"][RACK] = np.nan
    fitting.field.resting_v[RACK] += 30.0
    fitting.run(30)
    assert not told(fitting)
