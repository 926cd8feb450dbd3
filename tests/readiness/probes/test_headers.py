"""The headers probe: scores, findings with fixes, targets and hostile servers."""

import json
from collections.abc import Callable

import pytest

from readiness.probes.base import ErrorReason, ProbeResult, Status, TargetEndpoint
from readiness.probes.header_findings import SENTENCES
from readiness.probes.header_fixes import FIXES
from readiness.probes.headers import HeadersProbe, scan_urls
from readiness.probes.http_client import Latency, Response
from readiness.probes.observatory.cookies import CookieJar, judge_cookies, parse_set_cookie
from readiness.probes.observatory.page import judge_sri, read_page
from readiness.probes.observatory.rules import judge_hsts_value, run_tests
from readiness.probes.observatory.score import MODIFIERS, grade_score, score_tests
from readiness.probes.observatory.site import Chain, Site
from tests.servers import hostile
from tests.servers.certificates import Identity, make_certificate, make_root
from tests.servers.probing import find, lead_to, make_target, probe_now
from tests.servers.sockets import Handler, serve
from tests.servers.web import Answer, Request, serve_https_site, serve_site

HOST = "www.preflight.test"
ROOT = make_root()
IDENTITY = make_certificate(HOST, ROOT, hosts=[HOST, "api.preflight.test"])
POLICY = (
    "default-src 'none'; script-src 'self'; object-src 'none'; connect-src 'self' https://api.preflight.test; "
    "frame-ancestors 'none'; upgrade-insecure-requests"
)
STRICT = (
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Content-Security-Policy", POLICY),
    ("Permissions-Policy", "camera=()"),
)
TO_HTTPS = Answer(301, [("Location", f"https://{HOST}/")])


def scan(
    answer: Answer | Callable[[Request], Answer],
    *endpoints: TargetEndpoint,
    identity: Identity = IDENTITY,
    report_hosts: tuple[str, ...] = (),
) -> ProbeResult:
    """Scan a site whose ports 443 and 80 are two local servers; port 80 redirects."""
    with serve_https_site(answer, identity) as secure, serve_site(TO_HTTPS) as plain:
        target = make_target(
            *(endpoints or (TargetEndpoint("frontend", f"https://{HOST}/"),)),
            ca_pem=ROOT.pem,
            connect_to=(lead_to(secure, port=443), lead_to(plain, port=80)),
            report_hosts=report_hosts,
        )
        return probe_now(HeadersProbe(), target)


def test_it_passes_strict_headers_and_gives_the_promised_data() -> None:
    result = scan(Answer(headers=STRICT), TargetEndpoint("frontend", f"https://{HOST}/"))
    assert (result.status, result.reason) == (Status.PASS, None)
    assert set(result.data) == {"score", "grade", "tests"}
    assert (result.data["score"], result.data["grade"]) == (120, "A+")
    assert result.data["tests"]["content-security-policy"] == {
        "result": "csp-implemented-with-no-unsafe-default-src-none",
        "pass": True,
        "score_modifier": 10,
    }
    assert find(result, "profile").status is Status.PASS


def test_it_fails_a_plain_site_with_poor_headers_and_says_what_to_write_where() -> None:
    with serve_site(Answer(headers=[("Set-Cookie", "sessionid=hunter2")])) as server:
        result = probe_now(HeadersProbe(), make_target(server.url))
    assert (result.status, result.reason, result.data["grade"]) == (Status.FAIL, "low_score", "F")
    for name in ("content-security-policy", "strict-transport-security", "x-frame-options", "cookies", "redirection"):
        finding = find(result, name)
        assert finding.status is Status.FAIL
        assert all(f"{server}: " in finding.fix for server in ("Django", "nginx", "Caddy"))
    assert "hunter2" not in json.dumps(result.as_json_object())


