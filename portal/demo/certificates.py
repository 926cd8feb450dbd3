"""A certificate authority of the demonstration's own; writes its certificate and the site's under var/demo."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3_650
SITE_DAYS = 90
RENEW_DAYS = 30


@dataclass(frozen=True)
class Certificates:
    """Paths: the authority's certificate, and the site's chain with its private key in one 0600 file."""

    authority: Path
    site: Path


def ensure_certificates(directory: Path, now: dt.datetime) -> Certificates:
    """Makes the authority once and the site's certificate when it is missing or has under RENEW_DAYS left."""
    paths = Certificates(directory / "ca.pem", directory / "site.pem")
    key_path = directory / "ca-key.pem"
    if not paths.authority.exists() or not key_path.exists():
        key, certificate = _make_authority(now)
        _write_private(key_path, _key_pem(key))
        _write_private(paths.authority, certificate.public_bytes(serialization.Encoding.PEM))
        paths.site.unlink(missing_ok=True)
    if not paths.site.exists() or _days_left(paths.site, now) < RENEW_DAYS:
        authority = x509.load_pem_x509_certificate(paths.authority.read_bytes())
        authority_key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)  # noqa: S101  we have made it
        site_key, site = _make_site(authority, authority_key, now)
        _write_private(paths.site, _key_pem(site_key) + site.public_bytes(serialization.Encoding.PEM))
    return paths


def _make_authority(now: dt.datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Preflight demonstration CA")
    builder = (
        _builder(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return key, builder.sign(key, hashes.SHA256())


def _make_site(
    authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, now: dt.datetime
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        _builder(_name("localhost"), authority.subject, key, now, SITE_DAYS)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    return key, builder.sign(authority_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _days_left(path: Path, now: dt.datetime) -> int:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return (certificate.not_valid_after_utc - now).days


def _write_private(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
