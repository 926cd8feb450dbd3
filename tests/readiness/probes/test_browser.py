"""The browser probe with a real Chromium, on pages from local servers."""

import base64
import dataclasses
import importlib.util
import json
import os
import socket
import struct
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.probes import browser_process, net
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ErrorReason, ProbeResult, Status, TargetEndpoint
from readiness.probes.browser import BrowserObservation, BrowserProbe, choose_page
from readiness.probes.browser_child import is_local
from readiness.probes.browser_plan import BrowserReport, PageView, Plan, Refusal
from readiness.probes.browser_presence import find_chromium
from readiness.probes.browser_proxy import run_proxy
from tests.servers import hostile
from tests.servers.certificates import make_certificate, make_root
from tests.servers.probing import LOCAL, find, lead_to, make_target, probe_now
from tests.servers.sockets import serve
from tests.servers.web import Answer, Request, serve_https_site, serve_site

HOST = "www.preflight.test"
ROOT = make_root()
IDENTITY = make_certificate(HOST, ROOT, hosts=[HOST])
HEAD = "<!doctype html><title>x</title>"
META = '<meta name="viewport" content="width=device-width, initial-scale=1">'

needs_browser = pytest.mark.skipif(
    not find_chromium() or importlib.util.find_spec("playwright") is None, reason="there is no Chromium or Playwright"
)


def make_page(body: str, head: str = META) -> Answer:
    return Answer(body=f"{HEAD}{head}{body}".encode())


def open_page(site: Any, seen: list[Request] | None = None, **options: Any) -> tuple[ProbeResult, BrowserObservation]:
    """Open https://www.preflight.test/ served from `site`, and judge it."""
    with serve_https_site(site, IDENTITY, seen=seen) as server:
        overrides = (lead_to(server, HOST, 443),)
        target = make_target(
            f"https://{HOST}/", **{"ca_pem": ROOT.pem, "connect_to": overrides, "timeout_seconds": 40, **options}
        )
        probe = BrowserProbe()
        observation = probe.observe(target)
        return probe.judge(target, observation, datetime.now(UTC)), observation


@needs_browser
def test_it_passes_a_good_page_and_takes_a_picture_of_each_window() -> None:
    site = {
        "/": make_page("<p>ok</p><script src=/app.js></script>", f"{META}<link rel=manifest href=/app.webmanifest>"),
        "/app.js": Answer(
            headers=[("Content-Type", "text/javascript")], body=b"navigator.serviceWorker.register('/worker.js')"
        ),
        "/worker.js": Answer(headers=[("Content-Type", "text/javascript")], body=b"// nothing"),
        "/app.webmanifest": Answer(headers=[("Content-Type", "application/manifest+json")], body=b"{}"),
    }
    seen: list[Request] = []
    result, observation = open_page(site, seen)
    assert (result.status, result.reason) == (Status.PASS, None), result.findings
    assert result.data["all_https"] is True
    assert result.data["manifest_url"] == f"https://{HOST}/app.webmanifest"
    assert result.data["service_worker"] is True
    widths = {view: struct.unpack(">II", image[16:24]) for view, image in observation.screenshots.items()}
    assert widths == {"390x844": (390, 844), "1440x900": (1440, 900)}
    assert [view["screenshot"]["bytes"] for view in result.data["views"]] == [
        len(image) for image in observation.screenshots.values()
    ]
    assert seen[0].headers["host"] == HOST
    json.dumps(result.as_json_object())


@needs_browser
def test_it_finds_everything_that_is_wrong_with_a_page() -> None:
    scripts = (
        "console.error('boom'); fetch('http://localhost:3000/api').catch(() => 0);"
        f"new Image().src = 'http://{HOST}/picture.png'"
    )
    page = make_page(f"<div id=wide style='width: 1500px'>wide</div><script>{scripts}</script>", head="")
    result, _ = open_page({"/": page})
    failed = {finding.id for finding in result.findings if finding.status is Status.FAIL}
    assert failed == {
        *("horizontal_scroll", "console", "mixed_content", "https_requests", "local_requests", "viewport_meta"),
    }
    assert (result.status, result.reason) == (Status.FAIL, "horizontal_scroll")
    assert "div#wide by" in find(result, "horizontal_scroll").detail
    assert "boom" in find(result, "console").detail
    assert result.data["plain_requests"] == result.data["local_requests"] == ["http://localhost:3000/api"]
    assert result.data["all_https"] is False


