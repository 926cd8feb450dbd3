"""The scenario probe: walks through a small shop over TLS, whole and broken."""

import dataclasses
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ErrorReason, ProbeResult, Status, Target, TargetError, TargetOptions
from readiness.probes.report import format_json_line
from readiness.probes.scenario import ScenarioProbe, make_scenario_target
from readiness.probes.scenarios.parser import parse_scenario
from readiness.probes.scenarios.shipped import TEMPLATE_NAMES, read_template
from tests.servers import hostile
from tests.servers.probing import LOCAL, find, lead_to, probe_now
from tests.servers.shop import EMAIL, HOST, PASSWORD, ROOT, Shop, serve_shop
from tests.servers.sockets import LocalServer, serve

SECRETS = {"email": EMAIL, "password": PASSWORD}
HEAD = f'name = "Walk"\nbase_url = "https://{HOST}"\n'
TOKEN_STEP = """
[[steps]]
name = "token"
method = "POST"
url = "/api/token"
json = { email = "{{ secret.email }}", password = "{{ secret.password }}" }
capture = [{ name = "token", json = "access_token" }]
"""
CREATE_STEP = """
[[steps]]
name = "create"
method = "POST"
url = "/api/records"
headers = { Authorization = "Bearer {{ token }}" }
json = { title = "t-{{ run }}-{{ user }}" }
capture = [{ name = "id", json = "id" }]
"""
DELETE_STEP = """
[[cleanup]]
name = "delete"
method = "DELETE"
url = "/api/records/{{ id }}"
headers = { Authorization = "Bearer {{ token }}" }
"""


def make_target(text: str, server: LocalServer, **changes: Any) -> Target:
    scenario = parse_scenario(text.replace("env:SCENARIO_BASE_URL", f"https://{HOST}"))
    options = TargetOptions(
        ca_pem=ROOT.pem, timeout_seconds=20, connect_to=(lead_to(server, HOST, 443),), address_policy=LOCAL
    )
    return dataclasses.replace(make_scenario_target("walk", scenario, SECRETS, options), **changes)


def walk(text: str, shop: Shop | None = None, **changes: Any) -> ProbeResult:
    """Walk a scenario through a shop."""
    with serve_shop(shop or Shop()) as server:
        return probe_now(ScenarioProbe(), make_target(text, server, **changes))


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_it_walks_every_shipped_template_and_cleans_up(name: str) -> None:
    shop = Shop()
    result = walk(read_template(name), shop)
    assert (result.status, result.reason) == (Status.PASS, None), result.findings
    assert result.data["all_https"] is True
    assert {step["status"] for step in result.data["steps"]} == {"pass"}
    assert not any(shop.records.values()) and not shop.uploads and not shop.sessions


def test_it_reports_the_cookies_of_the_sign_in() -> None:
    data = walk(read_template("login")).data
    assert next(cookie for cookie in data["cookies"] if cookie["sign_in"]) == {
        "name": "session",
        "host": HOST,
        "secure": True,
        "httponly": True,
        "samesite": "lax",
        "max_age": 86400,
        "step": "Sign in",
        "sign_in": True,
    }


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("Path=/; HttpOnly; SameSite=Lax; Max-Age=60", "is not Secure"),
        ("Path=/; Secure; SameSite=Lax; Max-Age=60", "is not HttpOnly"),
        ("Path=/; Secure; HttpOnly; Max-Age=60", "has SameSite unset"),
        ("Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=86401", "lives for 86401 s"),
        ("Path=/; Secure; HttpOnly; SameSite=Lax; Expires=Fri, 01 Jan 2100 00:00:00 GMT", "lives for"),
    ],
)
def test_it_fails_a_sign_in_whose_cookie_is_not_safe(flags: str, says: str) -> None:
    result = walk(read_template("login"), Shop(session_flags=flags))
    assert (result.status, result.reason) == (Status.FAIL, "unexpected_answer")
    assert f"The cookie session {says}" in find(result, "step-sign-in").summary
    assert find(result, "step-sign-out").status is Status.SKIPPED


