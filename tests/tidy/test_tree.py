"""What the tree may hold, and what must stand beside what."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.tidy.tree import REPOSITORY, packages, text, tracked_files

# A folder of one machine, or the address of a package registry: neither belongs to the project.
MACHINE = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm|root|home/[a-z]+|Users/[A-Za-z]+)/")
REGISTRY = re.compile(
    r"--(extra-)?index-url [a-z]|https?://[^ ]*/simple/|\"resolved\": *\"http"
    r"|\b(pypi|registry)\.(org|npmjs|yarnpkg)|pythonhosted\."
)
BINARY = {".png", ".parquet", ".xlsx", ".ico", ".woff2", ".gz", ".bin"}
DECISION = re.compile(r"\d{4}(-[a-z0-9]+)+\.md")


def _lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}"
        for path in tracked_files()
        if path.suffix not in BINARY
        for number, line in enumerate(text(path).splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_path_of_a_machine():
    assert _lines_with(MACHINE) == []


def test_no_address_of_a_package_registry():
    assert _lines_with(REGISTRY) == []


@pytest.mark.parametrize("room", packages())
def test_every_room_has_its_tests(room):
    assert [
        path
        for path in tracked_files()
        if path.match(f"tests/{room}/test_*.py") or path.match(f"tests/{room}/*/test_*.py")
    ]


def test_every_pin_of_the_project_is_locked_with_hashes():
    project = tomllib.loads(text(REPOSITORY / "pyproject.toml"))
    pins = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["tools"],
        *project["dependency-groups"]["build"],
    ]
    runtime, development = text(REPOSITORY / "requirements.txt"), text(REPOSITORY / "requirements-dev.txt")

    assert [pin for pin in pins if not _locked(pin, runtime)] == []
    assert [pin for pin in (*pins, *project["dependency-groups"]["dev"]) if not _locked(pin, development)] == []


def _locked(pin: str, lock: str) -> bool:
    exact = pin.split(";", maxsplit=1)[0].strip().lower()
    return re.search(rf"^{re.escape(exact)} [^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE) is not None


def test_decisions_are_numbered_without_gaps():
    notes = sorted(path.name for path in tracked_files() if path.parent.as_posix() == "docs/decisions")

    assert [name for name in notes if not DECISION.fullmatch(name)] == []
    assert [int(name[:4]) for name in notes] == list(range(1, len(notes) + 1))


def test_every_release_speaks_of_protection_first():
    releases = re.split(r"^## ", text(REPOSITORY / "CHANGELOG.md"), flags=re.MULTILINE)[1:]

    assert releases
    for release in releases:
        first = re.search(r"^### (.+)$", release, re.MULTILINE)
        assert first is not None
        assert first[1] == "Protection and safety", release.splitlines()[0]
