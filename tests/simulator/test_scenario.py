from __future__ import annotations

import pytest

from controller.simulator.faults.commands import FaultCommand
from controller.simulator.scenario import Expectation, Operation, OperatorStep, load_scenario, parse_expectation

GOOD = """
schema: scenario/v1
start: "12:00"
hours: 2
profiles: [day.csv]
steps:
  - {at: 30 s, expect: "Plant.Block01.Rack03.Tripped = true"}
  - {at: 10 s, do: "cell B01-R03 17 3.72V for 30s"}
  - {at: 1 min, do: "setpoint -1 MW"}
  - {at: 2 min, do: stop}
  - {at: 3 min, do: clear B01-R03}
"""
PROFILE = "time_s,frequency_hz,load_mw\n0,60.0,1\n10,59.0,3\n"


def loaded(tmp_path, text, profile=PROFILE):
    (tmp_path / "day.csv").write_text(profile)
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    return load_scenario(path)


def test_a_scenario_is_read_in_the_order_of_its_times(tmp_path):
    scenario, messages = loaded(tmp_path, GOOD)
    assert messages == []
    assert (scenario.start_s, scenario.duration_s) == (43200.0, 7200.0)
    assert [s.at_s for s in scenario.steps] == [10.0, 30.0, 60.0, 120.0, 180.0]
    first, expected, setpoint, stop, clear = (s.act for s in scenario.steps)
    assert isinstance(first, FaultCommand)
    assert isinstance(expected, Expectation)
    assert setpoint == OperatorStep(Operation.SETPOINT, -1e6)
    assert stop == OperatorStep(Operation.STOP)
    assert isinstance(clear, FaultCommand)
    assert clear.target == "B01-R03"
    assert scenario.profiles[0].at(5.0) == {"frequency_hz": 59.5, "load_mw": 2.0}


@pytest.mark.parametrize(
    ("broken", "with_", "says"),
    [
        ('start: "12:00"', "start: noon", "start is no time of day"),
        ("hours: 2", "hour: 2", "unknown key 'hour'"),
        ("hours: 2", "hours: 0", "must be more than zero"),
        ("day.csv", "night.csv", "profile 'night.csv' can't be read"),
        ("3.72V", "3.72A", "no voltage or temperature"),
        ("-1 MW", "-1", "has no unit"),
        ("Plant.Block01.Rack03.Tripped = true", "Tripped", "no statement about a point"),
        (", do: stop", "", "one of 'do' and 'expect'"),
        ("do: stop", "do: stop now", "takes nothing more"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, broken, with_, says):
    assert broken in GOOD
    scenario, messages = loaded(tmp_path, GOOD.replace(broken, with_))
    assert scenario is None
    assert says in messages[0].message
    assert messages[0].place.line > 1


@pytest.mark.parametrize(
    "profile", ["time_s\n0\n", "time_s,f\n0,1\n", "time_s,pv_mw\n1,0\n0,0\n", "time_s,pv_mw\n1\n", ""]
)
def test_a_profile_that_is_none_is_refused(tmp_path, profile):
    scenario, messages = loaded(tmp_path, GOOD, profile)
    assert scenario is None
    assert "can't be read" in messages[0].message


def test_parquet_profiles_are_read_where_pyarrow_is(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"time_s": [0, 10], "pv_mw": [0.0, 1.0]}), tmp_path / "pv.parquet")
    scenario, _ = loaded(tmp_path, GOOD.replace("day.csv", "pv.parquet"))
    assert scenario.profiles[0].at(5.0) == {"pv_mw": 0.5}


@pytest.mark.parametrize(
    ("statement", "actual", "unit", "met"),
    [
        ("Plant.Tripped = true", 1, "", True),
        ("Plant.Tripped = no", 1, "", False),
        ("Plant.ActivePower > 900 kW", 1.0, "MW", True),
        ("Plant.ActivePower = 1 MW +- 3 %", 1.02, "MW", True),
        ("Plant.ActivePower = 1 MW +- 10 kW", 1.02, "MW", False),
        ("Plant.SoC <= 50", 50.0, "%", True),
        ("Plant.State != 3", 3, "", False),
        ("Plant.Frequency > 1 V", 60.0, "Hz", False),
        ("Plant.ActivePower > 0", None, "MW", False),
        ("Plant.LimitReasonText = none", "none", "", True),
    ],
)
def test_expectations(statement, actual, unit, met):
    assert parse_expectation(statement).is_met(actual, unit) is met
