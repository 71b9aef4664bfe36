from __future__ import annotations

import pytest

from controller.link.secret_store import SecretError, find_secret, readable_by_others, store_secret, variable_of


def test_a_services_credentials_come_before_the_state_folder_and_that_before_the_environment(tmp_path):
    state, credentials = tmp_path / "state", tmp_path / "credentials"
    environment = {variable_of("opcua-users"): "x"}
    assert find_secret("opcua-users", state, {}) is None
    assert str(find_secret("opcua-users", state, environment)) == "$BESS_SECRET_OPCUA_USERS"
    stored = store_secret("opcua-users", "x", state)
    assert str(find_secret("opcua-users", state, environment)) == str(stored)
    credentials.mkdir()
    (credentials / "opcua-users").touch()
    environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert str(find_secret("opcua-users", state, environment)) == str(credentials / "opcua-users")


def test_a_stored_secret_is_for_its_owner_alone(tmp_path):
    path = store_secret("wnode-psk", "value", tmp_path)
    found = find_secret("wnode-psk", tmp_path, {})
    assert found is not None
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not readable_by_others(found)
    path.chmod(0o640)
    assert readable_by_others(found)


def test_storing_again_replaces_the_value(tmp_path):
    store_secret("a", "one", tmp_path)
    assert store_secret("a", "two", tmp_path).read_text() == "two"
    assert [p.name for p in (tmp_path / "secrets").iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["../passwd", "a/b", "", ".hidden", "a b"])
def test_a_name_cannot_lead_elsewhere(tmp_path, name):
    with pytest.raises(SecretError, match="can't be the name of a secret"):
        store_secret(name, "x", tmp_path)
    with pytest.raises(SecretError, match="can't be the name of a secret"):
        find_secret(name, tmp_path, {})


def test_an_empty_value_is_refused(tmp_path):
    with pytest.raises(SecretError, match="empty"):
        store_secret("a", " \n", tmp_path)
