"""The pure parts of scenarios: cookies, masks, checks; nothing that a server may send makes them raise."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.probes.base import Status, Target
from readiness.probes.http_client import Latency, Response
from readiness.probes.scenario import ScenarioObservation, ScenarioProbe
from readiness.probes.scenarios.answers import Answered, UnreadableError
from readiness.probes.scenarios.checks import capture_value, check_answer
from readiness.probes.scenarios.cookies import CookieJar, is_other_site, parse_set_cookie
from readiness.probes.scenarios.model import (
    Capture,
    CookieAssertion,
    Expectation,
    HeaderAssertion,
    JsonAssertion,
    Scenario,
    Step,
)
from readiness.probes.scenarios.outcomes import StepOutcome, Walk
from readiness.probes.scenarios.redaction import Redactor
from readiness.probes.scenarios.values import Values

URL = "https://shop.preflight.test/account/login"
NOW = 1_800_000_000.0


def answer(body: bytes, content_type: str = "text/html", status: int = 200) -> Answered:
    headers = (("Content-Type", content_type), ("X-Id", "7"))
    return Answered(Response(URL, status, headers, body, False, Latency(1, 1, 1, 1), True), 12.0)


@pytest.mark.parametrize(
    ("line", "url", "sent"),
    [
        ("a=1", "https://shop.preflight.test/account/x", True),
        ("a=1", "https://shop.preflight.test/", False),
        ("a=1; Path=/", "https://shop.preflight.test/", True),
        ("a=1; Path=/", "https://www.shop.preflight.test/", False),
        ("a=1; Path=/; Domain=preflight.test", "https://www.preflight.test/", True),
        ("a=1; Path=/; Domain=.preflight.test", "https://www.preflight.test/", True),
        ("a=1; Path=/; Domain=elsewhere.test", "https://elsewhere.test/", False),
        ("a=1; Path=/; Domain=test", "https://shop.preflight.test/", False),
        ("a=1; Path=/; Secure", "http://shop.preflight.test/", False),
        ("a=1; Path=/acc", "https://shop.preflight.test/account", False),
        ("a=1; Path=/; Max-Age=0", "https://shop.preflight.test/", False),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://shop.preflight.test/", False),
        ("a=1; Path=/; Expires=whenever", "https://shop.preflight.test/", True),
        ("a=1; Path=/; SameSite=None", "https://shop.preflight.test/", False),
        ("__Host-a=1; Path=/; Secure", "https://shop.preflight.test/", True),
        ("__Host-a=1; Path=/account; Secure", "https://shop.preflight.test/account/", False),
        ("__Secure-a=1; Path=/", "https://shop.preflight.test/", False),
        ("nothing", "https://shop.preflight.test/account/", False),
    ],
)
def test_it_sends_cookies_as_browsers_do(line: str, url: str, sent: bool) -> None:
    jar = CookieJar()
    jar.take(URL, [line], NOW)
    assert bool(jar.header_for(url, NOW)) is sent


def test_it_forgets_a_cookie_when_its_time_is_over() -> None:
    jar = CookieJar()
    jar.take(URL, ["a=1; Path=/; Max-Age=60", "b=2; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], NOW)
    assert jar.header_for(URL, NOW + 59) == "a=1; b=2"
    assert jar.header_for(URL, NOW + 61) == ""


@pytest.mark.parametrize(
    ("origin", "url", "is_other"),
    [
        ("https://shop.preflight.test", "https://api.preflight.test/x", False),
        ("https://shop.preflight.test", "http://shop.preflight.test/", True),
        ("https://shop.vercel.app", "https://api.vercel.app/", True),
        ("https://shop.vercel.app", "https://api.onrender.com/", True),
        ("https://192.0.2.1", "https://192.0.2.1:8443/", False),
    ],
)
def test_it_tells_sites_apart_as_browsers_do(origin: str, url: str, is_other: bool) -> None:
    assert is_other_site(origin, url) is is_other


@given(st.text(max_size=80) | st.text(alphabet="ab=;, \tPathDomainExpires-Max0129/.", max_size=80))
def test_it_reads_any_set_cookie_line(line: str) -> None:
    cookie = parse_set_cookie(line, URL, NOW)
    assert cookie is None or cookie.name


@given(st.text(min_size=6, max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_it_never_shows_a_secret(secret: str, before: str, after: str) -> None:
    shown = Redactor([secret]).shorten(f"{before} {secret} {after}")
    assert secret not in shown or secret in "***" or secret in f"{before}  {after}"


def test_it_does_not_leave_half_a_secret_at_the_cut() -> None:
    shown = Redactor(["hunter2-hunter2"]).shorten("x" * 492 + "hunter2-hunter2")
    assert "hunter" not in shown


@pytest.mark.parametrize(
    "text",
    [
        '{"access_token": "opaque-value-1"}',
        '{"user": {"sessionId":"opaque-value-1"}}',
        "refresh_token=opaque-value-1&x=1",
        '<input type="hidden" value="opaque-value-1" name="csrf_token">',
        "<meta name='csrf-token' content='opaque-value-1'>",
        "Authorization: Bearer opaque-value-1",
        "postgres://app:opaque-value-1@db/app",
        "seen eyJhbGciOiJIUzI1NiJ9.opaque-value-1.abc there",
    ],
)
def test_it_masks_what_looks_like_a_secret(text: str) -> None:
    assert "opaque-value-1" not in Redactor([]).shorten(text)


def test_it_shows_a_url_without_its_secrets() -> None:
    shown = Redactor(["hunter2"]).show_url("https://u:p@a.test/x/hunter2?code=abc&page=2&token=t#frag")
    assert shown == "https://a.test/x/***?code=***&page=2&token=***"


_SOURCES = st.sampled_from(
    [
        ("json", "a.b"),
        ("json", "[*]"),
        ("header", "X-Id"),
        ("regex", "a(b*)"),
        ("input", "c"),
        ("meta", "c"),
        ("cookie", "c"),
    ]
)
_EXPECTATION = Expectation(
    body_contains=("a",),
    body_lacks=("zz",),
    body_matches="a+b",
    body_sha256="00",
    headers=(HeaderAssertion("X-Id", "matches", "7"), HeaderAssertion("X-No", "exists", False)),
    json=tuple(
        JsonAssertion("a", test, value)
        for test, value in (("equals", "{{ run }}"), ("contains", 1), ("matches", "x"), ("count_at_least", 1))
    ),
    cookies=(CookieAssertion("*", secure=True),),
)
_BODIES = st.binary(max_size=200) | st.sampled_from(
    [
        b"[" * 100_000,
        b'{"a": "\\ud800"}',
        b"1" * 5000,
        b"NaN",
        b"<![a b",
        b"<input name=c value",
        b'{"a": [1, {"b": null}]}',
    ]
)


@given(
    _BODIES,
    st.sampled_from(["text/html; charset=utf-16", "text/x; charset=nonsense", "application/json", ""]),
    _SOURCES,
)
def test_it_checks_and_reads_whatever_bytes_come(body: bytes, content_type: str, source: tuple[str, str]) -> None:
    answered = answer(body, content_type)
    assert check_answer(_EXPECTATION, answered, Values({"run": "x"}))
    try:
        capture_value(Capture("v", *source), answered, CookieJar(), NOW)
    except UnreadableError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("assertion", "holds"),
    [
        (JsonAssertion("n", "equals", 1), True),
        (JsonAssertion("n", "equals", True), False),
        (JsonAssertion("n", "equals", "1"), False),
        (JsonAssertion("n", "equals", "{{ one }}"), True),
        (JsonAssertion("t", "contains", "ell"), True),
        (JsonAssertion("list[*].t", "contains", "wor"), True),
        (JsonAssertion("list[*].t", "contains", "nope"), False),
        (JsonAssertion("list", "count_at_least", 2), False),
        (JsonAssertion("gone", "exists", False), True),
        (JsonAssertion("gone", "equals", None), False),
        (JsonAssertion("t", "not_equals", "x"), True),
        (JsonAssertion("t", "matches", "^h.llo$"), True),
    ],
)
def test_it_asserts_on_json(assertion: JsonAssertion, holds: bool) -> None:
    answered = answer(b'{"n": 1, "t": "hello", "list": [{"t": "world"}]}', "application/json")
    assert (check_answer(Expectation(json=(assertion,)), answered, Values({"one": "1"})) == []) is holds


_OUTCOMES = st.builds(
    StepOutcome,
    name=st.text(max_size=10),
    status=st.sampled_from(Status),
    text=st.text(max_size=20),
    reason=st.text(min_size=1, max_size=5),
    transcript=st.text(max_size=20),
    duration_ms=st.floats(0, 1e6),
    status_code=st.none() | st.integers(100, 599),
    is_cleanup=st.booleans(),
)


@given(st.lists(st.lists(_OUTCOMES, min_size=2, max_size=2).map(tuple), max_size=3))
def test_it_judges_whatever_walks_brought(walks: list[tuple[StepOutcome, ...]]) -> None:
    scenario = Scenario("walk", "https://a.test", (Step("a", "GET", "/"), Step("b", "GET", "/")), users=len(walks))
    observation = ScenarioObservation(tuple(Walk(number, outcomes) for number, outcomes in enumerate(walks)), "r")
    result = ScenarioProbe().judge(Target("t", scenario=scenario), observation, datetime.now(UTC))
    assert result.reason is not None or result.status not in (Status.FAIL, Status.ERROR)
