"""Which certificates are accepted: trusted ones, and each reason to refuse one."""

from __future__ import annotations

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.runtime.clock import SystemClock
from controller.scada.opcua.trust import REJECTED_MAX, TrustList, check_application
from tests.scada.opcua.certificates import DAY, NOW, URI, Owned, make, revocation_list


@pytest.fixture(scope="module")
def client() -> Owned:
    return make()


@pytest.fixture(scope="module")
def authority() -> Owned:
    return make(name="Plant authority", is_authority=True)


def refusal(trust: TrustList, owned: Owned) -> str:
    """Return the name of the status that refuses it, "" if it is accepted."""
    try:
        trust.check(owned.certificate)
    except ServiceError as error:
        return str(ua.StatusCode(error.code).name)  # type: ignore[arg-type]  # a plain integer
    return ""


@pytest.fixture
def trust(tmp_path):
    return TrustList(tmp_path, SystemClock())


@pytest.fixture
def trusted(tmp_path, trust):
    """Return a function that puts certificates into the trust folder."""

    def put(*owned: Owned) -> None:
        for number, one in enumerate(owned):
            (tmp_path / "trusted" / f"{number}.der").write_bytes(one.der)

    return put


def test_a_stranger_is_refused_and_kept_to_be_looked_at(trust, tmp_path, client):
    assert refusal(trust, client) == "BadCertificateUntrusted"
    assert [path.read_bytes() for path in (tmp_path / "rejected").iterdir()] == [client.der]


def test_who_was_moved_to_the_trusted_is_accepted_at_once(trust, tmp_path, client):
    assert refusal(trust, client) == "BadCertificateUntrusted"
    (kept,) = (tmp_path / "rejected").iterdir()
    kept.rename(tmp_path / "trusted" / kept.name)

    assert refusal(trust, client) == ""


def test_a_trusted_certificate_may_be_pem(trust, tmp_path, client):
    (tmp_path / "trusted" / "master.pem").write_bytes(client.pem)

    assert refusal(trust, client) == ""


def test_rejected_certificates_do_not_fill_the_disk(trust, tmp_path, client):
    for number in range(REJECTED_MAX):
        (tmp_path / "rejected" / f"{number}.der").touch()

    assert refusal(trust, client) == "BadCertificateUntrusted"
    assert len(list((tmp_path / "rejected").iterdir())) == REJECTED_MAX


def test_whom_a_trusted_authority_vouches_for_is_accepted(trust, trusted, authority):
    trusted(authority)

    assert refusal(trust, make(issuer=authority)) == ""


def test_an_authority_is_nobody_unless_it_is_one(trust, trusted, client):
    impostor = make(name="SCADA master", issuer=client)
    trusted(client)

    assert refusal(trust, impostor) == "BadCertificateUntrusted"


def test_a_name_alone_vouches_for_nobody(trust, trusted, authority):
    namesake = make(name="Plant authority", is_authority=True)
    trusted(authority)

    assert refusal(trust, make(issuer=namesake)) == "BadCertificateUntrusted"


def test_an_expired_authority_vouches_for_nobody(trust, trusted):
    expired = make(name="Old authority", is_authority=True, start=NOW - 3 * DAY, end=NOW - DAY)
    trusted(expired)

    assert refusal(trust, make(issuer=expired)) == "BadCertificateUntrusted"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"start": NOW - 3 * DAY, "end": NOW - DAY}, "BadCertificateTimeInvalid"),
        ({"start": NOW + DAY, "end": NOW + 3 * DAY}, "BadCertificateTimeInvalid"),
        ({"bits": 1024}, "BadCertificatePolicyCheckFailed"),
        ({"may_sign": False}, "BadCertificateUseNotAllowed"),
        ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "BadCertificateUseNotAllowed"),
    ],
    ids=["expired", "not-yet-valid", "rsa-1024", "may-not-sign", "a-server"],
)
def test_trust_alone_is_not_enough(trust, trusted, wrong, status):
    owned = make(**wrong)
    trusted(owned)

    assert refusal(trust, owned) == status


def test_a_revoked_certificate_is_refused(trust, trusted, tmp_path, authority):
    trusted(authority)
    good, bad = make(issuer=authority), make(issuer=authority)
    (tmp_path / "revoked" / "authority.crl").write_bytes(revocation_list(authority, bad))

    assert (refusal(trust, good), refusal(trust, bad)) == ("", "BadCertificateRevoked")


def test_a_revocation_list_of_somebody_else_counts_for_nothing(trust, trusted, tmp_path, authority):
    namesake = make(name="Plant authority", is_authority=True)
    good = make(issuer=authority)
    trusted(authority)
    (tmp_path / "revoked" / "namesake.crl").write_bytes(revocation_list(namesake, good))
    (tmp_path / "revoked" / "other.crl").write_bytes(revocation_list(make(is_authority=True), good))

    assert refusal(trust, good) == ""


def test_a_revocation_list_that_cannot_be_read_is_noticed(trust, trusted, tmp_path, client):
    trusted(client)
    (tmp_path / "revoked" / "broken.crl").write_bytes(b"none")

    assert refusal(trust, client) == "BadCertificateRevocationUnknown"


def test_what_is_no_certificate_trusts_nobody(trust, tmp_path, client):
    for name in ("note.txt", "broken.der", "broken.pem"):
        (tmp_path / "trusted" / name).write_bytes(b"none")

    assert refusal(trust, client) == "BadCertificateUntrusted"


def test_a_certificate_names_its_application(client):
    check_application(client.certificate, URI)
    for uri in ("urn:somebody:else", "", None):
        with pytest.raises(ServiceError) as refused:
            check_application(client.certificate, uri)
        assert refused.value.code == ua.StatusCodes.BadCertificateUriInvalid
