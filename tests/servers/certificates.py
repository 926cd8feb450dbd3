"""Makes certificate authorities and certificates of every kind, good and bad, for the local TLS servers."""

import ipaddress
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, and the certificates a server sends after it."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> str:
        return to_pem(self.certificate)

    @property
    def chain_pem(self) -> str:
        return self.pem + "".join(to_pem(each) for each in self.chain)

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def sending(self, *chain: "Identity") -> "Identity":
        """The same identity, sending other certificates after its own."""
        return Identity(self.certificate, self.key, tuple(each.certificate for each in chain))


def to_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def make_ec_key(curve: ec.EllipticCurve | None = None) -> PrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def make_rsa_key(bits: int) -> PrivateKey:
    return rsa.generate_private_key(65537, bits)


def make_certificate(
    name: str,
    issuer: Identity | None = None,
    *,
    hosts: Sequence[str] = (),
    is_ca: bool = False,
    path_length: int | None = None,
    starts_in: timedelta = timedelta(hours=-1),
    ends_in: timedelta = timedelta(days=90),
    key: PrivateKey | None = None,
    signature: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None = None,
    may_sign: bool | None = None,
    purpose: x509.ObjectIdentifier | None = None,
    permitted: Sequence[str] = (),
    issuer_url: str | None = None,
    organization: str | None = None,
) -> Identity:
    """Make a certificate; without an issuer it signs itself. It sends its issuer's chain by default, not the root."""
    now = datetime.now(UTC).replace(microsecond=0)
    key = key or make_ec_key()
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if organization:
        names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    subject = x509.Name(names)
    signer = issuer or Identity(None, key)  # type: ignore[arg-type]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts_in)
        .not_valid_after(now + ends_in)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
    if is_ca:
        builder = builder.add_extension(_key_usage(sign=may_sign is not False), critical=True)
    if not is_ca or purpose:
        usage = x509.ExtendedKeyUsage([purpose or ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    if permitted:
        constraints = x509.NameConstraints([x509.DNSName(each) for each in permitted], None)
        builder = builder.add_extension(constraints, critical=True)
    if issuer_url:
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    certificate = builder.sign(signer.key, signature or hashes.SHA256())
    chain: tuple[x509.Certificate, ...] = ()
    if issuer is not None and issuer.certificate.subject != issuer.certificate.issuer:
        chain = (issuer.certificate, *issuer.chain)
    return Identity(certificate, key, chain)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def make_root(name: str = "Preflight Test Root", **options: object) -> Identity:
    """Make a root CA, valid for ten years."""
    return make_certificate(name, is_ca=True, ends_in=timedelta(days=3650), **options)  # type: ignore[arg-type]


def make_sha1_certificate(name: str, issuer: Identity, hosts: Sequence[str]) -> Identity:
    """Make a certificate signed with SHA-1, which only the openssl command still does."""
    good = make_certificate(name, issuer, hosts=hosts)
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(good.certificate.subject)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .sign(good.key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory() as folder:
        request_path, issuer_path, key_path, made_path = (Path(folder, part) for part in ("r", "i", "k", "m"))
        request_path.write_bytes(request.public_bytes(serialization.Encoding.PEM))
        issuer_path.write_text(issuer.pem)
        key_path.write_text(issuer.key_pem)
        command = ["openssl", "x509", "-req", "-sha1", "-days", "90", "-copy_extensions", "copyall", "-set_serial", "7"]
        command += ["-in", str(request_path), "-CA", str(issuer_path), "-CAkey", str(key_path), "-out", str(made_path)]
        subprocess.run(command, check=True, capture_output=True)
        certificate = x509.load_pem_x509_certificate(made_path.read_bytes())
    return Identity(certificate, good.key, good.chain)
