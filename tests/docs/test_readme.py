"""What the README tells people to type, works."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BASH_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BASH_BLOCK.findall(README) for line in block.splitlines() if line.strip()]
BESS = Path(sys.executable).with_name("bess")
# Verbs that run until they are stopped: a command of the README says for how long, and is run so.
UNENDING = {"demo", "run", "simulate"}


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_readme_tells_the_two_commands():
    assert {"make demo", "make test"} <= set(COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_a_make_command_has_its_target(command):
    assert shlex.split(command)[1] in _make_targets()


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("make ")])
def test_a_command_runs(command):
    program, verb, *arguments = shlex.split(command, comments=True)
    assert Path(program).name == "bess", f"{program}: the README's commands are make and bess"
    assert verb not in UNENDING or "--for" in arguments, f"{verb} would not end by itself"

    done = subprocess.run(
        [BESS, verb, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    if verb == "demo":
        told = json.loads(done.stdout.splitlines()[0])
        assert {"opcua", "modbus", "faults"} <= set(told), done.stderr


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_a_link_leads_somewhere(target):
    assert (REPOSITORY / target).exists()
