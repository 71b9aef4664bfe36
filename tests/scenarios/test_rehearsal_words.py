"""What a rehearsal says of steps that the plant refused, of what it does not know, of what can never be met."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest

from controller.runtime.rehearsal import Rehearsal, RehearsalResult, rehearse_site

SCENARIO = "schema: scenario/v1\nsteps:\n"
CANT_BE_MET = {
    "Plant.ActivePower > 1 kWh": "'1 kWh' does not fit; expected a number in MW",
    "Plant.ActivePower = 1 MW +- 2 s": "'[+]- 2 s' does not fit",
    "Plant.Nowhere > 1": "there is no point Plant.Nowhere",
    "Plant.ActivPower > 1 MW": "did you mean 'Plant.ActivePower'",
    "Plant.Tripped = 1 MW": "expected a number without unit, true or false",
    "Plant.Block01.Rack01.CellVoltages > 3 V": "is an array",
}


def _rehearse(plant, tmp_path, *steps: str, hours: float = 0.01) -> RehearsalResult:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO + "\n".join(f"  - {step}" for step in steps), encoding="utf-8")
    return rehearse_site(plant, Rehearsal(hours=hours, scenario=str(file)))


@pytest.mark.parametrize("text", CANT_BE_MET)
def test_an_expectation_that_can_never_be_met_is_told_before_the_run(demo_plant, tmp_path, text):
    with pytest.raises(ValueError, match=CANT_BE_MET[text]):
        _rehearse(demo_plant, tmp_path, f'{{at: 1 s, expect: "{text}"}}')


@pytest.mark.parametrize(
    "text", ["Plant.ActivePower < 900 kW", "Plant.SoC = 50 % +- 50 %", "Plant.Tripped = no", "Plant.State != 6"]
)
def test_units_of_the_same_kind_and_yes_and_no_fit(demo_plant, tmp_path, text):
    assert not _rehearse(demo_plant, tmp_path, f'{{at: 30 s, expect: "{text}"}}').failed_expectations


def test_a_plant_that_nobody_started_is_told_as_such(demo_plant, tmp_path):
    by_hand = replace(demo_plant, control=replace(demo_plant.control, auto_start=False))
    never = _rehearse(by_hand, tmp_path, '{at: 10 s, expect: "Plant.State = 1"}')
    started = _rehearse(by_hand, tmp_path, "{at: 10 s, do: start}")

    assert not never.failed_expectations
    assert (never.started, never.as_json()["started"], started.started) == (False, False, True)
    assert "nothing was started" in never.as_text()
    assert "{at: 10 s, do: start}" in never.as_text()
    assert "nothing was started" not in started.as_text()
    assert _rehearse(demo_plant, tmp_path, '{at: 1 s, do: "setpoint 0 MW"}').started


def test_without_a_scenario_an_operator_starts_the_plant_and_a_first_scenario_is_shown(demo_plant, tmp_path):
    by_hand = replace(demo_plant, control=replace(demo_plant.control, auto_start=False))
    result = rehearse_site(by_hand, Rehearsal(hours=0.02))

    assert result.started
    assert result.soc_start is not None
    assert "example" not in result.as_json()
    shown = result.as_text()[result.as_text().index("schema:") : result.as_text().index("and run:")]
    example = tmp_path / "first.yaml"
    example.write_text(textwrap.dedent(f"  {shown}"), encoding="utf-8")
    first = rehearse_site(by_hand, Rehearsal(hours=0.04, scenario=str(example)))
    assert not first.refused
    assert first.energy_discharged_mwh > 0.01
    assert "nobody asked" not in first.as_text()


def test_a_step_that_the_plant_refuses_is_told_and_counted(demo_plant, tmp_path):
    result = _rehearse(demo_plant, tmp_path, '{at: 1 s, do: "setpoint 900 MW"}')

    (refused,) = result.refused
    assert refused.startswith("line 3: setpoint 900 MW (at 1 s): ")
    assert result.as_json()["refused"] == [refused]
    assert f"refused: {refused}" in result.as_text()
    assert not result.failed_expectations


def test_an_unknown_state_of_charge_is_no_number():
    result = RehearsalResult(hours=1.0, seed=1)

    assert "SOC unknown -> unknown" in result.as_text()
    assert result.as_json()["soc_start"] is None
