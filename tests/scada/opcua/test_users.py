"""Users of the secret file: every mistake in it named, every log-in checked off the loop."""

from __future__ import annotations

import asyncio

import pytest

from controller.scada.opcua.users import PlantUser, Users, UsersError, parse_users, read_users, role_of, user_record

ANNA = user_record("anna", "operator", "correct horse")
VERA = user_record("vera", "viewer", "battery staple")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "users"
    file.write_text(f"# masters\n\n{ANNA.line()}\n{VERA.line()}\n", encoding="utf-8")
    file.chmod(0o400)
    return file


@pytest.fixture
async def users(path):
    made = Users(path, anonymous=False, pause_s=0.0)
    made.load()
    return made


def test_a_file_of_users_is_read(path):
    assert read_users(path) == {"anna": ANNA, "vera": VERA}


def test_the_hash_is_salted_and_holds_no_password():
    again = user_record("anna", "operator", "correct horse")

    assert again.hash != ANNA.hash
    assert "horse" not in ANNA.line()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("anna:operator:secret", "line 1: name:role:scrypt:n:r:p:salt:hash expected, 3 parts found"),
        (ANNA.line().replace("scrypt", "md5"), "line 1: name:role:scrypt"),
        (ANNA.line().replace("operator", "admin"), "line 1: role 'admin' of 'anna'; one of viewer, operator, engineer"),
        (ANNA.line().replace(":16384:", ":many:"), "line 1: scrypt of 'anna': .*; numbers and hex expected"),
        (ANNA.line().replace(":16384:", ":16383:"), "line 1: scrypt of 'anna': .*; numbers and hex expected"),
        (ANNA.line()[:-1], "line 1: scrypt of 'anna': .*; numbers and hex expected"),
        (ANNA.line()[:-40], "line 1: hash of 'anna' has 12 bytes; at least 16 expected"),
        (f"{ANNA.line()}\n{ANNA.line()}", "line 2: user 'anna' twice"),
    ],
    ids=["parts", "scheme", "role", "cost", "cost no power of two", "odd hex", "short hash", "twice"],  # salts differ
)
def test_a_mistake_in_the_file_is_named(line, message):
    with pytest.raises(UsersError, match=message):
        parse_users(line)


def test_a_file_that_others_may_read_is_refused(path):
    path.chmod(0o440)

    with pytest.raises(UsersError, match=r"others may read it \(mode 0440\); chmod 0400"):
        read_users(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsersError, match="a readable file of users expected"):
        read_users(tmp_path / "none")


async def test_a_right_password_lets_in_with_the_users_role(users):
    await users.verify("anna", "correct horse")

    anna = users.get_user(None, "anna", "correct horse")
    assert isinstance(anna, PlantUser)
    assert (anna.name, role_of(anna)) == ("anna", "operator")


@pytest.mark.parametrize(
    ("name", "password"), [("anna", "wrong"), ("anna", ""), ("nobody", ""), ("", ""), ("vera", "correct horse")]
)
async def test_a_wrong_one_does_not(users, name, password):
    await users.verify(name, password)

    assert users.get_user(None, name, password) is None


async def test_nobody_is_let_in_unverified(users):
    assert users.get_user(None, "anna", "correct horse") is None
    await users.verify("anna", "correct horse")
    assert users.get_user(None, "anna", "wrong") is None
    assert users.get_user(None, "anna", None) is None


async def test_a_changed_file_counts_at_once(users, path):
    await users.verify("anna", "correct horse")
    changed = user_record("anna", "viewer", "new password")
    aside = path.with_name("aside")
    aside.write_text(changed.line(), encoding="utf-8")
    aside.chmod(0o400)
    aside.replace(path)

    await users.verify("anna", "correct horse")
    assert users.get_user(None, "anna", "correct horse") is None
    await users.verify("anna", "new password")
    found = users.get_user(None, "anna", "new password")
    assert found is not None
    assert role_of(found) == "viewer"


async def test_a_file_that_is_gone_lets_nobody_in(users, path):
    await users.verify("anna", "correct horse")
    path.unlink()

    await users.verify("anna", "correct horse")
    assert users.get_user(None, "anna", "correct horse") is None


async def test_anonymous_only_where_the_site_says_so(path):
    for anonymous, expected in ((True, "engineer"), (False, None)):
        found = Users(path, anonymous, pause_s=0.0).get_user(None)
        assert (found and role_of(found)) == expected


async def test_the_loop_goes_on_while_a_password_is_hashed(users):
    turns = 0
    async with asyncio.TaskGroup() as group:
        log_in = group.create_task(users.verify("anna", "correct horse"))
        while not log_in.done():
            turns += 1
            await asyncio.sleep(0)

    assert turns > 2


async def test_users_may_come_from_the_environment():
    users = Users(None, anonymous=False, pause_s=0.0, text=ANNA.line())
    users.load()
    await users.verify("anna", "correct horse")

    found = users.get_user(None, "anna", "correct horse")
    assert found is not None
    assert role_of(found) == "operator"
