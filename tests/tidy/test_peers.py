"""Foreign programs: what a test can ask for, the installer knows."""

from __future__ import annotations

import json

import pytest

from tests.conftest import NPM_PACKAGES, REPOSITORY, find_peer

PEERS = REPOSITORY / "tests" / "peers"


def test_every_npm_peer_has_an_exact_version():
    versions = json.loads((PEERS / "package.json").read_text(encoding="utf-8"))["dependencies"]

    assert set(versions) == set(NPM_PACKAGES)
    assert [version for version in versions.values() if not version.replace(".", "").isdigit()] == []


def test_the_installer_names_every_peer_it_may_miss():
    script = (REPOSITORY / "tests" / "install_peers.sh").read_text(encoding="utf-8")

    assert [name for name in ("mbpoll", *NPM_PACKAGES) if f" {name}" not in script] == []


def test_an_unknown_peer_is_a_mistake_and_no_skip():
    with pytest.raises(ValueError, match="unknown peer 'mbpol': expected one of"):
        find_peer("mbpol")


@pytest.mark.parametrize("name", ["mbpoll", *NPM_PACKAGES])
def test_a_peer_that_is_found_exists(name, peer):
    assert peer(name).exists()
