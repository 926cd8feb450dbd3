"""The tracker client against servers that misbehave in every way it must survive."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

import pytest

from readiness.trackers.base import TrackerError, TrackerErrorReason
from readiness.trackers.client import MAX_BODY_BYTES, ApiClient
from tests.servers.sentry_stub import JSON, answer_json
from tests.servers.web import Answer, Request, serve_site

Site = Callable[[Request], Answer]
SECRET = "tok-should-never-be-seen"


def make_client(url: str, waits: list[float] | None = None, **options: object) -> ApiClient:
    slept = [] if waits is None else waits
    return ApiClient(url, SECRET, allow_http=True, allow_loopback=True, sleep=slept.append, **options)  # type: ignore[arg-type]


def read(site: Answer | Site, waits: list[float] | None = None) -> object:
    with serve_site(site) as server:
        return make_client(server.url, waits).get("/api/0/x/").data


def fail(site: Answer | Site, waits: list[float] | None = None) -> TrackerError:
    with pytest.raises(TrackerError) as caught:
        read(site, waits)
    assert SECRET not in str(caught.value)
    return caught.value


def answer_in_turn(*answers: Answer) -> Site:
    left = list(answers)
    return lambda request: left.pop(0)


def test_it_sends_the_token_and_reads_json() -> None:
    seen: list[Request] = []
    with serve_site(answer_json([1]), seen) as server:
        assert make_client(server.url).get("/api/0/x/", {"query": ""}).data == [1]

    assert seen[0].headers["authorization"] == f"Bearer {SECRET}"
    assert seen[0].path == "/api/0/x/?query="


def test_it_tries_again_after_a_server_error() -> None:
    waits: list[float] = []

    assert read(answer_in_turn(Answer(502), Answer(503), answer_json({"ok": 1})), waits) == {"ok": 1}
    assert len(waits) == 2
    assert 0.5 <= waits[0] <= 1
    assert 1 <= waits[1] <= 2


def test_it_gives_up_after_three_tries() -> None:
    assert fail(Answer(500)).reason is TrackerErrorReason.SERVER_ERROR


def test_it_waits_as_long_as_a_rate_limit_says() -> None:
    waits: list[float] = []
    limited = Answer(429, [("X-Sentry-Rate-Limit-Reset", str(time.time() + 5)), ("Content-Type", "text/html")], b"{}")

    read(answer_in_turn(limited, answer_json([])), waits)

    assert 3 < waits[0] <= 5


def test_it_honours_retry_after() -> None:
    waits: list[float] = []

    read(answer_in_turn(Answer(429, [("Retry-After", "7")]), answer_json([])), waits)

    assert waits == [7.0]


def test_it_does_not_wait_for_a_limit_that_lasts() -> None:
    assert fail(Answer(429, [("Retry-After", "3600")])).reason is TrackerErrorReason.RATE_LIMITED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(401), TrackerErrorReason.UNAUTHORIZED),
        (Answer(404), TrackerErrorReason.NOT_FOUND),
        (Answer(410), TrackerErrorReason.BROWN_OUT),
        (Answer(302, [("Location", "http://127.0.0.1/elsewhere")]), TrackerErrorReason.REDIRECT),
        (Answer(200, [("Content-Type", "text/html")], b"<html>"), TrackerErrorReason.NOT_JSON),
        (Answer(200, [JSON], b'{"half": '), TrackerErrorReason.NOT_JSON),
        (Answer(200, [JSON], b"[" * 100_000), TrackerErrorReason.NOT_JSON),
        (Answer(200, [JSON], b" " * (MAX_BODY_BYTES + 1)), TrackerErrorReason.TOO_LARGE),
        (Answer(204, [JSON], b""), TrackerErrorReason.BAD_SHAPE),
    ],
)
def test_it_names_what_is_wrong(answer: Answer, reason: TrackerErrorReason) -> None:
    assert fail(answer).reason is reason


def test_it_follows_no_redirect() -> None:
    seen: list[Request] = []
    with serve_site(answer_json([]), seen) as elsewhere:
        assert fail(Answer(302, [("Location", elsewhere.url)])).reason is TrackerErrorReason.REDIRECT

    assert seen == []


def test_it_says_which_scope_is_missing() -> None:
    with serve_site(answer_json({"detail": "no"}, 403)) as server, pytest.raises(TrackerError) as caught:
        make_client(server.url).get("/api/0/x/", scope="alerts:read")

    assert caught.value.scope == "alerts:read"
    assert "alerts:read" in str(caught.value)


def test_it_reads_pages_until_the_link_says_that_nothing_follows() -> None:
    def site(request: Request) -> Answer:
        place = int(request.path.rpartition("=")[2]) if "cursor" in request.path else 0
        # A next link is always there, and leads to a host that shall not get the token.
        link = f'<http://evil.example/?cursor={place + 1}>; rel="next"; results="{str(place < 2).lower()}"'
        return answer_json([place], headers=[("Link", f'<x>; rel="previous"; results="true", {link}')])

    with serve_site(site) as server:
        assert list(make_client(server.url).get_pages("/api/0/x/", {})) == [[0], [1], [2]]


def test_it_reads_the_link_that_glitchtip_sends() -> None:
    following = '<http://h/?cursor=a%3D%3D&limit=1>; rel="next"; results="true"; cursor="a=="'
    link = str({following, '<x>; rel="previous"'})
    with serve_site(answer_json([], headers=[("Link", link)])) as server:
        assert make_client(server.url).get("/api/0/x/").next_cursor == "a=="


def test_it_reads_the_next_page_of_bugsink() -> None:
    body = {"next": "http://elsewhere.example/api/?cursor=abc%3D&x=1", "results": []}
    with serve_site(answer_json(body)) as server:
        assert make_client(server.url).get("/api/0/x/").next_cursor == "abc="


def test_it_notices_pages_that_lead_in_a_circle() -> None:
    link = '<http://h/?cursor=1>; rel="next"; results="true"; cursor="1"'
    with (
        serve_site(answer_json([], headers=[("Link", link)])) as server,
        pytest.raises(TrackerError) as caught,
    ):
        list(make_client(server.url).get_pages("/api/0/x/", {}))

    assert caught.value.reason is TrackerErrorReason.CURSOR_REPEATED


def test_it_reads_no_more_pages_than_it_may() -> None:
    count = iter(range(1000))

    def site(request: Request) -> Answer:
        cursor = next(count)
        return answer_json([], headers=[("Link", f'<h>; rel="next"; results="true"; cursor="{cursor}"')])

    with serve_site(site) as server, pytest.raises(TrackerError) as caught:
        list(make_client(server.url).get_pages("/api/0/x/", {}, max_pages=5))

    assert caught.value.reason is TrackerErrorReason.TOO_MANY_PAGES


@pytest.mark.parametrize(
    ("url", "allow_http"), [("http://sentry.example.org", False), ("ftp://x", True), ("https://u:p@h", True)]
)
def test_it_refuses_urls_that_would_leak_the_token(url: str, allow_http: bool) -> None:
    with pytest.raises(TrackerError) as caught:
        ApiClient(url, SECRET, allow_http=allow_http)

    assert caught.value.reason is TrackerErrorReason.BAD_URL


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "https://10.0.0.1:1", "https://169.254.169.254"])
def test_it_reaches_no_address_that_nobody_allowed(url: str) -> None:
    with pytest.raises(TrackerError) as caught:
        ApiClient(url, SECRET).get("/api/0/")

    assert "address policy does not allow" in str(caught.value)


def test_it_refuses_a_token_that_would_be_another_header() -> None:
    with pytest.raises(TrackerError):
        ApiClient("https://sentry.example.org", "abc\r\nX-Other: 1")


def test_it_logs_no_body_and_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (200, 401, 403, 500):
        with serve_site(Answer(status, [JSON], json.dumps({"securityToken": "body-secret"})[:-1].encode())) as server:
            with pytest.raises(TrackerError) as caught:
                make_client(server.url).get("/api/0/x/")
            assert "body-secret" not in str(caught.value)

    assert "body-secret" not in caplog.text
    assert SECRET not in caplog.text
