"""The http probe: requests every endpoint of an environment by its role; judges status, HTTPS redirect and latency.

Of an API it also asks for an address that cannot be decoded, to see whether errors show where the code broke.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

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
from readiness.probes.http_client import Response, follow_redirects, redirect_location, send_request
from readiness.probes.side_by_side import observe_side_by_side
from readiness.probes.stack_traces import holds_stack_trace
from readiness.probes.web_targets import parse_web_target

SLOW_MS = 2_000.0
TOO_SLOW_MS = 8_000.0
CONTENT_BYTES = 1_000_000
TRACE_BYTES = 64_000
# Half a character: no router can decode it, so that whatever handles errors answers. It changes nothing anywhere.
MALFORMED_PATH = "/%E0%A4%A"
# A plain-HTTP port that nobody listens on lets no visitor in unencrypted.
_NO_PLAIN_HTTP = {ErrorReason.REFUSED, ErrorReason.UNREACHABLE, FailReason.CLOSED}


@dataclass(frozen=True, slots=True)
class RequestFailure:
    """Why a request got no answer: a code and one sentence."""

    reason: str
    text: str

    @classmethod
    def from_error(cls, error: net.NetError) -> "RequestFailure":
        return cls(error.reason, str(error))


@dataclass(frozen=True, slots=True)
class EndpointObservation:
    """The chain of answers of one endpoint (or the failure), and what its plain-HTTP port says on a first request.

    `malformed` is an API's answer to an address that cannot be decoded, None when there was none.
    """

    endpoint: TargetEndpoint
    url: str
    answers: tuple[Response, ...] = ()
    failure: RequestFailure | None = None
    plain_answers: tuple[Response, ...] = ()
    plain_failure: RequestFailure | None = None
    plain_url: str | None = None
    malformed: Response | None = None


class HttpProbe:
    """Is every endpoint there, on HTTPS, and fast enough?"""

    kind = "http"

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        return parse_web_target(text, options)

    def observe(self, target: Target) -> tuple[EndpointObservation, ...]:
        """Request each endpoint and its plain-HTTP twin, all within the one deadline of the target."""
        door = net.Door.for_target(target)
        return observe_side_by_side(lambda endpoint: _observe_endpoint(endpoint, door), target.endpoints)

    def judge(self, target: Target, observation: tuple[EndpointObservation, ...], now: datetime) -> ProbeResult:
        if not observation:
            return make_error_result(
                self.kind, target.label, ErrorReason.NOTHING_TO_PROBE, "There is no endpoint to request."
            )
        findings = tuple(finding for seen in observation for finding in _judge_endpoint(seen))
        status = worst_status(finding.status for finding in findings)
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=status,
            reason=_find_reason(status, observation, findings),
            findings=findings,
            data={"endpoints": [_describe_endpoint(seen) for seen in observation]},
        )


def request_url(endpoint: TargetEndpoint) -> str:
    """Return the URL to request: an API's health path joined to its URL, any other endpoint's URL as it is."""
    if endpoint.health_path:
        base = endpoint.url if endpoint.url.endswith("/") else f"{endpoint.url}/"
        return urljoin(base, endpoint.health_path.lstrip("/"))
    return endpoint.url


def _observe_endpoint(endpoint: TargetEndpoint, door: net.Door) -> EndpointObservation:
    url = request_url(endpoint)
    answers, failure = _follow(url, door, CONTENT_BYTES if endpoint.expected_text else 0)
    plain_url = _plain_twin(url)
    plain_answers: tuple[Response, ...] = ()
    plain_failure = None
    if plain_url is not None:
        plain_answers, plain_failure = _request_once(plain_url, door)
    malformed = _request_malformed(url, door) if endpoint.role == "api" and answers else None
    return EndpointObservation(endpoint, url, answers, failure, plain_answers, plain_failure, plain_url, malformed)


def _request_malformed(url: str, door: net.Door) -> Response | None:
    try:
        return send_request(urljoin(url, MALFORMED_PATH), door, body_bytes=TRACE_BYTES)
    except net.NetError:
        # A server that hangs up on it shows nothing either; nobody can tell.
        return None


def _follow(url: str, door: net.Door, body_bytes: int) -> tuple[tuple[Response, ...], RequestFailure | None]:
    try:
        return tuple(follow_redirects(url, door, body_bytes=body_bytes)), None
    except net.NetError as error:
        return (), RequestFailure.from_error(error)


def _request_once(url: str, door: net.Door) -> tuple[tuple[Response, ...], RequestFailure | None]:
    try:
        return (send_request(url, door, body_bytes=0),), None
    except net.NetError as error:
        return (), RequestFailure.from_error(error)


def _plain_twin(url: str) -> str | None:
    """Return the http:// twin of an https:// URL on the default port: elsewhere nobody types it without a scheme."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.port not in (None, 443):
        return None
    return urlunsplit(parts._replace(scheme="http", netloc=parts.netloc.removesuffix(":443")))


