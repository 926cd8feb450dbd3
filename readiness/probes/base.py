"""The words every probe speaks: statuses, reasons, findings, results, targets. Reads and writes nothing.

Two sentences decide between FAIL and ERROR everywhere:

* FAIL: the target spoke and what it said is wrong (a 500, an expired certificate, a reset in mid-sentence).
* ERROR: we could not tell. The name did not resolve, nothing listened (a refused connection reaches no server to
  judge), nothing answered in time, or we were not let in.

SKIPPED: a privilege, an extension or a capability is missing. None of the three is ever a pass.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from readiness.probes.addresses import AddressPolicy

if TYPE_CHECKING:
    from readiness.probes.scenarios.model import Scenario

DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_EXPIRY_DAYS = (21, 14, 7, 3, 1)


class Status(StrEnum):
    """What a probe or one of its findings says."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"
    SKIPPED = "skipped"


_SEVERITY = {Status.SKIPPED: 0, Status.PASS: 1, Status.WARN: 2, Status.FAIL: 3, Status.ERROR: 4}


class ErrorReason(StrEnum):
    """Why we could not tell. Closed: a new reason is added here, nowhere else."""

    BAD_TARGET = "bad_target"
    CREDENTIALS_IN_URL = "credentials_in_url"
    BAD_DSN = "bad_dsn"
    BAD_CA = "bad_ca"
    HOST_NOT_FOUND = "host_not_found"  # the resolver says that there is no such name
    RESOLVER_FAILED = "resolver_failed"  # the resolver did not say anything useful
    ADDRESS_NOT_ALLOWED = "address_not_allowed"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    AUTHENTICATION_FAILED = "authentication_failed"
    DATABASE_NOT_FOUND = "database_not_found"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    SERVER_STARTING = "server_starting"
    TLS_REQUIRED = "tls_required"
    PERMISSION_DENIED = "permission_denied"
    NOTHING_TO_PROBE = "nothing_to_probe"
    INTERNAL = "internal"


