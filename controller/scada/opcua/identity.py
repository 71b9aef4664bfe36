"""The OPC UA server's own certificate and key: made at the first start, then kept.

Rule: `pki/own` in the state folder, self-signed, RSA 2048 with SHA-256, names the application and the host; the key is
readable by its owner alone. To replace it, remove `pki/own`: every client then has to trust the new one.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.plant.clock import Clock

_LIFE = timedelta(days=3650)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_cert_sign")
_NOT_USES = ("key_agreement", "crl_sign", "encipher_only", "decipher_only")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the server is."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def application_uri(self) -> str:
        """The name that clients know the server by; it stays when the host is renamed."""
        names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)[0]


def application_uri() -> str:
    """Return the name of a server on this host that has no certificate yet."""
    return f"urn:{socket.gethostname()}:bess-controller"


def load_or_make(pki: Path, host: str, clock: Clock) -> Identity:
    """Return the identity that lies in `pki/own`, made if there is none. Blocks for a second the first time."""
    own = pki / "own"
    if not (own / "certificate.der").is_file():
        own.mkdir(parents=True, exist_ok=True, mode=0o700)
        _save(own, _make(host, clock))
    key = serialization.load_pem_private_key((own / "key.pem").read_bytes(), password=None)
    certificate = x509.load_der_x509_certificate((own / "certificate.der").read_bytes())
    if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError(f"{own}: key.pem is not the key of certificate.der; remove the folder to make new ones")
    return Identity(certificate, key)


def _make(host: str, clock: Clock) -> Identity:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Battery plant controller")])
    now = _EPOCH + timedelta(seconds=clock.utc_ns() // 1_000_000_000)
    uses = dict.fromkeys(_USES, True) | dict.fromkeys(_NOT_USES, False)
    names = [x509.UniformResourceIdentifier(application_uri()), x509.DNSName(socket.gethostname()), *_address(host)]
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**uses), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Identity(builder.sign(key, hashes.SHA256()), key)


def _address(host: str) -> list[x509.GeneralName]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [x509.DNSName(host)]
    return [] if address.is_unspecified else [x509.IPAddress(address)]


def _save(own: Path, identity: Identity) -> None:
    """The certificate comes last: where it lies, the key does too."""
    pem = identity.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(own / "key.pem", pem)
    _write(own / "certificate.der", identity.certificate.public_bytes(serialization.Encoding.DER))


def _write(path: Path, data: bytes) -> None:
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
