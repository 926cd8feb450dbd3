"""The browser probe: opens an environment's page in Chromium, on a phone's and a desktop's window; judges what happens.

Optional: without Playwright or Chromium it is skipped as `browser_missing`. Screenshots stay in the observation.
"""

import os
import ssl
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from readiness.probes import net, net_tls
from readiness.probes.base import (
    ErrorReason,
    Finding,
    ProbeResult,
    Status,
    Target,
    TargetEndpoint,
    TargetOptions,
    make_error_result,
    worst_status,
)
from readiness.probes.browser_findings import BrowserFailure, describe_report, find_reason, judge_report
from readiness.probes.browser_plan import BrowserReport, Plan
from readiness.probes.browser_presence import find_chromium, has_playwright
from readiness.probes.browser_process import run_browser
from readiness.probes.http_client import ascii_host, port_of, split_http_url
from readiness.probes.web_targets import parse_web_target, select_roles

_MISSING_FIX = "Install the extra: pip install playwright, and Chromium (apt install chromium or playwright install)."
_SANDBOX_FIX = "Let the portal's user create user namespaces; a page is not opened without Chromium's sandbox."
_END_SECONDS = 0.5  # what it takes to kill the family when the time is up


@dataclass(frozen=True, slots=True)
class BrowserObservation:
    """What the browser saw of one page. `screenshots` holds PNG bytes by view ("390x844")."""

    url: str = ""
    report: BrowserReport = field(default_factory=BrowserReport)

    @property
    def screenshots(self) -> dict[str, bytes]:
        return {view.view: view.screenshot for view in self.report.views if view.screenshot}


class BrowserProbe:
    """Does the page work in a browser, on a phone too, and over HTTPS alone?"""

    kind = "browser"
    default_timeout_seconds = 30.0

    def __init__(self, chromium: str | None = None) -> None:
        self._chromium = chromium

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        return parse_web_target(text, options)

    def observe(self, target: Target) -> BrowserObservation:
        """Open the first frontend in a process of its own, which is gone when this returns."""
        endpoint = choose_page(target.endpoints)
        if endpoint is None:
            return BrowserObservation()
        if not has_playwright():
            return BrowserObservation(endpoint.url, BrowserReport(problem=BrowserFailure.BROWSER_MISSING))
        door = net.Door.for_target(target)
        plan_keys = tuple(_verified_keys(target.endpoints, door)) if target.ca_pem else ()
        seconds = max(0.5, door.deadline.remaining_seconds() - _END_SECONDS)
        plan = Plan(
            url=endpoint.url,
            chromium=self._chromium if self._chromium is not None else find_chromium(),
            seconds=max(0.5, seconds - _END_SECONDS),
            address_policy=target.address_policy,
            connect_to=target.connect_to,
            trusted_keys=plan_keys,
            is_sandboxed=not hasattr(os, "geteuid") or os.geteuid() != 0,  # as root Chromium has no sandbox to offer
        )
        return BrowserObservation(endpoint.url, run_browser(plan, seconds))

    def judge(self, target: Target, observation: BrowserObservation, now: datetime) -> ProbeResult:
        report = observation.report
        if not observation.url:
            text = "There is no page to open."
            return make_error_result(self.kind, target.label, ErrorReason.NOTHING_TO_PROBE, text)
        if report.problem == BrowserFailure.BROWSER_MISSING:
            return _make_missing_result(target)
        if report.problem or not report.views:
            return _make_problem_result(target, report)
        findings = judge_report(observation.url, report)
        status = worst_status(finding.status for finding in findings)
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=status,
            reason=find_reason(status, findings, observation.url, report),
            findings=findings,
            data=describe_report(observation.url, report),
        )


def choose_page(endpoints: Iterable[TargetEndpoint]) -> TargetEndpoint | None:
    """Return the first frontend, else the first endpoint that is no API."""
    listed = list(endpoints)
    pages = select_roles(listed, ("frontend",)) + [each for each in listed if each.role != "api"]
    return next(iter(pages), None)


def _verified_keys(endpoints: Iterable[TargetEndpoint], door: net.Door) -> Iterable[str]:
    """Give the key hashes of endpoints whose certificates pass with the environment's private roots.

    Chromium cannot be given a root for one run. A key that passed verification here, name included, it takes as good.
    """
    for endpoint in endpoints:
        try:
            parts = split_http_url(endpoint.url)
            if parts.scheme == "https":
                yield _verified_key(ascii_host(parts.hostname or ""), port_of(parts), door)
        except (net.NetError, ValueError):
            continue  # Chromium will say what is wrong with it


def _verified_key(host: str, port: int, door: net.Door) -> str:
    connection = net.open_connection(host, port, door)
    try:
        net_tls.start_tls(connection, net_tls.tls_context(door.ca_pem), host, door.deadline)
        der = connection.sock.getpeercert(binary_form=True) if isinstance(connection.sock, ssl.SSLSocket) else None
    finally:
        connection.close()
    key = x509.load_der_x509_certificate(der or b"").public_key()
    return b64encode(sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()).decode()


def _make_missing_result(target: Target) -> ProbeResult:
    summary = "There is no browser to open the page with."
    finding = Finding("page", Status.SKIPPED, summary, BrowserFailure.BROWSER_MISSING, _MISSING_FIX)
    return ProbeResult(
        BrowserProbe.kind, target.label, Status.SKIPPED, BrowserFailure.BROWSER_MISSING, findings=(finding,)
    )


def _make_problem_result(target: Target, report: BrowserReport) -> ProbeResult:
    if report.problem == "timeout" or not report.problem:
        text = report.problem_text or "The browser did not finish in time."
        fix = "Give the probe more time, or look for what makes the page so slow."
        return make_error_result(BrowserProbe.kind, target.label, ErrorReason.TIMEOUT, text, fix)
    fix = _SANDBOX_FIX if report.problem == "no_sandbox" else "Start Chromium by hand on this machine to see why."
    text = f"The browser could not be started: {report.problem_text}"
    return make_error_result(BrowserProbe.kind, target.label, ErrorReason.INTERNAL, text, fix)
