"""What people type is judged before anything starts: exit 2, words on standard error, no traceback."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controller import __version__
from controller.cli import app
from controller.plant.demo_site import write_demo_site
from controller.runtime.run import require_ports

NONSENSE = [
    ["demo", "--for", "-1"],
    ["demo", "--for", "nan"],
    ["demo", "--ports", "5"],
    ["rehearse", "SITE", "--hours", "-1"],
    ["rehearse", "SITE", "--hours", "nan"],
    ["rehearse", "SITE", "--out", "series.xyz"],
    ["rehearse", "SITE", "--out", "/nowhere/series.csv"],
    ["validate", "SITE", "--format", "xml"],
    ["points", "SITE", "--format", "xml"],
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return write_demo_site(tmp_path_factory.mktemp("site")).parent


@pytest.mark.parametrize("words", NONSENSE, ids=" ".join)
def test_nonsense_is_refused(words, site):
    answer = CliRunner().invoke(app, [str(site) if word == "SITE" else word for word in words])

    assert answer.exit_code == 2
    assert "expected" in answer.stderr or "no such folder" in answer.stderr
    assert answer.stdout == ""


def test_the_version_is_told():
    answer = CliRunner().invoke(app, ["--version"])

    assert (answer.exit_code, answer.stdout) == (0, f"bess {__version__}\n")


def test_json_is_one_of_the_forms_of_the_point_list(site):
    one, other = (
        CliRunner().invoke(app, ["points", str(site), *words]) for words in (["--json"], ["--format", "json"])
    )

    assert one.stdout == other.stdout != ""


def test_what_differs_from_the_frozen_map_is_an_answer(tmp_path):
    site = write_demo_site(tmp_path).parent
    assert CliRunner().invoke(app, ["points", "freeze", str(site)]).exit_code == 0
    frozen = next((site / "maps").glob("*.csv"))
    assert CliRunner().invoke(app, ["points", "diff", str(site)]).stdout == "no difference\n"
    frozen.unlink()
    missing = CliRunner().invoke(app, ["points", "diff", str(site)])

    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "nothing is frozen" in missing.stderr


def test_a_faces_port_that_is_taken_is_told_before_anything_starts(demo_plant):
    opcua = demo_plant.faces.opcua
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        plant = replace(demo_plant, faces=replace(demo_plant.faces, opcua=replace(opcua, port=port), modbus=None))
        with pytest.raises(OSError, match=f"the opcua face can't have {opcua.host}:{port}: .*in use; stop what has it"):
            require_ports(plant, auto_ports=False)
        require_ports(plant, auto_ports=True)
    require_ports(plant, auto_ports=False)