def test_it_has_a_snippet_for_every_test_and_every_server() -> None:
    tests = set(run_tests_of_an_empty_site())
    assert len(tests) == 10
    for name in tests:
        assert all(f"{server}: " in FIXES[name] for server in ("Django", "Helmet", "nginx", "Caddy")), name


def run_tests_of_an_empty_site() -> dict[str, str]:
    answer = Response(f"https://{HOST}/", 200, (), b"", False, Latency(1, 1, 1, 1), True)
    return run_tests(Site(HOST, None, Chain((answer,), True, CookieJar()), None))


def test_it_warns_of_a_site_that_lacks_one_header() -> None:
    result = scan(Answer(headers=[header for header in STRICT if header[0] != "Content-Security-Policy"]))
    assert (result.status, result.data["grade"]) == (Status.WARN, "B")


def test_it_shows_leaks_and_newer_headers_without_scoring_them() -> None:
    result = scan(Answer(headers=[*STRICT, ("Server", "nginx/1.18.0"), ("X-Powered-By", "PHP/7.4")]))
    assert find(result, "server").status is Status.WARN
    assert find(result, "x-powered-by").status is Status.WARN
    assert find(result, "permissions-policy").status is Status.PASS
    assert find(result, "cross-origin-opener-policy").status is Status.WARN
    assert (result.data["score"], result.status) == (120, Status.PASS)


def test_it_names_what_the_checklist_profile_misses() -> None:
    weaker = [(name, value.replace("; preload", "").replace("object-src 'none'; ", "")) for name, value in STRICT]
    api = TargetEndpoint("api", "https://api.preflight.test/")
    other = TargetEndpoint("api", "https://other.preflight.test/")
    result = scan(Answer(headers=weaker), TargetEndpoint("frontend", f"https://{HOST}/"), api, other)
    detail = find(result, "profile").detail
    assert "HSTS preload" in detail and "connect-src for other.preflight.test" in detail
    assert "api.preflight.test" not in detail


def test_it_names_the_tracker_that_the_policy_keeps_the_page_from_telling() -> None:
    page, api = TargetEndpoint("frontend", f"https://{HOST}/"), TargetEndpoint("api", "https://api.preflight.test/")
    result = scan(Answer(headers=STRICT), page, api, report_hosts=("o1.ingest.sentry.example",))
    # The API sends its errors itself: no policy keeps it from that.
    details = [one.detail for one in result.findings if one.id == "profile"]
    assert details == ["connect-src for o1.ingest.sentry.example", ""]

    admitting = POLICY.replace("connect-src", "connect-src https://*.ingest.sentry.example")
    headers = [(name, admitting if name == "Content-Security-Policy" else value) for name, value in STRICT]
    result = scan(Answer(headers=headers), page, report_hosts=("O1.ingest.sentry.example",))
    assert find(result, "profile").status is Status.PASS


def test_it_lets_the_worst_endpoint_decide() -> None:
    def answer(request: object) -> Answer:
        host = request.headers["host"]  # type: ignore[attr-defined]
        return Answer(headers=STRICT) if host == HOST else Answer()

    with serve_https_site(answer, IDENTITY) as secure, serve_site(TO_HTTPS) as plain:
        target = make_target(
            TargetEndpoint("frontend", f"https://{HOST}/"),
            TargetEndpoint("api", "https://api.preflight.test/"),
            TargetEndpoint("alias", "https://www2.preflight.test/"),
            ca_pem=ROOT.pem,
            connect_to=(lead_to(secure, port=443), lead_to(plain, port=80)),
        )
        result = probe_now(HeadersProbe(), target)
    assert result.data["endpoints"][0]["grade"] == "A+"
    assert result.data["score"] == result.data["endpoints"][1]["score"] < 50


@pytest.mark.parametrize("status", [404, 500])
def test_it_gives_no_grade_to_an_error_page(status: int) -> None:
    result = scan(Answer(status, STRICT))
    assert (result.status, result.reason) == (Status.FAIL, "bad_status")
    assert result.data == {"score": None, "grade": None, "tests": {}}