def _judge_endpoint(seen: EndpointObservation) -> list[Finding]:
    findings = [_judge_reachable(seen)]
    if seen.answers:
        findings += [_judge_status(seen), _judge_latency(seen)]
        if seen.endpoint.expected_text:
            findings.append(_judge_content(seen))
    findings.append(_judge_https_redirect(seen))
    if seen.malformed is not None:
        findings.append(_judge_stack_trace(seen.malformed))
    return findings


def _judge_reachable(seen: EndpointObservation) -> Finding:
    if seen.failure is None:
        first = seen.answers[0]
        return Finding("reachable", Status.PASS, f"{seen.url} answers.", f"HTTP {first.status}")
    status = status_of_reason(seen.failure.reason)
    return Finding("reachable", status, seen.failure.text, f"{seen.url}: {seen.failure.reason}", _FIXES[_family(seen)])


_FIXES = {
    "name": "Check the name and its DNS records.",
    "policy": "Use a public address, or allow this range in the portal's address policy.",
    "network": "Check that the server runs, listens on this port, and that no firewall is in between.",
    "certificate": "Renew or replace the certificate; the tls probe says what is wrong with it.",
    "server": "Look into the web server's and the application's logs.",
}


def _family(seen: EndpointObservation) -> str:
    reason = seen.failure.reason if seen.failure else ""
    if reason in (ErrorReason.HOST_NOT_FOUND, ErrorReason.RESOLVER_FAILED):
        return "name"
    if reason == ErrorReason.ADDRESS_NOT_ALLOWED:
        return "policy"
    if reason in (ErrorReason.REFUSED, ErrorReason.UNREACHABLE, ErrorReason.TIMEOUT):
        return "network"
    return "certificate" if reason == FailReason.CERTIFICATE else "server"


def _judge_status(seen: EndpointObservation) -> Finding:
    last = seen.answers[-1]
    if 200 <= last.status < 300:
        return Finding("status", Status.PASS, f"{last.url} answers {last.status}.")
    if seen.endpoint.role == "alias" and len(seen.answers) > 1 and last.status in (401, 403):
        return Finding("status", Status.PASS, f"{seen.url} redirects to {last.url}, which answers {last.status}.")
    if 300 <= last.status < 400:
        detail = f"Location: {last.header('Location') or 'none'}"
        return Finding("status", Status.WARN, f"{last.url} answers {last.status} and leads nowhere.", detail)
    summary = f"{last.url} answers {last.status}."
    return Finding("status", Status.FAIL, summary, f"requested: {seen.url}", _explain_status_fix(last.status))


def _explain_status_fix(status: int) -> str:
    if status in (401, 403):
        return "Open this address to everyone, or give the environment an address or health path that is open."
    if status == 404:
        return "Check the address and the health path, and that the application is deployed there."
    if status >= 500:
        return "The application or what it depends on is broken: look into its log."
    return "Make this address answer with a status of 2xx."


def _judge_latency(seen: EndpointObservation) -> Finding:
    latency = seen.answers[0].latency
    phases = {"DNS": latency.dns, "connect": latency.connect, "TLS": latency.tls, "first byte": latency.first_byte}
    detail = ", ".join(f"{name} {value:.0f} ms" for name, value in phases.items() if value is not None)
    summary = f"{seen.url} begins to answer after {latency.total:.0f} ms."
    budget = seen.endpoint.latency_budget_ms
    if latency.total < (SLOW_MS if budget is None else budget):
        return Finding("latency", Status.PASS, summary, detail)
    if budget is not None:
        detail += f", budget {budget} ms"
    slowest = max(phases, key=lambda name: phases[name] or 0.0)
    status = Status.WARN if latency.total < TOO_SLOW_MS else Status.FAIL
    return Finding("latency", status, summary, detail, f"Most of the time goes into: {slowest}. Start there.")


