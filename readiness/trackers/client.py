"""The one HTTP client of all trackers: reads JSON from one host through readiness.probes.net, within every limit.

Never logs and never repeats what a tracker answered: bodies hold tokens and people's data.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from readiness.probes import http_client, net
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ErrorReason, FailReason
from readiness.trackers.base import TrackerError, TrackerErrorReason

Reason = TrackerErrorReason
Query = Mapping[str, str | int | Sequence[str]]

REQUEST_SECONDS = 15
MAX_BODY_BYTES = 8 * 1024 * 1024
MAX_PAGES = 200
MAX_TRIES = 3
# Longer than this nobody waits inside a task: the next sync comes in five minutes anyway.
LONGEST_WAIT_SECONDS = 20.0
_PASSING = {
    ErrorReason.REFUSED,
    ErrorReason.UNREACHABLE,
    ErrorReason.RESOLVER_FAILED,
    ErrorReason.TIMEOUT,
    FailReason.CLOSED,
}
_NEXT_LINK = re.compile(r"rel=[\"']next[\"']")
_RESULTS = re.compile(r"results=[\"'](true|false)[\"']")
_CURSOR = re.compile(r"[?&]cursor=([^&>\"'\s]+)")
_NAMED_CURSOR = re.compile(r"\bcursor=[\"']([^\"']+)[\"']")
_LINK = re.compile(r"<([^>]*)>([^<]*)")


@dataclass(frozen=True)
class Reply:
    """A JSON answer with status 200, and the cursor of the page after it, if there is one."""

    data: Any
    next_cursor: str | None


class ApiClient:
    """Reads from one tracker. The token goes to its host only, since no redirect is followed."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        allow_http: bool = False,
        allow_loopback: bool = False,
        ca_pem: str = "",
        sleep: Callable[[float], None] = time.sleep,
        total_seconds: float = 90,
    ) -> None:
        """Raises TrackerError (bad_url) for plain HTTP that nobody allowed. ``total_seconds`` limits its whole life."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise TrackerError(Reason.BAD_URL, "The tracker's URL must be https://host, without user and password.")
        if parts.scheme == "http" and not allow_http:
            raise TrackerError(
                Reason.BAD_URL, "The tracker's URL is plain HTTP, which sends the token unencrypted: use https."
            )
        if any(ord(character) < 33 or ord(character) > 126 for character in token) or not token:
            raise TrackerError(Reason.UNAUTHORIZED, "The token is empty or holds characters that no token has.")
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._policy = AddressPolicy(allow_loopback=allow_loopback, allow_private=allow_http)
        self._ca_pem = ca_pem
        self._sleep = sleep
        self._life = net.Deadline(total_seconds)

    def get(self, path: str, query: Query | None = None, *, scope: str = "") -> Reply:
        """One GET, tried again when that may help. ``path`` starts and ends with a slash. Raises TrackerError.

        A list in ``query`` is sent as its name repeated.
        """
        url = f"{self.base_url}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        for attempt in range(1, MAX_TRIES + 1):
            try:
                response = self._send(url)
            except net.NetError as error:
                if error.reason not in _PASSING or attempt == MAX_TRIES:
                    raise _explain_net_error(error) from None
                self._wait(_back_off(attempt))
                continue
            if response.status == 429 or response.status >= 500:
                wait = _read_wait(response, attempt)
                if attempt < MAX_TRIES and wait is not None:
                    self._wait(wait)
                    continue
            return _read_reply(response, path, scope)
        raise AssertionError("unreachable")  # the last attempt returned or raised

    def get_pages(self, path: str, query: Query, *, scope: str = "", max_pages: int = MAX_PAGES) -> Iterator[Any]:
        """The data of each page in turn. Raises TrackerError, also for a cursor that repeats and too many pages."""
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(max_pages):
            reply = self.get(path, query if cursor is None else {**query, "cursor": cursor}, scope=scope)
            yield reply.data
            cursor = reply.next_cursor
            if cursor is None:
                return
            if cursor in seen:
                raise TrackerError(Reason.CURSOR_REPEATED, "The tracker's pages lead in a circle.")
            seen.add(cursor)
        raise TrackerError(Reason.TOO_MANY_PAGES, f"The tracker has more than {max_pages} pages to read.")

    def _send(self, url: str) -> http_client.Response:
        try:
            seconds = min(REQUEST_SECONDS, self._life.remaining_seconds())
        except net.DeadlineError:
            raise TrackerError(Reason.TIMEOUT, "The time for reading the tracker was up.") from None
        door = net.Door(net.Deadline(seconds), self._policy, ca_pem=self._ca_pem)
        headers = [("Authorization", f"Bearer {self._token}"), ("Accept", "application/json")]
        return http_client.send_request(url, door, headers=headers, body_bytes=MAX_BODY_BYTES)

    def _wait(self, seconds: float) -> None:
        try:
            left = self._life.remaining_seconds()
        except net.DeadlineError:
            left = 0.0
        if seconds >= left:
            raise TrackerError(Reason.TIMEOUT, "The time for reading the tracker was up while waiting to try again.")
        self._sleep(seconds)


def _back_off(attempt: int) -> float:
    return random.uniform(0.5, 1.0) * 2.0 ** (attempt - 1)  # noqa: S311  spreads clients, protects nothing


def _read_wait(response: http_client.Response, attempt: int) -> float | None:
    """Seconds until trying again makes sense; None when that is longer than anybody waits."""
    wait = _back_off(attempt)
    retry_after, reset = response.header("Retry-After"), response.header("X-Sentry-Rate-Limit-Reset")
    if retry_after and re.fullmatch(r"\d{1,9}", retry_after):
        wait = max(wait, float(retry_after))
    elif response.status == 429 and reset and re.fullmatch(r"\d{1,12}(\.\d+)?", reset):
        wait = max(wait, float(reset) - time.time())
    return wait if wait <= LONGEST_WAIT_SECONDS else None


def _explain_net_error(error: net.NetError) -> TrackerError:
    reason = Reason.TIMEOUT if error.reason == ErrorReason.TIMEOUT else Reason.UNREACHABLE
    if error.reason in (FailReason.TOO_LARGE,):
        reason = Reason.TOO_LARGE
    what_to_do = ""
    if error.reason == ErrorReason.ADDRESS_NOT_ALLOWED:
        what_to_do = "; allow plain HTTP and private addresses if that is meant"
    return TrackerError(reason, f"The tracker cannot be read: {str(error).rstrip('.')}{what_to_do}.")


_REFUSALS: Mapping[int, tuple[TrackerErrorReason, str]] = {
    401: (Reason.UNAUTHORIZED, "The tracker does not accept the token: make a new one there."),
    404: (Reason.NOT_FOUND, "The tracker knows nothing under this URL, organisation or project."),
    410: (Reason.BROWN_OUT, "The tracker has switched this part of its API off for now; what is known is kept."),
    429: (Reason.RATE_LIMITED, "The tracker asks for fewer requests; what is known is kept until the next try."),
}


def _read_reply(response: http_client.Response, path: str, scope: str) -> Reply:
    status = response.status
    if status == 403:
        what = f"the scope {scope}" if scope else "a permission"
        raise TrackerError(Reason.SCOPE_MISSING, f"The token lacks {what}, which reading this needs.", scope=scope)
    if status in _REFUSALS:
        raise TrackerError(*_REFUSALS[status])
    if status >= 500:
        raise TrackerError(Reason.SERVER_ERROR, f"The tracker answered with the error {status}.")
    if 300 <= status < 400:
        raise TrackerError(Reason.REDIRECT, "The tracker redirects elsewhere; give its real URL: tokens do not follow.")
    if status != 200:
        raise TrackerError(Reason.BAD_SHAPE, f"The tracker answered with the unexpected status {status}.")
    if response.body_truncated:
        raise TrackerError(Reason.TOO_LARGE, f"The tracker sent more than {MAX_BODY_BYTES} bytes in one answer.")
    if "json" not in (response.header("Content-Type") or "").lower():
        raise TrackerError(Reason.NOT_JSON, "The tracker sent a page where JSON was promised: check its URL and slugs.")
    try:
        data = json.loads(response.body)
    except (ValueError, RecursionError):
        raise TrackerError(Reason.NOT_JSON, "The tracker sent JSON that is broken or breaks off.") from None
    return Reply(data, _read_next_cursor(response, data))


def _read_next_cursor(response: http_client.Response, data: Any) -> str | None:
    """The cursor alone: where the link leads is not followed, the token knows one host."""
    if isinstance(data, dict) and "next" in data and "results" in data:
        in_body = _CURSOR.search(str(data["next"] or ""))
        return None if in_body is None else unquote(in_body[1])
    for header in response.header_values("Link"):
        # Not split at commas: GlitchTip sends the text of a Python set here.
        for link, attributes in _LINK.findall(header):
            if not _NEXT_LINK.search(attributes):
                continue
            results, named = _RESULTS.search(attributes), _NAMED_CURSOR.search(attributes)
            if results is not None and results[1] == "false":
                return None
            if named is not None:
                return str(named[1])
            found = _CURSOR.search(link)
            return None if found is None else unquote(found[1])
    return None
