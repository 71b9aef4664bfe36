"""What the guides tell people to try is tried against a running demo; their links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from controller.plant.site_loader import load_site_or_raise
from controller.points.addresses import flat_map
from controller.points.point_list import point_list
from controller.scada.modbus.requests import EXCEPTION_OF
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
GUIDES = sorted([*DOCS.rglob("*.md"), REPOSITORY / "deploy" / "README.md"])
INTEGRATORS = (DOCS / "integrators.md").read_text(encoding="utf-8")
COMMISSIONING = (DOCS / "commissioning.md").read_text(encoding="utf-8")
BESS = Path(sys.executable).with_name("bess")
LINKS = [
    (guide, link) for guide in GUIDES for link in re.findall(r"\]\(([^)#:]+)\)", guide.read_text(encoding="utf-8"))
]


@dataclass(frozen=True, slots=True)
class Demo:
    """Where the demo can be reached."""

    opcua: str
    modbus: str
    faults: str


def _block(guide: str, mark: str, language: str) -> str:
    found = re.search(rf"{mark}\n```{language}\n(.*?)```", guide, re.DOTALL)
    assert found, mark
    return found[1]


MBPOLL = [line for line in _block(INTEGRATORS, "<!-- try: mbpoll -->", "bash").splitlines() if line]


def _polled(line: str, port: str) -> str:
    words = shlex.split(line, comments=True)
    words[words.index("5020")] = port
    words[1:1] = ["-o", "10"]  # the most that mbpoll waits for an answer: the tests' machine may be slow
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    command = [str(BESS), "demo", "--headless", "--json", "--ports", "auto", "--for", "300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Demo(told["opcua"], told["modbus"], told["faults"])
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.parametrize(("guide", "link"), LINKS, ids=[f"{guide.name}-{link}" for guide, link in LINKS])
def test_a_link_leads_somewhere(guide, link):
    assert (guide.parent / link).exists()


def test_the_opcua_snippet_runs(demo, tmp_path):
    snippet = _block(INTEGRATORS, "<!-- try: asyncua -->", "python").replace("opc.tcp://127.0.0.1:4840", demo.opcua)
    program = tmp_path / "snippet.py"
    program.write_text(snippet, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=100, check=False
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    first, reached, refused = done.stdout.splitlines()
    assert " Good " in first
    assert float(reached.split()[0]) == pytest.approx(0.5, abs=0.072)  # 3 % of the demo's 2.4 MW
    assert refused == "BadOutOfRange"


def test_the_mbpoll_lines_read_what_they_say():
    plant = load_site_or_raise(REPOSITORY / "site_configs" / "demo")
    places = flat_map(point_list(plant)).points
    named = [(line.split(), tag[1]) for line in MBPOLL if (tag := re.search(r"# (Plant\.\w+)", line))]

    assert {tag for _, tag in named} >= {"Plant.ActivePower", "Plant.State"}
    assert {tag: words[words.index("-r") + 1] for words, tag in named} == {
        tag: str(places[tag].address) for _, tag in named
    }


def test_every_exception_that_is_sent_is_told_with_its_cause():
    told = {int(code, 0) for code in re.findall(r"(?m)^\| (\d|0x[0-9A-F]{2}) \| .* \| .* \|$", INTEGRATORS)}

    assert told == set(EXCEPTION_OF.values())


@pytest.mark.peer
def test_the_mbpoll_lines_run(peer, demo):
    peer("mbpoll")
    port = demo.modbus.rpartition(":")[2]
    state = next(line for line in MBPOLL if "Plant.State" in line)
    for _ in range(120):
        if re.search(r":\s+3$", _polled(state, port), re.MULTILINE):
            break
        threading.Event().wait(0.5)
    else:
        pytest.fail(f"state 3 was never read by `{state}`")

    for line in MBPOLL:
        assert "failed" not in _polled(line, port), line


def test_the_fault_commands_are_taken(demo):
    host, _, port = demo.faults.rpartition(":")
    commands = re.search(r"```text\n(.*?)```", COMMISSIONING, re.DOTALL)
    assert commands
    with socket.create_connection((host, int(port)), timeout=30) as line:
        answers = line.makefile("rw", encoding="utf-8")
        for command in commands[1].split("\n"):
            if command.strip() and command.strip() != "list":
                answers.write(command.strip() + "\n")
                answers.flush()
                assert answers.readline() == "ok\n", command


def test_the_scenario_comes_out_as_told(tmp_path):
    scenario = re.search(r"```yaml\n(schema: scenario/v1.*?)```", COMMISSIONING, re.DOTALL)
    assert scenario
    assert yaml.safe_load(scenario[1])["steps"]
    file = tmp_path / "scenario.yaml"
    file.write_text(scenario[1], encoding="utf-8")

    done = subprocess.run(
        [BESS, "rehearse", REPOSITORY / "site_configs" / "demo", "--scenario", file, "--json"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["trips"] == 1
