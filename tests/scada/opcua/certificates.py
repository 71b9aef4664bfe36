"""Certificates for the OPC UA security tests, made as clients and authorities make them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.runtime.clock import SystemClock

URI = "urn:test:scada-master"
NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=SystemClock().utc_ns() // 1_000_000_000)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Owned:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write both as clients want them and return the paths of certificate and key."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / "own.der", folder / "own-key.pem"
        certificate.write_bytes(self.der)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        key.write_bytes(self.key.private_bytes(*form))
        return certificate, key


def make(
    *,
    name: str = "SCADA master",
    bits: int = 2048,
    start: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
    issuer: Owned | None = None,
    is_authority: bool = False,
    uri: str = URI,
    may_sign: bool = True,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> Owned:
    """Make a certificate: of a client, self-signed, valid today, unless told otherwise."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    uses = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment"), True)
    uses |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
    uses |= {"digital_signature": may_sign, "key_cert_sign": is_authority, "crl_sign": is_authority}
    builder = (
        x509.CertificateBuilder(
            issuer.certificate.subject if issuer else subject, subject, key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**uses), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    return Owned(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def revocation_list(issuer: Owned, *revoked: Owned) -> bytes:
    """Return an authority's list of certificates that it takes back."""
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW - DAY, NOW + DAY)
    for owned in revoked:
        entry = x509.RevokedCertificateBuilder(owned.certificate.serial_number, NOW - DAY).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