@needs_browser
def test_it_lets_the_page_reach_nothing_that_the_policy_forbids() -> None:
    secrets: list[Request] = []
    with serve_site(Answer(body=b"secret"), secrets) as inner:
        page = make_page(f"<script>fetch('https://127.0.0.1:{inner.port}/').catch(() => 0)</script>")
        policy = AddressPolicy(allow_loopback=False)
        result, _ = open_page({"/": page}, address_policy=policy)
        assert inner.connections == []
    finding = find(result, "address_policy")
    assert finding.status is Status.WARN and "127.0.0.1" in finding.summary
    assert find(result, "console").status is Status.PASS
    assert result.data["refused"][0]["reason"] == "address_not_allowed"


@needs_browser
def test_it_cannot_tell_when_the_page_itself_may_not_be_reached() -> None:
    with serve_site(Answer()) as server:
        target = make_target(server.url, address_policy=AddressPolicy(), timeout_seconds=30)
        result = probe_now(BrowserProbe(), target)
        assert server.connections == []
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.ADDRESS_NOT_ALLOWED)


@needs_browser
def test_it_fails_a_certificate_that_is_not_trusted() -> None:
    result, _ = open_page(Answer(), ca_pem="")
    assert (result.status, result.reason) == (Status.FAIL, "certificate")


@needs_browser
def test_it_fails_a_page_that_answers_with_an_error() -> None:
    result, _ = open_page({"/": dataclasses.replace(make_page("broken"), status=500)})
    assert (find(result, "page").status, result.status) == (Status.FAIL, Status.FAIL)


