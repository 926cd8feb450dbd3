"""Fetches what the rules read: both schemes of one host in parallel, and an OPTIONS request. Reads the network."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from readiness.probes import net, net_tls
from readiness.probes.base import FailReason
from readiness.probes.http_client import (
    MAX_REDIRECTS,
    REDIRECT_STATUSES,
    Response,
    send_request,
    split_http_url,
)
from readiness.probes.observatory.cookies import CookieJar
from readiness.probes.observatory.site import Chain, Site, joined_header
from readiness.probes.observatory.urls import resolve_url

ORIGIN = "https://http-observatory.security.mozilla.org"
_PREFLIGHT = (("Origin", ORIGIN), ("Access-Control-Request-Method", "GET"))
_HTTP_SHARE = 0.7  # of the deadline: a plain-HTTP port that a firewall drops must not eat the whole of it


@dataclass(frozen=True, slots=True)
class ChainFailure:
    """Why a scheme is absent."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class SiteObservation:
    """The site as the rules read it, and why a scheme is missing from it."""

    site: Site
    http_failure: ChainFailure | None = None
    https_failure: ChainFailure | None = None


def fetch_site(host: str, http_url: str | None, https_url: str | None, door: net.Door) -> SiteObservation:
    """Fetch both schemes of `host` (a URL is None where the scheme is not to be asked) within the door's deadline."""
    seen_http: list[Chain | ChainFailure | None] = []
    http_thread = threading.Thread(
        target=lambda: seen_http.append(_fetch_chain(http_url, _hurry(door))), name="headers-http", daemon=True
    )
    http_thread.start()
    https = _fetch_chain(https_url, door)
    options = _fetch_options(https, door) if isinstance(https, Chain) else None
    http_thread.join()
    http = seen_http[0] if seen_http else None
    if not isinstance(https, Chain) and isinstance(http, Chain):
        options = _fetch_options(http, door)
    return SiteObservation(
        site=Site(
            host=host,
            http=http if isinstance(http, Chain) else None,
            https=https if isinstance(https, Chain) else None,
            options=options,
        ),
        http_failure=http if isinstance(http, ChainFailure) else None,
        https_failure=https if isinstance(https, ChainFailure) else None,
    )


def _hurry(door: net.Door) -> net.Door:
    try:
        seconds = door.deadline.remaining_seconds() * _HTTP_SHARE
    except net.DeadlineError:
        seconds = 0.0
    return net.Door(net.Deadline(seconds), door.policy, door.connect_to, door.ca_pem)


def _fetch_chain(url: str | None, door: net.Door) -> Chain | ChainFailure | None:
    """Follow `url` with TLS verified; where a certificate is refused, follow it again without."""
    if url is None:
        return None
    try:
        try:
            return _follow_chain(url, door, verify=True)
        except net_tls.CertificateError:
            return _follow_chain(url, door, verify=False)
    except net.NetError as error:
        return ChainFailure(error.reason, str(error))


def _follow_chain(url: str, door: net.Door, *, verify: bool) -> Chain:
    jar = CookieJar()

    def ask(next_url: str) -> Response:
        cookies = jar.header_for(next_url, time.time())
        answer = send_request(next_url, door, headers=[("Cookie", cookies)] if cookies else (), verify=verify)
        jar.take(next_url, answer.header_values("Set-Cookie"))
        return answer

    return Chain(tuple(_follow(url, ask)), verify, jar)


def _follow(url: str, ask: Callable[[str], Response]) -> list[Response]:
    """Return the answers from `url` on; after ten redirects the last 3xx stands. Raises NetError."""
    answers = [ask(url)]
    while answers[-1].status in REDIRECT_STATUSES and len(answers) <= MAX_REDIRECTS:
        # Without a Location the scanner asks for the relative address "undefined".
        location = joined_header(answers[-1], "Location")
        answers.append(ask(_resolve_location(answers[-1].url, "undefined" if location is None else location)))
    return answers


def _resolve_location(base: str, location: str) -> str:
    try:
        url = resolve_url(base, location)
        split_http_url(url)
    except ValueError as error:
        raise net.NetError(FailReason.BAD_REDIRECT, f"{base} redirects to an address that is none.") from error
    return url


def _fetch_options(chain: Chain, door: net.Door) -> Response | None:
    """Ask the last URL of `chain` as a browser's preflight would; None unless the answer is 2xx.

    A chain whose certificate was refused shares its cookies with this request, as it does in the scanner.
    """

    def ask(url: str) -> Response:
        cookies = "" if chain.verified else chain.jar.header_for(url, time.time())
        headers = [*_PREFLIGHT, ("Cookie", cookies)] if cookies else _PREFLIGHT
        answer = send_request(url, door, method="OPTIONS", headers=headers, body_bytes=0, verify=chain.verified)
        if not chain.verified:
            chain.jar.take(url, answer.header_values("Set-Cookie"))
        return answer

    try:
        answer = _follow(chain.final.url, ask)[-1]
    except net.NetError:
        return None
    return answer if 200 <= answer.status < 300 else None