def _judge_content(seen: EndpointObservation) -> Finding:
    last, text = seen.answers[-1], seen.endpoint.expected_text
    if text in last.body.decode("utf-8", "replace"):
        return Finding("content", Status.PASS, f"{last.url} holds the expected text.", text)
    if last.body_truncated:
        summary = f"The first {CONTENT_BYTES // 1000} kB of {last.url} do not hold the expected text."
    else:
        summary = f"{last.url} does not hold the expected text."
    fix = "Check what is deployed there, or change the expected text in the environment's settings."
    return Finding("content", Status.FAIL, summary, f"expected: {text}", fix)


def _judge_stack_trace(answer: Response) -> Finding:
    if not holds_stack_trace(answer.body):
        return Finding("stack_trace", Status.PASS, f"{answer.url} answers {answer.status} without a stack trace.")
    summary = f"{answer.url} answers {answer.status} with a stack trace: it shows strangers the insides."
    fix = "Express: set NODE_ENV=production and answer errors yourself.\nDjango: set DEBUG=False."
    return Finding("stack_trace", Status.WARN, summary, fix=fix)


def _judge_https_redirect(seen: EndpointObservation) -> Finding:
    name = "https_redirect"
    fix = "Let the web server answer http:// with a 301 to the same address on https://."
    if urlsplit(seen.url).scheme == "https":
        return _judge_plain_twin(seen, fix)
    if seen.failure is not None:
        return Finding(name, Status.SKIPPED, f"{seen.url} did not answer, so its redirect is unknown.")
    last = seen.answers[-1]
    if urlsplit(last.url).scheme == "https":
        return Finding(name, Status.PASS, f"{seen.url} leads to {last.url}.")
    summary = f"{seen.url} is served over plain HTTP and does not redirect to HTTPS."
    return Finding(name, Status.FAIL, summary, f"final address: {last.url}", fix)


def _judge_plain_twin(seen: EndpointObservation, fix: str) -> Finding:
    name = "https_redirect"
    if seen.plain_url is None:
        return Finding(name, Status.PASS, f"{seen.url} is served over HTTPS on a port of its own.")
    if seen.plain_failure is not None:
        if seen.plain_failure.reason in _NO_PLAIN_HTTP:
            return Finding(name, Status.PASS, f"Nothing answers {seen.plain_url}, so nobody is served unencrypted.")
        summary = f"{seen.plain_url} could not be asked: {seen.plain_failure.text}"
        return Finding(name, Status.SKIPPED, summary, seen.plain_failure.reason)
    answer = seen.plain_answers[0]
    location = redirect_location(answer)
    if location is not None and urlsplit(location).scheme == "https":
        return Finding(name, Status.PASS, f"{seen.plain_url} redirects to {location}.")
    if answer.status >= 400:
        return Finding(name, Status.PASS, f"{seen.plain_url} answers {answer.status} and serves nothing unencrypted.")
    summary = f"{seen.plain_url} answers {answer.status} over plain HTTP and does not redirect to HTTPS."
    return Finding(name, Status.FAIL, summary, f"Location: {location or 'none'}", fix)


def _find_reason(
    status: Status, observation: tuple[EndpointObservation, ...], findings: tuple[Finding, ...]
) -> str | None:
    """Name the first thing that made the status what it is."""
    if status not in (Status.FAIL, Status.ERROR):
        return None
    for seen in observation:
        if seen.failure is not None and status_of_reason(seen.failure.reason) is status:
            return seen.failure.reason
    failed = {finding.id for finding in findings if finding.status is Status.FAIL}
    if "status" in failed:
        return FailReason.BAD_STATUS
    if "content" in failed:
        return FailReason.WRONG_CONTENT
    return FailReason.NO_HTTPS_REDIRECT if "https_redirect" in failed else FailReason.TOO_SLOW


def _describe_endpoint(seen: EndpointObservation) -> dict[str, Any]:
    last = seen.answers[-1] if seen.answers else None
    return {
        "role": seen.endpoint.role,
        "url": seen.url,
        "status_code": last.status if last else None,
        "final_url": last.url if last else None,
        "redirects": max(0, len(seen.answers) - 1),
        "latency_ms": seen.answers[0].latency.as_json_object() if seen.answers else None,
        "reason": seen.failure.reason if seen.failure else None,
        "stack_trace": None if seen.malformed is None else holds_stack_trace(seen.malformed.body),
    }
