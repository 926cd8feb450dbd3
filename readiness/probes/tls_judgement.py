"""Judges one TLS observation: trust, host name, days, failure, warnings, grade. Pure: takes `now`, opens nothing.

Rules: the most important failure decides, in the order of `FAILURES`. `trusted` leaves the host name out; weak keys
and SHA-1 count as not trusted. The letter follows the ladder T, M, F, C, B, A-, A, A+; days left are no part of it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from readiness.probes.base import DEFAULT_EXPIRY_DAYS, ErrorReason, FailReason
from readiness.probes.certificates import Certificate, covers_host, follow_path, issuer_looks_intermediate, parse_chain
from readiness.probes.tls_history import CertificateHistory, continue_history
from readiness.probes.tls_observation import Handshake, TlsObservation

FAILURES = (
    "expired",
    "not_yet_valid",
    "self_signed",
    "untrusted_root",
    "hostname_mismatch",
    "incomplete_chain",
    "intermediate_expired",
    "name_constraints",
    "invalid_ca",
    "bad_purpose",
    "weak_key",
    "weak_signature",
    "legacy_protocol",
    "no_certificate",
    "client_cert_required",
    "handshake_refused",
    "not_tls",
    "timeout",
    "closed",
    "refused",
)
MAX_LIFETIME_DAYS = 398
LEGACY_PROTOCOLS = frozenset({"SSLv2", "SSLv3", "TLSv1", "TLSv1.1"})
LONG_HSTS_SECONDS = 15_552_000
# What lives no longer is renewed by a program (ACME), when a third of the lifetime is left; it may need a few tries.
_AUTOMATIC_LIFETIME_DAYS = 100
_RENEWAL_SLACK = timedelta(days=2)
_VERY_WEAK_RSA_BITS, _MIN_CIPHER_BITS = 1024, 112
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d+)", re.IGNORECASE)

# OpenSSL's verification codes (x509_vfy.h), where the code alone says what is wrong.
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED_LEAF, _SELF_SIGNED_IN_CHAIN = 9, 10, 18, 19
_ISSUER_MISSING = frozenset({2, 20, 21})
_FAILURE_OF_CODE = {
    **dict.fromkeys((47, 48, 49, 51, 52, 53, 54), "name_constraints"),
    **dict.fromkeys((24, 25, 32, 37, 79), "invalid_ca"),
    26: "bad_purpose",
    66: "weak_key",
    67: "weak_key",
    68: "weak_signature",
}
_FAILURES_WITHOUT_LETTER_T = frozenset(
    {"hostname_mismatch", "incomplete_chain", "weak_key", "legacy_protocol", "client_cert_required"}
)


@dataclass(frozen=True, slots=True)
class TlsVerdict:
    """What is said about one endpoint. `failures` holds every fault found, the most important first."""

    seen: TlsObservation
    chain: tuple[Certificate, ...] = ()
    trusted: bool = False
    hostname_ok: bool = False
    days_left: int | None = None
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    grade: str | None = None
    reason: str | None = None
    expiry_mark: int | None = None  # the smallest mark of days left that is reached
    renewal_due_at: datetime | None = None  # of a certificate that is renewed automatically
    is_renewal_late: bool = False
    history: CertificateHistory = field(default_factory=CertificateHistory)

    @property
    def failure(self) -> str | None:
        return self.failures[0] if self.failures else None

    @property
    def leaf(self) -> Certificate | None:
        return self.chain[0] if self.chain else None

    def as_data(self) -> dict[str, Any]:
        """Return the `data` of the tls kind; certificate fields are null when none was seen."""
        leaf = self.leaf
        return {
            "trusted": self.trusted,
            "hostname_ok": self.hostname_ok,
            "days_left": self.days_left,
            "not_after": leaf.not_after.isoformat().replace("+00:00", "Z") if leaf else None,
            "protocols": None if self.seen.protocols is None else list(self.seen.protocols),
            "key": {"type": leaf.key_type, "bits": leaf.key_bits} if leaf else None,
            "chain_len": len(self.seen.handshake.chain) if leaf and self.seen.handshake else None,
            "failure": self.failure,
            "warnings": list(self.warnings),
            "grade": self.grade,
            "fingerprint_sha256": leaf.fingerprint_sha256 if leaf else None,
            "issuer": leaf.issuer if leaf else None,
            "subject_alt_names": [*leaf.dns_names, *leaf.addresses] if leaf else None,
        }


def judge_tls(
    seen: TlsObservation,
    now: datetime,
    roots_pem: str,
    expiry_days: Sequence[int] = DEFAULT_EXPIRY_DAYS,
    entry: Mapping[str, Any] | None = None,
) -> TlsVerdict:
    """Judge one endpoint at `now` (aware); `roots_pem` holds the private roots that were trusted.

    `expiry_days` are the marks of days left, `entry` is what the result before said about the endpoint.
    """
    if seen.handshake is None:
        return replace(_judge_no_handshake(seen), history=continue_history(entry or {}, None, now))
    chain = tuple(parse_chain(seen.handshake.chain))
    if not chain:
        history = continue_history(entry or {}, None, now)
        return TlsVerdict(seen, failures=("no_certificate",), grade="F", reason="no_certificate", history=history)
    leaf = chain[0]
    trust_faults = _find_trust_faults(seen.handshake, chain, now, roots_pem)
    hostname_ok = covers_host(leaf, seen.host)
    faults = set(trust_faults)
    if not hostname_ok:
        faults.add("hostname_mismatch")
    if seen.handshake.protocol in LEGACY_PROTOCOLS:
        faults.add("legacy_protocol")
    if seen.handshake.refused_without_client_certificate:
        faults.add("client_cert_required")
    failures = tuple(sorted(faults, key=FAILURES.index))
    days_left = math.floor((leaf.not_after - now) / timedelta(days=1))
    mark = min((days for days in expiry_days if 0 <= days_left <= days), default=None)
    renewal_due_at = find_renewal_time(leaf)
    verdict = TlsVerdict(
        seen=seen,
        chain=chain,
        trusted=not trust_faults,
        hostname_ok=hostname_ok,
        days_left=days_left,
        failures=failures,
        warnings=_list_warnings(seen, chain, expires_soon=mark is not None),
        reason=failures[0] if failures else None,
        expiry_mark=mark,
        renewal_due_at=renewal_due_at,
        is_renewal_late=renewal_due_at is not None and _is_late(renewal_due_at, leaf, now),
        history=continue_history(entry or {}, leaf, now),
    )
    return replace(verdict, grade=grade_tls(verdict))


def _judge_no_handshake(seen: TlsObservation) -> TlsVerdict:
    """Judge an endpoint that showed no certificate: the reason is the failure where it is one of the list."""
    reason = seen.failure or ErrorReason.INTERNAL
    failure = FailReason.CLOSED if reason == FailReason.BAD_RESPONSE else reason
    failures = (str(failure),) if failure in FAILURES else ()
    grade = None if isinstance(reason, ErrorReason) else "F"
    return TlsVerdict(seen, failures=failures, grade=grade, reason=reason)


def _find_trust_faults(handshake: Handshake, chain: tuple[Certificate, ...], now: datetime, roots_pem: str) -> set[str]:
    """Return every reason why a client that trusts only the given roots refuses the chain, or should."""
    faults: set[str] = set()
    path = follow_path(chain)
    used = _list_used(handshake, path, chain)
    signed = [certificate for certificate in used if not certificate.is_self_signed]
    if any(certificate.has_weak_key for certificate in used):
        faults.add("weak_key")
    if any(certificate.has_weak_signature for certificate in signed):
        faults.add("weak_signature")
    code = handshake.verify_code
    if code:
        faults.add(_name_verify_code(code, path, chain, now, roots_pem))
        if path[0].not_after < now:
            faults.add("expired")
        if path[0].not_before > now:
            faults.add("not_yet_valid")
    return faults


def _list_used(handshake: Handshake, path: list[Certificate], chain: tuple[Certificate, ...]) -> Sequence[Certificate]:
    """Return the certificates sent that trust rests on: a server may send others, for old clients, that it does not."""
    if handshake.verify_code != 0 or not handshake.trusted_path:
        return path
    trusted = {certificate.fingerprint_sha256 for certificate in parse_chain(handshake.trusted_path)}
    return [certificate for certificate in chain if certificate.fingerprint_sha256 in trusted]


def _name_verify_code(
    code: int, path: list[Certificate], chain: tuple[Certificate, ...], now: datetime, roots_pem: str
) -> str:
    leaf = path[0]
    if code == _EXPIRED:
        return "expired" if leaf.not_after <= now else "intermediate_expired"
    if code == _NOT_YET_VALID:
        return "not_yet_valid"
    if code == _SELF_SIGNED_LEAF or (len(path) == 1 and leaf.is_self_signed):
        return "self_signed"
    if code in _FAILURE_OF_CODE:
        return _FAILURE_OF_CODE[code]
    if code in _ISSUER_MISSING:
        return _name_missing_issuer(path, chain, roots_pem)
    return "untrusted_root"


def _name_missing_issuer(path: list[Certificate], chain: tuple[Certificate, ...], roots_pem: str) -> str:
    """Tell why no trusted issuer was found: one that may not issue, one that was not sent, or an unknown root."""
    if any(not (issuer.is_ca and issuer.may_sign) for issuer in path[1:]):
        return "invalid_ca"
    last = path[-1]
    if last.is_self_issued:
        return "untrusted_root"
    if any(other.parsed.subject == last.parsed.issuer for other in chain if other not in path):
        return "untrusted_root"  # a certificate of the right name with another key
    return "incomplete_chain" if issuer_looks_intermediate(last, roots_pem) else "untrusted_root"


def _list_warnings(seen: TlsObservation, chain: tuple[Certificate, ...], *, expires_soon: bool) -> tuple[str, ...]:
    found = []
    if expires_soon:
        found.append("expires_soon")
    if chain[0].lifetime_days > MAX_LIFETIME_DAYS:
        found.append("lifetime_over_398")
    offered = set(seen.protocols or ())
    if seen.handshake is not None:
        offered.add(seen.handshake.protocol or "")
    if offered & LEGACY_PROTOCOLS:
        found.append("legacy_protocol")
    if seen.handshake is not None and is_weak_cipher(seen.handshake):
        found.append("weak_cipher")
    path = follow_path(chain)
    if any(certificate.is_self_signed for certificate in chain[1:]):
        found.append("root_in_chain")
    if list(chain[: len(path)]) != path:
        found.append("wrong_order")
    return tuple(found)


def is_weak_cipher(handshake: Handshake) -> bool:
    """Say whether the suite that was agreed on, good ones offered first, lacks forward secrecy or AEAD, or is short."""
    cipher = handshake.cipher or ""
    if handshake.cipher_bits is not None and handshake.cipher_bits < 128:
        return True
    if cipher.startswith("TLS_"):
        return False
    is_aead = any(sign in cipher for sign in ("GCM", "CHACHA20", "CCM"))
    return bool(cipher) and not (is_aead and cipher.startswith(("ECDHE", "DHE")))


def grade_tls(verdict: TlsVerdict) -> str:
    """Return the letter of an endpoint that showed a certificate."""
    handshake, leaf = verdict.seen.handshake, verdict.leaf
    if handshake is None or leaf is None:
        return "F"
    faults = set(verdict.failures)
    if faults - _FAILURES_WITHOUT_LETTER_T:
        return "T"
    if "hostname_mismatch" in faults:
        return "M"
    if (leaf.key_type in ("RSA", "DSA") and leaf.key_bits < _VERY_WEAK_RSA_BITS) or (
        handshake.cipher_bits is not None and handshake.cipher_bits < _MIN_CIPHER_BITS
    ):
        return "F"
    if "legacy_protocol" in faults:
        return "C"
    if faults & {"incomplete_chain", "weak_key"} or set(verdict.warnings) & {"legacy_protocol", "weak_cipher"}:
        return "B"
    has_tls13 = handshake.protocol == "TLSv1.3" or "TLSv1.3" in (verdict.seen.protocols or ())
    age = _MAX_AGE.search(handshake.hsts or "")
    has_long_hsts = age is not None and int(age[1][:20]) >= LONG_HSTS_SECONDS
    if not has_tls13 or (handshake.answered_http and not has_long_hsts):
        return "A-"
    return "A+" if has_long_hsts else "A"


def find_renewal_time(leaf: Certificate) -> datetime | None:
    """Return when a certificate that a program renews is due: with a third of its lifetime left. None for others."""
    if leaf.lifetime_days > _AUTOMATIC_LIFETIME_DAYS:
        return None
    return leaf.not_after - (leaf.not_after - leaf.not_before) / 3


def _is_late(due_at: datetime, leaf: Certificate, now: datetime) -> bool:
    return now > due_at + min(_RENEWAL_SLACK, (leaf.not_after - leaf.not_before) / 10)
