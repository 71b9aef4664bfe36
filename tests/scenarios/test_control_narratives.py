"""Control narratives, told as steps in fake time: the whole controller against the whole simulated plant."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.plant.model import Plant
from controller.runtime.rehearsal import Rehearsal, rehearse_site

_HEAD = 'schema: scenario/v1\nstart: "12:00"\nsteps:\n'

NARRATIVES = {
    "the plant starts by itself and stands ready at zero": """
      - {at: 30 s, expect: "Plant.State = 3"}
      - {at: 30 s, expect: "Plant.RacksConnected = 24"}
      - {at: 30 s, expect: "Plant.ActivePower = 0 MW +- 0.1 MW"}
    """,
    "power follows a set-point within three seconds and falls back when it is not renewed": """
      - {at: 30 s, do: "setpoint 1 MW"}
      - {at: 34 s, expect: "Plant.ActivePower = 1 MW +- 3 %"}
      - {at: 38 s, expect: "Plant.ActivePower = 1 MW +- 3 %"}
      - {at: 50 s, expect: "Plant.ActivePower = 0 MW +- 0.1 MW"}
      - {at: 50 s, expect: "Plant.ActivePowerInEffect = 0 MW"}
    """,
    "charging is as good as discharging": """
      - {at: 30 s, do: "setpoint -1.5 MW"}
      - {at: 35 s, expect: "Plant.ActivePower = -1.5 MW +- 3 %"}
    """,
    "reactive power follows too": """
      - {at: 30 s, do: "reactive 500 kvar"}
      - {at: 35 s, expect: "Plant.ReactivePower = 0.5 MVAr +- 5 %"}
    """,
    "a cell that is too high trips its rack and no other": """
      - {at: 30 s, do: "cell B01-R03 17 3.72V"}
      - {at: 60 s, expect: "Plant.Block01.Rack03.Tripped = true"}
      - {at: 60 s, expect: "Plant.Block01.Rack03.ContactorClosed = false"}
      - {at: 60 s, expect: "Plant.Block01.Rack04.Tripped = false"}
      - {at: 60 s, expect: "Plant.State = 3"}
      - {at: 60 s, expect: "Plant.RacksConnected = 23"}
    """,
    "a rack that falls silent is not tripped, but its bus goes to zero": """
      - {at: 30 s, do: "silent B02-R05"}
      - {at: 60 s, do: "setpoint 1 MW"}
      - {at: 66 s, expect: "Plant.Block02.PCS02.ActivePower = 0 kW +- 20 kW"}
      - {at: 66 s, expect: "Plant.Block02.Rack06.ContactorClosed = true"}
      - {at: 66 s, expect: "Plant.Block01.Rack01.ContactorClosed = true"}
    """,
    "after a stop the converters are off and the contactors as they were": """
      - {at: 30 s, do: "setpoint 1 MW"}
      - {at: 33 s, do: "stop"}
      - {at: 50 s, expect: "Plant.State = 1"}
      - {at: 50 s, expect: "Plant.PcsPower = 0 MW +- 0.01 MW"}
      - {at: 50 s, expect: "Plant.RacksConnected = 24"}
    """,
}


@pytest.mark.parametrize("narrative", NARRATIVES)
def test_the_plant_does_as_told(demo_plant: Plant, tmp_path: Path, narrative: str) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(_HEAD + NARRATIVES[narrative], encoding="utf-8")
    result = rehearse_site(demo_plant, Rehearsal(scenario=str(scenario)))

    assert result.failed_expectations == []


def test_an_expectation_that_is_not_met_is_told(demo_plant: Plant, tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(f'{_HEAD}      - {{at: 20 s, expect: "Plant.RacksConnected = 23"}}\n', encoding="utf-8")
    result = rehearse_site(demo_plant, Rehearsal(scenario=str(scenario)))

    assert len(result.failed_expectations) == 1
    assert "Plant.RacksConnected = 23" in result.failed_expectations[0]


def test_the_same_seed_gives_the_same_series_bit_for_bit(demo_plant: Plant, tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        rehearse_site(demo_plant, Rehearsal(hours=0.02, seed=7, out=tmp_path / name))

    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert (tmp_path / "one.events.jsonl").read_bytes() == (tmp_path / "two.events.jsonl").read_bytes()