@pytest.mark.parametrize(
    ("handler", "status", "reason"),
    [
        (hostile.stay_silent, Status.ERROR, ErrorReason.TIMEOUT),
        (hostile.drip_headers, Status.ERROR, ErrorReason.TIMEOUT),
        (hostile.drip_body, Status.ERROR, ErrorReason.TIMEOUT),
        (hostile.send_garbage, Status.FAIL, "bad_response"),
        (hostile.send_many_headers, Status.FAIL, "too_large"),
        (hostile.reset_at_once, Status.FAIL, "closed"),
    ],
)
def test_it_names_what_a_hostile_server_does(handler: Handler, status: Status, reason: str) -> None:
    with serve(handler) as server:
        seconds = 0.8 if reason == "timeout" else 10.0
        result = probe_now(HeadersProbe(), make_target(server.url, timeout_seconds=seconds))
    assert (result.status, result.reason, result.data["grade"]) == (status, reason, None)


def test_it_grades_a_gzip_bomb_by_its_headers_and_keeps_little_of_it() -> None:
    with serve(hostile.send_gzip_bomb) as server:
        result = probe_now(HeadersProbe(), make_target(server.url, timeout_seconds=20.0))
    assert result.data["grade"] == "F"


def test_it_still_grades_a_site_whose_plain_port_is_dropped_by_a_firewall() -> None:
    with serve_https_site(Answer(headers=STRICT), IDENTITY) as secure, serve(hostile.stay_silent) as dropped:
        target = make_target(
            f"https://{HOST}/",
            ca_pem=ROOT.pem,
            connect_to=(lead_to(secure, port=443), lead_to(dropped, port=80)),
            timeout_seconds=4.0,
        )
        result = probe_now(HeadersProbe(), target)
    assert result.data["tests"]["redirection"]["result"] == "redirection-not-needed-no-http"
    assert result.data["grade"] == "A+"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://a.test", ("a.test", "http://a.test/", "https://a.test/")),
        ("http://a.test/x", ("a.test", "http://a.test/x", "https://a.test/x")),
        ("https://a.test:8443/", ("a.test", None, "https://a.test:8443/")),
        ("http://a.test:8000/", ("a.test", "http://a.test:8000/", None)),
    ],
)
def test_it_asks_both_schemes_only_on_their_own_ports(url: str, asked: tuple[str, str | None, str | None]) -> None:
    assert scan_urls(url) == asked


def test_it_has_a_sentence_for_every_result() -> None:
    assert set(SENTENCES) == set(MODIFIERS)


@pytest.mark.parametrize(
    ("codes", "score", "grade"),
    [
        (
            ["csp-implemented-with-unsafe-eval", "corp-implemented-with-same-origin", "referrer-policy-private"],
            105,
            "A+",
        ),
        (["csp-implemented-with-unsafe-inline", "corp-implemented-with-same-origin"], 80, "B+"),
        (["cookies-session-without-secure-flag", "csp-not-implemented", "hsts-not-implemented"], 15, "F"),
        (
            ["sri-not-implemented-and-external-scripts-not-loaded-securely", "cookies-session-without-secure-flag"],
            10,
            "F",
        ),
    ],
)
def test_it_counts_bonuses_only_from_ninety_points_on(codes: list[str], score: int, grade: str) -> None:
    scored = score_tests({str(number): code for number, code in enumerate(codes)})
    assert (scored.score, scored.grade) == (score, grade)


def test_it_rounds_a_score_down_before_it_grades() -> None:
    assert [grade_score(score) for score in (130, 100, 99, 94, 89, 84, 69, 44, 29, 24, 0)] == [
        *("A+", "A+", "A", "A", "A-", "B+", "B-", "D+", "D-", "F", "F"),
    ]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("a=1; Domain=foreign.test", False),
        ("a=1; Domain=test", False),
        ("a=1; Domain=preflight.test", True),
        ("=1", False),
        ("novalue", False),
        ("__Secure-a=1", False),
        ("__Host-a=1; Secure; Path=/x", False),
        ("__Host-a=1; Secure; Path=/", True),
    ],
)
def test_it_drops_the_cookies_that_browsers_drop(line: str, kept: bool) -> None:
    assert (parse_set_cookie(line, f"https://{HOST}/") is not None) is kept


