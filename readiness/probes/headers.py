"""The headers probe: scans the sites of an environment as the MDN HTTP Observatory does; judges score and headers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from readiness.probes import net
from readiness.probes.base import (
    ErrorReason,
    FailReason,
    Finding,
    ProbeResult,
    Status,
    Target,
    TargetEndpoint,
    TargetOptions,
    make_error_result,
    status_of_reason,
    worst_status,
)
from readiness.probes.header_findings import list_score_findings, list_unscored_findings
from readiness.probes.header_profile import judge_profile
from readiness.probes.http_client import ascii_host, port_of
from readiness.probes.observatory.fetch import SiteObservation, fetch_site
from readiness.probes.observatory.rules import run_tests
from readiness.probes.observatory.score import Score, score_tests
from readiness.probes.side_by_side import observe_side_by_side
from readiness.probes.web_targets import parse_web_target, select_roles

PASS_SCORE, WARN_SCORE = 85, 65  # A- and up; B- and up
_SCANNED_ROLES = ("frontend", "api")  # an alias only redirects
_GRADED_ERRORS = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class EndpointScan:
    """What one endpoint showed."""

    endpoint: TargetEndpoint
    seen: SiteObservation


@dataclass(frozen=True, slots=True)
class JudgedScan:
    """One endpoint's scan with its verdict; `score` is None for a site that cannot be scanned."""

    scan: EndpointScan
    status: Status
    reason: str | None
    score: Score | None
    findings: tuple[Finding, ...]


class HeadersProbe:
    """How well do the sites protect their visitors by what they send in headers?"""

    kind = "headers"

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        return parse_web_target(text, options)

    def observe(self, target: Target) -> tuple[EndpointScan, ...]:
        """Scan each frontend and API, all within the one deadline of the target."""
        door = net.Door.for_target(target)
        endpoints = select_roles(target.endpoints, _SCANNED_ROLES)
        return observe_side_by_side(lambda endpoint: _scan_endpoint(endpoint, door), endpoints)

    def judge(self, target: Target, observation: tuple[EndpointScan, ...], now: datetime) -> ProbeResult:
        if not observation:
            text = "There is no frontend and no API to scan."
            return make_error_result(self.kind, target.label, ErrorReason.NOTHING_TO_PROBE, text)
        judged = [judge_scan(scan, target) for scan in observation]
        worst = min(judged, key=_sort_by_badness)
        data: dict[str, Any] = {"score": None, "grade": None, "tests": {}}
        if worst.score is not None:
            data = worst.score.as_json_object()
        if len(judged) > 1:
            data["endpoints"] = [_describe_scan(each) for each in judged]
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=worst_status(each.status for each in judged),
            reason=worst.reason,
            findings=tuple(finding for each in judged for finding in each.findings),
            data=data,
        )


def _sort_by_badness(judged: JudgedScan) -> tuple[int, int]:
    order = {Status.ERROR: 0, Status.FAIL: 1}.get(judged.status, 2)
    return order, judged.score.score if judged.score else -1


def _describe_scan(judged: JudgedScan) -> dict[str, Any]:
    score = judged.score
    return {
        "role": judged.scan.endpoint.role,
        "url": judged.scan.endpoint.url,
        "score": score.score if score else None,
        "grade": score.grade if score else None,
        "reason": judged.reason,
    }


def scan_urls(url: str) -> tuple[str, str | None, str | None]:
    """Return (host, http URL, https URL) to scan for an endpoint's URL.

    On a scheme's own port both schemes are asked at their own ports. A URL with another port names one server: only
    that is asked, over its own scheme.
    """
    parts = urlsplit(url)
    host = ascii_host(parts.hostname or "")
    bare = parts._replace(path=parts.path or "/", fragment="")
    if parts.port is not None and port_of(parts) not in (80, 443):
        return host, (urlunsplit(bare) if parts.scheme == "http" else None), _only_https(urlunsplit(bare))
    netloc = f"[{host}]" if ":" in host else host
    on_both = bare._replace(netloc=netloc)
    return host, urlunsplit(on_both._replace(scheme="http")), urlunsplit(on_both._replace(scheme="https"))


def _only_https(url: str) -> str | None:
    return url if url.startswith("https:") else None


def _scan_endpoint(endpoint: TargetEndpoint, door: net.Door) -> EndpointScan:
    host, http_url, https_url = scan_urls(endpoint.url)
    return EndpointScan(endpoint, fetch_site(host, http_url, https_url, door))


def judge_scan(scan: EndpointScan, target: Target) -> JudgedScan:
    """Judge one scan. Pure."""
    chain = scan.seen.site.auto
    if chain is None:
        failure = scan.seen.https_failure or scan.seen.http_failure
        reason: str = failure.reason if failure else ErrorReason.INTERNAL
        text = failure.text if failure else "Neither http nor https was asked."
        status = status_of_reason(reason)
        finding = Finding("reachable", status, text, scan.endpoint.url, "Check that the site runs and is reachable.")
        return JudgedScan(scan, status, reason, None, (finding,))
    answer = chain.final
    if not (200 <= answer.status < 400 or answer.status in _GRADED_ERRORS):
        text = f"{answer.url} answers {answer.status}, so its headers are not graded."
        fix = "Make the site answer with a page; error pages often miss the headers that others have."
        finding = Finding("reachable", Status.FAIL, text, scan.endpoint.url, fix)
        return JudgedScan(scan, Status.FAIL, FailReason.BAD_STATUS, None, (finding,))
    score = score_tests(run_tests(scan.seen.site))
    status = _grade_status(score.score)
    findings = [
        Finding("score", status, f"{answer.url} scores {score.score}: grade {score.grade}.", f"HTTP {answer.status}"),
        *list_score_findings(score, scan.seen.site),
        judge_profile(scan.seen.site, _list_hosts_talked_to(scan.endpoint, target)),
        *list_unscored_findings(answer),
    ]
    low_score = FailReason.LOW_SCORE if status is Status.FAIL else None
    return JudgedScan(scan, status, low_score, score, tuple(findings))


def _list_hosts_talked_to(endpoint: TargetEndpoint, target: Target) -> list[str]:
    """The APIs' hosts, and of a frontend those that its errors go to."""
    apis = [(urlsplit(each.url).hostname or "").lower() for each in target.endpoints if each.role == "api"]
    return apis + [host.lower() for host in target.report_hosts if endpoint.role == "frontend"]


def _grade_status(score: int) -> Status:
    if score >= PASS_SCORE:
        return Status.PASS
    return Status.WARN if score >= WARN_SCORE else Status.FAIL
