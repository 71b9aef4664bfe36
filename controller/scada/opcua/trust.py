"""Which client certificates the OPC UA face accepts: those that somebody put into the trust folder, and no others.

Rule (OPC 10000-4, 6.1.3): a certificate is accepted if it lies in `pki/trusted` or is signed by an authority that lies
there, is valid now, is not revoked by a list in `pki/revoked`, is an RSA key of 2,048 to 4,096 bits signed with
SHA-2, may sign and be a client, and names the application that uses it. It is checked when a secure channel is opened
and renewed, before anything else is read. What was refused as untrusted is kept in `pki/rejected`, for somebody to look
at and to move. The folders are read again at each check.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asyncua import ua
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.plant.clock import Clock
from controller.scada.opcua.value_types import fault

REJECTED_MAX = 20
KEY_BITS_MIN, KEY_BITS_MAX = 2048, 4096
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CERTIFICATES = {".der", ".crt", ".cer", ".pem"}
_LISTS = {".crl", ".der", ".pem"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TrustList:
    """Checks certificates against the folders below `pki`."""

    def __init__(self, pki: Path, clock: Clock) -> None:
        """Make the folders, private to their owner."""
        self._pki, self._clock = pki, clock
        for folder in ("trusted", "revoked", "rejected"):
            (pki / folder).mkdir(parents=True, exist_ok=True, mode=0o700)

    def check(self, certificate: x509.Certificate) -> None:
        """Raise the fault that refuses a certificate; return if it is accepted."""
        self._check_key(certificate)
        self._check_time(certificate)
        trusted = list(_certificates(self._pki / "trusted"))
        issuers = [authority for authority in trusted if self._has_issued(authority, certificate)]
        if certificate not in trusted and not issuers:
            self._keep_rejected(certificate)
            raise fault(ua.StatusCodes.BadCertificateUntrusted)
        if any(_is_revoked(certificate, crl, issuers) for crl in _revocations(self._pki / "revoked")):
            raise fault(ua.StatusCodes.BadCertificateRevoked)
        _check_use(certificate)

    def _check_time(self, certificate: x509.Certificate) -> None:
        now = _EPOCH + timedelta(microseconds=self._clock.utc_ns() // 1_000)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise fault(ua.StatusCodes.BadCertificateTimeInvalid)

    @staticmethod
    def _check_key(certificate: x509.Certificate) -> None:
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or not KEY_BITS_MIN <= key.key_size <= KEY_BITS_MAX:
            raise fault(ua.StatusCodes.BadCertificatePolicyCheckFailed)
        if not isinstance(certificate.signature_hash_algorithm, _HASHES):
            raise fault(ua.StatusCodes.BadCertificatePolicyCheckFailed)

    def _has_issued(self, authority: x509.Certificate, certificate: x509.Certificate) -> bool:
        if authority.subject != certificate.issuer or not _is_authority(authority):
            return False
        try:
            certificate.verify_directly_issued_by(authority)
            self._check_time(authority)
        except (ValueError, TypeError, InvalidSignature, ua.UaError):
            return False
        return True

    def _keep_rejected(self, certificate: x509.Certificate) -> None:
        folder = self._pki / "rejected"
        path = folder / f"{certificate.fingerprint(hashes.SHA256()).hex()[:40]}.der"
        if path.exists() or sum(1 for _ in folder.iterdir()) >= REJECTED_MAX:
            return
        with contextlib.suppress(OSError):  # a full disk keeps nobody out who may come in
            path.write_bytes(certificate.public_bytes(Encoding.DER))


def check_application(certificate: x509.Certificate, application_uri: str | None) -> None:
    """Raise the fault that refuses a session whose application is not the certificate's."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise fault(ua.StatusCodes.BadCertificateUriInvalid) from None
    if application_uri not in names.get_values_for_type(x509.UniformResourceIdentifier):
        raise fault(ua.StatusCodes.BadCertificateUriInvalid)


def _check_use(certificate: x509.Certificate) -> None:
    """A certificate that states its use must state ours: to sign, as a client."""
    extensions = certificate.extensions
    for extension in extensions:
        use = extension.value
        if isinstance(use, x509.KeyUsage) and not use.digital_signature:
            raise fault(ua.StatusCodes.BadCertificateUseNotAllowed)
        if isinstance(use, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CLIENT_AUTH not in use:
            raise fault(ua.StatusCodes.BadCertificateUseNotAllowed)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_revoked(
    certificate: x509.Certificate, crl: x509.CertificateRevocationList, issuers: list[x509.Certificate]
) -> bool:
    """A list counts only if the certificate's own authority signed it."""
    if crl.issuer != certificate.issuer:
        return False
    if not any(crl.is_signature_valid(authority.public_key()) for authority in issuers):  # type: ignore[arg-type]  # authorities have keys that sign
        return False
    return crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


def _certificates(folder: Path) -> Iterator[x509.Certificate]:
    """Yield what can be read; a file that is none trusts nobody."""
    for path, data in _files(folder, _CERTIFICATES):
        with contextlib.suppress(ValueError):
            if path.suffix.lower() == ".pem" or data.startswith(b"-----"):
                yield x509.load_pem_x509_certificate(data)
            else:
                yield x509.load_der_x509_certificate(data)


def _revocations(folder: Path) -> Iterator[x509.CertificateRevocationList]:
    """Yield the revocation lists; one that can't be read revokes everybody, which is noticed."""
    for _, data in _files(folder, _LISTS):
        try:
            yield x509.load_pem_x509_crl(data) if data.startswith(b"-----") else x509.load_der_x509_crl(data)
        except ValueError:
            raise fault(ua.StatusCodes.BadCertificateRevocationUnknown) from None


def _files(folder: Path, suffixes: set[str]) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes:
            yield path, path.read_bytes()
