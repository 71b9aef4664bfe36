"""The production profile: certificates that are trusted, users with roles, and nothing without either."""

from __future__ import annotations

import functools
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from asyncua import Client, ua
from asyncua.crypto import security_policies

from controller.control.commands import Action
from controller.image.data_periods import data_periods
from controller.plant.model import OpcUaFace
from controller.points.point_list import point_list
from controller.runtime.clock import SystemClock
from controller.scada.opcua.identity import load_or_make
from controller.scada.opcua.server import OpcUaServer
from controller.scada.opcua.users import user_record
from tests.scada.opcua.certificates import DAY, NOW, URI, Owned, make
from tests.scada.opcua.parts import Served, called, served, tag_id, talking_plant, value_of, written

POLICIES: dict[str, Any] = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
SECURE_FACE = OpcUaFace("127.0.0.1", 0, tuple(POLICIES), anonymous=False, users_secret="masters")
PASSWORD = "correct horse"
ROLES = ("viewer", "operator", "engineer")
SETPOINT = "Plant.ActivePowerSetpoint"


@pytest.fixture(scope="module")
def users() -> str:
    return "\n".join(user_record(role, role, PASSWORD).line() for role in ROLES)


@functools.cache
def master() -> Owned:
    """Return the certificate that is trusted from the start."""
    return make()


@pytest.fixture(scope="module")
def known_server(tmp_path_factory) -> Path:
    """Return the folder of a server that has its certificate: making one takes long."""
    pki: Path = tmp_path_factory.mktemp("server") / "pki"
    load_or_make(pki, "127.0.0.1", SystemClock())
    return pki


@pytest.fixture
async def view(demo_plant):
    return talking_plant(demo_plant)


@pytest.fixture
async def face(demo_plant, view, state, users, known_server):
    (state / "secrets").mkdir()
    secret = state / "secrets" / "masters"
    secret.write_text(users, encoding="utf-8")
    secret.chmod(0o400)
    shutil.copytree(known_server, state / "pki")
    trust(state, master())
    async with served(demo_plant, view, state, SECURE_FACE) as up:
        yield up


def trust(state: Path, owned: Owned) -> None:
    folder = state / "pki" / "trusted"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{owned.certificate.serial_number}.der").write_bytes(owned.der)


async def secured(
    face: Served,
    folder: Path,
    owned: Owned | None = None,
    *,
    user: str = "operator",
    password: str = PASSWORD,
    policy: str = "Basic256Sha256",
    uri: str = URI,
) -> Client:
    """Return a client with a certificate and a user, not connected yet."""
    certificate, key = (owned or master()).save(folder / "client")
    client = Client(face.url, timeout=30, watchdog_intervall=30)
    client.application_uri = uri
    await client.set_security(POLICIES[policy], certificate, key)
    if user:
        client.set_user(user)
        client.set_password(password)
    return client


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_trusted_master_with_a_user_may_read_write_and_call(face, view, state, policy):
    async with await secured(face, state, policy=policy) as client:
        power = await value_of(client, "Plant.ActivePower")
        assert power.StatusCode.is_good()
        assert await written(client, SETPOINT, 1.0) == "Good"
        assert await called(client, "Plant", "Start") == ("Good", "")

    assert [(c.action, c.user, c.role) for c in view.asked] == [
        (Action.SET_ACTIVE_POWER, "operator", "operator"),
        (Action.START, "operator", "operator"),
    ]


async def test_the_role_is_handed_on(face, view, state):
    async with await secured(face, state, user="engineer") as client:
        await called(client, "Plant", "ResetTrips")

    assert [(c.user, c.role) for c in view.asked] == [("engineer", "engineer")]


async def test_a_viewer_only_looks(face, view, state):
    async with await secured(face, state, user="viewer") as client:
        power, setpoint = await value_of(client, "Plant.ActivePower"), client.get_node(tag_id(SETPOINT))
        assert power.StatusCode.is_good()
        assert await setpoint.get_access_level() == {ua.AccessLevel.CurrentRead, ua.AccessLevel.CurrentWrite}
        assert await setpoint.get_user_access_level() == {ua.AccessLevel.CurrentRead}
        assert await written(client, SETPOINT, 1.0) == "BadUserAccessDenied"
        assert (await called(client, "Plant", "Stop"))[0] == "BadUserAccessDenied"
        start = client.get_node(tag_id("Plant.Start"))
        assert (await start.read_attribute(ua.AttributeIds.UserExecutable)).Value == ua.Variant(Value=False)

    assert view.asked == []


@pytest.mark.parametrize(
    ("user", "password", "error"),
    [
        ("operator", "wrong", ua.uaerrors.BadUserAccessDenied),
        ("nobody", PASSWORD, ua.uaerrors.BadUserAccessDenied),
        ("", "", ua.uaerrors.BadIdentityTokenRejected),
    ],
)
async def test_who_is_no_user_does_not_come_in(face, state, user, password, error):
    with pytest.raises(error):
        await (await secured(face, state, user=user, password=password)).connect()


@pytest.mark.parametrize(
    ("form", "trusted", "reason"),
    [
        ({}, False, "BadCertificateUntrusted"),
        ({"start": NOW - 3 * DAY, "end": NOW - DAY}, True, "BadCertificateTimeInvalid"),
        ({"start": NOW + DAY, "end": NOW + 3 * DAY}, True, "BadCertificateTimeInvalid"),
        ({"bits": 1024}, True, "BadCertificatePolicyCheckFailed"),
    ],
    ids=["stranger", "expired", "not-yet-valid", "rsa-1024"],
)
async def test_a_certificate_that_is_not_accepted_opens_no_channel(face, state, form, trusted, reason):
    owned = make(**form)
    if trusted:
        trust(state, owned)

    with pytest.raises((ConnectionError, ua.UaError)):
        await (await secured(face, state, owned)).connect()
    assert face.broken() == {reason: 1}
    assert face.server.status()["sessions"] == 0


