"""The scenarios that ship: each comes out as it says, in fake time and (one of them) on real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from controller.plant.model import Plant
from controller.plant.site_files import library_names
from controller.runtime.rehearsal import Rehearsal, rehearse_site
from controller.simulator.scenario import Expectation, read_scenario, scenario_file

BESS = (sys.executable, "-c", "from controller.cli import main; main()")
LIVE = """
schema: scenario/v1
start: "00:00"
profiles: [dip.csv]
steps:
  - {at: 0 s, expect: "Plant.RacksInstalled = 24"}
  - {at: 0.1 s, do: silent B02-R05 for 1 s}
  - {at: 0.2 s, do: fast_stop}
  - {at: 10 s, expect: "Plant.State = 1"}
  - {at: 10 s, expect: "Plant.Frequency < 59.5 Hz"}
  - {at: 10.1 s, expect: "Plant.RacksInstalled = 25"}
"""


@pytest.mark.parametrize("name", library_names("scenarios"))
@pytest.mark.parametrize("scan", ["250ms", "1 s"])
def test_it_comes_out_as_it_says(demo_plant: Plant, name: str, scan: str) -> None:
    result = rehearse_site(demo_plant, Rehearsal(scan=scan, scenario=name))

    assert result.failed_expectations == []
    assert sum(isinstance(step.act, Expectation) for step in read_scenario(name)[1].steps) >= 5


def test_the_guide_lists_every_one(repository: Path) -> None:
    guide = (repository / "docs" / "operators.md").read_text(encoding="utf-8")

    assert set(library_names("scenarios")) == set(re.findall(r"^\| `([a-z-]+)` \|", guide, re.MULTILINE))


def test_an_unknown_name_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(ValueError, match="did you mean 'hot-cell'"):
        scenario_file("hot_cell")


@pytest.mark.timeout(240)
async def test_the_demo_plays_a_scenario_and_says_what_failed(tmp_path: Path) -> None:
    (tmp_path / "dip.csv").write_text("time_s,frequency_hz\n0,59.0\n600,59.0\n")
    file = tmp_path / "live.yaml"
    file.write_text(LIVE)
    words = ("demo", "--json", "--ports", "auto", "--state", str(tmp_path / "state"), "--scenario", str(file))
    process = await asyncio.create_subprocess_exec(
        *BESS, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(200):
        answer, told = await process.communicate()
    announced, result = (json.loads(line) for line in answer.splitlines())

    assert process.returncode == 1
    assert "opcua" in announced
    (failed,) = result["failed_expectations"]
    assert failed == "line 11: Plant.RacksInstalled = 25 (at 10.1 s it was 24)"
    assert b"silent B02-R05 for 1 s" in told


@pytest.mark.timeout(120)
async def test_a_demo_of_an_unknown_scenario_starts_nothing() -> None:
    process = await asyncio.create_subprocess_exec(
        *BESS, "demo", "--scenario", "no-such", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    answer, messages = await process.communicate()

    assert (process.returncode, answer) == (2, b"")
    assert b"evening-discharge" in messages