def test_it_sends_cookies_back_only_where_they_belong() -> None:
    jar = CookieJar()
    jar.take(f"https://{HOST}/a/b", ["one=1; Path=/a", "two=2; Secure", "three=3; Domain=preflight.test; Path=/"])
    assert jar.header_for(f"http://{HOST}/a/c", 0) == "one=1; three=3"
    assert jar.header_for(f"https://{HOST}/a/c", 0) == "one=1; two=2; three=3"
    assert jar.header_for("https://other.preflight.test/", 0) == "three=3"


@pytest.mark.parametrize(
    ("line", "kept", "sent"),
    [
        ("a=1; Max-Age=0", 0, ""),
        ("a=1; Max-Age=-5", 0, ""),
        ("a=1; Max-Age=0; Path=/other", 1, ""),
        ("a=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 1, "a=1"),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0, ""),
        ("a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT", 1, "a=1"),
        ("a=1; Expires=never; Max-Age=soon", 1, "a=1"),
    ],
)
def test_it_forgets_a_deleted_cookie_when_it_would_go_out(line: str, kept: int, sent: str) -> None:
    jar = CookieJar()
    jar.take(f"https://{HOST}/", [line])
    assert len(jar.cookies()) == 1
    assert jar.header_for(f"https://{HOST}/", 1_790_000_000) == sent
    assert len(jar.cookies()) == kept


def test_it_softens_a_missing_secure_flag_only_when_hsts_passes() -> None:
    jar = CookieJar()
    jar.take(f"https://{HOST}/", ["sess=1; HttpOnly; SameSite=Lax"])
    softened = judge_cookies(jar.cookies(), [], hsts_passes=True)
    assert softened == "cookies-session-without-secure-flag-but-protected-by-hsts"
    assert judge_cookies(jar.cookies(), [], hsts_passes=False) == "cookies-session-without-secure-flag"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("max-age=15552000", "at-least-six-months"),
        ("max-age=15551999", "less-than-six-months"),
        ('max-age="31536000"', "at-least-six-months"),
        ("max-age=1; max-age=31536000", "at-least-six-months"),
        ("max-age = 31536000", "invalid"),
        ("max-age=31536000, max-age=31536000", "invalid"),
        ("", "invalid"),
    ],
)
def test_it_reads_hsts_with_the_scanners_quirks(value: str, code: str) -> None:
    assert code in judge_hsts_value(value)