def test_it_names_the_step_that_fails_and_shows_no_secret_in_its_transcript() -> None:
    shop = Shop()
    with serve_shop(shop) as server:
        target = make_target(HEAD + TOKEN_STEP, server, secrets={**SECRETS, "password": 'wr"ong & pässword'})
        result = probe_now(ScenarioProbe(), target)
    finding = find(result, "step-token")
    assert (result.status, result.reason) == (Status.FAIL, "unexpected_answer")
    assert "The status is 401 where 2xx is expected" in finding.summary
    assert f"POST https://{HOST}/api/token" in finding.detail
    assert "No user *** with password ***" in finding.detail
    for spelling in ("ong & p", "ong+%26", "ong%20%26", "p\\u00e4ss", "hunter2"):
        assert spelling not in format_json_line(result)


def test_it_masks_a_token_that_an_answer_brings() -> None:
    shop = Shop()
    result = walk(HEAD + TOKEN_STEP + 'expect.json = [{ path = "access_token", equals = "nonsense" }]\n', shop)
    assert result.status is Status.FAIL
    (token,) = shop.tokens
    assert token not in format_json_line(result) and token[:20] not in format_json_line(result)


def test_it_shows_the_first_500_characters_of_a_text_and_none_of_other_content() -> None:
    shop = Shop(answers={"/long": (500, {"Content-Type": "text/plain"}, b"abc " * 1000)})
    shop.answers["/image"] = (500, {"Content-Type": "image/png"}, b"\x89PNG" * 10)
    step = "[[steps]]\nname = 'look'\nurl = '{}'\n"
    text = find(walk(HEAD + step.format("/long"), shop), "step-look").detail
    assert text.count("abc") == 125 and text.endswith("…")
    assert "40 bytes that are no text" in find(walk(HEAD + step.format("/image"), shop), "step-look").detail


def test_it_cleans_up_after_a_failure() -> None:
    shop = Shop()
    text = HEAD + TOKEN_STEP + CREATE_STEP + "expect.body_contains = 'nothing of the kind'\n" + DELETE_STEP
    result = walk(text.replace("expect.body", "[[steps]]\nname = 'look'\nurl = '/login'\nexpect.body"), shop)
    assert find(result, "step-look").status is Status.FAIL
    assert find(result, "cleanup-delete").status is Status.PASS
    assert shop.records == {1: ""}


def test_it_skips_a_cleanup_of_what_was_never_made() -> None:
    shop = Shop(answers={"/api/records": (500, {}, b"")})
    result = walk(HEAD + TOKEN_STEP + CREATE_STEP + DELETE_STEP, shop)
    assert find(result, "cleanup-delete").status is Status.SKIPPED
    assert not any(request.startswith("DELETE") for request in shop.requests)


def test_it_warns_when_only_the_cleanup_fails() -> None:
    shop = Shop(answers={"/api/records/1": (500, {}, b"")})
    result = walk(HEAD + TOKEN_STEP + CREATE_STEP + DELETE_STEP, shop)
    assert (result.status, result.reason) == (Status.WARN, None)
    assert find(result, "cleanup-delete").fix.startswith("Remove by hand")


def test_it_has_time_put_by_for_cleanup_when_a_step_hangs() -> None:
    shop = Shop()
    with serve_shop(shop) as server, serve(hostile.stay_silent) as silent:
        text = HEAD + "allow_http = true\n" + TOKEN_STEP + CREATE_STEP
        text += f"[[steps]]\nname = 'hang'\nurl = '{silent.url}'\n" + DELETE_STEP
        started = time.monotonic()
        result = probe_now(ScenarioProbe(), make_target(text, server, timeout_seconds=2.0))
    assert time.monotonic() - started < 4
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.TIMEOUT)
    assert find(result, "step-hang").status is Status.ERROR
    assert find(result, "cleanup-delete").status is Status.PASS


def test_it_finds_writes_that_fail_only_side_by_side() -> None:
    text = HEAD + "users = 6\n" + TOKEN_STEP + CREATE_STEP + DELETE_STEP
    shop = Shop()
    good = walk(text, shop)
    assert good.status is Status.PASS
    assert len(shop.records) == 6
    bad = walk(text, Shop(writers=1))
    assert (bad.status, bad.reason) == (Status.FAIL, "unexpected_answer")
    assert "of 6 users: create: The status is 500" in find(bad, "step-create").summary
    assert "database is locked" in find(bad, "step-create").detail
    assert 0 < bad.data["steps"][1]["users_not_passed"] < 6


