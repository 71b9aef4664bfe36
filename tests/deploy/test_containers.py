"""The container files are read, not built: no test has a container engine."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def controller() -> dict[str, Any]:
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert list(composed["services"]) == ["controller"]
    service: dict[str, Any] = composed["services"]["controller"]
    return service


def test_the_build_takes_a_dockerfile_that_is_there(controller):
    context = DEPLOY / controller["build"]["context"]

    assert (context / controller["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_what_is_copied_is_there():
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]

    assert copied
    assert [word for word in copied if not (REPOSITORY / word).exists()] == []


def test_the_run_directory_is_on_tmpfs(controller):
    run = re.search(r"RUNTIME_DIRECTORY=(\S+)", DOCKERFILE)
    assert run

    assert any(mount.split(":")[0] == run[1] for mount in controller["tmpfs"])


def test_the_state_lies_on_a_volume(controller):
    state = re.search(r"STATE_DIRECTORY=(\S+)", DOCKERFILE)
    assert state

    assert f"state:{state[1]}" in controller["volumes"]


def test_nothing_runs_with_rights_it_does_not_need(controller):
    assert re.search(r"^USER bess$", DOCKERFILE, re.MULTILINE)
    assert controller["cap_drop"] == ["ALL"]
    assert controller["read_only"] is True
    assert "privileged" not in controller


def test_no_image_comes_from_a_named_registry():
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert images
    assert [image for image in images if "/" in image] == []
