"""`bess validate`, `explain` and `points` as a person types them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller.cli import app
from controller.commissioning.point_map import diff, freeze
from controller.plant.demo_site import write_demo_site
from controller.plant.site_loader import load_site_or_raise


def bess(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_demo_site(tmp_path / "site").parent


def test_a_sound_site_validates(site: Path) -> None:
    answer = bess("validate", str(site))

    assert answer.exit_code == 0
    assert "24 racks, 5760 cells" in answer.stdout


def test_a_misspelt_key_is_a_no_with_its_place(site: Path) -> None:
    file = site / "site.yaml"
    file.write_text(file.read_text().replace("capacity: 280 Ah", "capasity: 280 Ah"))
    answer = bess("validate", str(site), "--json")
    found = json.loads(answer.stdout)

    assert answer.exit_code == 1
    assert not found["ok"]
    assert any(m["hint"] == "did you mean 'capacity'?" and m["line"] > 1 for m in found["messages"])


def test_a_site_that_is_not_there_exits_with_2(tmp_path: Path) -> None:
    assert bess("validate", str(tmp_path / "nowhere")).exit_code == 2


def test_github_annotations_name_file_and_line(site: Path) -> None:
    file = site / "site.yaml"
    file.write_text(file.read_text().replace("capacity: 280 Ah", "capacity: 280"))

    assert "::error file=site.yaml,line=" in bess("validate", str(site), "--format", "github").stdout


def test_explaining_a_protection_prints_the_real_chain(site: Path) -> None:
    answer = json.loads(bess("explain", str(site), "B02-R03.cell_voltage_high", "--json").stdout)

    assert answer["reaction_s"] > 2.0
    assert {"poll period", "scan", "on-delay"} <= {link["name"] for link in answer["chain"]}
    assert answer["reaction_s"] == pytest.approx(sum(link["seconds"] for link in answer["chain"]))


def test_explaining_a_key_points_at_what_was_written(site: Path) -> None:
    answer = json.loads(bess("explain", str(site), "site.rating.power", "--json").stdout)
    origin = answer["origin"][0]
    line = (site / origin["file"]).read_text().splitlines()[origin["line"] - 1]

    assert line[origin["col"] - 1 :].startswith("2.4 MW")


def test_explaining_what_is_not_there_suggests_what_is(site: Path) -> None:
    answer = bess("explain", str(site), "cell_voltage_hihg")

    assert answer.exit_code == 1
    assert "cell_voltage_high" in answer.stderr


def test_the_matrix_has_a_line_for_every_level(site: Path) -> None:
    plant = load_site_or_raise(site)
    matrix = json.loads(bess("explain", str(site), "--matrix", "--json").stdout)

    assert len(matrix) >= sum(len(row.levels) for row in plant.protection)


def test_points_in_csv_and_json_say_the_same(site: Path) -> None:
    as_csv = list(csv.DictReader(io.StringIO(bess("points", str(site)).stdout)))
    as_json = json.loads(bess("points", str(site), "--format", "json").stdout)

    assert [row["tag"] for row in as_csv] == [row["tag"] for row in as_json]


def test_a_frozen_map_does_not_differ_until_the_site_does(site: Path) -> None:
    plant = load_site_or_raise(site)

    assert diff(plant, site).code == 1
    assert freeze(plant, site).code == 0
    assert diff(plant, site).text == "no difference"
    larger = load_site_or_raise(write_demo_site(site, 48))
    answer = diff(larger, site)
    assert answer.code == 1
    assert "new: Plant.Block01.Rack13" in answer.text