def test_it_polls_until_it_is_true() -> None:
    poll = """
[[steps]]
name = "notice"
url = "/api/notifications"
headers = { Authorization = "Bearer {{ token }}" }
poll = { interval_seconds = 0.05, limit_seconds = %s }
expect.json = [{ path = "items[*].text", contains = "t-{{ run }}-1" }]
"""
    shop = Shop(notification_delay_seconds=0.2)
    assert walk(HEAD + TOKEN_STEP + CREATE_STEP + poll % 5, shop).status is Status.PASS
    assert shop.requests.count("GET /api/notifications") > 1
    result = walk(HEAD + TOKEN_STEP + CREATE_STEP + poll % 0.3, Shop(notification_delay_seconds=60))
    assert (result.status, result.reason) == (Status.FAIL, "never_became_true")
    assert "within 0.3 s" in find(result, "step-notice").summary


def test_it_does_not_send_anything_over_plain_http() -> None:
    shop = Shop()
    with serve_shop(shop, tls=False) as server:
        text = HEAD.replace("https://", "http://") + TOKEN_STEP
        target = make_target(text, server, connect_to=(lead_to(server, HOST, 80),))
        result = probe_now(ScenarioProbe(), target)
        assert (result.status, result.reason) == (Status.FAIL, "not_https")
        assert find(result, "https").status is Status.FAIL
        assert shop.requests == [] and result.data["all_https"] is False
        allowed = probe_now(
            ScenarioProbe(), make_target("allow_http = true\n" + text, server, connect_to=(lead_to(server, HOST, 80),))
        )
    assert (allowed.status, allowed.data["all_https"]) == (Status.WARN, False)


def test_it_does_not_follow_a_redirect_to_plain_http() -> None:
    shop = Shop(answers={"/": (302, {"Location": f"http://{HOST}/login"}, b"")})
    result = walk(HEAD + "[[steps]]\nname = 'look'\nurl = '/'\n", shop)
    assert (result.reason, result.data["all_https"]) == ("not_https", False)
    assert shop.requests == ["GET /"]


def test_it_sends_no_token_and_no_form_to_another_origin() -> None:
    shop, other = Shop(), Shop()
    headers = "headers = { Authorization = 'Bearer {{ secret.password }}' }\n"
    step = "[[steps]]\nname = 'go'\nmethod = '%s'\nurl = '/go'\n" + headers
    with serve_shop(shop) as server, serve_shop(other) as foreign:
        shop.answers["/go"] = (307, {"Location": f"https://127.0.0.1:{foreign.port}/login"}, b"")
        got = probe_now(ScenarioProbe(), make_target(HEAD + step % "GET", server))
        posted = probe_now(ScenarioProbe(), make_target(HEAD + step % "POST" + "form = { a = 'b' }\n", server))
    assert got.status is Status.PASS
    assert (posted.status, posted.reason) == (Status.FAIL, "bad_redirect")
    assert other.requests == ["GET /login"]
    assert "authorization" in shop.headers[0] and "authorization" not in other.headers[0]


def test_it_keeps_strict_cookies_from_requests_of_another_site() -> None:
    shop = Shop(
        answers={"/set": (200, {"Set-Cookie": "a=1; SameSite=Strict; Secure\nb=2; SameSite=None; Secure"}, b"")}
    )
    text = HEAD + "[[steps]]\nname = 'set'\nurl = '/set'\n[[steps]]\nname = 'own'\nurl = '/login?own'\n"
    text += "[[steps]]\nname = 'foreign'\nurl = '/login?foreign'\nheaders = { Origin = 'https://elsewhere.test' }\n"
    walk(text, shop)
    cookies = [headers.get("cookie") for headers in shop.headers]
    assert cookies == [None, "a=1; b=2", "b=2"]


def test_it_holds_every_request_to_the_address_policy() -> None:
    shop = Shop(answers={"/": (302, {"Location": "https://169.254.169.254/latest/"}, b"")})
    text = HEAD + "[[steps]]\nname = 'look'\nurl = '/'\n"
    assert walk(text, shop).reason is ErrorReason.ADDRESS_NOT_ALLOWED
    with serve_shop(shop) as server:
        target = make_target(text.replace(HOST, f"127.0.0.1:{server.port}"), server, address_policy=AddressPolicy())
        assert probe_now(ScenarioProbe(), target).reason is ErrorReason.ADDRESS_NOT_ALLOWED


