"""Reads certificates (DER) as far as TLS verdicts need them. Pure; no bytes make it raise."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

_WEAK_HASHES = frozenset({"md2", "md4", "md5", "sha1"})
_INTERMEDIATE_WORDS = re.compile(r"\b(inter\w*|issuing|issuer|sub|subordinate|zwischen\w*)\b")
_STRANGER_WORDS = re.compile(r"\b(rogue|un(trusted|known|related)|(an)?other|foreign|fake|evil|wrong|bad)\b")
_MIN_RSA_BITS, _MIN_EC_BITS = 2048, 224
# What the parser raises for certificates that are malformed in one way or another.
_UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate, parsed. Times are aware UTC; `names` are the SANs, lower-case."""

    parsed: x509.Certificate = field(repr=False, compare=False)
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    key_type: str
    key_bits: int
    signature_hash: str | None
    dns_names: tuple[str, ...]
    addresses: tuple[str, ...]
    fingerprint_sha256: str
    is_ca: bool
    may_sign: bool

    @property
    def is_self_issued(self) -> bool:
        return self.parsed.subject == self.parsed.issuer

    @property
    def is_self_signed(self) -> bool:
        return self.is_self_issued and was_issued_by(self, self)

    @property
    def has_weak_key(self) -> bool:
        if self.key_type in ("RSA", "DSA"):
            return self.key_bits < _MIN_RSA_BITS
        return self.key_type == "EC" and self.key_bits < _MIN_EC_BITS

    @property
    def has_weak_signature(self) -> bool:
        return self.signature_hash in _WEAK_HASHES

    @property
    def lifetime_days(self) -> float:
        return (self.not_after - self.not_before).total_seconds() / 86_400


def parse_chain(chain: Sequence[bytes]) -> list[Certificate]:
    """Return the certificates of `chain` that can be read, in the order sent; none when the leaf cannot be."""
    if not chain or parse_certificate(chain[0]) is None:
        return []
    return [certificate for der in chain if (certificate := parse_certificate(der)) is not None]


def parse_certificate(der: bytes) -> Certificate | None:
    """Return the certificate in `der`; None when it cannot be read."""
    try:
        parsed = x509.load_der_x509_certificate(der)
        key_type, key_bits = _describe_key(parsed)
        names = _find_extension(parsed, x509.SubjectAlternativeName)
        constraints = _find_extension(parsed, x509.BasicConstraints)
        usage = _find_extension(parsed, x509.KeyUsage)
        return Certificate(
            parsed=parsed,
            subject=_show_name(parsed.subject),
            issuer=_show_name(parsed.issuer),
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
            key_type=key_type,
            key_bits=key_bits,
            signature_hash=_find_signature_hash(parsed),
            dns_names=tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)) if names else (),
            addresses=tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)) if names else (),
            fingerprint_sha256=parsed.fingerprint(hashes.SHA256()).hex(),
            is_ca=constraints is not None and constraints.ca,
            may_sign=usage is None or usage.key_cert_sign,
        )
    except _UNREADABLE:
        return None


def _show_name(name: x509.Name) -> str:
    """Return the common name where there is one, which is what people recognise, else the whole name."""
    common = [str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return common[0] if common else name.rfc4514_string()


def _describe_key(parsed: x509.Certificate) -> tuple[str, int]:
    try:
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown", 0
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519", 256
    return ("Ed448", 456) if isinstance(key, ed448.Ed448PublicKey) else ("unknown", 0)


def _find_signature_hash(parsed: x509.Certificate) -> str | None:
    try:
        algorithm = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        # The library refuses what is too old for it; the identifier says which.
        return "md5" if parsed.signature_algorithm_oid.dotted_string in _OLD_SIGNATURES else None
    return algorithm.name if algorithm else None


_OLD_SIGNATURES = frozenset({"1.2.840.113549.1.1.2", "1.2.840.113549.1.1.3", "1.2.840.113549.1.1.4"})


def _find_extension(parsed: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    try:
        return parsed.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def was_issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Say whether `issuer`'s name and key made `certificate`, whatever `issuer` is allowed to do."""
    if certificate.parsed.issuer != issuer.parsed.subject:
        return False
    try:
        certificate.parsed.verify_directly_issued_by(issuer.parsed)
    except UnsupportedAlgorithm:
        return True  # too old to be checked here; the name has to do
    except (*_UNREADABLE, InvalidSignature):
        return False
    return True


def follow_path(sent: Sequence[Certificate]) -> list[Certificate]:
    """Return the leaf and the issuers after it, as far as the certificates sent lead, each once."""
    path = [sent[0]]
    while not path[-1].is_self_issued:
        issuer = next((other for other in sent if other not in path and was_issued_by(path[-1], other)), None)
        if issuer is None:
            break
        path.append(issuer)
    return path


def covers_host(certificate: Certificate, host: str) -> bool:
    """Say whether a SAN covers `host` (RFC 6125: a wildcard stands for one whole leftmost label; CN never counts)."""
    name = host.rstrip(".").lower()
    try:
        address = str(ipaddress.ip_address(name.partition("%")[0]))
    except ValueError:
        return any(_matches(pattern, name) for pattern in certificate.dns_names)
    return address in certificate.addresses


def _matches(pattern: str, name: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == name
    label, dot, rest = name.partition(".")
    # As OpenSSL: a wildcard needs two more labels, so that *.com covers nothing.
    return bool(label and dot) and rest == pattern[2:] and rest.count(".") >= 1


def issuer_looks_intermediate(certificate: Certificate, roots_pem: str) -> bool:
    """Guess whether the issuer, which was not sent, is an intermediate CA rather than a root nobody trusts.

    A client cannot know. The signs, most telling first: the authority key identifier names the issuer's own issuer;
    the certificate is no CA's and says where to fetch its issuer (public CAs issue to sites from intermediates only);
    the words of the issuer's name; for a site's certificate an organisation or first word shared with one of the
    private roots, unless the issuer calls itself a stranger.
    """
    parsed = certificate.parsed
    try:
        identifier = _find_extension(parsed, x509.AuthorityKeyIdentifier)
        access = _find_extension(parsed, x509.AuthorityInformationAccess)
    except _UNREADABLE:
        return False
    for general_name in (identifier.authority_cert_issuer if identifier else None) or ():
        return bool(general_name.value != parsed.issuer)
    methods = [entry.access_method for entry in access or ()]
    if not certificate.is_ca and AuthorityInformationAccessOID.CA_ISSUERS in methods:
        return True
    words = certificate.issuer.lower()
    if _INTERMEDIATE_WORDS.search(words):
        return True
    if "root" in words or _STRANGER_WORDS.search(words) or certificate.is_ca:
        return False
    return any(_is_related(parsed.issuer, root) for root in _read_root_names(roots_pem))


def _is_related(issuer: x509.Name, root: x509.Name) -> bool:
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        ours = [str(attribute.value).split()[:1] for attribute in issuer.get_attributes_for_oid(oid)]
        theirs = [str(attribute.value).split()[:1] for attribute in root.get_attributes_for_oid(oid)]
        if ours and ours[0] and ours[:1] == theirs[:1]:
            return True
    return False


def _read_root_names(roots_pem: str) -> list[x509.Name]:
    try:
        return [root.subject for root in x509.load_pem_x509_certificates(roots_pem.encode())] if roots_pem else []
    except ValueError:
        return []
