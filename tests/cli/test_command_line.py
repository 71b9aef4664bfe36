"""`bess validate`, `explain` and `points` as a person types them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from controller.cli import app, main
from controller.commissioning.point_map import diff, freeze
from controller.link.secret_store import store_secret
from controller.plant.demo_site import write_demo_site
from controller.plant.site_loader import load_site_or_raise
from controller.scada.opcua.users import parse_users


def bess(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_demo_site(tmp_path / "site").parent


@pytest.mark.parametrize("words", [["--version"], ["validate", "site_configs/coast_twins"]])
def test_what_only_reads_files_loads_no_heavy_library(words: list[str], repository: Path) -> None:
    program = "import sys; from controller.cli import app; app(sys.argv[1:], standalone_mode=False)"
    heavy = "print('loaded', sorted({'numpy', 'asyncua', 'pymodbus', 'asyncio'} & set(sys.modules)), file=sys.stderr)"
    command = [sys.executable, "-c", f"{program}; {heavy}", *words]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stderr
    assert "loaded []" in done.stderr


def test_the_help_names_debug() -> None:
    assert "--debug" in bess("--help").stdout


def test_debug_is_offered_only_for_what_nobody_foresaw(site: Path, monkeypatch, capsys) -> None:
    def said_by(*words: str) -> object:
        monkeypatch.setattr("sys.argv", ["bess", *words])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().err

    assert str(said_by("rehearse", str(site), "--scenario", "nowhere")).startswith(
        "error: nowhere: there is no such scenario"
    )
    assert "--debug" not in str(said_by("rehearse", str(site), "--scenario", "nowhere"))
    assert "--debug" not in str(said_by("library", "devices", "nothing"))
    monkeypatch.setattr("controller.plant.schema.json_schema.schema_text", lambda _: 1 / 0)
    assert said_by("schema", "site") == "error: division by zero (run again with --debug for the details)\n"


@pytest.mark.parametrize("words", [("demo", "--racks", "-1"), ("bench", "--racks", "1"), ("demo", "--racks", "99999")])
def test_a_number_of_racks_that_can_not_be_is_told_with_its_option(words: tuple[str, ...]) -> None:
    answer = bess(*words)

    assert answer.exit_code == 2
    assert "'--racks': expected 2 to 10000, not" in answer.stderr


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


def test_points_says_how_a_sub_verb_is_called(site: Path, tmp_path: Path) -> None:
    assert "expected: bess points freeze SITE" in bess("points", "freeze").stderr
    assert "expected: bess points import FILE" in bess("points", "import", "a", "b").stderr
    assert "did you mean 'freeze'?" in bess("points", "frezee", str(site)).stderr
    written = bess("points", str(site), "--format", "xlsx", "--out", str(tmp_path / "new" / "points.book"))
    assert str(tmp_path / "new" / "points.xlsx") in written.stdout
    assert (tmp_path / "new" / "points.xlsx").is_file()


def test_every_verb_says_in_one_line_what_it_is_for() -> None:
    lines = bess("--help").stdout.split("Commands:")[1].strip().splitlines()
    assert len(lines) >= 17
    assert [line for line in lines if not line.endswith(".") or line.endswith("...")] == []


def test_a_frozen_map_does_not_differ_until_the_site_does(site: Path) -> None:
    plant = load_site_or_raise(site)

    assert diff(plant, site).code == 1
    assert freeze(plant, site).code == 0
    assert diff(plant, site).text == "no difference"
    larger = load_site_or_raise(write_demo_site(site, 48))
    answer = diff(larger, site)
    assert answer.code == 1
    assert "new: Plant.Block01.Rack13" in answer.text


SECRET = "  opcua:\n    listen: opc.tcp://127.0.0.1:4840\n"


def with_secret(site: Path) -> None:
    file = site / "site.yaml"
    text = file.read_text()
    assert SECRET in text
    file.write_text(text.replace(SECRET, f"{SECRET}    users: {{secret: opcua-users}}\n"))


def test_a_secret_is_stored_and_found_and_never_shown(site: Path, tmp_path: Path) -> None:
    with_secret(site)
    state = str(tmp_path / "state")
    before = json.loads(bess("validate", str(site), "--state", state, "--json").stdout)
    words = ["secret", "set", "opcua-users", str(site), "--state", state]
    stored = CliRunner().invoke(app, [*words, "--user", "anna"], input="correct horse\n")
    after = bess("validate", str(site), "--state", state, "--json").stdout

    assert [m["message"] for m in before["messages"]] == ["the secret 'opcua-users' is not on this machine"]
    assert before["messages"][0]["hint"] == "bess secret set opcua-users"
    assert stored.exit_code == 0
    assert "correct horse" not in stored.output + after
    assert json.loads(after)["messages"] == []
    assert (tmp_path / "state" / "secrets" / "opcua-users").read_text().startswith("anna:operator:scrypt:")


@pytest.mark.parametrize(
    ("more", "typed", "said"),
    [
        ((), "hunter2 for all\n", "'opcua-users' holds users, and this is no list of users; add one with --user NAME"),
        (("--user", "anna"), "x\n", "the password of 'anna' has 1 character; expected 8 or more; nothing was stored"),
    ],
)
def test_what_nobody_could_log_in_with_is_not_stored(
    site: Path, tmp_path: Path, more: tuple[str, ...], typed: str, said: str
) -> None:
    with_secret(site)
    words = ["secret", "set", "opcua-users", str(site), "--state", str(tmp_path / "state"), *more]
    answer = CliRunner().invoke(app, words, input=typed)
    assert said in str(answer.exception)
    assert not (tmp_path / "state").exists()


def test_a_password_in_the_place_of_users_is_told(site: Path, tmp_path: Path) -> None:
    with_secret(site)
    store_secret("opcua-users", "hunter2", tmp_path)
    answer = bess("validate", str(site), "--state", str(tmp_path))
    assert answer.exit_code == 1
    assert "the secret 'opcua-users' is no list of users: nobody could log in" in answer.stdout
    assert "hunter2" not in answer.stdout


def test_the_status_of_a_site_that_is_not_there_or_is_wrong(site: Path, tmp_path: Path) -> None:
    nowhere = bess("status", str(tmp_path / "nowhere"), "--state", str(tmp_path))
    assert nowhere.exit_code == 2
    assert nowhere.stderr == f"error: {tmp_path / 'nowhere'}: there is no such file\n"
    file = site / "site.yaml"
    file.write_text(file.read_text().replace("ac_voltage: 400 V", "ac_voltage: 400"))
    wrong = bess("status", str(site), "--state", str(tmp_path))
    assert wrong.exit_code == 1
    assert "error: pcs.ac_voltage has no unit\n" in wrong.stdout


def test_a_secret_of_a_site_that_is_not_there_is_not_stored(tmp_path: Path) -> None:
    words = ["secret", "set", "opcua-users", str(tmp_path / "nowhere"), "--state", str(tmp_path / "state")]
    answer = CliRunner().invoke(app, words, input="correct horse\n")
    assert answer.exit_code == 2
    assert "there is no such file" in answer.stderr
    assert not (tmp_path / "state").exists()


def test_a_secret_that_others_may_read_is_an_error(site: Path, tmp_path: Path) -> None:
    with_secret(site)
    path = store_secret("opcua-users", "x", tmp_path)
    path.chmod(0o644)
    answer = bess("validate", str(site), "--state", str(tmp_path))

    assert answer.exit_code == 1
    assert "others may read the secret 'opcua-users'" in answer.stdout


def test_a_missing_secret_is_an_error_only_where_the_site_shall_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    twins, state = str(Path(__file__).parents[2] / "site_configs" / "coast_twins"), ("--state", str(tmp_path / "state"))
    said = "the secret 'opcua-users' is not on this machine"

    anywhere, here = bess("validate", twins, *state), bess("run", twins, "--check", *state)

    assert (anywhere.exit_code, here.exit_code) == (0, 1)
    assert f"warning: {said}" in anywhere.output
    assert f"error: {said}" in here.stderr


def test_a_secret_that_no_site_asks_for_is_not_stored(site: Path, tmp_path: Path) -> None:
    with_secret(site)
    words = (str(site), "--state", str(tmp_path / "state"))
    answer = CliRunner().invoke(app, ["secret", "set", "opcua-user", *words], input="hunter2\n")

    assert answer.exit_code == 1
    assert "no secret 'opcua-user' is asked for; did you mean 'opcua-users'?" in answer.stderr
    assert not (tmp_path / "state").exists()


def test_a_user_is_added_to_a_secret_of_users(site: Path, tmp_path: Path) -> None:
    with_secret(site)
    words = ["secret", "set", "opcua-users", str(site), "--state", str(tmp_path)]
    for user, role in (("anna", "operator"), ("vera", "viewer"), ("anna", "engineer")):
        answer = CliRunner().invoke(app, [*words, "--user", user, "--role", role], input=f"{user} word\n")
        assert answer.exit_code == 0
    users = parse_users((tmp_path / "secrets" / "opcua-users").read_text())

    assert {name: record.role for name, record in users.items()} == {"anna": "engineer", "vera": "viewer"}
    assert users["vera"].matches("vera word")


def test_the_schema_is_printed(site: Path) -> None:
    assert json.loads(bess("schema").stdout)["title"] == "site/v1"
    assert json.loads(bess("schema", "device").stdout)["title"] == "device/v1"
    assert "| `site.poi.export_limit` | a power" in bess("schema", "site", "--format", "md").stdout
    assert bess("schema", "cells").exit_code == 2
    assert bess("validate", str(site), "--format", "sarif").exit_code == 2


def test_an_old_site_is_shown_then_rewritten_with_the_old_one_beside(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(Path(__file__).parents[1] / "plant" / "v0_site", site)
    old = (site / "site.yaml").read_text()
    shown = bess("upgrade-config", str(site))
    assert shown.exit_code == 0
    assert "-    window: 2.80 V .. 3.65 V                 # now: min and max" in shown.stdout
    assert "+    window: {min: 2.80 V, max: 3.65 V}                 # now: min and max" in shown.stdout
    assert (site / "site.yaml").read_text() == old

    assert bess("upgrade-config", str(site), "--write").exit_code == 0
    assert (site / "site.yaml.v0").read_text() == old
    assert bess("validate", str(site), "--strict").exit_code == 0
    assert "every file has the newest form" in bess("upgrade-config", str(site)).stdout
    assert bess("upgrade-config", str(tmp_path / "nowhere")).exit_code == 2


@pytest.mark.parametrize(("old", "new"), [("schema: site/v1", "schema: site/v2"), ("site:\n", "site: [\n")])
def test_a_file_whose_form_can_not_be_told_is_not_called_newest(tmp_path: Path, old: str, new: str) -> None:
    file = write_demo_site(tmp_path)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    told = bess("upgrade-config", str(tmp_path))

    assert told.exit_code == 1
    assert "site.yaml:" in told.stderr
    assert "newest form" not in told.stdout


def test_a_frozen_map_that_no_longer_fits_says_how_it_is_frozen_anew(tmp_path: Path) -> None:
    site = str(write_demo_site(tmp_path).parent)
    assert bess("points", "freeze", site).exit_code == 0
    frozen = tmp_path / "maps" / "frozen.csv"
    frozen.write_text(f"{frozen.read_text()}junk\n")
    refused = bess("points", "freeze", site)
    assert refused.exit_code == 1
    assert "remove maps/frozen.csv, then bess points freeze SITE" in refused.stderr
    assert "remove maps/frozen.csv, then bess points freeze SITE" in bess("validate", site).stdout

    frozen.unlink()
    assert bess("points", "freeze", site).exit_code == 0


def test_a_frozen_point_that_is_gone_is_an_error_at_its_line(site: Path) -> None:
    freeze(load_site_or_raise(write_demo_site(site, 48)), site)
    write_demo_site(site, 24)
    lines = (site / "maps" / "frozen.csv").read_text().splitlines()
    (found,) = json.loads(bess("validate", str(site), "--json").stdout)["messages"]

    assert (found["file"], found["severity"]) == ("maps/frozen.csv", "error")
    tag = lines[found["line"] - 1].partition(",")[0]
    assert tag.startswith("Plant.Block0")
    assert found["message"].startswith(f"{tag} is frozen at unit 2")


def test_an_exception_past_its_date_is_a_warning(site: Path) -> None:
    file = site / "site.yaml"
    expired = '\nexceptions: {B01-R01: {state: locked_out, reason: "x", by: y, until: 2020-01-01}}\n'
    file.write_text(file.read_text() + expired)
    answer = bess("validate", str(site))

    assert answer.exit_code == 0
    assert "exception 'B01-R01' is overdue: a lock-out does not expire" in answer.stdout


def test_explaining_an_inherited_value_names_both_files() -> None:
    south = Path(__file__).parents[2] / "site_configs" / "coast_twins" / "south.yaml"
    answer = json.loads(bess("explain", str(south), "site.poi.export_limit", "--json").stdout)

    assert [(o["file"], o["text"]) for o in answer["origin"]] == [("south.yaml", "1.6 MW"), ("site.yaml", "2 MW")]
