"""What control finds becomes an alarm of the right equipment, once, and goes when it goes."""

from __future__ import annotations

import numpy as np
import pytest

from controller.alarms.states import Condition
from controller.alarms.table import AlarmTable
from controller.control.report.conditions import CONDITIONS
from controller.plant.model import Plant
from controller.protection.table import compile_table
from controller.runtime.alarm_conditions import CONTROL_ALARMS, AlarmConditions

MUST_ALARM = {"pcs.stop_failed", "pcs.write_failed", "pcs.breaker_request", "rack.open_with_current"}


def test_nothing_that_an_operator_must_answer_is_left_out() -> None:
    assert MUST_ALARM <= CONTROL_ALARMS.keys() <= CONDITIONS.keys()


@pytest.mark.parametrize("name", sorted(CONTROL_ALARMS))
def test_each_condition_is_an_alarm_of_its_equipment_and_no_other(demo_plant: Plant, name: str) -> None:
    table = AlarmTable(demo_plant)
    alarms = AlarmConditions(table, compile_table(demo_plant))
    group = table.system(CONTROL_ALARMS[name])
    found = np.arange(group.count) == group.count - 1
    for now_ns, active in ((1, found), (2, found), (3, ~found & found)):
        alarms.of_control({name: active}, {}, now_ns)
        state = alarms.conditions.state
        assert ((state == Condition.ACTIVE) == _at(group, active, len(state))).all()
        assert (alarms.conditions.time_ns[group.place][found] == 1).all()


def _at(group, active: np.ndarray, size: int) -> np.ndarray:
    expected = np.zeros(size, np.bool_)
    expected[group.place] = active
    return expected
