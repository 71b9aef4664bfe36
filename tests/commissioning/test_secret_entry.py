"""`bess secret set`: users are not lost to a value that was meant for one of them."""

from __future__ import annotations

import pytest

from controller.commissioning.secret_entry import set_user, set_value
from controller.link.secret_store import SecretError


def test_users_are_not_overwritten_by_a_password(tmp_path):
    stored = set_user("opcua-users", "anna", "operator", "a long one", tmp_path)
    before = stored.read_text()
    with pytest.raises(SecretError, match="holds users, and this is no list of users; add one with --user NAME"):
        set_value("opcua-users", "hunter2", tmp_path)
    assert stored.read_text() == before
    set_value("opcua-users", before, tmp_path)
    set_value("token", "one", tmp_path)
    assert set_value("token", "two", tmp_path).read_text() == "two"