@pytest.mark.parametrize(
    "html",
    [
        '<!-- <script src="https://cdn.elsewhere.test/x.js"></script> -->',
        '<template><script src="https://cdn.elsewhere.test/x.js"></script></template>',
        '<textarea><script src="https://cdn.elsewhere.test/x.js"></script></textarea>',
        '<title><script src="https://cdn.elsewhere.test/x.js"></script></title>',
        '<plaintext><script src="https://cdn.elsewhere.test/x.js"></script>',
    ],
)
def test_it_does_not_count_scripts_that_are_none(html: str) -> None:
    assert judge_sri(read_page(html.encode()), HOST, is_https=True) == "sri-not-implemented-but-no-scripts-loaded"


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("<script>1</script>", "sri-not-implemented-but-all-scripts-loaded-from-secure-origin"),
        (
            '<script src="http://www.preflight.test/x.js" integrity="a"></script>',
            "all-scripts-loaded-from-secure-origin",
        ),
        ('<script src="/x.js" integrity="a"></script>', "sri-implemented-and-all-scripts-loaded-securely"),
        ('<script src="https:cdn.elsewhere.test/x.js"></script>', "sri-not-implemented-but-external-scripts-loaded"),
        ('<script src="//www.preflight.test/x.js"></script>', "sri-not-implemented-and-external-scripts-not-loaded"),
        (
            '<base href="https://cdn.elsewhere.test"><script src="x.js"></script>',
            "but-external-scripts-loaded-securely",
        ),
        ('<svg><script href="https://cdn.elsewhere.test/x.js"/></svg>', "all-scripts-loaded-from-secure-origin"),
        (
            '<script src="https://c.test/x.js"></script><script src="http://c.test/x.js" integrity="a"></script>',
            "sri-not-implemented-but-external-scripts-loaded-securely",
        ),
        ('<script src=" //cdn.elsewhere.test/x.js"></script>', "all-scripts-loaded-from-secure-origin"),
        ('<base href="https:cdn.elsewhere.test"><script src="x.js"></script>', "external-scripts-loaded-securely"),
        ('<base href="https://c.test"><script src></script>', "but-external-scripts-loaded-securely"),
        ('<base href="https://c.test"><script>1</script>', "all-scripts-loaded-from-secure-origin"),
        ('<base href="https://c d.test"><script src="x.js"></script>', "all-scripts-loaded-from-secure-origin"),
        ('<script src integrity="a"></script>', "sri-not-implemented-but-all-scripts-loaded-from-secure-origin"),
    ],
)
def test_it_tells_own_scripts_from_foreign_ones(html: str, code: str) -> None:
    assert code in judge_sri(read_page(html.encode()), HOST, is_https=True)


@pytest.mark.parametrize(
    "html",
    [
        "<script>1</script/>{}",
        "<script>1</script x='>'>{}",
        "<style>a</style x>{}",
        "<svg></p>{}",
        "<math></br>{}",
        "<svg><font color=red>{}",
        "<svg/>{}",
        "<svg><foreignObject><math/>{}</foreignObject></svg>",
    ],
)
def test_it_finds_scripts_behind_odd_markup(html: str) -> None:
    page = read_page(html.format('<script src="https://cdn.elsewhere.test/x.js"></script>').encode())
    assert judge_sri(page, HOST, is_https=True) == "sri-not-implemented-but-external-scripts-loaded-securely"


@pytest.mark.parametrize(("before", "counts"), [("<div>", False), ("<input type=hidden>", False), ("<br>", True)])
def test_it_knows_pages_of_frames(before: str, counts: bool) -> None:
    page = read_page(f"{before}<frameset><script src=/x.js></script>".encode())
    assert bool(page.scripts) is counts


def test_it_knows_its_own_site_by_an_international_name() -> None:
    page = read_page('<script src="https://cdn.b\u00fccher.example/x.js"></script>'.encode())
    assert "all-scripts-loaded-from-secure-origin" in judge_sri(page, "xn--bcher-kva.example", is_https=True)


def test_it_follows_an_empty_location_to_the_page_itself() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        return Answer(301, [("Location", "")])

    result = scan(answer)
    assert {request.path for request in asked} == {"/"}
    assert result.data["tests"]["content-security-policy"]["result"] == "csp-not-implemented"


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        (IDENTITY, "cookies-secure-with-httponly-sessions-and-samesite"),
        (make_certificate(HOST, hosts=[HOST]), "cookies-not-found"),
    ],
)
def test_it_shares_cookies_with_the_preflight_only_where_the_certificate_was_refused(
    identity: Identity, code: str
) -> None:
    deleted = Answer(headers=[("Set-Cookie", "a=1; Secure; SameSite=Lax; Max-Age=0")])

    def answer(request: Request) -> Answer:
        return Answer(204) if request.method == "OPTIONS" else deleted

    assert scan(answer, identity=identity).data["tests"]["cookies"]["result"] == code


def test_it_reads_any_bytes_as_a_page() -> None:
    assert read_page(bytes(range(256)) * 10).scripts == []
