"""The guide "add your device in 15 minutes", followed word by word as a new user would."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient

from tests.conftest import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "add-your-device.md").read_text(encoding="utf-8")
BESS = str(Path(sys.executable).with_name("bess"))
STEP = re.compile(r"<!-- (file|try|edit|simulate)(?:: ([^\n]*?))? -->\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return the folder after all steps of the guide, and what each command answered."""
    folder, answers = tmp_path_factory.mktemp("guide"), dict[str, str]()
    for kind, about, body in STEP.findall(GUIDE):
        if kind == "file":
            (folder / about).write_text(body, encoding="utf-8")
        elif kind == "edit":
            _edit(folder, about, body)
        elif kind == "try":
            answers |= {line: _run(folder, line) for line in body.splitlines() if line}
    return folder, answers


def _edit(folder: Path, about: str, body: str) -> None:
    name, _, below = about.partition(" below: ")
    text = (folder / name).read_text(encoding="utf-8")
    assert text.count(f"\n{below}\n") == 1, below
    (folder / name).write_text(text.replace(f"\n{below}\n", f"\n{below}\n{body}"), encoding="utf-8")


def _run(folder: Path, line: str) -> str:
    program, *words = shlex.split(line)
    assert program == "bess"
    done = subprocess.run([BESS, *words], cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_command_does_what_the_guide_says(followed: tuple[Path, dict[str, str]]) -> None:
    _, answers = followed
    told = "\n".join(answers.values())

    assert len(answers) == 11
    assert "acme-r280: 20 points bound" in told
    assert "0 errors, 0 warnings" in told
    assert "input 17 i16 * 0.1 A turned round" in told
    assert "worst-case reaction" in told
    assert "open" in next(text for line, text in answers.items() if "--watchdogs" in line)


def test_a_bank_is_imported_as_the_guide_shows(followed: tuple[Path, dict[str, str]]) -> None:
    folder, answers = followed
    text = (folder / "acme-b2.yaml").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- shows: acme-b2.yaml -->\n```yaml\n(.*?)\n```", GUIDE, re.DOTALL)

    assert len(shown) == 3
    assert [part for part in shown if part not in text] == []
    assert "#repeat.rack.count,2\n#repeat.rack.stride,20\n" in answers["bess points export acme-b2.yaml"]


def test_what_came_back_from_the_maker_is_the_same_device(followed: tuple[Path, dict[str, str]]) -> None:
    folder, _ = followed
    again = _run(folder, "bess points export acme-r280-again.yaml")

    assert again == _run(folder, "bess points export mill/devices/acme-r280.yaml")


def test_the_simulated_rack_shows_what_the_list_says(followed: tuple[Path, dict[str, str]]) -> None:
    folder, _ = followed
    command = next(body for kind, _, body in STEP.findall(GUIDE) if kind == "simulate")
    words = [BESS, *shlex.split(command)[1:]]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        rack = next(device for device in told["devices"] if device["name"] == "B01-R01")
        host, _, port = rack["address"].rpartition(":")
        client = ModbusTcpClient(host, port=int(port))
        assert client.connect()
        registers = client.read_input_registers(16, count=4, device_id=rack["unit"]).registers
        client.close()
        process.terminate()
        assert process.wait(60) == 0

    assert 2.8 * 240 < registers[0] / 10 < 3.65 * 240, "rack voltage, V"
    assert 400 < registers[2] < 600, "half charged, in steps of 0.1 %"
