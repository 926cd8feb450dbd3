"""`manage.py probe`: what it prints, and its exit status. It needs no database."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from readiness.management.commands.probe import parse_connect_to
from readiness.probes.base import ConnectTo, Finding, ProbeResult, Status
from readiness.probes.report import format_table
from tests.conftest import Server
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
        ("http", "example.org", "--ca-file", "/dev/zero"),
        ("http", "example.org", "--connect-to", "a:b:c"),
        ("http", "example.org", "--connect-to", "b\u00fc..cher:443:127.0.0.1:443"),
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


BAD_INPUTS: dict[str, tuple[str, str, str]] = {
    # what -> (kind, target, reason); {url} is a database that is there
    "a DSN that does not parse": ("postgres", "postgresql://app:hunter2@[::1", "bad_dsn"),
    "a DSN of unknown words": ("postgres", "host=db pasword=hunter2", "bad_dsn"),
    "a DSN with a port that is none": ("postgres", "postgresql://app:hunter2@127.0.0.1:99999/x", "bad_dsn"),
    "another engine": ("postgres", "mysql://app:hunter2@db.example.org/x", "wrong_engine"),
    "a database host that does not resolve": (
        "postgres",
        "postgresql://app:hunter2@nowhere.invalid/x",
        "host_not_found",
    ),
    "a wrong password": ("postgres", "{url_with_wrong_password}", "authentication_failed"),
    "a database that is not there": ("postgres", "{url_of_no_database}", "database_not_found"),
    "a database where nobody listens": ("postgres", "postgresql://app:hunter2@127.0.0.1:1/x", "refused"),
    "a URL with credentials": ("http", "https://app:hunter2@www.preflight.test/", "credentials_in_url"),
    "a URL with credentials for tls": ("tls", "https://app:hunter2@www.preflight.test/", "credentials_in_url"),
    "a URL with credentials for headers": ("headers", "http://app:hunter2@www.preflight.test/", "credentials_in_url"),
    "a URL with credentials for dns": ("dns", "https://app:hunter2@www.preflight.test/", "credentials_in_url"),
    "a host that does not resolve": ("http", "nowhere.invalid", "host_not_found"),
    "a host that does not resolve for tls": ("tls", "nowhere.invalid:8443", "host_not_found"),
    "a host that does not resolve for headers": ("headers", "https://nowhere.invalid/", "host_not_found"),
    "a database's certificate at a host that does not resolve": (
        "tls",
        "postgres://app:hunter2@nowhere.invalid:5432",
        "host_not_found",
    ),
    "a scheme that is none": ("http", "gopher://example.org/", "bad_target"),
    "a port that is none": ("tls", "example.org:99999", "bad_target"),
    "a port that is a password": ("http", "https://app:hunter2/x", "bad_target"),
    "nothing": ("http", "", "bad_target"),
    "an address whose bracket is not closed": ("tls", "https://[::1", "bad_target"),
    "a host with an empty label": ("dns", "www..test", "bad_target"),
    "a host with a label that is too long": ("tls", f"{'a' * 64}.test", "bad_target"),
    "user and password without a scheme": ("tls", "app:hunter2@www.preflight.test", "credentials_in_url"),
    "bytes that are no text": ("headers", os.fsdecode(b"\xff.test"), "bad_target"),
    "a DSN with a setting that is none": (
        "postgres",
        "postgresql://app:hunter2@127.0.0.1:1/x?sslmode=bogus",
        "bad_dsn",
    ),
    "a DSN of a service that is not defined": ("postgres", "service=nowhere password=hunter2", "bad_dsn"),
    "a scenario that is no file": ("scenario", "/no/such/scenario.toml", "bad_target"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_each_bad_input_has_a_named_result_in_time_without_traceback_or_secret(name: str, server: Server) -> None:
    kind, text, reason = BAD_INPUTS[name]
    good = server.url("postgres")
    password = good.partition("//")[2].partition("@")[0].partition(":")[2]
    target = text.format(
        url_with_wrong_password=good.replace(password, "hunter2"),
        url_of_no_database=good.rpartition("/")[0] + "/no_such_database",
    )
    code, lines, output = run(kind, target, "--json", "--timeout", "5")
    (line,) = lines
    assert (line["reason"], code) == (reason, 1 if reason == "wrong_engine" else 3)
    assert isinstance(line["duration_ms"], int) and line["duration_ms"] <= 6_000
    findings: Any = line["findings"]
    assert findings[0]["summary"]
    assert "Traceback" not in output
    assert "hunter2" not in output and password not in output


def test_a_database_newer_than_anything_we_know_has_a_result_of_its_own(server: Server) -> None:
    """A real server behind a wire that writes another version where the server says its own."""
    number = server.connect().execute("SHOW server_version_num").fetchone()[0]  # type: ignore[index]
    major, minor = int(number) // 10_000, int(number) % 10_000
    lies = {f"{number}".encode(): f"99{minor:04}".encode(), f"{major}.{minor}".encode(): f"99.{minor}".encode()}
    port = int(server.url("postgres").rpartition(":")[2].partition("/")[0])

    def pass_on(sock: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            threading.Thread(target=_copy, args=(sock, upstream, {}), daemon=True).start()
            _copy(upstream, sock, lies)

    with serve(pass_on) as wire:
        url = server.url("postgres").replace(f":{port}/", f":{wire.port}/")
        _, lines, output = run("postgres", url, "--json")
    findings: Any = lines[0]["findings"]
    (version,) = [finding for finding in findings if finding["id"] == "version"]
    assert "PostgreSQL 99 is newer than" in version["summary"]
    assert lines[0]["reason"] != "internal" and lines[0]["status"] in ("pass", "warn", "fail")
    assert "Traceback" not in output


def _copy(source: socket.socket, target: socket.socket, lies: dict[bytes, bytes]) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            for truth, lie in lies.items():
                data = data.replace(truth, lie)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("redirection", ["1>&-", ">/dev/full"])
def test_it_says_in_a_sentence_that_nothing_can_be_written(redirection: str) -> None:
    command = f'"{sys.executable}" "{MANAGE}" probe tls 127.0.0.1:1 --json {redirection}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "The results cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_it_ends_in_a_sentence_when_it_is_interrupted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, str(MANAGE), "probe", "tls", target, "--timeout", "30"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as probing:
            silent.settimeout(30)
            silent.accept()
            probing.send_signal(signal.SIGINT)
            _, said = probing.communicate(timeout=30)
    assert (probing.returncode, said) == (130, "Interrupted.\n")


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
        ("b\u00fccher.test:443:127.0.0.1:8443", ConnectTo("xn--bcher-kva.test", 443, "127.0.0.1", 8443)),
    ],
)
def test_it_reads_connect_to_as_curl_does(text: str, parsed: ConnectTo) -> None:
    assert parse_connect_to(text) == parsed