async def test_who_was_refused_comes_in_once_somebody_trusts_him(face, state):
    stranger = make()
    with pytest.raises((ConnectionError, ua.UaError)):
        await (await secured(face, state, stranger)).connect()
    (kept,) = (state / "pki" / "rejected").iterdir()

    kept.rename(state / "pki" / "trusted" / kept.name)

    async with await secured(face, state, stranger) as client:
        assert (await value_of(client, "Plant.State")).StatusCode.is_good()


async def test_an_application_that_its_certificate_does_not_name_is_refused(face, state):
    with pytest.raises(ua.uaerrors.BadCertificateUriInvalid):
        await (await secured(face, state, uri="urn:somebody:else")).connect()


async def test_without_security_there_is_only_the_list_of_endpoints(face):
    client = Client(face.url, timeout=30)
    endpoints = await client.connect_and_get_server_endpoints()
    modes = {(e.SecurityPolicyUri.rpartition("#")[2], e.SecurityMode) for e in endpoints}
    tokens = {token.TokenType for e in endpoints for token in e.UserIdentityTokens}
    assert modes == {(policy, ua.MessageSecurityMode.SignAndEncrypt) for policy in POLICIES}
    assert tokens == {ua.UserTokenType.UserName}

    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    with pytest.raises(ua.uaerrors.BadSecurityPolicyRejected):
        await client.create_session()
    client.disconnect_socket()


async def test_only_signing_is_not_offered(face, state):
    certificate, key = master().save(state / "client")
    client = Client(face.url, timeout=30)
    with pytest.raises(ua.UaError, match="No matching endpoint"):
        await client.set_security(POLICIES["Basic256Sha256"], certificate, key, mode=ua.MessageSecurityMode.Sign)


async def test_a_session_belongs_to_its_certificate(face, state):
    thief_owned = make()
    trust(state, thief_owned)
    async with await secured(face, state) as client:
        thief = await secured(face, state / "thief", thief_owned)
        await thief.connect_socket()
        await thief.send_hello()
        await thief.open_secure_channel()
        await thief.create_session()
        stolen = cast("Any", client.uaclient.protocol).authentication_token  # a thief would have to know it
        cast("Any", thief.uaclient.protocol).authentication_token = stolen
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await thief.activate_session("operator", PASSWORD)
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await thief.nodes.server.read_browse_name()
        thief.disconnect_socket()
        assert (await value_of(client, "Plant.State")).StatusCode.is_good()


async def test_a_session_states_the_certificate_of_its_channel(face, state):
    """Else a stranger could show a trusted certificate, which is no secret."""
    client = await secured(face, state)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    params = ua.CreateSessionParameters()
    params.ClientDescription.ApplicationUri = cast("Any", URI)
    params.ClientNonce, params.ClientCertificate = cast("Any", (bytes(32), make().der))

    with pytest.raises(ua.uaerrors.BadCertificateInvalid):
        await client.uaclient.create_session(params)
    params.ClientCertificate = cast("Any", None)
    with pytest.raises(ua.uaerrors.BadCertificateInvalid):
        await client.uaclient.create_session(params)
    params.ClientCertificate, params.ClientNonce = cast("Any", (master().der, b"short"))
    with pytest.raises(ua.uaerrors.BadNonceInvalid):
        await client.uaclient.create_session(params)
    client.disconnect_socket()


async def test_tokens_of_sessions_cannot_be_guessed(face, state):
    async with await secured(face, state) as one, await secured(face, state) as two:
        protocols: Any = [client.uaclient.protocol for client in (one, two)]
        tokens = [protocol.authentication_token.Identifier for protocol in protocols]

    assert len({*tokens}) == 2
    assert {len(token) for token in tokens} == {32}


async def test_the_certificate_is_made_once_and_its_key_is_private(demo_plant, view, state):
    own = state / "pki" / "own"
    async with served(demo_plant, view, state, SECURE_FACE):
        first = (own / "certificate.der").read_bytes()
    async with served(demo_plant, view, state, SECURE_FACE):
        assert (own / "certificate.der").read_bytes() == first

    assert stat.S_IMODE((own / "key.pem").stat().st_mode) == 0o400
    assert stat.S_IMODE(own.stat().st_mode) == 0o700


def test_a_key_that_is_not_the_certificates_is_named(tmp_path):
    for pki in ("one", "two"):
        load_or_make(tmp_path / pki, "127.0.0.1", SystemClock())
    (tmp_path / "one" / "own" / "key.pem").unlink()
    (tmp_path / "two" / "own" / "key.pem").rename(tmp_path / "one" / "own" / "key.pem")

    with pytest.raises(ValueError, match=r"key\.pem is not the key of certificate\.der; remove the folder"):
        load_or_make(tmp_path / "one", "127.0.0.1", SystemClock())


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", "plant.example"])
@pytest.mark.parametrize("change", [{"anonymous": True}, {"policies": ("None",)}])
def test_for_anybody_or_without_security_it_stays_on_loopback(demo_plant, view, tmp_path, host, change):
    face = replace(SECURE_FACE, host=host, **change)

    with pytest.raises(ValueError, match="expected only on loopback"):
        OpcUaServer(face, point_list(demo_plant), view, data_periods(demo_plant), SystemClock(), tmp_path)


async def test_without_a_file_of_users_it_starts_and_lets_nobody_in(demo_plant, view, state):
    trust(state, master())
    async with served(demo_plant, view, state, SECURE_FACE) as face:
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await (await secured(face, state)).connect()
