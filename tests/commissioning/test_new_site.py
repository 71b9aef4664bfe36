"""`bess init`: what it writes validates and runs simulated at once; it never overwrites and refuses what can't be."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.commissioning.init_questions import InitOptions, init_site
from controller.plant.site_loader import load_site, load_site_or_raise
from controller.runtime.rehearsal import Rehearsal, rehearse_site

BESS = Path(sys.executable).with_name("bess")
NOTHING = dict.fromkeys(
    ("power", "energy", "voltage", "frequency", "name", "timezone", "containers", "racks", "series", "cell",
     "rack_type", "pcs_type", "meter_type")
)  # fmt: skip


def init(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["init", str(folder), *words])


def test_a_number_of_things_is_whole_and_one_is_no_plural(tmp_path: Path) -> None:
    half = init(tmp_path / "new", "--power", "1MW", "--energy", "2MWh", "--containers", "2.5")
    assert (
        half.stderr
        == "error: --containers: '2.5' is no whole number; expected such as 10, or 0 to have it worked out\n"
    )
    one = init(tmp_path / "new", "--power", "1MW", "--energy", "20MWh", "--containers", "1", "--racks", "1")
    assert one.stderr.startswith("error: 1 container of 1 rack: 355.7 kWh installed; 20 MWh sold need 22.95 MWh")


SIZES = [
    ("20MW", "40MWh"),
    ("1MW", "1MWh"),
    ("100MW", "400MWh"),
    ("500kW", "2MWh"),
    ("7.3MW", "11MWh"),
    ("60MW", "60MWh"),
]
TYPES = ["generic-rack-bms", "generic-bank-bms", "sunspec-rack"]


@pytest.mark.parametrize(("size", "rack_type"), list(itertools.product(SIZES, TYPES)))
def test_what_is_written_validates(size: tuple[str, str], rack_type: str, tmp_path: Path) -> None:
    answer = init(tmp_path / "site", "--power", size[0], "--energy", size[1], "--rack-type", rack_type)
    found = load_site(tmp_path / "site")

    assert answer.exit_code == 0, answer.stderr
    expected = (
        ["sunspec-rack has no rack.insulation_resistance: insulation_low watches nothing"]
        if "sunspec" in rack_type
        else []
    )
    assert [m.message for m in found.messages] == expected
    assert sorted(p.name for p in (tmp_path / "site").iterdir()) == [
        ".gitignore",
        "devices",
        "protections.yaml",
        "site.yaml",
    ]


@pytest.mark.parametrize(
    "words",
    [
        "--pcs-type sunspec-pcs-7xx --meter-type janitza-umg604 --power 5MW --energy 10MWh",
        "--power 5MW --energy 10MWh --voltage 12.47kV --frequency 60Hz --timezone America/Chicago",
        "--power 5MW --energy 10MWh --containers 4 --racks 14 --series 240 --name Mill-north",
    ],
    ids=["other devices", "another grid", "counts"],
)  # fmt: skip
def test_options_are_obeyed(words: str, tmp_path: Path) -> None:
    answer = init(tmp_path / "a site 2", *words.split())

    assert answer.exit_code == 0, answer.stderr
    assert not load_site(tmp_path / "a site 2").errors


@pytest.mark.parametrize("cell", ["lg_m50_nmc", "a123_26650_lfp", "ncr18650pf_nca"])
def test_small_cells_stand_side_by_side(cell: str, tmp_path: Path) -> None:
    answer = init(tmp_path / "s", "--power", "2MW", "--energy", "4MWh", "--cell", cell)
    assert answer.exit_code == 0, answer.stderr
    plant = load_site_or_raise(tmp_path / "s")
    assert load_site(tmp_path / "s").errors == ()
    assert len(plant.racks) < 20
    assert plant.racks[0].battery.cells_in_parallel > 50


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--frequency", "55Hz"), "no grid has a nominal frequency of 55 Hz; expected 50 Hz or 60 Hz"),
        (("--timezone", "Munich"), "no time zone 'Munich'; did you mean 'Europe/Berlin'?"),
    ],
)
def test_an_answer_that_can_not_be_is_refused_with_its_option(
    words: tuple[str, str], said: str, tmp_path: Path
) -> None:
    answer = init(tmp_path / "s", "--power", "2MW", "--energy", "4MWh", *words)
    assert answer.exit_code == 1
    assert answer.stderr == f"error: {words[0]}: {said}\n"


def test_a_new_site_runs_in_fake_time(tmp_path: Path) -> None:
    assert init(tmp_path / "s", "--power", "2MW", "--energy", "2MWh").exit_code == 0
    plant = load_site(tmp_path / "s").plant
    assert plant is not None

    result = rehearse_site(plant, Rehearsal(hours=0.02, scan="1 s", scenario=None, seed=1, out=None))

    assert result.trips == 0


def test_a_new_site_runs_simulated_at_once(tmp_path: Path) -> None:
    assert init(tmp_path / "s", "--power", "2MW", "--energy", "2MWh").exit_code == 0
    words = ["run", str(tmp_path / "s"), "--simulated", "--ports", "auto", "--json", "--state", str(tmp_path / "state")]
    with subprocess.Popen([str(BESS), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        process.terminate()
        code = process.wait(60)

    assert {"opcua", "modbus", "faults"} <= set(told)
    assert code == 0


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    site = tmp_path / "s"
    site.mkdir()
    (site / "notes.txt").write_text("mine")
    answer = init(site, "--power", "2MW", "--energy", "2MWh")

    assert answer.exit_code == 1
    assert "nothing is overwritten" in answer.stderr
    assert [p.name for p in site.iterdir()] == ["notes.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["s"], "nothing is left beside it"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--power", "20MW"), "--power 20MW --energy 40MWh"),
        (("--power", "20", "--energy", "40MWh"), "--power: it has no unit"),
        (("--power", "20MW", "--energy", "40"), "--energy: it has no unit"),
        (("--power", "20MW", "--energy", "40MWh", "--racks", "-1"), "--racks: '-1' is no whole number"),
        (("--power", "2MW", "--energy", "4MWh", "--rack-type", "x"), "--rack-type: no device type 'x'"),
        (("--power", "20MWh", "--energy", "40MWh"), "did you mean '20 MW'?"),
        (("--power", "20MW", "--energy", "4MWh"), "cells bear 280 A"),
        (("--power", "20MW", "--energy", "40MWh", "--containers", "2", "--racks", "10"), "expected 130 racks or more"),
        (("--power", "2MW", "--energy", "4MWh", "--rack-type", "generic-rak-bms"), "did you mean 'generic-rack-bms'?"),
        (("--power", "2MW", "--energy", "4MWh", "--rack-type", "generic-pcs"), "generic-pcs is a pcs"),
        (("--power", "2MW", "--energy", "4MWh", "--timezone", "Europe/Helsinky"), "Europe/Helsinki"),
        (("--power", "2MW", "--energy", "4MWh", "--voltage", "400V"), "1 kV or more"),
        (("--power", "2MW", "--energy", "4MWh", "--series", "500"), "shows 416 cells"),
        (("--power", "0MW", "--energy", "4MWh"), "more than 0"),
        (
            ("--power", "50kW", "--energy", "100kWh", "--cell", "vrla_12v_100", "--series", "40"),
            "no protection preset for chemistry 'lead_acid'",
        ),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    answer = init(tmp_path / "s", *words)

    assert answer.exit_code in {1, 2}
    assert told in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cell", ["ncr18650pf_nca", "lg_m50_nmc"])
def test_a_preset_that_trips_beyond_the_cell_is_drawn_in(cell: str, tmp_path: Path) -> None:
    words = ("--power", "50kW", "--energy", "100kWh", "--cell", cell, "--series", "200")
    answer = init(tmp_path / "s", *words)

    assert answer.exit_code == 0, answer.stderr
    rows = {row.name: row for row in load_site_or_raise(tmp_path / "s").protection}
    assert [level.limit for level in rows["cell_voltage_high"].levels] == [4.14, 4.17, 4.2]
    assert rows["cell_voltage_low"].levels[-1].limit == 3.0


def test_a_person_is_asked_again_until_the_answer_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []
    answers = {"Power at the POI": iter(["20", "2MW"]), "Energy at the POI": iter(["2 MWh"])}

    def ask(question: str, *, default: str) -> str:
        asked.append(question)
        return next(answers[question]) if question in answers else default

    text, code = init_site(InitOptions(tmp_path / "mill", NOTHING, None, "", ""), ask)

    assert code == 0, text
    assert asked.count("Power at the POI") == 2
    assert "has no unit" in capsys.readouterr().out
    assert "name: Mill" in (tmp_path / "mill" / "site.yaml").read_text()


LIST = """Name,Address,FC,Data Type,Scale,Unit,Description
Active power,100,4,INT32 (ABCD),1,W,
Reactive power,102,4,INT32 (ABCD),1,var,
Frequency,104,4,UINT16,0.01,Hz,
Voltage L-L average,105,4,UINT16,10,V,
Current average,106,4,UINT16,0.1,A,
Export energy,110,4,UINT32,1,kWh,
Import energy,112,4,UINT32,1,kWh,
"""


def test_a_site_is_made_around_a_makers_list(tmp_path: Path) -> None:
    (tmp_path / "PM 3000.csv").write_text(LIST)
    words = ("--power", "2MW", "--energy", "2MWh", "--from", str(tmp_path / "PM 3000.csv"), "--kind", "meter")
    unsaid = init(tmp_path / "s", *words)
    answer = init(tmp_path / "s", *words, "--addresses", "zero_based")

    assert unsaid.exit_code == 1
    assert "PM 3000.csv!B2" in unsaid.stderr
    assert answer.exit_code == 0, answer.stderr
    assert "type: pm-3000" in (tmp_path / "s" / "site.yaml").read_text()
    assert (tmp_path / "s" / "devices" / "pm-3000.yaml").is_file()
    assert not load_site(tmp_path / "s").errors


def test_off_a_terminal_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    assert init(tmp_path / "s").exit_code == 2


def test_a_list_is_told_once_and_its_kind_is_asked_for(tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    points.write_text("Name,Address,Type,Scale,Unit\nPack voltage,30001,uint16,0.1,V\n", encoding="utf-8")
    size = ("--power", "1MW", "--energy", "2MWh", "--from", str(points))

    answer = init(tmp_path / "new", *size, "--kind", "rack_bms")
    assert answer.exit_code == 1, "racks whose cells and current nobody sees"
    assert "'bess points import' writes the list's device file alone" in answer.stderr
    assert "points has no cell.voltage or rack.cell_voltage_max" in answer.stderr
    assert answer.stderr.count("does not say how old its registers may be") == 1
    unsaid = init(tmp_path / "other", *size)
    assert unsaid.stderr.startswith(f"error: {points}: a point list does not say what kind of device")
