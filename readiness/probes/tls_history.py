"""What certificate an endpoint showed before, and when that changed. Pure: reads the data of the result before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from readiness.probes.carried import read_time
from readiness.probes.certificates import Certificate


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """A certificate as a result keeps it; `since` is when it was first seen. Times are aware."""

    fingerprint_sha256: str
    issuer: str
    not_after: datetime
    since: datetime

    def as_json_object(self) -> dict[str, str]:
        return {
            "fingerprint_sha256": self.fingerprint_sha256,
            "issuer": self.issuer,
            "not_after": self.not_after.isoformat(),
            "since": self.since.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class CertificateHistory:
    """The certificate an endpoint shows (or showed last, while it shows none), and the one before it."""

    current: KnownCertificate | None = None
    before: KnownCertificate | None = None

    @property
    def is_renewed(self) -> bool:
        """Whether the change brought one that lasts longer."""
        return self.current is not None and self.before is not None and self.current.not_after > self.before.not_after

    def as_json_object(self) -> dict[str, Any]:
        return {
            "certificate": self.current.as_json_object() if self.current else None,
            "replaced": self.before.as_json_object() if self.before else None,
        }


def continue_history(entry: Mapping[str, Any], leaf: Certificate | None, now: datetime) -> CertificateHistory:
    """Return the history after `leaf` was seen at `now`; `entry` is what the result before said of the endpoint."""
    known = CertificateHistory(_read_certificate(entry.get("certificate")), _read_certificate(entry.get("replaced")))
    if leaf is None or (known.current and known.current.fingerprint_sha256 == leaf.fingerprint_sha256):
        return known
    seen = KnownCertificate(leaf.fingerprint_sha256, leaf.issuer, leaf.not_after, now)
    return CertificateHistory(seen, known.current)


def _read_certificate(value: Any) -> KnownCertificate | None:
    if not isinstance(value, Mapping):
        return None
    not_after, since = read_time(value.get("not_after")), read_time(value.get("since"))
    if not_after is None or since is None:
        return None
    return KnownCertificate(str(value.get("fingerprint_sha256")), str(value.get("issuer")), not_after, since)