@pytest.mark.parametrize("value", ["../../admin", "1?x=1", "1/../2", "a b", "#"])
def test_it_keeps_a_captured_value_from_changing_the_address(value: str) -> None:
    shop = Shop(answers={"/id": (200, {"X-Id": value}, b"")})
    text = HEAD + "[[steps]]\nname = 'id'\nurl = '/id'\ncapture = [{ name = 'id', header = 'X-Id' }]\n"
    text += "[[steps]]\nname = 'use'\nurl = '/items/{{ id }}'\nexpect.status = 404\n"
    walk(text, shop)
    assert shop.requests[1].startswith("GET /items/") and shop.requests[1].count("/") == 2
    assert "?" not in shop.requests[1]


def test_it_refuses_a_captured_value_that_would_climb() -> None:
    shop = Shop(answers={"/id": (200, {"X-Id": ".."}, b"")})
    text = HEAD + "[[steps]]\nname = 'id'\nurl = '/id'\ncapture = [{ name = 'id', header = 'X-Id' }]\n"
    result = walk(text + "[[steps]]\nname = 'use'\nurl = '/items/{{ id }}'\n", shop)
    assert (result.status, result.reason) == (Status.FAIL, "bad_step")


def test_it_cannot_tell_when_nothing_listens() -> None:
    with serve_shop(Shop()) as server:
        target = make_target(read_template("chatbot"), server)
    result = probe_now(ScenarioProbe(), target)
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.REFUSED)


def test_it_says_which_secrets_are_missing() -> None:
    result = walk(read_template("chatbot"), secrets={"email": EMAIL})
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.BAD_TARGET)
    assert "password" in result.findings[0].summary


def test_it_fails_an_answer_that_is_too_slow() -> None:
    result = walk(HEAD + TOKEN_STEP + CREATE_STEP + "expect.within_ms = 5\n")
    assert "ms where 5 are allowed" in find(result, "step-create").summary


def test_it_reads_a_file_and_its_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, secret = tmp_path / "walk.toml", tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    path.write_text(read_template("login").replace("env:SCENARIO_PASSWORD", f"file:{secret}"))
    monkeypatch.setenv("SCENARIO_EMAIL", EMAIL)
    monkeypatch.setenv("SCENARIO_BASE_URL", f"https://{HOST}/app")
    target = ScenarioProbe().parse_target(str(path), TargetOptions(timeout_seconds=600))
    assert target.secrets == SECRETS
    assert target.scenario is not None and target.scenario.base_url == f"https://{HOST}/app"
    assert target.timeout_seconds == 30
    assert PASSWORD not in repr(target)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("name = 1", "a text is expected"),
        (read_template("login"), "the environment variable SCENARIO_BASE_URL is not set"),
        (read_template("login").replace("env:SCENARIO_BASE_URL", "https://a.test"), "SCENARIO_EMAIL is not set"),
    ],
)
def test_it_refuses_a_file_in_one_sentence(text: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "walk.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TargetError) as caught:
        ScenarioProbe().parse_target(str(path), TargetOptions())
    assert says in str(caught.value) and str(caught.value).endswith(".")


def test_it_walks_from_the_command_line_and_gives_the_scenario_its_own_time(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.READINESS_PROBES = {"scenario": "readiness.probes.scenario.ScenarioProbe"}
    path, authority, output = tmp_path / "login.toml", tmp_path / "root.pem", io.StringIO()
    path.write_text(read_template("login"))
    authority.write_text(ROOT.pem)
    with serve_shop(Shop()) as server:
        for name, value in (("BASE_URL", f"https://{HOST}"), ("EMAIL", EMAIL), ("PASSWORD", PASSWORD)):
            monkeypatch.setenv(f"SCENARIO_{name}", value)
        override = f"{HOST}:443:127.0.0.1:{server.port}"
        call_command(
            "probe", "scenario", str(path), "--ca-file", str(authority), "--connect-to", override, "--json",
            stdout=output,
        )  # fmt: skip
    line = json.loads(output.getvalue())
    assert (line["kind"], line["target"], line["status"]) == ("scenario", str(path), "pass")
    assert ScenarioProbe.default_timeout_seconds == 600