ENDLESS = {"/": make_page("<script>setTimeout(() => { for (;;); })</script>")}


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The home directories of the runs of a test, by which their processes are known."""
    seen: list[str] = []
    end_family = browser_process.end_family

    def end_and_note(process: Any, home: str) -> None:
        end_family(process, home)
        seen.append(home)

    monkeypatch.setattr(browser_process, "end_family", end_and_note)
    return seen


@needs_browser
def test_it_is_done_at_its_deadline_with_every_process_gone_when_a_server_is_silent(homes: list[str]) -> None:
    with serve(hostile.stay_silent) as server:
        started = time.monotonic()
        result = probe_now(BrowserProbe(), make_target(server.url, timeout_seconds=5))
        assert time.monotonic() - started < 8
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.TIMEOUT)
    assert [browser_process.find_family(home) for home in homes] == [[]]


@needs_browser
def test_it_is_done_at_its_deadline_with_every_process_gone_when_a_script_never_ends(homes: list[str]) -> None:
    result, _ = open_page(ENDLESS, timeout_seconds=6)
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.TIMEOUT)
    assert [browser_process.find_family(home) for home in homes] == [[]]


@needs_browser
def test_it_kills_a_browser_that_hangs_and_tells_it_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "chromium"
    fake.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/env\necho $$ > {tmp_path}/pid\ntrap '' TERM HUP INT\nexec sleep 600\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    target = make_target("https://127.0.0.1:9/", timeout_seconds=6)
    result = probe_now(BrowserProbe(str(fake)), target)
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.TIMEOUT)
    assert "hunter2" not in (tmp_path / "env").read_text()
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()


@needs_browser
def test_it_is_skipped_without_a_browser() -> None:
    target = make_target(f"https://{HOST}/", timeout_seconds=20)
    result = probe_now(BrowserProbe("/no/such/chromium"), target)
    assert (result.status, result.reason) == (Status.SKIPPED, "browser_missing")


def test_it_is_skipped_without_playwright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = probe_now(BrowserProbe(), make_target(f"https://{HOST}/"))
    assert (result.status, result.reason) == (Status.SKIPPED, "browser_missing")
    assert "playwright" in find(result, "page").fix


def test_it_opens_the_frontend_and_no_api() -> None:
    api, alias, front = (TargetEndpoint(role, f"https://{role}.test/") for role in ("api", "alias", "frontend"))
    assert choose_page((api, alias, front)) is front
    assert choose_page((api, alias)) is alias
    assert choose_page((api,)) is None
    assert probe_now(BrowserProbe(), make_target(api)).reason is ErrorReason.NOTHING_TO_PROBE


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("app.localhost", True), ("127.0.0.5", True), ("::1", True), ("localhost.test", False)],
)
def test_it_knows_the_names_of_the_visitors_own_machine(host: str, local: bool) -> None:
    assert is_local(host) is local


def talk_to_proxy(port: int, head: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(head.encode())
        data = b""
        while chunk := sock.recv(4096):
            data += chunk
        return data


def test_it_lets_nobody_else_use_its_proxy() -> None:
    seen: list[Request] = []
    with serve_site(Answer(body=b"hello"), seen) as server, run_proxy(net.Door(net.Deadline(5), LOCAL)) as proxy:
        head = f"GET {server.url}x?y=1 HTTP/1.1\r\nHost: {server.address}\r\n"
        assert talk_to_proxy(proxy.port, f"{head}\r\n").startswith(b"HTTP/1.1 407 ")
        assert seen == []
        pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        assert b"hello" in talk_to_proxy(proxy.port, f"{head}Proxy-Authorization: Basic {pair}\r\n\r\n")
    assert seen[0].path == "/x?y=1" and "proxy-authorization" not in seen[0].headers


def test_it_refuses_cloud_metadata_at_its_proxy() -> None:
    with run_proxy(net.Door(net.Deadline(5), LOCAL)) as proxy:
        pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        head = f"CONNECT 169.254.169.254:443 HTTP/1.1\r\nProxy-Authorization: Basic {pair}\r\n\r\n"
        assert talk_to_proxy(proxy.port, head).startswith(b"HTTP/1.1 502 ")
        assert proxy.refusals[0].reason == "address_not_allowed"


def test_it_hands_its_plan_over_whole() -> None:
    plan = Plan("https://a.test/", "/usr/bin/chromium", 9.5, LOCAL, (lead_to_nowhere(),), ("abc=",), False)
    assert Plan.from_json(plan.to_json()) == plan


def lead_to_nowhere() -> Any:
    return lead_to(type("Server", (), {"port": 9})(), HOST, 443)


def test_it_ends_its_processes_by_the_home_that_they_carry(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with subprocess.Popen(["sh", "-c", "setsid sleep 600 & exec sleep 600"], env=env) as process:
        deadline = net.Deadline(10)
        while len(browser_process.find_family(str(tmp_path))) < 2:
            deadline.remaining_seconds()
            time.sleep(0.02)
        browser_process.end_family(process, str(tmp_path))
    assert browser_process.find_family(str(tmp_path)) == []


_TEXTS = st.text(max_size=20)
_LISTS = st.lists(_TEXTS, max_size=3).map(tuple)
_VIEWS = st.builds(
    PageView,
    view=_TEXTS,
    width=st.integers(),
    status_code=st.none() | st.integers(),
    final_url=_TEXTS,
    error=_TEXTS | st.sampled_from(["net::ERR_TUNNEL_CONNECTION_FAILED", "net::ERR_CERT_DATE_INVALID", ""]),
    scroll_width=st.integers(),
    client_width=st.integers(),
    wide_elements=_LISTS,
    viewport_meta=st.none() | _TEXTS,
    manifest_url=st.none() | _TEXTS,
    has_service_worker=st.booleans(),
    console_errors=_LISTS,
    mixed_content=_LISTS,
    requests=_LISTS,
    plain_requests=_LISTS,
    local_requests=_LISTS,
    screenshot=st.binary(max_size=5),
)
_REFUSALS = st.builds(
    Refusal, host=_TEXTS, port=st.integers(), reason=_TEXTS | st.sampled_from(["refused", "too_large"]), text=_TEXTS
)
_REPORTS = st.builds(
    BrowserReport,
    views=st.lists(_VIEWS, max_size=2).map(tuple),
    refusals=st.lists(_REFUSALS, max_size=2).map(tuple),
    problem=st.sampled_from(["", "timeout", "browser_failed", "no_sandbox", "browser_missing"]),
    problem_text=_TEXTS,
)


@given(_REPORTS, st.sampled_from(["https://a.test/", "https://[::1]/"]))
def test_it_judges_whatever_a_browser_may_report(report: BrowserReport, url: str) -> None:
    result = BrowserProbe().judge(make_target(url), BrowserObservation(url, report), datetime.now(UTC))
    assert json.dumps(result.as_json_object())
    assert result.reason is not None or result.status not in (Status.FAIL, Status.ERROR)


@given(_REPORTS)
def test_it_reads_a_report_as_it_was_written(report: BrowserReport) -> None:
    assert BrowserReport.from_json(report.to_json().encode()) == report


@given(
    st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"views": 3}', b'{"views": [], "refusals": [], "x": 1}'])
)
def test_it_refuses_a_report_that_is_not_whole(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        BrowserReport.from_json(data)
