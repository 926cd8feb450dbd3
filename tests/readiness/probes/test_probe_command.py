"""`manage.py probe`: what it prints, and its exit status. It needs no database."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from readiness.management.commands.probe import parse_connect_to
from readiness.probes.base import ConnectTo, Finding, ProbeResult, Status
from readiness.probes.report import format_table
from tests.servers import hostile
from tests.servers.certificates import make_certificate, make_root
from tests.servers.sockets import serve
from tests.servers.web import Answer, serve_https_site, serve_site

MANAGE = Path(__file__).parents[3] / "manage.py"
ROOT = make_root()
IDENTITY = make_certificate("www.preflight.test", ROOT, hosts=["www.preflight.test"])


def run(*arguments: str, **environment: str) -> tuple[int, list[dict[str, object]], str]:
    """Run the command as an operator would, with a database that cannot be reached."""
    env = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", **environment}
    command = [sys.executable, str(MANAGE), "probe", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()] if "--json" in arguments else []
    return done.returncode, lines, done.stdout + done.stderr


def test_it_prints_one_json_object_a_target_in_order_without_any_database() -> None:
    with serve_https_site(Answer(), IDENTITY) as server:
        code, lines, _ = run(
            *("http", "www.preflight.test:8443", "https://www.preflight.test:8443/", "--json"),
            *("--connect-to", f"www.preflight.test:8443:127.0.0.1:{server.port}"),
            *("--ca-file", _write_ca()),
        )
    assert code == 0
    assert [line["target"] for line in lines] == ["www.preflight.test:8443", "https://www.preflight.test:8443/"]
    assert list(lines[0]) == ["kind", "target", "status", "reason", "duration_ms", "findings", "data"]
    assert lines[0]["status"] == "pass"


def _write_ca() -> str:
    path = Path(os.environ["PORTAL_VAR"]) / "test-root.pem"
    path.write_text(ROOT.pem)
    return str(path)


def test_it_exits_1_for_bad_news_and_3_when_it_cannot_tell_which_beats_1() -> None:
    with serve(hostile.hang_up) as gone:
        pass
    with serve_site(Answer()) as poor:
        assert run("http", poor.url, "--json")[0] == 1
        code, lines, _ = run("http", poor.url, gone.url, "--json")
    assert code == 3
    assert [line["reason"] for line in lines] == ["no_https_redirect", "refused"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuchkind", "example.org"),
        ("http",),
        ("http", "example.org", "--ca-file", "/no/such/file"),
        ("http", "example.org", "--ca-file", str(MANAGE)),
        ("http", "example.org", "--connect-to", "a:b:c"),
        ("http", "example.org", "--timeout", "never"),
        ("http", "example.org", "--concurrency", "0"),
    ],
)
def test_it_exits_2_for_a_command_line_that_makes_no_sense(arguments: tuple[str, ...]) -> None:
    code, _, output = run(*arguments)
    assert code == 2
    assert "Traceback" not in output


def test_it_names_each_bad_target_without_a_traceback_or_a_secret() -> None:
    code, lines, output = run(
        *("postgres", "postgresql://app:hunter2@[::1", "env:NO_SUCH_NAME", "--json"),
        PROBED="postgresql://a:hunter2@b/c",
    )
    assert code == 3
    assert [line["reason"] for line in lines] == ["bad_dsn", "bad_dsn"]
    assert "hunter2" not in output and "Traceback" not in output


def test_it_masks_a_password_in_the_target_it_prints() -> None:
    code, lines, output = run("http", "https://app:hunter2@www.preflight.test/", "--json")
    assert (code, lines[0]["reason"]) == (3, "credentials_in_url")
    assert lines[0]["target"] == "https://app:***@www.preflight.test/"
    assert "hunter2" not in output


def test_it_reads_a_dsn_from_the_environment() -> None:
    _, lines, output = run("postgres", "env:PROBED", "--json", PROBED="postgresql://app:hunter2@127.0.0.1:1/app")
    assert (lines[0]["target"], lines[0]["reason"]) == ("env:PROBED", "refused")
    assert "hunter2" not in output


def test_it_refuses_cloud_metadata_even_by_hand() -> None:
    _, lines, _ = run("http", "http://169.254.169.254/latest/", "--json")
    assert lines[0]["reason"] == "address_not_allowed"


def test_it_prints_a_table_for_people() -> None:
    with serve_site(Answer()) as server:
        code, _, output = run("http", server.url)
    assert code == 1
    assert "✗ fail" in output and "https_redirect" in output and "→ Let the web server" in output
    assert "\x1b[" not in output


def test_it_colours_the_table_only_when_asked_and_disarms_control_characters() -> None:
    finding = Finding("server", Status.WARN, "It says \x1b[2J\x07boo.")
    result = ProbeResult("headers", "x", Status.WARN, findings=(finding,))
    plain = format_table([result], colour=False)
    assert "\x1b" not in plain and "\x07" not in plain
    assert "\x1b[33m" in format_table([result], colour=True)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("a.test:443:127.0.0.1:8443", ConnectTo("a.test", 443, "127.0.0.1", 8443)),
        ("::127.0.0.1:8443", ConnectTo("", None, "127.0.0.1", 8443)),
        (":443::8443", ConnectTo("", 443, "", 8443)),
        ("a.test:443:[::1]:8443", ConnectTo("a.test", 443, "::1", 8443)),
        ("[::1]:443:b.test:", ConnectTo("::1", 443, "b.test", None)),
    ],
)
def test_it_reads_connect_to_as_curl_does(text: str, parsed: ConnectTo) -> None:
    assert parse_connect_to(text) == parsed
