"""The http probe against real servers on loopback."""

from typing import Any

import pytest

from readiness.probes.base import ErrorReason, ProbeResult, Status, TargetEndpoint, TargetError, TargetOptions
from readiness.probes.http import MALFORMED_PATH, HttpProbe, request_url
from tests.servers import hostile
from tests.servers.certificates import make_certificate, make_root
from tests.servers.probing import LOCAL, find, lead_to, make_target, probe_now
from tests.servers.sockets import Handler, serve
from tests.servers.web import Answer, Request, read_request, serve_https_site, serve_site, write_answer

HOST = "www.preflight.test"
ROOT = make_root()
IDENTITY = make_certificate(HOST, ROOT, hosts=[HOST, "127.0.0.1"])
TO_HTTPS = Answer(301, [("Location", f"https://{HOST}/")])


def probe_pair(https: Any, http: Any, *endpoints: TargetEndpoint) -> ProbeResult:
    """Probe a site whose ports 443 and 80 are two local servers."""
    with serve_https_site(https, IDENTITY) as secure, serve_site(http) as plain:
        target = make_target(
            *(endpoints or (TargetEndpoint("frontend", f"https://{HOST}/"),)),
            ca_pem=ROOT.pem,
            connect_to=(lead_to(secure, port=443), lead_to(plain, port=80)),
        )
        return probe_now(HttpProbe(), target)


def test_it_passes_a_good_site_and_says_what_took_how_long() -> None:
    result = probe_pair(Answer(), TO_HTTPS)
    assert (result.status, result.reason) == (Status.PASS, None)
    (endpoint,) = result.data["endpoints"]
    assert (endpoint["role"], endpoint["status_code"]) == ("frontend", 200)
    assert endpoint["final_url"] == f"https://{HOST}/"
    assert set(endpoint["latency_ms"]) == {"dns", "connect", "tls", "first_byte", "total"}
    assert endpoint["latency_ms"]["tls"] > 0


def test_it_requests_an_api_at_its_health_path() -> None:
    seen: list[Request] = []
    with serve_site({"/api/healthz": Answer(204)}, seen) as server:
        endpoint = TargetEndpoint("api", f"{server.url}api", "/healthz")
        result = probe_now(HttpProbe(), make_target(endpoint))
    assert find(result, "status").status is Status.PASS
    assert {request.path for request in seen} == {"/api/healthz", MALFORMED_PATH}
    assert {request.method for request in seen} == {"GET"}


EXPRESS = (
    b"<pre>URIError: Failed to decode param &#39;/%E0%A4%A&#39;<br> &nbsp; &nbsp;at decode_param "
    b"(/app/node_modules/express/lib/router/layer.js:172:12)<br> &nbsp; &nbsp;at Layer.match (layer.js:148:15)</pre>"
)


@pytest.mark.parametrize(
    ("body", "shows"),
    [
        (EXPRESS, True),
        (b'{"error": "bad", "stack": "URIError: x\\n    at Layer.match (layer.js:148:15)"}', True),
        (b'Traceback (most recent call last):\n  File "/app/views.py", line 3, in get', True),
        (b"java.lang.X: bad\n\tat org.example.Api.get(Api.java:42)", True),
        (b"   at Shop.Api.Get() in C:\\src\\Api.cs:line 12", True),
        (b"#0 /var/www/index.php(12): run()", True),
        (b"app/controllers/shop.rb:12:in 'show'", True),
        (b"goroutine 1 [running]:", True),
        (b"<h1>Bad Request</h1><p>Look at the manual: section 4:2:1 at page 3.</p>", False),
        (b'{"error": "The address cannot be decoded."}', False),
        (b"", False),
        (b"\xff\xfe" * 1000, False),
    ],
)
def test_it_sees_whether_errors_of_an_api_show_where_the_code_broke(body: bytes, shows: bool) -> None:
    with serve_site({"/healthz": Answer(204), MALFORMED_PATH: Answer(400, body=body)}) as server:
        result = probe_now(HttpProbe(), make_target(TargetEndpoint("api", server.url, "/healthz")))

    assert find(result, "stack_trace").status is (Status.WARN if shows else Status.PASS)
    assert result.data["endpoints"][0]["stack_trace"] is shows


def test_it_cannot_tell_when_an_api_hangs_up_on_what_it_cannot_decode() -> None:
    def handle(sock: Any) -> None:
        request = read_request(sock)
        if request is not None and request.path != MALFORMED_PATH:
            write_answer(sock, Answer(204))

    with serve(handle) as server:
        result = probe_now(HttpProbe(), make_target(TargetEndpoint("api", server.url)))

    assert result.data["endpoints"][0]["stack_trace"] is None
    assert "stack_trace" not in {finding.id for finding in result.findings}