class FailReason(StrEnum):
    """Why a target that spoke is wrong, where one code says it. Codes of the tls kind: see `TlsFailure` there."""

    BAD_STATUS = "bad_status"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BAD_REDIRECT = "bad_redirect"
    BAD_RESPONSE = "bad_response"
    TOO_LARGE = "too_large"
    CLOSED = "closed"
    NOT_TLS = "not_tls"
    CERTIFICATE = "certificate"
    HANDSHAKE_REFUSED = "handshake_refused"
    LOW_SCORE = "low_score"
    NO_HTTPS_REDIRECT = "no_https_redirect"
    WRONG_CONTENT = "wrong_content"
    TOO_SLOW = "too_slow"
    WRONG_ENGINE = "wrong_engine"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged fact: what (`summary`, one sentence), the evidence (`detail`) and what to do (`fix`)."""

    id: str
    status: Status
    summary: str
    detail: str = ""
    fix: str = ""

    def as_json_object(self) -> dict[str, str]:
        return {
            "id": self.id,
            "status": self.status.value,
            "summary": self.summary,
            "detail": self.detail,
            "fix": "" if self.status is Status.PASS else self.fix,  # judges may always name one; a pass needs none
        }


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe says about one target. `reason` is a code, null for a pass; `data` is JSON-ready."""

    kind: str
    target: str
    status: Status
    reason: str | None = None
    duration_ms: int = 0
    findings: tuple[Finding, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json_object(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "target": self.target,
            "status": self.status.value,
            "reason": None if self.reason is None else str(self.reason),
            "duration_ms": self.duration_ms,
            "findings": [finding.as_json_object() for finding in self.findings],
            "data": dict(self.data),
        }


@dataclass(frozen=True, slots=True)
class ConnectTo:
    """Connect elsewhere for HOST1:PORT1, as curl's --connect-to: empty parts match, or keep, anything."""

    host: str
    port: int | None
    to_host: str
    to_port: int | None


@dataclass(frozen=True, slots=True)
class TargetEndpoint:
    """One address of an environment; `role` is "frontend", "api" or "alias"."""

    role: str
    url: str
    health_path: str = ""
    expected_text: str = ""
    latency_budget_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ExpectedRecord:
    """What DNS should say: `type` is "A", "AAAA" or "CNAME", `values` all of its values in any order.

    An empty `name` means the host of each endpoint. No values: there must be no such record.
    """

    type: str
    values: tuple[str, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What the plan of a hosted database allows; None: unknown or without limit."""

    connections: int | None = None
    storage_bytes: int | None = None
    region: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Everything a probe is given; `label` is the target as typed, with any password masked."""

    label: str
    endpoints: tuple[TargetEndpoint, ...] = ()
    ca_pem: str = ""
    dsn: str = field(default="", repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    connect_to: tuple[ConnectTo, ...] = ()
    address_policy: AddressPolicy = field(default_factory=AddressPolicy)
    expected_records: tuple[ExpectedRecord, ...] = ()
    nameservers: tuple[str, ...] = ()  # address, address:port or [address]:port; none: the machine's own
    thresholds: Mapping[str, float] = field(default_factory=dict)  # what departs from the kind's defaults, by name
    application_role: str = ""  # the database role of the application; "" when nobody has said
    plan: PlanLimits = field(default_factory=PlanLimits)
    previous: Mapping[str, Any] | None = None  # `data` of the result before, for what counts up, changes or is kept
    oldest_answer_at: datetime | None = None  # what seldom changes and was asked since then is kept; None: ask it all
    expiry_days: tuple[int, ...] = DEFAULT_EXPIRY_DAYS  # marks of a certificate's days left; the largest warns first
    is_deep: bool = False  # tls: have sslyze look too
    size_history: tuple[tuple[datetime, int], ...] = ()  # (when, bytes used) of earlier results, in any order
    scenario: "Scenario | None" = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the scenario, by name
    report_hosts: tuple[str, ...] = ()  # headers: where the frontend sends its errors, host names


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What a command line adds to a typed target."""

    ca_pem: str = ""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    connect_to: tuple[ConnectTo, ...] = ()
    address_policy: AddressPolicy = field(default_factory=AddressPolicy)
    expected_records: tuple[ExpectedRecord, ...] = ()
    nameservers: tuple[str, ...] = ()
    expiry_days: tuple[int, ...] = DEFAULT_EXPIRY_DAYS
    is_deep: bool = False


class TargetError(ValueError):
    """The typed target cannot be probed; the text is one sentence without a secret in it."""

    def __init__(self, message: str, reason: ErrorReason = ErrorReason.BAD_TARGET) -> None:
        super().__init__(message)
        self.reason = reason


ObservationT = TypeVar("ObservationT")


class Probe(Protocol[ObservationT]):
    """One kind of probe. `observe` does all the I/O within `target.timeout_seconds`; `judge` is pure."""

    kind: str

    def parse_target(self, text: str, options: TargetOptions) -> Target: ...

    def observe(self, target: Target) -> ObservationT: ...

    def judge(self, target: Target, observation: ObservationT, now: datetime) -> ProbeResult: ...


def worst_status(statuses: Iterable[Status]) -> Status:
    """Return the worst of `statuses`; skipped counts only when there is nothing else."""
    return max(statuses, key=_SEVERITY.__getitem__, default=Status.SKIPPED)


def status_of_reason(reason: str) -> Status:
    """Return ERROR for an `ErrorReason` (we could not tell), FAIL for any other code (the target is wrong)."""
    return Status.ERROR if isinstance(reason, ErrorReason) else Status.FAIL


def make_error_result(kind: str, label: str, reason: str, summary: str, fix: str = "") -> ProbeResult:
    """Build the result of a probe that got nothing to judge, with one finding that says why.

    The status is that of `reason` (see `status_of_reason`).
    """
    status = status_of_reason(reason)
    finding = Finding(id="observed", status=status, summary=summary, fix=fix)
    return ProbeResult(kind=kind, target=label, status=status, reason=reason, findings=(finding,))


_URL_PASSWORD = re.compile(r"(?P<start>(?P<scheme>[a-zA-Z][a-zA-Z0-9+.\-]*)://[^/?#\s:@\[]*):(?P<password>\S*)@")
_HTTP_USER = re.compile(r"(?P<start>\bhttps?://)[^/?#\s:@\[]+@", re.IGNORECASE)
# Where a port belongs and stands none: the user:password of somebody who forgot the @ and the host.
_WORD_FOR_PORT = re.compile(
    r"(?P<start>\b[a-zA-Z][a-zA-Z0-9+.\-]*://[^/?#\s:@\[]+):(?!\d*(?:[,/?#\s'\")\].;:]|$))[^/?#\s@]+"
)
# A password with a blank in it, where the whole text is one URL.
_PASSWORD_WITH_BLANK = re.compile(r"\A(?P<start>\s*[a-zA-Z][a-zA-Z0-9+.\-]*://[^/?#\s:@\[]*):[^/?#@\s]*\s[^/?#@]*@")
_BARE_USER_AND_PASSWORD = re.compile(r"\A(?P<start>\s*[^/\s:@=]+):[^/\s@]+@(?=[^\s@]+\s*\Z)")  # without any scheme
_PORT_AND_PATH = re.compile(r"\d*[/?#]")
_KEYWORD_PASSWORD = re.compile(
    r"(?P<start>\b(?:[a-z_]{0,20}pas{1,3}w?[a-z_]{0,20}|pwd?)\s*=\s*)(?P<password>'(?:[^'\\]|\\.)*'?|(?:\\.|[^\s&'])+)",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """Return `text` with the password of a URL or of a libpq connection string, mistyped ones too, replaced by ***."""
    masked = _PASSWORD_WITH_BLANK.sub(lambda match: f"{match['start']}:***@", text)
    masked = _BARE_USER_AND_PASSWORD.sub(lambda match: f"{match['start']}:***@", masked)
    masked = _HTTP_USER.sub(lambda match: f"{match['start']}***@", _URL_PASSWORD.sub(_mask_url_password, masked))
    masked = _WORD_FOR_PORT.sub(lambda match: f"{match['start']}:***", masked)
    return _KEYWORD_PASSWORD.sub(lambda match: f"{match['start']}***", masked)


def _mask_url_password(match: re.Match[str]) -> str:
    # https://host:8443/@name has no password; postgres://user:pa/ss@host does, though it ought to be escaped.
    if match["scheme"].lower() in {"http", "https"} and _PORT_AND_PATH.match(match["password"]):
        return match[0]
    return f"{match['start']}:***@"
