"""The tls probe: shakes hands with every endpoint of an environment; judges certificate, chain, name and protocols."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from readiness.probes import net
from readiness.probes.base import (
    ErrorReason,
    Finding,
    ProbeResult,
    Status,
    Target,
    TargetEndpoint,
    TargetError,
    TargetOptions,
    make_error_result,
    mask_secrets,
    status_of_reason,
    worst_status,
)
from readiness.probes.carried import find_entry, is_young, read_time
from readiness.probes.side_by_side import observe_side_by_side
from readiness.probes.tls_deep import look_deeply
from readiness.probes.tls_deep_findings import describe_report, find_deep_reason, grade_deeply, list_deep_findings
from readiness.probes.tls_findings import list_tls_findings
from readiness.probes.tls_judgement import FAILURES, LEGACY_PROTOCOLS, TlsVerdict, judge_tls
from readiness.probes.tls_observation import POSTGRES_SCHEMES, KnownProtocols, TlsObservation, observe_tls
from readiness.probes.web_targets import parse_web_target

_WORST_DAYS = 1_000_000


class TlsProbe:
    """Will every visitor's browser accept the certificates, and for how long?"""

    kind = "tls"

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        """As the other web probes; postgres://host:5432 asks a database for its own certificate."""
        if text.strip().partition("://")[0].lower() in POSTGRES_SCHEMES:
            return _parse_postgres_target(text.strip(), options)
        target = parse_web_target(text, options)
        return replace(target, expiry_days=options.expiry_days, is_deep=options.is_deep)

    def observe(self, target: Target) -> tuple[TlsObservation, ...]:
        """Look at each endpoint, side by side, within the deadline of the target."""
        door = net.Door.for_target(target)
        return observe_side_by_side(lambda endpoint: _observe_endpoint(endpoint, target, door), target.endpoints)

    def judge(self, target: Target, observation: tuple[TlsObservation, ...], now: datetime) -> ProbeResult:
        """Judge all endpoints; the worst one decides the status, the reason and the data."""
        if not observation:
            text = "There is no endpoint to shake hands with."
            return make_error_result(self.kind, target.label, ErrorReason.NOTHING_TO_PROBE, text)
        verdicts = [_judge_endpoint(seen, target, now) for seen in observation]
        worst = min(verdicts, key=_sort_by_badness)
        deep_findings = [finding for verdict in verdicts for finding in _list_deep_findings(verdict)]
        data = worst.as_data()
        if worst.seen.deep is not None:
            data["deep"] = describe_report(worst.seen.deep, worst)
        if len(verdicts) > 1 or target.oldest_answer_at is not None:
            data["endpoints"] = [_describe_endpoint(verdict, now) for verdict in verdicts]
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=worst_status([*map(status_of_verdict, verdicts), *(each.status for each in deep_findings)]),
            reason=worst.reason,
            findings=(*(finding for verdict in verdicts for finding in list_tls_findings(verdict)), *deep_findings),
            data=data,
        )


def _judge_endpoint(seen: TlsObservation, target: Target, now: datetime) -> TlsVerdict:
    verdict = judge_tls(seen, now, target.ca_pem, target.expiry_days, find_entry(target, seen.endpoint.url))
    if seen.deep is None:
        return verdict
    reason = verdict.reason or find_deep_reason(seen.deep)
    return replace(verdict, grade=grade_deeply(verdict.grade, seen.deep), reason=reason)


def _list_deep_findings(verdict: TlsVerdict) -> list[Finding]:
    return [] if verdict.seen.deep is None else list_deep_findings(verdict.seen.deep, verdict)


def status_of_verdict(verdict: TlsVerdict) -> Status:
    """Return ERROR when the server could not be looked at, FAIL for a failure, WARN when it expires soon or is weak."""
    if verdict.reason is not None:
        return status_of_reason(verdict.reason)
    if verdict.is_renewal_late or {"expires_soon", "legacy_protocol", "weak_cipher"} & set(verdict.warnings):
        return Status.WARN
    return Status.PASS


def _observe_endpoint(endpoint: TargetEndpoint, target: Target, door: net.Door) -> TlsObservation:
    seen = observe_tls(endpoint, door, _recall_protocols(endpoint, target))
    if not target.is_deep or seen.handshake is None:
        return seen
    is_postgres = urlsplit(endpoint.url).scheme in POSTGRES_SCHEMES
    return replace(seen, deep=look_deeply(seen.host, seen.port, door, is_postgres=is_postgres))


def _recall_protocols(endpoint: TargetEndpoint, target: Target) -> KnownProtocols | None:
    """Return the protocols that an earlier result names, when that is young enough and none of them is legacy."""
    entry = find_entry(target, endpoint.url)
    names, asked_at = entry.get("protocols"), read_time(entry.get("protocols_asked_at"))
    if asked_at is None or not is_young(asked_at, target) or not isinstance(names, list):
        return None
    return None if LEGACY_PROTOCOLS.intersection(map(str, names)) else KnownProtocols(tuple(map(str, names)), asked_at)


def _describe_endpoint(verdict: TlsVerdict, now: datetime) -> dict[str, Any]:
    """Return what a result keeps of one endpoint: the verdict in short, and what the next result compares with."""
    seen, leaf = verdict.seen, verdict.leaf
    asked_at = None if seen.protocols is None else (seen.protocols_asked_at or now)
    return {
        "role": seen.endpoint.role,
        "url": seen.endpoint.url,
        "status": status_of_verdict(verdict).value,
        "reason": verdict.reason,
        "grade": verdict.grade,
        "trusted": verdict.trusted,
        "hostname_ok": verdict.hostname_ok,
        "days_left": verdict.days_left,
        "not_after": leaf.not_after.isoformat() if leaf else None,
        "renewal_due_at": verdict.renewal_due_at.isoformat() if verdict.renewal_due_at else None,
        "protocols": None if seen.protocols is None else list(seen.protocols),
        "protocols_asked_at": asked_at.isoformat() if asked_at else None,
        **verdict.history.as_json_object(),
    }


def _sort_by_badness(verdict: TlsVerdict) -> tuple[int, int, int]:
    order = {Status.ERROR: 0, Status.FAIL: 1, Status.WARN: 2}.get(status_of_verdict(verdict), 3)
    rank = FAILURES.index(verdict.failure) if verdict.failure else len(FAILURES)
    return order, rank, _WORST_DAYS if verdict.days_left is None else verdict.days_left


def _parse_postgres_target(text: str, options: TargetOptions) -> Target:
    """Make a target of the host and port of a PostgreSQL URL; user and password are not needed and not kept."""
    label = mask_secrets(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise TargetError(f"{label} is not a target: It is not a valid URL.") from None
    if not host or "," in parts.netloc:
        raise TargetError(f"{label} names no single host.")
    shown_host = f"[{host}]" if ":" in host else host
    url = urlunsplit(("postgres", f"{shown_host}:{port or 5432}", "", "", ""))
    return Target(
        label=label,
        endpoints=(TargetEndpoint(role="database", url=url),),
        ca_pem=options.ca_pem,
        timeout_seconds=options.timeout_seconds,
        connect_to=options.connect_to,
        address_policy=options.address_policy,
        expiry_days=options.expiry_days,
        is_deep=options.is_deep,
    )