@pytest.mark.parametrize(
    ("url", "health_path", "requested"),
    [
        ("https://a.test", "/healthz", "https://a.test/healthz"),
        ("https://a.test/", "healthz", "https://a.test/healthz"),
        ("https://a.test/api", "/healthz?full=1", "https://a.test/api/healthz?full=1"),
        ("https://a.test/x", "", "https://a.test/x"),
    ],
)
def test_it_joins_the_health_path_to_the_url(url: str, health_path: str, requested: str) -> None:
    assert request_url(TargetEndpoint("api", url, health_path)) == requested


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_it_fails_a_site_that_answers_with_an_error(status: int) -> None:
    result = probe_pair(Answer(status), TO_HTTPS)
    assert (result.status, result.reason) == (Status.FAIL, "bad_status")
    assert find(result, "status").fix


def test_it_fails_a_plain_site_that_does_not_redirect_to_https() -> None:
    with serve_site(Answer()) as server:
        result = probe_now(HttpProbe(), make_target(server.url))
    assert (result.status, result.reason) == (Status.FAIL, "no_https_redirect")
    assert find(result, "https_redirect").fix


def test_it_fails_a_site_whose_plain_port_serves_pages_too() -> None:
    result = probe_pair(Answer(), Answer())
    assert (result.status, result.reason) == (Status.FAIL, "no_https_redirect")


def test_it_passes_a_plain_url_that_redirects_to_https() -> None:
    result = probe_pair(Answer(), TO_HTTPS, TargetEndpoint("frontend", f"http://{HOST}/"))
    assert result.status is Status.PASS
    assert result.data["endpoints"][0]["final_url"] == f"https://{HOST}/"


def test_it_passes_a_site_without_any_plain_port() -> None:
    with serve(hostile.hang_up) as gone:
        pass
    with serve_https_site(Answer(), IDENTITY) as secure:
        overrides = (lead_to(secure, port=443), lead_to(gone, port=80))
        target = make_target(f"https://{HOST}/", ca_pem=ROOT.pem, connect_to=overrides)
        result = probe_now(HttpProbe(), target)
    assert find(result, "https_redirect").status is Status.PASS


def test_it_fails_a_site_with_a_certificate_that_is_not_trusted() -> None:
    with serve_https_site(Answer(), IDENTITY) as server:
        result = probe_now(HttpProbe(), make_target(server.url))
    assert (result.status, result.reason) == (Status.FAIL, "certificate")


@pytest.mark.parametrize(
    ("handler", "status", "reason"),
    [
        (hostile.stay_silent, Status.ERROR, "timeout"),
        (hostile.drip_headers, Status.ERROR, "timeout"),
        (hostile.send_garbage, Status.FAIL, "bad_response"),
        (hostile.send_many_headers, Status.FAIL, "too_large"),
        (hostile.reset_at_once, Status.FAIL, "closed"),
        (hostile.redirect_to_itself, Status.FAIL, "too_many_redirects"),
    ],
)
def test_it_names_what_a_hostile_server_does(handler: Handler, status: Status, reason: str) -> None:
    with serve(handler) as server:
        seconds = 0.6 if reason == "timeout" else 10.0
        result = probe_now(HttpProbe(), make_target(server.url, timeout_seconds=seconds))
    assert (result.status, result.reason) == (status, reason)


def test_it_cannot_tell_when_nothing_listens() -> None:
    with serve(hostile.hang_up) as server:
        pass
    result = probe_now(HttpProbe(), make_target(server.url))
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.REFUSED)


def test_it_reports_the_other_endpoints_beside_one_that_hangs() -> None:
    with serve(hostile.stay_silent) as silent, serve_https_site(Answer(), IDENTITY) as good:
        target = make_target(silent.url, good.url, ca_pem=ROOT.pem, timeout_seconds=2.0)
        result = probe_now(HttpProbe(), target)
    assert [endpoint["status_code"] for endpoint in result.data["endpoints"]] == [None, 200]
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.TIMEOUT)


def test_it_says_that_there_is_nothing_to_probe() -> None:
    assert probe_now(HttpProbe(), make_target()).reason == ErrorReason.NOTHING_TO_PROBE


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("example.org", "https://example.org"),
        ("example.org:8443", "https://example.org:8443"),
        ("http://example.org/x", "http://example.org/x"),
        ("::1", "https://[::1]"),
        ("[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_it_takes_hosts_ports_and_urls_as_targets(text: str, url: str) -> None:
    target = HttpProbe().parse_target(text, TargetOptions(address_policy=LOCAL))
    assert (target.label, target.endpoints[0].url) == (text, url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://x.test",
        "https://",
        "https://x.test:99999",
        "https://x.test:0",
        "https://a b/",
        "https://[::1",
        "a\x00b",
    ],
)
def test_it_refuses_what_is_no_target_in_one_sentence(text: str) -> None:
    with pytest.raises(TargetError) as caught:
        HttpProbe().parse_target(text, TargetOptions())
    assert str(caught.value).endswith(".") and caught.value.reason is ErrorReason.BAD_TARGET


@pytest.mark.parametrize(
    "text", ["https://user:hunter2@x.test/", "https://user:hun/ter2@x.test/", "http://hunter2@x.test"]
)
def test_it_refuses_credentials_in_a_url_without_repeating_them(text: str) -> None:
    with pytest.raises(TargetError) as caught:
        HttpProbe().parse_target(text, TargetOptions())
    assert "hunter2" not in str(caught.value) and "ter2" not in str(caught.value)
